use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::engine::observers::Observer;
use crate::engine::shared::Terms;
use crate::name::Name;
use crate::outcome::Dropped;
use crate::transition::Transition;
use crate::window::Window;

/// Builds a [`CircuitBreaker`] with custom settings. Created by [`CircuitBreaker::builder`].
///
/// | setting | default | allowed |
/// |---|---|---|
/// | [`error_threshold`](Self::error_threshold) | 5; none once a rate rule is set | 1 to 2³² − 1; none beside a rate rule |
/// | [`error_rate`](Self::error_rate) | off | above 0.0, up to 1.0 |
/// | [`slow_call_rate`](Self::slow_call_rate) | off | above 0.0, up to 1.0 |
/// | [`slow_call_duration`](Self::slow_call_duration) | off | above zero |
/// | [`window`](Self::window) | 100 calls | 1 to 1 000 000 calls; 16 ms to 365 days |
/// | [`minimum_calls`](Self::minimum_calls) | 20, or the window's calls if fewer | 1 to the window's calls |
/// | [`reset_timeout`](Self::reset_timeout) | 30 s | above zero |
/// | [`reset_backoff`](Self::reset_backoff) | 1.0, no maximum | finite, at least 1.0; at least the reset timeout |
/// | [`reset_jitter`](Self::reset_jitter) | 0.0 | 0.0 to 1.0 |
/// | [`success_threshold`](Self::success_threshold) | 2 | 1 to 127 |
/// | [`half_open_error_threshold`](Self::half_open_error_threshold) | 1 | 1 to 127 |
/// | [`half_open_capacity`](Self::half_open_capacity) | 1 | 1 to 127 |
/// | [`half_open_max_capacity`](Self::half_open_max_capacity) | the capacity | the capacity to 127 |
/// | [`probe_timeout`](Self::probe_timeout) | the reset timeout | above zero |
/// | [`dropped_calls`](Self::dropped_calls) | [`Dropped::Ignore`] | any limit above zero |
/// | [`clock`](Self::clock) | [`MonotonicClock`](crate::clock::MonotonicClock) | |
/// | [`on_transition`](Self::on_transition) | none | any number |
///
/// The guide explains [each setting](crate::guide::settings) and [which rules to
/// choose](crate::guide::choosing_rules).
///
/// Durations are rounded up to the next millisecond and saturate; `Duration::MAX` means without end.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::CircuitBreaker;
///
/// let breaker = CircuitBreaker::builder("payments")
///     .error_threshold(3)
///     .reset_timeout(Duration::from_secs(5))
///     .reset_backoff(2.0, Duration::from_secs(60))
///     .reset_jitter(0.2)
///     .half_open_capacity(2)
///     .half_open_error_threshold(2)
///     .probe_timeout(Duration::from_secs(10))
///     .on_transition(|transition| eprintln!("{transition}"))
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct Builder {
    name: Cow<'static, str>,
    config: Config,
    clock: Option<Box<dyn Clock>>,
    observers: Vec<Observer>,
    shadow: Option<Config>,
    shadow_observers: Vec<Observer>,
    observes_only: bool,
}

impl CircuitBreaker {
    /// Starts building a breaker with custom settings. [`Builder`] lists them.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> Builder {
        Builder {
            name: name.into(),
            config: Config::default(),
            clock: None,
            observers: Vec::new(),
            shadow: None,
            shadow_observers: Vec::new(),
            observes_only: false,
        }
    }
}

impl Builder {
    /// Opens the breaker after this many consecutive failures. Default: 5, or none once a rate rule is set.
    ///
    /// `None` turns the rule off. [`build`](Self::build) returns an error if no other rule could open the
    /// breaker.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// // Opens when half of the calls fail, or after ten consecutive failures.
    /// let breaker = CircuitBreaker::builder("payments").error_rate(0.5).error_threshold(10).build()?;
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn error_threshold(mut self, errors: impl Into<Option<u32>>) -> Self {
        self.config.error_threshold = Some(errors.into());
        self
    }

    /// Opens the breaker when at least this share of the calls in the [`window`](Self::window) failed. Above
    /// 0.0, up to 1.0. Default: off.
    ///
    /// The share is exact: 0.7 of 10 calls is 7. Below [`minimum_calls`](Self::minimum_calls) the rate is not
    /// evaluated.
    pub fn error_rate(mut self, share: f64) -> Self {
        self.config.error_rate = Some(share);
        self
    }

