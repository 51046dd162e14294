use std::fs;
use std::path::Path;

use serde::de::Deserialize;
use tripcoil::{Builder, CircuitBreaker, Config, ConfigError, Registry, RegistryBuilder};

use crate::failure::Failure;

/// Settings with a name.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) config: Config,
    /// Whether it had a jitter, which is left out of a replay.
    pub(super) had_jitter: bool,
    /// The share of the keys whose breakers may be open by their own rules.
    pub(super) max_open_share: Option<f64>,
}

/// The most keys that a share is taken of: the largest capacity of a registry.
pub(super) const MOST_LIMITED_KEYS: usize = 1 << 24;

/// The policies that come with the command.
pub(super) const NAMED: &str = include_str!("policies.toml");

impl Policy {
    pub(super) fn builder(&self) -> Builder {
        CircuitBreaker::builder(self.name.clone()).config(self.config.clone())
    }

    /// The registry that makes breakers of `template`, if their open share is limited. The name of each is its key.
    pub(super) fn registry(&self, template: Builder) -> Option<RegistryBuilder<u32>> {
        let registry = Registry::builder(template).capacity(MOST_LIMITED_KEYS);
        self.max_open_share.map(|share| registry.max_open_share(share))
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.registry(self.builder()) {
            Some(registry) => registry.build().map(drop),
            None => self.builder().build().map(drop),
        }
    }
}

/// The policies of a file, or those that come with the command.
pub(super) fn load(path: Option<&Path>) -> Result<Vec<Policy>, Failure> {
    match path {
        None => parse(NAMED).map_err(Failure::usage),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
            parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
        }
    }
}

/// Reads a TOML table of tables: names of policies, and their settings as [`Config`] has them, with `max_open_share`.
fn parse(text: &str) -> Result<Vec<Policy>, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if table.is_empty() {
        return Err("there is no policy; begin one with `[name]`".into());
    }
    table.into_iter().map(|(name, settings)| policy(&name, settings)).collect()
}

fn policy(name: &str, settings: toml::Value) -> Result<Policy, String> {
    let toml::Value::Table(mut settings) = settings else {
        return Err(format!("`{name}` stands outside of a policy; begin one with `[name]`"));
    };
    let named = |error: &dyn std::fmt::Display| format!("policy `{name}`: {}", error.to_string().trim());
    let max_open_share = settings.remove("max_open_share").map(f64::deserialize).transpose().map_err(|error| {
        named(&format!("`max_open_share`: {}, allowed is above 0.0, up to 1.0", error.to_string().trim()))
    })?;
    let mut config = Config::deserialize(settings).map_err(|error| named(&error))?;
    let had_jitter = config.reset_jitter.is_some_and(|share| share > 0.0);
    config.reset_jitter = config.reset_jitter.map(|_| 0.0);
    let policy = Policy { name: name.into(), config, had_jitter, max_open_share };
    policy.check().map_err(|error| named(&error))?;
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripcoil::Preset;

    #[test]
    fn policies_come_in_the_order_of_the_file() {
        let policies = parse("[z]\n[a]\nerror_rate = 0.5\nwindow = \"10s\"\n[m]\nerror_threshold = 3").unwrap();
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "m"]);
        assert_eq!(policies[1].config.error_rate, Some(0.5));
    }

    #[test]
    fn the_named_policies_are_sound() {
        let policies = load(None).unwrap();
        assert_eq!(policies[0].name, "defaults");
        assert_eq!(policies[0].config, Config::default());
    }

    #[test]
    fn the_presets_are_among_the_named_policies() {
        let policies = load(None).unwrap();
        for preset in Preset::ALL {
            let policy = policies.iter().find(|policy| policy.name == preset.as_str()).unwrap();
            assert_eq!(policy.config, preset.config());
        }
    }

    #[test]
    fn an_error_names_the_policy_the_setting_and_what_is_allowed() {
        for (text, parts) in [
            ("[a]\nerror_rate = 1.5", &["policy `a`", "`error_rate`", "1.5", "up to 1.0"][..]),
            ("[a]\nreset_timeuot = \"1s\"", &["policy `a`", "reset_timeuot", "reset_timeout"]),
            ("[a]\nerror_threshold = \"none\"", &["policy `a`", "`error_threshold`"]),
            ("[a]\nmax_open_share = 1.5", &["policy `a`", "`max_open_share`", "1.5", "above 0.0, up to 1.0"]),
            ("[a]\nmax_open_share = 0", &["policy `a`", "`max_open_share`", "0", "above 0.0, up to 1.0"]),
            ("[a]\nmax_open_share = nan", &["policy `a`", "`max_open_share`", "NaN", "above 0.0, up to 1.0"]),
            ("[a]\nmax_open_share = \"half\"", &["policy `a`", "`max_open_share`", "half", "above 0.0, up to 1.0"]),
            ("[a]\nmax_open_share = 0.5\nerror_rate = 7", &["policy `a`", "`error_rate`", "up to 1.0"]),
            ("error_rate = 0.5", &["`error_rate` stands outside of a policy"]),
            ("", &["no policy"]),
            ("[a", &["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn the_open_share_is_limited_where_a_policy_says_so() {
        let policies = parse("[a]\n[b]\nmax_open_share = 0.3\n[c]\nmax_open_share = 1").unwrap();
        let shares: Vec<_> = policies.iter().map(|policy| policy.max_open_share).collect();
        assert_eq!(shares, [None, Some(0.3), Some(1.0)]);
    }

    #[test]
    fn jitter_is_left_out() {
        let policies = parse("[a]\nreset_jitter = 0.5").unwrap();
        assert!(policies[0].had_jitter);
        assert_eq!(policies[0].config.reset_jitter, Some(0.0));
    }
}
