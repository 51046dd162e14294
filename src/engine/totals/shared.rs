use std::time::Duration;

use super::Kind;
use super::Sums;
use crate::clock::{Clock, MonotonicClock};
use crate::machine::cell::Cell;
use crate::machine::epoch_cell::EPOCH_MARK;
use crate::machine::word::{Epoch, Field};
use crate::sync::unmodelled::{AtomicU64, Ordering as Unmodelled};
use crate::sync::{Ordering, TallyU64};

/// Counts with any number of writers.
///
/// What healthy calls write comes last, so that in a place of the table it is far from what the owner writes.
#[repr(C)]
pub(super) struct SharedStripe {
    /// When the current [`BURST`] of counts began, in nanoseconds of [`MonotonicClock`].
    burst: AtomicU64,
    rejected: TallyU64,
    ignored: TallyU64,
    dropped: TallyU64,
    uncredited_success: TallyU64,
    uncredited_error: TallyU64,
    error: Credited,
    success: Credited,
    admitted: TallyU64,
}

/// So many counts ...
const BURST: u64 = if cfg!(any(loom, shuttle)) { 2 } else { 1_024 };
/// ... within so short a time earn a thread a stripe of its own. Without the time, every breaker would grow in the end.
const SHORT: Duration = Duration::from_millis(20);

impl SharedStripe {
    pub(super) fn new() -> Self {
        SharedStripe {
            burst: AtomicU64::new(0),
            rejected: TallyU64::new(0),
            ignored: TallyU64::new(0),
            dropped: TallyU64::new(0),
            uncredited_success: TallyU64::new(0),
            uncredited_error: TallyU64::new(0),
            error: Credited::new(),
            success: Credited::new(),
            admitted: TallyU64::new(0),
        }
    }

    /// Returns whether the stripe is busy.
    pub(super) fn count_admission(&self) -> bool {
        self.is_burst(self.admitted.fetch_add(1, Ordering::Release))
    }

    /// Returns whether the stripe is busy.
    pub(super) fn count_rejection(&self) -> bool {
        self.is_burst(self.rejected.fetch_add(1, Ordering::Release))
    }

    fn is_burst(&self, before: u64) -> bool {
        (before + 1) % BURST == 0 && self.is_short_burst()
    }

