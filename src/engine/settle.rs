use std::time::Duration;

use super::{Engine, Ticket};
use crate::counters::{Kind, Slot};
use crate::failures::Note;
use crate::generations::times_settlements;
use crate::machine::cell::Applied;
use crate::machine::step::{Effect, Event};
use crate::machine::word::{Epoch, Word};
use crate::outcome::{Dropped, Outcome};
use crate::state::State;
use crate::transition::Cause;
use crate::window::{Ended, Lately};

impl Engine {
    /// Settles a call as `outcome` says. `slot` is this thread's.
    #[inline]
    pub(crate) fn settle(&self, slot: &Slot, ticket: Ticket, outcome: Outcome, note: impl FnOnce() -> Note) {
        match outcome {
            Outcome::Success if self.has_nothing_to_do(ticket) => slot.count_success(ticket.epoch()),
            Outcome::Success => self.succeed(slot, ticket),
            Outcome::Failure => self.fail(slot, ticket, &note()),
            Outcome::Ignored => self.release(ticket, Kind::Ignored),
            Outcome::Trip { open_for } => self.trip(slot, ticket, open_for, &note()),
        }
    }

    /// Whether a success changes nothing but its thread's totals.
    #[inline]
    fn has_nothing_to_do(&self, ticket: Ticket) -> bool {
        self.current.leaves_quiet(self.cell.load(), ticket.admission())
    }

    /// Settles a call that ended without an outcome.
    #[cold]
    pub(crate) fn abandon(&self, ticket: Ticket) {
        let slot = self.slot();
        if std::thread::panicking() {
            return self.fail(slot, ticket, &Note::PANIC);
        }
        let failed = match self.settings(ticket.admission().generation()).rules.dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => {
                ticket.admitted().is_some_and(|admitted| self.now().saturating_sub(admitted) >= limit)
            }
        };
        if failed { self.fail(slot, ticket, &Note::DROPPED) } else { self.release(ticket, Kind::Dropped) }
    }

    /// A success that is timed, ends a run of errors, or is a probe's or a late one.
    #[cold]
    fn succeed(&self, slot: &Slot, ticket: Ticket) {
        if self.is_timed(ticket) {
            self.succeed_timed(slot, ticket);
        } else if let Some(word) = self.word_of(ticket) {
            slot.count_success(ticket.epoch());
            self.apply_success(word, None);
        } else {
            self.counters().count_aside(Kind::Success);
        }
    }

    #[inline(never)]
    fn succeed_timed(&self, slot: &Slot, ticket: Ticket) {
        let now = self.now();
        let is_slow = self.ends_slowly(ticket, now);
        let Some(word) = self.word_of(ticket) else { return self.counters().count_aside(Kind::Success) };
        slot.count_success(ticket.epoch());
        if is_slow {
            return self.succeed_slowly(word, now);
        }
        if let Some(lately) = self.lately_in(word) {
            lately.record_success(ticket.epoch(), now);
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

    /// A slow success, which is in the totals already.
    #[cold]
    fn succeed_slowly(&self, word: Word, now: Duration) {
        let epoch = word.epoch();
        let calls = self.counters().calls_in(epoch);
        let ended = Ended { epoch, calls, now, failed: false, slow: true };
        let met = self.lately_in(word).and_then(|lately| self.record(lately, ended));
        let event = match met {
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
    fn fail(&self, slot: &Slot, ticket: Ticket, note: &Note) {
        let end = self.time_of_end(ticket);
        let is_slow = end.is_some_and(|now| self.ends_slowly(ticket, now));
        let Some(word) = self.word_of(ticket) else { return self.counters().count_aside(Kind::Error) };
        let met = self.record_failure(slot, word, end, is_slow);
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
    fn trip(&self, slot: &Slot, ticket: Ticket, open_for: Duration, note: &Note) {
        let end = self.time_of_end(ticket);
        let is_slow = end.is_some_and(|now| self.ends_slowly(ticket, now));
        let Some(word) = self.word_of(ticket) else { return self.counters().count_aside(Kind::Error) };
        let _opens_anyway = self.record_failure(slot, word, end, is_slow);
        let now = end.unwrap_or_else(|| self.now());
        let applied = self.cell.apply(Event::Trip { epoch: word.epoch(), now, open_for }, self.rules());
        self.note(&applied, note, Some(now));
        self.perform(&applied, Some(now));
    }

    #[cold]
    fn release(&self, ticket: Ticket, kind: Kind) {
        self.leave(ticket);
        self.counters().count_aside(kind);
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
            self.rare().failures.record(note, now, applied.before.epoch(), || self.epoch());
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
            self.rare().count_slow();
        }
        is_slow
    }

    /// Counts a failure, also in the window, and tells which rule it meets there.
    #[expect(clippy::inline_always, reason = "without rates it is a few instructions")]
    #[inline(always)]
    fn record_failure(&self, slot: &Slot, word: Word, now: Option<Duration>, is_slow: bool) -> Option<Cause> {
        let epoch = word.epoch();
        let calls = self.counters().count_error(slot, epoch);
        let lately = self.lately_in(word)?;
        if now.is_none() && lately.times_settlements() {
            return None; // The window has begun since, and is without this call.
        }
        let now = now.unwrap_or_default();
        self.record(lately, Ended { epoch, calls, now, failed: true, slow: is_slow })
    }

    /// Records a failure or a slow call, which has been counted, in the window, and tells which rule it meets.
    fn record(&self, lately: &Lately, ended: Ended) -> Option<Cause> {
        lately.record(ended);
        lately.met(ended.epoch, ended.now, || self.counters().calls_in(ended.epoch))
    }

    /// The windows, if a call of the state of `word` is one of those that they are about.
    #[inline]
    fn lately_in(&self, word: Word) -> Option<&Lately> {
        self.lately().filter(|_| word.state() == State::Closed)
    }

    /// The call is no longer timed: it hangs for nobody, and cannot be slow.
    pub(crate) fn stop_timing(&self, ticket: &mut Ticket) {
        self.leave(*ticket);
        *ticket = ticket.untimed();
    }

    /// Takes a call out of those that might hang. A late one is in none: the epoch that now is has its own.
    fn leave(&self, ticket: Ticket) {
        let Some(admitted) = ticket.watched().filter(|_| self.word_of(ticket).is_some()) else { return };
        if let Some(lately) = self.settings(ticket.admission().generation()).lately {
            lately.leave(ticket.epoch(), admitted);
        }
    }
}
