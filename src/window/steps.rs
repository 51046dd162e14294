//! The window of each step of recovery, and how many calls asked to pass.

use std::cell::Cell as Flag;
use std::time::Duration;

use super::count::Found;
use super::ring::PerStripe;
use super::{Rates, Span, Windows};
use crate::cause::Cause;
use crate::machine::cell::Cell;
use crate::machine::epoch_cell::{EpochCell, VALUE};
use crate::machine::recovery::Schedule;
use crate::machine::word::{Epoch, Field};
use crate::metrics::WindowMetrics;
use crate::sync::{Ordering, RingU64, full_fence};

/// What the calls within the steps of recovery are counted in.
///
/// Each stripe counts by itself, so that threads that make calls at the same time do not meet. A count shares a word with
/// the epoch and the step that it belongs to, so that one swap counts, or begins the count of a new step.
pub(crate) struct StepWindow {
    counts: PerStripe<StepCounts>,
    /// When the latest call was admitted, in milliseconds since the steps were entered. At most one thread writes it in
    /// each millisecond.
    last_admission: EpochCell,
}

struct StepCounts {
    /// Calls that have asked to pass, in any epoch.
    asked: RingU64,
    settled: EpochCell,
    errors: EpochCell,
    slow: EpochCell,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepSample {
    pub(crate) epoch: Epoch,
    pub(crate) step: u32,
    pub(crate) stripe: usize,
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// Whether a call has been counted in its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Counted {
    InItsStep,
    /// No: the breaker is at a later step.
    Moved,
    /// No: the epoch is over.
    Late,
}

/// The count of one step. It stops at 2²⁹ − 1.
const COUNT: Field = Field::first(29);
const STEP: Field = Field::after(COUNT, 6);

const _: () = assert!(STEP.end() == VALUE.end() - VALUE.start());

/// Counts one in `step`, or nothing if the count is of a later one.
fn counted(value: Option<u64>, step: u32) -> u64 {
    match value {
        Some(value) if STEP.get(value) > u64::from(step) => value,
        Some(value) if STEP.get(value) == u64::from(step) => COUNT.set(value, (COUNT.get(value) + 1).min(COUNT.max())),
        _ => STEP.set(1, step.into()),
    }
}

impl StepCounts {
    fn new() -> Self {
        StepCounts {
            asked: RingU64::new(0),
            settled: EpochCell::new(),
            errors: EpochCell::new(),
            slow: EpochCell::new(),
        }
    }
}

impl StepWindow {
    pub(crate) fn new() -> Self {
        StepWindow { counts: PerStripe::new(), last_admission: EpochCell::new() }
    }

    /// Counts that one more call of this stripe has asked to pass. Returns how many have before.
    pub(crate) fn ask(&self, stripe: usize) -> u64 {
        // Relaxed: the number by itself decides.
        self.counts.of(stripe, StepCounts::new).asked.fetch_add(1, Ordering::Relaxed)
    }

    /// When the latest call of `epoch` was admitted, in milliseconds since its steps were entered; 0 if none was.
    pub(crate) fn last_admission(&self, epoch: Epoch) -> u64 {
        self.last_admission.load().of(epoch).unwrap_or(0)
    }

    /// Notes that a call is admitted.
    pub(crate) fn note_admission(&self, epoch: Epoch, schedule: &Schedule<'_>, now: Duration, present: &Cell) {
        let elapsed = schedule.elapsed(now);
        if self.last_admission.load().of(epoch) != Some(elapsed) {
            let _late = self.last_admission.update(epoch, present, |_| elapsed);
        }
    }

    /// Takes the place of the one call that passes where none has been admitted for a tenth of a step. Returns whether it
    /// was free.
    pub(crate) fn take_turn(&self, epoch: Epoch, schedule: &Schedule<'_>, now: Duration, present: &Cell) -> bool {
        if !schedule.is_starved(self.last_admission(epoch), now) {
            return false;
        }
        let is_taken = Flag::new(false);
        let updated = self.last_admission.update(epoch, present, |last| {
            let last = last.unwrap_or(0);
            is_taken.set(schedule.is_starved(last, now));
            if is_taken.get() { schedule.elapsed(now) } else { last }
        });
        updated.is_some() && is_taken.get()
    }

    /// Counts a call that has ended, in all of its counts or in none but the first.
    pub(crate) fn record(&self, sample: StepSample, present: &Cell) -> Counted {
        let counts = self.counts.of(sample.stripe, StepCounts::new);
        // The call first: no reader sees an error, or a slow call, that it does not see settled.
        let all = [(true, &counts.settled), (sample.failed, &counts.errors), (sample.slow, &counts.slow)];
        for (_, count) in all.into_iter().filter(|(is_one, _)| *is_one) {
            match count.update(sample.epoch, present, |value| counted(value, sample.step)) {
                Some(value) if STEP.get(value) == u64::from(sample.step) => {}
                Some(_) => return Counted::Moved,
                None => return Counted::Late,
            }
        }
        // Of two threads that record at the same time, or of one that records and one that ends the step, the one whose
        // fence comes last sees what the other did.
        full_fence();
        Counted::InItsStep
    }

