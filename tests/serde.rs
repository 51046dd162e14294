//! Settings can be kept in files: JSON and TOML stand for all self-describing formats.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, Config, Dropped, Preset, Window};

const TOML: &str = r#"preset = "responsive"
error_threshold = 7
error_rate = 0.5
slow_call_rate = 1.0
slow_call_duration = "2s"
window = "1m 30s"
minimum_calls = 30
reset_timeout = "250ms"
reset_backoff = "1.5 up to 5m"
reset_jitter = 0.2
success_threshold = 3
half_open_error_threshold = 4
half_open_capacity = 5
half_open_max_capacity = 6
probe_timeout = "1h"
dropped_calls = "failure after 3s"
"#;

fn everything() -> Config {
    let mut config = Config::default();
    config.preset = Some(Preset::Responsive);
    config.error_threshold = Some(Some(7));
    config.error_rate = Some(0.5);
    config.slow_call_rate = Some(1.0);
    config.slow_call_duration = Some(2 * SECOND);
    config.window = Some(Window::time(90 * SECOND));
    config.minimum_calls = Some(30);
    config.reset_timeout = Some(250 * MILLI);
    config.reset_backoff = Some((1.5, 300 * SECOND));
    config.reset_jitter = Some(0.2);
    config.success_threshold = Some(3);
    config.half_open_error_threshold = Some(4);
    config.half_open_capacity = Some(5);
    config.half_open_max_capacity = Some(6);
    config.probe_timeout = Some(3600 * SECOND);
    config.dropped_calls = Some(Dropped::FailureAfter(3 * SECOND));
    config
}

fn json(text: &str) -> Result<Config, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What `build` says to the same setting.
fn builder_says(settings: impl FnOnce(tripcoil::Builder) -> tripcoil::Builder) -> String {
    settings(CircuitBreaker::builder("test")).build().unwrap_err().to_string()
}

