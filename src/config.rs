use std::fmt::{self, Debug};
use std::time::Duration;

use crate::outcome::Dropped;
use crate::rules::Rules;
use crate::word::MAX_PROBES;

/// A setting that [`Builder::build`](crate::Builder::build) does not take: which, its value, and what
/// would be allowed.
///
/// ```
/// use tripcoil::CircuitBreaker;
///
/// let error = CircuitBreaker::builder("payments").error_threshold(0).build().unwrap_err();
/// assert_eq!((error.setting(), error.value(), error.allowed()), ("error_threshold", "0", "1 to 4294967295"));
/// assert_eq!(error.to_string(), "`error_threshold` is 0, allowed is 1 to 4294967295");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}, allowed is {allowed}")]
#[non_exhaustive]
pub struct ConfigError {
    setting: &'static str,
    value: String,
    allowed: String,
}

impl ConfigError {
    /// The name of the setting, as the builder has it.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value that was given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The values that are allowed.
    #[must_use]
    pub fn allowed(&self) -> &str {
        &self.allowed
    }
}

/// The settings as they were given. What was not given follows from the others.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) error_threshold: Option<u32>,
    pub(crate) reset_timeout: Duration,
    pub(crate) backoff_factor: f64,
    pub(crate) backoff_max: Duration,
    pub(crate) jitter: f64,
    pub(crate) success_threshold: u32,
    pub(crate) half_open_error_threshold: u32,
    pub(crate) half_open_capacity: u32,
    pub(crate) half_open_max_capacity: Option<u32>,
    pub(crate) probe_timeout: Option<Duration>,
    pub(crate) dropped_calls: Dropped,
}

impl Default for Settings {
    fn default() -> Self {
        let rules = Rules::DEFAULT;
        Settings {
            error_threshold: rules.error_threshold,
            reset_timeout: rules.reset_timeout,
            backoff_factor: rules.backoff_factor,
            backoff_max: rules.backoff_max,
            jitter: rules.jitter,
            success_threshold: rules.success_threshold,
            half_open_error_threshold: rules.half_open_error_threshold,
            half_open_capacity: rules.half_open_capacity,
            half_open_max_capacity: None,
            probe_timeout: None,
            dropped_calls: rules.dropped_calls,
        }
    }
}

impl Settings {
    pub(crate) fn approve(self) -> Result<Rules, ConfigError> {
        match self.error_threshold {
            Some(threshold) => within("error_threshold", threshold, 1, u32::MAX)?,
            None => refuse("error_threshold", format_args!("none"), "1 to 4294967295, as no other rule would open")?,
        }
        positive("reset_timeout", self.reset_timeout)?;
        if !(self.backoff_factor >= 1.0 && self.backoff_factor.is_finite()) {
            refuse("reset_backoff", format_args!("{:?}", self.backoff_factor), "a finite factor of at least 1.0")?;
        }
        if self.backoff_max < self.reset_timeout {
            let allowed = format!("a maximum of at least the reset_timeout, {:?}", self.reset_timeout);
            refuse("reset_backoff", format_args!("{:?}", self.backoff_max), allowed)?;
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            refuse("reset_jitter", format_args!("{:?}", self.jitter), "0.0 to 1.0")?;
        }
        within("success_threshold", self.success_threshold, 1, MAX_PROBES)?;
        within("half_open_error_threshold", self.half_open_error_threshold, 1, MAX_PROBES)?;
        within("half_open_capacity", self.half_open_capacity, 1, MAX_PROBES)?;
        let half_open_max_capacity = self.half_open_max_capacity.unwrap_or(self.half_open_capacity);
        within("half_open_max_capacity", half_open_max_capacity, self.half_open_capacity, MAX_PROBES)?;
        let probe_timeout = self.probe_timeout.unwrap_or(self.reset_timeout);
        positive("probe_timeout", probe_timeout)?;
        if let Dropped::FailureAfter(limit) = self.dropped_calls {
            positive("dropped_calls", limit)?;
        }
        Ok(Rules {
            error_threshold: self.error_threshold,
            reset_timeout: self.reset_timeout,
            backoff_factor: self.backoff_factor,
            backoff_max: self.backoff_max,
            jitter: self.jitter,
            success_threshold: self.success_threshold,
            half_open_error_threshold: self.half_open_error_threshold,
            half_open_capacity: self.half_open_capacity,
            half_open_max_capacity,
            probe_timeout,
            dropped_calls: self.dropped_calls,
        })
    }
}

fn within(setting: &'static str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    refuse(setting, format_args!("{value}"), format!("{least} to {most}"))
}

fn positive(setting: &'static str, value: Duration) -> Result<(), ConfigError> {
    if value > Duration::ZERO {
        return Ok(());
    }
    refuse(setting, format_args!("{value:?}"), "any duration above zero")
}

fn refuse(setting: &'static str, value: fmt::Arguments<'_>, allowed: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError { setting, value: value.to_string(), allowed: allowed.into() })
}
