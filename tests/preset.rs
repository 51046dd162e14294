//! A preset gives the settings that nothing else gives.

mod common;

use common::*;
use tripcoil::{CircuitBreaker, Config, Preset, State};

fn opens_after_errors(settings: impl FnOnce(tripcoil::Builder) -> tripcoil::Builder) -> usize {
    let (breaker, _clock) = manual(settings);
    (1..=50)
        .find(|_| {
            breaker.try_acquire().unwrap().failure();
            breaker.state() == State::Open
        })
        .expect("it opens")
}

#[test]
fn the_presets_open_by_their_own_rules() {
    assert_eq!(opens_after_errors(|builder| builder.preset(Preset::Tolerant)), 5, "a rate over five calls at least");
    let mut config = Preset::Responsive.config();
    config.error_rate = None;
    assert_eq!(opens_after_errors(|builder| builder.config(config)), 8, "errors in a row");
}

#[test]
fn a_setting_overrides_the_preset_before_it_and_after_it() {
    assert_eq!(opens_after_errors(|builder| builder.error_threshold(3).preset(Preset::Responsive)), 3);
    assert_eq!(opens_after_errors(|builder| builder.preset(Preset::Responsive).error_threshold(3)), 3);
    assert_eq!(opens_after_errors(|builder| builder.preset(Preset::Tolerant).minimum_calls(9)), 9);
    let env = Config::from_vars("", [("PRESET", "tolerant"), ("MINIMUM_CALLS", "12")]).unwrap();
    assert_eq!(opens_after_errors(|builder| builder.minimum_calls(9).config(env)), 12);
}

#[test]
fn a_later_preset_replaces_the_earlier_one() {
    let (breaker, clock) = manual(|builder| builder.preset(Preset::Responsive).preset(Preset::Tolerant));
    for _ in 0..10 {
        clock.advance(SECOND);
        breaker.try_acquire().unwrap().success();
    }
    // One call each 3 s never reaches the minimum of the rate.
    for _ in 0..10 {
        clock.advance(3 * SECOND);
        breaker.try_acquire().unwrap().failure();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn it_probes_after_two_seconds_unless_told_otherwise() {
    for (own, wait) in [(None, 2 * SECOND), (Some(60 * SECOND), 60 * SECOND)] {
        let (breaker, _clock) = manual(|builder| {
            let builder = builder.preset(Preset::Responsive);
            // Beyond the maximum of the preset's backoff, which then does not apply.
            if let Some(timeout) = own { builder.reset_timeout(timeout) } else { builder }
        });
        breaker.transition_to(State::Open);
        assert_eq!(breaker.metrics().retry_after, Some(wait));
    }
}

#[test]
fn what_contradicts_a_preset_is_refused_by_name() {
    let error = CircuitBreaker::builder("test").preset(Preset::Responsive).minimum_calls(0).build().unwrap_err();
    assert_eq!(error.setting(), "minimum_calls");
    let error = Config::from_vars("", [("PRESET", "fast")]).unwrap_err();
    assert_eq!(error.to_string(), "`PRESET` is \"fast\", allowed is tolerant or responsive");
}
