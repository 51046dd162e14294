//! A clock that steps back empties the windows and blinds no rule; one that is a little behind costs nothing.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{Builder, Cause, CircuitBreaker, State, Window, WindowMetrics};

const HOUR: Duration = Duration::from_secs(3600);
const MICRO: Duration = Duration::from_micros(1);

fn errors(share: f64, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.error_rate(share).window(window).minimum_calls(minimum)
}

fn slow(share: f64, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.slow_call_rate(share).slow_call_duration(SECOND).window(window).minimum_calls(minimum)
}

fn seen(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a rate rule")
}

fn is_open(breaker: &CircuitBreaker) -> bool {
    breaker.state() == State::Open
}

fn failures_until_open(breaker: &CircuitBreaker, most: usize) -> usize {
    let mut failures = 0;
    while !is_open(breaker) {
        assert!(failures < most, "still closed after {failures} failures in a row: {:?}", seen(breaker));
        fail(breaker);
        failures += 1;
    }
    failures
}

/// Healthy traffic for this long, a call each ten milliseconds.
fn traffic(breaker: &CircuitBreaker, clock: &tripcoil::clock::ManualClock, time: Duration) {
    for _ in 0..time.as_millis() / 10 {
        succeed(breaker);
        clock.advance(10 * MILLI);
    }
}

#[test]
fn after_a_step_back_of_an_hour_as_many_failures_open_as_with_a_fresh_window() {
    for start in [HOUR, 2 * HOUR + MICRO, 50 * YEAR] {
        let (breaker, clock) = manual(errors(0.5, Window::time(10 * SECOND), 20));
        clock.set(start);
        traffic(&breaker, &clock, 30 * SECOND);
        clock.set(start - HOUR);
        assert_eq!(failures_until_open(&breaker, 5_000), 20, "from {start:?}");
    }
}

#[test]
fn after_a_step_back_the_window_holds_no_calls_of_before_and_rolls_on() {
    let (breaker, clock) = manual(errors(1.0, Window::time(10 * SECOND), 1_000_000));
    clock.set(2 * HOUR);
    traffic(&breaker, &clock, 30 * SECOND);
    clock.set(HOUR);
    for second in 1..=40 {
        succeed(&breaker);
        clock.advance(SECOND);
        let calls = seen(&breaker).calls;
        assert!(calls <= 10, "{calls} calls, {second} s after the step");
        assert!(calls >= 9.min(second), "{calls} calls, {second} s after the step");
    }
    clock.advance(10 * SECOND);
    assert_eq!(seen(&breaker), WindowMetrics::default(), "all are too old");
}

#[test]
fn after_a_step_back_no_earlier_success_holds_up_the_rule_for_longer_than_a_window() {
    let (breaker, clock) = manual(errors(0.5, Window::time(10 * SECOND), 20));
    clock.set(2 * HOUR);
    traffic(&breaker, &clock, 30 * SECOND);
    clock.set(HOUR);
    traffic(&breaker, &clock, 30 * SECOND);
    clock.advance(10 * SECOND);
    assert_eq!(failures_until_open(&breaker, 5_000), 20, "the window has rolled over all successes");
}

#[test]
fn a_clock_that_jumps_a_year_ahead_and_back_blinds_nothing() {
    let (breaker, clock) = manual(errors(0.5, Window::time(10 * SECOND), 20));
    clock.set(HOUR);
    traffic(&breaker, &clock, 10 * SECOND);
    let now = HOUR + 10 * SECOND;
    clock.set(now + YEAR);
    (0..100).for_each(|_| succeed(&breaker));
    clock.set(now);
    traffic(&breaker, &clock, 10 * SECOND);
    clock.advance(10 * SECOND);
    assert_eq!(failures_until_open(&breaker, 5_000), 20);
}

#[test]
fn a_step_back_of_two_slices_is_enough_to_begin_anew() {
    let slice = SECOND;
    let (breaker, clock) = manual(errors(0.5, Window::time(16 * slice), 20));
    clock.set(HOUR);
    traffic(&breaker, &clock, 10 * SECOND);
    clock.set(HOUR + 10 * SECOND - 2 * slice - 10 * MILLI);
    assert_eq!(failures_until_open(&breaker, 5_000), 20);
}

#[test]
fn a_clock_that_steps_back_again_and_again_is_judged_by_what_came_after_the_last_step() {
    let (breaker, clock) = manual(errors(0.5, Window::time(10 * SECOND), 20));
    clock.set(100 * HOUR);
    for step in 1..=50 {
        (0..15).for_each(|_| succeed(&breaker));
        clock.set((100 - step) * HOUR);
    }
    assert_eq!(failures_until_open(&breaker, 5_000), 20);
}

