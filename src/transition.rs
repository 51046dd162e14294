use std::fmt;
use std::time::Duration;

pub use crate::cause::Cause;
use crate::metrics::WindowMetrics;
use crate::name::Name;
use crate::state::State;

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
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transition { name, from, to, cause, .. } = self;
        write!(f, "circuit breaker `{name}`: {from} -> {to} ({cause})")
    }
}
