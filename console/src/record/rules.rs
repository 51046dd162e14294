//! How near a breaker is to opening.

use tripcoil::{Config, Metrics, State};

/// The thresholds of a closed breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Thresholds {
    pub(crate) errors: Option<u32>,
    pub(crate) error_rate: Option<f64>,
    pub(crate) slow_call_rate: Option<f64>,
    pub(crate) minimum_calls: u64,
}

impl Thresholds {
    /// Of complete settings, as a breaker has them in force.
    pub(crate) fn of(config: &Config) -> Self {
        Thresholds {
            errors: config.error_threshold.flatten(),
            error_rate: config.error_rate,
            slow_call_rate: config.slow_call_rate,
            minimum_calls: config.minimum_calls.map_or(0, u64::from),
        }
    }
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
    rules
}

#[cfg(test)]
mod tests {
    use tripcoil::{CircuitBreaker, Window};

    use super::*;

    #[test]
    fn a_rule_is_as_full_as_the_share_of_its_threshold_once_there_are_enough_calls() {
        let breaker = CircuitBreaker::builder("payments")
            .error_threshold(5)
            .error_rate(0.5)
            .window(Window::calls(20))
            .minimum_calls(4)
            .build()
            .unwrap();
        let thresholds =
            Thresholds { errors: Some(5), error_rate: Some(0.5), slow_call_rate: None, minimum_calls: 4 };
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
}
