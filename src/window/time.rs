use std::time::Duration;

use super::{Ended, PLACES, SLICES, Tally};
use crate::machine::millis::whole_nanos;
use crate::machine::stamp::{Mark, SharedMark};
use crate::machine::word::Epoch;
use crate::sync::{Ordering, PerThread, RingU64, full_fence};

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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    /// Sixteen slices of ten milliseconds. The first begins with the first call, as a rule at 5.
    const TIME: Duration = Duration::from_millis(160);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn fail(window: &TimeWindow, epoch: Epoch, now: Duration) {
        window.record(Ended { epoch, calls: 1, now, failed: true, slow: false });
    }

    fn calls(window: &TimeWindow, epoch: Epoch, now: Duration) -> u64 {
        window.tally(epoch, now).calls
    }

    #[test]
    fn a_window_tells_how_its_calls_ended() {
        let window = TimeWindow::new(TIME);
        assert_eq!(window.tally(EPOCH, at(5)), Tally::default());
        for (failed, slow) in [(true, false), (true, false), (true, true), (false, true), (false, false)] {
            window.record(Ended { epoch: EPOCH, calls: 1, now: at(5), failed, slow });
            window.record_success(EPOCH, at(25));
        }
        assert_eq!(window.tally(EPOCH, at(25)), Tally { calls: 10, errors: 3, slow: 2 });
    }

    #[test]
    fn a_call_is_in_for_sixteen_slices_counted_from_the_first_call() {
        for start in [5, 9, 12_345] {
            let window = TimeWindow::new(TIME);
            window.record_success(EPOCH, at(start));
            window.record_success(EPOCH, at(start + 9));
            window.record_success(EPOCH, at(start + 10));
            let seen = [0, 159, 160, 169, 170, 1_000].map(|age| calls(&window, EPOCH, at(start + age)));
            assert_eq!(seen, [3, 3, 1, 1, 0, 0], "{start}");
        }
    }

    #[test]
    fn the_oldest_slice_gives_way_to_the_latest() {
        let window = TimeWindow::new(TIME);
        for slice in 0..100 {
            fail(&window, EPOCH, at(5 + 10 * slice));
            window.record_success(EPOCH, at(14 + 10 * slice));
            let expected = 16.min(slice + 1);
            assert_eq!(
                window.tally(EPOCH, at(14 + 10 * slice)),
                Tally { calls: 2 * expected, errors: expected, slow: 0 }
            );
        }
    }

    #[test]
    fn each_epoch_has_a_window_of_its_own_from_the_very_first() {
        let window = TimeWindow::new(TIME);
        for epoch in [Epoch::new(0), Epoch::new(1), EPOCH] {
            assert_eq!(window.tally(epoch, at(107)), Tally::default());
            // In the midst of a slice of the epoch before, which this begins anew.
            fail(&window, epoch, at(107 + epoch.number()));
            fail(&window, epoch, at(107 + epoch.number()));
            let seen = [107, 266, 267].map(|millis| calls(&window, epoch, at(millis + epoch.number())));
            assert_eq!(seen, [2, 2, 0], "{epoch:?}");
        }
        assert_eq!(calls(&window, Epoch::new(1), at(107)), 0);
    }

    #[test]
    fn a_clock_that_steps_back_counts_in_the_latest_slice_of_any_thread() {
        let window = TimeWindow::new(TIME);
        window.record_success(EPOCH, at(5));
        thread::scope(|scope| scope.spawn(|| window.record_success(EPOCH, at(505))).join().expect("no panic"));
        assert_eq!(calls(&window, EPOCH, at(5)), 1, "the one at 5 is out");
        fail(&window, EPOCH, at(6));
        let seen = [6, 505, 664, 665].map(|millis| calls(&window, EPOCH, at(millis)));
        assert_eq!(seen, [2, 2, 2, 0]);
        // Nor does it go back with the clock.
        window.record_success(EPOCH, at(7));
        assert_eq!(calls(&window, EPOCH, at(664)), 3);
    }

    #[test]
    fn a_thread_of_another_epoch_is_not_ahead() {
        let window = TimeWindow::new(TIME);
        window.record_success(EPOCH, at(5));
        thread::scope(|scope| scope.spawn(|| window.record_success(EPOCH, at(505))).join().expect("no panic"));
        fail(&window, EPOCH.next(), at(5));
        assert_eq!([164, 165].map(|millis| calls(&window, EPOCH.next(), at(millis))), [1, 0]);
    }

    #[test]
    fn a_slice_that_is_emptied_meanwhile_is_not_read() {
        let slice = Slice::default();
        slice.begin(EPOCH, 7);
        slice.count(true, true);
        assert_eq!(slice.read(EPOCH, 7..=7), Tally { calls: 1, errors: 1, slow: 1 });
        for (epoch, numbers) in [(EPOCH, 8..=9), (EPOCH, 5..=6), (EPOCH.next(), 7..=7)] {
            assert_eq!(slice.read(epoch, numbers), Tally::default());
        }
        slice.begin(EPOCH, 7);
        assert_eq!(slice.read(EPOCH, 7..=7).calls, 1);
        slice.mark.store(0, Ordering::Relaxed);
        assert_eq!(slice.read(Epoch::new(0), 0..=9), Tally::default());
        slice.begin(EPOCH, 23);
        assert_eq!(slice.read(EPOCH, 0..=30), Tally::default());
    }

    #[test]
    fn a_thread_turns_its_ring_at_the_end_of_a_slice_and_not_before() {
        let window = TimeWindow::new(TIME);
        for (now, end) in [(5, 15), (14, 15), (15, 25), (5, 25), (505, 515)] {
            window.record_success(EPOCH, at(now));
            assert_eq!(window.rings.here().ends.load(Ordering::Relaxed), whole_nanos(at(end)), "{now}");
        }
    }

    #[test]
    fn the_last_slice_of_time_does_not_end() {
        let window = TimeWindow::new(TIME);
        (0..3).for_each(|_| fail(&window, EPOCH, Duration::MAX));
        assert_eq!(window.tally(EPOCH, Duration::MAX), Tally { calls: 3, errors: 3, slow: 0 });
    }
}
