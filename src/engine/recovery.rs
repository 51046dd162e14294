//! Calls within the steps of recovery.

use std::time::Duration;

use super::admit::Rejection;
use super::last_failure::FailureInfo;
use super::settings_version::CurrentSettings;
use super::settle::EndedCall;
use super::totals::Kind;
use super::{Engine, Ticket, draw_for};
use crate::cause::Cause;
use crate::error::Reason;
use crate::machine::recovery::{Next, Plan, Schedule, passes};
use crate::machine::step::Effect;
use crate::machine::word::{Head, Word};
use crate::metrics::{RecoveryStep, WindowMetrics};
use crate::sync::full_fence;
use crate::window::Arrival;
use crate::window::steps::{Counted, StepSample, tripped_by};

/// The fewest calls that a step is judged on once it is over.
const WHAT_CAME: u64 = 1;

impl Engine {
    /// Admits a call if the step at `now` lets it pass, or says why not; `None` if the breaker is not within the steps.
    #[cold]
    pub(super) fn admit_in_steps(
        &self,
        now: Duration,
        settings: &CurrentSettings<'_>,
    ) -> Option<Result<Ticket, Rejection>> {
        let (word, schedule) = self.bring_up_to(now, settings)?;
        let epoch = word.head().epoch();
        let now = self.look_for_hanging(word, now, settings)?;
        let steps = self.cold().steps_or_new();
        let stripe = self.totals().place().index;
        let share = schedule.plan.share(word.step())?;
        let asked = steps.ask(stripe);
        if passes(asked, stripe, share) {
            steps.note_admission(epoch, &schedule, now, &self.cell);
        } else if !steps.take_turn(epoch, &schedule, now, &self.cell) {
            let wait = schedule.ask_again_after(word.step(), steps.last_admission(epoch), now);
            return Some(Err(Rejection::for_now(Reason::at_step(word.step(), schedule.plan.count()), wait)));
        }
        let ticket = self.ticket_for(Head::of_step(epoch), true, now, settings);
        self.count_admission();
        Some(Ok(ticket))
    }

    /// Settles a call that was admitted within the steps, and succeeded if there is no note on its failure.
    #[cold]
    pub(super) fn settle_in_steps(&self, ended: &EndedCall<'_>, failure: Option<&FailureInfo>) {
        let now = ended.at.unwrap_or_else(|| self.now());
        let kind = if failure.is_some() { Kind::Error } else { Kind::Success };
        // Credited to no epoch: whether this one is over is not known yet.
        ended.place.count_uncredited(kind);
        let (epoch, settings) = (ended.ticket.admission.epoch(), &ended.settings);
        let steps = self.cold().steps_or_new();
        let mut untold = failure;
        while let Some((word, _)) = self.bring_up_to(now, settings).filter(|(word, _)| word.head().epoch() == epoch) {
            let sample = StepSample {
                epoch,
                step: word.step(),
                stripe: ended.place.index,
                failed: failure.is_some(),
                slow: ended.is_slow,
            };
            match steps.record(sample, &self.cell) {
                Counted::InItsStep => {}
                Counted::Moved => continue,
                Counted::Late => return,
            }
            if let Some(info) = untold.take() {
                self.cold().last_failure.record(info, Some(now), epoch, || self.epoch());
            }
            if failure.is_none() && !ended.is_slow || self.judge_after_recording(word, now, settings) {
                return;
            }
        }
    }

    /// Judges the step of `word` after a failure or a slow call has been recorded in it. Returns false if the call has to be
    /// recorded in a later step: whoever ended this one may not have seen it.
    fn judge_after_recording(&self, word: Word, now: Duration, settings: &CurrentSettings<'_>) -> bool {
        let seen = self.cell.load();
        if !seen.is_recovering() || seen.head().epoch() != word.head().epoch() {
            return true;
        }
        if seen.step() != word.step() {
            return false;
        }
        // If the step is over, a thread that ends it may have judged it before.
        let minimum = if seen.is_step_over() { WHAT_CAME } else { settings.values().recovery_minimum_calls.into() };
        match self.judge(seen, now, minimum, settings) {
            Some(cause) => self.relapse(seen, cause, now, settings),
            None => true,
        }
    }

