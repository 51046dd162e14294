use std::fmt;
use std::time::Duration;

pub use crate::cause::Cause;
use crate::metrics::WindowMetrics;
use crate::name::Name;
use crate::state::State;

/// What [`order`](crate::CircuitBreaker::order) makes of a breaker.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Order, State};
///
/// let breaker = CircuitBreaker::new("payments");
/// breaker.order(Order::Hold(Duration::from_secs(5)), None).unwrap();
/// assert_eq!(breaker.state(), State::Open);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// Open, for this long, without backoff and jitter.
    Hold(Duration),
    /// Half-open: the next calls are probes.
    Probe,
    /// Closed by steps, as with a [`Recovery::ramp`](crate::Recovery::ramp) over `ramp`: a growing share of the calls
    /// passes, from 2.5 % on, before the breaker closes.
    ///
    /// The breaker needs no [`recovery`](crate::Builder::recovery) for this. If it has one, it does not apply to these
    /// steps. From open, half-open and forced open, the breaker becomes half-open at the first step. If it is within steps
    /// already, it starts again at the first one. A breaker that lets every call pass does not go back to a share of
    /// them: a closed breaker stays at its revision, and one that is forced closed closes at once.
    ///
    /// Any duration is allowed. With zero, the breaker closes at once. Each of the twenty steps lasts a twentieth of the
    /// ramp, rounded up to the next millisecond, and to 0.0002 % if it is longer than 17 minutes.
    ///
    /// The guide on [recovery by steps](crate::guide::recovery) explains what happens within a step.
    SlowClose {
        /// How long it takes from the order to the close.
        ramp: Duration,
    },
    /// Closed.
    Close,
    /// Forced open.
    ForceOpen,
    /// Forced closed.
    ForceClosed,
    /// Closed, with every count cleared, as by [`reset`](crate::CircuitBreaker::reset).
    Reset,
}

/// Where a breaker has come to: its state, and which stretch between two transitions this is.
///
/// Two revisions of one breaker are equal if no transition lies between them, not even one into the state that already
/// held. Calls and their outcomes change none. Revisions of different breakers have nothing to do with each other.
///
/// ```
/// use tripcoil::{CircuitBreaker, State};
///
/// let breaker = CircuitBreaker::new("payments");
/// let before = breaker.revision();
/// breaker.try_acquire().unwrap().failure();
/// assert_eq!(breaker.revision(), before);
/// breaker.force_open();
/// assert!(before.is_before(breaker.revision()));
/// assert_eq!(breaker.revision().state(), State::ForcedOpen);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    /// Wraps after 2²⁹.
    pub(crate) epoch: u32,
    pub(crate) state: State,
    pub(crate) sequence: u64,
}

impl Revision {
    /// The state.
    #[must_use]
    pub const fn state(self) -> State {
        self.state
    }

    /// The changes of state so far: the [`sequence`](Transition::sequence) of the last one.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }

    /// Whether this one came before `other`, a revision of the same breaker. Exact for revisions that are less than 2²⁸
    /// transitions apart.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        const EPOCHS: u32 = 1 << 29;
        let ahead = other.epoch.wrapping_sub(self.epoch) % EPOCHS;
        ahead > 0 && ahead < EPOCHS / 2
    }
}

/// A change of state, as passed to [observers](crate::Builder::on_transition).
///
/// The counts are those of the state that the breaker left, including the outcome that ended it: five errors
/// where an `error_threshold` of 5 was met.
///
/// Its text is ``circuit breaker `payments`: closed -> open (error_threshold)``.
///
/// ```
/// use tripcoil::{Cause, CircuitBreaker, State};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .error_threshold(1)
///     .on_transition(|transition| {
///         assert_eq!((transition.from, transition.to), (State::Closed, State::Open));
///         assert_eq!(transition.cause, Cause::ErrorThreshold);
///         assert_eq!(transition.consecutive_error_count, 1);
///         assert_eq!(transition.sequence, 1);
///     })
///     .build()?;
/// let _ = breaker.call_sync(|| "x".parse::<u32>());
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The breaker's name.
    pub name: Name,
    /// The previous state.
    pub from: State,
    /// The new state.
    pub to: State,
    /// What caused the transition.
    pub cause: Cause,
    /// 1 for the breaker's first change of state, 2 for its second, and so on. `reset` does not restart it.
    pub sequence: u64,
    /// When it happened, by the breaker's [`Clock`](crate::Clock).
    pub at: Duration,
    /// How long the breaker stays open, if the new state is [`State::Open`].
    pub open_for: Option<Duration>,
    /// Failures since the last success if it was closed, failed probes if it was half-open, otherwise 0.
    pub consecutive_error_count: u64,
    /// Successful probes since the last failed one if it was half-open, otherwise 0.
    pub consecutive_success_count: u64,
    /// Calls rejected since the breaker was last closed. On a close this is how many calls the outage rejected.
    /// A call that is being rejected at the same moment may be missing.
    pub rejected_count: u64,
    /// The window, if there are rate rules and the breaker was closed, or of the step, if it was within the steps of its
    /// [`recovery`](crate::Builder::recovery).
    pub window: Option<WindowMetrics>,
    pub(crate) epoch: u32,
}

impl Transition {
    /// The breaker's revision right after this transition.
    ///
    /// It shows whether the transition came before or after an [order](crate::CircuitBreaker::order) of your own.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        Revision { epoch: self.epoch, state: self.to, sequence: self.sequence }
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transition { name, from, to, cause, .. } = self;
        write!(f, "circuit breaker `{name}`: {from} -> {to} ({cause})")
    }
}
