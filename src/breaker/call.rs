use std::fmt;
use std::future::{Future, IntoFuture};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::CircuitBreaker;
use super::permit::{Hold, LocalPermit, SharedPermit, Suspended, TicketPermit};
use crate::engine::Engine;
use crate::engine::totals::Stripe;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::outcome::judge::{ByResult, Judge};

impl CircuitBreaker {
    /// Runs `op` if the breaker admits it. `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the breaker did not admit the call, so `op` was not run. [`Error::Inner`] with
    /// the error of `op` otherwise.
    ///
    /// # Panics
    ///
    /// If `op` panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("parser");
    /// assert_eq!(breaker.call_sync(|| "12".parse::<u32>())?, 12);
    /// # Ok::<(), tripcoil::Error<std::num::ParseIntError>>(())
    /// ```
    #[inline]
    pub fn call_sync<T, E>(&self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>> {
        self.judged_sync(op, ByResult)
    }

    /// Runs `op` if the breaker admits it; `judge` decides how its result counts.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the breaker did not admit the call, so `op` was not run. [`Error::Inner`] with
    /// the error of `op` otherwise.
    ///
    /// # Panics
    ///
    /// If `op` or `judge` panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Outcome};
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let status = breaker.call_sync_with(
    ///     || Ok::<u16, std::io::Error>(503),
    ///     |result| if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure },
    /// );
    /// assert_eq!(status.unwrap(), 503);
    /// assert_eq!(breaker.metrics().total_error_count, 1);
    /// ```
    #[inline]
    pub fn call_sync_with<T, E>(
        &self,
        op: impl FnOnce() -> Result<T, E>,
        judge: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<T, Error<E>> {
        self.judged_sync(op, judge)
    }

    #[expect(clippy::inline_always, reason = "a healthy call is a few instructions, and a call of it as many again")]
    #[inline(always)]
    pub(crate) fn judged_sync<T, E>(
        &self,
        op: impl FnOnce() -> Result<T, E>,
        judge: impl Judge<Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let Some(own) = self.engine().own_stripe() else {
            return self.judged_sync_beyond_own(op, judge);
        };
        let Some(permit) = LocalPermit::try_acquire(self.engine(), own) else {
            return self.judged_sync_slowly(Some(own), op, judge);
        };
        let result = op();
        permit.settle(judge, &result);
        result.map_err(Error::Inner)
    }

    /// As [`judged_sync`](Self::judged_sync), where the thread has no stripe at hand.
    #[cold]
    #[inline(never)]
    fn judged_sync_beyond_own<T, E>(
        &self,
        op: impl FnOnce() -> Result<T, E>,
        judge: impl Judge<Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let Some(permit) = SharedPermit::try_acquire(self.engine()) else {
            return self.judged_sync_slowly(None, op, judge);
        };
        let result = op();
        permit.settle(judge, &result);
        result.map_err(Error::Inner)
    }

    /// As [`judged_sync`](Self::judged_sync), where the call is timed or gated.
    #[cold]
    #[inline(never)]
    fn judged_sync_slowly<T, E>(
        &self,
        own: Option<&Stripe>,
        op: impl FnOnce() -> Result<T, E>,
        judge: impl Judge<Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let engine = self.engine();
        if let Some(rejected) = engine.reject_early(own) {
            return Err(Error::Rejected(rejected));
        }
        match engine.admit_or_reject(own) {
            Ok(ref ticket) => {
                let permit = TicketPermit::new(engine, ticket);
                let result = op();
                permit.settle(judge, &result);
                result.map_err(Error::Inner)
            }
            Err(rejected) => Err(Error::Rejected(rejected)),
        }
    }

    /// Protects a future. `Ok` is a success, `Err` a failure.
    ///
    /// Nothing happens before the first poll, at which the breaker admits or rejects the call. The returned
    /// future is `Send` if `op` is, borrows what `op` borrows, and allocates nothing.
    ///
    /// # Errors
    ///
    /// The future yields [`Error::Rejected`] if the breaker did not admit the call, so `op` was not polled. It
    /// yields [`Error::Inner`] with the error of `op` otherwise.
    ///
    /// # Panics
    ///
    /// If `op` panics, which counts as a failure, and if the future is polled after it has finished.
    ///
    /// A panic counts only if it comes out of a poll of `op`. A panic of the code around the call drops the
    /// call; see below.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time, and so may the unwinding of the task that polls it. Its slot is
    /// released, and [`dropped_calls`](crate::Builder::dropped_calls) decides how it counts; by default it is
    /// neutral.
    ///
    /// **A time-out has to reach the breaker as an error.** A time-out outside drops the call, and the breaker
    /// never learns that the dependency hangs. Put it inside.
    ///
    /// A time-out inside wraps the result in another one. Unless you flatten the two, a failure in time is an
    /// `Ok(Err(..))`, **which counts as a success**. [`call_within`](Self::call_within) has the time-out built
    /// in. The guide has a page on [time-outs](crate::guide::timeouts).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokio::time::timeout;
    /// use tripcoil::CircuitBreaker;
    ///
    /// # async fn fetch() -> Result<String, std::io::Error> { std::future::pending().await }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let limit = Duration::from_millis(10);
    ///
    /// // Wrong: the time-out drops the call, which counts as nothing.
    /// let _ = timeout(limit, breaker.call(fetch())).await;
    /// assert_eq!(breaker.metrics().total_error_count, 0);
    ///
    /// // Right: the time-out is an error of the call, like those of `fetch`.
    /// let _ = breaker.call(async { timeout(limit, fetch()).await? }).await;
    /// assert_eq!(breaker.metrics().total_error_count, 1);
    /// # });
    /// ```
    pub fn call<F, T, E>(&self, op: F) -> Call<'_, F::IntoFuture>
    where
        F: IntoFuture<Output = Result<T, E>>,
    {
        self.judged(op, ByResult)
    }

    /// Like [`call`](Self::call), but `judge` decides how the result counts.
    ///
    /// # Errors
    ///
    /// See [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// See [`call`](Self::call); also if `judge` panics, which counts as a failure.
    ///
    /// # Cancel safety
    ///
    /// See [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Outcome};
    ///
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let status = async { Ok::<u16, std::io::Error>(404) };
    /// let judge = |result: &Result<u16, _>| match result {
    ///     Ok(404) => Outcome::Ignored,
    ///     Ok(..500) => Outcome::Success,
    ///     _ => Outcome::Failure,
    /// };
    /// assert_eq!(breaker.call_with(status, judge).await.unwrap(), 404);
    /// assert_eq!(breaker.metrics().total_ignored_count, 1);
    /// # });
    /// ```
    pub fn call_with<F, T, E, J>(&self, op: F, judge: J) -> Call<'_, F::IntoFuture, J>
    where
        F: IntoFuture<Output = Result<T, E>>,
        J: FnOnce(&Result<T, E>) -> Outcome,
    {
        self.judged(op, judge)
    }

    pub(crate) fn judged<F: IntoFuture, J>(&self, op: F, judge: J) -> Call<'_, F::IntoFuture, J> {
        Call { future: op.into_future(), stage: CallStage::Waiting { breaker: self, judge } }
    }

    /// Turns a function into a protected function.
    ///
    /// Each call of the returned function is a [`call_sync`](Self::call_sync), with the same errors and panics.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// static BREAKER: CircuitBreaker = CircuitBreaker::new("parser");
    ///
    /// let parse = BREAKER.wrap_sync(|text: &str| text.parse::<u32>());
    /// assert_eq!(parse("12").unwrap(), 12);
    /// assert!(parse("twelve").is_err());
    /// ```
    pub fn wrap_sync<A, T, E>(&self, op: impl Fn(A) -> Result<T, E>) -> impl Fn(A) -> Result<T, Error<E>> {
        move |argument| self.call_sync(|| op(argument))
    }

    /// Turns an async function into a protected function.
    ///
    /// Each call of the returned function is a [`call`](Self::call), with the same errors, panics and cancel
    /// safety. `op` itself runs before the admission, and its future is polled after it. An `async fn` does
    /// nothing before its first poll.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// async fn double(number: u32) -> Result<u32, std::io::Error> {
    ///     Ok(2 * number)
    /// }
    ///
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("doubler");
    /// let double = breaker.wrap(double);
    /// assert_eq!(double(21).await.unwrap(), 42);
    /// # });
    /// ```
    pub fn wrap<'a, A, F, T, E>(&'a self, op: impl Fn(A) -> F + 'a) -> impl Fn(A) -> Call<'a, F::IntoFuture> + 'a
    where
        F: IntoFuture<Output = Result<T, E>>,
    {
        move |argument| self.call(op(argument))
    }
}

pin_project! {
    /// A protected future. Created by [`CircuitBreaker::call`] and similar methods.
    ///
    /// It yields the result of the inner future, or [`Error::Rejected`]. It holds a permit from its first poll
    /// until it finishes. See [`call`](CircuitBreaker::call#cancel-safety) for what happens when it is dropped.
    ///
    /// You can name the type, for example for a field:
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use tripcoil::{Call, CircuitBreaker};
    ///
    /// struct Session<'a> {
    ///     handshake: Call<'a, Ready<Result<u32, std::io::Error>>>,
    /// }
    ///
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let session = Session { handshake: breaker.call(ready(Ok(7))) };
    /// assert_eq!(session.handshake.await.unwrap(), 7);
    /// # });
    /// ```
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Call<'a, F, J = ByResult> {
        #[pin]
        future: F,
        stage: CallStage<'a, J>,
    }
}

enum CallStage<'a, J> {
    Waiting { breaker: &'a CircuitBreaker, judge: J },
    Running { hold: Hold<&'a Engine, Suspended>, judge: J },
    Finished,
}

impl<T, E, F, J> Future for Call<'_, F, J>
where
    F: Future<Output = Result<T, E>>,
    J: Judge<Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut hold, judge) = match mem::replace(this.stage, CallStage::Finished) {
            CallStage::Waiting { breaker, judge } => 'first: {
                let engine = breaker.engine();
                let own = engine.own_stripe();
                let Some(permit) = own.and_then(|own| LocalPermit::try_acquire(engine, own)) else {
                    break 'first (Hold::new(engine, engine.admit_or_reject(own)?), judge);
                };
                // A future that is ready at its first poll stays on this thread.
                return match this.future.poll(cx) {
                    Poll::Pending => {
                        *this.stage = CallStage::Running { hold: permit.kept_by(engine), judge };
                        Poll::Pending
                    }
                    Poll::Ready(result) => {
                        permit.settle(judge, &result);
                        Poll::Ready(result.map_err(Error::Inner))
                    }
                };
            }
            CallStage::Running { hold, judge } => (hold, judge),
            CallStage::Finished => panic!("`Call` was polled after it had finished"),
        };
        // If the future or the judge panics, this unwinds with it.
        let inside = hold.enter();
        match this.future.poll(cx) {
            Poll::Pending => {
                inside.suspend();
                *this.stage = CallStage::Running { hold, judge };
                Poll::Pending
            }
            Poll::Ready(result) => {
                inside.settle(judge, &result);
                Poll::Ready(result.map_err(Error::Inner))
            }
        }
    }
}

impl<F, J> fmt::Debug for Call<'_, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            CallStage::Waiting { .. } => "waiting",
            CallStage::Running { .. } => "running",
            CallStage::Finished => "finished",
        };
        f.debug_struct("Call").field("stage", &stage).finish_non_exhaustive()
    }
}
