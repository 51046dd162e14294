//! The coarse clocks of operating systems.

use std::time::Duration;

#[cfg(feature = "coarse-clock")]
use super::Clock;

/// A clock of the operating system that ticks every few milliseconds, and is read several times as fast as
/// [`MonotonicClock`](super::MonotonicClock): for breakers that count millions of calls a second in a window of time. On
/// Linux and Android a rejection is no cheaper with it: there a breaker with the default clock reads the coarse one by
/// itself.
///
/// | on | it is | and ticks every |
/// |---|---|---|
/// | Linux, Android | `CLOCK_MONOTONIC_COARSE` | 1 ms to 10 ms, mostly 4 ms: `CONFIG_HZ` of the kernel |
/// | Windows | `GetTickCount64` | 10 ms to 16 ms |
/// | macOS | `CLOCK_MONOTONIC_RAW_APPROX` | few milliseconds |
/// | FreeBSD | `CLOCK_MONOTONIC_FAST` | 10 ms at most |
/// | other systems | `MonotonicClock` | |
///
/// It never steps back, and no thread keeps it going. It shows the time of its last tick, so it is late by up to one: what
/// it times, a wait or a call, may really be shorter or longer by as much. A call that is over within a tick may have
/// taken no time, and a [`slow_call_duration`](crate::Builder::slow_call_duration) should last for many ticks.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::CircuitBreaker;
/// use tripcoil::clock::CoarseClock;
///
/// let breaker = CircuitBreaker::builder("payments").clock(CoarseClock).build()?;
/// breaker.open_for(Duration::from_secs(30));
/// assert!(breaker.try_acquire().is_err());
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[cfg(feature = "coarse-clock")]
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseClock;

#[cfg(feature = "coarse-clock")]
impl Clock for CoarseClock {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows))]
    fn now(&self) -> Duration {
        reading()
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows)))]
    fn now(&self) -> Duration {
        super::MonotonicClock.now()
    }
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    all(feature = "coarse-clock", any(target_os = "macos", target_os = "freebsd", windows))
))]
#[inline]
pub(super) fn reading() -> Duration {
    use coarsetime::Instant;

    // Not `now`, which writes each reading to a place that all threads share.
    Instant::now_without_cache_update().duration_since(Instant::from_ticks(0)).into()
}
