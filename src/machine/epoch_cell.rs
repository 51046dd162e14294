use super::cell::Cell;
use super::word::{EPOCH, Epoch, Field};
use crate::sync::{Ordering, SwapU64};

/// The epoch in a value beside the word that belongs to one epoch.
pub(crate) const EPOCH_MARK: Field = Field::first(EPOCH.end() - super::word::TAG.end());

/// The value in a [`Stamped`].
pub(crate) const VALUE: Field = Field::after(EPOCH_MARK, u64::BITS - EPOCH_MARK.end());

/// A value that belongs to one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamped(u64);

impl Stamped {
    /// Only the low bits of the value are kept, [`VALUE`] of them.
    pub(crate) const fn new(epoch: Epoch, value: u64) -> Self {
        Stamped(VALUE.set(epoch.number(), value & VALUE.max()))
    }

    fn epoch(self) -> Epoch {
        Epoch::new(EPOCH_MARK.get(self.0))
    }

    /// The value, if it belongs to `epoch`.
    pub(crate) fn of(self, epoch: Epoch) -> Option<u64> {
        (self.epoch() == epoch).then(|| VALUE.get(self.0))
    }
}

/// A [`Stamped`] value that several threads write.
///
/// Of two epochs, the one that is in the word is the later one. Nothing is concluded from their numbers: these wrap, and
/// a value may have been left here any number of epochs ago.
pub(crate) struct EpochCell(SwapU64);

impl EpochCell {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            EpochCell(SwapU64::new(0))
        }
    }

    pub(crate) fn load(&self) -> Stamped {
        // Acquire: pairs with the Release in `update`. A thread that sees a value sees what was written before it.
        Stamped(self.0.load(Ordering::Acquire))
    }

    /// Writes what `next` makes of the value of `epoch`, which is `None` if there is none yet, until no other thread comes
    /// between. Writes nothing and returns `None` if the epoch is over, as `present`, the cell of the breaker, has it.
    pub(crate) fn update(&self, epoch: Epoch, present: &Cell, next: impl Fn(Option<u64>) -> u64) -> Option<u64> {
        let mut seen = Stamped(self.0.load_to_swap(Ordering::Acquire));
        loop {
            let value = seen.of(epoch);
            if value.is_none() && !present.is_in(epoch) {
                return None;
            }
            let next = next(value);
            // Release: pairs with the Acquire in `load`. Acquire on both ways, so that the values form one chain.
            let new = Stamped::new(epoch, next).0;
            match self.0.compare_exchange_weak(seen.0, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(next),
                Err(found) => seen = Stamped(found),
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(6);

    fn count(shared: &EpochCell, epoch: Epoch, present: Epoch) -> Option<u64> {
        shared.update(epoch, &Cell::closed_in(present), |value| value.map_or(1, |value| value + 1))
    }

    #[test]
    fn each_epoch_begins_anew_and_one_that_is_over_writes_nothing() {
        let shared = EpochCell::new();
        let later = EPOCH.next();
        assert_eq!([count(&shared, EPOCH, EPOCH), count(&shared, EPOCH, EPOCH)], [Some(1), Some(2)]);
        assert_eq!(count(&shared, later, later), Some(1));
        assert_eq!(count(&shared, EPOCH, later), None);
        assert_eq!(count(&shared, later, later), Some(2));
        assert_eq!((shared.load().of(later), shared.load().of(EPOCH)), (Some(2), None));
    }

    #[test]
    fn a_value_of_any_age_gives_way_to_the_epoch_in_the_word() {
        let most = EPOCH_MARK.max();
        for age in [1, 2, most / 2 - 1, most / 2, most / 2 + 1, most / 2 + 2, most - 1, most] {
            let (shared, later) = (EpochCell::new(), Epoch::new(EPOCH.number() + age));
            assert_eq!(count(&shared, EPOCH, EPOCH), Some(1));
            assert_eq!(count(&shared, later, later), Some(1), "after {age} epochs");
            assert_eq!(count(&shared, EPOCH, later), None, "after {age} epochs");
        }
    }

    #[test]
    fn only_the_low_bits_of_a_value_are_kept() {
        assert_eq!(Stamped::new(EPOCH, VALUE.max() + 5).of(EPOCH), Some(4));
        assert_eq!(Stamped::new(EPOCH, VALUE.max()).of(EPOCH), Some(VALUE.max()));
    }
}
