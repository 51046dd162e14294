use std::fmt::Display;
use std::sync::Arc;

use super::Outcome;

/// Decides how a result of type `R` counts.
///
/// Every `FnOnce(&R) -> Outcome` is a judge, so you seldom need to implement the trait. An [`Arc`] of a judge
/// is a judge too. If a judge panics, the call is a failure and the panic propagates.
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
///
/// [`judging`](crate::CircuitBreaker::judging) takes any judge and keeps it, so it requires `&J: Judge<R>`.
/// Implement the trait for a reference to your own type.
///
/// ```
/// use tripcoil::{CircuitBreaker, Judge, Outcome};
///
/// struct UpTo(u16);
///
/// impl<E> Judge<Result<u16, E>> for &UpTo {
///     fn judge(self, result: &Result<u16, E>) -> Outcome {
///         if result.as_ref().is_ok_and(|status| *status <= self.0) { Outcome::Success } else { Outcome::Failure }
///     }
/// }
///
/// let breaker = CircuitBreaker::new("payments");
/// assert_eq!(breaker.judged_by(UpTo(499)).call_sync(|| Ok::<_, ()>(502)), Ok(502));
/// assert_eq!(breaker.metrics().total_error_count, 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not judge a `{R}`",
    note = "a judge is an `Fn(&Result<T, E>) -> Outcome`, with the `T` and `E` of the call; name them in a closure's argument"
)]
pub trait Judge<R> {
    /// Decides how `result` counts.
    fn judge(self, result: &R) -> Outcome;

    /// Decides how `result` counts, and which message a failure leaves in
    /// [`Metrics::last_error`](crate::Metrics::last_error). Default: none.
    ///
    /// [`WithMessages`] overrides this. A failure with a message reads the clock once, for its time.
    #[inline]
    fn judge_with_message(self, result: &R) -> (Outcome, Option<String>)
    where
        Self: Sized,
    {
        (self.judge(result), None)
    }
}

impl<R, J: FnOnce(&R) -> Outcome> Judge<R> for J {
    #[inline]
    fn judge(self, result: &R) -> Outcome {
        self(result)
    }
}

impl<R, J: ?Sized> Judge<R> for Arc<J>
where
    for<'a> &'a J: Judge<R>,
{
    fn judge(self, result: &R) -> Outcome {
        (&*self).judge(result)
    }

    fn judge_with_message(self, result: &R) -> (Outcome, Option<String>) {
        (&*self).judge_with_message(result)
    }
}

impl<'a, R, J: ?Sized> Judge<R> for &'a Arc<J>
where
    &'a J: Judge<R>,
{
    fn judge(self, result: &R) -> Outcome {
        (&**self).judge(result)
    }

    fn judge_with_message(self, result: &R) -> (Outcome, Option<String>) {
        (&**self).judge_with_message(result)
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

impl<T, E> Judge<Result<T, E>> for &ByResult {
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        ByResult.judge(result)
    }
}

/// A judge that also keeps the text of the last error, for [`LastError::message`](crate::LastError::message).
///
/// The error has to implement [`Display`]. It is formatted once for each failure, outside every lock. The
/// breaker's clock is read too, so that [`LastError::ago`](crate::LastError::ago) is known. Successes cost no
/// more. Only the last message is kept, at its full length, so make sure that it contains no secrets.
///
/// ```
/// use tripcoil::{ByResult, CircuitBreaker, WithMessages};
///
/// let breaker = CircuitBreaker::new("parser");
/// let parser = breaker.judged_by(WithMessages::new(ByResult));
/// assert!(parser.call_sync(|| "x".parse::<u32>()).is_err());
///
/// let last_error = breaker.metrics().last_error.unwrap();
/// assert_eq!(last_error.message.as_deref(), Some("invalid digit found in string"));
/// assert!(last_error.ago.is_some());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WithMessages<J = ByResult> {
    judge: J,
}

impl<J> WithMessages<J> {
    /// Creates a judge that decides like `judge`.
    #[must_use]
    pub const fn new(judge: J) -> Self {
        WithMessages { judge }
    }
}

impl<T, E: Display, J: Judge<Result<T, E>>> Judge<Result<T, E>> for WithMessages<J> {
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        self.judge.judge(result)
    }

    #[inline]
    fn judge_with_message(self, result: &Result<T, E>) -> (Outcome, Option<String>) {
        with_message(self.judge.judge(result), result)
    }
}

impl<'a, T, E: Display, J> Judge<Result<T, E>> for &'a WithMessages<J>
where
    &'a J: Judge<Result<T, E>>,
{
    #[inline]
    fn judge(self, result: &Result<T, E>) -> Outcome {
        self.judge.judge(result)
    }

    #[inline]
    fn judge_with_message(self, result: &Result<T, E>) -> (Outcome, Option<String>) {
        with_message(self.judge.judge(result), result)
    }
}

#[inline]
fn with_message<T, E: Display>(outcome: Outcome, result: &Result<T, E>) -> (Outcome, Option<String>) {
    match (outcome, result) {
        (Outcome::Failure | Outcome::Trip { .. }, Err(error)) => (outcome, Some(error.to_string())),
        _ => (outcome, None),
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
