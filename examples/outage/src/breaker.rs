use std::time::{Duration, Instant};

use tripcoil::{CircuitBreaker, Clock, ConfigError, Transition};

use crate::client::PATIENCE;

/// The breaker that all clients share.
pub(crate) fn breaker(
    start: Instant,
    observer: impl Fn(&Transition) + Send + Sync + 'static,
) -> Result<CircuitBreaker, ConfigError> {
    CircuitBreaker::builder("payments")
        .clock(Stopwatch(start))
        .error_threshold(5)
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
