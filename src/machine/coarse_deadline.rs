use std::time::Duration;

use super::millis::Millis;
use super::word::{Field, Word};
use crate::sync::unmodelled::{AtomicU64, Ordering};

/// The deadline of an opening by a clock that is cheap and coarse, which may reject long before the deadline and may not
/// decide near it.
///
/// It stands beside the word, which knows the deadline by the fine clock alone: the two clocks have no origin in common.
/// It is stored by the first caller that the fine clock rejects. Until then, and for a reader whose word it does not
/// belong to, the fine clock decides. Several callers may store it at the same time: each of them stores a deadline that is
/// not too late, and a wait that is not too short for any later caller.
pub(crate) struct CoarseDeadline {
    deadline: AtomicU64,
    /// How long the opening lasted when this was stored, so that no caller waits for longer.
    opening: AtomicU64,
}

/// Bits of the word above its tag, which label what is stored. The lowest, of the epoch and a few of the word's deadline,
/// label the coarse deadline. The next ones label the length, so that an extended opening has another label, unless it ends
/// a multiple of nine hours later.
const LABEL: Field = Field::first(22);
const MILLIS: Field = Field::after(LABEL, Millis::BITS);

const _: () = assert!(MILLIS.end() == u64::BITS);

/// How far a reading is behind the time at most: `CONFIG_HZ` is 100 at least.
const TICK: u64 = 10;
/// No nearer to the deadline does the coarse clock reject: 20 ms, and by how far the reading may be behind.
const MARGIN: u64 = 20 + TICK;

#[inline]
fn label(open: Word) -> u64 {
    open.above_tag() & LABEL.max()
}

#[inline]
fn second_label(open: Word) -> u64 {
    open.above_tag() >> LABEL.end() & LABEL.max()
}

#[inline]
fn of(bits: u64, label: u64) -> Option<u64> {
    (LABEL.get(bits) == label).then(|| MILLIS.get(bits))
}

impl CoarseDeadline {
    pub(crate) const fn new() -> Self {
        CoarseDeadline { deadline: AtomicU64::new(0), opening: AtomicU64::new(0) }
    }

    /// Whether a deadline has been stored for the opening whose word is `open`.
    pub(crate) fn is_of(&self, open: Word) -> bool {
        self.stored_for(open).is_some()
    }

    /// Stores that at `now` by the coarse clock, the opening whose word is `open` lasts for another `wait`.
    pub(crate) fn store(&self, open: Word, now: Duration, wait: Duration) {
        // The reading is rounded down, so that the deadline is never too late.
        let deadline = Millis::from_bits(Millis::reached(now).bits().saturating_add(Millis::reached(wait).bits()));
        self.opening.store(MILLIS.set(second_label(open), Millis::not_before(wait).bits()), Ordering::Relaxed);
        self.deadline.store(MILLIS.set(label(open), deadline.bits()), Ordering::Relaxed);
    }

    /// The deadline and the length of the opening whose word is `open`.
    #[inline]
    fn stored_for(&self, open: Word) -> Option<(u64, u64)> {
        let deadline = of(self.deadline.load(Ordering::Relaxed), label(open))?;
        Some((deadline, of(self.opening.load(Ordering::Relaxed), second_label(open))?))
    }

    /// How long a caller should wait, in nanoseconds, if the word `open` surely rejects it at `now`: too long by two
    /// ticks at most, never too short, and never longer than the opening.
    #[inline]
    pub(crate) fn time_left(&self, open: Word, now: impl FnOnce() -> Option<Duration>) -> Option<u64> {
        let (deadline, opening) = self.stored_for(open)?;
        let now = Millis::reached(now()?).bits();
        let left = deadline.checked_sub(now).filter(|left| *left > MARGIN)?;
        // Both readings were rounded down, and either may be behind.
        Some((left + TICK + 2).min(opening) * 1_000_000)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::machine::word::Epoch;

    const WAIT: Duration = Duration::from_secs(5);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn open(epoch: u64) -> Word {
        Word::open(Epoch::new(epoch), Millis::from_bits(5_000))
    }

    #[test]
    fn it_rejects_until_shortly_before_the_deadline() {
        let coarse = CoarseDeadline::new();
        coarse.store(open(3), at(1_000), WAIT);
        let left = |millis| coarse.time_left(open(3), || Some(at(millis))).map(Duration::from_nanos);
        assert_eq!(left(1_000), Some(WAIT));
        assert_eq!(left(2_000), Some(Duration::from_millis(4_012)));
        assert_eq!([left(5_969).is_some(), left(5_970).is_some(), left(7_000).is_some()], [true, false, false]);
        assert_eq!(coarse.time_left(open(3), || None), None);
    }

    #[test]
    fn it_says_nothing_of_another_opening() {
        let coarse = CoarseDeadline::new();
        assert_eq!(coarse.time_left(open(1), || Some(at(0))), None);
        coarse.store(open(3), at(1_000), WAIT);
        assert_eq!(coarse.time_left(open(5), || Some(at(1_000))), None);
        assert!(coarse.is_of(open(3)));
        // Also where the lowest bits of the deadline are the same.
        for deadline in [6_001, 5_008, 5_000 + (1 << 24)] {
            let extended = Word::open(Epoch::new(3), Millis::from_bits(deadline));
            assert_eq!(coarse.time_left(extended, || Some(at(1_000))), None);
            assert!(!coarse.is_of(extended));
        }
    }

    #[test]
    fn the_longest_opening_overflows_nothing() {
        let coarse = CoarseDeadline::new();
        coarse.store(open(3), Duration::MAX, Duration::MAX);
        assert_eq!(coarse.time_left(open(3), || Some(Duration::MAX)), None);
        coarse.store(open(3), Duration::ZERO, Duration::MAX);
        assert_eq!(coarse.time_left(open(3), || Some(at(0))), Some(Millis::MAX.nanos()));
    }
}
