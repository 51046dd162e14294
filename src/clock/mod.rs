//! Clocks: where a breaker gets the time from.
//!
//! ```
//! use std::time::Duration;
//! use tripcoil::clock::ManualClock;
//! use tripcoil::{CircuitBreaker, State};
//!
//! let clock = ManualClock::new();
//! let breaker = CircuitBreaker::builder("payments").clock(clock.clone()).build()?;
//!
//! breaker.open_for(Duration::from_secs(5));
//! assert!(breaker.try_acquire().is_err());
//!
//! clock.advance(Duration::from_secs(5));
//! let probe = breaker.try_acquire().unwrap();
//! assert_eq!(breaker.state(), State::HalfOpen);
//! # probe.success();
//! # Ok::<(), tripcoil::ConfigError>(())
//! ```

#[cfg(any(feature = "coarse-clock", all(any(target_os = "linux", target_os = "android"), not(any(loom, shuttle)))))]
mod coarse;
#[cfg(feature = "tokio")]
mod tokio;

use std::sync::Arc;
use std::time::Duration;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use std::time::Instant;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
use web_time::Instant; // The standard library's panics there.

use crate::machine::millis::whole_nanos;
use crate::sync::unmodelled::{AtomicU64, OnceLock, Ordering};

#[cfg(feature = "coarse-clock")]
pub use self::coarse::CoarseClock;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioClock;

/// A source of time. It measures the time since an origin that the clock chooses.
///
/// A clock should be monotonic. If it stands still or steps back, an open breaker waits longer. If it steps
/// back by more than a slice, a [window of time](crate::Window::time) starts over. There is no other harm.
/// Origins as far back as 1970 are fine; readings beyond 139 years count as 139 years.
///
/// A breaker reads its clock only where time matters:
///
/// - when it opens,
/// - at each call and each [`metrics`](crate::CircuitBreaker::metrics) while it is open,
/// - at each call while it is half-open,
/// - at a change of state, if there is an observer,
/// - at each call, if [`Dropped::FailureAfter`](crate::Dropped::FailureAfter), a slow-call rule or a window of
///   time is set,
/// - at each `metrics`, if a slow-call rule or a window of time is set.
///
/// It never reads the clock under a lock. A clock must not panic and must not call the breaker.
///
/// On Linux and Android a breaker with the default clock rejects by the kernel's coarse clock until 30 ms
/// before the deadline. A breaker with any other clock reads only that clock.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tripcoil::{CircuitBreaker, Clock};
///
/// struct WallClock;
///
/// impl Clock for WallClock {
///     fn now(&self) -> Duration {
///         SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
///     }
/// }
///
/// let breaker = CircuitBreaker::builder("payments").clock(WallClock).build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Returns the time since the clock's origin.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The default clock: the operating system's monotonic clock, [`Instant`].
///
/// Its origin is its first reading in the process.
///
/// ```
/// use tripcoil::{Clock, clock::MonotonicClock};
///
/// let earlier = MonotonicClock.now();
/// assert!(MonotonicClock.now() >= earlier);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Duration {
        ORIGIN.get_or_init(Instant::now).elapsed()
    }
}

/// The time of the operating system's last tick, where that is a fraction of the price of [`MonotonicClock`]: on Linux and
/// Android. `None` elsewhere, and in models, where no real time goes by.
///
/// Its origin is not that of [`MonotonicClock`]: compare a reading with another one of this clock only. It never steps
/// back, and shows no time that has not come yet.
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
#[inline]
pub(crate) fn coarse_now() -> Option<Duration> {
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(any(loom, shuttle))))]
    let now = Some(coarse::reading());
    #[cfg(not(all(any(target_os = "linux", target_os = "android"), not(any(loom, shuttle)))))]
    let now = None;
    now
}

/// A clock for tests that moves only when you move it.
///
/// Clones are handles to the same clock. It starts at zero and counts nanoseconds, up to 584 years. Moving it
/// does not wake anyone who waits on a breaker. See the [module](self) for an example.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// Creates a clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward by `step`, saturating.
    pub fn advance(&self, step: Duration) {
        let step = whole_nanos(step);
        // SeqCst: a test that moves the clock in one thread expects every other to see it.
        let _ = self.nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |nanos| Some(nanos.saturating_add(step)));
    }

    /// Sets the clock to `time` after its origin, forwards or backwards, saturating.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::{Clock, clock::ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// clock.set(Duration::from_secs(60));
    /// clock.set(Duration::from_secs(1));
    /// assert_eq!(clock.now(), Duration::from_secs(1));
    /// ```
    pub fn set(&self, time: Duration) {
        self.nanos.store(whole_nanos(time), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn the_coarse_clock_goes_on_never_steps_back_and_is_never_a_tick_ahead() {
        // The longest tick of a kernel, `CONFIG_HZ` 100. A tick that is handled late shows when it was due.
        const TICK: Duration = Duration::from_millis(10);
        let coarse = || coarse_now().expect("these systems have it");
        let (mut fine, mut before) = (Instant::now(), coarse());
        // The next tick is handled after `fine`, and was due less than a tick before.
        let begun = loop {
            let next = Instant::now();
            let now = coarse();
            if now > before {
                break now;
            }
            (fine, before) = (next, now);
        };
        let (mut last, mut ticks) = (begun, 0);
        while ticks < 5 {
            let now = coarse();
            assert!(now - begun <= fine.elapsed() + TICK);
            assert!(now >= last);
            ticks += u32::from(now > last);
            last = now;
        }
    }

    #[test]
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn there_is_no_coarse_clock_elsewhere() {
        assert_eq!(coarse_now(), None);
    }
}
