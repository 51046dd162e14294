use std::time::Duration;

use super::{PLACES, SLICES};
use crate::machine::millis::whole_nanos;
use crate::machine::word::Epoch;
use crate::sync::{Ordering, PerThread, RingI64, RingU64};

/// How many slices a `slow_call_duration` is cut into.
const FINENESS: u64 = SLICES / 2;
/// Of a slice, in nanoseconds.
const SHORTEST: u64 = 1_000_000;

/// Calls in flight, so that one that hangs is seen while it hangs.
///
/// Each thread has a ring of slices to itself, and counts in the slice of a call's admission: one more at the
/// admission, one less at the settlement, whichever thread that is on. The sum over the threads is what is
/// still in flight of those admitted in that slice. Healthy calls are gone before their slice is old, so the
/// sums of old slices are those of the calls that hang, and do not change under a reader's eyes.
///
/// Time does not go back here: where the clock does, its latest slice lasts until the clock has caught up.
pub(super) struct Hung {
    /// Nanoseconds.
    slice: u64,
    /// The slices of a slow call's duration, rounded up.
    slow: u64,
    rings: PerThread<Ring>,
}

/// One thread's slices, written by that thread alone.
#[derive(Default)]
#[repr(align(64))]
struct Ring {
    epoch: RingU64,
    /// The latest slice that this thread has counted in.
    latest: RingU64,
    /// Admissions less settlements of slices that have left the ring.
    older: RingI64,
    /// Odd while a balance moves from its slice to `older`.
    moves: RingU64,
    slices: [Slice; PLACES],
}

#[derive(Default)]
struct Slice {
    number: RingU64,
    /// Admissions less settlements, on this thread.
    balance: RingI64,
}

impl Hung {
    pub(super) fn new(slow: Duration) -> Self {
        let duration = whole_nanos(slow);
        let slice = duration.div_ceil(FINENESS).max(SHORTEST);
        Hung { slice, slow: duration.div_ceil(slice), rings: PerThread::new() }
    }

    /// Counts an admission. Returns whether it did: not while the clock is behind where it has been, because
    /// what the call's slice would be is not known.
    pub(super) fn enter(&self, epoch: Epoch, now: Duration) -> bool {
        let ring = self.ring_in(epoch);
        let number = self.number(now);
        let is_watched = number >= ring.latest.load(Ordering::Relaxed);
        if is_watched {
            ring.add(number, 1);
        }
        is_watched
    }

    /// Whether an admission at `now` is this thread's first in a new slice, so that it is time to look.
    pub(super) fn is_due(&self, epoch: Epoch, now: Duration) -> bool {
        self.number(now) > self.ring_in(epoch).latest.load(Ordering::Relaxed)
    }

    /// As [`overdue`](Self::overdue); and if other threads have seen a later time, this one has now.
    pub(super) fn look(&self, epoch: Epoch, now: Duration) -> u64 {
        self.ring_in(epoch).catch_up(self.latest(epoch));
        self.overdue(epoch, now)
    }

    /// Counts that a call, whose admission was counted, is no longer in flight.
    pub(super) fn leave(&self, epoch: Epoch, admitted: Duration) {
        self.ring_in(epoch).add(self.number(admitted), -1);
    }

    /// The calls of `epoch` in flight whose whole slice was admitted a slow call's duration ago.
    pub(super) fn overdue(&self, epoch: Epoch, now: Duration) -> u64 {
        let latest = self.number(now).max(self.latest(epoch));
        let Some(first_in_time) = latest.checked_sub(self.slow) else { return 0 };
        // None: a thread is turning its ring just now. Who looks next will see.
        let overdue: Option<i64> = self.rings_in(epoch).map(|ring| ring.balance_before(first_in_time)).sum();
        overdue.and_then(|overdue| u64::try_from(overdue).ok()).unwrap_or(0)
    }

