//! Settings come from environment variables with a prefix; what makes no sense is refused by the variable's name.

mod common;

use std::ffi::OsString;
use std::process::Command;

use common::*;
use tripcoil::{CircuitBreaker, Config, Dropped, Preset, Window};

const PREFIX: &str = "PAYMENTS_BREAKER_";

fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
    let vars = vars.iter().map(|(name, value)| (format!("{PREFIX}{name}"), *value));
    Config::from_vars(PREFIX, vars).map_err(|error| error.to_string())
}

fn refuses(name: &str, value: &str, allowed: &str) {
    let expected = format!("`{PREFIX}{name}` is {value}, allowed is {allowed}");
    assert_eq!(read(&[(name, value.trim_matches('"'))]), Err(expected));
}

#[test]
fn every_setting_has_its_variable() {
    let vars = [
        ("ENABLED", "false"),
        ("PRESET", "responsive"),
        ("ERROR_THRESHOLD", "7"),
        ("ERROR_RATE", "0.5"),
        ("SLOW_CALL_RATE", "1"),
        ("SLOW_CALL_DURATION", "2s"),
        ("WINDOW", "1m 30s"),
        ("MINIMUM_CALLS", "30"),
        ("RESET_TIMEOUT", "250ms"),
        ("RESET_BACKOFF", "1.5 up to 5m"),
        ("RESET_JITTER", "0.2"),
        ("SUCCESS_THRESHOLD", "3"),
        ("HALF_OPEN_ERROR_THRESHOLD", "4"),
        ("HALF_OPEN_CAPACITY", "5"),
        ("HALF_OPEN_MAX_CAPACITY", "6"),
        ("PROBE_TIMEOUT", "1h"),
        ("DROPPED_CALLS", "failure after 3s"),
    ];
    let mut expected = Config::default();
    expected.enabled = Some(false);
    expected.preset = Some(Preset::Responsive);
    expected.error_threshold = Some(Some(7));
    expected.error_rate = Some(0.5);
    expected.slow_call_rate = Some(1.0);
    expected.slow_call_duration = Some(2 * SECOND);
    expected.window = Some(Window::time(90 * SECOND));
    expected.minimum_calls = Some(30);
    expected.reset_timeout = Some(250 * MILLI);
    expected.reset_backoff = Some((1.5, 300 * SECOND));
    expected.reset_jitter = Some(0.2);
    expected.success_threshold = Some(3);
    expected.half_open_error_threshold = Some(4);
    expected.half_open_capacity = Some(5);
    expected.half_open_max_capacity = Some(6);
    expected.probe_timeout = Some(3600 * SECOND);
    expected.dropped_calls = Some(Dropped::FailureAfter(3 * SECOND));
    assert_eq!(read(&vars), Ok(expected.clone()));
    CircuitBreaker::builder("test").config(expected).build().unwrap();
}

#[test]
fn no_variables_are_no_settings() {
    assert_eq!(read(&[]), Ok(Config::default()));
    assert_eq!(Config::from_env("TRIPCOIL_TEST_THAT_NOBODY_SETS_"), Ok(Config::default()));
}

