use crate::machine::word::{EPOCH_MARK, Epoch, Field};
use crate::sync::{Ordering, SwapU64};

const VALUE: Field = Field::after(EPOCH_MARK, 45);

/// How many transitions a thread can be late by.
const LATEST: u64 = 1024;

/// A value that belongs to one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    /// Of the epoch before the first, so that every mark is newer.
    const NONE: Mark = Mark(EPOCH_MARK.max());

    /// The largest value; larger ones saturate.
    pub(crate) const MAX: u64 = VALUE.max();

    pub(crate) fn new(epoch: Epoch, value: u64) -> Self {
        Mark(VALUE.set(epoch.number(), value.min(Self::MAX)))
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Mark(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn epoch(self) -> Epoch {
        Epoch::new(EPOCH_MARK.get(self.0))
    }

    pub(crate) const fn value(self) -> u64 {
        VALUE.get(self.0)
    }

    /// The value, if it belongs to `epoch`.
    pub(crate) fn of(self, epoch: Epoch) -> Option<u64> {
        (self.epoch() == epoch).then(|| self.value())
    }

    fn is_newer_than(self, other: Mark) -> bool {
        if self.epoch() == other.epoch() { self.value() > other.value() } else { !other.outlives(self.epoch()) }
    }

    /// Whether an epoch after `epoch` has begun when this stands here.
    ///
    /// Epochs wrap, so a mark that was left long ago looks like one that is far ahead. An outage of days, with
    /// a probe each second, leaves such marks behind; no thread is late by so many transitions.
    fn outlives(self, epoch: Epoch) -> bool {
        self.epoch().is_shortly_after(epoch, LATEST)
    }
}

/// A mark that several threads write.
pub(crate) struct SharedMark(SwapU64);

impl SharedMark {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            SharedMark(SwapU64::new(Mark::NONE.0))
        }
    }

    pub(crate) fn load(&self) -> Mark {
        // Acquire: pairs with the Release in `swap`. Who sees a mark sees what was written before it.
        Mark(self.0.load(Ordering::Acquire))
    }

    /// As [`load`](Self::load), where the answer decides on a [`replace`](Self::replace).
    pub(crate) fn load_to_replace(&self) -> Mark {
        // Acquire: as above.
        Mark(self.0.load_to_swap(Ordering::Acquire))
    }

    /// Writes `new`, unless there is a newer one: of a later epoch, or of the same with a larger value.
    pub(crate) fn raise(&self, new: Mark) {
        self.update(|seen| new.is_newer_than(seen).then_some(new));
    }

    /// Writes `new` if `old` still stands there; only one of several threads can.
    pub(crate) fn replace(&self, old: Mark, new: Mark) -> bool {
        let swapped = self.update(|seen| (seen == old).then_some(new));
        swapped.is_some()
    }

    /// Writes what `next` makes of the mark, until no other thread comes in between; `None` writes nothing.
    fn update(&self, next: impl Fn(Mark) -> Option<Mark>) -> Option<Mark> {
        let mut seen = self.load_to_replace();
        loop {
            let new = next(seen)?;
            // Release: pairs with the Acquire in `load`. Acquire on both ways, so that the marks form one
            // chain.
            match self.0.compare_exchange_weak(seen.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(new),
                Err(found) => seen = Mark(found),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const FIRST: Epoch = Epoch::new(0);

    #[test]
    fn a_mark_gives_way_to_a_newer_one_only() {
        let shared = SharedMark::new();
        for (epoch, value, expected) in
            [(6, 9, (6, 9)), (4, 30, (6, 9)), (6, 7, (6, 9)), (6, 10, (6, 10)), (8, 1, (8, 1))]
        {
            shared.raise(Mark::new(Epoch::new(epoch), value));
            assert_eq!(shared.load(), Mark::new(Epoch::new(expected.0), expected.1));
        }
    }

    #[test]
    fn a_mark_of_long_ago_gives_way_like_any_other() {
        for age in [2, 1 << 17, 1 << 18, 400_000, 523_000] {
            let (later, raised) = (Epoch::new(age), SharedMark::new());
            raised.raise(Mark::new(FIRST, 7));
            raised.raise(Mark::new(later, 1));
            assert_eq!(raised.load(), Mark::new(later, 1), "after {age} epochs");
        }
    }

    #[test]
    fn only_one_replaces_a_mark() {
        let shared = SharedMark::new();
        let old = shared.load();
        assert!(shared.replace(old, Mark::new(FIRST, 1)));
        assert!(!shared.replace(old, Mark::new(FIRST, 2)));
    }

    #[test]
    fn values_saturate() {
        assert_eq!(Mark::new(FIRST, u64::MAX).of(FIRST), Some(Mark::MAX));
        assert_eq!(Mark::new(FIRST, 3).of(FIRST.next()), None);
    }
}
