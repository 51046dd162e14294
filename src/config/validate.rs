use std::fmt;
use std::time::Duration;

use super::origins::Origins;
use super::{Config, ConfigError};
use crate::machine::word::MAX_PROBES;
use crate::outcome::Dropped;
use crate::recovery::Recovery;
use crate::settings::{Given, Settings};
use crate::settings::{Rates, SlowRate, Span, Window};

/// Valid settings.
#[derive(Clone, Debug)]
pub(crate) struct ValidSettings {
    pub(crate) settings: Settings,
    pub(crate) rates: Option<Rates>,
}

impl Config {
    /// The rules of these settings, with the defaults for unset fields.
    pub(crate) fn validate(self) -> Result<ValidSettings, ConfigError> {
        self.find_contradiction().map_err(|error| self.as_written(error))?;
        let settings = self.with_preset();
        settings.validated().map_err(|error| settings.as_written(error))
    }

    fn validated(&self) -> Result<ValidSettings, ConfigError> {
        let rates = self.rates()?;
        let default = Settings::DEFAULT;
        let recovery_minimum_calls = self.minimum_calls.unwrap_or(default.recovery_minimum_calls);
        let error_threshold = match self.error_threshold {
            Some(threshold) => threshold,
            None if rates.as_ref().is_some_and(|rates| rates.error_rate.is_some() || rates.slow.is_some()) => None,
            None => default.error_threshold,
        };
        if error_threshold.is_none() && rates.is_none() {
            invalid("error_threshold", format_args!("none"), "1 to 4294967295, as no other rule would open")?;
        }
        let reset_timeout = self.reset_timeout.unwrap_or(default.reset_timeout);
        let (backoff_factor, backoff_max) = self.reset_backoff.unwrap_or((default.backoff_factor, default.backoff_max));
        self.within_backoff(reset_timeout, backoff_max)?;
        let half_open_capacity = self.half_open_capacity.unwrap_or(default.half_open_capacity);
        let half_open_max_capacity = self.half_open_max_capacity.unwrap_or(half_open_capacity);
        within("half_open_max_capacity", half_open_max_capacity, half_open_capacity, MAX_PROBES)?;
        let given = Given {
            error_threshold: self.error_threshold.is_some(),
            minimum_calls: self.minimum_calls.is_some(),
            half_open_max_capacity: self.half_open_max_capacity.is_some(),
            probe_timeout: self.probe_timeout.is_some(),
        };
        let settings = Settings {
            enabled: self.enabled.unwrap_or(default.enabled),
            error_threshold,
            reset_timeout,
            backoff_factor,
            backoff_max,
            jitter: self.reset_jitter.unwrap_or(default.jitter),
            success_threshold: self.success_threshold.unwrap_or(default.success_threshold),
            half_open_error_threshold: self.half_open_error_threshold.unwrap_or(default.half_open_error_threshold),
            half_open_capacity,
            half_open_max_capacity,
            probe_timeout: self.probe_timeout.unwrap_or(reset_timeout),
            dropped_calls: self.dropped_calls.unwrap_or(default.dropped_calls),
            given,
            recovery_minimum_calls,
            recovery: self.recovery.clone(),
        };
        Ok(ValidSettings { settings, rates })
    }

    /// The settings that these rules are.
    pub(crate) fn of(settings: &Settings, rates: Option<&Rates>) -> Config {
        let slow = rates.and_then(|rates| rates.slow);
        let minimum_calls = rates.map(|rates| rates.minimum_calls.try_into().unwrap_or(u32::MAX));
        let minimum_calls = minimum_calls.or(Some(settings.recovery_minimum_calls));
        Config {
            enabled: Some(settings.enabled),
            preset: None,
            error_threshold: settings.given.error_threshold.then_some(settings.error_threshold),
            error_rate: rates.and_then(|rates| rates.error_rate),
            slow_call_rate: slow.map(|slow| slow.rate),
            drop_rate: rates.and_then(|rates| rates.drop_rate),
            slow_call_duration: slow.map(|slow| slow.duration),
            window: rates.map(|rates| Window(rates.span)),
            minimum_calls: minimum_calls.filter(|_| settings.given.minimum_calls),
            reset_timeout: Some(settings.reset_timeout),
            reset_backoff: Some((settings.backoff_factor, settings.backoff_max)),
            reset_jitter: Some(settings.jitter),
            success_threshold: Some(settings.success_threshold),
            half_open_error_threshold: Some(settings.half_open_error_threshold),
            half_open_capacity: Some(settings.half_open_capacity),
            half_open_max_capacity: settings.given.half_open_max_capacity.then_some(settings.half_open_max_capacity),
            probe_timeout: settings.given.probe_timeout.then_some(settings.probe_timeout),
            dropped_calls: Some(settings.dropped_calls),
            recovery: settings.recovery.clone(),
            origins: Origins::default(),
        }
    }

