use std::time::Duration;

use super::{Engine, Ticket};
use crate::cell::Applied;
use crate::counters::{Kind, Slot};
use crate::failures::Note;
use crate::machine::{Effect, Event};
use crate::outcome::{Dropped, Outcome};
use crate::state::State;
use crate::transition::Cause;
use crate::window::{Ended, Lately};

/// When a call ended, if that was looked at, and whether it was slow.
#[derive(Clone, Copy)]
struct End {
    now: Option<Duration>,
    slow: bool,
}

impl Engine {
    /// Settles a call as `outcome` says. `slot` is this thread's.
    #[inline]
    pub(crate) fn settle(&self, slot: &Slot, ticket: Ticket, outcome: Outcome, note: impl FnOnce() -> Note) {
        match outcome {
            Outcome::Success if self.has_nothing_to_do(ticket) => slot.count_success(ticket.epoch()),
            Outcome::Success => self.succeed(slot, ticket),
            Outcome::Failure => self.fail(ticket, note()),
            Outcome::Ignored => self.release(ticket, Kind::Ignored),
            Outcome::Trip { open_for } => self.trip(ticket, open_for, note()),
        }
    }

    /// Whether a success changes nothing but its thread's totals.
    #[inline]
    fn has_nothing_to_do(&self, ticket: Ticket) -> bool {
        !self.times_settlements && ticket.word.is_quiet() && self.cell.is_still(ticket.word)
    }

    /// Settles a call that ended without an outcome.
    #[cold]
    pub(crate) fn abandon(&self, ticket: Ticket) {
        if std::thread::panicking() {
            return self.fail(ticket, Note::PANIC);
        }
        let failed = match self.rules().dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => {
                ticket.admitted().is_some_and(|admitted| self.now().saturating_sub(admitted) >= limit)
            }
        };
        if failed { self.fail(ticket, Note::DROPPED) } else { self.release(ticket, Kind::Dropped) }
    }

    #[cold]
    fn succeed(&self, slot: &Slot, ticket: Ticket) {
        let End { now, slow } = self.end(ticket);
        let epoch = ticket.epoch();
        if !self.is_current(ticket) {
            return self.counters().count_aside(Kind::Success);
        }
        slot.count_success(epoch);
        let met = self.record(ticket, End { now, slow }, false);
        if met.is_none() && ticket.word.is_quiet() && self.cell.is_still(ticket.word) {
            return;
        }
        if met.is_some() {
            // The run of errors ends before the breaker opens.
            let _still_closed = self.cell.apply(Event::Success { epoch }, self.rules());
        }
        let event = match (met, now) {
            (Some(cause), Some(now)) => Event::RateMet { epoch, cause, moment: self.moment_at(now) },
            (None, Some(now)) if slow && ticket.word.state() == State::HalfOpen => {
                Event::Failure { epoch, met: None, moment: Some(self.moment_at(now)) }
            }
            _ => Event::Success { epoch },
        };
        let at = now.or_else(|| if ticket.word.state() == State::HalfOpen { self.time_to_tell() } else { None });
        let applied = self.cell.apply(event, self.rules());
        self.perform(&applied, at);
    }

    #[cold]
    fn fail(&self, ticket: Ticket, note: Note) {
        let end = self.end(ticket);
        let epoch = ticket.epoch();
        if !self.is_current(ticket) {
            return self.counters().count_aside(Kind::Error);
        }
        self.counters().count_error(epoch);
        let met = self.record(ticket, end, true);
        let mut now = None;
        let mut applied = self.cell.apply(Event::Failure { epoch, met, moment: None }, self.rules());
        if applied.effect == Effect::ReadClock {
            let moment = self.moment_at(end.now.unwrap_or_else(|| self.now()));
            now = Some(moment.now);
            applied = self.cell.apply(Event::Failure { epoch, met, moment: Some(moment) }, self.rules());
        }
        self.note(&applied, note, now);
        self.perform(&applied, now);
    }

    #[cold]
    fn trip(&self, ticket: Ticket, open_for: Duration, note: Note) {
        let end = self.end(ticket);
        let epoch = ticket.epoch();
        if !self.is_current(ticket) {
            return self.counters().count_aside(Kind::Error);
        }
        self.counters().count_error(epoch);
        let _opens_anyway = self.record(ticket, end, true);
        let now = end.now.unwrap_or_else(|| self.now());
        let applied = self.cell.apply(Event::Trip { epoch, now, open_for }, self.rules());
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

    /// Whether the call belongs to the epoch that still is.
    fn is_current(&self, ticket: Ticket) -> bool {
        self.cell.load().epoch() == ticket.epoch()
    }

    fn note(&self, applied: &Applied, note: Note, now: Option<Duration>) {
        if applied.effect != Effect::Late {
            self.rare().failures.record(note, now, applied.before.epoch(), || self.epoch());
        }
    }

    #[inline]
    fn end(&self, ticket: Ticket) -> End {
        if self.times_settlements { self.timed_end(ticket) } else { End { now: None, slow: false } }
    }

    fn timed_end(&self, ticket: Ticket) -> End {
        let now = self.now();
        let slow = match (self.lately(), ticket.admitted()) {
            (Some(lately), Some(admitted)) => lately.is_slow(now.saturating_sub(admitted)),
            _ => false,
        };
        self.leave(ticket);
        if slow {
            self.rare().count_slow();
        }
        End { now: Some(now), slow }
    }

    /// Records in the window a call that has been counted, and tells which rule it meets.
    #[inline]
    fn record(&self, ticket: Ticket, end: End, failed: bool) -> Option<Cause> {
        match self.lately() {
            Some(lately) if ticket.word.state() == State::Closed => self.record_lately(lately, ticket, end, failed),
            _ => None,
        }
    }

    fn record_lately(&self, lately: &Lately, ticket: Ticket, end: End, failed: bool) -> Option<Cause> {
        let epoch = ticket.epoch();
        let now = end.now.unwrap_or_default();
        if !failed && !end.slow {
            lately.record_success(epoch, now);
            return None;
        }
        let calls = self.counters().calls_in(epoch);
        lately.record(Ended { epoch, calls, now, failed, slow: end.slow });
        lately.met(epoch, now, || self.counters().calls_in(epoch))
    }

    /// The call is no longer timed: it hangs for nobody, and cannot be slow.
    pub(crate) fn stop_timing(&self, ticket: &mut Ticket) {
        self.leave(*ticket);
        *ticket = ticket.untimed();
    }

    /// Takes a call out of those that might hang. A late one is in none: the epoch that now is has its own.
    fn leave(&self, ticket: Ticket) {
        if let (Some(lately), Some(admitted), true) = (self.lately(), ticket.watched(), self.is_current(ticket)) {
            lately.leave(ticket.epoch(), admitted);
        }
    }
}
