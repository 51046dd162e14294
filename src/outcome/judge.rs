use super::Outcome;

/// Decides how a result of type `R` counts.
///
/// Every `FnOnce(&R) -> Outcome` is a judge. The trait is a bound of [`Call`](crate::Call) and
/// [`Guarded`](crate::Guarded), and you seldom need to name it. If a judge panics, the call is a failure and
/// the panic propagates.
///
/// ```
/// use tripcoil::{CircuitBreaker, Outcome};
///
/// let breaker = CircuitBreaker::new("payments");
/// let judge = |status: &Result<u16, ()>| match status {
///     Ok(..500) => Outcome::Success,
///     _ => Outcome::Failure,
/// };
/// assert_eq!(breaker.call_sync_with(|| Ok(502), judge), Ok(502));
/// assert_eq!(breaker.metrics().total_error_count, 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not judge a `{R}`",
    note = "a judge is an `Fn(&Result<T, E>) -> Outcome`, with the `T` and `E` of the call; name them in a closure's argument"
)]
pub trait Judge<R> {
    /// Decides how `result` counts.
    fn judge(self, result: &R) -> Outcome;
}

impl<R, J: FnOnce(&R) -> Outcome> Judge<R> for J {
    #[inline]
    fn judge(self, result: &R) -> Outcome {
        self(result)
    }
}

/// The default judge: `Ok` is a success, `Err` a failure.
///
/// ```
/// use tripcoil::{ByResult, Judge, Outcome};
///
/// assert_eq!(ByResult.judge(&Ok::<(), ()>(())), Outcome::Success);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByResult;

impl<T, E> Judge<Result<T, E>> for ByResult {
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Failure }
    }
}

/// The judge of [`ignoring`](crate::CircuitBreaker::ignoring): errors that match the predicate are ignored,
/// others are failures.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use tripcoil::{CircuitBreaker, Guarded, Ignoring};
///
/// struct Disk<'a> {
///     breaker: Guarded<'a, Ignoring<fn(&Error) -> bool>>,
/// }
///
/// let breaker = CircuitBreaker::new("disk");
/// let disk = Disk { breaker: breaker.ignoring(|error| error.kind() == ErrorKind::NotFound) };
/// # assert!(disk.breaker.call_sync(|| std::fs::read("/no/such/file")).is_err());
/// # assert_eq!(breaker.metrics().total_ignored_count, 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ignoring<P> {
    predicate: P,
}

impl<P> Ignoring<P> {
    pub(crate) const fn new(predicate: P) -> Self {
        Ignoring { predicate }
    }
}

impl<T, E, P: Fn(&E) -> bool> Judge<Result<T, E>> for Ignoring<P> {
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        (&self).judge(result)
    }
}

impl<T, E, P: Fn(&E) -> bool> Judge<Result<T, E>> for &Ignoring<P> {
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) if (self.predicate)(error) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        }
    }
}
