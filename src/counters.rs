use crate::machine::stamp::Mark;
use crate::machine::word::Epoch;
use crate::sync::{Here, Ordering, Owner, PerThread, TallyU64};

/// The totals of a breaker, kept so that a call writes to nothing but its own thread's slot.
///
/// Each thread that settles calls has a slot for good; a thread that begins after it has ended takes it
/// over. A reader sums the slots.
///
/// The breaker holds its parts, far enough from each other: what every call reads, and what its thread writes.
#[derive(Clone, Copy)]
pub(crate) struct Counters<'a> {
    /// Whose `first` is.
    pub(crate) owner: &'a Owner,
    pub(crate) first: &'a Slot,
    /// Those of all other threads.
    pub(crate) others: &'a PerThread<Slot>,
}

/// One thread's counts. A slot has a single writer at a time, so a load and a store do for an addition.
///
/// A healthy call touches the first three.
#[repr(C)]
pub(crate) struct Slot {
    admitted: Tally,
    success: Tally,
    /// The epoch that the thread last counted in, and its successes and errors before that, modulo 2⁴⁵.
    start: TallyU64,
    error: Tally,
    ignored: Tally,
    dropped: Tally,
    rejected: Tally,
    /// The calls of all threads when this one last counted an error, and the epoch in which it did.
    last_error: TallyU64,
}

struct Tally(TallyU64);

impl Tally {
    crate::sync::const_unless_loom! {
        fn new() -> Self {
            Tally(TallyU64::new(0))
        }
    }

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
    /// The bytes that a healthy call writes to.
    #[cfg(all(test, not(loom)))]
    pub(crate) const HOT: usize = std::mem::offset_of!(Slot, error);

    /// Where the rejections are counted.
    #[cfg(all(test, not(loom)))]
    pub(crate) const REJECTED: usize = std::mem::offset_of!(Slot, rejected);

    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Slot {
                admitted: Tally::new(),
                success: Tally::new(),
                start: TallyU64::new(0),
                error: Tally::new(),
                ignored: Tally::new(),
                dropped: Tally::new(),
                rejected: Tally::new(),
                last_error: TallyU64::new(0),
            }
        }
    }

    #[inline]
    pub(crate) fn count_admission(&self) {
        self.admitted.add_one();
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
        if Mark::from_bits(self.start.load(Ordering::Relaxed)).epoch() != epoch {
            self.start_epoch(epoch);
        }
    }

    #[cold]
    fn start_epoch(&self, epoch: Epoch) {
        // Release: pairs with the Acquire in `calls_in`, which must not see older calls.
        self.start.store(Mark::new(epoch, self.calls() & Mark::MAX).bits(), Ordering::Release);
    }

    fn calls(&self) -> u64 {
        self.success.get().wrapping_add(self.error.get())
    }

    fn calls_in(&self, epoch: Epoch) -> u64 {
        // Acquire: pairs with the Release in `start_epoch`.
        let Some(start) = Mark::from_bits(self.start.load(Ordering::Acquire)).of(epoch) else { return 0 };
        let calls = self.calls().wrapping_sub(start) & Mark::MAX;
        // Less than none: a call that does not belong to the epoch is counted just now.
        if calls > Mark::MAX / 2 { 0 } else { calls }
    }
}

/// Not inlined: a call on the first thread would have more to save and restore.
#[inline(never)]
fn elsewhere<'a>(owner: &Owner, first: &'a Slot, others: &'a PerThread<Slot>, here: Here) -> &'a Slot {
    match others.find(here) {
        Some(slot) => slot,
        None => make(owner, first, others),
    }
}

#[cold]
fn make<'a>(owner: &Owner, first: &'a Slot, others: &'a PerThread<Slot>) -> &'a Slot {
    if owner.claim() { first } else { others.here() }
}

impl Default for Slot {
    fn default() -> Self {
        Slot::new()
    }
}

