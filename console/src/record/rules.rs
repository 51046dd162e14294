//! How near a breaker is to opening.

use tripcoil::{Config, Metrics, State, Window};

/// The thresholds of a closed breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) errors: Option<u32>,
    pub(crate) error_rate: Option<f64>,
    pub(crate) slow_call_rate: Option<f64>,
    pub(crate) drop_rate: Option<f64>,
    pub(crate) minimum_calls: u64,
}

impl Thresholds {
    /// Of the settings in force. What was not given follows from the others, as [`Builder`](tripcoil::Builder) says.
    pub(crate) fn of(config: &Config) -> Self {
        // A drop rate stands beside the rule about errors.
        let has_rates = config.error_rate.is_some() || config.slow_call_rate.is_some();
        let fewest = config.window.and_then(calls_of).map_or(20, |calls| calls.min(20));
        Thresholds {
            errors: config.error_threshold.unwrap_or((!has_rates).then_some(5)),
            error_rate: config.error_rate,
            slow_call_rate: config.slow_call_rate,
            drop_rate: config.drop_rate,
            minimum_calls: config.minimum_calls.map_or(fewest, u64::from),
        }
    }
}

/// The calls of a window of calls.
fn calls_of(window: Window) -> Option<u64> {
    window.to_string().strip_suffix(" calls")?.parse().ok()
}

/// One rule of a closed breaker, and how far it is from being met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) threshold: f64,
    /// Whether there are enough calls for a judgement.
    pub(crate) is_judged: bool,
}

impl Rule {
    /// The share of the way to the threshold, from 0 to 1.
    pub(crate) fn pressure(&self) -> f64 {
        if self.is_judged { (self.value / self.threshold).min(1.0) } else { 0.0 }
    }
}

/// Empty unless the breaker is closed, for no rule opens it then.
#[expect(clippy::cast_precision_loss, reason = "a run of errors is far below 2^52")]
pub(crate) fn rules(metrics: &Metrics, thresholds: &Thresholds) -> Vec<Rule> {
    let mut rules = Vec::new();
    if metrics.state != State::Closed {
        return rules;
    }
    if let Some(threshold) = thresholds.errors {
        let value = metrics.consecutive_error_count as f64;
        rules.push(Rule { name: "error_threshold", value, threshold: f64::from(threshold), is_judged: true });
    }
    let Some(window) = metrics.window else { return rules };
    if let Some(threshold) = thresholds.error_rate {
        let is_judged = window.calls >= thresholds.minimum_calls.max(1);
        rules.push(Rule { name: "error_rate", value: window.error_rate(), threshold, is_judged });
    }
    if let Some(threshold) = thresholds.slow_call_rate {
        let is_judged = window.calls + window.hanging_calls >= thresholds.minimum_calls.max(1);
        rules.push(Rule { name: "slow_call_rate", value: window.slow_call_rate(), threshold, is_judged });
    }
    if let Some(threshold) = thresholds.drop_rate {
        let with_drops = window.calls + window.dropped_calls;
        let is_judged = with_drops >= thresholds.minimum_calls.max(1);
        let value = if with_drops == 0 { 0.0 } else { window.dropped_calls as f64 / with_drops as f64 };
        rules.push(Rule { name: "drop_rate", value, threshold, is_judged });
    }
    rules
}

#[cfg(test)]
mod tests {
    use tripcoil::CircuitBreaker;

    use super::*;

    #[test]
    fn what_was_not_given_follows_from_the_other_settings() {
        let of = |builder: tripcoil::Builder| Thresholds::of(&builder.build().unwrap().config());
        let by_name = || CircuitBreaker::builder("payments");
        assert_eq!(of(by_name()).errors, Some(5));
        assert_eq!(of(by_name().error_rate(0.5)).errors, None);
        assert_eq!(of(by_name().error_rate(0.5)).minimum_calls, 20);
        assert_eq!(of(by_name().error_rate(0.5).window(Window::calls(7))).minimum_calls, 7);
    }

    #[test]
    fn a_rule_is_as_full_as_the_share_of_its_threshold_once_there_are_enough_calls() {
        let breaker = CircuitBreaker::builder("payments")
            .error_threshold(5)
            .error_rate(0.5)
            .window(Window::calls(20))
            .minimum_calls(4)
            .build()
            .unwrap();
        let thresholds = Thresholds::of(&breaker.config());
        let pressures = || rules(&breaker.metrics(), &thresholds).iter().map(Rule::pressure).collect::<Vec<_>>();
        assert_eq!(pressures(), [0.0, 0.0]);
        breaker.try_acquire().unwrap().failure();
        assert_eq!(pressures(), [0.2, 0.0]);
        for _ in 0..3 {
            breaker.try_acquire().unwrap().success();
        }
        assert_eq!(pressures(), [0.0, 0.5]);
        breaker.force_open();
        assert!(pressures().is_empty());
    }

    #[test]
    fn drops_count_beside_the_calls_that_settled() {
        let breaker = CircuitBreaker::builder("replica")
            .drop_rate(0.8)
            .window(Window::calls(20))
            .minimum_calls(4)
            .build()
            .unwrap();
        let thresholds = Thresholds::of(&breaker.config());
        for _ in 0..3 {
            drop(breaker.try_acquire().unwrap());
        }
        breaker.try_acquire().unwrap().success();
        breaker.try_acquire().unwrap().success();
        let rules = rules(&breaker.metrics(), &thresholds);
        assert_eq!(rules[0].name, "error_threshold");
        assert_eq!(rules[1..], [Rule { name: "drop_rate", value: 0.6, threshold: 0.8, is_judged: true }]);
    }
}
