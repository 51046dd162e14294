//! The coarse clocks of operating systems.

use std::time::Duration;

#[cfg(feature = "coarse-clock")]
use super::Clock;

/// A clock of the operating system that ticks every few milliseconds. Reading it is several times faster than
/// reading [`MonotonicClock`](super::MonotonicClock). Use it for breakers that count millions of calls a second
/// in a window of time. On Linux and Android it makes rejections no cheaper, because a breaker with the default
/// clock already uses the coarse one for them.
///
/// | platform | clock | tick |
/// |---|---|---|
/// | Linux, Android | `CLOCK_MONOTONIC_COARSE` | 1 ms to 10 ms, usually 4 ms: `CONFIG_HZ` of the kernel |
/// | Windows | `GetTickCount64` | 10 ms to 16 ms |
/// | macOS | `CLOCK_MONOTONIC_RAW_APPROX` | a few milliseconds |
/// | FreeBSD | `CLOCK_MONOTONIC_FAST` | 10 ms at most |
/// | other systems | `MonotonicClock` | |
///
/// It never steps back and needs no thread. It shows the time of its last tick, so it is late by up to one
/// tick. A wait or a call may really be shorter or longer by as much. A call that ends within a tick may
/// measure as zero, so choose a [`slow_call_duration`](crate::Builder::slow_call_duration) of many ticks.
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