    /// Checks everything that no further setting could correct.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.find_contradiction().map_err(|error| self.as_written(error))
    }

    fn find_contradiction(&self) -> Result<(), ConfigError> {
        for (setting, rate) in
            [("error_rate", self.error_rate), ("slow_call_rate", self.slow_call_rate), ("drop_rate", self.drop_rate)]
        {
            if let Some(rate) = rate.filter(|rate| !is_share(*rate)) {
                invalid(setting, format_args!("{rate:?}"), SHARE)?;
            }
        }
        let dropped_calls = match self.dropped_calls {
            Some(Dropped::FailureAfter(limit)) => Some(limit),
            _ => None,
        };
        for (setting, duration) in [
            ("slow_call_duration", self.slow_call_duration),
            ("reset_timeout", self.reset_timeout),
            ("probe_timeout", self.probe_timeout),
            ("dropped_calls", dropped_calls),
        ] {
            if duration == Some(Duration::ZERO) {
                invalid(setting, format_args!("0ns"), "any duration above zero")?;
            }
        }
        let most_calls = self.window.map_or(Ok(u32::MAX), most_calls)?;
        let capacity = self.half_open_capacity.unwrap_or(1);
        for (setting, count, least, most) in [
            ("minimum_calls", self.minimum_calls, 1, most_calls),
            ("error_threshold", self.error_threshold.flatten(), 1, u32::MAX),
            ("success_threshold", self.success_threshold, 1, MAX_PROBES),
            ("half_open_error_threshold", self.half_open_error_threshold, 1, MAX_PROBES),
            ("half_open_capacity", self.half_open_capacity, 1, MAX_PROBES),
            ("half_open_max_capacity", self.half_open_max_capacity, capacity, MAX_PROBES),
        ] {
            count.map_or(Ok(()), |count| within(setting, count, least, most))?;
        }
        if let Some((factor, max)) = self.reset_backoff {
            if !(factor >= 1.0 && factor.is_finite()) {
                invalid("reset_backoff", format_args!("{factor:?}"), FACTOR)?;
            }
            self.reset_timeout.map_or(Ok(()), |timeout| self.within_backoff(timeout, max))?;
        }
        if let Some(share) = self.reset_jitter.filter(|share| !(0.0..=1.0).contains(share)) {
            invalid("reset_jitter", format_args!("{share:?}"), JITTER)?;
        }
        self.recovery.as_ref().map_or(Ok(()), check_recovery)
    }

    fn within_backoff(&self, reset_timeout: Duration, max: Duration) -> Result<(), ConfigError> {
        if max >= reset_timeout {
            return Ok(());
        }
        let timeout = self.written_reset_timeout(reset_timeout);
        invalid("reset_backoff", format_args!("{max:?}"), format!("a maximum of at least the reset_timeout, {timeout}"))
    }

    fn rates(&self) -> Result<Option<Rates>, ConfigError> {
        let slow = match (self.slow_call_rate, self.slow_call_duration) {
            (Some(rate), Some(duration)) => Some(SlowRate { rate, duration }),
            (Some(_), None) => return unset("slow_call_duration", "a duration, as slow_call_rate is set"),
            (None, Some(_)) => return unset("slow_call_rate", "a rate, as slow_call_duration is set"),
            (None, None) => None,
        };
        if self.error_rate.is_none() && slow.is_none() && self.drop_rate.is_none() {
            let needless = "unset, as neither error_rate, slow_call_rate nor drop_rate is set";
            let needless_calls = "unset, as neither error_rate, slow_call_rate, drop_rate nor recovery is set";
            if let Some(window) = self.window {
                invalid("window", format_args!("{window}"), needless)?;
            }
            if let Some(calls) = self.minimum_calls.filter(|_| self.recovery.is_none()) {
                invalid("minimum_calls", format_args!("{calls}"), needless_calls)?;
            }
            return Ok(None);
        }
        let window = self.window.unwrap_or(Window::calls(100));
        let most = most_calls(window)?;
        let minimum_calls = self.minimum_calls.unwrap_or(most.min(20));
        within("minimum_calls", minimum_calls, 1, most)?;
        Ok(Some(Rates {
            error_rate: self.error_rate,
            slow,
            drop_rate: self.drop_rate,
            minimum_calls: minimum_calls.into(),
            span: window.0,
        }))
    }
}

