use std::time::Duration;

use super::{Ended, PLACES, SLICES, Tally};
use crate::mark::{Mark, SharedMark};
use crate::sync::{Ordering, PerThread, RingU64, full_fence};
use crate::time::whole_nanos;
use crate::word::Epoch;

/// The calls of the last so many seconds, in slices: each thread has a ring of them to itself, and who wants to
/// know sums the rings.
pub(super) struct TimeWindow {
    /// Nanoseconds.
    slice: u64,
    /// When the first slice of the epoch began, less whole slices.
    phase: SharedMark,
    rings: PerThread<Ring>,
}

/// One thread's slices, written by that thread alone. The first three fields are for its own use.
#[derive(Default)]
#[repr(align(64))]
struct Ring {
    epoch: RingU64,
    /// The slice that calls are counted in: the latest. A clock that steps back does not leave it.
    current: RingU64,
    /// When it ends, in nanoseconds; 0 before the first.
    ends: RingU64,
    slices: [Slice; PLACES],
}

#[derive(Default)]
struct Slice {
    /// The epoch, and the number of the slice plus one: a mark of zero is that of no slice.
    mark: RingU64,
    calls: RingU64,
    errors: RingU64,
    slow: RingU64,
}

impl TimeWindow {
    pub(super) fn new(time: Duration) -> Self {
        TimeWindow { slice: (whole_nanos(time) / SLICES).max(1), phase: SharedMark::new(), rings: PerThread::new() }
    }

    #[inline]
    pub(super) fn record_success(&self, epoch: Epoch, now: Duration) {
        self.ring_at(epoch, whole_nanos(now)).current().count(false, false);
    }

    pub(super) fn record(&self, ended: Ended) {
        let ring = self.ring_at(ended.epoch, whole_nanos(ended.now));
        // If the clock has stepped back, another thread may be ahead: what it counts is as new as this.
        let latest = self.latest(ended.epoch);
        if latest > ring.current.load(Ordering::Relaxed) {
            self.turn_to(ring, ended.epoch, latest);
        }
        ring.current().count(ended.failed, ended.slow);
        // Of two threads that record at the same time, the one whose fence comes last sees the other's record.
        full_fence();
    }

    pub(super) fn tally(&self, epoch: Epoch, now: Duration) -> Tally {
        let Some(phase) = self.phase.load().of(epoch) else { return Tally::default() };
        let latest = self.latest(epoch).max(self.number(whole_nanos(now), phase));
        let mut sum = Tally::default();
        for slice in self.rings.iter().flat_map(|ring| &ring.slices) {
            let slice = slice.read(epoch, latest.saturating_sub(SLICES - 1)..=latest);
            sum.calls += slice.calls;
            sum.errors += slice.errors;
            sum.slow += slice.slow;
        }
        sum
    }

    /// This thread's ring, turned to the slice of `now`.
    #[inline]
    fn ring_at(&self, epoch: Epoch, now: u64) -> &Ring {
        let ring = self.rings.here();
        if now >= ring.ends.load(Ordering::Relaxed) || ring.epoch.load(Ordering::Relaxed) != epoch.number() {
            self.turn(ring, epoch, now);
        }
        ring
    }

    #[cold]
    fn turn(&self, ring: &Ring, epoch: Epoch, now: u64) {
        let phase = self.phase.value_or_set(epoch, now % self.slice);
        self.turn_to(ring, epoch, self.number(now, phase));
    }

    fn turn_to(&self, ring: &Ring, epoch: Epoch, number: u64) {
        let phase = self.phase.load().of(epoch).unwrap_or(0);
        ring.turn_to(epoch, number, (number + 1).saturating_mul(self.slice).saturating_add(phase));
    }

    /// The latest slice of `epoch` that any thread has turned to.
    fn latest(&self, epoch: Epoch) -> u64 {
        let belongs = |ring: &&Ring| {
            ring.ends.load(Ordering::Acquire) > 0 && ring.epoch.load(Ordering::Acquire) == epoch.number()
        };
        self.rings.iter().filter(belongs).map(|ring| ring.current.load(Ordering::Acquire)).max().unwrap_or(0)
    }

    fn number(&self, now: u64, phase: u64) -> u64 {
        now.saturating_sub(phase) / self.slice
    }
}

#[cfg(test)]
pub(super) const RING: usize = size_of::<Ring>();

impl Ring {
    fn turn_to(&self, epoch: Epoch, number: u64, ends: u64) {
        self.slice(number).begin(epoch, number);
        self.current.store(number, Ordering::Release);
        // Release: pairs with the Acquire in `latest`, which must not take an older slice for one of this epoch.
        self.epoch.store(epoch.number(), Ordering::Release);
        self.ends.store(ends, Ordering::Release);
    }

    #[inline]
    fn current(&self) -> &Slice {
        self.slice(self.current.load(Ordering::Relaxed))
    }

    #[inline]
    fn slice(&self, number: u64) -> &Slice {
        let index = (number % SLICES) as usize;
        &self.slices[index]
    }
}

impl Slice {
    /// Empties the slice, unless it is that very one already.
    fn begin(&self, epoch: Epoch, number: u64) {
        let mark = Mark::new(epoch, number + 1).bits();
        if self.mark.load(Ordering::Relaxed) == mark {
            return;
        }
        // Not a slice while it is emptied: `read` looks at the mark before and after.
        self.mark.store(0, Ordering::Release);
        for count in [&self.calls, &self.errors, &self.slow] {
            count.store(0, Ordering::Release);
        }
        self.mark.store(mark, Ordering::Release);
    }

    #[inline]
    fn count(&self, failed: bool, slow: bool) {
        // First, so that `read` finds no error that is not a call.
        add_one(&self.calls);
        if failed {
            add_one(&self.errors);
        }
        if slow {
            add_one(&self.slow);
        }
    }

    /// What the slice holds, if it is one of `numbers` in `epoch`.
    fn read(&self, epoch: Epoch, numbers: std::ops::RangeInclusive<u64>) -> Tally {
        // Acquire: pairs with the Release in `begin` and `add_one`. If a count is of a later slice, the mark
        // read after it is, too.
        let mark = self.mark.load(Ordering::Acquire);
        let is_in = Mark::from_bits(mark).of(epoch).is_some_and(|number| number > 0 && numbers.contains(&(number - 1)));
        if !is_in {
            return Tally::default();
        }
        let [errors, slow, calls] = [&self.errors, &self.slow, &self.calls].map(|count| count.load(Ordering::Acquire));
        if self.mark.load(Ordering::Relaxed) == mark { Tally { calls, errors, slow } } else { Tally::default() }
    }
}

#[inline]
fn add_one(count: &RingU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
}
