use super::{Ended, Rates, Tally, share};
use crate::machine::stamp::{Mark, SharedMark};
use crate::machine::word::Epoch;
use crate::sync::full_fence;
use crate::transition::Cause;

/// The last N calls.
///
/// Only failures and slow calls are written down: each takes the next place in a log and leaves there how many
/// calls of its epoch had been settled, itself included. "At least k among the last N" is then "the k-th latest
/// in the log came after all but N".
pub(super) struct CountWindow {
    calls: u64,
    errors: Log,
    slow: Option<Log>,
}

impl CountWindow {
    pub(super) fn new(calls: u32, rates: &Rates) -> Self {
        let calls = u64::from(calls);
        let bounded_by = |rate| Log::new(share(rate, calls).max(rates.minimum_calls - 1));
        CountWindow {
            calls,
            // Without an error rate nothing bounds the errors, and the metrics show them all.
            errors: rates.error_rate.map_or_else(|| Log::new(calls), bounded_by),
            slow: rates.slow.map(|slow| bounded_by(slow.rate)),
        }
    }

    pub(super) fn record(&self, ended: Ended) {
        if ended.failed {
            self.errors.write(ended.epoch, ended.calls);
        }
        if let (Some(log), true) = (&self.slow, ended.slow) {
            log.write(ended.epoch, ended.calls);
        }
    }

    /// The window at this moment.
    ///
    /// The logs' ends are looked at first, then the calls that hang, then the calls settled. What ends in
    /// between makes the rates smaller than they are, never larger; the thread that settles it will look too.
    pub(super) fn look(&self, epoch: Epoch, hung: impl FnOnce() -> u64, settled: impl FnOnce() -> u64) -> Look<'_> {
        // Of two threads that record at the same time, the one whose fence comes last sees the other's record.
        full_fence();
        let errors = self.errors.read(epoch);
        let slow = self.slow.as_ref().map(|log| log.read(epoch));
        let hung = hung().min(self.calls);
        let latest = settled() + hung;
        Look { calls: latest.min(self.calls), out: latest.saturating_sub(self.calls), errors, slow, hung }
    }
}

/// A window of the last N calls at one moment.
pub(super) struct Look<'a> {
    calls: u64,
    /// The first calls of the epoch, which are no longer among the last N.
    out: u64,
    errors: Reading<'a>,
    slow: Option<Reading<'a>>,
    hung: u64,
}

impl Look<'_> {
    pub(super) fn met(&self, rates: &Rates) -> Option<Cause> {
        rates.met(
            self.calls,
            |least| self.errors.has(least, self.out),
            |least| least <= self.hung || self.slow.as_ref().is_some_and(|slow| slow.has(least - self.hung, self.out)),
        )
    }

    pub(super) fn tally(&self) -> Tally {
        let slow = self.slow.as_ref().map_or(0, |slow| slow.count(self.out));
        Tally { calls: self.calls, errors: self.errors.count(self.out), slow: slow + self.hung }
    }
}

/// The latest failures of an epoch, or its latest slow calls.
struct Log {
    /// How many have been written down in the epoch.
    written: SharedMark,
    places: Box<[SharedMark]>,
}

/// How many calls may be written down between a look at the end of the log and one at the farthest place in it.
/// If there are more, that look finds nothing.
const SLACK: u64 = 64;

#[cfg(test)]
pub(super) const PLACE: usize = size_of::<SharedMark>();

impl Log {
    /// A log that can tell of up to `depth` calls.
    fn new(depth: u64) -> Self {
        let places = (0..depth + SLACK).map(|_| SharedMark::new()).collect();
        Log { written: SharedMark::new(), places }
    }

    fn depth(&self) -> u64 {
        self.places.len() as u64
    }

    /// The place of the `number`th, counting from 1.
    fn place(&self, number: u64) -> &SharedMark {
        #[expect(clippy::cast_possible_truncation, reason = "less than the length, which is a usize")]
        let index = (number % self.depth()) as usize;
        &self.places[index]
    }

    fn write(&self, epoch: Epoch, settled: u64) {
        // None: a later epoch has begun, and this call is not its business.
        if let Some(number) = self.written.count(epoch) {
            self.place(number).raise(Mark::new(epoch, settled));
        }
    }

    /// Whether the place of the `number`th was still its own just now.
    fn keeps(&self, epoch: Epoch, number: u64) -> bool {
        self.written.load().of(epoch).is_some_and(|written| written < number + self.depth())
    }

    fn read(&self, epoch: Epoch) -> Reading<'_> {
        Reading { log: self, epoch, written: self.written.load().of(epoch).unwrap_or(0) }
    }
}

/// A log up to the place that was its end at one moment.
struct Reading<'a> {
    log: &'a Log,
    epoch: Epoch,
    written: u64,
}

impl Reading<'_> {
    /// Whether the `least`th latest was settled after the first `out` calls of the epoch.
    fn has(&self, least: u64, out: u64) -> bool {
        self.written >= least && self.is_after(self.written - least + 1, out)
    }

    /// How many were.
    fn count(&self, out: u64) -> u64 {
        if out == 0 {
            return self.written;
        }
        let latest = (1..=self.written).rev().take(self.log.places.len());
        latest.take_while(|number| self.is_after(*number, out)).count() as u64
    }

    /// A place that has been taken and not been written yet is not: its thread will look once it has. Nor is one
    /// that has been taken again since: those who did will look, too.
    fn is_after(&self, number: u64, out: u64) -> bool {
        let settled = self.log.place(number).load().of(self.epoch);
        settled.is_some_and(|settled| settled > out) && self.log.keeps(self.epoch, number)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    const DEPTH: u64 = 4;

    /// A log in which every second call of the epoch is written down, `failures` of them so far.
    fn every_second_call(failures: u64) -> Log {
        let log = Log::new(DEPTH);
        for number in 1..=failures {
            log.write(EPOCH, 2 * number);
        }
        log
    }

    #[test]
    fn a_place_that_is_taken_again_during_a_look_tells_nothing() {
        // The look began when three of the last four calls could not have failed; it must not find so many now.
        let log = every_second_call(10);
        let reading = log.read(EPOCH);
        assert!(reading.has(2, 20 - 4));
        assert!(!reading.has(3, 20 - 4));
        for number in 11..=10 + DEPTH + SLACK {
            log.write(EPOCH, 2 * number);
        }
        for least in 1..=DEPTH {
            assert!(!reading.has(least, 20 - 4), "{least}");
        }
        assert_eq!(reading.count(20 - 4), 0);
    }

    #[test]
    fn a_place_that_is_not_taken_again_during_a_look_still_tells() {
        let log = every_second_call(10);
        let reading = log.read(EPOCH);
        for number in 11..=10 + SLACK {
            log.write(EPOCH, 2 * number);
        }
        assert!(reading.has(DEPTH, 2 * 6));
        assert!(!reading.has(DEPTH + 1, 2 * 6));
        assert_eq!(reading.count(2 * 6), 4);
    }

    #[test]
    fn each_epoch_has_a_log_of_its_own() {
        let log = every_second_call(10);
        assert!(log.read(EPOCH).has(DEPTH, 0));
        assert!(!log.read(EPOCH.next()).has(1, 0));
        log.write(EPOCH.next(), 1);
        log.write(EPOCH, 22);
        assert!(log.read(EPOCH.next()).has(1, 0));
        assert!(!log.read(EPOCH.next()).has(2, 0));
        assert_eq!((log.read(EPOCH).written, log.read(EPOCH.next()).count(0)), (0, 1));
    }
}
