use std::time::Duration;

use crate::sync::PerThread;
use crate::sync::unmodelled::{AtomicI64, AtomicU64, Ordering};
use crate::time::whole_nanos;
use crate::word::Epoch;

/// How many slices a `slow_call_duration` is cut into.
const FINENESS: u64 = 8;
const SLICES: u64 = 2 * FINENESS;

const _: () = assert!(SLICES == 16);

/// Calls in flight, so that one that hangs is seen while it hangs.
///
/// Each thread has a ring of slices to itself, and counts in the slice of a call's admission: one more at the
/// admission, one less at the settlement, whichever thread that is on. The sum over the threads is what is
/// still in flight of those admitted in that slice. Healthy calls are gone before their slice is old, so the
/// sums of old slices are those of the calls that hang, and do not change under a reader's eyes.
pub(super) struct Hung {
    /// Nanoseconds.
    duration: u64,
    /// Nanoseconds.
    slice: u64,
    rings: PerThread<Ring>,
}

/// One thread's slices, written by that thread alone.
#[derive(Default)]
#[repr(align(64))]
struct Ring {
    epoch: AtomicU64,
    /// The latest slice that this thread has counted in.
    latest: AtomicU64,
    /// Admissions less settlements of slices that have left the ring.
    older: AtomicI64,
    slices: [Slice; 16],
}

#[derive(Default)]
struct Slice {
    number: AtomicU64,
    /// Admissions less settlements, on this thread.
    balance: AtomicI64,
}

impl Hung {
    pub(super) fn new(slow: Duration) -> Self {
        let duration = whole_nanos(slow);
        Hung { duration, slice: (duration / FINENESS).max(1_000_000), rings: PerThread::new() }
    }

    /// Counts an admission, and returns the time that it counts for: where the clock has stepped back, that of
    /// the latest slice.
    pub(super) fn enter(&self, epoch: Epoch, now: Duration) -> Duration {
        let ring = self.ring_in(epoch);
        let number = (whole_nanos(now) / self.slice).max(ring.latest.load(Ordering::Relaxed));
        ring.add(number, 1);
        now.max(Duration::from_nanos(number.saturating_mul(self.slice)))
    }

    /// Whether an admission at `now` is this thread's first in a new slice, so that it is time to look.
    pub(super) fn is_due(&self, epoch: Epoch, now: Duration) -> bool {
        whole_nanos(now) / self.slice > self.ring_in(epoch).latest.load(Ordering::Relaxed)
    }

    /// Counts that a call is no longer in flight.
    pub(super) fn leave(&self, epoch: Epoch, admitted: Duration) {
        self.ring_in(epoch).add(whole_nanos(admitted) / self.slice, -1);
    }

    /// The calls of `epoch` in flight whose whole slice was admitted a slow call's duration ago.
    pub(super) fn overdue(&self, epoch: Epoch, now: Duration) -> u64 {
        let Some(first_in_time) = whole_nanos(now).checked_sub(self.duration).map(|then| then / self.slice) else {
            return 0;
        };
        let rings = self.rings.iter().filter(|ring| ring.epoch.load(Ordering::Acquire) == epoch.number());
        let overdue: i64 = rings.map(|ring| ring.balance_before(first_in_time)).sum();
        u64::try_from(overdue).unwrap_or(0)
    }

    fn ring_in(&self, epoch: Epoch) -> &Ring {
        let ring = self.rings.here();
        if ring.epoch.load(Ordering::Relaxed) != epoch.number() {
            ring.begin(epoch);
        }
        ring
    }
}

impl Ring {
    #[cold]
    fn begin(&self, epoch: Epoch) {
        self.older.store(0, Ordering::Relaxed);
        self.latest.store(0, Ordering::Relaxed);
        for slice in &self.slices {
            slice.balance.store(0, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `overdue`, which must not read an earlier epoch's balances.
        self.epoch.store(epoch.number(), Ordering::Release);
    }

    fn add(&self, number: u64, difference: i64) {
        if number > self.latest.load(Ordering::Relaxed) {
            self.latest.store(number, Ordering::Relaxed);
        }
        let slice = &self.slices[(number % SLICES) as usize];
        let there = slice.number.load(Ordering::Relaxed);
        if there > number {
            add(&self.older, difference);
            return;
        }
        if there < number {
            let left = slice.balance.load(Ordering::Relaxed);
            slice.balance.store(0, Ordering::Release);
            slice.number.store(number, Ordering::Release);
            add(&self.older, left);
        }
        add(&slice.balance, difference);
    }

    /// Admissions less settlements of the slices before `number`.
    ///
    /// A balance moves from its slice to `older`, so `older` is read first: a move in between is missed, never
    /// counted twice.
    fn balance_before(&self, number: u64) -> i64 {
        let older = self.older.load(Ordering::Acquire);
        self.slices.iter().map(|slice| slice.balance_before(number)).sum::<i64>() + older
    }
}

impl Slice {
    fn balance_before(&self, number: u64) -> i64 {
        // Acquire: pairs with the Release in `add`. If the balance is of a later slice, the number read after
        // it is, too.
        let before = self.number.load(Ordering::Acquire);
        let balance = self.balance.load(Ordering::Acquire);
        let after = self.number.load(Ordering::Relaxed);
        if before == after && after < number { balance } else { 0 }
    }
}

fn add(count: &AtomicI64, difference: i64) {
    // Release: so that a reader that sees the new sum sees what was written before it.
    count.store(count.load(Ordering::Relaxed) + difference, Ordering::Release);
}
