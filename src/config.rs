use std::fmt::{self, Debug};
use std::time::Duration;

use crate::outcome::Dropped;
use crate::rules::Rules;
use crate::window::{Rates, SlowRate, Span, Window};
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
    #[expect(clippy::option_option, reason = "not given, given as none, or given")]
    pub(crate) error_threshold: Option<Option<u32>>,
    pub(crate) error_rate: Option<f64>,
    pub(crate) slow_call_rate: Option<f64>,
    pub(crate) slow_call_duration: Option<Duration>,
    pub(crate) window: Option<Window>,
    pub(crate) minimum_calls: Option<u32>,
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
            error_threshold: None,
            error_rate: None,
            slow_call_rate: None,
            slow_call_duration: None,
            window: None,
            minimum_calls: None,
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

/// Settings that a breaker can be made with.
#[derive(Clone, Debug)]
pub(crate) struct Approved {
    pub(crate) rules: Rules,
    pub(crate) rates: Option<Rates>,
}

impl Settings {
    pub(crate) fn approve(self) -> Result<Approved, ConfigError> {
        let rates = self.rates()?;
        let default = if rates.is_some() { None } else { Rules::DEFAULT.error_threshold };
        let error_threshold = self.error_threshold.unwrap_or(default);
        match error_threshold {
            Some(threshold) => within("error_threshold", threshold, 1, u32::MAX)?,
            None if rates.is_some() => {}
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
        let rules = Rules {
            error_threshold,
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
        };
        Ok(Approved { rules, rates })
    }

    fn rates(&self) -> Result<Option<Rates>, ConfigError> {
        for (setting, rate) in [("error_rate", self.error_rate), ("slow_call_rate", self.slow_call_rate)] {
            if let Some(rate) = rate.filter(|rate| !is_share(*rate)) {
                refuse(setting, format_args!("{rate:?}"), "above 0.0, up to 1.0")?;
            }
        }
        let slow = match (self.slow_call_rate, self.slow_call_duration) {
            (Some(rate), Some(duration)) => {
                positive("slow_call_duration", duration)?;
                Some(SlowRate { rate, duration })
            }
            (Some(_), None) => return unset("slow_call_duration", "a duration, as slow_call_rate is set"),
            (None, Some(_)) => return unset("slow_call_rate", "a rate, as slow_call_duration is set"),
            (None, None) => None,
        };
        if self.error_rate.is_none() && slow.is_none() {
            let needless = "unset, as neither error_rate nor slow_call_rate is set";
            if let Some(window) = self.window {
                refuse("window", format_args!("{window}"), needless)?;
            }
            if let Some(calls) = self.minimum_calls {
                refuse("minimum_calls", format_args!("{calls}"), needless)?;
            }
            return Ok(None);
        }
        let window = self.window.unwrap_or(Window::calls(100));
        let most = match window.0 {
            Span::Calls(calls) if (1..=MOST).contains(&calls) => calls,
            Span::Time(time) if (SHORTEST..=LONGEST).contains(&time) => u32::MAX,
            Span::Calls(_) => return refuse("window", format_args!("{window}"), format!("1 to {MOST} calls")),
            Span::Time(_) => {
                let allowed = format!("{SHORTEST:?} to {LONGEST:?}, in sixteen slices of at least 1ms");
                return refuse("window", format_args!("{window}"), allowed);
            }
        };
        let minimum_calls = self.minimum_calls.unwrap_or(most.min(20));
        within("minimum_calls", minimum_calls, 1, most)?;
        Ok(Some(Rates { error_rate: self.error_rate, slow, minimum_calls: minimum_calls.into(), span: window.0 }))
    }
}

/// Calls.
const MOST: u32 = 1_000_000;
const SHORTEST: Duration = Duration::from_millis(16);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Whether a window can hold this share of something, and holds it only if there is something.
fn is_share(rate: f64) -> bool {
    rate > 0.0 && rate <= 1.0
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

fn unset<T>(setting: &'static str, allowed: &str) -> Result<T, ConfigError> {
    refuse(setting, format_args!("not set"), allowed)
}

fn refuse<T>(setting: &'static str, value: fmt::Arguments<'_>, allowed: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError { setting, value: value.to_string(), allowed: allowed.into() })
}
