//! Late outcomes of other threads are in the totals, and in no window at any instant.

mod common;

use std::sync::{Arc, Barrier};
use std::thread;

use common::*;
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, State, Window};

type Rule = fn(Builder) -> Builder;

/// The last ten calls, and all calls, as the clock stands still.
const WINDOWS: [(&str, Rule); 2] = [
    ("calls", |settings| settings.window(Window::calls(10)).minimum_calls(9)),
    ("time", |settings| settings.window(Window::time(10 * SECOND)).minimum_calls(9)),
];

/// Each of the other threads succeeds once, and then settles its late outcomes. Meanwhile `calls` runs again and again,
/// until they have or it returns false; nobody else calls in the current epoch.
fn beside_late_outcomes(
    breaker: &Arc<CircuitBreaker>,
    [threads, late]: [usize; 2],
    mut calls: impl FnMut(usize) -> bool,
) {
    breaker.transition_to(State::Closed);
    let permits =
        |_| -> Vec<OwnedPermit> { (0..late).map(|_| breaker.try_acquire_owned().expect("it is closed")).collect() };
    let late: Vec<_> = (0..threads).map(permits).collect();
    breaker.transition_to(State::Closed);
    let barrier = Barrier::new(threads + 1);
    let settle = |permits: Vec<OwnedPermit>| {
        succeed(breaker);
        barrier.wait();
        for (number, permit) in permits.into_iter().enumerate() {
            if number % 2 == 0 { permit.failure() } else { permit.success() }
        }
    };
    let settle = &settle;
    thread::scope(|scope| {
        let settling: Vec<_> = late.into_iter().map(|permits| scope.spawn(move || settle(permits))).collect();
        barrier.wait();
        for turn in 0.. {
            if !calls(turn) || settling.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            if turn % 64 == 63 {
                // The threads may share a core.
                thread::yield_now();
            }
        }
    });
    assert_eq!(breaker.metrics().active_calls, 0);
}

fn counts(breaker: &CircuitBreaker) -> (u64, u64) {
    let window = breaker.metrics().window.expect("there is a rate rule");
    (window.calls, window.errors)
}

fn breaker(rule: Rule, rate: f64) -> Arc<CircuitBreaker> {
    Arc::new(manual(|settings| rule(settings).error_rate(rate)).0)
}

#[test]
fn alternating_calls_never_meet_a_rate_of_six_tenths_beside_late_outcomes() {
    for (name, rule) in WINDOWS {
        for round in 0..10 {
            let breaker = breaker(rule, 0.6);
            beside_late_outcomes(&breaker, [2, 15_000], |turn| {
                succeed(&breaker);
                fail(&breaker);
                assert_eq!(breaker.state(), State::Closed, "{name}, round {round}: opened by pair {turn}");
                true
            });
        }
    }
}

#[test]
fn eight_failures_of_nine_calls_open_at_the_eighth_beside_late_outcomes() {
    for (name, rule) in WINDOWS {
        let breaker = breaker(rule, 8.0 / 9.0);
        for round in 0..8_000 {
            beside_late_outcomes(&breaker, [1, 100], |_| {
                // The success of the other thread comes first.
                for failures in 0..8 {
                    assert_eq!(breaker.state(), State::Closed, "{name}, round {round}: opened by failure {failures}");
                    fail(&breaker);
                }
                assert_eq!(breaker.state(), State::Open, "{name}, round {round}: eight failures did not open");
                false
            });
        }
    }
}

#[test]
fn the_metrics_show_the_calls_of_the_epoch_and_no_more_beside_late_outcomes() {
    for (name, rule) in WINDOWS {
        for round in 0..10 {
            let breaker = breaker(rule, 1.0);
            beside_late_outcomes(&breaker, [1, 30_000], |turn| {
                if turn == 0 {
                    (0..8).for_each(|_| fail(&breaker));
                }
                assert_eq!(counts(&breaker), (9, 8), "{name}, round {round}, look {turn}");
                true
            });
        }
    }
}

#[test]
fn every_late_outcome_is_in_the_totals() {
    const LATE: usize = 10_000;
    for (name, rule) in WINDOWS {
        let breaker = breaker(rule, 1.0);
        let mut own = 0;
        for _ in 0..3 {
            beside_late_outcomes(&breaker, [2, LATE], |_| {
                succeed(&breaker);
                fail(&breaker);
                own += 1;
                true
            });
        }
        let (late, first) = (3 * LATE as u64, 3 * 2);
        let metrics = breaker.metrics();
        assert_eq!(metrics.total_success_count, late + own + first, "{name}");
        assert_eq!(metrics.total_error_count, late + own, "{name}");
    }
}