    /// What `step` has seen. `hanging` returns the number of calls that hang.
    pub(crate) fn metrics(&self, epoch: Epoch, step: u32, hanging: impl FnOnce() -> u64) -> WindowMetrics {
        // The settled ones last, so that what ends meanwhile makes no rate larger than it is.
        let errors = self.sum(epoch, step, |counts| &counts.errors);
        let slow = self.sum(epoch, step, |counts| &counts.slow);
        let hanging = hanging();
        WindowMetrics::new(self.sum(epoch, step, |counts| &counts.settled), errors, slow, hanging)
    }

    fn sum(&self, epoch: Epoch, step: u32, count: impl Fn(&StepCounts) -> &EpochCell) -> u64 {
        let values = self.counts.iter().filter_map(|counts| count(counts).load().of(epoch));
        values.filter(|value| STEP.get(*value) == u64::from(step)).map(|value| COUNT.get(value)).sum()
    }
}

/// Which rule the calls of a step have met: the rates of `windows`, and an error rate of 0.5 if these have none.
pub(crate) fn tripped_by(window: WindowMetrics, windows: Option<&Windows>, minimum_calls: u64) -> Option<Cause> {
    const ERROR_RATE: f64 = 0.5;

    let configured = windows.map(Windows::rates);
    let rates = Rates {
        error_rate: configured.and_then(|rates| rates.error_rate).or(Some(ERROR_RATE)),
        slow: configured.and_then(|rates| rates.slow),
        drop_rate: None,
        minimum_calls,
        span: Span::Calls(1),
    };
    let found = |is: bool| if is { Found::Yes } else { Found::No };
    let WindowMetrics { calls, errors, slow_calls, hanging_calls, dropped_calls: _ } = window;
    let tripped_by = rates.tripped_by(
        calls,
        hanging_calls,
        |least| found(errors >= least),
        |least| found(slow_calls >= least),
        || 0,
        |_| Found::No,
    );
    tripped_by.unwrap_or(None)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(6);

    fn failure(epoch: Epoch, step: u32) -> StepSample {
        StepSample { epoch, step, stripe: 0, failed: true, slow: false }
    }

    fn seen(window: &StepWindow, epoch: Epoch, step: u32) -> (u64, u64) {
        let metrics = window.metrics(epoch, step, || 0);
        (metrics.calls, metrics.errors)
    }

    #[test]
    fn each_step_has_a_window_of_its_own() {
        let (window, cell) = (StepWindow::new(), Cell::closed_in(EPOCH));
        for step in [0, 0, 2] {
            assert_eq!(window.record(failure(EPOCH, step), &cell), Counted::InItsStep);
            let good = StepSample { failed: false, stripe: 5, ..failure(EPOCH, step) };
            assert_eq!(window.record(good, &cell), Counted::InItsStep);
        }
        assert_eq!([1, 2, 3].map(|step| seen(&window, EPOCH, step)), [(0, 0), (2, 1), (0, 0)]);
    }

    #[test]
    fn a_call_of_an_earlier_step_is_not_counted_in_a_later_one() {
        let (window, cell) = (StepWindow::new(), Cell::closed_in(EPOCH));
        assert_eq!(window.record(failure(EPOCH, 3), &cell), Counted::InItsStep);
        assert_eq!(window.record(failure(EPOCH, 2), &cell), Counted::Moved);
        assert_eq!((seen(&window, EPOCH, 3), seen(&window, EPOCH, 2)), ((1, 1), (0, 0)));
    }

    #[test]
    fn the_steps_of_another_episode_begin_anew_and_a_late_call_is_in_none() {
        let (window, later) = (StepWindow::new(), EPOCH.next());
        assert_eq!(window.record(failure(EPOCH, 3), &Cell::closed_in(EPOCH)), Counted::InItsStep);
        assert_eq!(window.record(failure(EPOCH, 0), &Cell::closed_in(later)), Counted::Moved);
        assert_eq!(window.record(failure(later, 0), &Cell::closed_in(later)), Counted::InItsStep);
        assert_eq!(window.record(failure(EPOCH, 3), &Cell::closed_in(later)), Counted::Late);
        assert_eq!(seen(&window, later, 0), (1, 1));
    }

    #[test]
    fn a_count_stops_at_its_largest_value() {
        let full = STEP.set(COUNT.max(), 4);
        assert_eq!(counted(Some(full), 4), full);
        assert_eq!(counted(Some(full), 5), STEP.set(1, 5));
    }

    #[test]
    fn without_rates_half_of_the_calls_failing_is_too_much() {
        let of = |calls, errors| tripped_by(WindowMetrics::new(calls, errors, 0, 0), None, 20);
        assert_eq!([of(20, 9), of(20, 10), of(19, 19)], [None, Some(Cause::ErrorRate), None]);
        assert_eq!(tripped_by(WindowMetrics::new(1, 1, 0, 0), None, 1), Some(Cause::ErrorRate));
        assert_eq!(tripped_by(WindowMetrics::new(0, 0, 0, 0), None, 1), None);
    }
}