#[test]
fn after_a_step_back_a_hang_is_noticed() {
    for window in [Window::calls(100), Window::time(10 * SECOND)] {
        let recorder = Recorder::default();
        let rule = slow(0.5, window, 10);
        let (breaker, clock) = manual(|settings| rule(settings).on_transition(recorder.observer()));
        clock.set(2 * HOUR);
        (0..20).for_each(|_| succeed(&breaker));
        clock.set(HOUR);
        let mut hanging = Vec::new();
        while let Ok(permit) = breaker.try_acquire() {
            hanging.push(permit);
            assert!(hanging.len() < 500, "{window}: {} calls were let into a hang", hanging.len());
            clock.advance(10 * MILLI);
        }
        assert_eq!(recorder.seen()[0].cause, Cause::SlowCallRate);
    }
}

#[test]
fn after_a_step_back_a_call_that_hangs_is_seen_as_soon_as_before_and_never_early() {
    for window in [Window::calls(100), Window::time(10 * SECOND)] {
        let (breaker, clock) = manual(slow(1.0, window, 1));
        clock.set(2 * HOUR);
        drop(admitted(&breaker));
        clock.set(HOUR);
        let _hanging = admitted(&breaker);
        clock.set(HOUR + SECOND - TICK);
        assert!(seen(&breaker).slow_call_rate() < 0.5, "{window}: {:?}", seen(&breaker));
        clock.set(HOUR + SECOND + SECOND / 4);
        assert!(breaker.try_acquire().is_err(), "{window}: {:?}", seen(&breaker));
    }
}

#[test]
fn a_reading_a_few_microseconds_older_than_another_loses_no_call_of_the_window() {
    let slice = SECOND;
    for start in [HOUR, HOUR + 123_457 * MICRO] {
        let (breaker, clock) = manual(errors(1.0, Window::time(16 * slice), 11));
        clock.set(start);
        fail(&breaker);
        // On either side of the beginning of a slice.
        for _ in 0..4 {
            clock.set(start + 3 * slice + 2 * MICRO);
            fail(&breaker);
            clock.set(start + 3 * slice - 3 * MICRO);
            fail(&breaker);
        }
        assert_eq!((seen(&breaker).calls, seen(&breaker).errors), (9, 9));
        clock.set(start + 3 * slice - slice / 2);
        fail(&breaker);
        assert_eq!((seen(&breaker).calls, seen(&breaker).errors), (10, 10), "half a slice is little too");
        fail(&breaker);
        assert!(is_open(&breaker));
    }
}

#[test]
fn a_reading_a_few_microseconds_older_than_another_hides_no_call_that_hangs() {
    let slice = SECOND / 8;
    for window in [Window::calls(100), Window::time(10 * SECOND)] {
        let (breaker, clock) = manual(slow(1.0, window, 100));
        let start = HOUR + 3 * slice;
        let mut hanging = Vec::new();
        // On either side of the beginning of a slice.
        for _ in 0..4 {
            clock.set(start + 2 * MICRO);
            hanging.push(admitted(&breaker));
            clock.set(start - 3 * MICRO);
            hanging.push(admitted(&breaker));
        }
        clock.set(start - 3 * MICRO + SECOND - TICK);
        assert!(seen(&breaker).slow_call_rate() < 0.5, "{window}: {:?}", seen(&breaker));
        clock.set(start + SECOND + 3 * slice);
        fail(&breaker);
        let rate = seen(&breaker).slow_call_rate();
        assert!((rate - 8.0 / 9.0).abs() < 1e-12, "{window}: all eight hang, and one call has failed: {rate}");
        drop(hanging);
    }
}

#[test]
fn a_clock_that_steps_back_loses_no_run_of_errors_and_no_total() {
    let rules: [fn(Builder) -> Builder; 3] = [
        |settings| settings,
        |settings| settings.error_rate(1.0).window(Window::time(10 * SECOND)).minimum_calls(1_000),
        |settings| settings.slow_call_rate(1.0).slow_call_duration(SECOND),
    ];
    for rule in rules {
        let (breaker, clock) = manual(|settings| rule(settings).error_threshold(5));
        clock.set(10 * HOUR);
        (0..7).for_each(|_| succeed(&breaker));
        for failures in 1..=5 {
            assert!(!is_open(&breaker), "after {failures} failures");
            fail(&breaker);
            clock.set((10 - failures) * HOUR);
        }
        assert!(is_open(&breaker));
        let metrics = breaker.metrics();
        assert_eq!((metrics.total_success_count, metrics.total_error_count), (7, 5));
    }
}

#[test]
fn a_window_of_calls_without_a_slow_rule_does_not_notice_a_step_back() {
    let (breaker, clock) = manual(errors(1.0, Window::calls(10), 10));
    clock.set(2 * HOUR);
    (0..5).for_each(|_| fail(&breaker));
    clock.set(HOUR);
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!((seen(&breaker).calls, seen(&breaker).errors), (9, 9));
    fail(&breaker);
    assert!(is_open(&breaker));
}
