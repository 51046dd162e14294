use std::time::{Duration, Instant};

use super::Clock;
use crate::sync::unmodelled::OnceLock;

/// The clock of tokio's timers. With it, `tokio::time::pause` and `advance` also move the breaker.
///
/// If time is not paused, and outside a runtime, it shows the real time, like
/// [`MonotonicClock`](super::MonotonicClock) but with another origin. A runtime whose time is paused has its
/// own time. A breaker shared with code outside the paused runtime, for example with another thread, sees time
/// jump back and forth.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::clock::TokioClock;
/// use tripcoil::{CircuitBreaker, State};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// // As in `#[tokio::test(start_paused = true)]`.
/// let breaker = CircuitBreaker::builder("payments").clock(TokioClock).build()?;
/// breaker.open_for(Duration::from_secs(3600));
///
/// tokio::time::advance(Duration::from_secs(3600)).await;
/// let probe = breaker.try_acquire().expect("the hour is over");
/// assert_eq!(breaker.state(), State::HalfOpen);
/// # probe.success();
/// # Ok::<(), tripcoil::ConfigError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        /// Of the real time, which no test has advanced.
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        /// What the clock shows at the origin: a runtime whose time was paused before it is behind.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

        let (now, origin) = (::tokio::time::Instant::now().into_std(), *ORIGIN.get_or_init(Instant::now));
        match now.checked_duration_since(origin) {
            Some(since) => YEAR.saturating_add(since),
            None => YEAR.saturating_sub(origin - now),
        }
    }
}
