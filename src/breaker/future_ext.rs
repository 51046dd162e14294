use std::future::Future;

use super::CircuitBreaker;
use super::call::Call;

/// [`CircuitBreaker::call`] as a method of the future, for the end of a chain of methods.
///
/// It is implemented for every future that yields a `Result`.
///
/// ```
/// use tripcoil::{CircuitBreaker, GuardedBy};
///
/// static QUOTES: CircuitBreaker = CircuitBreaker::new("quotes");
///
/// async fn fetch(symbol: &str) -> Result<f64, std::io::Error> {
///     Ok(42.1)
/// }
///
/// # futures_lite::future::block_on(async {
/// let quote = fetch("TRIP").guarded_by(&QUOTES).await?;
/// assert_eq!(QUOTES.metrics().total_success_count, 1);
/// # Ok::<(), tripcoil::Error<std::io::Error>>(())
/// # }).unwrap();
/// ```
///
/// For a call with a time-out use [`CircuitBreaker::call_within`]. Beware of `timeout(limit,
/// fetch()).guarded_by(..)`: if `fetch` fails in time, the result is an `Ok(Err(..))`, which counts as a
/// success.
pub trait GuardedBy: Future + Sized {
    /// Protects the future: `Ok` is a success, `Err` a failure. The breaker admits or rejects the call at the
    /// first poll.
    ///
    /// # Errors
    ///
    /// See [`CircuitBreaker::call`].
    ///
    /// # Panics
    ///
    /// See [`CircuitBreaker::call`].
    ///
    /// # Cancel safety
    ///
    /// See [`CircuitBreaker::call`]. You can drop it at any time; how that counts is set by
    /// [`dropped_calls`](crate::Builder::dropped_calls).
    fn guarded_by(self, breaker: &CircuitBreaker) -> Call<'_, Self>;
}

impl<F, T, E> GuardedBy for F
where
    F: Future<Output = Result<T, E>>,
{
    fn guarded_by(self, breaker: &CircuitBreaker) -> Call<'_, Self> {
        breaker.call(self)
    }
}
