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

/// Makes a [`CircuitBreaker`] with settings of its own; made by [`CircuitBreaker::builder`].
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
/// Which rules to set, and what each lets through: [choosing rules](crate::guide::choosing_rules).
///
/// Durations count to the millisecond, rounded up, and saturate; `Duration::MAX` is as good as for ever.
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
    /// Begins a breaker with settings of its own, which [`Builder`] lists.
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
    /// How many calls in a row have to fail for the breaker to open. Default: 5, or none once a rate rule is
    /// set.
    ///
    /// `None` turns the rule off, which [`build`](Self::build) refuses if nothing else could open the breaker.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// // Opens on half of the calls failing, and on ten failures in a row.
    /// let breaker = CircuitBreaker::builder("payments").error_rate(0.5).error_threshold(10).build()?;
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn error_threshold(mut self, errors: impl Into<Option<u32>>) -> Self {
        self.config.error_threshold = Some(errors.into());
        self
    }

    /// Opens the breaker when at least this share of the [`window`](Self::window)'s calls failed, above 0.0 up to
    /// 1.0. Default: off.
    ///
    /// The share is exact: 0.7 of 10 calls is 7.
    pub fn error_rate(mut self, share: f64) -> Self {
        self.config.error_rate = Some(share);
        self
    }

    /// Opens the breaker when at least this share of the [`window`](Self::window)'s calls took at least the
    /// [`slow_call_duration`](Self::slow_call_duration), above 0.0 up to 1.0. Default: off.
    ///
    /// Calls are timed from their admission to their settlement by the breaker's clock. A slow success counts as
    /// slow, a slow failure as both, a slow probe as a failed one. A dropped call that counts as a failure is slow if
    /// it took that long; a neutral one is not.
    ///
    /// **A call that hangs counts while it hangs**: once it has been in flight for the `slow_call_duration` it counts in
    /// this rate, (slow + hanging) / (settled + hanging), and is a slow call of the window when it ends. Calls in flight are counted by slices, each an
    /// eighth of the `slow_call_duration`, or a millisecond if that is longer. They are looked at whenever a
    /// call fails or is slow, and by the first admission in a slice, of whichever thread. So under steady traffic a call
    /// is seen to hang up to two slices late, and never early. A call that is meant to take long opts out with
    /// [`Permit::untimed`](crate::Permit::untimed). Where the clock steps back by more than a slice, calls in flight are
    /// no longer seen to hang, and those that begin afterwards are.
    ///
    /// This takes 152 bytes for each stripe of the breaker's counts that is in use; see [`Window::time`].
    pub fn slow_call_rate(mut self, share: f64) -> Self {
        self.config.slow_call_rate = Some(share);
        self
    }

    /// From how long on a call is slow; above zero. Has to be set together with
    /// [`slow_call_rate`](Self::slow_call_rate).
    pub fn slow_call_duration(mut self, duration: Duration) -> Self {
        self.config.slow_call_duration = Some(duration);
        self
    }

    /// What the rates are taken over: a number of calls, or a span of time. Default: 100 calls.
    ///
    /// A window begins empty whenever the breaker closes. Ignored calls and neutral drops are not in it.
    pub fn window(mut self, window: Window) -> Self {
        self.config.window = Some(window);
        self
    }

    /// On fewer calls in the window no rate is judged. Default: 20, or the window's calls if they are fewer.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.config.minimum_calls = Some(calls);
        self
    }

    /// For how long the breaker stays open before it probes. Default: 30 s.
    ///
    /// No timer ends it: the first call at or after the deadline is the first probe.
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.config.reset_timeout = Some(timeout);
        self
    }

    /// Each opening out of half-open, without a close in between, lasts `factor` times as long as the one
    /// before, up to `max`. Default: 1.0, always the reset timeout.
    ///
    /// A close, also one by hand, and a [`reset`](CircuitBreaker::reset) start it anew.
    pub fn reset_backoff(mut self, factor: f64, max: Duration) -> Self {
        self.config.reset_backoff = Some((factor, max));
        self
    }

    /// Each opening lasts longer by a random part of up to this share, so that the replicas of a service do
    /// not probe all at once. Default: 0.0.
    ///
    /// It is added after the backoff: with a share of 0.1 an opening lasts up to 1.1 times the backoff's `max`.
    /// It never shortens a wait.
    pub fn reset_jitter(mut self, share: f64) -> Self {
        self.config.reset_jitter = Some(share);
        self
    }

    /// How many probes in a row have to succeed for the breaker to close. Default: 2.
    pub fn success_threshold(mut self, successes: u32) -> Self {
        self.config.success_threshold = Some(successes);
        self
    }

    /// How many probes of one half-open episode have to fail for the breaker to open again. Default: 1.
    pub fn half_open_error_threshold(mut self, errors: u32) -> Self {
        self.config.half_open_error_threshold = Some(errors);
        self
    }

    /// How many probes may be in flight at the same time. Default: 1.
    pub fn half_open_capacity(mut self, probes: u32) -> Self {
        self.config.half_open_capacity = Some(probes);
        self
    }

    /// Slow start: each probe that succeeds raises the capacity of this half-open episode by one, up to
    /// this. Default: the `half_open_capacity`, so no raise.
    pub fn half_open_max_capacity(mut self, probes: u32) -> Self {
        self.config.half_open_max_capacity = Some(probes);
        self
    }

    /// For how long the newest probe may be silent before the probes in flight no longer block new ones.
    /// Default: the reset timeout.
    ///
    /// If all slots are taken when this time is over, the next caller begins a new round of probes. It is the first probe
    /// of that round, and all other slots are free again: up to `half_open_capacity`, without the raise of slow start.
    /// The counts of successes and errors stay as they are, and observers hear nothing. A probe that never ends therefore
    /// costs one such wait, however many successes are needed, and blocks the breaker never for good.
    ///
    /// A silent probe of an earlier round still counts when it ends: a success counts towards `success_threshold`, and a
    /// failure as an error. It frees no slot. A dependency that always takes longer than the `probe_timeout` can
    /// therefore close the breaker.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.config.probe_timeout = Some(timeout);
        self
    }

    /// How a call counts that was dropped unfinished. Default: [`Dropped::Ignore`].
    pub fn dropped_calls(mut self, dropped: Dropped) -> Self {
        self.config.dropped_calls = Some(dropped);
        self
    }

    /// Takes over every setting that `config` gives; the others stay as they are.
    ///
    /// What is given last counts: settings before this are defaults that `config` may change, settings after it are fixed.
    /// [`Config`] shows it.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.or(self.config);
        self
    }

    /// Where the breaker gets the time from. Default: [`MonotonicClock`](crate::clock::MonotonicClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Adds an observer, which is told of each change of state. Default: none.
    ///
    /// Observers are called one at a time, in the order of the transitions and of their registration, each
    /// transition exactly once, outside every lock. They run on a thread that used the breaker, so they
    /// should be quick; they may call the breaker, and a transition that they cause is told after this one.
    /// A panic in one is caught: it harms neither the breaker nor the other observers.
    ///
    /// While a thread runs the observers, other threads do not wait for it: they put their transitions in a backlog,
    /// and the thread that runs the observers goes on until the backlog is empty. No transition is left out, so the
    /// backlog has no bound: if transitions come faster than the observers return, it grows by each of them, by at most
    /// 320 bytes on a 64-bit machine, and shrinks when the observers have caught up. An observer that may be slow should
    /// hand the transition to a channel of your own, which can drop what is too much.
    pub fn on_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Tries another policy beside the breaker's own, from the start: as [`CircuitBreaker::shadow`] does for a breaker
    /// at work. Default: none.
    pub fn shadow(mut self, config: Config) -> Self {
        self.shadow = Some(config);
        self
    }

    /// Adds an observer of the changes of state that a shadow would make. Default: none.
    ///
    /// The observers of [`on_transition`](Self::on_transition) are not called for them, so a shadow pages nobody. Each
    /// shadow counts its transitions from 1. What holds for other observers holds for these.
    pub fn on_shadow_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.shadow_observers.push(Box::new(observer));
        self
    }

    /// Makes a breaker that rejects no call and shows what it would do: it begins forced closed, with its own settings
    /// as its [shadow](Self::shadow). Use it to roll a breaker out.
    ///
    /// An observer of [`on_transition`](Self::on_transition) is called for the change to [`State::ForcedClosed`](crate::State::ForcedClosed). To
    /// put the breaker to work, close it and end the shadow.
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

    /// Makes the breaker.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is out of its range or contradicts another; it names the setting, the
    /// value and what is allowed. Nothing is adjusted in silence.
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
