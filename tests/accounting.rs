//! What many threads record is all there, and none of it in the wrong episode.

mod common;

use std::sync::Barrier;
use std::thread;

use common::*;
use tripcoil::{Cause, Outcome, State, Window};

const THREADS: u64 = 4;
const OUTCOMES: u64 = 1_000_000;

/// Every tenth call fails.
fn outcome(number: u64) -> Outcome {
    if number % 10 == 0 { Outcome::Failure } else { Outcome::Success }
}

fn settle_from_all_threads(breaker: &tripcoil::CircuitBreaker) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..OUTCOMES).for_each(|number| admitted(breaker).record(outcome(number))));
        }
    });
}

fn assert_all_is_there(breaker: &tripcoil::CircuitBreaker) {
    let metrics = breaker.metrics();
    let errors = THREADS * OUTCOMES / 10;
    assert_eq!(metrics.state, State::Closed);
    assert_eq!(metrics.active_calls, 0);
    assert_eq!(metrics.total_error_count, errors);
    assert_eq!(metrics.total_success_count, THREADS * OUTCOMES - errors);
}

#[test]
fn a_window_of_time_holds_every_outcome_of_every_thread() {
    let (breaker, _) = manual(|settings| settings.error_rate(0.5).window(Window::time(10 * SECOND)));
    settle_from_all_threads(&breaker);
    assert_all_is_there(&breaker);
    let window = breaker.metrics().window.unwrap();
    assert_eq!((window.calls, window.errors), (THREADS * OUTCOMES, THREADS * OUTCOMES / 10));
}

#[test]
fn a_window_of_calls_holds_the_last_of_all_threads() {
    let (breaker, _) = manual(|settings| settings.error_rate(0.5).window(Window::calls(1_000_000)));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..OUTCOMES / THREADS).for_each(|number| admitted(&breaker).record(outcome(number))));
        }
    });
    let window = breaker.metrics().window.unwrap();
    assert_eq!((window.calls, window.errors), (OUTCOMES, OUTCOMES / 10));
    (0..OUTCOMES).for_each(|_| succeed(&breaker));
    let window = breaker.metrics().window.unwrap();
    assert_eq!((window.calls, window.errors), (OUTCOMES, 0));
}

#[test]
fn a_window_of_slow_calls_is_empty_of_calls_in_flight_once_all_have_ended() {
    let (breaker, clock) = manual(|settings| {
        let settings = settings.slow_call_rate(1.0).slow_call_duration(SECOND);
        settings.window(Window::time(100 * SECOND)).minimum_calls(u32::MAX)
    });
    settle_from_all_threads(&breaker);
    clock.advance(50 * SECOND);
    let window = breaker.metrics().window.unwrap();
    assert_eq!((window.calls, window.slow_calls), (THREADS * OUTCOMES, 0));
    assert_all_is_there(&breaker);
}

fn two_failures_at_the_same_instant(window: Window) {
    for round in 0..2_000 {
        let recorder = Recorder::default();
        let (breaker, _) = manual(|settings| {
            let settings = settings.error_rate(0.5).window(window).minimum_calls(4);
            settings.on_transition(recorder.observer())
        });
        succeed(&breaker);
        succeed(&breaker);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let permit = admitted(&breaker);
                    start.wait();
                    permit.failure();
                });
            }
        });
        assert_eq!(breaker.state(), State::Open, "round {round}");
        assert_eq!(recorder.count(), 1);
        assert_eq!(recorder.seen()[0].cause, Cause::ErrorRate);
    }
}

#[test]
fn two_failures_at_the_same_instant_do_not_both_miss_the_other_among_the_last_calls() {
    two_failures_at_the_same_instant(Window::calls(4));
}

#[test]
fn two_failures_at_the_same_instant_do_not_both_miss_the_other_within_a_time() {
    two_failures_at_the_same_instant(Window::time(10 * SECOND));
}

#[test]
fn a_failure_recorded_while_another_opens_leaves_no_trace_in_the_next_episode() {
    for window in [Window::calls(10), Window::time(10 * SECOND)] {
        let (breaker, _) = manual(|settings| settings.error_rate(0.5).window(window).minimum_calls(2));
        for round in 0..1_000 {
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let permit = breaker.try_acquire();
                        start.wait();
                        permit.map(tripcoil::Permit::failure)
                    });
                }
            });
            assert_eq!(breaker.state(), State::Open, "round {round}");
            breaker.transition_to(State::Closed);
            let seen = breaker.metrics().window.unwrap();
            assert_eq!((seen.calls, seen.errors), (0, 0), "round {round}");
        }
    }
}

#[test]
fn calls_that_are_settled_on_another_thread_are_never_taken_to_hang() {
    let (breaker, clock) = manual(|settings| {
        let settings = settings.slow_call_rate(f64::MIN_POSITIVE).slow_call_duration(8 * MILLI);
        settings.window(Window::time(SECOND)).minimum_calls(1)
    });
    let (hand_over, permits) = std::sync::mpsc::channel::<tripcoil::Permit<'_>>();
    thread::scope(|scope| {
        scope.spawn(move || permits.into_iter().for_each(tripcoil::Permit::success));
        for _ in 0..30_000 {
            let permit = breaker.try_acquire().expect("every call is healthy");
            hand_over.send(permit).expect("the other thread lives");
            // At most one is in flight beside the next, so none is older than two slices.
            while breaker.metrics().active_calls > 1 {
                std::hint::spin_loop();
            }
            clock.advance(MILLI);
        }
        drop(hand_over);
    });
    assert_eq!(breaker.metrics().total_slow_count, 0);
}
