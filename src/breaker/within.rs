use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::CircuitBreaker;
use super::call::Call;
use crate::outcome::judge::ByResult;

impl CircuitBreaker {
    /// Protects a future with a time-out. Like [`call`](Self::call), but if `sleep` ends before `op`, the call
    /// fails with the error that `on_timeout` returns.
    ///
    /// `sleep` is a future of your runtime, such as `tokio::time::sleep(limit)`; its output is ignored. Most
    /// sleeps count from their creation, not from their first poll. `op` is polled first: if both are ready,
    /// the result of `op` applies. `on_timeout` is called at most once.
    ///
    /// Prefer this to your own time-out. A time-out outside drops the call, which by default counts as nothing.
    /// A time-out inside yields a `Result` within a `Result`, in which a failure in time is an `Ok(Err(..))`,
    /// **which counts as a success**. See [time-outs](crate::guide::timeouts).
    ///
    /// # Errors
    ///
    /// The future yields [`Error::Rejected`](crate::Error::Rejected) if the breaker did not admit the call, so
    /// `op` was not polled. It yields [`Error::Inner`](crate::Error::Inner) with the error of `op` or of
    /// `on_timeout` otherwise. A time-out is a failure like any other `Err`.
    ///
    /// # Panics
    ///
    /// If `op`, `sleep` or `on_timeout` panics, which counts as a failure, and if the future is polled after it
    /// has finished.
    ///
    /// # Cancel safety
    ///
    /// Like [`call`](Self::call), you can drop it at any time. Its slot is released, and
    /// [`dropped_calls`](crate::Builder::dropped_calls) decides how it counts. After a time-out the slot is
    /// free and the call is counted, but `op` itself is dropped only with the returned future; `.await` drops
    /// both at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use tripcoil::{CircuitBreaker, Error};
    ///
    /// # async fn fetch() -> io::Result<String> { std::future::pending().await }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let limit = tokio::time::sleep(Duration::from_millis(10));
    /// let result = breaker.call_within(limit, || io::ErrorKind::TimedOut.into(), fetch()).await;
    ///
    /// let Err(Error::Inner(error)) = result else { panic!("it timed out") };
    /// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    /// assert_eq!(breaker.metrics().total_error_count, 1);
    /// # });
    /// ```
    pub fn call_within<F, T, E, S, O>(
        &self,
        sleep: S,
        on_timeout: O,
        op: F,
    ) -> Call<'_, Within<F::IntoFuture, S::IntoFuture, O>>
    where
        F: IntoFuture<Output = Result<T, E>>,
        S: IntoFuture,
        O: FnOnce() -> E,
    {
        self.judged(Within::new(sleep, on_timeout, op), ByResult)
    }
}

pin_project! {
    /// A future with a time-out, as protected by [`CircuitBreaker::call_within`] and similar methods.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Within<F, S, O> {
        #[pin]
        op: F,
        #[pin]
        sleep: S,
        // `None` once it has been called.
        on_timeout: Option<O>,
    }
}

impl<F, S, O> Within<F, S, O> {
    pub(crate) fn new(
        sleep: impl IntoFuture<IntoFuture = S>,
        on_timeout: O,
        op: impl IntoFuture<IntoFuture = F>,
    ) -> Self {
        Within { op: op.into_future(), sleep: sleep.into_future(), on_timeout: Some(on_timeout) }
    }
}

impl<T, E, F, S, O> Future for Within<F, S, O>
where
    F: Future<Output = Result<T, E>>,
    S: Future,
    O: FnOnce() -> E,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        if let Poll::Ready(result) = this.op.poll(cx) {
            return Poll::Ready(result);
        }
        match this.sleep.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => match this.on_timeout.take() {
                Some(on_timeout) => Poll::Ready(Err(on_timeout())),
                None => panic!("`Within` was polled after it had finished"),
            },
        }
    }
}

impl<F, S, O> fmt::Debug for Within<F, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("has_timed_out", &self.on_timeout.is_none()).finish_non_exhaustive()
    }
}
