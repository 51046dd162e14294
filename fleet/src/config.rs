//! The settings of a member from outside the code: environment variables and files.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use crate::builder::BuildError;
use crate::protocol::Quorum;

/// The names under which settings were read, for errors of `build`.
pub(crate) type Origins = std::collections::BTreeMap<&'static str, String>;

/// A setting as text.
trait Text: Sized {
    fn read(text: &str) -> Option<Self>;
    #[cfg_attr(not(any(feature = "serde", test)), expect(dead_code, reason = "nothing else writes"))]
    fn write(&self) -> String;
}

impl Text for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn write(&self) -> String {
        self.clone()
    }
}

/// In the form of the library's own settings: `1m 30s`.
impl Text for Duration {
    fn read(text: &str) -> Option<Self> {
        // The library's parser accepts no zero.
        if matches!(text.trim(), "0s" | "0ms" | "0ns") {
            return Some(Duration::ZERO);
        }
        tripcoil::Config::from_vars("", [("RESET_TIMEOUT", text)]).ok()?.reset_timeout
    }

    fn write(&self) -> String {
        format!("{self:?}")
    }
}

/// `share(0.5).at_least(2)`, `share(0.5)` or `count(3)`.
impl Text for Quorum {
    fn read(text: &str) -> Option<Self> {
        fn call<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
            let (argument, rest) = text.strip_prefix(name)?.strip_prefix('(')?.split_once(')')?;
            Some((argument.trim(), rest))
        }
        let text = text.trim();
        if let Some((votes, "")) = call(text, "count") {
            return votes.parse().ok().map(Quorum::count);
        }
        let (share, rest) = call(text, "share")?;
        let quorum = Quorum::share(share.parse().ok()?);
        if rest.is_empty() {
            return Some(quorum);
        }
        let (votes, "") = call(rest, ".at_least")? else { return None };
        votes.parse().ok().map(|votes| quorum.at_least(votes))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// Passes every row to the macro `$then`: the name and the type of a setting, the allowed values for errors, and an
/// example of its text.
macro_rules! for_each_setting {
    ($then:ident) => {
        $then! {
            instance: String = "1 to 100 bytes", "pod-7";
            quorum: Quorum = "share(0.5).at_least(2), share(0.5) or count(3)", "share(0.5).at_least(2)";
            beat: Duration = "100ms to 10m, such as 5s", "5s";
            member_ttl: Duration = "two beats to one day, such as 15s", "15s";
            lease: Duration = "100ms to 1h, such as 5s", "5s";
            command_timeout: Duration = "10ms to 1m, such as 500ms", "500ms";
            slow_close: Duration = "0s, or 200ms to 1h, such as 30s", "30s";
        }
    };
}

macro_rules! config {
    ($($setting:ident: $type:ty = $allowed:literal, $example:literal;)+) => {
        /// The settings of a member as set in code, in a file or in the environment.
        ///
        /// `None` is an unset field: the builder's own value applies, or else the default.
        /// [`FleetBuilder`](crate::FleetBuilder) documents what each setting means, its default and its range. A setting
        /// has the same textual form in every source:
        ///
        /// | setting | text |
        /// |---|---|
        /// | `redis`, with the feature `redis` | `redis://127.0.0.1:6379` |
        $(#[doc = concat!("| [`", stringify!($setting), "`](crate::FleetBuilder::", stringify!($setting), ") | `", $example, "` |")])+
        ///
        /// A duration has one or more numbers with units, as in the library's [`Config`](tripcoil::Config): `250ms`,
        /// `1m 30s`. With the feature `serde` you can read a `FleetConfig` from every self-describing format. All values
        /// are text there.
        ///
        /// `Debug` output and errors do not contain the user or the password of an address.
        ///
        /// ```
        /// use std::time::Duration;
        /// use tripcoil_fleet::{Fleet, FleetConfig, Memory};
        ///
        /// let config = FleetConfig::from_vars("CHECKOUT_FLEET_", [("CHECKOUT_FLEET_BEAT", "2s")])?;
        /// assert_eq!(config.beat, Some(Duration::from_secs(2)));
        /// let fleet = Fleet::builder("checkout").store(Memory::new()).config(config).build()?;
        /// # Ok::<(), tripcoil_fleet::BuildError>(())
        /// ```
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct FleetConfig {
            /// The store; `None` without an address.
            #[cfg(feature = "redis")]
            pub redis: Option<crate::redis::Redis>,
            $(
                #[doc = concat!("What [`FleetBuilder::", stringify!($setting), "`](crate::FleetBuilder::",
                    stringify!($setting), ") takes, if it is given.")]
                pub $setting: Option<$type>,
            )+
            pub(crate) origins: Origins,
        }

        impl FleetConfig {
            pub(crate) const NAMES: &[&str] = &[
                #[cfg(feature = "redis")]
                "redis",
                $(stringify!($setting),)+
            ];

            /// Sets `name`, one of [`NAMES`](Self::NAMES), from text.
            fn give(&mut self, name: &'static str, text: &str) -> Result<(), BuildError> {
                match name {
                    $(stringify!($setting) => match Text::read(text) {
                        Some(value) => self.$setting = Some(value),
                        None => return Err(BuildError::new(name, format_args!("{text:?}"), $allowed)),
                    })+
                    #[cfg(feature = "redis")]
                    "redis" => self.redis = Some(crate::builder::redis_at(text)?),
                    _ => {}
                }
                Ok(())
            }

            /// The settings that are set, except the address, which may contain a password.
            #[cfg(feature = "serde")]
            pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
                let all = [$((stringify!($setting), self.$setting.as_ref().map(Text::write)),)+];
                all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
            }

            /// What `build` takes.
            pub(crate) fn over(self, settings: &mut crate::builder::Settings) {
                $(if let Some(value) = self.$setting {
                    settings.$setting = value.into();
                    settings.origins.remove(stringify!($setting));
                })+
                settings.origins.extend(self.origins);
            }
        }
    };
}