impl<'a> Counters<'a> {
    /// This thread's slot.
    #[inline]
    pub(crate) fn here(self) -> &'a Slot {
        let (Counters { owner, first, others }, here) = (self, Here::now());
        if owner.is(here) {
            return first;
        }
        match others.find_first(here) {
            Some(slot) => slot,
            None => elsewhere(owner, first, others, here),
        }
    }

    fn slots(self) -> impl Iterator<Item = &'a Slot> {
        self.owner.is_claimed().then_some(self.first).into_iter().chain(self.others.iter())
    }

    /// Counts a failure of a call of `epoch`, which had not ended just now. Returns the epoch's calls so far.
    /// `slot` is this thread's.
    pub(crate) fn count_error(self, slot: &Slot, epoch: Epoch) -> u64 {
        slot.enter(epoch);
        slot.error.add_one();
        let calls = self.calls_in(epoch);
        slot.last_error.store(Mark::new(epoch, calls).bits(), Ordering::Release);
        calls
    }

    /// Counts a call that is in the totals and nowhere else: a late one, or one without an outcome.
    #[cold]
    pub(crate) fn count_aside(self, kind: Kind) {
        let slot = self.here();
        let tally = match kind {
            Kind::Success => &slot.success,
            Kind::Error => &slot.error,
            Kind::Ignored => return slot.ignored.add_one(),
            Kind::Dropped => return slot.dropped.add_one(),
        };
        let start = Mark::from_bits(slot.start.load(Ordering::Relaxed));
        // Release: as in `start_epoch`.
        slot.start.store(start.with_one_more().bits(), Ordering::Release);
        tally.add_one();
    }

    /// The successes and errors of `epoch` so far.
    pub(crate) fn calls_in(self, epoch: Epoch) -> u64 {
        self.slots().map(|slot| slot.calls_in(epoch)).sum()
    }

    /// The successes of `epoch` since its last error.
    pub(crate) fn run_of_successes(self, epoch: Epoch) -> u64 {
        let last_error = |slot: &Slot| Mark::from_bits(slot.last_error.load(Ordering::Acquire)).of(epoch);
        let at_error = self.slots().filter_map(last_error).max().unwrap_or(0);
        self.calls_in(epoch).saturating_sub(at_error)
    }

    /// The calls that were not let through.
    pub(crate) fn rejections(self) -> u64 {
        self.slots().map(|slot| slot.rejected.get()).sum()
    }

    /// The sums of all slots; slow calls are counted elsewhere.
    pub(crate) fn totals(self) -> Totals {
        let mut totals = Totals::ZERO;
        for slot in self.slots() {
            totals.success += slot.success.get();
            totals.error += slot.error.get();
            totals.ignored += slot.ignored.get();
            totals.dropped += slot.dropped.get();
            totals.rejected += slot.rejected.get();
        }
        // Admissions last: every settled call above was admitted before, so the difference is not negative.
        let admitted: u64 = self.slots().map(|slot| slot.admitted.get()).sum();
        let settled = totals.success + totals.error + totals.ignored + totals.dropped;
        totals.active = admitted.saturating_sub(settled);
        totals
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(4);

    struct Parts {
        owner: Owner,
        first: Slot,
        others: PerThread<Slot>,
    }

    impl Parts {
        fn new() -> Self {
            Parts { owner: Owner::nobody(), first: Slot::new(), others: PerThread::new() }
        }

        fn counters(&self) -> Counters<'_> {
            Counters { owner: &self.owner, first: &self.first, others: &self.others }
        }
    }

    fn succeed(counters: Counters<'_>, epoch: Epoch, times: u64) {
        for _ in 0..times {
            counters.here().count_admission();
            counters.here().count_success(epoch);
        }
    }

    #[test]
    fn the_slots_of_all_threads_add_up() {
        let parts = Parts::new();
        let counters = parts.counters();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| succeed(counters, EPOCH, 10_000));
            }
        });
        counters.here().count_admission();
        let totals = counters.totals();
        assert_eq!((totals.success, totals.active), (40_000, 1));
        assert_eq!(counters.run_of_successes(EPOCH), 40_000);
    }

    #[test]
    fn a_run_of_successes_begins_anew_with_a_failure_and_with_an_epoch() {
        let parts = Parts::new();
        let counters = parts.counters();
        succeed(counters, EPOCH, 7);
        assert_eq!(counters.count_error(counters.here(), EPOCH), 8);
        assert_eq!(counters.run_of_successes(EPOCH), 0);
        succeed(counters, EPOCH, 3);
        std::thread::scope(|scope| {
            scope.spawn(|| succeed(counters, EPOCH, 2));
        });
        assert_eq!(counters.run_of_successes(EPOCH), 5);
        assert_eq!(counters.run_of_successes(EPOCH.next()), 0);
        succeed(counters, EPOCH.next(), 1);
        assert_eq!(counters.run_of_successes(EPOCH.next()), 1);
        assert_eq!(counters.totals().success, 13);
    }

    #[test]
    fn a_late_call_is_in_the_totals_and_in_no_run() {
        let parts = Parts::new();
        let counters = parts.counters();
        succeed(counters, EPOCH, 2);
        counters.count_aside(Kind::Success);
        counters.count_aside(Kind::Error);
        succeed(counters, EPOCH, 1);
        assert_eq!(counters.run_of_successes(EPOCH), 3);
        assert_eq!(counters.totals().success, 4);
    }

    #[test]
    fn a_run_goes_on_where_its_start_wraps() {
        let parts = Parts::new();
        let counters = parts.counters();
        counters.here().success.0.store(Mark::MAX - 1, Ordering::Relaxed);
        succeed(counters, EPOCH, 5);
        assert_eq!(counters.calls_in(EPOCH), 5);
        counters.count_aside(Kind::Error);
        succeed(counters, EPOCH.next(), 2);
        assert_eq!(counters.calls_in(EPOCH.next()), 2);
        assert_eq!(counters.totals().success, Mark::MAX + 6);
    }
}
