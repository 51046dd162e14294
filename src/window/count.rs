use super::{Rates, Sample, share};
use crate::machine::cell::Cell;
use crate::machine::epoch_cell::{EpochCell, VALUE};
use crate::machine::word::Epoch;
use crate::sync::full_fence;

/// The last N calls.
///
/// Only failures and slow calls are written down. Each takes the next place in a log and leaves its *position* there: by
/// how many settled calls of its epoch it was preceded, plus one. Then "at least k among the last N" is "the k-th latest
/// in the log is one of the last N".
///
/// The order of the steps makes a judgement hold at a moment between its first and its last step:
///
/// 1. A call that fails sums the calls that have been settled, for its position, and counts itself only then. So its
///    position is never later than it should be, and it leaves the window no later.
/// 2. It writes its position into the log, and passes a full fence.
/// 3. It looks at the end of the log. Of several that fail at the same time, the one whose fence comes last sees all.
/// 4. It sums the calls again. What has been settled since step 1 pushes old failures out of the window.
/// 5. It looks at the k-th latest place, and then whether that place has been taken again since step 3. If so, it
///    begins again with step 3: at least [`SLACK`] other calls have failed meanwhile.
pub(super) struct CountWindow {
    calls: u64,
    errors: ErrorLog,
    slow: Option<ErrorLog>,
    drops: Option<ErrorLog>,
}

impl CountWindow {
    pub(super) fn new(calls: u32, rates: &Rates) -> Self {
        let calls = u64::from(calls);
        let bounded_by = |rate| ErrorLog::new(share(rate, calls).max(rates.minimum_calls - 1));
        CountWindow {
            calls,
            // Without an error rate nothing bounds the errors, and the metrics show them all.
            errors: rates.error_rate.map_or_else(|| ErrorLog::new(calls), bounded_by),
            // A call that hangs displaces nothing, so as many slow calls as there are may have to be remembered.
            slow: rates.slow.map(|slow| bounded_by(slow.rate)),
            drops: rates.drop_rate.map(bounded_by),
        }
    }

    /// Writes down a failure or a slow call.
    pub(super) fn record(&self, sample: Sample, present: &Cell) {
        if sample.failed {
            self.errors.write(sample.epoch, sample.position, present);
        }
        if let (Some(log), true) = (&self.slow, sample.slow) {
            log.write(sample.epoch, sample.position, present);
        }
        full_fence();
    }

    /// Writes down a dropped call, at the position that a call which was settled instead would have.
    pub(super) fn record_drop(&self, epoch: Epoch, position: u64, present: &Cell) {
        if let Some(log) = &self.drops {
            log.write(epoch, position, present);
        }
        full_fence();
    }

    /// Where the logs end now.
    pub(super) fn ends(&self, epoch: Epoch) -> Ends {
        let logs = [Some(&self.errors), self.slow.as_ref(), self.drops.as_ref()];
        let [errors, slow, drops] = logs.map(|log| log.map_or(0, |log| log.end(epoch)));
        Ends { epoch, errors, slow, drops }
    }

    /// Of the `settled` calls of the epoch, those in the window.
    pub(super) fn calls(&self, settled: u64) -> u64 {
        settled.min(self.calls)
    }

    /// Whether the `least`th latest error up to `ends` is in the window, after `settled` calls.
    pub(super) fn has_errors(&self, ends: Ends, settled: u64, least: u64) -> Found {
        Self::has(&self.errors, ends.epoch, ends.errors, settled, least, self.calls)
    }

    /// As [`has_errors`](Self::has_errors), for slow calls.
    pub(super) fn has_slow(&self, ends: Ends, settled: u64, least: u64) -> Found {
        match &self.slow {
            Some(log) => Self::has(log, ends.epoch, ends.slow, settled, least, self.calls),
            None => Found::No,
        }
    }

    /// How many of the latest calls the drop rate is taken over, settled and dropped ones alike.
    pub(super) fn calls_with_drops(&self, ends: Ends, settled: u64) -> u64 {
        settled.saturating_add(ends.drops).min(self.calls)
    }

    /// Whether `least` of the latest calls were dropped. The drops that came after a drop push it out of these, too.
    pub(super) fn has_drops(&self, ends: Ends, settled: u64, least: u64) -> Found {
        match &self.drops {
            Some(log) => {
                let room = (self.calls + 1).saturating_sub(least);
                Self::has(log, ends.epoch, ends.drops, settled + 1, least, room)
            }
            None => Found::No,
        }
    }

