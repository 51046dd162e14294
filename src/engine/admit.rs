use std::num::NonZeroU64;
use std::time::Duration;

use super::Engine;
use super::settings_version::{CurrentSettings, Version, times_calls};
use super::totals::{Place, Stripe};
use crate::error::{Reason, Rejected};
use crate::machine::cell::Applied;
use crate::machine::millis::whole_nanos;
use crate::machine::step::Effect;
use crate::machine::word::{Epoch, Head, Word};
use crate::state::State;
use crate::window::{Arrival, ClockReading, Windows};

/// What an admitted call has to give back: proof of its admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(super) admission: Admission,
    /// If calls are timed.
    timing: Option<Timing>,
}

/// What a call was admitted under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    /// State and epoch.
    pub(super) head: Head,
    /// The settings.
    pub(super) version: Version,
}

#[derive(Clone, Copy, Debug)]
struct Timing {
    /// When the call was admitted: nanoseconds of the clock, plus one.
    admitted: NonZeroU64,
    /// The slice in which the call is counted among those in flight; [`NO_SLICE`] if it is not.
    slice: u64,
}

const NO_SLICE: u64 = u64::MAX;
/// The slice of a [`Timing`] that is not timed. An `Option` would not fit into registers.
const UNTIMED: u64 = u64::MAX - 3;
/// The slice of a call whose duration ended before it was settled, and that was slow.
const SLOW: u64 = u64::MAX - 1;
/// The slice of a call that a shadow sees: `admitted` is the number by which the shadow keeps its ticket.
const SHADOWED: u64 = u64::MAX - 2;

impl Admission {
    /// The epoch that the call belongs to.
    #[inline]
    pub(super) fn epoch(self) -> Epoch {
        self.head.epoch()
    }
}

impl From<Admission> for Ticket {
    #[inline]
    fn from(admission: Admission) -> Self {
        Ticket { admission, timing: None }
    }
}

impl Ticket {
    pub(super) fn admitted(self) -> Option<Duration> {
        let timing = self.timing.filter(|timing| !matches!(timing.slice, SLOW | SHADOWED))?;
        Some(Duration::from_nanos(timing.admitted.get() - 1))
    }

    pub(super) fn is_timed(self) -> bool {
        self.timing.is_some()
    }

    /// Whether the call's duration has ended, and was slow.
    pub(super) fn was_slow(self) -> bool {
        self.timing.is_some_and(|timing| timing.slice == SLOW)
    }

    /// The same call, whose duration has ended.
    #[cfg(all(feature = "http", feature = "tower"))]
    pub(super) fn with_duration_ended(self, was_slow: bool) -> Self {
        let slow = Timing { admitted: NonZeroU64::MIN, slice: SLOW };
        Ticket { timing: was_slow.then_some(slow), ..self }
    }

    /// Stands for this ticket, which a shadow keeps by `number`.
    pub(super) fn kept_by_shadow(self, number: NonZeroU64) -> Self {
        Ticket { timing: Some(Timing { admitted: number, slice: SHADOWED }), ..self }
    }

    /// The number by which a shadow keeps the ticket that this one stands for.
    #[inline]
    pub(super) fn number_in_shadow(self) -> Option<NonZeroU64> {
        self.timing.filter(|timing| timing.slice == SHADOWED).map(|timing| timing.admitted)
    }

    /// Whether the call is a probe of half-open.
    pub(crate) fn is_probe(self) -> bool {
        self.admission.head.is_probe()
    }

    /// What the call was admitted under, if it is not timed.
    #[inline]
    pub(crate) fn if_untimed(&self) -> Option<Admission> {
        if self.timing.is_none() { Some(self.admission) } else { None }
    }

    /// The slice in which the call is counted among those in flight.
    pub(super) fn slice(self) -> Option<u64> {
        self.timing.map(|timing| timing.slice).filter(|slice| *slice < SHADOWED)
    }
}

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejection {
    reason: Reason,
    /// Half-open: the time until the newest probe has been silent for too long. Within the steps of recovery: the time
    /// until it is worth asking again.
    wait: Option<Duration>,
}

