use std::time::Duration;

use super::totals::{Kind, Stripe};
use super::{Engine, Ticket};
use crate::failures::Note;
use crate::generations::times_settlements;
use crate::machine::cell::Applied;
use crate::machine::step::{Effect, Event};
use crate::machine::word::{Epoch, Word};
use crate::outcome::{Dropped, Outcome};
use crate::state::State;
use crate::transition::Cause;
use crate::window::{Reading, Recorded, Sample, Windows};

impl Engine {
    /// Settles a call as `outcome` says. `own` is this thread's stripe of the totals.
    #[inline]
    pub(crate) fn settle(&self, own: Option<&Stripe>, ticket: Ticket, outcome: Outcome, note: impl FnOnce() -> Note) {
        match (outcome, own) {
            (Outcome::Success, Some(own)) if self.has_nothing_to_do(ticket) => own.count_success(ticket.epoch()),
            (Outcome::Success, _) => self.succeed(ticket),
            (Outcome::Failure, _) => self.fail(ticket, &note()),
            (Outcome::Ignored, _) => self.release(ticket, Kind::Ignored),
            (Outcome::Trip { open_for }, _) => self.trip(ticket, open_for, &note()),
        }
    }

    /// Whether a success changes nothing but its thread's totals.
    #[inline]
    fn has_nothing_to_do(&self, ticket: Ticket) -> bool {
        self.current.leaves_quiet(self.cell.load(), ticket.admission())
    }

