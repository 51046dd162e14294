use std::fmt;
use std::time::Duration;

pub use crate::cause::Cause;
use crate::metrics::WindowMetrics;
use crate::name::Name;
use crate::state::State;

/// A change of state, as [observers](crate::Builder::on_transition) are told of it.
///
/// The counts are those of the state that was left, the outcome that ended it among them: five errors
/// where an `error_threshold` of 5 was met.
///
/// It is displayed as ``circuit breaker `payments`: closed -> open (error_threshold)``.
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
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// What caused it.
    pub cause: Cause,
    /// 1 for the breaker's first change of state, 2 for its second, and so on; `reset` does not
    /// start it anew.
    pub sequence: u64,
    /// When it was, by the breaker's [`Clock`](crate::Clock).
    pub at: Duration,
    /// For how long it will stay open, if it became [`State::Open`].
    pub open_for: Option<Duration>,
    /// Failures since the last success if it was closed, failed probes if it was half-open, else 0.
    pub consecutive_error_count: u64,
    /// Successful probes since the last failed one if it was half-open, else 0.
    pub consecutive_success_count: u64,
    /// Calls that were rejected since the breaker was last closed: on a close, what the outage turned away. One
    /// that was being turned away at that very moment may be missing.
    pub rejected_count: u64,
    /// What the window held, if there are rate rules and the breaker was closed.
    pub window: Option<WindowMetrics>,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transition { name, from, to, cause, .. } = self;
        write!(f, "circuit breaker `{name}`: {from} -> {to} ({cause})")
    }
}
