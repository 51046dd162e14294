use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;

use super::CircuitBreaker;
use super::permit::{Hold, Suspended};
use crate::engine::Engine;
use crate::error::Error;
use crate::outcome::judge::{ByResult, Judge};

/// How a call was admitted, for [`CircuitBreaker::call_admitted`] and
/// [`CircuitBreaker::call_sync_admitted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    is_probe: bool,
}

impl Admitted {
    fn new(hold: &Hold<&Engine, Suspended>) -> Self {
        Admitted { is_probe: hold.is_probe() }
    }

    /// Whether the call was admitted as a probe of the half-open state, like
    /// [`Permit::is_probe`](crate::Permit::is_probe).
    #[must_use]
    pub const fn is_probe(self) -> bool {
        self.is_probe
    }
}

impl CircuitBreaker {
    /// Like [`call`](Self::call), but `op` is told how the call was admitted, and creates the future then.
    ///
    /// Use it to treat a half-open probe differently, for example with a shorter time-out or a cheap request.
    /// `op` runs at the first poll, after the admission. A breaker of a registry has it too:
    /// `registry.get(key).call_admitted(..)`.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the breaker did not admit the call, so `op` was not called. [`Error::Inner`] with
    /// the error of the future otherwise.
    ///
    /// # Panics
    ///
    /// If `op` or its future panics, which counts as a failure.
    ///
    /// # Cancel safety
    ///
    /// See [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// async fn get(path: &str) -> Result<String, std::io::Error> {
    ///     Ok(format!("text of {path}"))
    /// }
    ///
    /// # futures_lite::future::block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let fetch = || breaker.call_admitted(|admitted| get(if admitted.is_probe() { "/health" } else { "/all" }));
    ///
    /// assert_eq!(fetch().await?, "text of /all");
    /// breaker.transition_to(State::HalfOpen);
    /// assert_eq!(fetch().await?, "text of /health");
    /// # Ok::<(), tripcoil::Error<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn call_admitted<F, T, E>(&self, op: impl FnOnce(Admitted) -> F) -> Result<T, Error<E>>
    where
        F: IntoFuture<Output = Result<T, E>>,
    {
        self.judged_admitted(op, ByResult).await
    }

    /// Like [`call_sync`](Self::call_sync), but `op` is told how the call was admitted.
    ///
    /// # Errors
    ///
    /// See [`call_sync`](Self::call_sync).
    ///
    /// # Panics
    ///
    /// If `op` panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::CircuitBreaker;
    /// # fn fetch(time_out: Duration) -> Result<String, std::io::Error> { Ok("text".to_owned()) }
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let text = breaker.call_sync_admitted(|admitted| {
    ///     fetch(Duration::from_millis(if admitted.is_probe() { 200 } else { 2000 }))
    /// })?;
    /// # Ok::<(), tripcoil::Error<std::io::Error>>(())
    /// ```
    pub fn call_sync_admitted<T, E>(&self, op: impl FnOnce(Admitted) -> Result<T, E>) -> Result<T, Error<E>> {
        self.judged_sync_admitted(op, ByResult)
    }

    pub(crate) async fn judged_admitted<F, T, E>(
        &self,
        op: impl FnOnce(Admitted) -> F,
        judge: impl Judge<Result<T, E>>,
    ) -> Result<T, Error<E>>
    where
        F: IntoFuture<Output = Result<T, E>>,
    {
        let mut hold = Hold::<_, Suspended>::acquire(self.engine())?;
        let admitted = Admitted::new(&hold);
        // If `op`, its future or the judge panics, this unwinds with it.
        let inside = hold.enter();
        let future = op(admitted).into_future();
        inside.suspend();
        let mut future = pin!(future);
        let polled = poll_fn(|cx| {
            let inside = hold.enter();
            let polled = future.as_mut().poll(cx);
            inside.suspend();
            polled
        });
        let result = polled.await;
        hold.enter().settle(judge, &result);
        result.map_err(Error::Inner)
    }

    pub(crate) fn judged_sync_admitted<T, E>(
        &self,
        op: impl FnOnce(Admitted) -> Result<T, E>,
        judge: impl Judge<Result<T, E>>,
    ) -> Result<T, Error<E>> {
        let mut hold = Hold::<_, Suspended>::acquire(self.engine())?;
        let admitted = Admitted::new(&hold);
        let inside = hold.enter();
        let result = op(admitted);
        inside.settle(judge, &result);
        result.map_err(Error::Inner)
    }
}
