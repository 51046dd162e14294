use crate::mark::Mark;
use crate::sync::{Ordering, PerThread, TallyU64};
use crate::word::Epoch;

/// The totals of a breaker, kept so that a call writes to nothing but its own thread's slot.
///
/// Each thread that settles calls has a slot for good; a thread that begins after it has ended takes it
/// over. A reader sums the slots.
pub(crate) struct Counters {
    slots: PerThread<Slot>,
}

/// One thread's counts. A slot has a single writer at a time, so a load and a store do for an addition.
///
/// A healthy call touches the first 32 bytes, which lie in one cache line, and no other slot's lie in it.
#[derive(Default)]
#[repr(C, align(32))]
pub(crate) struct Slot {
    admitted: Tally,
    success: Tally,
    /// The epoch that the successes and errors beyond `epoch_start` belong to.
    epoch: TallyU64,
    epoch_start: TallyU64,
    error: Tally,
    ignored: Tally,
    dropped: Tally,
    rejected: Tally,
    slow: Tally,
    /// The calls of all threads when this one last counted an error, and the epoch in which it did.
    last_error: TallyU64,
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
    pub(crate) fn count_slow(&self) {
        self.slow.add_one();
    }

    #[inline]
    pub(crate) fn count_rejection(&self) {
        self.rejected.add_one();
    }

    /// Counts a success of a call of `epoch`, which has not ended.
    #[inline]
    pub(crate) fn count_success(&self, epoch: Epoch) {
        self.enter(epoch);
        self.success.add_one();
    }

    #[inline]
    fn enter(&self, epoch: Epoch) {
        if self.epoch.load(Ordering::Relaxed) != epoch.number() {
            self.start_epoch(epoch);
        }
    }

    #[cold]
    fn start_epoch(&self, epoch: Epoch) {
        self.epoch_start.store(self.calls(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `calls_in`, which must not see an older start.
        self.epoch.store(epoch.number(), Ordering::Release);
    }

    fn calls(&self) -> u64 {
        self.success.get().wrapping_add(self.error.get())
    }

    fn calls_in(&self, epoch: Epoch) -> u64 {
        // Acquire: pairs with the Release in `start_epoch`.
        if self.epoch.load(Ordering::Acquire) == epoch.number() {
            self.calls().saturating_sub(self.epoch_start.load(Ordering::Relaxed))
        } else {
            0
        }
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

    /// Counts a failure of a call of `epoch`, which had not ended just now. Returns the epoch's calls so far.
    pub(crate) fn count_error(&self, epoch: Epoch) -> u64 {
        let slot = self.here();
        slot.enter(epoch);
        slot.error.add_one();
        let calls = self.calls_in(epoch);
        slot.last_error.store(Mark::new(epoch, calls).bits(), Ordering::Release);
        calls
    }

    /// Counts a call that is in the totals and nowhere else: a late one, or one without an outcome.
    pub(crate) fn count_aside(&self, kind: Kind) {
        let slot = self.here();
        let tally = match kind {
            Kind::Success => &slot.success,
            Kind::Error => &slot.error,
            Kind::Ignored => return slot.ignored.add_one(),
            Kind::Dropped => return slot.dropped.add_one(),
        };
        slot.epoch_start.store(slot.epoch_start.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        tally.add_one();
    }

    /// The successes and errors of `epoch` so far.
    pub(crate) fn calls_in(&self, epoch: Epoch) -> u64 {
        self.slots.iter().map(|slot| slot.calls_in(epoch)).sum()
    }

    /// The successes of `epoch` since its last error.
    pub(crate) fn run_of_successes(&self, epoch: Epoch) -> u64 {
        let last_error = |slot: &Slot| Mark::from_bits(slot.last_error.load(Ordering::Acquire)).of(epoch);
        let at_error = self.slots.iter().filter_map(last_error).max().unwrap_or(0);
        self.calls_in(epoch).saturating_sub(at_error)
    }

    /// The calls that were not let through.
    pub(crate) fn rejections(&self) -> u64 {
        self.slots.iter().map(|slot| slot.rejected.get()).sum()
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
            counters.here().count_success(epoch);
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
        assert_eq!(counters.count_error(EPOCH), 8);
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
    fn a_late_call_is_in_the_totals_and_in_no_run() {
        let counters = Counters::new();
        succeed(&counters, EPOCH, 2);
        counters.count_aside(Kind::Success);
        counters.count_aside(Kind::Error);
        succeed(&counters, EPOCH, 1);
        assert_eq!(counters.run_of_successes(EPOCH), 3);
        assert_eq!(counters.totals().success, 4);
    }
}
