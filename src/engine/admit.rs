use std::time::Duration;

use super::Engine;
use crate::cell::Applied;
use crate::counters::Slot;
use crate::error::Rejected;
use crate::machine::{Effect, Event};
use crate::state::State;
use crate::time::whole_nanos;
use crate::word::{Epoch, Word};

/// What an admitted call has to give back: proof of its admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// The word under which it was admitted.
    pub(super) word: Word,
    /// When, in nanoseconds of the clock, beside [`WATCHED`](Self::WATCHED); [`UNTIMED`](Self::UNTIMED) if that
    /// does not matter.
    admitted: u64,
}

impl Ticket {
    const UNTIMED: u64 = u64::MAX;
    /// The bit that tells that the call is seen if it hangs. The nanoseconds below it last for 292 years.
    const WATCHED: u64 = 1 << 63;

    fn timed(word: Word, now: Duration, is_watched: bool) -> Self {
        let nanos = whole_nanos(now).min(Self::WATCHED - 2);
        Ticket { word, admitted: if is_watched { nanos | Self::WATCHED } else { nanos } }
    }

    pub(super) fn admitted(self) -> Option<Duration> {
        (self.admitted != Self::UNTIMED).then(|| Duration::from_nanos(self.admitted & !Self::WATCHED))
    }

    /// When, if the call is one of those that are seen if they hang.
    pub(super) fn watched(self) -> Option<Duration> {
        self.admitted().filter(|_| self.admitted & Self::WATCHED != 0)
    }

    pub(super) fn untimed(self) -> Self {
        Ticket { admitted: Self::UNTIMED, ..self }
    }

    /// The epoch that the call belongs to.
    pub(super) fn epoch(self) -> Epoch {
        self.word.epoch()
    }
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    state: State,
    /// After how long it is worth asking again, whatever the others do.
    pub(crate) ask_again_after: Option<Duration>,
}

impl Refusal {
    const FORCED: Refusal = Refusal { state: State::ForcedOpen, ask_again_after: None };
}

impl Engine {
    /// Admits a call if every call is, and nothing has to be timed. `slot` is this thread's.
    #[inline]
    pub(crate) fn admit_freely(&self, slot: &Slot) -> Option<Ticket> {
        let word = self.cell.load();
        if word.admits_all() && !self.times_calls {
            slot.count_admission();
            return Some(Ticket { word, admitted: Ticket::UNTIMED });
        }
        None
    }

    /// Admits a call or says why not.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refusal> {
        match self.admit_freely(self.slot()) {
            Some(ticket) => Ok(ticket),
            None => self.admit_unfreely(),
        }
    }

    #[inline]
    fn admit_unfreely(&self) -> Result<Ticket, Refusal> {
        let word = self.cell.load();
        if word.state() == State::ForcedOpen {
            return Err(Refusal::FORCED);
        }
        let now = self.now();
        if let Some(left) = self.cell.stays_open(word, now) {
            return Err(Refusal { state: State::Open, ask_again_after: Some(left) });
        }
        self.admit_at(word, now)
    }

    #[inline(never)]
    fn admit_at(&self, word: Word, now: Duration) -> Result<Ticket, Refusal> {
        if word.state() == State::Closed {
            self.look_for_calls_that_hang(word.epoch(), now);
        }
        let applied = self.cell.admit(now, self.rules());
        if let Some(refusal) = self.refusal(&applied, now) {
            return Err(refusal);
        }
        self.slot().count_admission();
        self.perform(&applied, Some(now));
        Ok(self.ticket(applied.after, now))
    }

    fn ticket(&self, word: Word, now: Duration) -> Ticket {
        if !self.times_calls {
            return Ticket { word, admitted: Ticket::UNTIMED };
        }
        let lately = self.lately().filter(|_| word.state() == State::Closed);
        Ticket::timed(word, now, lately.is_some_and(|lately| lately.enter(word.epoch(), now)))
    }

    /// Opens the breaker if the calls in flight say so. An admission does this now and then, because a
    /// dependency that hangs brings no settlements.
    fn look_for_calls_that_hang(&self, epoch: Epoch, now: Duration) {
        let Some(lately) = self.lately().filter(|lately| lately.is_look_due(epoch, now)) else { return };
        if let Some(cause) = lately.met_by_hanging(epoch, now, || self.counters().calls_in(epoch)) {
            let event = Event::RateMet { epoch, cause, moment: self.moment_at(now) };
            let applied = self.cell.apply(event, self.rules());
            self.perform(&applied, Some(now));
        }
    }

    fn refusal(&self, applied: &Applied, now: Duration) -> Option<Refusal> {
        match applied.effect {
            Effect::RefuseOpen => {
                let left = self.cell.time_left(applied.after, now);
                Some(Refusal { state: State::Open, ask_again_after: Some(left) })
            }
            Effect::RefuseFull => {
                let overdue_at = self.cell.overdue_at(applied.after.epoch(), self.rules());
                // Already overdue, and yet refused: the word has no room for one more. Time will not help.
                let left = overdue_at.map(|at| at.left(whole_nanos(now))).filter(|left| !left.is_zero());
                Some(Refusal { state: State::HalfOpen, ask_again_after: left })
            }
            Effect::RefuseForced => Some(Refusal::FORCED),
            _ => None,
        }
    }

    /// Admits a call that is not admitted freely, or counts a rejection. `slot` is this thread's.
    #[cold]
    pub(crate) fn admit_or_reject(&self, slot: &Slot) -> Result<Ticket, Rejected> {
        self.admit_unfreely().map_err(|refusal| self.reject(slot, refusal))
    }

    /// Counts a rejection and makes it presentable. `slot` is this thread's.
    #[inline]
    pub(crate) fn reject(&self, slot: &Slot, refusal: Refusal) -> Rejected {
        slot.count_rejection();
        let retry_after = refusal.ask_again_after.filter(|_| refusal.state == State::Open);
        Rejected::new(self.name.clone(), refusal.state, retry_after)
    }
}
