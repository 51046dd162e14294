use std::thread;

use super::*;
use crate::machine::epoch_cell::EPOCH_MARK;

const EPOCH: Epoch = Epoch::new(3);
/// Sixteen slices of ten milliseconds. The first begins with the first call, as a rule at 5.
const TIME: Duration = Duration::from_millis(160);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A window beside the cell of its breaker.
struct Tested {
    window: TimeWindow,
    cell: Cell,
}

impl Tested {
    fn new(time: Duration) -> Self {
        Tested { window: TimeWindow::new(time), cell: Cell::closed_in(EPOCH) }
    }

    fn move_to(&mut self, epoch: Epoch) {
        self.cell = Cell::closed_in(epoch);
    }

    /// Records a call that ends at `now`, by a second reading of the clock if the first one lies far back.
    fn end(&self, stripe: usize, epoch: Epoch, now: Duration, failed: bool, slow: bool) {
        for reading in [ClockReading::Some, ClockReading::Again] {
            match self.window.find(epoch, now, reading, &self.cell) {
                Moment::In { slices, .. } if failed || slow => {
                    return self.window.record(slices, Sample { epoch, position: 1, stripe, now, failed, slow });
                }
                Moment::In { slices, .. } => return self.window.record_success(slices, stripe),
                Moment::Earlier => {}
                Moment::Late => return,
            }
        }
    }

    fn succeed(&self, millis: u64) {
        self.end(0, EPOCH, at(millis), false, false);
    }

    fn fail(&self, millis: u64) {
        self.end(0, EPOCH, at(millis), true, false);
    }

    /// Settled calls, errors, slow calls.
    fn holds(&self, epoch: Epoch, now: Duration) -> (u64, u64, u64) {
        self.window.slices(epoch, now).map_or((0, 0, 0), |slices| {
            (self.window.settled(slices), self.window.errors(slices), self.window.slow(slices))
        })
    }

    fn calls(&self, millis: u64) -> u64 {
        self.holds(EPOCH, at(millis)).0
    }
}

#[test]
fn a_window_holds_calls_by_how_they_ended() {
    let tested = Tested::new(TIME);
    assert_eq!(tested.holds(EPOCH, at(5)), (0, 0, 0));
    for (failed, slow) in [(true, false), (true, false), (true, true), (false, true), (false, false)] {
        tested.end(0, EPOCH, at(5), failed, slow);
    }
    (0..5).for_each(|_| tested.succeed(25));
    assert_eq!(tested.holds(EPOCH, at(25)), (10, 3, 2));
}

#[test]
fn a_call_is_in_for_sixteen_slices_counted_from_the_first_call() {
    for start in [5, 9, 12_345] {
        let tested = Tested::new(TIME);
        for age in [0, 9, 10] {
            tested.succeed(start + age);
        }
        let seen = [0, 159, 160, 169, 170, 1_000].map(|age| tested.calls(start + age));
        // The clock may be read in any order.
        assert_eq!(seen, [3, 3, 1, 1, 0, 0], "{start}");
    }
}

#[test]
fn the_oldest_slice_gives_way_to_the_latest() {
    let tested = Tested::new(TIME);
    for slice in 0..100 {
        tested.fail(5 + 10 * slice);
        tested.succeed(14 + 10 * slice);
        let expected = 16.min(slice + 1);
        assert_eq!(tested.holds(EPOCH, at(14 + 10 * slice)), (2 * expected, expected, 0));
    }
}

#[test]
fn each_epoch_has_a_window_of_its_own_from_the_very_first() {
    let mut tested = Tested::new(TIME);
    for epoch in [Epoch::new(0), Epoch::new(1), EPOCH] {
        tested.move_to(epoch);
        assert_eq!(tested.holds(epoch, at(107)), (0, 0, 0));
        // In the midst of a slice of the epoch before, which this begins anew.
        (0..2).for_each(|_| tested.end(0, epoch, at(107 + epoch.number()), true, false));
        let seen = [107, 266, 267].map(|millis| tested.holds(epoch, at(millis + epoch.number())).0);
        assert_eq!(seen, [2, 2, 0], "{epoch:?}");
    }
    assert_eq!(tested.holds(Epoch::new(1), at(107)), (0, 0, 0));
}

#[test]
fn an_epoch_of_any_age_leaves_nothing_behind() {
    let most = EPOCH_MARK.max();
    for age in [1, 2, most / 2, most / 2 + 1, most] {
        let mut tested = Tested::new(TIME);
        (0..5).for_each(|_| tested.fail(5));
        let later = Epoch::new(EPOCH.number() + age);
        tested.move_to(later);
        assert_eq!(tested.holds(later, at(6)), (0, 0, 0), "after {age} epochs");
        tested.end(0, later, at(6), true, false);
        tested.end(0, EPOCH, at(6), true, false);
        assert_eq!(tested.holds(later, at(6)), (1, 1, 0), "after {age} epochs");
    }
}

#[test]
fn a_reading_that_is_older_by_less_than_a_slice_counts_in_the_present() {
    let tested = Tested::new(TIME);
    for millis in [5, 505, 504, 496] {
        tested.succeed(millis);
    }
    assert_eq!([505, 664, 665].map(|millis| tested.calls(millis)), [3, 3, 0]);
}

#[test]
fn a_reading_that_lies_far_back_is_asked_for_again_before_the_window_begins_anew() {
    let tested = Tested::new(TIME);
    for millis in [5, 505] {
        tested.fail(millis);
    }
    assert_eq!(tested.window.find(EPOCH, at(400), ClockReading::Some, &tested.cell), Moment::Earlier);
    assert_eq!(tested.calls(505), 1);
    tested.fail(400);
    assert_eq!(tested.calls(400), 1);
    (0..3).for_each(|_| tested.fail(401));
    assert_eq!([401, 559, 560].map(|millis| tested.calls(millis)), [4, 4, 0]);
}

#[test]
fn what_other_threads_count_is_in_the_same_window() {
    let tested = Tested::new(TIME);
    thread::scope(|scope| {
        for stripe in 0..4 {
            let tested = &tested;
            scope.spawn(move || (0..1_000).for_each(|_| tested.end(stripe, EPOCH, at(5), stripe == 0, false)));
        }
    });
    assert_eq!(tested.holds(EPOCH, at(5)), (4_000, 1_000, 0));
}

#[test]
fn the_last_slice_of_time_does_not_end() {
    let tested = Tested::new(TIME);
    (0..3).for_each(|_| tested.end(0, EPOCH, Duration::MAX, true, false));
    assert_eq!(tested.holds(EPOCH, Duration::MAX), (3, 3, 0));
}

#[test]
fn the_longest_and_the_shortest_window_keep_what_they_should() {
    for time in [Duration::from_millis(16), Duration::from_secs(365 * 24 * 60 * 60)] {
        let tested = Tested::new(time);
        let start = Duration::from_secs(1_800_000_000);
        tested.end(0, EPOCH, start, true, false);
        let seen = [Duration::ZERO, time - Duration::from_nanos(1), time].map(|age| tested.holds(EPOCH, start + age).0);
        assert_eq!(seen, [1, 1, 0], "{time:?}");
    }
}

#[test]
fn a_slice_that_begins_during_a_look_is_noticed() {
    let tested = Tested::new(TIME);
    tested.succeed(5);
    let slices = tested.window.slices(EPOCH, at(14)).expect("a call has been recorded");
    assert!(tested.window.is_still(slices));
    tested.succeed(15);
    assert!(!tested.window.is_still(slices));
}
