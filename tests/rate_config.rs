//! `build` refuses rate rules that make no sense, and says which setting, its value and what is allowed.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{Builder, Window};

const RATE: &str = "above 0.0, up to 1.0";

fn slow(rate: f64, duration: Duration) -> impl Fn(Builder) -> Builder {
    move |settings| settings.slow_call_rate(rate).slow_call_duration(duration)
}

#[test]
fn a_rate_is_above_zero_and_at_most_one() {
    for rate in [f64::MIN_POSITIVE, 0.5, 1.0] {
        accepts(|settings| settings.error_rate(rate));
        accepts(slow(rate, SECOND));
    }
    let wrong = [(0.0, "0.0"), (-0.5, "-0.5"), (1.5, "1.5"), (1.0 + f64::EPSILON, "1.0000000000000002")];
    for (rate, text) in wrong.into_iter().chain([(f64::NAN, "NaN"), (f64::INFINITY, "inf")]) {
        refuses("error_rate", text, RATE, |settings| settings.error_rate(rate));
        refuses("slow_call_rate", text, RATE, slow(rate, SECOND));
    }
}

#[test]
fn a_slow_rate_and_its_duration_are_set_together() {
    let allowed = "a duration, as slow_call_rate is set";
    refuses("slow_call_duration", "not set", allowed, |settings| settings.slow_call_rate(0.5));
    let allowed = "a rate, as slow_call_duration is set";
    refuses("slow_call_rate", "not set", allowed, |settings| settings.slow_call_duration(SECOND));
}

#[test]
fn a_slow_call_takes_some_time() {
    for duration in [TICK, SECOND, YEAR, Duration::MAX] {
        accepts(slow(0.5, duration));
    }
    refuses("slow_call_duration", "0ns", "any duration above zero", slow(0.5, Duration::ZERO));
}

#[test]
fn a_window_of_calls_holds_one_to_a_million() {
    for calls in [1, 100, 1_000_000] {
        accepts(|settings| settings.error_rate(0.5).window(Window::calls(calls)));
    }
    for calls in [0, 1_000_001, u32::MAX] {
        refuses("window", &format!("{calls} calls"), "1 to 1000000 calls", |settings| {
            settings.error_rate(0.5).window(Window::calls(calls))
        });
    }
}

#[test]
fn a_window_of_time_is_long_enough_for_its_slices_and_at_most_a_year() {
    for time in [16 * MILLI, 10 * SECOND, YEAR] {
        accepts(|settings| settings.error_rate(0.5).window(Window::time(time)));
    }
    for time in [Duration::ZERO, 16 * MILLI - TICK, YEAR + TICK, Duration::MAX] {
        let allowed = "16ms to 31536000s, in sixteen slices of at least 1ms";
        refuses("window", &format!("{time:?}"), allowed, |settings| {
            settings.error_rate(0.5).window(Window::time(time))
        });
    }
}

#[test]
fn the_minimum_is_reached_within_the_window() {
    let within_ten =
        |minimum| move |settings: Builder| settings.error_rate(0.5).window(Window::calls(10)).minimum_calls(minimum);
    accepts(within_ten(1));
    accepts(within_ten(10));
    refuses("minimum_calls", "0", "1 to 10", within_ten(0));
    refuses("minimum_calls", "11", "1 to 10", within_ten(11));
    let over_time =
        |minimum| move |settings: Builder| settings.error_rate(0.5).window(Window::time(SECOND)).minimum_calls(minimum);
    accepts(over_time(u32::MAX));
    refuses("minimum_calls", "0", "1 to 4294967295", over_time(0));
}

#[test]
fn what_belongs_to_a_rate_is_refused_without_one() {
    let allowed = "unset, as neither error_rate, slow_call_rate nor drop_rate is set";
    refuses("window", "10 calls", allowed, |settings| settings.window(Window::calls(10)));
    let allowed = "unset, as neither error_rate, slow_call_rate, drop_rate nor recovery is set";
    refuses("minimum_calls", "5", allowed, |settings| settings.minimum_calls(5));
}

#[test]
fn the_threshold_is_none_beside_a_rate_unless_it_is_set_too() {
    let (rate_only, _) = manual(|settings| settings.error_rate(1.0));
    let (both, _) = manual(|settings| settings.error_rate(1.0).error_threshold(5));
    accepts(|settings| settings.error_rate(1.0).error_threshold(None));
    for _ in 0..5 {
        fail(&rate_only);
        fail(&both);
    }
    assert_eq!(rate_only.state(), tripcoil::State::Closed);
    assert_eq!(both.state(), tripcoil::State::Open);
}

#[test]
fn the_default_minimum_is_twenty_or_the_window_if_it_is_smaller() {
    for (window, minimum) in [(Window::calls(100), 20), (Window::calls(7), 7), (Window::time(SECOND), 20)] {
        let (breaker, _) = manual(|settings| settings.error_rate(0.1).window(window));
        for _ in 1..minimum {
            fail(&breaker);
        }
        assert_eq!(breaker.state(), tripcoil::State::Closed, "{window:?}");
        fail(&breaker);
        assert_eq!(breaker.state(), tripcoil::State::Open, "{window:?}");
    }
}
