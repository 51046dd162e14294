mod approve;
mod error;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod vars;

use std::time::Duration;

use crate::outcome::Dropped;
use crate::window::Window;

pub(crate) use approve::Approved;
pub use error::ConfigError;
use text::{Text, Value};

/// The settings of a breaker as set in code, in a file or in the environment. `None` is an unset field: another
/// source decides, and finally the default.
///
/// [`Builder`](crate::Builder) documents what each setting means, its default and its range. Pass a `Config` to
/// [`Builder::config`](crate::Builder::config). A setting has the same textual form in every source:
///
/// | setting | text | variable |
/// |---|---|---|
/// | `error_threshold` | `5`, or `none` | `PREFIX_ERROR_THRESHOLD` |
/// | `error_rate` | `0.5` | `PREFIX_ERROR_RATE` |
/// | `slow_call_rate` | `0.5` | `PREFIX_SLOW_CALL_RATE` |
/// | `slow_call_duration` | `2s` | `PREFIX_SLOW_CALL_DURATION` |
/// | `window` | `100 calls` or `10s` | `PREFIX_WINDOW` |
/// | `minimum_calls` | `20` | `PREFIX_MINIMUM_CALLS` |
/// | `reset_timeout` | `30s` | `PREFIX_RESET_TIMEOUT` |
/// | `reset_backoff` | `2.0 up to 5m`, or `2.0` | `PREFIX_RESET_BACKOFF` |
/// | `reset_jitter` | `0.1` | `PREFIX_RESET_JITTER` |
/// | `success_threshold` | `2` | `PREFIX_SUCCESS_THRESHOLD` |
/// | `half_open_error_threshold` | `1` | `PREFIX_HALF_OPEN_ERROR_THRESHOLD` |
/// | `half_open_capacity` | `1` | `PREFIX_HALF_OPEN_CAPACITY` |
/// | `half_open_max_capacity` | `16` | `PREFIX_HALF_OPEN_MAX_CAPACITY` |
/// | `probe_timeout` | `10s` | `PREFIX_PROBE_TIMEOUT` |
/// | `dropped_calls` | `ignore`, `failure` or `failure after 2s` | `PREFIX_DROPPED_CALLS` |
///
/// A duration is one or more numbers with units, the largest unit first: `250ms`, `1.5s`, `1m 30s`. The units
/// are `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. A number without a unit is an error.
///
/// You choose the prefix of the variables: see [`from_env`](Self::from_env). With the feature `serde` you can
/// read a `Config` from and write it to every self-describing format. Numbers are numbers there, everything
/// else is text.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Config};
///
/// let mut config = Config::default();
/// config.error_threshold = Some(Some(3));
/// config.reset_timeout = Some(Duration::from_secs(5));
///
/// let payments = CircuitBreaker::builder("payments").config(config.clone()).build()?;
/// let quotes = CircuitBreaker::builder("quotes").config(config).success_threshold(1).build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// [`Builder::error_threshold`](crate::Builder::error_threshold). `Some(None)` turns the rule off.
    pub error_threshold: Option<Option<u32>>,
    /// [`Builder::error_rate`](crate::Builder::error_rate).
    pub error_rate: Option<f64>,
    /// [`Builder::slow_call_rate`](crate::Builder::slow_call_rate).
    pub slow_call_rate: Option<f64>,
    /// [`Builder::slow_call_duration`](crate::Builder::slow_call_duration).
    pub slow_call_duration: Option<Duration>,
    /// [`Builder::window`](crate::Builder::window).
    pub window: Option<Window>,
    /// [`Builder::minimum_calls`](crate::Builder::minimum_calls).
    pub minimum_calls: Option<u32>,
    /// [`Builder::reset_timeout`](crate::Builder::reset_timeout).
    pub reset_timeout: Option<Duration>,
    /// The factor and the maximum of [`Builder::reset_backoff`](crate::Builder::reset_backoff).
    pub reset_backoff: Option<(f64, Duration)>,
    /// [`Builder::reset_jitter`](crate::Builder::reset_jitter).
    pub reset_jitter: Option<f64>,
    /// [`Builder::success_threshold`](crate::Builder::success_threshold).
    pub success_threshold: Option<u32>,
    /// [`Builder::half_open_error_threshold`](crate::Builder::half_open_error_threshold).
    pub half_open_error_threshold: Option<u32>,
    /// [`Builder::half_open_capacity`](crate::Builder::half_open_capacity).
    pub half_open_capacity: Option<u32>,
    /// [`Builder::half_open_max_capacity`](crate::Builder::half_open_max_capacity).
    pub half_open_max_capacity: Option<u32>,
    /// [`Builder::probe_timeout`](crate::Builder::probe_timeout).
    pub probe_timeout: Option<Duration>,
    /// [`Builder::dropped_calls`](crate::Builder::dropped_calls).
    pub dropped_calls: Option<Dropped>,
}

/// What applies to every setting alike.
macro_rules! settings {
    ($($setting:ident,)*) => {
        impl Config {
            const NAMES: &[&str] = &[$(stringify!($setting),)*];

            /// Returns these settings, with those of `other` for fields that are unset here.
            ///
            /// ```
            /// use tripcoil::Config;
            ///
            /// # fn main() -> Result<(), tripcoil::ConfigError> {
            /// let file = Config::from_vars("", [("ERROR_THRESHOLD", "3"), ("RESET_TIMEOUT", "10s")])?;
            /// let env = Config::from_vars("PAYMENTS_BREAKER_", [("PAYMENTS_BREAKER_ERROR_THRESHOLD", "7")])?;
            /// let config = env.or(file);
            /// assert_eq!(config.error_threshold, Some(Some(7)));
            /// assert_eq!(config.reset_timeout, Some(std::time::Duration::from_secs(10)));
            /// # Ok(())
            /// # }
            /// ```
            #[must_use]
            pub fn or(self, other: Config) -> Config {
                Config { $($setting: self.$setting.or(other.$setting),)* }
            }

            /// Sets `name`, one of [`NAMES`](Self::NAMES), from text. False if the text cannot be read.
            fn give(&mut self, name: &str, text: &str) -> bool {
                match name {
                    $(stringify!($setting) => match Text::read(text) {
                        Some(value) => self.$setting = Some(value),
                        None => return false,
                    })*
                    _ => return false,
                }
                true
            }

            /// The fields that are set, by name.
            #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "only written with a format at hand"))]
            fn given(&self) -> impl Iterator<Item = (&'static str, Value)> {
                [$((stringify!($setting), self.$setting.as_ref().map(Text::write)),)*]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

settings! {
    error_threshold,
    error_rate,
    slow_call_rate,
    slow_call_duration,
    window,
    minimum_calls,
    reset_timeout,
    reset_backoff,
    reset_jitter,
    success_threshold,
    half_open_error_threshold,
    half_open_capacity,
    half_open_max_capacity,
    probe_timeout,
    dropped_calls,
}
