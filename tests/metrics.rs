//! Each of the metrics counts what it says, and exactly.

mod common;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use common::*;
use futures_lite::future::block_on;
use tripcoil::{CircuitBreaker, LastError, Metrics, Outcome, State};

fn totals(metrics: &Metrics) -> [u64; 6] {
    [
        metrics.total_success_count,
        metrics.total_error_count,
        metrics.total_ignored_count,
        metrics.total_dropped_count,
        metrics.total_rejected_count,
        metrics.total_slow_count,
    ]
}

fn last_error(breaker: &CircuitBreaker) -> LastError {
    breaker.metrics().last_error.expect("a call has failed")
}

#[test]
fn a_new_breaker_has_counted_nothing() {
    let metrics = CircuitBreaker::new("payments").metrics();
    assert_eq!(metrics.name, "payments");
    assert_eq!(metrics.state, State::Closed);
    assert_eq!(totals(&metrics), [0; 6]);
    assert_eq!((metrics.active_calls, metrics.transition_count), (0, 0));
    assert_eq!((metrics.consecutive_error_count, metrics.consecutive_success_count), (0, 0));
    assert_eq!((metrics.retry_after, metrics.last_error), (None, None));
}

#[test]
fn each_call_is_in_exactly_one_total() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(99));
    (0..1).for_each(|_| succeed(&breaker));
    (0..2).for_each(|_| fail(&breaker));
    (0..3).for_each(|_| ignore(&breaker));
    (0..4).for_each(|_| drop(admitted(&breaker)));
    breaker.force_open();
    (0..5).for_each(|_| drop(refused(&breaker)));
    assert_eq!(totals(&breaker.metrics()), [1, 2, 3, 4, 5, 0]);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn a_trip_is_an_error() {
    let (breaker, _clock) = manual(|settings| settings);
    trip(&breaker, SECOND);
    assert_eq!(totals(&breaker.metrics()), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn rejected_calls_are_counted_however_they_were_made() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    breaker.force_open();
    refused(&breaker);
    assert!(breaker.try_acquire_owned().is_err());
    assert!(breaker.call_sync(|| Ok::<_, ()>(())).is_err());
    assert!(breaker.wrap_sync(Ok::<(), ()>)(()).is_err());
    assert!(block_on(breaker.call(async { Ok::<_, ()>(()) })).is_err());
    assert!(breaker.acquire_blocking(Duration::ZERO).is_err());
    assert!(breaker.ignoring(|(): &()| true).call_sync(|| Ok(())).is_err());
    assert_eq!(totals(&breaker.metrics()), [0, 0, 0, 0, 7, 0]);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn active_calls_are_those_that_are_admitted_and_not_settled() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut permits = Vec::new();
    for active in 1..=10 {
        permits.push(admitted(&breaker));
        assert_eq!(breaker.metrics().active_calls, active);
    }
    let endings = [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Trip { open_for: SECOND }];
    for outcome in endings {
        permits.pop().unwrap().record(outcome);
    }
    assert_eq!(breaker.metrics().active_calls, 6);
    permits.clear();
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn active_calls_are_of_any_epoch_and_reset_leaves_them_alone() {
    let (breaker, _clock) = manual(|settings| settings);
    let [first, second] = [admitted(&breaker), admitted(&breaker)];
    breaker.reset();
    assert_eq!(breaker.metrics().active_calls, 2);
    first.success();
    assert_eq!(breaker.metrics().active_calls, 1);
    breaker.force_open();
    second.failure();
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn active_calls_never_fall_below_those_that_are_held_while_others_come_and_go() {
    const HELD: u64 = 5;
    const CALLS: u64 = 20_000;
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let held: Vec<_> = (0..HELD).map(|_| admitted(&breaker)).collect();
    breaker.reset();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                let _ = breaker.call_sync(|| if call % 3 == 0 { Err(()) } else { Ok(()) });
                breaker.reset();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        while !is_done.load(Ordering::Relaxed) {
            let active = breaker.metrics().active_calls;
            assert!((HELD..=HELD + CALLS).contains(&active), "{active} active calls");
        }
    });
    assert_eq!(breaker.metrics().active_calls, HELD);
    drop(held);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn totals_of_many_threads_are_exact_also_of_threads_that_have_ended() {
    const CALLS: u64 = 1_000;
    let (breaker, _clock) = manual(|settings| settings.error_threshold(u32::MAX));
    for _ in 0..3 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for call in 0..CALLS {
                        match call % 4 {
                            0 => succeed(&breaker),
                            1 => fail(&breaker),
                            2 => ignore(&breaker),
                            _ => drop(admitted(&breaker)),
                        }
                    }
                });
            }
        });
    }
    assert_eq!(totals(&breaker.metrics()), [3 * CALLS, 3 * CALLS, 3 * CALLS, 3 * CALLS, 0, 0]);
}

