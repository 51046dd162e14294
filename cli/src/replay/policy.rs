use std::fs;
use std::path::Path;

use serde::de::Deserialize;
use tripcoil::{Builder, CircuitBreaker, Config};

use crate::failure::Failure;

/// Settings with a name.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) config: Config,
    /// Whether it had a jitter, which is left out of a replay.
    pub(super) had_jitter: bool,
}

/// The policies that come with the command.
pub(super) const NAMED: &str = include_str!("policies.toml");

impl Policy {
    pub(super) fn builder(&self) -> Builder {
        CircuitBreaker::builder(self.name.clone()).config(self.config.clone())
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

/// Reads a TOML table of tables: names of policies, and their settings as [`Config`] has them.
fn parse(text: &str) -> Result<Vec<Policy>, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if table.is_empty() {
        return Err("there is no policy; begin one with `[name]`".into());
    }
    table.into_iter().map(|(name, settings)| policy(&name, settings)).collect()
}

fn policy(name: &str, settings: toml::Value) -> Result<Policy, String> {
    if !settings.is_table() {
        return Err(format!("`{name}` stands outside of a policy; begin one with `[name]`"));
    }
    let named = |error: &dyn std::fmt::Display| format!("policy `{name}`: {}", error.to_string().trim());
    let mut config = Config::deserialize(settings).map_err(|error| named(&error))?;
    let had_jitter = config.reset_jitter.is_some_and(|share| share > 0.0);
    config.reset_jitter = config.reset_jitter.map(|_| 0.0);
    let policy = Policy { name: name.into(), config, had_jitter };
    policy.builder().build().map_err(|error| named(&error))?;
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
            ("error_rate = 0.5", &["`error_rate` stands outside of a policy"]),
            ("", &["no policy"]),
            ("[a", &["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn jitter_is_left_out() {
        let policies = parse("[a]\nreset_jitter = 0.5").unwrap();
        assert!(policies[0].had_jitter);
        assert_eq!(policies[0].config.reset_jitter, Some(0.0));
    }
}
