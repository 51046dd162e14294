use std::future::Future;
use std::time::Duration;

use futures_lite::future;

use super::CircuitBreaker;
use super::permit::Permit;
#[cfg(not(target_family = "wasm"))]
use crate::error::Rejected;

impl CircuitBreaker {
    /// Waits until the breaker admits a call.
    ///
    /// `sleep` is the sleep function of your runtime. The future sleeps until the breaker's deadline, or until
    /// a silent probe no longer blocks the next one. A transition or a free half-open slot ends the wait
    /// earlier; each free slot wakes one waiter. While the breaker is forced open, the future waits until the
    /// state changes.
    ///
    /// Waiting does not count as a rejection. It uses the time of `sleep`: moving a
    /// [`ManualClock`](crate::clock::ManualClock) wakes nobody.
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time. If it has just been woken for a free slot, the next waiter is woken
    /// instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let breaker = CircuitBreaker::new("payments");
    /// let permit = breaker.acquire(tokio::time::sleep).await;
    /// // ... make the call ...
    /// permit.success();
    /// # });
    /// ```
    pub async fn acquire<S>(&self, sleep: impl Fn(Duration) -> S) -> Permit<'_>
    where
        S: Future,
    {
        let engine = self.engine();
        loop {
            if let Ok(ticket) = engine.admit() {
                return Permit::new(engine, ticket);
            }
            let listener = engine.join_queue();
            match engine.admit() {
                Ok(ticket) => return Permit::new(engine, ticket),
                Err(refusal) => match refusal.ask_again_after() {
                    Some(wait) => {
                        let timer = sleep(wait);
                        future::or(listener, async { drop(timer.await) }).await;
                    }
                    None => listener.await,
                },
            }
        }
    }

    /// Blocks the thread until the breaker admits a call, for at most `timeout` of real time.
    ///
    /// The thread wakes up when the reset timeout is over, when a half-open slot becomes free, when a silent
    /// probe no longer blocks the next one, and at every transition. `Duration::MAX` waits without a limit.
    /// Moving a [`ManualClock`](crate::clock::ManualClock) wakes nobody.
    ///
    /// In an async task use [`acquire`](Self::acquire), because this function blocks the executor.
    ///
    /// It does not exist on WebAssembly.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the breaker admits no call within `timeout`. This counts as one rejection, however often
    /// the thread woke up.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// breaker.open_for(Duration::from_millis(20));
    /// let probe = breaker.acquire_blocking(Duration::from_secs(5))?;
    /// probe.success();
    /// # Ok::<(), tripcoil::Rejected>(())
    /// ```
    #[cfg(not(target_family = "wasm"))]
    pub fn acquire_blocking(&self, timeout: Duration) -> Result<Permit<'_>, Rejected> {
        use std::time::Instant;

        let engine = self.engine();
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Ok(ticket) = engine.admit() {
                return Ok(Permit::new(engine, ticket));
            }
            let listener = engine.join_queue();
            let refusal = match engine.admit() {
                Ok(ticket) => return Ok(Permit::new(engine, ticket)),
                Err(refusal) => refusal,
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(engine.reject(refusal));
            }
            let worth_asking = refusal.ask_again_after().and_then(|wait| now.checked_add(wait));
            let wake_up = worth_asking.into_iter().chain(deadline).min();
            listener.wait_until(wake_up);
        }
    }
}