    /// Opens the breaker when at least this share of the calls in the [`window`](Self::window) took at least
    /// the [`slow_call_duration`](Self::slow_call_duration). Above 0.0, up to 1.0. Default: off.
    ///
    /// The breaker's clock times each call from its admission to its settlement. A slow success counts as slow,
    /// a slow failure counts as slow and as failed, and a slow probe counts as a failed probe. A dropped call
    /// is slow if it counts as a failure and took that long; a neutral one is not.
    ///
    /// **A call that hangs counts while it hangs.** Once it has been in flight for the `slow_call_duration` it
    /// counts in this rate, (slow + hanging) / (settled + hanging). When it ends it becomes a slow call of the
    /// window. Calls in flight are counted in slices of an eighth of the `slow_call_duration`, but at least a
    /// millisecond. The breaker evaluates them whenever a call fails or is slow, and at the first admission in
    /// a slice by any thread. Under steady traffic a hanging call is noticed up to two slices late, and never
    /// early. A call that is meant to take long opts out with [`Permit::untimed`](crate::Permit::untimed). If
    /// the clock steps back by more than a slice, calls in flight at that moment are no longer noticed when
    /// they hang; later calls are.
    ///
    /// The rule takes 152 bytes for each stripe of the breaker's counts that is in use; see [`Window::time`].
    pub fn slow_call_rate(mut self, share: f64) -> Self {
        self.config.slow_call_rate = Some(share);
        self
    }

    /// A call that takes at least this long is slow. Above zero. Set it together with
    /// [`slow_call_rate`](Self::slow_call_rate).
    pub fn slow_call_duration(mut self, duration: Duration) -> Self {
        self.config.slow_call_duration = Some(duration);
        self
    }

    /// The window that rates are computed over: a number of calls, or a span of time. Default: 100 calls.
    ///
    /// The window starts empty each time the breaker closes. Ignored calls and neutral drops do not enter it.
    pub fn window(mut self, window: Window) -> Self {
        self.config.window = Some(window);
        self
    }

