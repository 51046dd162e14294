mod acquire;
pub(crate) mod admitted;
pub(crate) mod builder;
pub(crate) mod call;
pub(crate) mod changed;
pub(crate) mod classified;
mod future_ext;
pub(crate) mod owned_permit;
pub(crate) mod permit;
mod shadow;
pub(crate) mod within;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, ConfigError, ValidSettings};
#[cfg(feature = "registry")]
use crate::engine::membership::Membership;
use crate::engine::shared::Shared;
use crate::engine::{Engine, Observing};
use crate::error::Rejected;
use crate::metrics::Metrics;
use crate::name::Name;
use crate::state::State;
use crate::transition::{Order, Revision, Transition};

pub use admitted::Admitted;
pub use builder::Builder;
pub use call::Call;
pub use changed::Changed;
pub use classified::{Guarded, OwnedGuarded};
pub use future_ext::GuardedBy;
pub use owned_permit::OwnedPermit;
pub use permit::Permit;
pub use within::Within;

/// A circuit breaker.
///
/// Create one for each dependency and share it: in a `static`, by reference, or in an [`Arc`]. Threads and
/// async tasks can use the same one.
///
/// | to protect | use |
/// |---|---|
/// | one future | [`call`](Self::call), [`call_with`](Self::call_with); with a time-out [`call_within`](Self::call_within) |
/// | one closure | [`call_sync`](Self::call_sync), [`call_sync_with`](Self::call_sync_with) |
/// | a call that treats a probe differently | [`call_admitted`](Self::call_admitted), [`call_sync_admitted`](Self::call_sync_admitted) |
/// | a function, at its definition | [`wrap`](Self::wrap), [`wrap_sync`](Self::wrap_sync) |
/// | many call sites with one judge | [`ignoring`](Self::ignoring), [`judging`](Self::judging) |
/// | other code | [`try_acquire`](Self::try_acquire), [`acquire`](Self::acquire), [`acquire_blocking`](Self::acquire_blocking) |
///
/// ```
/// use tripcoil::{CircuitBreaker, State};
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new("parser");
///
/// for _ in 0..5 {
///     assert!(BREAKER.call_sync(|| "twelve".parse::<u32>()).is_err());
/// }
/// assert_eq!(BREAKER.state(), State::Open);
/// assert!(BREAKER.call_sync(|| "12".parse::<u32>()).unwrap_err().is_rejected());
/// ```
// In this order: the engine ends with what its first thread writes at each call, and every look-up in a registry reads
// the membership.
#[repr(C)]
pub struct CircuitBreaker {
    #[cfg(feature = "registry")]
    membership: Membership,
    engine: Engine,
}

impl CircuitBreaker {
    crate::sync::const_unless_loom! {
        /// Creates a breaker with the default settings. [`Builder`] lists them.
        ///
        /// ```
        /// use tripcoil::CircuitBreaker;
        ///
        /// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
        /// assert_eq!(BREAKER.name(), "payments");
        /// ```
        #[must_use]
        pub fn new(name: &'static str) -> Self {
            CircuitBreaker {
                #[cfg(feature = "registry")]
                membership: Membership::none(),
                engine: Engine::new(Name::new(name)),
            }
        }
    }

    pub(crate) fn with(name: Name, shared: Arc<Shared>) -> Self {
        CircuitBreaker {
            #[cfg(feature = "registry")]
            membership: Membership::none(),
            engine: Engine::with(name, shared),
        }
    }

    /// A breaker of the registry that `terms` name.
    #[cfg(feature = "registry")]
    pub(crate) fn member(name: Name, shared: Arc<Shared>, membership: Membership) -> Self {
        CircuitBreaker { membership, engine: Engine::with(name, shared) }
    }

