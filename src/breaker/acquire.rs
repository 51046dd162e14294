use std::future::Future;
use std::time::Duration;

use futures_lite::future;

use super::CircuitBreaker;
use super::permit::Permit;
use crate::clock::{Clock, MonotonicClock};
#[cfg(not(target_family = "wasm"))]
use crate::error::Rejected;

/// As many sleeps in a row may be over at once while the breaker's clock stands still.
const MOST_IN_VAIN: u32 = 64;
/// After as many of them each is longer than the one before.
const ALIKE: u32 = 8;
/// Less is no time.
const MOMENT: Duration = Duration::from_millis(1);

/// The sleeps of one wait.
#[derive(Default)]
struct Sleeps {
    /// How long the last one was to be, and when it began.
    last: Option<(Duration, Duration)>,
    was_over_at_once: bool,
    in_vain: u32,
}

impl Sleeps {
    /// Begins a sleep for a breaker that is to be asked again after `wait`. Returns for how long to sleep.
    fn begin(&mut self, wait: Duration, name: &str) -> Duration {
        let stood_still = self.last.is_some_and(|(last, _)| wait.saturating_add(MOMENT) > last);
        self.in_vain = if self.was_over_at_once && stood_still { self.in_vain + 1 } else { 0 };
        assert!(
            self.in_vain < MOST_IN_VAIN,
            "`acquire`: {MOST_IN_VAIN} sleeps were over at once while the clock of circuit breaker `{name}` stood still; \
             give the breaker the clock that `sleep` goes by, for tokio's paused time the `TokioClock`"
        );
        self.last = Some((wait, MonotonicClock.now()));
        wait.saturating_mul(1 << self.in_vain.saturating_sub(ALIKE).min(31))
    }

    /// The sleep is over, or something else has ended it.
    fn end(&mut self, has_slept: bool) {
        let took = self.last.map(|(_, begun)| MonotonicClock.now().saturating_sub(begun));
        self.was_over_at_once = has_slept && took.is_some_and(|took| took < MOMENT);
    }
}

async fn wake(listener: impl Future) -> bool {
    drop(listener.await);
    false
}

async fn end(timer: impl Future) -> bool {
    drop(timer.await);
    true
}

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
    /// # Panics
    ///
    /// If `sleep` and the breaker's clock do not fit together: 64 consecutive sleeps return at once while the
    /// clock stands still. Paused tokio time does this to a breaker with the default clock. Give such a breaker
    /// the `TokioClock` of the feature `tokio`. After eight such sleeps each is twice as long as the one
    /// before, so a test that moves a `ManualClock` under paused time is not affected.
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
        let mut sleeps = Sleeps::default();
        loop {
            if let Ok(ticket) = engine.admit() {
                return Permit::new(engine, ticket);
            }
            let listener = engine.join_queue();
            match engine.admit() {
                Ok(ticket) => return Permit::new(engine, ticket),
                Err(rejection) => match rejection.ask_again_after() {
                    Some(wait) => {
                        let timer = sleep(sleeps.begin(wait, engine.name()));
                        let has_slept = future::or(wake(listener), end(timer)).await;
                        sleeps.end(has_slept);
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
            let rejection = match engine.admit() {
                Ok(ticket) => return Ok(Permit::new(engine, ticket)),
                Err(rejection) => rejection,
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(engine.reject(rejection));
            }
            let worth_asking = rejection.ask_again_after().and_then(|wait| now.checked_add(wait));
            let wake_up = worth_asking.into_iter().chain(deadline).min();
            listener.wait_until(wake_up);
        }
    }
}
