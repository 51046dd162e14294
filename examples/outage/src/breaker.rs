use std::fmt;
use std::time::{Duration, Instant};

use tripcoil::{Builder, CircuitBreaker, Clock, Config, ConfigError, Transition, Window};

use crate::client::PATIENCE;

/// What opens the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Consecutive,
    Calls,
    Time,
    Slow,
}

impl Rule {
    pub(crate) const ALL: [Rule; 4] = [Rule::Consecutive, Rule::Calls, Rule::Time, Rule::Slow];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Rule::Consecutive => "consecutive",
            Rule::Calls => "calls",
            Rule::Time => "time",
            Rule::Slow => "slow",
        }
    }

    fn set(self, builder: Builder) -> Builder {
        match self {
            Rule::Consecutive => builder.error_threshold(5),
            Rule::Calls => builder.error_rate(0.5).window(Window::calls(100)),
            Rule::Time => builder.error_rate(0.5).window(Window::time(Duration::from_secs(2))),
            Rule::Slow => {
                builder.slow_call_rate(0.5).slow_call_duration(Duration::from_millis(50)).window(Window::calls(100))
            }
        }
    }
}

const RESET_TIMEOUT: Duration = Duration::from_millis(250);

/// What stands between the clients and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Nothing,
    /// A breaker on which nothing is set but the rule and the reset timeout. By default that is 30 s, longer than the
    /// whole outage.
    Defaults(Rule),
    /// A breaker that is set for this server.
    Tuned(Rule),
}

impl Protection {
    pub(crate) const fn all(rule: Rule) -> [Protection; 3] {
        [Protection::Nothing, Protection::Defaults(rule), Protection::Tuned(rule)]
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Protection::Nothing => "Without a breaker",
            Protection::Defaults(_) => "Defaults, with a reset timeout of 250 ms",
            Protection::Tuned(_) => "A breaker set for this server",
        }
    }

    fn builder(self) -> Option<Builder> {
        let builder = CircuitBreaker::builder("payments");
        match self {
            Protection::Nothing => None,
            Protection::Defaults(rule) => Some(rule.set(builder).reset_timeout(RESET_TIMEOUT)),
            Protection::Tuned(rule) => Some(
                rule.set(builder)
                    .reset_timeout(RESET_TIMEOUT)
                    .reset_backoff(1.5, Duration::from_millis(500))
                    .reset_jitter(0.2)
                    .probe_timeout(2 * PATIENCE)
                    .half_open_capacity(1)
                    .half_open_max_capacity(4)
                    .success_threshold(62),
            ),
        }
    }

    /// The settings in force, in three lines; none without a breaker.
    pub(crate) fn settings(self) -> Vec<String> {
        let breaker = self.builder().and_then(|builder| builder.build().ok());
        breaker.map(|breaker| describe(&breaker.config())).unwrap_or_default()
    }
}

/// Every setting. What was left to follow from others is written as what it follows.
fn describe(config: &Config) -> Vec<String> {
    fn shown<T: fmt::Debug>(value: Option<T>, otherwise: &str) -> String {
        value.map_or_else(|| otherwise.to_owned(), |value| format!("{value:?}"))
    }
    let rated = config.error_rate.is_some() || config.slow_call_rate.is_some();
    let threshold = config.error_threshold.flatten().map(|errors| errors.to_string());
    let (factor, max) = config.reset_backoff.unwrap_or((1.0, Duration::MAX));
    let max = if max == Duration::MAX { "no maximum".into() } else { format!("up to {max:?}") };
    vec![
        format!(
            "error_threshold {}, error_rate {}, slow_call_rate {}, slow_call_duration {}, window {}, minimum_calls {},",
            threshold.unwrap_or_else(|| if rated { "off" } else { "5" }.into()),
            shown(config.error_rate, "off"),
            shown(config.slow_call_rate, "off"),
            shown(config.slow_call_duration, "off"),
            config.window.map_or_else(|| "off".into(), |window| window.to_string()),
            shown(config.minimum_calls, if rated { "20" } else { "off" }),
        ),
        format!(
            "reset_timeout {}, reset_backoff {factor:?} {max}, reset_jitter {}, success_threshold {}, half_open_error_threshold {},",
            shown(config.reset_timeout, ""),
            shown(config.reset_jitter, ""),
            shown(config.success_threshold, ""),
            shown(config.half_open_error_threshold, ""),
        ),
        format!(
            "half_open_capacity {}, half_open_max_capacity {}, probe_timeout {}, dropped_calls {}",
            shown(config.half_open_capacity, ""),
            shown(config.half_open_max_capacity.or(config.half_open_capacity), ""),
            shown(config.probe_timeout.or(config.reset_timeout), ""),
            shown(config.dropped_calls, ""),
        ),
    ]
}

/// The breaker that all clients share, if there is one.
pub(crate) fn breaker(
    protection: Protection,
    start: Instant,
    observer: impl Fn(&Transition) + Send + Sync + 'static,
) -> Result<Option<CircuitBreaker>, ConfigError> {
    let builder = protection.builder();
    builder.map(|builder| builder.clock(Stopwatch(start)).on_transition(observer).build()).transpose()
}

/// Tells the time since the run began, so that transitions and calls are on one time axis.
struct Stopwatch(Instant);

impl Clock for Stopwatch {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
