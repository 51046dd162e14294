use std::fmt;

use serde_core::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_core::ser::{Serialize, SerializeMap, Serializer};

use super::vars::nearest;
use super::{Config, ConfigError, Value};

/// Writes the fields that are set. Reading them back yields an equal [`Config`].
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.given().count()))?;
        for (name, value) in self.given() {
            match value {
                Value::Flag(flag) => map.serialize_entry(name, &flag)?,
                Value::Count(count) => map.serialize_entry(name, &count)?,
                Value::Share(share) => map.serialize_entry(name, &share)?,
                Value::Words(words) => map.serialize_entry(name, &words)?,
            }
        }
        map.end()
    }
}

/// Returns an error with the text of [`ConfigError`] for an unknown name, and for values that are out of range
/// or contradict each other. Numbers may also be text, and null leaves a field unset. The format has to be
/// self-describing.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Config", Config::NAMES, ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a circuit breaker")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut config = Config::default();
        let mut given = Vec::new();
        while let Some(SettingName(name)) = map.next_key()? {
            if given.contains(&name) {
                return Err(de::Error::duplicate_field(name));
            }
            given.push(name);
            let given = match map.next_value()? {
                TextOrNumber::Flag(flag) if name == "enabled" => TextOrNumber::As(flag.to_string()),
                TextOrNumber::Flag(flag) => return Err(de::Error::invalid_type(de::Unexpected::Bool(flag), &Scalars)),
                given => given,
            };
            if let TextOrNumber::As(text) = given {
                config.read(name, &text, None).map_err(de::Error::custom)?;
            }
        }
        config.check().map_err(de::Error::custom)?;
        Ok(config)
    }
}

/// One of [`Config::NAMES`].
struct SettingName(&'static str);

impl<'de> Deserialize<'de> for SettingName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(Names)
    }
}

struct Names;

impl Visitor<'_> for Names {
    type Value = SettingName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SettingName, E> {
        Config::NAMES.iter().find(|name| **name == text).map(|name| SettingName(name)).ok_or_else(|| {
            let nearest = nearest(&text.to_ascii_lowercase());
            E::custom(ConfigError::unknown(text.into(), nearest, str::to_owned))
        })
    }
}

/// A value as text, whatever the format made of it.
enum TextOrNumber {
    As(String),
    Flag(bool),
    Not,
}

impl<'de> Deserialize<'de> for TextOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars)
    }
}

struct Scalars;

impl Visitor<'_> for Scalars {
    type Value = TextOrNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::As(text.into()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::As(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::As(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::As(format!("{number:?}")))
    }

    fn visit_unit<E>(self) -> Result<TextOrNumber, E> {
        Ok(TextOrNumber::Not)
    }
}