/// What is allowed where a text makes no sense.
pub(super) fn form(setting: &str) -> String {
    match setting {
        "enabled" => "true or false".into(),
        "error_threshold" => format!("1 to {}, or none", u32::MAX),
        "error_rate" | "slow_call_rate" | "drop_rate" => SHARE.into(),
        "preset" => "tolerant or responsive".into(),
        "window" => {
            format!("1 to {MOST} calls, such as 100 calls, or a duration of {SHORTEST:?} to {LONGEST:?}, such as 10s")
        }
        "minimum_calls" => format!("1 to {}", u32::MAX),
        "reset_backoff" => format!("{FACTOR}, with a maximum if there is one, such as 2.0 up to 5m"),
        "reset_jitter" => JITTER.into(),
        "recovery" => {
            "rising shares with the duration of each step, such as 0.01, 0.05, 0.25, 0.5 each 30s, or a ramp, such as ramp 2m"
                .into()
        }
        "dropped_calls" => "ignore, failure, or failure after a duration, such as failure after 2s".into(),
        "slow_call_duration" | "reset_timeout" | "probe_timeout" => {
            "any duration above zero with its unit, such as 250ms, 30s or 1m 30s".into()
        }
        _ => format!("1 to {MAX_PROBES}"),
    }
}

const SHARE: &str = "above 0.0, up to 1.0";
const JITTER: &str = "0.0 to 1.0";
const FACTOR: &str = "a finite factor of at least 1.0";

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
    invalid(setting, format_args!("{value}"), format!("{least} to {most}"))
}

/// The most calls that a window can hold.
fn most_calls(window: Window) -> Result<u32, ConfigError> {
    match window.0 {
        Span::Calls(calls) if (1..=MOST).contains(&calls) => Ok(calls),
        Span::Time(time) if (SHORTEST..=LONGEST).contains(&time) => Ok(u32::MAX),
        Span::Calls(_) => invalid("window", format_args!("{window}"), format!("1 to {MOST} calls")),
        Span::Time(_) => {
            let allowed = format!("{SHORTEST:?} to {LONGEST:?}, in sixteen slices of at least 1ms");
            invalid("window", format_args!("{window}"), allowed)
        }
    }
}

fn check_recovery(recovery: &Recovery) -> Result<(), ConfigError> {
    const MOST: usize = Recovery::MOST_STEPS;

    let shares = recovery.shares();
    if !(1..=MOST).contains(&shares.len()) {
        invalid("recovery", format_args!("{} steps", shares.len()), format!("1 to {MOST} steps"))?;
    }
    if let Some(share) = shares.iter().find(|share| !is_share(**share)) {
        invalid("recovery", format_args!("a share of {share:?}"), format!("shares {SHARE}"))?;
    }
    if let Some((before, after)) = shares.iter().zip(&shares[1..]).find(|(before, after)| after < before) {
        invalid(
            "recovery",
            format_args!("a share of {after:?} after {before:?}"),
            "shares of which none is smaller than the one before",
        )?;
    }
    let (shortest, longest) = (Recovery::SHORTEST, Recovery::LONGEST);
    let each = recovery.duration();
    match recovery.as_ramp() {
        _ if (shortest..=longest).contains(&each) => Ok(()),
        Some(ramp) => {
            let [shortest, longest] = [shortest, longest].map(|each| each * Recovery::RAMP_STEPS);
            invalid("recovery", format_args!("a ramp of {ramp:?}"), format!("a ramp of {shortest:?} to {longest:?}"))
        }
        None => {
            invalid("recovery", format_args!("steps of {each:?}"), format!("steps of {shortest:?} to {longest:?} each"))
        }
    }
}

fn unset<T>(setting: &'static str, allowed: &str) -> Result<T, ConfigError> {
    invalid(setting, format_args!("not set"), allowed)
}

fn invalid<T>(setting: &'static str, value: fmt::Arguments<'_>, allowed: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::new(setting, value, allowed))
}
