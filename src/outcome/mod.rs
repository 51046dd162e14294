pub(crate) mod judge;

use std::time::Duration;

pub use judge::{ByResult, Ignoring, Judge, WithMessages};

/// How a finished call counts.
///
/// By default `Ok` is a [`Success`](Outcome::Success) and `Err` a [`Failure`](Outcome::Failure);
/// [`call_with`](crate::CircuitBreaker::call_with), [`judging`](crate::CircuitBreaker::judging) and
/// [`Permit::record`](crate::Permit::record) let you decide.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Outcome, State};
///
/// struct Response { status: u16, retry_after: Option<Duration> }
///
/// fn judge(result: &Result<Response, std::io::Error>) -> Outcome {
///     match result {
///         Ok(Response { status: 503, retry_after: Some(open_for) }) => Outcome::Trip { open_for: *open_for },
///         Ok(Response { status: 500.., .. }) => Outcome::Failure,
///         Ok(Response { status: 404, .. }) => Outcome::Ignored,
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure,
///     }
/// }
///
/// let breaker = CircuitBreaker::new("payments");
/// let busy = || Ok(Response { status: 503, retry_after: Some(Duration::from_secs(7)) });
/// let response = breaker.call_sync_with(busy, judge).unwrap();
/// assert_eq!(response.status, 503);
/// assert_eq!(breaker.state(), State::Open);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call succeeded.
    Success,
    /// The call failed.
    Failure,
    /// The call says nothing about the dependency's health, for example because of bad input.
    Ignored,
    /// A failure that opens the breaker at once, whatever the counts. Use it when the dependency itself says
    /// how long to leave it alone, for example with a `Retry-After`.
    Trip {
        /// How long the breaker stays open, rounded up to the next millisecond.
        open_for: Duration,
    },
}

/// How a call counts that was dropped before it finished: a cancelled future, or a permit that was not settled.
/// The default is [`Ignore`](Dropped::Ignore).
///
/// A panic of the guarded closure, future or judge is a failure under every setting, and so is a permit that is
/// dropped while its thread unwinds. A guarded future that is dropped because other code panics is a dropped
/// call.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Dropped};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .dropped_calls(Dropped::FailureAfter(Duration::from_secs(2)))
///     .build()?;
/// drop(breaker.try_acquire().unwrap());
/// assert_eq!(breaker.metrics().total_dropped_count, 1);
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is neutral: its slot is released, and it counts in
    /// [`total_dropped_count`](crate::Metrics::total_dropped_count) only.
    Ignore,
    /// It is a failure.
    Failure,
    /// It is a failure if it was in flight for at least this long, otherwise neutral. The limit has to be above
    /// zero. Each call reads the clock once at its admission and once at its drop.
    FailureAfter(Duration),
}
