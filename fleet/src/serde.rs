//! Settings in files.

use std::fmt;

use serde_core::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_core::ser::{Serialize, SerializeMap, Serializer};

use crate::builder::BuildError;
use crate::config::{FleetConfig, nearest};

/// Writes the fields that are set, except `redis`, whose address may contain a password.
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
impl Serialize for FleetConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let given = self.given();
        let mut map = serializer.serialize_map(Some(given.len()))?;
        for (name, text) in given {
            map.serialize_entry(name, &text)?;
        }
        map.end()
    }
}

/// Returns an error with the text of [`BuildError`] for an unknown name and for malformed text. Null leaves a field unset.
/// The format has to be self-describing.
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
impl<'de> Deserialize<'de> for FleetConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("FleetConfig", FleetConfig::NAMES, ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = FleetConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a fleet")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FleetConfig, A::Error> {
        let mut config = FleetConfig::default();
        let mut given = Vec::new();
        while let Some(SettingName(name)) = map.next_key()? {
            if given.contains(&name) {
                return Err(de::Error::duplicate_field(name));
            }
            given.push(name);
            if let Scalar(Some(text)) = map.next_value()? {
                config.read(name, &text, name).map_err(de::Error::custom)?;
            }
        }
        Ok(config)
    }
}

/// One of [`FleetConfig::NAMES`].
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
        FleetConfig::NAMES
            .iter()
            .find(|name| **name == text)
            .map(|name| SettingName(name))
            .ok_or_else(|| E::custom(BuildError::unknown(text, nearest(&text.to_ascii_lowercase()), str::to_owned)))
    }
}

/// A value as text; `None` if it is null.
struct Scalar(Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars)
    }
}

struct Scalars;

impl Visitor<'_> for Scalars {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(text.into())))
    }

    /// An instance name may be a number.
    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }
}