    /// With fewer calls in the window, rates are not evaluated. Default: 20, or the size of a window of fewer
    /// calls.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.config.minimum_calls = Some(calls);
        self
    }

    /// How long the breaker stays open before it admits a probe. Default: 30 s.
    ///
    /// There is no timer: the first call at or after the deadline is the first probe.
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.config.reset_timeout = Some(timeout);
        self
    }

    /// Each reopening without a close in between lasts `factor` times as long as the opening before, up to
    /// `max`. Default: 1.0, so every opening lasts for the reset timeout.
    ///
    /// A close, including a manual one, and a [`reset`](CircuitBreaker::reset) start over with the reset
    /// timeout.
    pub fn reset_backoff(mut self, factor: f64, max: Duration) -> Self {
        self.config.reset_backoff = Some((factor, max));
        self
    }

    /// Lengthens each opening by a random part of up to this share, so that the replicas of a service do not
    /// probe all at once. 0.0 to 1.0. Default: 0.0.
    ///
    /// Jitter applies after the backoff: with a share of 0.1 an opening lasts up to 1.1 times the backoff's
    /// `max`. It never shortens an opening.
    pub fn reset_jitter(mut self, share: f64) -> Self {
        self.config.reset_jitter = Some(share);
        self
    }

    /// Closes the breaker after this many consecutive probe successes. Default: 2.
    pub fn success_threshold(mut self, successes: u32) -> Self {
        self.config.success_threshold = Some(successes);
        self
    }

    /// Reopens the breaker after this many probe failures in one half-open episode. Default: 1.
    pub fn half_open_error_threshold(mut self, errors: u32) -> Self {
        self.config.half_open_error_threshold = Some(errors);
        self
    }

    /// The number of probes that may be in flight at the same time. Default: 1.
    pub fn half_open_capacity(mut self, probes: u32) -> Self {
        self.config.half_open_capacity = Some(probes);
        self
    }

    /// Slow start: each probe success raises the capacity of this half-open episode by one, up to this maximum.
    /// Default: the `half_open_capacity`, so the capacity stays the same.
    pub fn half_open_max_capacity(mut self, probes: u32) -> Self {
        self.config.half_open_max_capacity = Some(probes);
        self
    }

    /// How long the newest probe may go without an outcome before the probes in flight stop blocking new ones.
    /// Default: the reset timeout.
    ///
    /// If all slots are taken when this time is over, the next caller starts a new round of probes. It becomes
    /// the first probe of that round, and all other slots are free again: up to `half_open_capacity`, without
    /// the raise of slow start. The counts of successes and errors stay, and observers are not called. A probe
    /// that never ends therefore costs one such wait, however many successes are needed, and never blocks the
    /// breaker permanently.
    ///
    /// A silent probe of an earlier round still counts when it ends: a success counts towards
    /// `success_threshold`, a failure as an error. It frees no slot. So a dependency that always takes longer
    /// than the `probe_timeout` can still close the breaker.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.config.probe_timeout = Some(timeout);
        self
    }

    /// How a call counts that was dropped before it finished. Default: [`Dropped::Ignore`].
    pub fn dropped_calls(mut self, dropped: Dropped) -> Self {
        self.config.dropped_calls = Some(dropped);
        self
    }

    /// Applies every setting that `config` contains; the others keep their values.
    ///
    /// Later sources override earlier ones: `config` overrides settings made before this call, and settings
    /// made after it override `config`.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.or(self.config);
        self
    }

    /// The clock that the breaker reads. Default: [`MonotonicClock`](crate::clock::MonotonicClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Adds an observer that is called at each change of state. Default: none. You can add several.
    ///
    /// Observers are called one at a time, once for each transition, in the order of the transitions and of
    /// their registration, outside every lock. They run on a thread that used the breaker, so keep them short.
    /// They may call the breaker; a transition that they cause is reported after the current one. Panics in
    /// observers are caught and affect neither the breaker nor other observers.
    ///
    /// While one thread runs the observers, other threads do not wait. They append their transitions to a
    /// backlog, and the thread that runs the observers continues until the backlog is empty. No transition is
    /// skipped, so the backlog has no bound: if transitions come faster than the observers return, each adds at
    /// most 320 bytes on a 64-bit machine. The backlog shrinks again when the observers catch up. If your
    /// observer may be slow, send the transition to a bounded channel.
    pub fn on_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Tries other settings beside the breaker's own from the start, like [`CircuitBreaker::shadow`] does for a
    /// running breaker. Default: none.
    pub fn shadow(mut self, config: Config) -> Self {
        self.shadow = Some(config);
        self
    }

    /// Adds an observer of the state changes that a shadow would make. Default: none.
    ///
    /// Observers added with [`on_transition`](Self::on_transition) are not called for these, so a shadow
    /// triggers no alerts. Each shadow counts its transitions from 1. Otherwise these observers are like
    /// others.
    pub fn on_shadow_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.shadow_observers.push(Box::new(observer));
        self
    }

    /// Makes the breaker observe only: it rejects no call and shows what it would do. It starts forced closed,
    /// with its own settings as its [shadow](Self::shadow). Use this to roll out a breaker.
    ///
    /// An observer of [`on_transition`](Self::on_transition) is called for the change to
    /// [`State::ForcedClosed`](crate::State::ForcedClosed). To activate the breaker, close it and end the
    /// shadow.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::builder("payments").error_threshold(3).observe_only().build()?;
    /// for _ in 0..5 {
    ///     breaker.try_acquire().expect("it rejects no call").failure();
    /// }
    /// let shadow = breaker.metrics().shadow.unwrap();
    /// assert_eq!((shadow.state, shadow.rejected_count), (State::Open, 2));
    ///
    /// breaker.transition_to(State::Closed);
    /// breaker.end_shadow();
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn observe_only(mut self) -> Self {
        self.observes_only = true;
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is out of range or contradicts another one. The error names the setting,
    /// the value and the allowed range. Values are never adjusted silently.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        let (name, terms) = self.terms()?;
        Ok(CircuitBreaker::with(name, Arc::new(terms)))
    }

    pub(crate) fn terms(self) -> Result<(Name, Terms), ConfigError> {
        let settings = self.config.clone().approve()?;
        let shadow = self.shadow.or(self.observes_only.then_some(self.config));
        let shadow = shadow.map(|config| Ok((config.clone(), config.approve()?))).transpose()?;
        let terms = Terms {
            shadow_observers: self.shadow_observers.into(),
            shadow: shadow.map(Box::new),
            observes_only: self.observes_only,
            ..Terms::new(settings, self.clock, self.observers.into())
        };
        Ok((self.name.into(), terms))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("config", &self.config)
            .field("observers", &self.observers.len())
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}