    /// Ends the steps whose time is over at `now`. Returns the word, which is at the step of the present, and the schedule;
    /// `None` if the breaker is not within the steps, or no longer.
    ///
    /// A step ends by two swaps. The first says that its time is over, so that of a call that fails and a thread that ends
    /// the step at least one sees the other. Then the step is judged, by a thread that finds it over. The second swap enters the
    /// next step. Nothing is counted in the next step before, so the counts of this one are all there.
    fn bring_up_to<'a>(&self, now: Duration, settings: &'a CurrentSettings<'_>) -> Option<(Word, Schedule<'a>)> {
        loop {
            let word = self.cell.load();
            if !word.is_recovering() {
                return None;
            }
            // Else the word has moved on.
            let Some(entered) = self.cell.entered_at(word.head().epoch()) else { continue };
            let schedule = Schedule { plan: Plan::of(word, settings.values().recovery.as_ref()), entered };
            let _has_swapped = match schedule.next(word, now) {
                None => return Some((word, schedule)),
                Some(_) if !word.is_step_over() => self.cell.try_swap(word, word.with_step_over()),
                Some(next) => self.end_step(word, next, now, settings),
            };
        }
    }

    /// Judges the step of `word`, whose time is over, and goes on to what follows. Returns false if another thread has.
    fn end_step(&self, word: Word, next: Next, now: Duration, settings: &CurrentSettings<'_>) -> bool {
        // Pairs with the fence in `record`.
        full_fence();
        match (self.judge(word, now, WHAT_CAME, settings), next) {
            (Some(cause), _) => self.relapse(word, cause, now, settings),
            (None, Next::Step(step)) => self.cell.try_swap(word, word.with_step(step)),
            (None, Next::Close) => {
                let applied = self.cell.conclude(word);
                self.perform(&applied, Some(now));
                applied.effect.begins_epoch()
            }
        }
    }

    /// Which rule the calls of the step of `word` have met, judged on at least `minimum_calls`.
    fn judge(&self, word: Word, now: Duration, minimum_calls: u64, settings: &CurrentSettings<'_>) -> Option<Cause> {
        tripped_by(self.window_of_step(word, now, settings), settings.windows(), minimum_calls)
    }

    /// Opens the breaker if it is still at the step of `word`. Returns whether it has.
    fn relapse(&self, word: Word, cause: Cause, now: Duration, settings: &CurrentSettings<'_>) -> bool {
        let settings = settings.values();
        let applied = self.cell.relapse(word, cause, now, draw_for(settings), settings);
        self.perform(&applied, Some(now));
        applied.effect != Effect::Late
    }

    /// Looks for calls that hang, once in each slice. Returns the time, which is read again if it lies far back; `None` if
    /// the breaker has opened.
    fn look_for_hanging(&self, word: Word, now: Duration, settings: &CurrentSettings<'_>) -> Option<Duration> {
        let Some(windows) = settings.windows() else { return Some(now) };
        let epoch = word.head().epoch();
        let (now, arrival) = self.arrival(windows, epoch, now);
        if arrival == Arrival::First && windows.hanging(epoch, now) > 0 {
            let minimum = settings.values().recovery_minimum_calls.into();
            if let Some(cause) = self.judge(word, now, minimum, settings) {
                self.relapse(word, cause, now, settings);
                return None;
            }
        }
        Some(now)
    }

    /// The step of `word`, if its steps have not been withdrawn.
    #[cold]
    pub(super) fn recovery_step(&self, word: Word) -> Option<Box<RecoveryStep>> {
        let settings = self.settings();
        let plan = Plan::of(word, settings.values().recovery.as_ref());
        Some(Box::new(RecoveryStep::new(word.step(), plan.count(), plan.share(word.step())?)))
    }

    /// What the step of `word` has seen by now.
    #[cold]
    pub(super) fn shown_window_of_step(&self, word: Word) -> WindowMetrics {
        let settings = self.settings();
        let now = settings.windows().map_or(Duration::ZERO, |windows| self.time_of(windows));
        self.window_of_step(word, now, &settings)
    }

    /// What the step of `word` has seen.
    #[cold]
    pub(super) fn window_of_step(&self, word: Word, now: Duration, settings: &CurrentSettings<'_>) -> WindowMetrics {
        let epoch = word.head().epoch();
        let hanging = || settings.windows().map_or(0, |windows| windows.hanging(epoch, now));
        self.cold().steps_or_new().metrics(epoch, word.step(), hanging)
    }
}
