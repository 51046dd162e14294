//! Calls that hang count in the slow call rate, and never take the place of a call that has ended.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{Builder, Cause, CircuitBreaker, Permit, State, Window, WindowMetrics};

const WINDOWS: [Window; 2] = [Window::calls(100), Window::time(Duration::from_secs(60))];

/// Both rates, with slow calls from one second on.
fn rates(errors: f64, slow: f64, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| {
        let settings = settings.error_rate(errors).slow_call_rate(slow).slow_call_duration(SECOND);
        settings.window(window).minimum_calls(minimum)
    }
}

fn seen(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a rate rule")
}

fn is_open(breaker: &CircuitBreaker) -> bool {
    breaker.state() == State::Open
}

/// Admits this many calls and leaves them in flight.
fn leave(breaker: &CircuitBreaker, calls: usize) -> Vec<Permit<'_>> {
    (0..calls).map(|_| admitted(breaker)).collect()
}

/// Fails calls until the breaker opens.
fn failures_until_open(breaker: &CircuitBreaker, most: usize) -> usize {
    let mut failures = 0;
    while !is_open(breaker) {
        assert!(failures < most, "still closed after {failures} failures in a row: {:?}", seen(breaker));
        fail(breaker);
        failures += 1;
    }
    failures
}

fn is_share(share: f64, part: u32, calls: u32) -> bool {
    (share - f64::from(part) / f64::from(calls)).abs() < 1e-12
}

#[test]
fn failures_open_by_the_error_rate_while_51_of_100_calls_hang() {
    for window in WINDOWS {
        let recorder = Recorder::default();
        let rates = rates(0.5, 0.9, window, 20);
        let (breaker, clock) = manual(|settings| rates(settings).on_transition(recorder.observer()));
        let _hanging = leave(&breaker, 51);
        (0..49).for_each(|_| succeed(&breaker));
        clock.advance(2 * SECOND);
        assert_eq!(failures_until_open(&breaker, 1_000), 49, "{window}: half of the calls that ended");
        assert_eq!(recorder.seen()[0].cause, Cause::ErrorRate);
    }
}

#[test]
fn failures_open_by_the_error_rate_however_many_calls_hang() {
    for window in WINDOWS {
        for hanging in [0, 1, 50, 99, 100, 101, 800] {
            let (breaker, clock) = manual(rates(0.5, 1.0, window, 100));
            let _hanging = leave(&breaker, hanging);
            (0..100).for_each(|_| succeed(&breaker));
            clock.advance(2 * SECOND);
            let needed = if window == Window::calls(100) { 50 } else { 100 };
            assert_eq!(failures_until_open(&breaker, 1_000), needed, "{window}, {hanging} hang");
        }
    }
}

#[test]
fn calls_that_hang_do_not_make_up_the_minimum_of_the_error_rate() {
    for window in WINDOWS {
        let (breaker, clock) = manual(rates(0.5, 1.0, window, 10));
        let _hanging = leave(&breaker, 5);
        clock.advance(2 * SECOND);
        assert_eq!(failures_until_open(&breaker, 100), 10, "{window}");
    }
}

#[test]
fn calls_that_hang_make_up_the_minimum_of_the_slow_call_rate() {
    for window in WINDOWS {
        for (hanging, opens) in [(7, false), (8, true)] {
            let (breaker, clock) = manual(rates(1.0, 0.8, window, 10));
            let _hanging = leave(&breaker, hanging);
            (0..2).for_each(|_| succeed(&breaker));
            clock.advance(2 * SECOND);
            assert_eq!(breaker.try_acquire().is_err(), opens, "{window}: {hanging} of {}", hanging + 2);
        }
    }
}

