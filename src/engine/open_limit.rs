//! How many breakers of a registry may be open by their own rules.

use std::fmt;
use std::time::Duration;

use crate::metrics::WindowMetrics;
use crate::name::Name;
use crate::state::State;
use crate::transition::Cause;

/// What a breaker asks and tells before and after it opens. `breaker` is its [`id`](crate::engine::Engine::id).
///
/// A closed breaker that a rule would open calls [`reserve`](Self::reserve) first. If that is refused, it begins a new
/// epoch instead, still closed, and calls [`suppressed`](Self::suppressed). Otherwise it opens, and then calls
/// [`release`](Self::release), whether it has opened or another thread was faster. After every other change of state it
/// calls [`follow`](Self::follow).
pub(crate) trait OpenLimit: Send + Sync {
    /// Makes room for one more open breaker, unless too many are open.
    fn reserve(&self, breaker: usize) -> bool;

    /// Gives a reservation back, and does what [`follow`](Self::follow) does.
    fn release(&self, breaker: usize, state: &dyn Fn() -> State);

    /// The state has changed. `state` reads it as it is by now, so that the last to call this has the last word.
    fn follow(&self, breaker: usize, state: &dyn Fn() -> State);

    /// A rule was met, and the breaker did not open.
    fn suppressed(&self, opening: &SuppressedOpening);
}

/// A rule that was met without opening the breaker, because too many breakers of the registry were open. Passed
/// to the observers of [`on_suppressed_opening`](crate::RegistryBuilder::on_suppressed_opening).
///
/// Its text is ``circuit breaker `db7`: not opened (error_threshold)``.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuppressedOpening {
    /// The breaker's name.
    pub name: Name,
    /// The rule that was met.
    pub cause: Cause,
    /// When it was met, by the breaker's [`Clock`](crate::Clock).
    pub at: Duration,
    /// Failures since the last success, including this one.
    pub consecutive_error_count: u64,
    /// The window, if there are rate rules.
    pub window: Option<WindowMetrics>,
}

impl fmt::Display for SuppressedOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit breaker `{}`: not opened ({})", self.name, self.cause)
    }
}