    /// Settles a call that ended without an outcome: by a panic of the operation, or by a drop.
    #[cold]
    pub(crate) fn abandon(&self, ticket: Ticket, has_panicked: impl FnOnce() -> bool) {
        if has_panicked() {
            return self.fail(ticket, &Note::PANIC);
        }
        let failed = match self.settings(ticket.admission().generation()).rules.dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => {
                ticket.admitted().is_some_and(|admitted| self.now().saturating_sub(admitted) >= limit)
            }
        };
        if failed { self.fail(ticket, &Note::DROPPED) } else { self.release(ticket, Kind::Dropped) }
    }

    /// A success that is timed, ends a run of errors, or is a probe's, a late one, or one of a thread without a stripe of its own.
    #[cold]
    fn succeed(&self, ticket: Ticket) {
        if self.is_timed(ticket) {
            self.succeed_timed(ticket);
        } else if let Some(word) = self.word_of(ticket) {
            self.count(Kind::Success, word);
            if !self.is_still_quiet(word) {
                self.apply_success(word, None);
            }
        } else {
            self.count_uncredited(Kind::Success);
        }
    }

    #[inline(never)]
    fn succeed_timed(&self, ticket: Ticket) {
        let now = self.now();
        let is_slow = self.ends_slowly(ticket, now);
        let Some(word) = self.word_of(ticket) else { return self.count_uncredited(Kind::Success) };
        if is_slow {
            return self.succeed_slowly(word, now);
        }
        self.count(Kind::Success, word);
        if let Some(windows) = self.lately_in(word) {
            let (stripe, epoch) = (self.totals().place().index, ticket.epoch());
            let record = |now, reading| windows.record_success(stripe, epoch, now, reading, &self.cell);
            if record(now, Reading::Some) == Recorded::ReadAgain {
                let _recorded = record(self.now(), Reading::Again);
            }
        }
        if !self.is_still_quiet(word) {
            self.apply_success(word, Some(now));
        }
    }

    /// What a success that has been counted makes of the word, which was `word` just now.
    #[inline(never)]
    fn apply_success(&self, word: Word, now: Option<Duration>) {
        let at = now.or_else(|| if word.state() == State::HalfOpen { self.time_to_tell() } else { None });
        let applied = self.cell.apply(Event::Success { epoch: word.epoch() }, self.rules());
        self.perform(&applied, at);
    }

    #[cold]
    fn succeed_slowly(&self, word: Word, now: Duration) {
        let epoch = word.epoch();
        let tripped_by = self.count_bad(Kind::Success, word, now, true);
        let event = match tripped_by {
            Some(cause) => {
                // The run of errors ends before the breaker opens.
                let _still_closed = self.cell.apply(Event::Success { epoch }, self.rules());
                Event::RateMet { epoch, cause, moment: self.moment_at(now) }
            }
            None if word.state() == State::HalfOpen => {
                Event::Failure { epoch, met: None, moment: Some(self.moment_at(now)) }
            }
            None if self.is_still_quiet(word) => return,
            None => Event::Success { epoch },
        };
        let applied = self.cell.apply(event, self.rules());
        self.perform(&applied, Some(now));
    }

    #[cold]
    fn fail(&self, ticket: Ticket, note: &Note) {
        let end = self.time_of_end(ticket);
        let is_slow = end.is_some_and(|now| self.ends_slowly(ticket, now));
        let Some(word) = self.word_of(ticket) else { return self.count_uncredited(Kind::Error) };
        let met = self.count_failure(word, end, is_slow);
        let epoch = word.epoch();
        let applied = self.cell.apply(Event::Failure { epoch, met, moment: None }, self.rules());
        if applied.effect == Effect::ReadClock {
            return self.fail_at(end.unwrap_or_else(|| self.now()), epoch, met, note);
        }
        self.note(&applied, note, None);
        self.perform(&applied, None);
    }

    /// A failure that has been counted, and that would open the breaker.
    #[cold]
    fn fail_at(&self, now: Duration, epoch: Epoch, met: Option<Cause>, note: &Note) {
        let moment = Some(self.moment_at(now));
        let applied = self.cell.apply(Event::Failure { epoch, met, moment }, self.rules());
        self.note(&applied, note, Some(now));
        self.perform(&applied, Some(now));
    }

    #[cold]
    fn trip(&self, ticket: Ticket, open_for: Duration, note: &Note) {
        let end = self.time_of_end(ticket);
        let is_slow = end.is_some_and(|now| self.ends_slowly(ticket, now));
        let Some(word) = self.word_of(ticket) else { return self.count_uncredited(Kind::Error) };
        let _opens_anyway = self.count_failure(word, end, is_slow);
        let now = end.unwrap_or_else(|| self.now());
        let applied = self.cell.apply(Event::Trip { epoch: word.epoch(), now, open_for }, self.rules());
        self.note(&applied, note, Some(now));
        self.perform(&applied, Some(now));
    }

    #[cold]
    fn release(&self, ticket: Ticket, kind: Kind) {
        self.leave(ticket);
        self.count_uncredited(kind);
        let applied = self.cell.apply(Event::Release { epoch: ticket.epoch() }, self.rules());
        self.perform(&applied, None);
    }

    /// The word, if the call belongs to its epoch. Within one the state is the same.
    #[inline]
    fn word_of(&self, ticket: Ticket) -> Option<Word> {
        Some(self.cell.load()).filter(|word| word.epoch() == ticket.epoch())
    }

    /// Whether a success has no errors to end, and the epoch of `word` has not ended.
    #[inline]
    fn is_still_quiet(&self, word: Word) -> bool {
        word.is_quiet() && self.cell.is_still(word)
    }

    /// Whether the end of a call is timed, by the settings that hold or by those that it was admitted under.
    #[inline]
    fn is_timed(&self, ticket: Ticket) -> bool {
        self.current.times_settlements() || !self.current.is_that_of(ticket.admission()) && self.was_timed(ticket)
    }

    #[cold]
    fn was_timed(&self, ticket: Ticket) -> bool {
        times_settlements(self.settings(ticket.admission().generation()).lately)
    }

    fn note(&self, applied: &Applied, note: &Note, now: Option<Duration>) {
        if applied.effect != Effect::Late {
            self.cold().failures.record(note, now, applied.before.epoch(), || self.epoch());
        }
    }

    /// When a call ends, if that matters.
    #[inline]
    fn time_of_end(&self, ticket: Ticket) -> Option<Duration> {
        self.is_timed(ticket).then(|| self.now())
    }

    /// Whether a call that ends at `now` was slow.
    #[inline]
    fn ends_slowly(&self, ticket: Ticket, now: Duration) -> bool {
        ticket.admitted().is_some_and(|admitted| self.end_timing(ticket, now.saturating_sub(admitted)))
    }

    /// Ends the watch for a call that took so long. Tells whether it was slow, and if so counts it.
    #[inline(never)]
    fn end_timing(&self, ticket: Ticket, took: Duration) -> bool {
        self.leave(ticket);
        let is_slow = self.settings(ticket.admission().generation()).lately.is_some_and(|lately| lately.is_slow(took));
        if is_slow {
            self.cold().count_slow();
        }
        is_slow
    }

    /// Counts a call in the totals. `word` is the word of its epoch.
    fn count(&self, kind: Kind, word: Word) {
        let totals = self.totals();
        let place = totals.place();
        match kind {
            // A probe credits no epoch: no window looks at it.
            _ if !word.admits_all() => totals.count_uncredited(place, kind),
            Kind::Error => totals.count_error(place, word.epoch(), &self.cell),
            _ => totals.count_success(place, word.epoch(), &self.cell),
        }
    }

    /// Counts a call in the totals alone.
    #[cold]
    fn count_uncredited(&self, kind: Kind) {
        let totals = self.totals();
        totals.count_uncredited(totals.place(), kind);
    }

    /// Counts a failure, also in the windows, and returns which rule it trips there.
    #[inline]
    fn count_failure(&self, word: Word, end: Option<Duration>, is_slow: bool) -> Option<Cause> {
        match end {
            None if self.lately_in(word).is_none_or(Windows::times_settlements) => {
                // Without windows, or with such as have begun since: they are without this call.
                self.count(Kind::Error, word);
                None
            }
            end => self.count_bad(Kind::Error, word, end.unwrap_or_default(), is_slow),
        }
    }

    /// Counts a failure or a slow call, also in the windows, and returns which rule it trips there.
    #[inline(never)]
    fn count_bad(&self, kind: Kind, word: Word, now: Duration, slow: bool) -> Option<Cause> {
        let epoch = word.epoch();
        let Some(windows) = self.lately_in(word) else {
            self.count(kind, word);
            return None;
        };
        // Before it is counted, so that its position is not later than it should be.
        let position = self.calls_in(windows, epoch) + 1;
        self.count(kind, word);
        let stripe = self.totals().place().index;
        let sample = Sample { epoch, position, stripe, now, failed: kind == Kind::Error, slow };
        let now = match windows.record(sample, Reading::Some, &self.cell) {
            Recorded::Done => now,
            Recorded::ReadAgain => {
                let now = self.now();
                let _recorded = windows.record(Sample { now, ..sample }, Reading::Again, &self.cell);
                now
            }
        };
        self.evaluate(windows, epoch, now)
    }

    /// Which rate rule is met.
    pub(super) fn evaluate(&self, windows: &Windows, epoch: Epoch, now: Duration) -> Option<Cause> {
        loop {
            let snapshot = windows.snapshot(epoch, now);
            if let Ok(tripped_by) = windows.tripped_by(snapshot, self.calls_in(windows, epoch)) {
                return tripped_by;
            }
        }
    }

    /// The windows, if a call of the state of `word` is one of those that they are about.
    #[inline]
    fn lately_in(&self, word: Word) -> Option<&Windows> {
        self.lately().filter(|_| word.state() == State::Closed)
    }

    /// Stops timing: the call can no longer count as slow or hung.
    pub(crate) fn stop_timing(&self, ticket: &mut Ticket) {
        self.leave(*ticket);
        *ticket = ticket.no_longer_timed();
    }

    /// Takes a call out of those in flight. Windows that have begun anew since know nothing of it.
    fn leave(&self, ticket: Ticket) {
        let Some(slice) = ticket.slice() else { return };
        if let Some(windows) = self.settings(ticket.admission().generation()).lately {
            windows.leave(self.totals().place().index, slice);
        }
    }
}
