use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use super::CircuitBreaker;
use super::admitted::Admitted;
use super::call::Call;
use super::within::Within;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::outcome::judge::{Ignoring, Judge};

impl CircuitBreaker {
    /// Returns the breaker with a judge: errors that match `predicate` count as
    /// [`Outcome::Ignored`].
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
    /// `R` is the `Result<T, E>` of the calls. A call with another result type does not compile. A judge that is not a
    /// function, such as `tripcoil::http::ByStatus`, goes to [`judged_by`](Self::judged_by).
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

    /// Like [`judging`](Self::judging), for any [`Judge`], such as `tripcoil::http::ByStatus` or an `Arc` of a judge.
    ///
    /// ```
    /// use tripcoil::{ByResult, CircuitBreaker, WithMessages};
    ///
    /// let breaker = CircuitBreaker::new("parser");
    /// let parser = breaker.judged_by(WithMessages::new(ByResult));
    /// assert!(parser.call_sync(|| "x".parse::<u32>()).is_err());
    /// assert!(breaker.metrics().last_error.unwrap().message.is_some());
    /// ```
    pub const fn judged_by<J>(&self, judge: J) -> Guarded<'_, J> {
        Guarded { breaker: self, judge }
    }

    /// Like [`ignoring`](Self::ignoring), with a handle to the breaker instead of a borrow.
    pub fn ignoring_owned<E, P: Fn(&E) -> bool>(self: &Arc<Self>, predicate: P) -> OwnedGuarded<Ignoring<P>> {
        self.judging_owned(Ignoring::new(predicate))
    }

    /// Like [`judged_by`](Self::judged_by), with a handle to the breaker instead of a borrow, for a field of a
    /// struct. See [`OwnedGuarded`].
    pub fn judging_owned<J>(self: &Arc<Self>, judge: J) -> OwnedGuarded<J> {
        OwnedGuarded { breaker: self.clone(), judge }
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

/// A [`Guarded`] that keeps its breaker alive and borrows nothing. Created by [`CircuitBreaker::judging_owned`]
/// and [`CircuitBreaker::ignoring_owned`].
///
/// ```
/// use std::io;
/// use std::sync::Arc;
/// use tripcoil::{CircuitBreaker, Error, Outcome, OwnedGuarded};
///
/// struct Client {
///     payments: OwnedGuarded<fn(&io::Result<u16>) -> Outcome>,
/// }
///
/// impl Client {
///     fn new(breaker: &Arc<CircuitBreaker>) -> Self {
///         Client {
///             payments: breaker.judging_owned(|status| match status {
///                 Ok(..500) => Outcome::Success,
///                 _ => Outcome::Failure,
///             }),
///         }
///     }
///
///     fn pay(&self) -> Result<u16, Error<io::Error>> {
///         self.payments.call_sync(|| Ok(502))
///     }
/// }
///
/// let breaker = Arc::new(CircuitBreaker::new("payments"));
/// assert_eq!(Client::new(&breaker).pay().unwrap(), 502);
/// assert_eq!(breaker.metrics().total_error_count, 1);
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until you make a call through it"]
pub struct OwnedGuarded<J> {
    breaker: Arc<CircuitBreaker>,
    judge: J,
}

/// The methods that [`Guarded`] and [`OwnedGuarded`] have in common.
macro_rules! guarding {
    ($guarded:ident, $($breaker:lifetime)?) => {
        impl<J> $guarded<$($breaker,)? J> {
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

            /// Like [`CircuitBreaker::call_within`], with this judge, which receives a time-out as the error of
            /// `on_timeout`.
            ///
            /// # Errors
            ///
            /// See [`CircuitBreaker::call_within`].
            ///
            /// # Panics
            ///
            /// See [`CircuitBreaker::call_within`]; also if the judge panics, which counts as a failure.
            ///
            /// # Cancel safety
            ///
            /// See [`CircuitBreaker::call_within`].
            pub fn call_within<'g, F, T, E, S, O>(
                &'g self,
                sleep: S,
                on_timeout: O,
                op: F,
            ) -> Call<'g, Within<F::IntoFuture, S::IntoFuture, O>, &'g J>
            where
                F: IntoFuture<Output = Result<T, E>>,
                S: IntoFuture,
                O: FnOnce() -> E,
                &'g J: Judge<Result<T, E>>,
            {
                self.breaker.judged(Within::new(sleep, on_timeout, op), &self.judge)
            }

            /// Like [`CircuitBreaker::call_admitted`], with this judge. Its cancel safety is the same.
            ///
            /// # Errors
            ///
            /// See [`CircuitBreaker::call_admitted`].
            ///
            /// # Panics
            ///
            /// See [`CircuitBreaker::call_admitted`]; also if the judge panics, which counts as a failure.
            pub async fn call_admitted<'g, F, T, E>(&'g self, op: impl FnOnce(Admitted) -> F) -> Result<T, Error<E>>
            where
                F: IntoFuture<Output = Result<T, E>>,
                &'g J: Judge<Result<T, E>>,
            {
                self.breaker.judged_admitted(op, &self.judge).await
            }

            /// Like [`CircuitBreaker::call_sync_admitted`], with this judge.
            ///
            /// # Errors
            ///
            /// See [`CircuitBreaker::call_sync_admitted`].
            ///
            /// # Panics
            ///
            /// If `op` or the judge panics, which counts as a failure.
            pub fn call_sync_admitted<'g, T, E>(
                &'g self,
                op: impl FnOnce(Admitted) -> Result<T, E>,
            ) -> Result<T, Error<E>>
            where
                &'g J: Judge<Result<T, E>>,
            {
                self.breaker.judged_sync_admitted(op, &self.judge)
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

            /// Returns the breaker.
            pub fn breaker(&self) -> &CircuitBreaker {
                &self.breaker
            }
        }

        impl<J> fmt::Debug for $guarded<$($breaker,)? J> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($guarded)).field("breaker", &*self.breaker).finish_non_exhaustive()
            }
        }
    };
}

guarding!(Guarded, '_);
guarding!(OwnedGuarded,);
