pub(crate) mod judge;

use std::time::Duration;

pub use judge::{ByResult, Ignoring, Judge, WithMessages};

/// How a finished call counts.
///
/// By default `Ok` is a [`Success`](Outcome::Success) and `Err` a [`Failure`](Outcome::Failure);
/// [`call_with`](crate::CircuitBreaker::call_with), [`judging`](crate::CircuitBreaker::judging) and
/// [`Permit::record`](crate::Permit::record) let a caller decide.
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
    /// The dependency did its work.
    Success,
    /// The dependency failed.
    Failure,
    /// The call says nothing about the dependency's health: not found, bad input, cancelled.
    Ignored,
    /// A failure that opens the breaker at once, whatever the counts: the dependency itself
    /// said for how long it wants to be left alone.
    Trip {
        /// For how long the breaker stays open; counted to the millisecond, rounded up.
        open_for: Duration,
    },
}

/// How a call counts that was dropped before it had an outcome: a cancelled future, or a permit
/// that was never settled. The default is [`Ignore`](Dropped::Ignore).
///
/// A call that ends in a panic of its own, of the guarded closure, future or judge, is a failure under every setting,
/// and so is a permit that is dropped while its thread unwinds. A guarded future that is dropped by somebody else's
/// panic is a dropped call.
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
    /// It is neutral: its slot comes back, and it is in
    /// [`total_dropped_count`](crate::Metrics::total_dropped_count) only.
    Ignore,
    /// It is a failure.
    Failure,
    /// It is a failure if it had been in flight for at least this long, and neutral otherwise.
    /// The clock is read once at the admission and once at the drop of each call.
    FailureAfter(Duration),
}
