mod error;
mod origins;
mod preset;
#[cfg(feature = "serde")]
mod serde;
mod table;
mod text;
mod validate;
mod vars;

use std::time::Duration;

use crate::outcome::Dropped;
use crate::recovery::Recovery;
use crate::settings::Window;

pub use error::ConfigError;
use origins::Origins;
pub use preset::Preset;
pub(crate) use table::for_each_setting;
use text::{Text, Value};
pub(crate) use validate::ValidSettings;

/// Makes `Config` of the rows.
macro_rules! config {
    ($($(#[$doc:meta])* $setting:ident($($arg:ident: $type:ty),+): $value:ty = $given:expr;
        $default:literal, $allowed:literal, $text:literal;)+) => {
        /// The settings of a breaker as set in code, in a file or in the environment.
        ///
        /// **`None` is an unset field.** Another source decides, and finally the default. [`or`](Self::or)
        /// takes unset fields from the other settings, and [`Builder::config`](crate::Builder::config) from
        /// earlier calls of the builder. [`build`](crate::Builder::build) and
        /// [`reconfigure`](crate::CircuitBreaker::reconfigure) use the default. To keep the settings of a
        /// breaker, layer the new ones over [`CircuitBreaker::config`](crate::CircuitBreaker::config).
        ///
        /// [`Builder`](crate::Builder) documents what each setting means, its default and its range. A setting
        /// has the same textual form in every source:
        ///
        /// | setting | text |
        /// |---|---|
        $(#[doc = concat!("| [`", stringify!($setting), "`](crate::Builder::", stringify!($setting), ") | ", $text, " |")])+
        ///
        /// A duration is one or more numbers with units, the largest unit first: `250ms`, `1.5s`, `1m 30s`. The
        /// units are `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. A number without a unit is an error.
        ///
        /// The name of an environment variable is a prefix that you choose and the setting in upper case, such
        /// as `PAYMENTS_BREAKER_RESET_TIMEOUT`; see [`from_env`](Self::from_env). With the feature `serde` you
        /// can read a `Config` from and write it to every self-describing format. Numbers are numbers there,
        /// everything else is text.
        ///
        /// ```
        /// use std::time::Duration;
        /// use tripcoil::{CircuitBreaker, Config};
        ///
        /// let config = Config::default().error_threshold(3).reset_timeout(Duration::from_secs(5));
        ///
        /// let payments = CircuitBreaker::builder("payments").config(config.clone()).build()?;
        /// let quotes = CircuitBreaker::builder("quotes").config(config).success_threshold(1).build()?;
        /// # Ok::<(), tripcoil::ConfigError>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Config {
            $(
                #[doc = concat!("What [`Builder::", stringify!($setting), "`](crate::Builder::", stringify!($setting),
                    ") takes, if it is given.")]
                pub $setting: Option<$value>,
            )+
            origins: Origins,
        }

        /// Setters, each like that of [`Builder`](crate::Builder) with the same name.
        impl Config {
            $(
                #[doc = concat!("Gives the setting, as [`Builder::", stringify!($setting), "`](crate::Builder::",
                    stringify!($setting), ") does.")]
                #[must_use]
                pub fn $setting(mut self, $($arg: $type),+) -> Self {
                    self.$setting = Some($given);
                    self
                }
            )+
        }

        impl Config {
            const NAMES: &[&str] = &[$(stringify!($setting),)+];

            /// Returns these settings, with those of `other` for fields that are unset here.
            ///
            /// ```
            /// use std::time::Duration;
            /// use tripcoil::Config;
            ///
            /// # fn main() -> Result<(), tripcoil::ConfigError> {
            /// let file = Config::default().error_threshold(3).reset_timeout(Duration::from_secs(10));
            /// let env = Config::from_vars("PAYMENTS_BREAKER_", [("PAYMENTS_BREAKER_ERROR_THRESHOLD", "7")])?;
            /// let config = env.or(file);
            /// assert_eq!(config.error_threshold, Some(Some(7)));
            /// assert_eq!(config.reset_timeout, Some(Duration::from_secs(10)));
            /// # Ok(())
            /// # }
            /// ```
            #[must_use]
            pub fn or(self, other: Config) -> Config {
                let given: Vec<_> = self.given().map(|(name, _)| name).collect();
                let origins = self.origins.or(other.origins, &given);
                Config { $($setting: self.$setting.or(other.$setting),)+ origins }
            }

            /// Sets `name`, one of [`NAMES`](Self::NAMES), from text. False if the text cannot be read.
            fn give(&mut self, name: &str, text: &str) -> bool {
                match name {
                    $(stringify!($setting) => match Text::read(text) {
                        Some(value) => self.$setting = Some(value),
                        None => return false,
                    })+
                    _ => return false,
                }
                true
            }

            /// The fields that are set, by name.
            fn given(&self) -> impl Iterator<Item = (&'static str, Value)> {
                [$((stringify!($setting), self.$setting.as_ref().map(Text::write)),)+]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

for_each_setting!(config);
