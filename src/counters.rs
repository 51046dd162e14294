use crate::sync::{Ordering, PerThread, TallyU64};
use crate::word::{EPOCH_MARK, Epoch, Field};

const SUCCESSES_AT_MARK: Field = Field::after(EPOCH_MARK, 45);

/// The totals of a breaker, kept so that a call writes to nothing but its own thread's slot.
///
/// Each thread that settles calls has a slot for good; a thread that begins after it has ended takes it
/// over. A reader sums the slots.
pub(crate) struct Counters {
    slots: PerThread<Slot>,
}

/// One thread's counts. A slot has a single writer at a time, so a load and a store do for an addition.
///
/// The first line is all that a healthy call touches.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Slot {
    admitted: Tally,
    success: Tally,
    /// The epoch that the successes from `epoch_start` on belong to.
    epoch: TallyU64,
    epoch_start: TallyU64,
    error: Tally,
    ignored: Tally,
    dropped: Tally,
    rejected: Tally,
    slow: Tally,
    /// The successes of all threads when this one last saw a failure, and the epoch in which it did.
    error_mark: TallyU64,
}

#[derive(Default)]
struct Tally(TallyU64);

impl Tally {
    #[inline]
    fn add_one(&self) {
        // Release: pairs with the Acquire in `get`, so that who sees a call settled sees it admitted.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What the totals count a settled call as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Success,
    Error,
    Ignored,
    Dropped,
}

/// The sums of all slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) success: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) slow: u64,
    pub(crate) active: u64,
}

impl Totals {
    pub(crate) const ZERO: Totals =
        Totals { success: 0, error: 0, ignored: 0, dropped: 0, rejected: 0, slow: 0, active: 0 };

    /// What has come since `earlier`. The active calls are no sum, and stay as they are.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Totals {
            success: self.success.saturating_sub(earlier.success),
            error: self.error.saturating_sub(earlier.error),
            ignored: self.ignored.saturating_sub(earlier.ignored),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            slow: self.slow.saturating_sub(earlier.slow),
            active: self.active,
        }
    }
}

impl Slot {
    #[inline]
    pub(crate) fn count_admission(&self) {
        self.admitted.add_one();
    }

    #[inline]
    pub(crate) fn count_rejection(&self) {
        self.rejected.add_one();
    }

    #[inline]
    pub(crate) fn count_success(&self, epoch: Epoch) {
        if self.epoch.load(Ordering::Relaxed) != epoch.number() {
            self.start_epoch(epoch);
        }
        self.success.add_one();
    }

    #[cold]
    fn start_epoch(&self, epoch: Epoch) {
        self.epoch_start.store(self.success.get(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `successes_in`, which must not see an older start.
        self.epoch.store(epoch.number(), Ordering::Release);
    }

    fn successes_in(&self, epoch: Epoch) -> u64 {
        // Acquire: pairs with the Release in `start_epoch`.
        if self.epoch.load(Ordering::Acquire) == epoch.number() {
            self.success.get().saturating_sub(self.epoch_start.load(Ordering::Relaxed))
        } else {
            0
        }
    }

    fn successes_at_error(&self, epoch: Epoch) -> u64 {
        let mark = self.error_mark.load(Ordering::Acquire);
        if EPOCH_MARK.get(mark) == epoch.number() { SUCCESSES_AT_MARK.get(mark) } else { 0 }
    }
}

impl Counters {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Counters { slots: PerThread::new() }
        }
    }

    /// This thread's slot.
    #[inline]
    pub(crate) fn here(&self) -> &Slot {
        self.slots.here()
    }

    /// Counts a call that was settled in the epoch that it was admitted in.
    pub(crate) fn count_settled(&self, kind: Kind, epoch: Epoch) {
        let slot = self.here();
        match kind {
            Kind::Success => slot.count_success(epoch),
            Kind::Error => {
                let successes = self.slots.iter().map(|slot| slot.successes_in(epoch)).sum::<u64>();
                let mark = SUCCESSES_AT_MARK.set(epoch.number(), successes & SUCCESSES_AT_MARK.max());
                slot.error_mark.store(mark, Ordering::Release);
                slot.error.add_one();
            }
            Kind::Ignored => slot.ignored.add_one(),
            Kind::Dropped => slot.dropped.add_one(),
        }
    }

    /// Counts a call that was settled in a later epoch: in the totals and nowhere else.
    pub(crate) fn count_late(&self, kind: Kind) {
        let slot = self.here();
        match kind {
            Kind::Success => {
                slot.epoch_start.store(slot.epoch_start.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
                slot.success.add_one();
            }
            Kind::Error => slot.error.add_one(),
            Kind::Ignored => slot.ignored.add_one(),
            Kind::Dropped => slot.dropped.add_one(),
        }
    }

    /// The successes of `epoch` since its last failure.
    pub(crate) fn run_of_successes(&self, epoch: Epoch) -> u64 {
        let at_error = self.slots.iter().map(|slot| slot.successes_at_error(epoch)).max().unwrap_or(0);
        self.slots.iter().map(|slot| slot.successes_in(epoch)).sum::<u64>().saturating_sub(at_error)
    }

    /// The sums of all slots.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::ZERO;
        for slot in self.slots.iter() {
            totals.success += slot.success.get();
            totals.error += slot.error.get();
            totals.ignored += slot.ignored.get();
            totals.dropped += slot.dropped.get();
            totals.rejected += slot.rejected.get();
            totals.slow += slot.slow.get();
        }
        // Admissions last: every settled call above was admitted before, so the difference is not negative.
        let admitted: u64 = self.slots.iter().map(|slot| slot.admitted.get()).sum();
        let settled = totals.success + totals.error + totals.ignored + totals.dropped;
        totals.active = admitted.saturating_sub(settled);
        totals
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(4);

    fn succeed(counters: &Counters, epoch: Epoch, times: u64) {
        for _ in 0..times {
            counters.here().count_admission();
            counters.count_settled(Kind::Success, epoch);
        }
    }

    #[test]
    fn the_slots_of_all_threads_add_up() {
        let counters = Counters::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| succeed(&counters, EPOCH, 10_000));
            }
        });
        counters.here().count_admission();
        let totals = counters.totals();
        assert_eq!((totals.success, totals.active), (40_000, 1));
        assert_eq!(counters.run_of_successes(EPOCH), 40_000);
    }

    #[test]
    fn a_run_of_successes_begins_anew_with_a_failure_and_with_an_epoch() {
        let counters = Counters::new();
        succeed(&counters, EPOCH, 7);
        counters.count_settled(Kind::Error, EPOCH);
        assert_eq!(counters.run_of_successes(EPOCH), 0);
        succeed(&counters, EPOCH, 3);
        std::thread::scope(|scope| {
            scope.spawn(|| succeed(&counters, EPOCH, 2));
        });
        assert_eq!(counters.run_of_successes(EPOCH), 5);
        assert_eq!(counters.run_of_successes(EPOCH.next()), 0);
        succeed(&counters, EPOCH.next(), 1);
        assert_eq!(counters.run_of_successes(EPOCH.next()), 1);
        assert_eq!(counters.totals().success, 13);
    }

    #[test]
    fn a_late_success_is_in_the_totals_and_in_no_run() {
        let counters = Counters::new();
        succeed(&counters, EPOCH, 2);
        counters.count_late(Kind::Success);
        succeed(&counters, EPOCH, 1);
        assert_eq!(counters.run_of_successes(EPOCH), 3);
        assert_eq!(counters.totals().success, 4);
    }
}