#[test]
fn every_setting_is_read_and_written_back_as_the_same_text() {
    let config: Config = toml::from_str(TOML).unwrap();
    assert_eq!(config, everything());
    assert_eq!(toml::to_string(&config).unwrap(), TOML);

    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(json(&text), Ok(config));
    assert!(text.starts_with(r#"{"preset":"responsive","error_threshold":7,"error_rate":0.5,"#), "{text}");
}

#[test]
fn only_what_was_given_is_written() {
    assert_eq!(serde_json::to_string(&Config::default()).unwrap(), "{}");
    assert_eq!(json("{}"), Ok(Config::default()));
    let text = r#"{"error_threshold":"none","error_rate":0.25,"window":"10 calls","reset_backoff":2.0,"dropped_calls":"failure"}"#;
    assert_eq!(serde_json::to_string(&json(text).unwrap()).unwrap(), text);
}

#[test]
fn extreme_values_are_read_back_as_they_were() {
    let mut config = Config::default();
    config.error_threshold = Some(Some(u32::MAX));
    config.error_rate = Some(f64::MIN_POSITIVE);
    config.reset_timeout = Some(Duration::from_nanos(1));
    config.reset_backoff = Some((f64::MAX, Duration::from_secs(u64::MAX)));
    config.reset_jitter = Some(0.1 + 0.2);
    config.probe_timeout = Some(Duration::MAX);
    assert_eq!(toml::from_str(&toml::to_string(&config).unwrap()), Ok(config.clone()));
    assert_eq!(json(&serde_json::to_string(&config).unwrap()), Ok(config));
}

#[test]
fn a_file_may_hold_many_breakers() {
    let text = "[payments]\nreset_timeout = \"10s\"\n[quotes]\nerror_threshold = 3\n";
    let configs: BTreeMap<String, Config> = toml::from_str(text).unwrap();
    let breakers: Vec<_> = configs
        .into_iter()
        .map(|(name, config)| CircuitBreaker::builder(name).config(config).build().unwrap())
        .collect();
    for _ in 0..3 {
        fail(&breakers[1]);
    }
    assert_eq!(breakers[1].state(), tripcoil::State::Open);
}

#[test]
fn a_number_may_be_given_as_text_and_null_is_not_given() {
    let config =
        json(r#"{"error_threshold": "5", "error_rate": "0.5", "minimum_calls": 1, "reset_jitter": 1, "window": null}"#);
    let mut expected = Config::default();
    expected.error_threshold = Some(Some(5));
    expected.error_rate = Some(0.5);
    expected.minimum_calls = Some(1);
    expected.reset_jitter = Some(1.0);
    assert_eq!(config, Ok(expected));
}

#[test]
fn an_unknown_setting_is_refused_and_the_nearest_named() {
    let expected = "unknown setting `reset_timeuot`; did you mean `reset_timeout`? at line 1 column 16";
    assert_eq!(json(r#"{"reset_timeuot": "30s"}"#), Err(expected.into()));
    let error = toml::from_str::<Config>("WINDOW = \"10s\"").unwrap_err();
    assert_eq!(error.message(), "unknown setting `WINDOW`; did you mean `window`?");
}

#[test]
fn a_setting_that_is_given_twice_is_refused() {
    let told = json(r#"{"minimum_calls": 5, "minimum_calls": null}"#).unwrap_err();
    assert!(told.starts_with("duplicate field `minimum_calls`"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let duration = "any duration above zero with its unit, such as 250ms, 30s or 1m 30s";
    for (setting, value, allowed) in [
        ("reset_timeout", "30", duration),
        ("reset_timeout", "0.5", duration),
        ("slow_call_duration", "-1", duration),
        ("error_threshold", "-5", "1 to 4294967295, or none"),
        ("error_threshold", "5.0", "1 to 4294967295, or none"),
        ("success_threshold", "4294967296", "1 to 127"),
        ("error_rate", "\"half\"", "above 0.0, up to 1.0"),
    ] {
        let told = json(&format!("{{{setting:?}: {value}}}")).unwrap_err();
        let expected = format!("`{setting}` is {:?}, allowed is {allowed}", value.trim_matches('"'));
        assert!(told.starts_with(&expected), "{told}");
    }
    for value in ["true", "[5]", "{}"] {
        let told = json(&format!("{{\"error_threshold\": {value}}}")).unwrap_err();
        assert!(told.starts_with("invalid type: ") && told.contains("expected a number or a text"), "{told}");
    }
    for file in ["5", "[]", "null"] {
        let told = json(file).unwrap_err();
        assert!(told.contains("expected the settings of a circuit breaker"), "{told}");
    }
}

#[test]
fn what_is_out_of_range_is_refused_with_the_text_of_the_builder() {
    for (file, said) in [
        ("success_threshold = 0", builder_says(|settings| settings.success_threshold(0))),
        ("error_threshold = 0", builder_says(|settings| settings.error_threshold(0))),
        ("error_rate = 1.5", builder_says(|settings| settings.error_rate(1.5))),
        ("error_rate = nan", builder_says(|settings| settings.error_rate(f64::NAN))),
        ("reset_jitter = inf", builder_says(|settings| settings.reset_jitter(f64::INFINITY))),
        ("reset_timeout = \"0s\"", builder_says(|settings| settings.reset_timeout(Duration::ZERO))),
        (
            "reset_backoff = \"2.0 up to 5s\"\nreset_timeout = \"10s\"",
            builder_says(|settings| settings.reset_timeout(10 * SECOND).reset_backoff(2.0, 5 * SECOND)),
        ),
        (
            "window = \"1000001 calls\"\nerror_rate = 0.5",
            builder_says(|settings| settings.window(Window::calls(1_000_001)).error_rate(0.5)),
        ),
        (
            "half_open_capacity = 7\nhalf_open_max_capacity = 6",
            builder_says(|settings| settings.half_open_max_capacity(6).half_open_capacity(7)),
        ),
        (
            "dropped_calls = \"failure after 0ms\"",
            builder_says(|settings| settings.dropped_calls(Dropped::FailureAfter(Duration::ZERO))),
        ),
    ] {
        // But a duration as it was written.
        let written = file.split('"').nth(1).unwrap_or_default().trim_start_matches("failure after ");
        assert_eq!(toml::from_str::<Config>(file).unwrap_err().message(), said.replace("0ns", written));
    }
}

#[test]
fn metrics_are_written_field_by_field() {
    let clock = tripcoil::clock::ManualClock::new();
    let breaker =
        CircuitBreaker::builder("payments").error_rate(0.5).minimum_calls(2).clock(clock.clone()).build().unwrap();
    breaker.try_acquire().unwrap().success();
    clock.advance(10 * SECOND);
    breaker.try_acquire().unwrap().failure_because("no \"answer\"");
    clock.advance(Duration::from_millis(1_500));
    let written = serde_json::to_value(breaker.metrics()).unwrap();
    let expected = serde_json::json!({
        "name": "payments", "state": "open", "active_calls": 0,
        "total_success_count": 1, "total_error_count": 1, "total_ignored_count": 0, "total_dropped_count": 0,
        "total_rejected_count": 0, "total_slow_count": 0,
        "consecutive_error_count": 0, "consecutive_success_count": 0, "transition_count": 1,
        "retry_after": 28.5,
        "last_error": {"type_name": "failure", "at": 10.0, "ago": 1.5, "message": "no \"answer\""},
        "shadow": null, "recovery": null, "window": {"calls": 0, "errors": 0, "slow_calls": 0, "hanging_calls": 0, "dropped_calls": 0},
    });
    assert_eq!(written, expected);
    let plain = serde_json::to_value(CircuitBreaker::new("plain").metrics()).unwrap();
    assert!(["retry_after", "last_error", "window"].iter().all(|field| plain[field].is_null()), "{plain}");
}
