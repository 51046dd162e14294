use std::fmt;
use std::future::IntoFuture;

use super::CircuitBreaker;
use super::call::Call;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::outcome::judge::{Ignoring, Judge};

impl CircuitBreaker {
    /// Returns the breaker with a judge: errors that match `predicate` count as [`Outcome::Ignored`].
    ///
    /// Use it to decide once, for many call sites, which errors say nothing about the dependency's health.
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("disk");
    /// let disk = breaker.ignoring(|error: &Error| error.kind() == ErrorKind::NotFound);
    ///
    /// assert!(disk.call_sync(|| std::fs::read("/no/such/file")).is_err());
    /// let metrics = breaker.metrics();
    /// assert_eq!((metrics.total_error_count, metrics.total_ignored_count), (0, 1));
    /// ```
    pub fn ignoring<E, P: Fn(&E) -> bool>(&self, predicate: P) -> Guarded<'_, Ignoring<P>> {
        Guarded { breaker: self, judge: Ignoring::new(predicate) }
    }

    /// Returns the breaker with a judge that decides how each result counts.
    ///
    /// `R` is the `Result<T, E>` of the calls. A call with another result type does not compile.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let payments = breaker.judging(|status: &Result<u16, std::io::Error>| match status {
    ///     Ok(..500) => Outcome::Success,
    ///     _ => Outcome::Failure,
    /// });
    ///
    /// assert_eq!(payments.call_sync(|| Ok(502)).unwrap(), 502);
    /// assert_eq!(breaker.metrics().total_error_count, 1);
    /// ```
    pub fn judging<R, J: Fn(&R) -> Outcome>(&self, judge: J) -> Guarded<'_, J> {
        Guarded { breaker: self, judge }
    }
}

/// A breaker together with a judge. Created by [`CircuitBreaker::ignoring`] and [`CircuitBreaker::judging`].
///
/// Futures and functions made from it borrow it, so bind it to a variable if you keep them.
///
/// With a function pointer as the judge you can name the type, for example for a field:
///
/// ```
/// use tripcoil::{CircuitBreaker, Guarded, Outcome};
///
/// type Payments = Guarded<'static, fn(&Result<u16, std::io::Error>) -> Outcome>;
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
///
/// fn payments() -> Payments {
///     BREAKER.judging(|status| if matches!(status, Ok(..500)) { Outcome::Success } else { Outcome::Failure })
/// }
/// assert_eq!(payments().call_sync(|| Ok(200)).unwrap(), 200);
/// ```
#[derive(Clone, Copy)]
#[must_use = "it does nothing until you make a call through it"]
pub struct Guarded<'a, J> {
    breaker: &'a CircuitBreaker,
    judge: J,
}

impl<J> Guarded<'_, J> {
    /// Like [`CircuitBreaker::call_sync`], with this judge.
    ///
    /// # Errors
    ///
    /// Like [`CircuitBreaker::call_sync`], with this judge.
    ///
    /// # Panics
    ///
    /// If `op` or the judge panics, which counts as a failure.
    #[inline]
    pub fn call_sync<'g, T, E>(&'g self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        &'g J: Judge<Result<T, E>>,
    {
        self.breaker.judged_sync(op, &self.judge)
    }

    /// Like [`CircuitBreaker::call`], with this judge. Its cancel safety is the same.
    ///
    /// # Errors
    ///
    /// See [`CircuitBreaker::call`].
    ///
    /// # Panics
    ///
    /// See [`CircuitBreaker::call`]; also if the judge panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # async fn find(id: u32) -> Result<String, &'static str> { Err("not found") }
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("users");
    /// let users = breaker.ignoring(|error: &&str| *error == "not found");
    /// assert!(users.call(find(7)).await.is_err());
    /// assert_eq!(breaker.metrics().total_ignored_count, 1);
    /// # });
    /// ```
    pub fn call<'g, F, T, E>(&'g self, op: F) -> Call<'g, F::IntoFuture, &'g J>
    where
        F: IntoFuture<Output = Result<T, E>>,
        &'g J: Judge<Result<T, E>>,
    {
        self.breaker.judged(op, &self.judge)
    }

    /// Like [`CircuitBreaker::wrap_sync`], with this judge.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// let breaker = CircuitBreaker::new("parser");
    /// let parser = breaker.ignoring(|_: &std::num::ParseIntError| true);
    /// let parse = parser.wrap_sync(|text: &str| text.parse::<u32>());
    /// assert!(parse("twelve").is_err());
    /// assert_eq!(breaker.metrics().total_error_count, 0);
    /// ```
    pub fn wrap_sync<'g, A, T, E>(
        &'g self,
        op: impl Fn(A) -> Result<T, E> + 'g,
    ) -> impl Fn(A) -> Result<T, Error<E>> + 'g
    where
        &'g J: Judge<Result<T, E>>,
    {
        move |argument| self.call_sync(|| op(argument))
    }

    /// Like [`CircuitBreaker::wrap`], with this judge.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # async fn find(id: u32) -> Result<String, &'static str> { Err("not found") }
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("users");
    /// let users = breaker.ignoring(|error: &&str| *error == "not found");
    /// let find = users.wrap(find);
    /// assert!(find(7).await.is_err());
    /// # });
    /// ```
    pub fn wrap<'g, A, F, T, E>(&'g self, op: impl Fn(A) -> F + 'g) -> impl Fn(A) -> Call<'g, F::IntoFuture, &'g J> + 'g
    where
        F: IntoFuture<Output = Result<T, E>>,
        &'g J: Judge<Result<T, E>>,
    {
        move |argument| self.call(op(argument))
    }
}

impl<J> fmt::Debug for Guarded<'_, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("breaker", self.breaker).finish_non_exhaustive()
    }
}