    /// `room`: how many settled calls, itself included, push a call out.
    fn has(log: &ErrorLog, epoch: Epoch, end: u64, settled: u64, least: u64, room: u64) -> Found {
        match (least, end.checked_sub(least)) {
            (0, _) => Found::Yes,
            (_, None) => Found::No,
            (_, Some(before)) => {
                let is_in = is_in(log, epoch, before + 1, settled, room);
                if !log.keeps(epoch, before + 1) {
                    Found::Overtaken
                } else if is_in {
                    Found::Yes
                } else {
                    Found::No
                }
            }
        }
    }

    /// How many errors and slow calls are in the window.
    pub(super) fn counts(&self, ends: Ends, settled: u64) -> (u64, u64) {
        let is_in = |log, number| is_in(log, ends.epoch, number, settled, self.calls);
        let slow = self.slow.as_ref().map_or(0, |log| Self::count(log, ends.slow, |number| is_in(log, number)));
        (Self::count(&self.errors, ends.errors, |number| is_in(&self.errors, number)), slow)
    }

    /// How many of the latest calls were dropped.
    pub(super) fn drops(&self, ends: Ends, settled: u64) -> u64 {
        let Some(log) = &self.drops else { return 0 };
        Self::count(log, ends.drops, |number| {
            let room = self.calls.saturating_sub(ends.drops - number);
            is_in(log, ends.epoch, number, settled + 1, room)
        })
    }

    /// Positions grow with the numbers, but for those of calls that failed at the same time.
    fn count(log: &ErrorLog, end: u64, is_in_window: impl Fn(u64) -> bool) -> u64 {
        const NEAR: u64 = 16;

        let oldest = end.saturating_sub(log.depth()) + 1;
        let (mut out, mut is_in) = (oldest, end + 1);
        while out < is_in {
            let middle = out + (is_in - out) / 2;
            if is_in_window(middle) {
                is_in = middle;
            } else {
                out = middle + 1;
            }
        }
        let near = oldest.max(is_in.saturating_sub(NEAR))..(is_in + NEAR).min(end + 1);
        let beyond = (end + 1).saturating_sub(near.end);
        beyond + near.filter(|number| is_in_window(*number)).count() as u64
    }
}

/// Whether the call with this number in the log is among the latest `room`, after `settled` calls.
fn is_in(log: &ErrorLog, epoch: Epoch, number: u64, settled: u64, room: u64) -> bool {
    // A place that has been taken and not been written yet holds another's: its thread will look once it has.
    let position = log.place(number).load().of(epoch);
    position.is_some_and(|position| settled.wrapping_sub(position) & VALUE.max() < room)
}

/// Up to where the logs are looked at: by how many calls of the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    epoch: Epoch,
    errors: u64,
    slow: u64,
    drops: u64,
}

/// Whether a log holds as many calls as were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Yes,
    No,
    /// The place that tells has been taken again since.
    Overtaken,
}

/// The latest failures of an epoch, or its latest slow calls.
struct ErrorLog {
    /// How many have been written down in the epoch.
    written: EpochCell,
    places: Box<[EpochCell]>,
}

/// How many calls may be written down between a look at the end of the log and one at the farthest place in it, before
/// that look has to be repeated.
const SLACK: u64 = 64;

#[cfg(test)]
pub(super) const PLACE: usize = size_of::<EpochCell>();

impl ErrorLog {
    /// A log that remembers up to `depth` calls.
    fn new(depth: u64) -> Self {
        let places = (0..depth + SLACK).map(|_| EpochCell::new()).collect();
        ErrorLog { written: EpochCell::new(), places }
    }

    fn depth(&self) -> u64 {
        self.places.len() as u64
    }

    /// The place of the `number`th, counting from 1.
    fn place(&self, number: u64) -> &EpochCell {
        #[expect(clippy::cast_possible_truncation, reason = "less than the length, which is a usize")]
        let index = (number % self.depth()) as usize;
        &self.places[index]
    }

    #[inline]
    fn write(&self, epoch: Epoch, position: u64, present: &Cell) {
        let number = self.written.update(epoch, present, |written| self.next(written.unwrap_or(0)));
        // None: the epoch is over.
        if let Some(number) = number {
            self.place(number).update(epoch, present, |there| there.map_or(position, |there| later(there, position)));
        }
    }

    /// Numbers that come round skip the small ones, which would tell that little has been written.
    fn next(&self, number: u64) -> u64 {
        const HALF: u64 = VALUE.max() / 2 + 1;

        if number < VALUE.max() { number + 1 } else { HALF + HALF % self.depth() }
    }

    fn end(&self, epoch: Epoch) -> u64 {
        self.written.load().of(epoch).unwrap_or(0)
    }

    /// Whether the place of the `number`th was still its own just now.
    fn keeps(&self, epoch: Epoch, number: u64) -> bool {
        let written = self.written.load().of(epoch);
        written.is_none_or(|written| written.wrapping_sub(number) & VALUE.max() < self.depth())
    }
}