impl Rejection {
    const fn of(reason: Reason) -> Self {
        Rejection { reason, wait: None }
    }

    pub(super) const fn for_now(reason: Reason, wait: Duration) -> Self {
        Rejection { reason, wait: Some(wait) }
    }

    /// After how long it is worth asking again, whatever the others do.
    pub(crate) fn ask_again_after(self) -> Option<Duration> {
        self.reason.retry_after().or(self.wait)
    }
}

impl Engine {
    /// Admits a call if every call is admitted and nothing has to be timed. `own` is this thread's own stripe.
    #[inline]
    pub(crate) fn try_admit_fast(&self, own: &Stripe) -> Option<Admission> {
        let word = self.cell.load();
        let version = self.current.try_admit_fast(word)?;
        own.count_admission();
        Some(Admission { head: word.head(), version })
    }

    /// As [`try_admit_fast`](Self::try_admit_fast), for a thread that has no stripe at hand. Returns where it counts.
    #[expect(clippy::inline_always, reason = "what it returns is not copied")]
    #[inline(always)]
    pub(crate) fn try_admit_beyond_own(&self) -> Option<(Place<'_>, Admission)> {
        let word = self.cell.load();
        let version = self.current.try_admit_fast(word)?;
        let place = self.totals().place_beyond_own()?;
        place.count_admission();
        Some((place, Admission { head: word.head(), version }))
    }

    /// The rejection of a call while open, if the coarse clock is enough to reject it.
    #[inline]
    pub(crate) fn reject_early(&self, own: Option<&Stripe>) -> Option<Rejected> {
        let word = self.cell.load();
        if word.state() != State::Open {
            return None;
        }
        let nanos_left = self.cold.get()?.coarse_deadline.time_left(word, || self.coarse_now())?;
        match own {
            Some(own) => own.count_rejection(),
            None => self.count_rejection(),
        }
        Some(Rejected::new(self.name.clone(), Reason::open(nanos_left)))
    }

    /// As [`try_admit_fast`](Self::try_admit_fast), for any thread.
    fn try_admit_untimed(&self, word: Word) -> Option<Ticket> {
        let version = self.current.try_admit_fast(word)?;
        self.count_admission();
        Some(Admission { head: word.head(), version }.into())
    }