#[test]
fn the_slow_call_rate_is_the_share_of_slow_and_hanging_calls_in_settled_and_hanging_ones() {
    for window in WINDOWS {
        for (hanging, opens) in [(99, false), (100, true)] {
            let recorder = Recorder::default();
            let rates = rates(1.0, 0.5, window, 10);
            let (breaker, clock) = manual(|settings| rates(settings).on_transition(recorder.observer()));
            let _hanging = leave(&breaker, hanging);
            (0..100).for_each(|_| succeed(&breaker));
            clock.advance(2 * SECOND);
            assert_eq!(breaker.try_acquire().is_err(), opens, "{window}: {hanging} hang, and 100 succeeded");
            assert_eq!(recorder.seen().first().map(|told| told.cause), opens.then_some(Cause::SlowCallRate));
        }
    }
}

#[test]
fn calls_that_hang_displace_nothing_from_a_window_of_calls() {
    let (breaker, clock) = manual(rates(0.5, 1.0, Window::calls(100), 100));
    for _ in 0..10 {
        (0..3).for_each(|_| fail(&breaker));
        (0..7).for_each(|_| succeed(&breaker));
    }
    for hanging in [1, 50, 100, 250] {
        let calls = leave(&breaker, hanging);
        clock.advance(2 * SECOND);
        let window = seen(&breaker);
        assert_eq!((window.calls, window.errors, window.slow_calls), (100, 30, 0), "{hanging} hang");
        assert!(is_share(window.error_rate(), 30, 100), "{hanging} hang: {}", window.error_rate());
        drop(calls);
        assert_eq!(seen(&breaker).errors, 30, "{hanging} hung");
    }
}

#[test]
fn the_metrics_show_settled_and_hanging_calls_apart() {
    for window in WINDOWS {
        let (breaker, clock) = manual(rates(0.9, 0.9, window, 10));
        let slow = admitted(&breaker);
        clock.advance(SECOND);
        slow.success();
        fail(&breaker);
        succeed(&breaker);
        let mut hanging = leave(&breaker, 2);
        clock.advance(2 * SECOND);

        let shown = seen(&breaker);
        assert_eq!((shown.calls, shown.errors, shown.slow_calls), (3, 1, 1), "{window}: of the settled calls");
        assert!(is_share(shown.error_rate(), 1, 3), "{window}: {}", shown.error_rate());
        assert!(is_share(shown.slow_call_rate(), 3, 5), "{window}: {}", shown.slow_call_rate());
        assert!(format!("{shown:?}").contains("hanging_calls: 2"), "{shown:?}");

        hanging.pop().expect("there are two").failure();
        let shown = seen(&breaker);
        assert_eq!((shown.calls, shown.errors, shown.slow_calls), (4, 2, 2), "{window}: one has ended");
        assert!(is_share(shown.slow_call_rate(), 3, 5), "{window}: {}", shown.slow_call_rate());
    }
}

#[test]
fn a_transition_shows_settled_and_hanging_calls_apart() {
    for window in WINDOWS {
        let recorder = Recorder::default();
        let rates = rates(0.5, 0.9, window, 10);
        let (breaker, clock) = manual(|settings| rates(settings).on_transition(recorder.observer()));
        let _hanging = leave(&breaker, 4);
        clock.advance(2 * SECOND);
        failures_until_open(&breaker, 100);
        let shown = recorder.seen()[0].window.expect("it was closed");
        assert_eq!((shown.calls, shown.errors, shown.slow_calls), (10, 10, 0), "{window}");
        assert!(is_share(shown.slow_call_rate(), 4, 14), "{window}: {}", shown.slow_call_rate());
    }
}

#[test]
fn calls_that_hang_and_then_fail_open_by_the_error_rate() {
    for window in WINDOWS {
        let recorder = Recorder::default();
        let rates = rates(0.5, 1.0, window, 20);
        let (breaker, clock) = manual(|settings| rates(settings).on_transition(recorder.observer()));
        let hanging = leave(&breaker, 60);
        (0..30).for_each(|_| succeed(&breaker));
        clock.advance(5 * SECOND);
        let mut ended = 0;
        for call in hanging {
            if is_open(&breaker) {
                break;
            }
            call.failure();
            ended += 1;
        }
        assert!(is_open(&breaker), "{window}: {:?}", seen(&breaker));
        assert_eq!((ended, recorder.seen()[0].cause), (30, Cause::ErrorRate), "{window}: 30 of 60 that ended");
    }
}