#[test]
fn a_permit_may_be_settled_by_another_thread() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let permit = breaker.try_acquire_owned().unwrap();
    thread::spawn(move || permit.success()).join().unwrap();
    assert_eq!(totals(&breaker.metrics()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn consecutive_errors_are_the_run_while_closed_and_the_probe_errors_while_half_open() {
    let (breaker, _clock) = manual(|settings| settings.half_open_error_threshold(9));
    for errors in 1..=4 {
        fail(&breaker);
        assert_eq!(consecutive(&breaker), (errors, 0));
    }
    for state in [State::Open, State::ForcedOpen, State::ForcedClosed] {
        breaker.transition_to(state);
        assert_eq!(consecutive(&breaker), (0, 0));
    }
    breaker.transition_to(State::HalfOpen);
    for errors in 1..=4 {
        fail(&breaker);
        assert_eq!(consecutive(&breaker), (errors, 0));
    }
}

#[test]
fn consecutive_successes_are_the_probe_successes_while_half_open_and_none_elsewhere() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(9).half_open_error_threshold(9));
    for state in [State::Closed, State::ForcedClosed] {
        breaker.transition_to(state);
        succeed(&breaker);
        succeed(&breaker);
        assert_eq!(consecutive(&breaker), (0, 0), "{state}");
    }
    breaker.transition_to(State::HalfOpen);
    for errors in 0..2 {
        for successes in 1..=4 {
            succeed(&breaker);
            ignore(&breaker);
            drop(admitted(&breaker));
            assert_eq!(consecutive(&breaker), (errors, successes));
        }
        fail(&breaker);
        assert_eq!(consecutive(&breaker), (errors + 1, 0));
    }
    breaker.transition_to(State::Closed);
    succeed(&breaker);
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn successes_of_all_threads_add_up() {
    let (breaker, _clock) = manual(|settings| settings);
    for _ in 0..2 {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..100).for_each(|_| succeed(&breaker)));
            }
        });
        fail(&breaker);
    }
    assert_eq!(breaker.metrics().total_success_count, 600);
}

#[test]
fn transitions_are_counted_where_the_state_changes() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
    fail(&breaker);
    clock.advance(30 * SECOND);
    let probe = admitted(&breaker);
    assert_eq!(breaker.metrics().transition_count, 2);
    probe.success();
    breaker.transition_to(State::Closed);
    assert_eq!(breaker.metrics().transition_count, 3);
}

#[test]
fn retry_after_counts_down_to_zero_and_is_full_again_after_reopening() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.transition_to(State::Open);
    for left in (0..=5).rev() {
        assert_eq!(breaker.metrics().retry_after, Some(left * SECOND));
        clock.advance(SECOND);
    }
    assert_eq!(breaker.metrics().retry_after, Some(Duration::ZERO));
    fail(&breaker);
    assert_eq!(breaker.metrics().retry_after, Some(5 * SECOND));
}

#[test]
fn lifetime_metrics_are_what_the_metrics_would_be_without_resets() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let count = || {
        succeed(&breaker);
        ignore(&breaker);
        drop(admitted(&breaker));
        fail(&breaker);
        fail(&breaker);
        refused(&breaker);
    };
    count();
    assert_eq!(breaker.lifetime_metrics(), breaker.metrics());
    breaker.reset();
    count();
    let metrics = breaker.lifetime_metrics();
    let outcomes = [metrics.total_success_count, metrics.total_ignored_count, metrics.total_dropped_count];
    assert_eq!(outcomes, [2; 3]);
    assert_eq!((metrics.total_error_count, metrics.total_rejected_count, metrics.transition_count), (4, 2, 3));
    assert_eq!((metrics.state, metrics.active_calls), (State::Open, 0));
}

#[test]
fn reset_clears_every_count_total_and_the_last_error() {
    for state in STATES {
        let (breaker, _clock) = manual(|settings| settings.success_threshold(9));
        succeed(&breaker);
        ignore(&breaker);
        drop(admitted(&breaker));
        fail(&breaker);
        breaker.transition_to(state);
        let _ = breaker.call_sync(|| Ok::<_, ()>(()));
        breaker.reset();
        let metrics = breaker.metrics();
        assert_eq!(totals(&metrics), [0; 6], "{state}");
        assert_eq!((metrics.state, metrics.transition_count), (State::Closed, 0), "{state}");
        assert_eq!(consecutive(&breaker), (0, 0), "{state}");
        assert_eq!((metrics.retry_after, metrics.last_error), (None, None), "{state}");
    }
}