    /// Admits a call or says why not.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Rejection> {
        match self.own_stripe().and_then(|own| self.try_admit_fast(own)) {
            Some(admission) => Ok(admission.into()),
            None => self.admit_slowly(),
        }
    }

    fn admit_slowly(&self) -> Result<Ticket, Rejection> {
        let word = self.cell.load();
        if let Some(ticket) = self.try_admit_untimed(word) {
            return Ok(ticket);
        }
        let now = self.time_unless_open(word).map_err(Rejection::of)?;
        self.admit_at(None, word, now, |rejection| rejection)
    }

    pub(super) fn count_admission(&self) {
        self.totals().place().count_admission();
    }

    fn count_rejection(&self) {
        let totals = self.totals();
        totals.count_rejection(totals.place());
    }

    /// The time, if it takes more than `word` and the time to say whether it admits a call.
    #[expect(clippy::inline_always, reason = "a rejection does nothing else")]
    #[inline(always)]
    fn time_unless_open(&self, word: Word) -> Result<Duration, Reason> {
        if word.state() == State::ForcedOpen {
            return Err(Reason::FORCED_OPEN);
        }
        if word.state() == State::Open {
            let coarse = self.cold.get().map(|cold| &cold.coarse_deadline);
            if let Some(nanos_left) = coarse.and_then(|coarse| coarse.time_left(word, || self.coarse_now())) {
                return Err(Reason::open(nanos_left));
            }
        }
        let now = self.now();
        match self.cell.stays_open(word, now) {
            Some(nanos_left) => {
                if !self.has_own_clock() {
                    self.set_coarse_deadline(word);
                }
                Err(Reason::open(nanos_left))
            }
            None => Ok(now),
        }
    }

    /// Stores the deadline by the coarse clock, which then suffices to reject a call until shortly before the deadline.
    #[cold]
    fn set_coarse_deadline(&self, open: Word) {
        // Read before the fine clock: time that passes between the readings makes the deadline earlier, never later.
        let Some(coarse) = self.coarse_now() else { return };
        let deadline = &self.cold().coarse_deadline;
        if !deadline.is_of(open) {
            deadline.store(open, coarse, self.cell.time_left(open, self.now()));
        }
    }

    #[expect(clippy::inline_always, reason = "a ticket that is passed on in memory stalls its reader")]
    #[inline(always)]
    fn admit_at<R>(
        &self,
        own: Option<&Stripe>,
        word: Word,
        now: Duration,
        reject: impl FnOnce(Rejection) -> R,
    ) -> Result<Ticket, R> {
        let settings = self.settings();
        let now = match settings.windows() {
            Some(windows) if word.state() == State::Closed => self.arrive(&settings, windows, word.head().epoch(), now),
            _ => now,
        };
        let applied = self.cell.admit(now, settings.values());
        if applied.effect == Effect::AskSteps {
            return self.admit_in_steps_or_after(now, &settings).map_err(reject);
        }
        self.follow_admission(own, &applied, now, &settings, reject)
    }

    /// Admits a call that arrived within the steps of recovery, which may be over by now.
    #[cold]
    fn admit_in_steps_or_after(&self, now: Duration, settings: &CurrentSettings<'_>) -> Result<Ticket, Rejection> {
        loop {
            if let Some(asked) = self.admit_in_steps(now, settings) {
                return asked.map(|ticket| self.show_admission(ticket));
            }
            let applied = self.cell.admit(now, settings.values());
            if applied.effect != Effect::AskSteps {
                return self.follow_admission(None, &applied, now, settings, |rejection| rejection);
            }
        }
    }

    /// Performs what follows from an admission or a rejection by the cell.
    #[expect(clippy::inline_always, reason = "a copy of what the cell returns would stall until it is written")]
    #[inline(always)]
    fn follow_admission<R>(
        &self,
        own: Option<&Stripe>,
        applied: &Applied,
        now: Duration,
        settings: &CurrentSettings<'_>,
        reject: impl FnOnce(Rejection) -> R,
    ) -> Result<Ticket, R> {
        if let Some(rejection) = self.rejection(applied, now, settings) {
            return Err(reject(rejection));
        }
        if times_calls(settings.values(), settings.windows()) || self.shadows().is_some() {
            let timing = self.follow_timed_admission(applied, now, settings);
            let admission = Admission { head: applied.head(), version: Version::of(settings) };
            return Ok(Ticket { admission, timing: Some(timing).filter(|timing| timing.slice != UNTIMED) });
        }
        match own {
            Some(own) => own.count_admission(),
            None => self.count_admission(),
        }
        self.perform(applied, Some(now));
        Ok(Admission { head: applied.head(), version: Version::of(settings) }.into())
    }

    /// The same for a call that is timed or that a shadow sees. Returns the timing for its ticket.
    #[inline(never)]
    fn follow_timed_admission(&self, applied: &Applied, now: Duration, settings: &CurrentSettings<'_>) -> Timing {
        let ticket = self.ticket_for(applied.head(), applied.after.state() == State::Closed, now, settings);
        self.count_admission();
        self.perform(applied, Some(now));
        let untimed = Timing { admitted: NonZeroU64::MIN, slice: UNTIMED };
        self.show_admission(ticket).timing.unwrap_or(untimed)
    }

    /// `may_hang`: whether the call is one of those that are seen to hang.
    #[expect(clippy::inline_always, reason = "the second one who calls it is rare")]
    #[inline(always)]
    pub(super) fn ticket_for(
        &self,
        head: Head,
        may_hang: bool,
        now: Duration,
        settings: &CurrentSettings<'_>,
    ) -> Ticket {
        // Not the version in force: that may be a later one by now, whose windows this call is not in.
        let admission = Admission { head, version: Version::of(settings) };
        let is_timed = times_calls(settings.values(), settings.windows());
        let timing = is_timed.then(|| self.timing(admission, may_hang, now, settings));
        Ticket { admission, timing }
    }

    #[inline(never)]
    fn timing(&self, admission: Admission, may_hang: bool, now: Duration, settings: &CurrentSettings<'_>) -> Timing {
        let windows = settings.windows().filter(|_| may_hang);
        let enter = |windows: &Windows| windows.enter(self.totals().place().index, admission.epoch(), now, &self.cell);
        let slice = windows.and_then(enter).unwrap_or(NO_SLICE);
        let admitted = NonZeroU64::MIN.saturating_add(whole_nanos(now));
        Timing { admitted, slice }
    }

    /// Looks for calls that hang, once in each slice, and opens the breaker if they trip a rule: a dependency that hangs
    /// brings no settlements. Returns the time, which is read again if it lies far back.
    #[inline(never)]
    fn arrive(&self, settings: &CurrentSettings<'_>, windows: &Windows, epoch: Epoch, now: Duration) -> Duration {
        let (now, arrival) = self.arrival(windows, epoch, now);
        if arrival == Arrival::First && windows.hanging(epoch, now) > 0 {
            if let Some(cause) = self.evaluate(windows, epoch, now) {
                let settings = settings.values();
                let applied = self.open_by_rate(epoch, cause, now, settings);
                self.perform(&applied, Some(now));
            }
        }
        now
    }

    /// How an admission arrives, and the time, which is read again if it lies far back.
    pub(super) fn arrival(&self, windows: &Windows, epoch: Epoch, now: Duration) -> (Duration, Arrival) {
        match windows.arrive(epoch, now, ClockReading::Some, &self.cell) {
            Arrival::ReadAgain => {
                let now = self.now();
                (now, windows.arrive(epoch, now, ClockReading::Again, &self.cell))
            }
            arrival => (now, arrival),
        }
    }

    fn rejection(&self, applied: &Applied, now: Duration, settings: &CurrentSettings<'_>) -> Option<Rejection> {
        match applied.effect {
            Effect::RejectOpen => {
                let nanos_left = self.cell.stays_open(applied.after, now).unwrap_or(0);
                Some(Rejection::of(Reason::open(nanos_left)))
            }
            Effect::RejectFull => {
                let overdue_at = self.cell.overdue_at(applied.epoch, settings.values());
                let nanos = overdue_at.map_or(0, |at| at.nanos().saturating_sub(whole_nanos(now)));
                let wait = (nanos > 0).then(|| Duration::from_nanos(nanos));
                Some(Rejection { reason: Reason::HALF_OPEN, wait })
            }
            Effect::RejectForced => Some(Rejection::of(Reason::FORCED_OPEN)),
            _ => None,
        }
    }

    /// Admits a call that [`try_admit_fast`](Self::try_admit_fast) did not, or rejects it. `own` is this thread's own
    /// stripe.
    #[cold]
    pub(crate) fn admit_or_reject(&self, own: Option<&Stripe>) -> Result<Ticket, Rejected> {
        let word = self.cell.load();
        if word.admits_all() {
            if let Some(ticket) = self.try_admit_untimed(word) {
                return Ok(ticket);
            }
        }
        match self.time_unless_open(word) {
            Ok(now) => self.admit_at(own, word, now, |rejection| self.reject_for(own, rejection.reason)),
            Err(reason) => Err(self.reject_for(own, reason)),
        }
    }

    #[inline]
    fn reject_for(&self, own: Option<&Stripe>, reason: Reason) -> Rejected {
        match own {
            Some(own) => own.count_rejection(),
            None => self.count_rejection(),
        }
        Rejected::new(self.name.clone(), reason)
    }

    /// Counts a rejection and makes it presentable.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn reject(&self, rejection: Rejection) -> Rejected {
        self.count_rejection();
        Rejected::new(self.name.clone(), rejection.reason)
    }
}
