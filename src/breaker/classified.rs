use std::fmt;
use std::future::IntoFuture;

use super::CircuitBreaker;
use super::call::Call;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::outcome::judge::{Ignoring, Judge};

impl CircuitBreaker {
    /// The breaker, with errors that match `predicate` counting as [`Outcome::Ignored`].
    ///
    /// Decide once which errors say nothing about the dependency's health, and use it at every call site.
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

    /// The breaker, with `judge` deciding how each result counts.
    ///
    /// `R` is the whole `Result<T, E>` of the calls; a call with another result does not compile.
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

/// A breaker together with a decision on which results count; made by
/// [`CircuitBreaker::ignoring`] and [`CircuitBreaker::judging`].
///
/// Bind it to a name before you keep a future or a function made from it: they borrow it.
///
/// A function pointer as the judge gives it a name, for a field or a `static`:
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
#[must_use = "it does nothing until something is called through it"]
pub struct Guarded<'a, J> {
    breaker: &'a CircuitBreaker,
    judge: J,
}

impl<J> Guarded<'_, J> {
    /// As [`CircuitBreaker::call_sync`].
    ///
    /// # Errors
    ///
    /// As [`CircuitBreaker::call_sync`].
    ///
    /// # Panics
    ///
    /// If `op` or the judge does; that counts as a failure.
    #[inline]
    pub fn call_sync<'g, T, E>(&'g self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        &'g J: Judge<Result<T, E>>,
    {
        self.breaker.judged_sync(op, &self.judge)
    }

    /// As [`CircuitBreaker::call`], its cancel safety included.
    ///
    /// # Errors
    ///
    /// As [`CircuitBreaker::call`].
    ///
    /// # Panics
    ///
    /// As [`CircuitBreaker::call`], and if the judge does, which counts as a failure.
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

    /// As [`CircuitBreaker::wrap_sync`].
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

    /// As [`CircuitBreaker::wrap`].
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
