use std::time::Duration;

use super::text::Text;
use super::{Config, ConfigError, Value};

/// Where settings came from that were read as text: what an error about them has to name.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<Origin>);

#[derive(Clone, Debug)]
struct Origin {
    setting: &'static str,
    /// What the setting was called there, if not by its name.
    called: Option<String>,
    /// As it was written there.
    text: String,
    /// What that was read as. A field that has another value by now was set since.
    value: Option<Value>,
}

/// Settings are the same, wherever they came from.
impl PartialEq for Origins {
    fn eq(&self, _other: &Origins) -> bool {
        true
    }
}

impl Origins {
    pub(super) fn add(&mut self, setting: &'static str, called: Option<String>, text: &str, value: Option<Value>) {
        self.0.retain(|origin| origin.setting != setting);
        self.0.push(Origin { setting, called, text: text.into(), value });
    }

    /// These, and those of `other` for settings that are not `given`.
    pub(super) fn or(mut self, other: Origins, given: &[&str]) -> Origins {
        self.0.extend(other.0.into_iter().filter(|origin| !given.contains(&origin.setting)));
        self
    }
}

/// The part of `text` that is the duration `value`.
fn written_duration<'a>(text: &'a str, value: &str) -> Option<&'a str> {
    let duration = Duration::read(value)?;
    let parts = [Some(text), text.strip_prefix("failure after "), text.split_once("up to").map(|(_, max)| max)];
    parts.into_iter().flatten().map(str::trim).find(|part| Duration::read(part) == Some(duration))
}

/// As `==`, but for what is not a number.
fn is_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (Some(Value::Share(one)), Some(Value::Share(other))) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

impl Config {
    /// The error as it reads where its setting came from.
    pub(super) fn as_written(&self, error: ConfigError) -> ConfigError {
        match self.origin_of(error.setting()) {
            Some(Origin { called, text, .. }) => {
                let value = written_duration(text, error.value()).map(String::from);
                error.read_from(called.clone(), value)
            }
            None => error,
        }
    }

    /// The reset timeout as it was written, `timeout` if it was not read as text.
    pub(super) fn written_reset_timeout(&self, timeout: Duration) -> String {
        self.origin_of("reset_timeout").map_or_else(|| format!("{timeout:?}"), |origin| origin.text.clone())
    }

    /// Where the setting came from, if it still has that value.
    fn origin_of(&self, setting: &str) -> Option<&Origin> {
        let origin = self.origins.0.iter().find(|origin| origin.setting == setting)?;
        is_same(origin.value.as_ref(), self.value_of(setting).as_ref()).then_some(origin)
    }

    pub(super) fn value_of(&self, setting: &str) -> Option<Value> {
        self.given().find_map(|(name, value)| (name == setting).then_some(value))
    }
}
