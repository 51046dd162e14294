use std::time::Duration;

use super::Engine;
use super::reconfigure::Settings;
use crate::counters::Slot;
use crate::error::{Reason, Rejected};
use crate::generations::{Admission, times_calls};
use crate::machine::cell::Applied;
use crate::machine::millis::whole_nanos;
use crate::machine::step::{Effect, Event};
use crate::machine::word::{Epoch, Word};
use crate::state::State;

/// What an admitted call has to give back: proof of its admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    /// When, in nanoseconds of the clock, beside [`WATCHED`](Self::WATCHED); [`UNTIMED`](Self::UNTIMED) if that
    /// does not matter.
    admitted: u64,
}

impl Ticket {
    const UNTIMED: u64 = u64::MAX;
    /// The bit that tells that the call is seen if it hangs. The nanoseconds below it last for 292 years.
    const WATCHED: u64 = 1 << 63;

    fn timed(admission: Admission, now: Duration, is_watched: bool) -> Self {
        let nanos = whole_nanos(now).min(Self::WATCHED - 2);
        Ticket { admission, admitted: if is_watched { nanos | Self::WATCHED } else { nanos } }
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

    /// Epoch and settings under which it was admitted.
    pub(super) fn admission(self) -> Admission {
        self.admission
    }

    /// The epoch that the call belongs to.
    pub(super) fn epoch(self) -> Epoch {
        self.admission.epoch()
    }
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    reason: Reason,
    /// Half-open: the time until the newest probe has been silent for too long.
    silent_in: Option<Duration>,
}

impl Refusal {
    const fn of(reason: Reason) -> Self {
        Refusal { reason, silent_in: None }
    }

    /// After how long it is worth asking again, whatever the others do.
    pub(crate) fn ask_again_after(self) -> Option<Duration> {
        self.reason.retry_after().or(self.silent_in)
    }
}

impl Engine {
    /// Admits a call if every call is, and nothing has to be timed. `slot` is this thread's.
    #[inline]
    pub(crate) fn admit_freely(&self, slot: &Slot) -> Option<Ticket> {
        let word = self.cell.load();
        let admission = self.current.admit_freely(word)?;
        slot.count_admission();
        Some(Ticket { admission, admitted: Ticket::UNTIMED })
    }

    /// Admits a call or says why not.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refusal> {
        match self.admit_freely(self.slot()) {
            Some(ticket) => Ok(ticket),
            None => self.admit_unfreely(),
        }
    }

    fn admit_unfreely(&self) -> Result<Ticket, Refusal> {
        let word = self.cell.load();
        let now = self.time_unless_open(word).map_err(Refusal::of)?;
        self.admit_at(word, now)
    }

    /// The time, if it takes more than `word` and the time to tell whether it lets a call through.
    #[expect(clippy::inline_always, reason = "the way of a rejection, which is nothing but this")]
    #[inline(always)]
    fn time_unless_open(&self, word: Word) -> Result<Duration, Reason> {
        if word.state() == State::ForcedOpen {
            return Err(Reason::FORCED_OPEN);
        }
        let now = self.now();
        match self.cell.stays_open(word, now) {
            Some(nanos_left) => Err(Reason::open(nanos_left)),
            None => Ok(now),
        }
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
        let admission = self.current.admit(word);
        let Settings { rules, lately } = self.settings(admission.generation());
        if !times_calls(rules, lately) {
            return Ticket { admission, admitted: Ticket::UNTIMED };
        }
        let lately = lately.filter(|_| word.state() == State::Closed);
        Ticket::timed(admission, now, lately.is_some_and(|lately| lately.enter(word.epoch(), now)))
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
                let nanos_left = self.cell.stays_open(applied.after, now).unwrap_or(0);
                Some(Refusal::of(Reason::open(nanos_left)))
            }
            Effect::RefuseFull => {
                let overdue_at = self.cell.overdue_at(applied.after.epoch(), self.rules());
                // Already overdue, and yet refused: the word has no room for one more. Time will not help.
                let nanos = overdue_at.map_or(0, |at| at.nanos().saturating_sub(whole_nanos(now)));
                let silent_in = (nanos > 0).then(|| Duration::from_nanos(nanos));
                Some(Refusal { reason: Reason::HALF_OPEN, silent_in })
            }
            Effect::RefuseForced => Some(Refusal::of(Reason::FORCED_OPEN)),
            _ => None,
        }
    }

    /// Admits a call that is not admitted freely, or rejects it. `slot` is this thread's.
    #[expect(clippy::inline_always, reason = "what is made here is copied once less where it is wanted")]
    #[inline(always)]
    pub(crate) fn admit_or_reject(&self, slot: &Slot) -> Result<Ticket, Rejected> {
        self.admit_or_refuse(slot).map_err(|reason| Rejected::new(self.name.clone(), reason))
    }

    #[cold]
    fn admit_or_refuse(&self, slot: &Slot) -> Result<Ticket, Reason> {
        let word = self.cell.load();
        let admitted = match self.time_unless_open(word) {
            Ok(now) => self.admit_at(word, now).map_err(|refusal| refusal.reason),
            Err(reason) => Err(reason),
        };
        if admitted.is_err() {
            slot.count_rejection();
        }
        admitted
    }

    /// Counts a rejection and makes it presentable. `slot` is this thread's.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn reject(&self, slot: &Slot, refusal: Refusal) -> Rejected {
        slot.count_rejection();
        Rejected::new(self.name.clone(), refusal.reason)
    }
}
