use std::sync::Arc;

use super::CircuitBreaker;
use crate::config::{Config, ConfigError, ValidSettings};
use crate::metrics::ShadowMetrics;

impl CircuitBreaker {
    /// Tries `config` beside the breaker's own settings, without consequences. A shadow rejects no call.
    ///
    /// The shadow is a complete policy with its own state, windows and probes. It judges every call that the
    /// breaker admits, even while the breaker is forced closed, except those that were already in flight. Calls
    /// that it would have rejected continue as usual, and it counts how they end. While it would be half-open,
    /// the next admitted calls are its probes, as many as its `half_open_capacity` allows; it would reject all
    /// others.
    ///
    /// A shadow does not judge calls that the breaker rejects; [`ShadowMetrics::coverage`] is the share it has
    /// judged. [`Metrics::shadow`](crate::Metrics::shadow) shows what it would have done, and
    /// [`on_shadow_transition`](crate::Builder::on_shadow_transition) adds observers. Manual transitions,
    /// [`reset`](Self::reset) and [`reconfigure`](Self::reconfigure) do not affect it. Panics of the clock or
    /// of an observer in the shadow are caught and do not affect the call.
    ///
    /// The shadow's settings are those of `config`; an unset field has its default. A further shadow replaces
    /// this one and starts from zero.
    ///
    /// # Cost
    ///
    /// A breaker without a shadow pays nothing. With a shadow, each call reads the clock, takes a lock three
    /// times briefly and settles twice. A healthy call then costs about 160 times as much, which is as much as
    /// nine readings of `Instant::now`. It allocates when more calls are in flight than before. Each call in
    /// flight takes about 100 bytes; room for a few dozen calls is kept until the breaker is dropped.
    ///
    /// # Errors
    ///
    /// The same as [`Builder::build`](crate::Builder::build). On an error nothing changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Config, State};
    ///
    /// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let mut stricter = Config::default();
    /// stricter.error_rate = Some(0.5);
    /// BREAKER.shadow(stricter)?;
    /// for call in 0..40 {
    ///     let permit = BREAKER.try_acquire()?;
    ///     if call % 2 == 0 { permit.success() } else { permit.failure() }
    /// }
    /// assert_eq!(BREAKER.state(), State::Closed);
    /// assert_eq!(BREAKER.metrics().shadow.unwrap().state, State::Open);
    ///
    /// BREAKER.promote(); // the breaker now uses the stricter settings
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shadow(&self, config: Config) -> Result<(), ConfigError> {
        let validated = config.clone().validate()?;
        self.engine.begin_shadow(config, validated);
        Ok(())
    }

    /// Ends the [`shadow`](Self::shadow) and returns its metrics, or `None` if there was none.
    ///
    /// The result does not include calls that are still in flight.
    pub fn end_shadow(&self) -> Option<ShadowMetrics> {
        self.engine.end_shadow().map(|(_, metrics)| metrics)
    }

    /// Applies the settings of the [`shadow`](Self::shadow) to the breaker and ends the shadow. Returns the
    /// shadow's metrics, or `None` if there was no shadow and nothing changes.
    ///
    /// The breaker keeps its state, as with [`reconfigure`](Self::reconfigure), and its windows start empty.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Config, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let mut config = Config::default();
    /// config.error_threshold = Some(Some(1));
    /// breaker.shadow(config)?;
    /// assert!(breaker.promote().is_some());
    /// assert!(breaker.promote().is_none());
    /// breaker.try_acquire()?.failure();
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn promote(&self) -> Option<ShadowMetrics> {
        let (config, metrics) = self.engine.end_shadow()?;
        // A shadow has settings that were validated.
        let ValidSettings { settings, rates } = config.validate().ok()?;
        self.engine.change_settings(settings, rates.map(Arc::new).as_ref(), true);
        Some(metrics)
    }
}
