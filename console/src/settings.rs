//! The settings of a breaker, as texts that people read and write.

use serde_json::{Map, Value, json};
use tripcoil::{Config, ConfigError};

/// The name, the form, and the default of each setting.
const SETTINGS: [(&str, &str, &str); 15] = [
    ("error_threshold", "5 or none", "5; none beside a rate"),
    ("error_rate", "0.5", "off"),
    ("slow_call_rate", "0.5", "off"),
    ("slow_call_duration", "2s", "off"),
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

/// What can be set, and how.
pub(crate) fn list() -> Value {
    SETTINGS.into_iter().map(|(name, form, default)| json!({"name": name, "form": form, "default": default})).collect()
}

/// Reads settings as they came with a request. A text of spaces gives nothing.
pub(crate) fn read(given: &[(String, String)]) -> Result<Config, ConfigError> {
    let names = given.iter().filter(|(_, text)| !text.trim().is_empty());
    Config::from_vars("", names.map(|(name, text)| (name.to_ascii_uppercase(), text)))
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
    fn every_setting_of_the_list_is_one_and_takes_the_form_that_is_shown() {
        for (name, form, _) in SETTINGS {
            for form in form.split(" or ").flat_map(|forms| forms.split(", ")) {
                let read = read(&[(name.into(), form.into())]);
                assert!(read.is_ok(), "{name} {form}: {read:?}");
            }
        }
    }
}
