//! `build` refuses every setting that is out of its range, and says which, its value and what is allowed.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{Builder, CircuitBreaker, Config, Dropped, State, Window};

const MOST: u32 = 127;

#[test]
fn the_defaults_are_valid() {
    accepts(|settings| settings);
}

#[test]
fn error_threshold_is_at_least_one() {
    for threshold in [1, 2, u32::MAX] {
        accepts(|settings| settings.error_threshold(threshold));
        accepts(|settings| settings.error_threshold(Some(threshold)));
    }
    refuses("error_threshold", "0", "1 to 4294967295", |settings| settings.error_threshold(0));
}

#[test]
fn a_breaker_that_nothing_opens_is_refused() {
    let error = build(|settings| settings.error_threshold(None)).unwrap_err();
    assert_eq!((error.setting(), error.value()), ("error_threshold", "none"));
}

#[test]
fn the_largest_error_threshold_is_reached_by_no_small_number_of_errors() {
    let breaker = build(|settings| settings.error_threshold(u32::MAX)).unwrap();
    for _ in 0..10_000 {
        fail(&breaker);
    }
    assert_eq!(consecutive(&breaker), (10_000, 0));
}

#[test]
fn reset_timeout_is_above_zero() {
    for timeout in [TICK, MILLI, 30 * SECOND, YEAR] {
        accepts(|settings| settings.reset_timeout(timeout));
    }
    accepts(|settings| settings.reset_timeout(Duration::MAX));
    refuses("reset_timeout", "0ns", "any duration above zero", |settings| settings.reset_timeout(Duration::ZERO));
}

#[test]
fn reset_backoff_has_a_finite_factor_of_at_least_one() {
    for factor in [1.0, 1.0 + f64::EPSILON, 1.5, 1e300, f64::MAX] {
        accepts(|settings| settings.reset_backoff(factor, Duration::MAX));
    }
    for (factor, value) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (1.0 - f64::EPSILON / 2.0, "0.9999999999999999"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (-2.0, "-2.0"),
    ] {
        refuses("reset_backoff", value, "a finite factor of at least 1.0", |settings| {
            settings.reset_backoff(factor, Duration::MAX)
        });
    }
}

#[test]
fn reset_backoff_has_a_maximum_of_at_least_the_reset_timeout() {
    accepts(|settings| settings.reset_backoff(2.0, 30 * SECOND));
    accepts(|settings| settings.reset_backoff(2.0, SECOND).reset_timeout(SECOND));
    let allowed = "a maximum of at least the reset_timeout, 30s";
    refuses("reset_backoff", "29.999999999s", allowed, |settings| settings.reset_backoff(2.0, 30 * SECOND - TICK));
    refuses("reset_backoff", "0ns", allowed, |settings| settings.reset_backoff(1.0, Duration::ZERO));
    refuses("reset_backoff", "60s", "a maximum of at least the reset_timeout, 61s", |settings| {
        settings.reset_backoff(2.0, 60 * SECOND).reset_timeout(61 * SECOND)
    });
}

#[test]
fn reset_jitter_is_a_share() {
    for share in [0.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0] {
        accepts(|settings| settings.reset_jitter(share));
    }
    for (share, value) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (1.0 + f64::EPSILON, "1.0000000000000002"),
        (1.5, "1.5"),
        (-0.1, "-0.1"),
    ] {
        refuses("reset_jitter", value, "0.0 to 1.0", |settings| settings.reset_jitter(share));
    }
}

#[test]
fn success_threshold_is_within_its_bounds() {
    accepts(|settings| settings.success_threshold(1));
    accepts(|settings| settings.success_threshold(MOST));
    for (threshold, value) in [(0, "0"), (MOST + 1, "128"), (u32::MAX, "4294967295")] {
        refuses("success_threshold", value, "1 to 127", |settings| settings.success_threshold(threshold));
    }
}

#[test]
fn half_open_error_threshold_is_within_its_bounds() {
    accepts(|settings| settings.half_open_error_threshold(1));
    accepts(|settings| settings.half_open_error_threshold(MOST));
    for (threshold, value) in [(0, "0"), (MOST + 1, "128"), (u32::MAX, "4294967295")] {
        refuses("half_open_error_threshold", value, "1 to 127", |settings| {
            settings.half_open_error_threshold(threshold)
        });
    }
}

#[test]
fn half_open_capacity_is_within_its_bounds() {
    accepts(|settings| settings.half_open_capacity(1));
    accepts(|settings| settings.half_open_capacity(MOST));
    for (capacity, value) in [(0, "0"), (MOST + 1, "128"), (u32::MAX, "4294967295")] {
        refuses("half_open_capacity", value, "1 to 127", |settings| settings.half_open_capacity(capacity));
    }
}

