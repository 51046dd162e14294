use std::time::Duration;

use super::ring::{Packing, PerStripe, Ring, Writers};
use super::timeline::{Begins, ClockReading, Moment, Slices, Timeline};
use super::{SLICES, Sample};
use crate::machine::cell::Cell;
use crate::machine::millis::whole_nanos;
use crate::machine::word::Epoch;
use crate::sync::{CountBox, full_fence};

/// The calls that ended within a span of time up to now.
pub(super) struct TimeWindow {
    timeline: Timeline,
    packing: Packing,
    counts: PerStripe<SliceCounts>,
    /// Calls that were dropped, once there is one and a drop rate.
    drops: CountBox<PerStripe<Ring>>,
}

/// What is counted in one stripe. Healthy calls need no more than the first ring.
struct SliceCounts {
    settled: Ring,
    errors: CountBox<Ring>,
    slow: CountBox<Ring>,
}

impl SliceCounts {
    fn new() -> Self {
        SliceCounts { settled: Ring::new(), errors: CountBox::new(), slow: CountBox::new() }
    }
}

fn made(ring: &CountBox<Ring>) -> &Ring {
    ring.get_or_init(|| Box::new(Ring::new()))
}

impl TimeWindow {
    pub(super) fn new(time: Duration) -> Self {
        let length = (whole_nanos(time) / SLICES).max(1);
        TimeWindow {
            timeline: Timeline::new(length, Begins::WithItsFirstCall),
            packing: Packing::for_slices_of(length),
            counts: PerStripe::new(),
            drops: CountBox::new(),
        }
    }

    /// Finds the slice of a call that ends.
    #[inline]
    pub(super) fn find(&self, epoch: Epoch, now: Duration, reading: ClockReading, present: &Cell) -> Moment {
        self.timeline.find(epoch, now, reading, present)
    }

    #[inline]
    pub(super) fn record_success(&self, slices: Slices, stripe: usize) {
        let counts = self.counts.of(stripe, SliceCounts::new);
        counts.settled.count(self.packing, slices.current, Writers::of(stripe));
    }

    pub(super) fn record(&self, slices: Slices, sample: Sample) {
        let (counts, writers) = (self.counts.of(sample.stripe, SliceCounts::new), Writers::of(sample.stripe));
        // The call first: no reader sees an error, or a slow call, that it does not see settled.
        counts.settled.count(self.packing, slices.current, writers);
        if sample.failed {
            made(&counts.errors).count(self.packing, slices.current, writers);
        }
        if sample.slow {
            made(&counts.slow).count(self.packing, slices.current, writers);
        }
        // Of two threads that record at the same time, the one whose fence comes last sees the other's record.
        full_fence();
    }

    pub(super) fn record_drop(&self, slices: Slices, stripe: usize) {
        let drops = self.drops.get_or_init(|| Box::new(PerStripe::new()));
        drops.of(stripe, Ring::new).count(self.packing, slices.current, Writers::of(stripe));
        full_fence();
    }

    /// The slices at `now`, if a call of `epoch` has been recorded.
    pub(super) fn slices(&self, epoch: Epoch, now: Duration) -> Option<Slices> {
        self.timeline.slices(epoch, now)
    }

    /// Whether no slice has begun since `slices` were taken. One that has may have taken the place of an old one.
    pub(super) fn is_still(&self, slices: Slices) -> bool {
        self.timeline.is_still(slices)
    }

    pub(super) fn errors(&self, slices: Slices) -> u64 {
        self.sum(slices, |counts| counts.errors.get())
    }

    pub(super) fn slow(&self, slices: Slices) -> u64 {
        self.sum(slices, |counts| counts.slow.get())
    }

    pub(super) fn drops(&self, slices: Slices) -> u64 {
        let rings = self.drops.get().into_iter().flat_map(PerStripe::iter);
        rings.map(|ring| ring.sum(self.packing, slices)).sum()
    }

    pub(super) fn settled(&self, slices: Slices) -> u64 {
        self.sum(slices, |counts| Some(&counts.settled))
    }

    fn sum(&self, slices: Slices, ring: impl Fn(&SliceCounts) -> Option<&Ring>) -> u64 {
        self.counts.iter().filter_map(ring).map(|ring| ring.sum(self.packing, slices)).sum()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
