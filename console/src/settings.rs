//! The settings of a breaker, as texts that people read and write.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tripcoil::{Config, ConfigError};

/// The name, the form, and the default of each setting.
const SETTINGS: [(&str, &str, &str); 17] = [
    ("enabled", "true or false", "true"),
    ("error_threshold", "5 or none", "5; none beside a rate"),
    ("error_rate", "0.5", "off"),
    ("slow_call_rate", "0.5", "off"),
    ("slow_call_duration", "2s", "off"),
    ("drop_rate", "0.9", "off"),
    ("window", "100 calls or 10s", "100 calls"),
    ("minimum_calls", "20", "20, or the window's calls"),
    ("reset_timeout", "30s", "30s"),
    ("reset_backoff", "2.0 up to 5m", "1.0"),
    ("reset_jitter", "0.1", "0.0"),
    ("success_threshold", "2", "2"),
    ("half_open_error_threshold", "1", "1"),
    ("half_open_capacity", "1", "1"),
    ("half_open_max_capacity", "16", "the capacity"),
    ("probe_timeout", "10s", "the reset timeout"),
    ("dropped_calls", "ignore, failure or failure after 2s", "ignore"),
];

/// The settings that this version of the library has.
fn known() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    SETTINGS
        .into_iter()
        .filter(|(name, form, _)| forms(form).all(|form| read(&[((*name).into(), form.into())]).is_ok()))
}

/// The examples in the description of a form.
fn forms(form: &str) -> impl Iterator<Item = &str> {
    form.split(" or ").flat_map(|forms| forms.split(", "))
}

/// What can be set, how, and what is in force, where it was given and does not follow from the other settings.
pub(crate) fn list(config: &Config) -> Value {
    let in_force = serde_json::to_value(config).unwrap_or_default();
    let setting = |(name, form, default)| {
        let mut setting = json!({"name": name, "form": form, "default": default});
        match &in_force[name] {
            Value::Null => {}
            Value::String(text) => setting["value"] = text.clone().into(),
            number => setting["value"] = number.to_string().into(),
        }
        setting
    };
    known().map(setting).collect()
}

/// Reads settings as they came with a request. A text of spaces gives nothing.
pub(crate) fn read(given: &[(String, String)]) -> Result<Config, ConfigError> {
    let names = given.iter().filter(|(_, text)| !text.trim().is_empty());
    Config::from_vars("", names.map(|(name, text)| (name.to_ascii_uppercase(), text)))
}

/// Reads a time in the format of the settings: `30m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let config = Config::from_vars("", [("RESET_TIMEOUT", text)]).ok()?;
    config.reset_timeout
}

/// The words of the validation, with the name as the page has it.
pub(crate) fn explain(error: &ConfigError) -> String {
    error.to_string().replace(&error.setting().to_ascii_uppercase(), error.setting())
}

/// The names and texts in the object of a request; `None` if a value is neither a text nor a number.
pub(crate) fn texts(object: &Map<String, Value>) -> Option<Vec<(String, String)>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    };
    object.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_a_breaker_has_is_in_the_list() {
        let breaker = tripcoil::CircuitBreaker::builder("payments")
            .error_threshold(3)
            .error_rate(0.5)
            .slow_call_rate(0.5)
            .slow_call_duration(Duration::from_secs(2))
            .reset_backoff(2.0, Duration::from_secs(300))
            .build()
            .unwrap();
        let config = serde_json::to_value(breaker.config()).unwrap();
        let listed = list(&breaker.config());
        for (name, value) in config.as_object().unwrap() {
            let setting = listed.as_array().unwrap().iter().find(|setting| setting["name"] == **name);
            let text = setting.unwrap_or_else(|| panic!("{name} is missing"))["value"].as_str().unwrap();
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(shown, text, "{name}");
        }
        assert!(listed.as_array().unwrap().len() >= 15);
    }

    #[test]
    fn settings_are_read_as_they_are_shown() {
        let breaker = tripcoil::CircuitBreaker::builder("payments").error_rate(0.25).build().unwrap();
        let listed = list(&breaker.config());
        let given: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|setting| {
                let text = |name: &str| setting[name].as_str().unwrap_or_default().to_owned();
                (text("name"), text("value"))
            })
            .collect();
        assert_eq!(read(&given).unwrap(), breaker.config());
    }

    #[test]
    fn the_validation_speaks_of_the_setting_as_the_page_names_it() {
        let error = read(&[("error_rate".into(), "1.5".into())]).unwrap_err();
        assert_eq!(error.setting(), "error_rate");
        assert_eq!(explain(&error), "`error_rate` is 1.5, allowed is above 0.0, up to 1.0");
    }
}