#[test]
fn half_open_max_capacity_is_at_least_the_capacity() {
    accepts(|settings| settings.half_open_max_capacity(1));
    accepts(|settings| settings.half_open_max_capacity(7).half_open_capacity(7));
    accepts(|settings| settings.half_open_max_capacity(MOST).success_threshold(MOST));
    refuses("half_open_max_capacity", "0", "1 to 127", |settings| settings.half_open_max_capacity(0));
    refuses("half_open_max_capacity", "6", "7 to 127", |settings| {
        settings.half_open_max_capacity(6).half_open_capacity(7)
    });
    refuses("half_open_max_capacity", "128", "1 to 127", |settings| settings.half_open_max_capacity(MOST + 1));
}

#[test]
fn probe_timeout_is_above_zero() {
    for timeout in [TICK, MILLI, 30 * SECOND, YEAR, Duration::MAX] {
        accepts(|settings| settings.probe_timeout(timeout));
    }
    refuses("probe_timeout", "0ns", "any duration above zero", |settings| settings.probe_timeout(Duration::ZERO));
}

#[test]
fn dropped_calls_fail_after_a_time_above_zero() {
    for dropped in
        [Dropped::Ignore, Dropped::Failure, Dropped::FailureAfter(TICK), Dropped::FailureAfter(Duration::MAX)]
    {
        accepts(|settings| settings.dropped_calls(dropped));
    }
    refuses("dropped_calls", "0ns", "any duration above zero", |settings| {
        settings.dropped_calls(Dropped::FailureAfter(Duration::ZERO))
    });
}

#[test]
fn a_setting_that_is_given_twice_counts_as_given_last() {
    accepts(|settings| settings.error_threshold(0).error_threshold(1));
    refuses("error_threshold", "0", "1 to 4294967295", |settings| settings.error_threshold(1).error_threshold(0));
}

#[test]
fn settings_may_be_given_in_any_order() {
    accepts(|settings| settings.reset_backoff(2.0, SECOND).half_open_max_capacity(9).reset_timeout(SECOND));
    accepts(|settings| settings.reset_timeout(SECOND).reset_backoff(2.0, SECOND));
}

#[test]
fn a_config_takes_the_place_of_what_was_given_before_and_gives_way_to_what_comes_after() {
    let mut config = Config::default();
    config.error_threshold = Some(Some(2));
    config.reset_timeout = Some(SECOND);
    let settings = |settings: Builder| settings.error_threshold(1).success_threshold(1);
    let (breaker, clock) = manual(|builder| settings(builder).config(config.clone()));
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert!(is_open_for(&breaker, SECOND));
    clock.advance(SECOND);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);

    let (breaker, _) = manual(|builder| settings(builder.config(config)));
    fail(&breaker);
    assert!(is_open_for(&breaker, SECOND));
}

#[test]
fn a_config_is_refused_as_the_same_settings_are() {
    let mut config = Config::default();
    config.reset_backoff = Some((0.5, Duration::MAX));
    let error = build(|settings| settings.config(config)).unwrap_err();
    assert_eq!(error, build(|settings| settings.reset_backoff(0.5, Duration::MAX)).unwrap_err());
}

#[test]
fn a_config_can_turn_the_threshold_off() {
    let mut config = Config::default();
    config.error_threshold = Some(None);
    config.error_rate = Some(1.0);
    let (breaker, _) = manual(|settings| settings.error_threshold(1).config(config));
    for _ in 0..19 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_name_may_be_borrowed_owned_or_empty() {
    for breaker in [
        CircuitBreaker::builder("payments").build(),
        CircuitBreaker::builder(String::from("payments")).build(),
        CircuitBreaker::builder(std::borrow::Cow::Borrowed("payments")).build(),
    ] {
        assert_eq!(breaker.unwrap().name(), "payments");
    }
    assert_eq!(CircuitBreaker::builder("").build().unwrap().name(), "");
}

#[test]
fn a_config_error_is_an_error_that_can_be_kept_and_sent() {
    fn is_kept_and_sent<E: std::error::Error + Clone + Send + Sync + 'static>(_: &E) {}
    let error = build(|settings| settings.success_threshold(0)).unwrap_err();
    is_kept_and_sent(&error);
    assert_eq!(error, error.clone());
}

#[test]
fn one_call_is_not_one_calls() {
    assert_eq!((Window::calls(1).to_string(), Window::calls(2).to_string()), ("1 call".into(), "2 calls".into()));
}
