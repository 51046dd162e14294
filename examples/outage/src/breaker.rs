use std::fmt;
use std::time::{Duration, Instant};

use tripcoil::{Builder, CircuitBreaker, Clock, Config, ConfigError, Preset, Recovery, Transition, Window};

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

/// What stands between the clients and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    Nothing,
    /// A breaker that rejects nothing, and shows what it would do by these settings.
    Observing(Preset),
    /// A breaker on which nothing is set but the rule.
    Defaults(Rule),
    /// A breaker with these settings, and with a recovery of this length if there is one.
    Preset(Preset, Option<Duration>),
    /// A breaker that is set for this server.
    Tuned(Rule),
}

impl Protection {
    /// One for each run. With a shadow, the first run has a breaker too, which only observes.
    pub(crate) const fn all(rule: Rule, preset: Preset, ramp: Option<Duration>, has_shadow: bool) -> [Protection; 4] {
        let first = if has_shadow { Protection::Observing(preset) } else { Protection::Nothing };
        [first, Protection::Defaults(rule), Protection::Preset(preset, ramp), Protection::Tuned(rule)]
    }

    pub(crate) fn title(self) -> String {
        match self {
            Protection::Nothing => "Without a breaker".into(),
            Protection::Observing(_) => "A breaker that only observes".into(),
            Protection::Defaults(_) => "The defaults".into(),
            Protection::Preset(preset, None) => format!("The preset {preset}"),
            Protection::Preset(preset, Some(_)) => format!("The preset {preset}, with a recovery"),
            Protection::Tuned(_) => "A breaker set for this server".into(),
        }
    }

    /// What it does, in a sentence that holds for every rule and preset.
    pub(crate) const fn story(self) -> &'static str {
        match self {
            Protection::Nothing => "Everyone keeps calling and waits in vain, and the crowd keeps the server weak.",
            Protection::Observing(_) => {
                "It rejects nothing: everyone keeps calling. Its shadow shows when it would open."
            }
            Protection::Defaults(_) => "Opens, and rejects every call for 30 s before it sends the first probe.",
            Protection::Preset(_, None) => {
                "Sends the first probe after 2 s. After two good ones everyone is back at once."
            }
            Protection::Preset(_, Some(_)) => {
                "Sends the first probe after 2 s. After two good ones a growing share of the calls passes."
            }
            Protection::Tuned(_) => {
                "Probes a few times a second, then lets more and more calls through until it closes."
            }
        }
    }

    /// The title of a column.
    pub(crate) const fn short_title(self) -> &'static str {
        match self {
            Protection::Nothing => "without",
            Protection::Observing(_) => "observing",
            Protection::Defaults(_) => "defaults",
            Protection::Preset(preset, _) => preset.as_str(),
            Protection::Tuned(_) => "set for it",
        }
    }

    fn builder(self) -> Option<Builder> {
        let builder = CircuitBreaker::builder("payments");
        match self {
            Protection::Nothing => None,
            Protection::Observing(preset) => Some(builder.preset(preset).observe_only()),
            Protection::Defaults(rule) => Some(rule.set(builder)),
            Protection::Preset(preset, None) => Some(builder.preset(preset)),
            Protection::Preset(preset, Some(ramp)) => Some(builder.preset(preset).recovery(Recovery::ramp(ramp))),
            Protection::Tuned(rule) => Some(
                rule.set(builder)
                    .reset_timeout(Duration::from_millis(250))
                    .reset_backoff(1.5, Duration::from_millis(500))
                    .reset_jitter(0.2)
                    .probe_timeout(2 * PATIENCE)
                    .half_open_capacity(1)
                    .half_open_max_capacity(4)
                    .success_threshold(62),
            ),
        }
    }

    /// Adds the shadow of a preset, unless there is one or it would be the breaker's own twin.
    fn shadowed_by(self, preset: Preset, builder: Builder) -> Builder {
        match self {
            Protection::Defaults(_) | Protection::Tuned(_) => builder.shadow(preset.config()),
            Protection::Nothing | Protection::Observing(_) | Protection::Preset(..) => builder,
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
            "half_open_capacity {}, half_open_max_capacity {}, probe_timeout {}, dropped_calls {}, recovery {}",
            shown(config.half_open_capacity, ""),
            shown(config.half_open_max_capacity.or(config.half_open_capacity), ""),
            shown(config.probe_timeout.or(config.reset_timeout), ""),
            shown(config.dropped_calls, ""),
            config.recovery.as_ref().map_or_else(|| "off".into(), ToString::to_string),
        ),
    ]
}

/// Who changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Breaker,
    Shadow,
}

/// The breaker that all clients share, if there is one, with a shadow of that preset.
pub(crate) fn breaker(
    protection: Protection,
    shadow: Option<Preset>,
    start: Instant,
    observer: impl Fn(Subject, &Transition) + Clone + Send + Sync + 'static,
) -> Result<Option<CircuitBreaker>, ConfigError> {
    let Some(builder) = protection.builder() else { return Ok(None) };
    let builder = match shadow {
        Some(preset) => protection.shadowed_by(preset, builder),
        None => builder,
    };
    let of_shadow = observer.clone();
    let builder = builder
        .clock(Stopwatch(start))
        .on_transition(move |transition| observer(Subject::Breaker, transition))
        .on_shadow_transition(move |transition| of_shadow(Subject::Shadow, transition));
    builder.build().map(Some)
}

/// Tells the time since the run began, so that transitions and calls are on one time axis.
struct Stopwatch(Instant);

impl Clock for Stopwatch {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripcoil::State;

    fn built(protection: Protection, shadow: Option<Preset>) -> Option<CircuitBreaker> {
        breaker(protection, shadow, Instant::now(), |_, _| {}).unwrap()
    }

    #[test]
    fn what_the_stories_say_of_the_settings_is_so() {
        for rule in Rule::ALL {
            let defaults = built(Protection::Defaults(rule), None).unwrap().config();
            assert_eq!(defaults.reset_timeout, Some(Duration::from_secs(30)));
            let tuned = built(Protection::Tuned(rule), None).unwrap().config();
            assert_eq!(tuned.reset_timeout, Some(Duration::from_millis(250)));
            assert_eq!(tuned.reset_backoff.unwrap().1, Duration::from_millis(500));
        }
        for preset in Preset::ALL {
            let config = built(Protection::Preset(preset, None), None).unwrap().config();
            assert_eq!((config.reset_timeout, config.success_threshold), (Some(Duration::from_secs(2)), Some(2)));
        }
    }

    #[test]
    fn every_breaker_but_the_presets_own_has_the_shadow() {
        for preset in Preset::ALL {
            let runs = Protection::all(Rule::Slow, preset, None, true);
            let breakers = runs.map(|protection| built(protection, Some(preset)).unwrap());
            assert_eq!(breakers.each_ref().map(|one| one.metrics().shadow.is_some()), [true, true, false, true]);
            assert_eq!(breakers[0].state(), State::ForcedClosed);
        }
        for protection in Protection::all(Rule::Slow, Preset::Responsive, None, false) {
            let shadow = built(protection, None).and_then(|breaker| breaker.metrics().shadow);
            assert_eq!(shadow, None, "{protection:?}");
        }
    }

    #[test]
    fn all_settings_are_printed_where_there_is_a_breaker() {
        let runs = Protection::all(Rule::Consecutive, Preset::Responsive, Some(Duration::from_secs(1)), false);
        assert_eq!(runs.map(|protection| protection.settings().len()), [0, 3, 3, 3]);
    }
}
