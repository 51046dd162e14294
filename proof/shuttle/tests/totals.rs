//! The totals of all threads add up, and a reader never sees a call settled that it does not see admitted.

#![cfg(shuttle)]

use shuttle::sync::Mutex;
use shuttle_tests::{at_once, builder, exhaust, sample, shared};
use tripcoil::Metrics;

/// Successes, errors, ignored, dropped, rejected, active.
fn counts(metrics: &Metrics) -> [u64; 6] {
    [
        metrics.total_success_count,
        metrics.total_error_count,
        metrics.total_ignored_count,
        metrics.total_dropped_count,
        metrics.total_rejected_count,
        metrics.active_calls,
    ]
}

#[test]
fn the_totals_of_six_threads_add_up() {
    sample([[4, 4, 2, 2, 0, 0]], || {
        let breaker = shared(builder().0.error_threshold(9));
        at_once(6, {
            let breaker = breaker.clone();
            move |number| {
                for round in 0..2 {
                    let permit = breaker.try_acquire().unwrap();
                    match (number + round) % 6 {
                        0 | 1 => permit.success(),
                        2 | 3 => permit.failure(),
                        4 => permit.ignore(),
                        _ => drop(permit),
                    }
                }
            }
        });
        counts(&breaker.metrics())
    });
}

#[test]
fn rejections_of_seven_callers_add_up() {
    sample([[0, 0, 2, 0, 5, 0]], || {
        let breaker = shared(builder().0.half_open_capacity(2));
        breaker.transition_to(tripcoil::State::HalfOpen);
        let held = at_once(7, {
            let breaker = breaker.clone();
            move |_| breaker.try_acquire_owned().ok()
        });
        held.into_iter().flatten().for_each(tripcoil::OwnedPermit::ignore);
        counts(&breaker.metrics())
    });
}

#[test]
fn a_reader_never_sees_more_settled_than_admitted_nor_less_than_it_has_seen() {
    sample([3], || {
        let breaker = shared(builder().0.error_threshold(99));
        let elsewhere = Mutex::new((0..2).map(|_| breaker.try_acquire_owned().unwrap()).collect::<Vec<_>>());
        let settled = |metrics: &Metrics| metrics.total_success_count + metrics.total_error_count;
        at_once(4, {
            let breaker = breaker.clone();
            move |number| {
                if number > 0 {
                    let moved = elsewhere.lock().unwrap().pop();
                    let permit = breaker.try_acquire().unwrap();
                    if let Some(moved) = moved {
                        moved.failure();
                    }
                    return permit.success();
                }
                let mut seen = 0;
                for _ in 0..3 {
                    let metrics = breaker.metrics();
                    assert!(settled(&metrics) >= seen, "{metrics:?} after {seen}");
                    assert!(metrics.active_calls <= 5, "{metrics:?}");
                    seen = settled(&metrics);
                }
            }
        });
        let metrics = breaker.metrics();
        assert_eq!((settled(&metrics), metrics.active_calls), (5, 0));
        metrics.total_success_count
    });
}

#[test]
fn the_totals_of_two_threads_add_up_in_every_schedule() {
    exhaust([[1, 1, 0, 0, 0, 0]], || {
        let breaker = shared(builder().0.error_threshold(9));
        at_once(2, {
            let breaker = breaker.clone();
            move |number| {
                let permit = breaker.try_acquire().unwrap();
                if number == 0 { permit.success() } else { permit.failure() }
            }
        });
        counts(&breaker.metrics())
    });
}
