mod approve;
mod error;
mod origins;
#[cfg(feature = "serde")]
mod serde;
mod table;
mod text;
mod vars;

use std::time::Duration;

use crate::outcome::Dropped;
use crate::window::Window;

pub(crate) use approve::Approved;
pub use error::ConfigError;
use origins::Origins;
pub(crate) use table::for_each_setting;
use text::{Text, Value};

/// Makes `Config` of the rows.
macro_rules! config {
    ($($(#[$doc:meta])* $setting:ident($($arg:ident: $type:ty),+): $value:ty = $given:expr;
        $default:literal, $allowed:literal, $text:literal;)+) => {
        /// The settings of a breaker as they are given: in code, in a file or in the environment.
        ///
        /// **A setting that is `None` says nothing.** It is left to whatever else was given, and at last to its default: by
        /// [`or`](Self::or) to the other settings, by [`Builder::config`](crate::Builder::config) to what the builder was
        /// told before, by [`build`](crate::Builder::build) and [`reconfigure`](crate::CircuitBreaker::reconfigure) to the
        /// default. To keep what a breaker has, lay [`CircuitBreaker::config`](crate::CircuitBreaker::config) under it.
        ///
        /// [`Builder`](crate::Builder) tells what each setting means, its default and what is allowed. A setting that comes
        /// as text has the same form everywhere:
        ///
        /// | setting | text |
        /// |---|---|
        $(#[doc = concat!("| [`", stringify!($setting), "`](crate::Builder::", stringify!($setting), ") | ", $text, " |")])+
        ///
        /// A duration is one number with its unit or several, the largest first: `250ms`, `1.5s`, `1m 30s`. The units are
        /// `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. A number without a unit is refused.
        ///
        /// An environment variable is named by a prefix of your own and the setting in capitals:
        /// `PAYMENTS_BREAKER_RESET_TIMEOUT`, see [`from_env`](Self::from_env). With the feature `serde` a `Config` can be
        /// read from and written to every self-describing format; the numbers are numbers there, all else is text.
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

        /// Setters, each as the one of [`Builder`](crate::Builder) with its name.
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

            /// These settings, and those of `other` where this has none.
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

            /// Gives the setting `name`, one of [`NAMES`](Self::NAMES), as text; false if that makes no sense.
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

            /// What was given, by name.
            fn given(&self) -> impl Iterator<Item = (&'static str, Value)> {
                [$((stringify!($setting), self.$setting.as_ref().map(Text::write)),)+]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

for_each_setting!(config);