#[test]
fn counting_goes_on_after_a_reset() {
    let (breaker, _clock) = manual(|settings| settings);
    let earlier = admitted(&breaker);
    for _ in 0..2 {
        fail(&breaker);
        breaker.force_open();
        refused(&breaker);
        breaker.reset();
        succeed(&breaker);
        breaker.force_open();
        assert_eq!(totals(&breaker.metrics()), [1, 0, 0, 0, 0, 0]);
        assert_eq!(breaker.metrics().transition_count, 1);
        breaker.reset();
    }
    earlier.failure();
    assert_eq!(totals(&breaker.metrics()), [0, 1, 0, 0, 0, 0]);
}

#[test]
fn a_snapshot_taken_during_a_reset_counts_no_transition_below_zero() {
    const ROUNDS: u64 = 20_000;
    let (breaker, _clock) = manual(|settings| settings);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                breaker.force_open();
                breaker.reset();
            }
            is_done.store(true, Ordering::Relaxed);
        });
        while !is_done.load(Ordering::Relaxed) {
            let transitions = breaker.metrics().transition_count;
            assert!(transitions <= 2 * ROUNDS, "{transitions} transitions");
        }
    });
    assert_eq!(breaker.metrics().transition_count, 0);
}

#[test]
fn of_two_resets_at_once_the_later_one_counts() {
    let (breaker, _clock) = manual(|settings| settings);
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    barrier.wait();
                    for _ in 0..3 {
                        breaker.force_open();
                        breaker.reset();
                    }
                    barrier.wait();
                    assert_eq!(breaker.metrics().transition_count, 0);
                }
            });
        }
    });
}

#[test]
fn the_last_error_names_the_type_that_failed() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(99));
    let _ = breaker.call_sync(|| Err::<(), _>(io::Error::other("broken")));
    assert_eq!(last_error(&breaker).type_name, std::any::type_name::<io::Error>());
    let _ = block_on(breaker.call(async { Err::<(), _>("text") }));
    assert_eq!(last_error(&breaker).type_name, "&str");
    let _ = breaker.call_sync_with(|| Ok::<u16, ()>(503), |_| Outcome::Failure);
    assert_eq!(last_error(&breaker).type_name, "u16");
    let _ = admitted(&breaker).settle(Err::<(), _>(7_u64));
    assert_eq!(last_error(&breaker).type_name, "u64");
    fail(&breaker);
    assert_eq!(last_error(&breaker).type_name, "failure");
}

#[test]
fn the_last_error_has_the_message_that_was_given() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    admitted(&breaker).failure_because("no answer");
    assert_eq!(last_error(&breaker).message.as_deref(), Some("no answer"));
    breaker.try_acquire_owned().unwrap().failure_because(format!("status {}", 503));
    assert_eq!(last_error(&breaker).message.as_deref(), Some("status 503"));
    fail(&breaker);
    assert_eq!(last_error(&breaker).message, None);
}

#[test]
fn the_last_error_says_when_it_was_where_the_clock_was_read() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(2));
    clock.set(5 * SECOND);
    fail(&breaker);
    assert_eq!(last_error(&breaker).at, None);
    fail(&breaker);
    assert_eq!(last_error(&breaker).at, Some(5 * SECOND));
    breaker.reset();
    clock.set(9 * SECOND);
    trip(&breaker, SECOND);
    assert_eq!(last_error(&breaker).at, Some(9 * SECOND));
}

#[test]
fn what_is_no_failure_leaves_the_last_error_alone() {
    let (breaker, _clock) = manual(|settings| settings);
    admitted(&breaker).failure_because("mine");
    succeed(&breaker);
    ignore(&breaker);
    drop(admitted(&breaker));
    breaker.force_open();
    refused(&breaker);
    assert_eq!(last_error(&breaker).message.as_deref(), Some("mine"));
}

#[test]
fn a_snapshot_is_a_value_of_its_own() {
    let (breaker, _clock) = manual(|settings| settings);
    let before = breaker.metrics();
    succeed(&breaker);
    let copy = before.clone();
    drop(breaker);
    assert_eq!((copy.total_success_count, copy.name), (0, before.name));
}
