use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use super::CircuitBreaker;
use super::call::Call;
use super::within::Within;
use crate::error::Error;
use crate::outcome::judge::{Ignoring, Judge};

impl CircuitBreaker {
    /// The breaker, with errors that match `predicate` counting as [`Outcome::Ignored`](crate::Outcome::Ignored).
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
    /// `judge` is an `Fn(&Result<T, E>) -> Outcome` with the types of the calls, one of the ready-made judges such as
    /// `tripcoil::http::ByStatus`, or any other [`Judge`]. A call whose result it does not judge does not compile.
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
    pub const fn judging<J>(&self, judge: J) -> Guarded<'_, J> {
        Guarded { breaker: self, judge }
    }

    /// As [`ignoring`](Self::ignoring), with a handle to the breaker instead of a borrow.
    pub fn ignoring_owned<E, P: Fn(&E) -> bool>(self: &Arc<Self>, predicate: P) -> OwnedGuarded<Ignoring<P>> {
        self.judging_owned(Ignoring::new(predicate))
    }

    /// As [`judging`](Self::judging), with a handle to the breaker instead of a borrow, for a field of a struct.
    /// [`OwnedGuarded`] shows it.
    pub fn judging_owned<J>(self: &Arc<Self>, judge: J) -> OwnedGuarded<J> {
        OwnedGuarded { breaker: self.clone(), judge }
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

/// A [`Guarded`] that keeps its breaker alive and borrows nothing; made by [`CircuitBreaker::judging_owned`] and
/// [`CircuitBreaker::ignoring_owned`].
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
#[must_use = "it does nothing until something is called through it"]
pub struct OwnedGuarded<J> {
    breaker: Arc<CircuitBreaker>,
    judge: J,
}

/// The methods that [`Guarded`] and [`OwnedGuarded`] have in common.
macro_rules! guarding {
    ($guarded:ident, $($breaker:lifetime)?) => {
        impl<J> $guarded<$($breaker,)? J> {
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

            /// As [`CircuitBreaker::call_within`]. The judge sees a time-out as the error of `on_timeout`.
            ///
            /// # Errors
            ///
            /// As [`CircuitBreaker::call_within`].
            ///
            /// # Panics
            ///
            /// As [`CircuitBreaker::call_within`], and if the judge does, which counts as a failure.
            ///
            /// # Cancel safety
            ///
            /// As [`CircuitBreaker::call_within`].
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

            /// The breaker itself.
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