    #[cfg(feature = "registry")]
    #[inline]
    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Attempts to acquire a permit without waiting.
    ///
    /// Use it for code that is neither one closure nor one future. See [`Permit`] for what happens when a
    /// permit is dropped.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the breaker is open, forced open, or half-open with all slots taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let permit = breaker.try_acquire()?;
    /// // ... make the call ...
    /// permit.success();
    /// # Ok::<(), tripcoil::Rejected>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejected> {
        Permit::acquire(&self.engine)
    }

    /// The breaker's name.
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// The current state.
    ///
    /// This is a pure read. It never moves the breaker and never reads the clock. An open breaker stays open
    /// until a call comes, however long ago its reset timeout was over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::clock::ManualClock;
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let clock = ManualClock::new();
    /// let breaker = CircuitBreaker::builder("payments").clock(clock.clone()).build()?;
    /// breaker.open_for(Duration::from_secs(5));
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(breaker.state(), State::Open);
    ///
    /// let probe = breaker.try_acquire().unwrap();
    /// assert_eq!(breaker.state(), State::HalfOpen);
    /// # probe.success();
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn state(&self) -> State {
        self.engine.state()
    }

    /// Returns a snapshot of the counts.
    ///
    /// It sums the stripes that hold the counts: at most three, and two for each core, however many threads
    /// have used the breaker. Use it for a scrape, not for each call. It reads the clock for
    /// [`retry_after`](Metrics::retry_after), [`LastError::ago`](crate::LastError::ago) and windows of time. It
    /// never moves the breaker.
    pub fn metrics(&self) -> Metrics {
        self.engine.metrics()
    }

    /// Like [`metrics`](Self::metrics), but with totals and a transition count that [`reset`](Self::reset) does
    /// not clear.
    ///
    /// Use it for exporters, whose counters must never decrease.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.try_acquire().unwrap().success();
    /// breaker.reset();
    /// assert_eq!(breaker.metrics().total_success_count, 0);
    /// assert_eq!(breaker.lifetime_metrics().total_success_count, 1);
    /// ```
    pub fn lifetime_metrics(&self) -> Metrics {
        self.engine.lifetime_metrics()
    }

    /// Returns a future that waits for the next change of state after this call. Await it, or block on it with
    /// [`Changed::wait`].
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let changed = breaker.changed();
    /// breaker.force_open();
    /// assert_eq!(changed.await, State::ForcedOpen);
    /// # });
    /// ```
    pub fn changed(&self) -> Changed<'_> {
        Changed::new(&self.engine)
    }

    /// Moves the breaker to `state`, from any state.
    ///
    /// [`State::Open`] lasts for the current reset timeout, with backoff and jitter. A forced state lasts until
    /// another manual transition or a [`reset`](Self::reset).
    ///
    /// Like every transition, including one into the current state, this starts a new epoch: the counts of the
    /// state are zero, and calls in flight change the totals only. Observers are called only if the state
    /// changes.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.transition_to(State::HalfOpen); // close only after two probes
    /// for _ in 0..2 {
    ///     breaker.call_sync(|| Ok::<_, ()>(())).unwrap();
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// ```
    pub fn transition_to(&self, state: State) {
        self.engine.transition_to(state);
    }

    /// Opens the breaker for `cool_down`, from any state.
    ///
    /// `cool_down` is rounded up to the next millisecond. It applies once, without backoff and jitter.
    /// Afterwards the breaker probes as usual.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.open_for(Duration::from_secs(300));
    /// let error = breaker.call_sync(|| Ok::<_, ()>(())).unwrap_err();
    /// assert!(error.retry_after() > Some(Duration::from_secs(299)));
    /// ```
    pub fn open_for(&self, cool_down: Duration) {
        self.engine.open_for(cool_down);
    }

    /// Rejects every call until another manual transition or a [`reset`](Self::reset).
    ///
    /// The rejections have no [`retry_after`](Rejected::retry_after), because nobody knows how long the state
    /// lasts.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.force_open();
    /// assert_eq!(breaker.try_acquire().unwrap_err().retry_after(), None);
    /// breaker.transition_to(State::Closed);
    /// assert!(breaker.try_acquire().is_ok());
    /// ```
    pub fn force_open(&self) {
        self.transition_to(State::ForcedOpen);
    }

    /// Admits every call and never opens, until another manual transition or a [`reset`](Self::reset).
    ///
    /// Outcomes still count in the totals.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.force_closed();
    /// for _ in 0..100 {
    ///     let _ = breaker.call_sync(|| Err::<(), _>("down"));
    /// }
    /// assert_eq!(breaker.state(), State::ForcedClosed);
    /// assert_eq!(breaker.metrics().total_error_count, 100);
    /// ```
    pub fn force_closed(&self) {
        self.transition_to(State::ForcedClosed);
    }

    /// Returns the current settings. Layer others over them with [`Config::or`].
    ///
    /// Every field is set, except those that follow from others: `error_threshold`, `minimum_calls`,
    /// `half_open_max_capacity` and `probe_timeout` if you left them unset, and the settings of rates if there
    /// are none. So another breaker with this `Config` has the same settings. If you change some of them, the
    /// others follow as in a builder.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::{CircuitBreaker, Config};
    ///
    /// let breaker = CircuitBreaker::builder("payments").error_threshold(3).build()?;
    /// assert_eq!(breaker.config().error_threshold, Some(Some(3)));
    ///
    /// // Settings that the environment leaves unset stay as they are.
    /// let env = Config::from_vars("PAYMENTS_BREAKER_", [("PAYMENTS_BREAKER_RESET_TIMEOUT", "10s")])?;
    /// breaker.reconfigure(env.or(breaker.config()))?;
    /// assert_eq!(breaker.config().error_threshold, Some(Some(3)));
    /// assert_eq!(breaker.config().reset_timeout, Some(Duration::from_secs(10)));
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    #[must_use]
    pub fn config(&self) -> Config {
        self.engine.with_settings(Config::of)
    }

    /// Replaces the settings of the breaker.
    ///
    /// The new settings are those of a new breaker with this `config`: **an unset field gets its default**. To
    /// change some settings and keep the others, layer it over the current ones: `config.or(breaker.config())`.
    /// The name, the clock and the observers stay.
    ///
    /// The state and the counts stay too: the run of errors, the remaining open time, the successes and
    /// failures of probes. Only [`enabled`](crate::Builder::enabled) changes the state; if a count already
    /// exceeds a new threshold, the next failure meets it. The settings that a call was admitted under decide
    /// whether it is slow and how a drop counts. The new settings decide what follows from its outcome.
    ///
    /// The window is kept unless one of the rate settings changes: `window`, `minimum_calls`, `error_rate`,
    /// `slow_call_rate` or `slow_call_duration`. Then it starts empty. Calls in flight enter it when they end,
    /// and are not noticed if they hang before.
    ///
    /// If no setting changes, this does nothing. The windows of previous settings are freed, except those the
    /// breaker was built with. While calls are in flight, 64 bytes are kept for each previous version, up to
    /// 1024 versions. A call that outlives these is judged by the current settings.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Config, State};
    ///
    /// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// BREAKER.reconfigure(Config::default().error_threshold(2))?;
    /// for _ in 0..2 {
    ///     BREAKER.try_acquire().unwrap().failure();
    /// }
    /// assert_eq!(BREAKER.state(), State::Open);
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as [`Builder::build`](crate::Builder::build). On an error nothing changes.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        let ValidSettings { settings, rates } = config.validate()?;
        self.engine.reconfigure(settings, rates.map(Arc::new).as_ref());
        Ok(())
    }

    /// Ends a forced state. In any other state nothing happens, and a breaker that is not
    /// [`enabled`](crate::Builder::enabled) stays as it is.
    ///
    /// A breaker that was forced open enters the first step of its [`recovery`](crate::Builder::recovery), without probes.
    /// If it has no recovery, it closes at once. So does a breaker that was forced closed, because its calls pass anyway.
    /// To let a breaker without a recovery close by steps, order a [`SlowClose`](crate::Order::SlowClose).
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.force_open();
    /// breaker.release();
    /// assert_eq!(breaker.state(), State::Closed);
    /// ```
    pub fn release(&self) {
        self.engine.end_force();
    }

    /// Where the breaker has come to: its state, and which stretch between two transitions this is.
    ///
    /// As [`state`](Self::state), a pure read.
    pub fn revision(&self) -> Revision {
        self.engine.revision()
    }

    /// Moves the breaker, if it is where you saw it.
    ///
    /// For what decides outside of the process, or beside the calls: a control plane, a health check, a feature flag.
    /// Read the [`revision`](Self::revision), decide, and order: with `only_at` the order is carried out only if no
    /// transition has come between. So it never undoes what an operator or the breaker's own rules did meanwhile. Without
    /// it the order is unconditional.
    ///
    /// Observers are notified of [`Cause::Remote`](crate::Cause::Remote).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::{CircuitBreaker, Order, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let seen = breaker.revision();
    /// breaker.force_open(); // An operator is faster.
    /// let found = breaker.order(Order::Hold(Duration::from_secs(5)), Some(seen)).unwrap_err();
    /// assert_eq!(found.state(), State::ForcedOpen);
    /// assert!(breaker.order(Order::Close, Some(found)).is_ok());
    /// ```
    ///
    /// # Errors
    ///
    /// The revision that the breaker has come to, if that is not `only_at`. Nothing has changed then.
    pub fn order(&self, order: Order, only_at: Option<Revision>) -> Result<Revision, Revision> {
        self.engine.order(order, only_at)
    }

    /// Keeps the breaker open for `open_for` from now on, if it is open at that revision still.
    ///
    /// The revision stays the same, and observers are not called. A breaker that stays open for longer anyway is left as it
    /// is. Returns whether the breaker is open at that revision; if not, nothing has changed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::{CircuitBreaker, Order};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let held = breaker.order(Order::Hold(Duration::from_secs(5)), None).unwrap();
    /// assert!(breaker.extend_open(held, Duration::from_secs(60)));
    /// assert!(breaker.metrics().retry_after > Some(Duration::from_secs(59)));
    /// assert_eq!(breaker.revision(), held);
    /// ```
    pub fn extend_open(&self, at: Revision, open_for: Duration) -> bool {
        self.engine.extend_open(at, open_for)
    }

    /// Adds an observer to an existing breaker, such as a `static`. It is notified of changes of state from now on, until
    /// the handle is dropped.
    ///
    /// All that [`Builder::on_transition`](crate::Builder::on_transition) says holds here too; observers that were given
    /// there come first. [`rejected_count`](crate::Transition::rejected_count) counts from the first observer on. When the
    /// handle is dropped, another thread may still be inside a last call of the observer.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let observing = BREAKER.observe(move |transition| drop(sender.send(transition.to)));
    /// BREAKER.force_open();
    /// drop(observing);
    /// BREAKER.release();
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [State::ForcedOpen]);
    /// ```
    #[must_use = "the observer is told of nothing once this is dropped"]
    pub fn observe(&self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Observing {
        self.engine.observe(Arc::new(observer))
    }

    /// Closes the breaker and clears all counts, all totals and the last error.
    ///
    /// A breaker that is not [`enabled`](crate::Builder::enabled) is forced closed afterwards, as when it was
    /// created.
    ///
    /// [`active_calls`](Metrics::active_calls) stays, because those calls are still in flight. When they end,
    /// they count in the totals and change nothing else.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.force_open();
    /// assert!(breaker.try_acquire().is_err());
    /// breaker.reset();
    /// assert_eq!(breaker.state(), State::Closed);
    /// assert_eq!(breaker.metrics().total_rejected_count, 0);
    /// ```
    pub fn reset(&self) {
        self.engine.reset();
    }
}

#[cfg(feature = "registry")]
impl Drop for CircuitBreaker {
    /// Leaves its counts to the registry that made it.
    fn drop(&mut self) {
        if let Some(group) = self.engine.group() {
            group.dropped(self.engine.id(), self.engine.counts());
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
