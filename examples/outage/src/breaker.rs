use std::time::{Duration, Instant};

use tripcoil::{Builder, CircuitBreaker, Clock, ConfigError, Transition, Window};

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

    /// What has to happen.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Rule::Consecutive => "5 failures in a row",
            Rule::Calls => "half of the last 100 calls failed",
            Rule::Time => "half of the calls of the last 2 s failed",
            Rule::Slow => "half of the last 100 calls took 50 ms or hang for so long",
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

/// The breaker that all clients share.
pub(crate) fn breaker(
    rule: Rule,
    start: Instant,
    observer: impl Fn(&Transition) + Send + Sync + 'static,
) -> Result<CircuitBreaker, ConfigError> {
    rule.set(CircuitBreaker::builder("payments"))
        .clock(Stopwatch(start))
        .reset_timeout(Duration::from_millis(250))
        .reset_backoff(1.5, Duration::from_millis(500))
        .reset_jitter(0.2)
        .probe_timeout(2 * PATIENCE)
        .half_open_capacity(1)
        .half_open_max_capacity(4)
        .success_threshold(62)
        .on_transition(observer)
        .build()
}

/// Tells the time since the run began, so that transitions and calls are on one time axis.
struct Stopwatch(Instant);

impl Clock for Stopwatch {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