    #[cold]
    fn is_short_burst(&self) -> bool {
        if cfg!(any(loom, shuttle)) {
            return true;
        }
        let now = u64::try_from(MonotonicClock.now().as_nanos()).unwrap_or(u64::MAX);
        let began = self.burst.swap(now, Unmodelled::Relaxed);
        began != 0 && now.saturating_sub(began) < u64::try_from(SHORT.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Credits `epoch` with a success or an error; a late one counts in the totals alone. Returns whether the stripe is busy.
    pub(super) fn count(&self, kind: Kind, epoch: Epoch, present: &Cell) -> bool {
        let counts = if kind == Kind::Success { &self.success } else { &self.error };
        let credit = counts.add_one(epoch, present);
        if credit == Credit::Late {
            self.count_uncredited(kind);
        }
        credit == Credit::Contended
    }

    pub(super) fn count_uncredited(&self, kind: Kind) {
        match kind {
            Kind::Success => &self.uncredited_success,
            Kind::Error => &self.uncredited_error,
            Kind::Ignored => &self.ignored,
            Kind::Dropped => &self.dropped,
        }
        // Release: a reader that sees a call settled sees it admitted.
        .fetch_add(1, Ordering::Release);
    }

    pub(super) fn calls_in(&self, epoch: Epoch) -> u64 {
        self.success.calls_in(epoch) + self.error.calls_in(epoch)
    }

    pub(super) fn rejections(&self) -> u64 {
        self.rejected.load(Ordering::Acquire)
    }

    pub(super) fn admissions(&self) -> u64 {
        self.admitted.load(Ordering::Acquire)
    }

    pub(super) fn add_settled_to(&self, sums: &mut Sums) {
        sums.success += self.success.total() + self.uncredited_success.load(Ordering::Acquire);
        sums.error += self.error.total() + self.uncredited_error.load(Ordering::Acquire);
        sums.ignored += self.ignored.load(Ordering::Acquire);
        sums.dropped += self.dropped.load(Ordering::Acquire);
        sums.rejected += self.rejections();
    }
}

/// A count, and how much of it the current epoch is credited with.
///
/// An epoch and the low bits of the count share a word, so that one swap credits the epoch or finds that another one
/// has begun. The high bits follow from [`floor`](Self::floor).
struct Credited {
    packed: TallyU64,
    /// The whole count when the epoch in [`packed`](Self::packed) began, or more if a later one begins just now.
    start: TallyU64,
    /// A count that has been reached, not long ago.
    floor: TallyU64,
}

/// The low bits of the count.
const COUNT: Field = Field::after(EPOCH_MARK, u64::BITS - EPOCH_MARK.end());
/// The floor is raised each time the count has gone on by this. So it is never behind by as much as the low bits hold,
/// even if the thread that should raise it is late by a whole turn.
const TURN: u64 = (COUNT.max() + 1) / 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credit {
    Given,
    /// Given, after another thread had come between.
    Contended,
    /// Not given: the epoch is over.
    Late,
}

fn pack(epoch: Epoch, count: u64) -> u64 {
    COUNT.set(epoch.number(), count & COUNT.max())
}

impl Credited {
    fn new() -> Self {
        Credited { packed: TallyU64::new(0), start: TallyU64::new(0), floor: TallyU64::new(0) }
    }

    fn add_one(&self, epoch: Epoch, present: &Cell) -> Credit {
        let mut credit = Credit::Given;
        let mut seen = self.packed.load_to_swap(Ordering::Acquire);
        loop {
            if EPOCH_MARK.get(seen) != epoch.number() {
                // An epoch that is not in the word has ended. One that is in the word is later than all that were.
                if !present.is_in(epoch) {
                    return Credit::Late;
                }
                // Before the epoch is put in, so that no reader takes the calls of the one before for its own.
                self.start.fetch_max(self.extended(COUNT.get(seen)), Ordering::AcqRel);
            }
            let next = pack(epoch, COUNT.get(seen) + 1);
            // Release: pairs with the Acquires in `calls_in` and `total`.
            match self.packed.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(found) => (seen, credit) = (found, Credit::Contended),
            }
        }
        let count = COUNT.get(seen) + 1;
        if count % TURN == 0 {
            self.floor.fetch_max(self.extended(count & COUNT.max()), Ordering::AcqRel);
        }
        credit
    }

    /// The whole count with these low bits.
    fn extended(&self, count: u64) -> u64 {
        extend(self.floor.load(Ordering::Acquire), count)
    }

    fn total(&self) -> u64 {
        // The floor first: a count that is read after it is not below it.
        let floor = self.floor.load(Ordering::Acquire);
        extend(floor, COUNT.get(self.packed.load(Ordering::Acquire)))
    }

    fn calls_in(&self, epoch: Epoch) -> u64 {
        let floor = self.floor.load(Ordering::Acquire);
        let packed = self.packed.load(Ordering::Acquire);
        if EPOCH_MARK.get(packed) != epoch.number() {
            return 0;
        }
        // Saturating: where a later epoch begins just now, this one is over.
        extend(floor, COUNT.get(packed)).saturating_sub(self.start.load(Ordering::Acquire))
    }
}

/// The smallest number from `floor` on that has these low bits.
fn extend(floor: u64, low: u64) -> u64 {
    floor.wrapping_add(low.wrapping_sub(floor) & COUNT.max())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(4);

    #[test]
    fn an_epoch_is_credited_with_its_own_calls() {
        let (counts, mut cell) = (Credited::new(), Cell::closed_in(EPOCH));
        (0..3).for_each(|_| assert_eq!(counts.add_one(EPOCH, &cell), Credit::Given));
        assert_eq!((counts.calls_in(EPOCH), counts.calls_in(EPOCH.next()), counts.total()), (3, 0, 3));
        cell = Cell::closed_in(EPOCH.next());
        assert_eq!(counts.add_one(EPOCH.next(), &cell), Credit::Given);
        assert_eq!((counts.calls_in(EPOCH), counts.calls_in(EPOCH.next()), counts.total()), (0, 1, 4));
        assert_eq!(counts.add_one(EPOCH, &cell), Credit::Late);
        assert_eq!((counts.calls_in(EPOCH.next()), counts.total()), (1, 4));
    }

    #[test]
    fn an_epoch_of_any_age_gives_way_to_the_one_in_the_word() {
        for age in [1, 2, EPOCH_MARK.max() / 2, EPOCH_MARK.max() / 2 + 1, EPOCH_MARK.max()] {
            let counts = Credited::new();
            assert_eq!(counts.add_one(EPOCH, &Cell::closed_in(EPOCH)), Credit::Given);
            let later = Epoch::new(EPOCH.number() + age);
            assert_eq!(counts.add_one(later, &Cell::closed_in(later)), Credit::Given);
            assert_eq!((counts.calls_in(later), counts.total()), (1, 2), "after {age} epochs");
        }
    }

    #[test]
    fn a_count_goes_on_beyond_its_low_bits() {
        let (counts, cell) = (Credited::new(), Cell::closed_in(EPOCH));
        for whole in [TURN - 1, COUNT.max() - 1, COUNT.max(), 5 * COUNT.max() + 3] {
            // As if the count had come here by ones.
            counts.floor.store(whole - whole % TURN, Ordering::Relaxed);
            counts.packed.store(pack(EPOCH.next(), whole), Ordering::Relaxed);
            assert_eq!(counts.total(), whole);
            (0..3).for_each(|_| assert_eq!(counts.add_one(EPOCH, &cell), Credit::Given));
            assert_eq!((counts.total(), counts.calls_in(EPOCH)), (whole + 3, 3));
        }
    }
}
