//! Emits a `tracing` event for each change of state. Requires the feature `tracing`.
//!
//! There is one event for each transition and none for calls, so calls pay nothing.

use crate::state::State;
use crate::transition::Transition;

// The level and the target of an event have to be constants.
macro_rules! event {
        ($level:ident, $target:literal, $transition:ident) => {{
            let transition: &Transition = $transition;
            tracing::event!(
                target: $target,
                tracing::Level::$level,
                breaker = &*transition.name,
                from = transition.from.as_str(),
                to = transition.to.as_str(),
                cause = transition.cause.as_str(),
                sequence = transition.sequence,
                errors = transition.consecutive_error_count,
                successes = transition.consecutive_success_count,
                rejected = transition.rejected_count,
                open_for_ms = transition.open_for.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                window_calls = transition.window.map(|window| window.calls),
                window_errors = transition.window.map(|window| window.errors),
                window_slow_calls = transition.window.map(|window| window.slow_calls),
                window_dropped_calls = transition.window.map(|window| window.dropped_calls),
                "{transition}",
            )
        }};
}

/// Returns an observer that emits one event for each transition.
///
/// The events have the target `tripcoil`. A transition to open, forced open or forced closed is a `WARN`,
/// because from then on calls are rejected or unprotected. A transition to half-open or closed is an `INFO`.
/// The message is the text of the transition, such as ``circuit breaker `payments`: closed -> open
/// (error_threshold)``. The fields are:
///
/// | field | type | what it is |
/// |---|---|---|
/// | `breaker` | text | the name |
/// | `from`, `to`, `cause` | text | [`State`] and [`Cause`](crate::Cause) in `snake_case` |
/// | `sequence` | u64 | 1 for the breaker's first transition |
/// | `errors`, `successes` | u64 | [`consecutive_error_count`](Transition::consecutive_error_count) and [`consecutive_success_count`](Transition::consecutive_success_count) |
/// | `rejected` | u64 | calls rejected since the breaker was last closed; on a close, how many the outage rejected |
/// | `open_for_ms` | u64 | how long the breaker stays open; only for transitions to open |
/// | `window_calls`, `window_errors`, `window_slow_calls`, `window_dropped_calls` | u64 | the window; only for transitions from closed, with rate rules |
///
/// ```
/// use tripcoil::CircuitBreaker;
///
/// let breaker = CircuitBreaker::builder("payments")
///     .on_transition(tripcoil::trace::observer())
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
pub fn observer() -> impl Fn(&Transition) + Send + Sync + 'static {
    |transition| match transition.to {
        State::Open | State::ForcedOpen | State::ForcedClosed => event!(WARN, "tripcoil", transition),
        State::HalfOpen | State::Closed => event!(INFO, "tripcoil", transition),
    }
}

/// Returns an observer for [`on_shadow_transition`](crate::Builder::on_shadow_transition) that emits one event
/// for each state change that a shadow would have made.
///
/// The events have the target `tripcoil::shadow`, the level `DEBUG`, and the message and fields of [`observer`].
///
/// ```
/// use tripcoil::{CircuitBreaker, Config};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .shadow(Config::default())
///     .on_shadow_transition(tripcoil::trace::shadow_observer())
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
pub fn shadow_observer() -> impl Fn(&Transition) + Send + Sync + 'static {
    |transition| event!(DEBUG, "tripcoil::shadow", transition)
}
