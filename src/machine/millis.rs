use std::time::Duration;

/// In a millisecond.
const NANOS: u64 = 1_000_000;
/// The same in the type of [`Duration::subsec_nanos`].
const SUBSEC_NANOS: u32 = 1_000_000;

/// Whole milliseconds of a clock, saturating at what the word has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis(u64);

impl Millis {
    /// 139 years: a clock that began in 1970 fits until 2109.
    pub(crate) const BITS: u32 = 42;
    pub(crate) const MAX: Millis = Millis((1 << Self::BITS) - 1);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        if bits < Self::MAX.0 { Millis(bits) } else { Self::MAX }
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The last millisecond that a clock at `now` has reached.
    #[inline]
    pub(crate) fn reached(now: Duration) -> Self {
        Self::from_seconds(now.as_secs(), now.subsec_millis())
    }

    /// The first millisecond that is not before `instant`.
    #[inline]
    pub(crate) fn not_before(instant: Duration) -> Self {
        Self::from_seconds(instant.as_secs(), instant.subsec_nanos().div_ceil(SUBSEC_NANOS))
    }

    /// A `Duration` stores seconds and nanoseconds separately. Joining them into one number would cost a division, which a
    /// swap of the word would have to wait for.
    #[inline]
    fn from_seconds(seconds: u64, millis: u32) -> Self {
        Self::from_bits(seconds.min(Self::MAX.0) * 1_000 + u64::from(millis))
    }

    /// When a wait that began at `now` is over, the wait rounded up to whole milliseconds, and its end to
    /// the next one of the clock's. [`lead`] is by how much the latter is late.
    pub(crate) fn after(now: Duration, wait: Duration) -> Self {
        Self::from_bits(Self::not_before(now).0 + Self::not_before(wait).0)
    }

    /// The same in nanoseconds.
    pub(crate) const fn nanos(self) -> u64 {
        self.0 * NANOS
    }
}

/// From `now` to the next whole millisecond: below a millisecond, zero on a whole one.
pub(crate) fn lead(now: Duration) -> Duration {
    Duration::new(0, (SUBSEC_NANOS - now.subsec_nanos() % SUBSEC_NANOS) % SUBSEC_NANOS)
}

/// Nanoseconds, saturating after 584 years.
#[inline]
pub(crate) fn whole_nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_nanos(1);

    #[test]
    fn a_wait_of_whole_milliseconds_ends_late_by_the_lead_of_its_beginning() {
        for start in [Duration::ZERO, TICK, Duration::from_micros(1_500), Duration::new(1_800_000_000, 999_999_999)] {
            let end = start + Duration::from_secs(5);
            let deadline = Millis::after(start, Duration::from_secs(5));
            assert_eq!(Duration::from_nanos(deadline.nanos()), end + lead(start));
            assert!(lead(start) < Duration::from_millis(1));
            assert_eq!(Millis::reached(end + lead(start)), deadline);
            assert!(Millis::reached(end - TICK + lead(start)) < deadline);
        }
    }

    #[test]
    fn a_wait_never_ends_early_and_less_than_two_milliseconds_late() {
        for start in [Duration::ZERO, TICK, Duration::from_micros(1_500), Duration::from_secs(1_800_000_000)] {
            for wait in [TICK, Duration::from_millis(1), Duration::from_micros(999), Duration::from_secs(30)] {
                let deadline = Millis::after(start, wait);
                assert!(Millis::reached(start + wait - TICK) < deadline, "{start:?} {wait:?}");
                assert!(Millis::reached(start + wait + Duration::from_millis(2)) >= deadline);
            }
        }
    }

    #[test]
    fn whole_milliseconds_are_exact() {
        let deadline = Millis::after(Duration::from_secs(3), Duration::from_millis(250));
        assert_eq!(Millis::reached(Duration::from_millis(3_250)), deadline);
        assert_eq!(deadline.nanos(), 3_250_000_000);
    }

    #[test]
    fn the_largest_duration_saturates() {
        assert_eq!(Millis::reached(Duration::MAX), Millis::MAX);
        assert_eq!(Millis::after(Duration::MAX, Duration::MAX), Millis::MAX);
        assert_eq!(Millis::from_bits(u64::MAX), Millis::MAX);
        assert_eq!(whole_nanos(Duration::MAX), u64::MAX);
    }
}