    /// The latest slice of `epoch` that any thread has counted in.
    fn latest(&self, epoch: Epoch) -> u64 {
        self.rings_in(epoch).map(|ring| ring.latest.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    fn number(&self, time: Duration) -> u64 {
        whole_nanos(time) / self.slice
    }

    fn rings_in(&self, epoch: Epoch) -> impl Iterator<Item = &Ring> {
        // Acquire: pairs with the Release in `begin`.
        self.rings.iter().filter(move |ring| ring.epoch.load(Ordering::Acquire) == epoch.number())
    }

    /// This thread's ring. `epoch` is never one before the ring's: a call that is late does not ask.
    fn ring_in(&self, epoch: Epoch) -> &Ring {
        let ring = self.rings.here();
        if ring.epoch.load(Ordering::Relaxed) != epoch.number() {
            ring.begin(epoch);
        }
        ring
    }
}

#[cfg(test)]
pub(super) const RING: usize = size_of::<Ring>();

impl Ring {
    #[cold]
    fn begin(&self, epoch: Epoch) {
        self.older.store(0, Ordering::Relaxed);
        self.latest.store(0, Ordering::Relaxed);
        for slice in &self.slices {
            slice.balance.store(0, Ordering::Relaxed);
            slice.number.store(0, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `rings_in`, whose caller must not read an earlier epoch's balances.
        self.epoch.store(epoch.number(), Ordering::Release);
    }

    fn catch_up(&self, number: u64) {
        if number > self.latest.load(Ordering::Relaxed) {
            self.latest.store(number, Ordering::Relaxed);
        }
    }

    fn add(&self, number: u64, difference: i64) {
        self.catch_up(number);
        let slice = &self.slices[(number % SLICES) as usize];
        let there = slice.number.load(Ordering::Relaxed);
        if there > number {
            add(&self.older, difference);
            return;
        }
        if there < number {
            let moves = self.moves.load(Ordering::Relaxed);
            self.moves.store(moves.wrapping_add(1), Ordering::Relaxed);
            let left = slice.balance.load(Ordering::Relaxed);
            // Release, all of them: pairs with the Acquire in `balance_before`, so that who sees a part of the
            // move sees that it has begun.
            slice.balance.store(0, Ordering::Release);
            slice.number.store(number, Ordering::Release);
            add(&self.older, left);
            self.moves.store(moves.wrapping_add(2), Ordering::Release);
        }
        add(&slice.balance, difference);
    }

    /// Admissions less settlements of the slices before `number`; `None` if a balance moves meanwhile.
    ///
    /// A balance that was missed would be as bad as one counted twice: it may be that of settlements here, of
    /// calls that were admitted on another thread, which would then seem to hang.
    fn balance_before(&self, number: u64) -> Option<i64> {
        // Acquire: pairs with the Release at the end of a move.
        let moves = self.moves.load(Ordering::Acquire);
        let older = self.older.load(Ordering::Acquire);
        let balance = self.slices.iter().map(|slice| slice.balance_before(number)).sum::<i64>() + older;
        let is_still = moves % 2 == 0 && self.moves.load(Ordering::Relaxed) == moves;
        is_still.then_some(balance)
    }
}

impl Slice {
    fn balance_before(&self, number: u64) -> i64 {
        // Acquire, both: pairs with the Release in `add`.
        if self.number.load(Ordering::Acquire) < number { self.balance.load(Ordering::Acquire) } else { 0 }
    }
}

fn add(count: &RingI64, difference: i64) {
    // Release: so that a reader that sees the new sum sees what was written before it.
    count.store(count.load(Ordering::Relaxed) + difference, Ordering::Release);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    const SLOW: Duration = Duration::from_millis(80);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_call_is_overdue_from_the_slice_after_its_duration_until_it_leaves() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(5)));
        assert_eq!([hung.overdue(EPOCH, at(85)), hung.overdue(EPOCH, at(89)), hung.overdue(EPOCH, at(90))], [0, 0, 1]);
        assert_eq!(hung.overdue(EPOCH.next(), at(90)), 0);
        hung.leave(EPOCH, at(5));
        assert_eq!(hung.overdue(EPOCH, at(90)), 0);
    }

    #[test]
    fn a_call_is_overdue_however_long_ago_its_slice_left_the_ring() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(0)));
        for slice in 1..100 {
            assert!(hung.enter(EPOCH, at(10 * slice)));
            hung.leave(EPOCH, at(10 * slice));
        }
        assert_eq!(hung.overdue(EPOCH, at(1_000)), 1);
        hung.leave(EPOCH, at(0));
        assert_eq!(hung.overdue(EPOCH, at(1_000)), 0);
    }

    #[test]
    fn each_call_is_overdue_once_its_own_slice_is_and_until_it_leaves() {
        let hung = Hung::new(SLOW);
        for slice in 1..=40 {
            assert!(hung.enter(EPOCH, at(10 * slice)) && hung.enter(EPOCH, at(10 * slice + 5)));
            assert_eq!(hung.overdue(EPOCH, at(10 * slice + 9)), 2 * slice.saturating_sub(9), "{slice}");
        }
        for slice in 1..=40 {
            hung.leave(EPOCH, at(10 * slice));
            assert_eq!(hung.overdue(EPOCH, at(1_000)), 2 * (40 - slice) + 1, "{slice}");
            hung.leave(EPOCH, at(10 * slice + 5));
        }
        assert_eq!(hung.overdue(EPOCH, at(1_000)), 0);
    }

    #[test]
    fn a_ring_that_is_being_turned_is_not_read() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(0)));
        let ring = hung.rings.here();
        let moves = ring.moves.load(Ordering::Relaxed);
        ring.moves.store(moves + 1, Ordering::Relaxed);
        assert_eq!(hung.overdue(EPOCH, at(500)), 0);
        ring.moves.store(moves + 2, Ordering::Relaxed);
        assert_eq!(hung.overdue(EPOCH, at(500)), 1);
    }

    #[test]
    fn a_look_is_due_once_for_each_slice() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(15)));
        assert!(!hung.is_due(EPOCH, at(19)));
        assert!(hung.is_due(EPOCH, at(20)));
        assert_eq!(hung.look(EPOCH, at(20)), 0);
        assert!(hung.enter(EPOCH, at(20)));
        assert!(!hung.is_due(EPOCH, at(20)));
    }

    #[test]
    fn a_call_that_begins_while_the_clock_is_behind_is_not_watched() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(500)));
        assert!(!hung.enter(EPOCH, at(400)));
        assert_eq!(hung.overdue(EPOCH, at(590)), 1);
    }

    #[test]
    fn what_one_thread_has_seen_of_the_time_holds_for_all() {
        let hung = Hung::new(SLOW);
        assert!(hung.enter(EPOCH, at(5)));
        thread::scope(|scope| scope.spawn(|| assert!(hung.enter(EPOCH, at(500)))).join().expect("no panic"));
        assert_eq!([hung.overdue(EPOCH, at(20)), hung.look(EPOCH, at(20))], [1, 1]);
        assert!(!hung.is_due(EPOCH, at(500)) && hung.is_due(EPOCH, at(510)));
        assert!(!hung.enter(EPOCH, at(499)) && hung.enter(EPOCH, at(500)));
    }
}