for_each_setting!(config);

impl FleetConfig {
    /// Reads the settings from the environment variables with this prefix. With the prefix `CHECKOUT_FLEET_`,
    /// `CHECKOUT_FLEET_BEAT=2s` sets the `beat` and `CHECKOUT_FLEET_REDIS=redis://127.0.0.1:6379` the store.
    ///
    /// Names match exactly, in upper case. Any other variable that starts with the prefix is an error. A variable that is
    /// not set leaves its field unset.
    ///
    /// ```no_run
    /// use tripcoil_fleet::{Fleet, FleetConfig};
    ///
    /// let config = FleetConfig::from_env("CHECKOUT_FLEET_")?;
    /// let fleet = Fleet::builder("checkout").config(config).build()?;
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] that names the variable if its text is malformed or if there is no such setting. For an
    /// unknown setting, the error suggests a similar one. [`build`](crate::FleetBuilder::build) returns an error if a value
    /// is out of range, which also names the variable.
    pub fn from_env(prefix: &str) -> Result<Self, BuildError> {
        FleetConfig::from_vars(prefix, env::vars_os())
    }

    /// Like [`from_env`](Self::from_env), but from pairs of a name and a value. If a name occurs twice, the later value
    /// overrides the earlier one. Names without the prefix are skipped.
    ///
    /// ```
    /// use tripcoil_fleet::FleetConfig;
    ///
    /// let typo = FleetConfig::from_vars("CHECKOUT_", [("CHECKOUT_QOURUM", "count(3)")]);
    /// assert_eq!(typo.unwrap_err().to_string(), "unknown setting `CHECKOUT_QOURUM`; did you mean `CHECKOUT_QUORUM`?");
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`from_env`](Self::from_env).
    pub fn from_vars<N, V>(prefix: &str, vars: impl IntoIterator<Item = (N, V)>) -> Result<Self, BuildError>
    where
        N: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let variable = |setting: &str| format!("{prefix}{}", setting.to_ascii_uppercase());
        let mut config = FleetConfig::default();
        for (name, value) in vars {
            if !name.as_ref().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                continue;
            }
            let (name, value) = (name.as_ref().to_string_lossy(), value.as_ref().to_string_lossy());
            let Some(setting) = FleetConfig::NAMES.iter().find(|setting| *name == variable(setting)) else {
                let meant = nearest(&name[prefix.len()..].to_ascii_lowercase());
                return Err(BuildError::unknown(&name, meant, variable));
            };
            config.read(setting, &value, &name)?;
        }
        Ok(config)
    }

    /// Sets `name`, one of [`NAMES`](Self::NAMES), from text. `called` is its name where it was read.
    pub(crate) fn read(&mut self, name: &'static str, text: &str, called: &str) -> Result<(), BuildError> {
        self.give(name, text).map_err(|error| error.called(called))?;
        self.origins.insert(name, called.to_owned());
        Ok(())
    }
}

/// The setting that was probably meant by `text`: the one with the fewest typing errors, or one that contains the text.
pub(crate) fn nearest(text: &str) -> Option<&'static str> {
    let slips = |name: &str| strsim::osa_distance(text, name);
    let name = FleetConfig::NAMES.iter().copied().min_by_key(|name| slips(name))?;
    if slips(name) <= 2 && slips(name) < name.len() / 2 {
        return Some(name);
    }
    let is_part = |name: &&str| text.len() >= 3 && (name.contains(text) || text.contains(name));
    FleetConfig::NAMES.iter().copied().find(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_read_as_it_is_written() {
        for quorum in [Quorum::share(0.5), Quorum::share(0.25).at_least(7), Quorum::count(3)] {
            assert_eq!(Quorum::read(&quorum.write()), Some(quorum));
        }
        assert_eq!(Quorum::read(" share( 0.5 ) "), Some(Quorum::share(0.5)));
        for wrong in
            ["", "3", "0.5", "count()", "count(-1)", "count(3).at_least(2)", "share(0.5)x", "share(x)", "count(3"]
        {
            assert_eq!(Quorum::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for millis in [0, 1, 500, 1_500, 90_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(Duration::read(&duration.write()), Some(duration));
        }
        assert_eq!(Duration::read(" 0s"), Some(Duration::ZERO));
        assert_eq!(Duration::read("1m 30s"), Some(Duration::from_secs(90)));
        for wrong in ["", "0", "5", "5 parsecs", "-1s"] {
            assert_eq!(Duration::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_slip_leads_back_to_the_setting_and_nonsense_nowhere() {
        for name in FleetConfig::NAMES {
            for at in 0..name.len() {
                let removed = [&name[..at], &name[at + 1..]].concat();
                if name.len() > 4 {
                    assert_eq!(nearest(&removed), Some(*name));
                }
            }
        }
        assert_eq!(nearest("timeout"), Some("command_timeout"));
        assert_eq!(nearest("ttl"), Some("member_ttl"));
        for far in ["", "e", "password", "log_level", "reset"] {
            assert_eq!(nearest(far), None, "{far}");
        }
    }
}
