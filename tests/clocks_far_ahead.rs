//! A clock that jumps ahead, however far, moves the windows on and misleads no rule.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Permit, State, Window, WindowMetrics};

/// Years.
const JUMPS: [u32; 7] = [1, 4, 5, 9, 57, 60, 120];

fn seen(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a rate rule")
}

fn slow(slow_call_duration: Duration) -> (CircuitBreaker, ManualClock) {
    manual(|settings| {
        let settings = settings.slow_call_rate(0.5).slow_call_duration(slow_call_duration).minimum_calls(10);
        settings.window(Window::time(SECOND))
    })
}

#[test]
fn calls_that_are_admitted_after_a_jump_of_years_do_not_hang() {
    for duration in [8, 80, 800] {
        for years in JUMPS {
            let (breaker, clock) = slow(duration * MILLI);
            succeed(&breaker);
            clock.advance(years * YEAR);
            for _ in 0..40 {
                let calls = [(); 20].map(|()| admitted(&breaker));
                assert_eq!(seen(&breaker).hanging_calls, 0, "{duration} ms, {years} years");
                calls.into_iter().for_each(Permit::success);
                clock.advance(duration * MILLI / 8);
            }
            assert_eq!(breaker.state(), State::Closed);
        }
    }
}

#[test]
fn calls_that_hang_are_seen_across_a_jump_of_years_until_they_end() {
    for duration in [8, 80, 800] {
        for years in JUMPS {
            let (breaker, clock) = slow(duration * MILLI);
            let calls = [(); 10].map(|()| admitted(&breaker));
            clock.advance(years * YEAR);
            assert_eq!(seen(&breaker).hanging_calls, 10, "{duration} ms, {years} years");
            refused(&breaker);
            assert_eq!(breaker.state(), State::Open);
            breaker.reset();
            let hung = [(); 9].map(|()| admitted(&breaker));
            clock.advance(2 * duration * MILLI);
            assert_eq!(seen(&breaker).hanging_calls, 9, "{duration} ms, {years} years");
            calls.into_iter().for_each(Permit::success);
            hung.into_iter().for_each(Permit::ignore);
            assert_eq!(seen(&breaker).hanging_calls, 0, "{duration} ms, {years} years");
        }
    }
}

#[test]
fn a_jump_to_the_end_of_time_moves_every_window_on() {
    for window in [16 * MILLI, SECOND, 60 * SECOND, YEAR] {
        for before in [Duration::ZERO, TICK, window / 16 - TICK, window / 16, window] {
            let (breaker, clock) =
                manual(|settings| settings.error_rate(1.0).minimum_calls(10).window(Window::time(window)));
            clock.set(before);
            (0..9).for_each(|_| fail(&breaker));
            clock.set(Duration::MAX);
            assert_eq!(seen(&breaker).errors, 0);
            for failures in 1..10 {
                fail(&breaker);
                assert_eq!(seen(&breaker).errors, failures, "a window of {window:?}, jumped from {before:?}");
            }
            fail(&breaker);
            assert_eq!(breaker.state(), State::Open, "a window of {window:?}, jumped from {before:?}");
        }
    }
}

#[test]
fn a_clock_that_goes_from_one_end_of_time_to_the_other_and_back_blinds_nothing() {
    let (breaker, clock) = manual(|settings| {
        let settings = settings.error_rate(1.0).slow_call_rate(1.0).slow_call_duration(8 * MILLI);
        settings.minimum_calls(10).window(Window::time(16 * MILLI))
    });
    for _ in 0..1_000 {
        for end in [Duration::ZERO, Duration::MAX] {
            clock.set(end);
            succeed(&breaker);
        }
    }
    clock.set(SECOND);
    (0..9).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), seen(&breaker).errors), (State::Closed, 9));
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}
