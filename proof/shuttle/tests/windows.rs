//! Calls that fail, are slow or hang at the same time open the breaker together.

#![cfg(shuttle)]

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle_tests::{Diary, SECOND, at_once, builder, sample, shared};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, Window};

fn rated(window: Window) -> (Builder, ManualClock) {
    let (builder, clock) = builder();
    (builder.error_threshold(None).window(window), clock)
}

fn in_flight(breaker: &Arc<CircuitBreaker>, calls: usize) -> Mutex<Vec<OwnedPermit>> {
    Mutex::new((0..calls).map(|_| breaker.try_acquire_owned().unwrap()).collect())
}

/// Half of six calls fail at once, and the errors are judged on four calls. The trip needs all three failures,
/// of which each may come first.
fn told_after_errors(window: Window) -> (String, u64) {
    let diary = Diary::default();
    let breaker = shared(diary.kept_by(rated(window).0.error_rate(0.5).minimum_calls(6)));
    let calls = in_flight(&breaker, 6);
    // A success opens nothing, so the three of them come first.
    for _ in 0..3 {
        let call = calls.lock().unwrap().pop();
        call.unwrap().success();
    }
    at_once(3, move |_| {
        let call = calls.lock().unwrap().pop();
        call.unwrap().failure();
    });
    let metrics = breaker.metrics();
    (diary.told(), metrics.total_error_count)
}

#[test]
fn three_failures_at_once_meet_a_rate_of_the_last_calls() {
    sample([("1 closed open".to_owned(), 3)], || told_after_errors(Window::calls(10)));
}

#[test]
fn three_failures_at_once_meet_a_rate_over_time() {
    sample([("1 closed open".to_owned(), 3)], || told_after_errors(Window::time(10 * SECOND)));
}

#[test]
fn five_slow_calls_at_once_meet_a_rate() {
    sample([("1 closed open".to_owned(), 5)], || {
        let diary = Diary::default();
        let (builder, clock) = rated(Window::calls(8));
        let builder = builder.slow_call_rate(1.0).slow_call_duration(SECOND).minimum_calls(5);
        let breaker = shared(diary.kept_by(builder));
        let calls = in_flight(&breaker, 5);
        clock.advance(SECOND);
        at_once(5, move |_| {
            let call = calls.lock().unwrap().pop();
            call.unwrap().success();
        });
        let metrics = breaker.metrics();
        (diary.told(), metrics.total_slow_count)
    });
}

#[test]
fn no_failure_crosses_an_epoch() {
    // Two failures of before a reset and one of after it: never the three that the rate needs.
    sample([0, 1], || {
        let breaker = shared(rated(Window::calls(4)).0.error_rate(1.0).minimum_calls(3));
        let calls = in_flight(&breaker, 2);
        at_once(4, {
            let breaker = breaker.clone();
            move |number| match number {
                0 => breaker.reset(),
                1 => breaker.try_acquire().unwrap().failure(),
                _ => {
                    let call = calls.lock().unwrap().pop();
                    call.unwrap().failure();
                }
            }
        });
        let metrics = breaker.metrics();
        assert_eq!(metrics.state, tripcoil::State::Closed, "{metrics:?}");
        metrics.window.unwrap().errors
    });
}

/// Calls are admitted and settled by different threads while another one looks for calls that hang.
#[test]
fn a_call_that_was_settled_by_another_thread_does_not_hang() {
    sample([String::new()], || {
        let diary = Diary::default();
        let (builder, clock) = rated(Window::calls(8));
        let builder = builder.slow_call_rate(0.5).slow_call_duration(SECOND).minimum_calls(2);
        let breaker = shared(diary.kept_by(builder));
        let calls = in_flight(&breaker, 3);
        at_once(5, {
            let breaker = breaker.clone();
            move |number| match number {
                0 | 1 | 2 => {
                    let call = calls.lock().unwrap().pop();
                    // Before the time has passed for anyone: these are not slow.
                    call.unwrap().success();
                }
                _ => breaker.try_acquire().unwrap().success(),
            }
        });
        // Nothing is in flight any more, so nothing hangs, however late it is.
        clock.advance(100 * SECOND);
        at_once(2, {
            let breaker = breaker.clone();
            move |_| breaker.try_acquire().unwrap().success()
        });
        diary.told()
    });
}

#[test]
fn calls_that_hang_open_the_breaker_whichever_thread_admitted_them() {
    sample(["1 closed open".to_owned()], || {
        let diary = Diary::default();
        let (builder, clock) = rated(Window::calls(8));
        let builder = builder.slow_call_rate(1.0).slow_call_duration(SECOND).minimum_calls(4);
        let breaker = shared(diary.kept_by(builder));
        let hanging = at_once(4, {
            let breaker = breaker.clone();
            move |_| breaker.try_acquire_owned().unwrap()
        });
        clock.advance(2 * SECOND);
        at_once(4, {
            let breaker = breaker.clone();
            move |_| drop(breaker.try_acquire())
        });
        // The one caller that looks may have come while another moved a balance. Then the one of the next slice sees it.
        clock.advance(SECOND / 4);
        drop(breaker.try_acquire());
        drop(hanging);
        diary.told()
    });
}