#[test]
fn the_environment_of_the_process_is_read() {
    const PREFIX: &str = "TRIPCOIL_TEST_OF_ENV_";
    let config = Config::from_env(PREFIX).expect("the variables are good");
    if let Some(threshold) = config.error_threshold {
        assert_eq!(threshold, Some(9));
        return;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_of_the_process_is_read"])
        .env(format!("{PREFIX}ERROR_THRESHOLD"), "9")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn what_others_have_set_is_passed_over() {
    let vars = [("PATH", "/bin"), ("payments_breaker_error_threshold", "x"), ("PAYMENTS_URL", "x"), ("", "")];
    assert_eq!(Config::from_vars(PREFIX, vars), Ok(Config::default()));
}

#[test]
fn an_unknown_variable_is_refused_and_a_similar_setting_suggested() {
    for (wrong, right) in [
        ("ERROR_TRESHOLD", "ERROR_THRESHOLD"),
        ("TIMEOUT", "RESET_TIMEOUT"),
        ("reset_timeout", "RESET_TIMEOUT"),
        ("HALFOPEN_CAPACITY", "HALF_OPEN_CAPACITY"),
        ("DROPPED", "DROPPED_CALLS"),
    ] {
        let expected = format!("unknown setting `{PREFIX}{wrong}`; did you mean `{PREFIX}{right}`?");
        assert_eq!(read(&[(wrong, "5")]), Err(expected));
    }
    let error = Config::from_vars(PREFIX, [(PREFIX.to_owned() + "WINDOWS", "10s")]).unwrap_err();
    let parts = (error.setting(), error.value(), error.allowed());
    assert_eq!(parts, ("window", "PAYMENTS_BREAKER_WINDOWS", "PAYMENTS_BREAKER_WINDOW"));
}

#[test]
fn a_name_that_is_far_from_every_setting_gets_no_suggestion() {
    for far in ["URL", "LOG_LEVEL", "", "PORT", "X"] {
        let error = Config::from_vars(PREFIX, [(PREFIX.to_owned() + far, "5")]).unwrap_err();
        assert_eq!(error.to_string(), format!("unknown setting `{PREFIX}{far}`"));
        assert_eq!((error.setting(), error.value(), error.allowed()), ("", &*(PREFIX.to_owned() + far), ""));
    }
}

fn build_error(vars: &[(&str, &str)], builder: impl FnOnce(Config) -> tripcoil::Builder) -> String {
    builder(read(vars).expect("each is good by itself")).build().unwrap_err().to_string()
}

#[test]
fn what_only_the_build_refuses_keeps_the_name_of_its_variable() {
    let alone = |config| CircuitBreaker::builder("test").config(config);
    assert_eq!(
        build_error(&[("ERROR_THRESHOLD", "none")], alone),
        "`PAYMENTS_BREAKER_ERROR_THRESHOLD` is none, allowed is 1 to 4294967295, as no other rule would open"
    );
    assert_eq!(
        build_error(&[("WINDOW", "1m 30s")], alone),
        "`PAYMENTS_BREAKER_WINDOW` is 1m 30s, allowed is unset, as neither error_rate, slow_call_rate nor drop_rate is set"
    );
    let error = build_error(&[("RESET_BACKOFF", "2.0 up to 1m")], |config| alone(config).reset_timeout(90 * SECOND));
    assert_eq!(
        error,
        "`PAYMENTS_BREAKER_RESET_BACKOFF` is 1m, allowed is a maximum of at least the reset_timeout, 90s"
    );
    // Through a reload, too.
    let breaker = CircuitBreaker::new("test");
    let env = read(&[("ERROR_THRESHOLD", "none")]).unwrap();
    let error = breaker.reconfigure(env.or(breaker.config())).unwrap_err();
    assert!(error.to_string().starts_with("`PAYMENTS_BREAKER_ERROR_THRESHOLD` is none"), "{error}");
}

#[test]
fn an_error_names_no_variable_that_another_setting_has_replaced() {
    let threshold = |config: Config| config.error_threshold(None);
    let env = read(&[("ERROR_THRESHOLD", "7"), ("RESET_BACKOFF", "2.0 up to 1m")]).unwrap();
    let error = CircuitBreaker::builder("test").config(threshold(env.clone())).build().unwrap_err();
    assert!(error.to_string().starts_with("`error_threshold` is none"), "{error}");
    let laid_over = Config::default().reset_timeout(SECOND).reset_backoff(2.0, MILLI).or(env);
    let error = CircuitBreaker::builder("test").config(laid_over).build().unwrap_err();
    assert!(error.to_string().starts_with("`reset_backoff` is 1ms"), "{error}");
}

#[test]
fn a_value_is_echoed_as_it_was_written() {
    for (name, value, allowed) in [
        ("RESET_TIMEOUT", "0ms", "any duration above zero"),
        ("PROBE_TIMEOUT", "0h 0m", "any duration above zero"),
        ("WINDOW", "0.010s", "16ms to 31536000s, in sixteen slices of at least 1ms"),
    ] {
        refuses(name, value, allowed);
    }
}

#[test]
fn the_off_switch_is_true_or_false() {
    for text in ["\"\"", "\"off\"", "\"0\"", "\"TRUE\""] {
        refuses("ENABLED", text, "true or false");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused() {
    let duration = "any duration above zero with its unit, such as 250ms, 30s or 1m 30s";
    for text in ["\"\"", "\"30\"", "\"30 sec\"", "\"-1s\""] {
        refuses("RESET_TIMEOUT", text, duration);
        refuses("SLOW_CALL_DURATION", text, duration);
        refuses("PROBE_TIMEOUT", text, duration);
    }
    refuses("ERROR_THRESHOLD", "\"-1\"", "1 to 4294967295, or none");
    refuses("ERROR_RATE", "\"50%\"", "above 0.0, up to 1.0");
    refuses("SLOW_CALL_RATE", "\"half\"", "above 0.0, up to 1.0");
    refuses("RESET_JITTER", "\"on\"", "0.0 to 1.0");
    refuses("MINIMUM_CALLS", "\"2.5\"", "1 to 4294967295");
    let window = "1 to 1000000 calls, such as 100 calls, or a duration of 16ms to 31536000s, such as 10s";
    refuses("WINDOW", "\"100\"", window);
    let backoff = "a finite factor of at least 1.0, with a maximum if there is one, such as 2.0 up to 5m";
    refuses("RESET_BACKOFF", "\"2x\"", backoff);
    let dropped = "ignore, failure, or failure after a duration, such as failure after 2s";
    refuses("DROPPED_CALLS", "\"failed\"", dropped);
    for name in ["SUCCESS_THRESHOLD", "HALF_OPEN_ERROR_THRESHOLD", "HALF_OPEN_CAPACITY", "HALF_OPEN_MAX_CAPACITY"] {
        refuses(name, "\"many\"", "1 to 127");
    }
}

#[test]
fn a_value_out_of_range_is_refused_as_the_builder_does() {
    for (name, value, allowed) in [
        ("ERROR_THRESHOLD", "0", "1 to 4294967295"),
        ("ERROR_RATE", "1.5", "above 0.0, up to 1.0"),
        ("SLOW_CALL_RATE", "NaN", "above 0.0, up to 1.0"),
        ("RESET_JITTER", "inf", "0.0 to 1.0"),
        ("SUCCESS_THRESHOLD", "128", "1 to 127"),
        ("HALF_OPEN_ERROR_THRESHOLD", "0", "1 to 127"),
        ("HALF_OPEN_CAPACITY", "0", "1 to 127"),
        ("HALF_OPEN_MAX_CAPACITY", "5000", "1 to 127"),
        ("MINIMUM_CALLS", "0", "1 to 4294967295"),
        ("WINDOW", "0 calls", "1 to 1000000 calls"),
        ("WINDOW", "15ms", "16ms to 31536000s, in sixteen slices of at least 1ms"),
        ("RESET_BACKOFF", "0.5", "a finite factor of at least 1.0"),
    ] {
        refuses(name, value, allowed);
    }
    for (name, value) in [
        ("RESET_TIMEOUT", "0s"),
        ("PROBE_TIMEOUT", "0ms"),
        ("SLOW_CALL_DURATION", "0h"),
        ("DROPPED_CALLS", "failure after 0s"),
    ] {
        let duration = value.trim_start_matches("failure after ");
        let expected = format!("`{PREFIX}{name}` is {duration}, allowed is any duration above zero");
        assert_eq!(read(&[(name, value)]), Err(expected));
    }
}

#[test]
fn variables_that_contradict_each_other_are_refused() {
    let told = read(&[("HALF_OPEN_CAPACITY", "7"), ("HALF_OPEN_MAX_CAPACITY", "6")]);
    assert_eq!(told, Err("`PAYMENTS_BREAKER_HALF_OPEN_MAX_CAPACITY` is 6, allowed is 7 to 127".into()));
    let told = read(&[("WINDOW", "10 calls"), ("MINIMUM_CALLS", "11")]);
    assert_eq!(told, Err("`PAYMENTS_BREAKER_MINIMUM_CALLS` is 11, allowed is 1 to 10".into()));
    let told = read(&[("RESET_TIMEOUT", "10m"), ("RESET_BACKOFF", "2 up to 5m")]);
    let expected = "`PAYMENTS_BREAKER_RESET_BACKOFF` is 5m, allowed is a maximum of at least the reset_timeout, 10m";
    assert_eq!(told, Err(expected.into()));
}

#[test]
fn what_needs_another_setting_may_find_it_elsewhere() {
    let config = read(&[("SLOW_CALL_DURATION", "2s"), ("WINDOW", "10s"), ("ERROR_THRESHOLD", "none")]).unwrap();
    CircuitBreaker::builder("test").slow_call_rate(0.5).config(config.clone()).build().unwrap();
    let error = CircuitBreaker::builder("test").config(config).build().unwrap_err();
    assert_eq!(error.setting(), "slow_call_rate");
}

#[cfg(unix)]
#[test]
fn a_name_or_value_that_is_no_unicode_is_refused_too() {
    use std::os::unix::ffi::OsStringExt;

    let broken = |text: &str| OsString::from_vec([text.as_bytes(), b"\xFF"].concat());
    let error = Config::from_vars(PREFIX, [(broken("PAYMENTS_BREAKER_WINDOW"), "10s")]).unwrap_err();
    assert_eq!((error.setting(), error.allowed()), ("window", "PAYMENTS_BREAKER_WINDOW"));
    let error = Config::from_vars(PREFIX, [("PAYMENTS_BREAKER_RESET_TIMEOUT", broken("5s"))]).unwrap_err();
    assert_eq!((error.setting(), error.value()), ("reset_timeout", "\"5s\u{FFFD}\""));
    assert_eq!(Config::from_vars(PREFIX, [(broken("OTHER"), broken(""))]), Ok(Config::default()));
}
