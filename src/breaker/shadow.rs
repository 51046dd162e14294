use std::sync::Arc;

use super::CircuitBreaker;
use crate::config::{Approved, Config, ConfigError};
use crate::metrics::ShadowMetrics;

impl CircuitBreaker {
    /// Tries `config` beside the breaker's own settings, without consequences: a shadow rejects no call.
    ///
    /// The shadow is a whole policy. It has a state, windows and probes of its own, and judges every call that the
    /// breaker admits, also while that is forced closed. Calls that were in flight before are not in it. Calls that it
    /// would have rejected go on as usual, and it counts how they end. Where it would be half-open, the next admitted
    /// calls are its probes, as many as its `half_open_capacity` allows; it would reject all others.
    ///
    /// A shadow sees nothing of the calls that the breaker rejects; [`ShadowMetrics::coverage`] says how much it has
    /// seen. [`Metrics::shadow`](crate::Metrics::shadow) shows what it would have done, and
    /// [`on_shadow_transition`](crate::Builder::on_shadow_transition) takes observers. Orders, [`reset`](Self::reset)
    /// and [`reconfigure`](Self::reconfigure) do not touch it. A panic of the clock or of an observer while it is shown
    /// a call is caught; the call itself does not notice.
    ///
    /// `config` gives all settings of the shadow; what it does not give has its default. A further shadow takes the
    /// place of this one and begins anew.
    ///
    /// # Cost
    ///
    /// A breaker without a shadow pays nothing. With one, each call reads the clock, takes a lock three times for a
    /// moment and settles twice; each call in flight takes some 100 bytes.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`](crate::Builder::build). Nothing changes then.
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
    /// BREAKER.promote(); // from now on the stricter policy is the breaker's own
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shadow(&self, config: Config) -> Result<(), ConfigError> {
        let approved = config.clone().approve()?;
        self.engine.begin_shadow(config, approved);
        Ok(())
    }

    /// Ends the [`shadow`](Self::shadow) and returns what it has found, or `None` if there was none.
    ///
    /// Calls that are in flight and settled later are not in the result.
    pub fn end_shadow(&self) -> Option<ShadowMetrics> {
        self.engine.end_shadow().map(|(_, metrics)| metrics)
    }

    /// Makes the settings of the [`shadow`](Self::shadow) the breaker's own and ends the shadow. Returns what it has
    /// found, or `None` if there was none; nothing changes then.
    ///
    /// The breaker keeps its state, as with [`reconfigure`](Self::reconfigure), and its windows begin empty.
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
        // A shadow has settings that were approved.
        let Approved { rules, rates } = config.approve().ok()?;
        self.engine.change_settings(rules, rates.map(Arc::new).as_ref(), true);
        Some(metrics)
    }
}