/// The later one of two positions, which are not far from each other.
fn later(one: u64, other: u64) -> u64 {
    let ahead = other.wrapping_sub(one) & VALUE.max();
    if ahead <= VALUE.max() / 2 { other & VALUE.max() } else { one }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    const DEPTH: u64 = 4;

    struct Logged {
        window: CountWindow,
        cell: Cell,
    }

    /// A window of four calls in which every second call of the epoch failed, `failures` of them so far.
    fn every_second_call(failures: u64) -> Logged {
        let rates = Rates::of_errors(1.0, DEPTH);
        let logged = Logged { window: CountWindow::new(4, &rates), cell: Cell::closed_in(EPOCH) };
        (1..=failures).for_each(|number| logged.write(EPOCH, 2 * number));
        logged
    }

    impl Logged {
        fn write(&self, epoch: Epoch, position: u64) {
            self.window.errors.write(epoch, position, &self.cell);
        }

        fn has(&self, ends: Ends, settled: u64) -> [Found; 4] {
            [1, 2, 3, 4].map(|least| self.window.has_errors(ends, settled, least))
        }
    }

    #[test]
    fn a_place_that_is_taken_again_during_a_look_asks_for_another_one() {
        use Found::{No, Overtaken, Yes};

        let logged = every_second_call(10);
        let ends = logged.window.ends(EPOCH);
        assert_eq!(logged.has(ends, 20), [Yes, Yes, No, No]);
        for number in 11..=10 + SLACK {
            logged.write(EPOCH, 2 * number);
        }
        assert_eq!(logged.has(ends, 20), [Yes, Yes, No, No]);
        for number in 11 + SLACK..=10 + SLACK + DEPTH {
            logged.write(EPOCH, 2 * number);
        }
        assert_eq!(logged.has(ends, 20), [Overtaken; 4]);
        let (ends, settled) = (logged.window.ends(EPOCH), 20 + 2 * (SLACK + DEPTH));
        assert_eq!(logged.has(ends, settled), [Yes, Yes, No, No]);
    }

    #[test]
    fn errors_are_counted_wherever_the_window_ends() {
        for failures in [0, 1, 3, 10, 67, 68, 69, 200] {
            let logged = every_second_call(failures);
            let ends = logged.window.ends(EPOCH);
            let counts = [0, 1, 2, 3, 4, 9].map(|more| logged.window.counts(ends, 2 * failures + more).0);
            let expected = [2, 2, 1, 1, 0, 0].map(|most: u64| most.min(failures));
            assert_eq!(counts, expected, "{failures}");
        }
    }

    #[test]
    fn errors_written_down_out_of_order_are_counted() {
        let logged = every_second_call(10);
        // Two threads that failed at the same time.
        logged.write(EPOCH, 24);
        logged.write(EPOCH, 22);
        let ends = logged.window.ends(EPOCH);
        assert_eq!([24, 25, 26, 27].map(|settled| logged.window.counts(ends, settled).0), [2, 2, 1, 1]);
    }

    #[test]
    fn each_epoch_has_a_log_of_its_own() {
        let mut logged = every_second_call(10);
        let later = EPOCH.next();
        logged.cell = Cell::closed_in(later);
        assert_eq!(logged.window.has_errors(logged.window.ends(later), 1, 1), Found::No);
        logged.write(later, 1);
        logged.write(EPOCH, 22);
        assert_eq!(logged.has(logged.window.ends(later), 1), [Found::Yes, Found::No, Found::No, Found::No]);
        assert_eq!(logged.window.counts(logged.window.ends(EPOCH), 22).0, 0);
    }

    #[test]
    fn positions_and_numbers_go_on_where_they_come_round() {
        let logged = every_second_call(0);
        let last = VALUE.max() / 2;
        for number in last - 5..=last {
            logged.write(EPOCH, 2 * number + 1);
        }
        logged.write(EPOCH, 2 * last + 3);
        let settled = 2 * last + 3;
        assert_eq!(logged.window.counts(logged.window.ends(EPOCH), settled).0, 2);
        assert_eq!(logged.has(logged.window.ends(EPOCH), settled), [Found::Yes, Found::Yes, Found::No, Found::No]);

        let log = &logged.window.errors;
        log.written.update(EPOCH, &logged.cell, |_| VALUE.max() - 2);
        for more in [5, 7, 9, 11, 13] {
            logged.write(EPOCH, settled + more);
        }
        assert_eq!(logged.has(logged.window.ends(EPOCH), settled + 13)[..3], [Found::Yes, Found::Yes, Found::No]);
    }
}
