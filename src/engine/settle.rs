use std::borrow::Cow;
use std::time::Duration;

use super::last_failure::FailureInfo;
use super::settings_version::CurrentSettings;
use super::totals::{Kind, Place, Stripe};
use super::{Admission, Engine, Ticket, draw_for};
use crate::machine::cell::Applied;
use crate::machine::step::{self, Effect, Standing};
use crate::machine::word::{Epoch, Word};
use crate::outcome::{Dropped, Outcome};
use crate::state::State;
use crate::transition::Cause;
use crate::window::{ClockReading, Recorded, Sample, Windows};

/// A call that has ended, up to the moment at which it is counted.
pub(super) struct EndedCall<'a> {
    pub(super) ticket: Ticket,
    pub(super) place: Place<'a>,
    /// When, if that matters.
    pub(super) at: Option<Duration>,
    pub(super) is_slow: bool,
    pub(super) settings: CurrentSettings<'a>,
}

impl Engine {
    /// Settles a call that is not timed, of a thread that has a stripe of its own at hand, `own`.
    #[expect(clippy::inline_always, reason = "a healthy call does nothing else")]
    #[inline(always)]
    pub(crate) fn settle_fast(
        &self,
        own: &Stripe,
        admission: Admission,
        outcome: Outcome,
        type_name: impl FnOnce() -> &'static str,
    ) {
        match outcome {
            Outcome::Success if self.is_noop_success(admission) => own.count_success(admission.epoch()),
            Outcome::Success => self.succeed_plainly(own, admission),
            Outcome::Failure => self.fail_plainly(own, admission, type_name()),
            outcome => self.settle_unsuccessful(admission.into(), outcome, &FailureInfo::new(type_name())),
        }
    }

    /// As [`settle_fast`](Self::settle_fast), for a thread that has no stripe at hand and counts in `place`.
    #[expect(clippy::inline_always, reason = "a healthy call does nothing else")]
    #[inline(always)]
    pub(crate) fn settle_in(
        &self,
        place: Place<'_>,
        admission: Admission,
        outcome: Outcome,
        type_name: impl FnOnce() -> &'static str,
    ) {
        match outcome {
            Outcome::Success if self.is_noop_success(admission) => {
                self.totals().count_success_fast(place, admission.epoch(), &self.cell);
            }
            outcome => self.settle_untimed(admission, outcome, type_name()),
        }
    }

    /// As [`settle`](Self::settle), of a call that is not timed. It takes what fits into registers.
    #[cold]
    fn settle_untimed(&self, admission: Admission, outcome: Outcome, type_name: &'static str) {
        self.settle(admission.into(), outcome, &FailureInfo::new(type_name));
    }

    /// Settles any call.
    #[inline]
    pub(crate) fn settle_any(&self, ticket: &Ticket, outcome: Outcome, type_name: impl FnOnce() -> &'static str) {
        match (ticket.if_untimed(), self.own_stripe()) {
            (Some(admission), Some(own)) => self.settle_fast(own, admission, outcome, type_name),
            _ => self.settle(*ticket, outcome, &FailureInfo::new(type_name())),
        }
    }

    /// Settles a call as `outcome` says.
    #[cold]
    pub(crate) fn settle(&self, ticket: Ticket, outcome: Outcome, info: &FailureInfo) {
        let (ticket, shadow_call) = self.recall(ticket);
        match outcome {
            Outcome::Success => self.succeed(None, ticket),
            _ => self.settle_unsuccessful(ticket, outcome, info),
        }
        if let Some(call) = shadow_call {
            call.settle(outcome, info);
        }
    }

    /// What a failed call says about itself, with the time. To be asked for before the call is settled: the clock may
    /// panic.
    #[cold]
    pub(crate) fn info(&self, type_name: &'static str, message: impl Into<Cow<'static, str>>) -> FailureInfo {
        FailureInfo::because(type_name, message.into(), self.now())
    }

    #[cold]
    fn settle_unsuccessful(&self, ticket: Ticket, outcome: Outcome, info: &FailureInfo) {
        match outcome {
            Outcome::Ignored => self.release(ticket, Kind::Ignored),
            Outcome::Trip { open_for } => self.trip(ticket, open_for, info),
            Outcome::Failure | Outcome::Success => self.fail(None, ticket, info),
        }
    }

    /// Whether a success changes nothing but the totals.
    #[inline]
    fn is_noop_success(&self, admission: Admission) -> bool {
        self.cell.load().is_bare(admission.head) && self.current.is_untimed(admission.version)
    }

    /// A success of a call that is not timed. It takes what fits into registers: the common ways of it are short.
    #[inline(never)]
    fn succeed_plainly(&self, own: &Stripe, admission: Admission) {
        if self.current.is_untimed(admission.version) {
            let Some(word) = self.cell.load_closed(admission.head) else {
                return self.succeed_untimed(own, admission);
            };
            own.count_success(admission.epoch());
            let next = step::closed_after_success(word);
            if next != word && !self.cell.try_swap(word, next) {
                self.swap_success(word, admission.epoch(), None, &self.settings());
            }
            return;
        }
        if self.succeed_in_time(own, admission) {
            return;
        }
        self.succeed(Some(own), admission.into());
    }

    /// An untimed success of a probe, of a call within the steps of recovery, or of a late call. Only closed epochs need to
    /// know how many calls are credited to them.
    fn succeed_untimed(&self, own: &Stripe, admission: Admission) {
        let word = self.cell.load();
        if word.is_recovering() {
            return self.succeed(Some(own), admission.into());
        }
        own.count_uncredited(Kind::Success);
        if admission.head.is_probe() {
            self.swap_success(word, admission.epoch(), None, &self.settings());
        }
    }

    /// A success in a window of time, under the first settings. Returns whether that is all.
    #[inline]
    fn succeed_in_time(&self, own: &Stripe, admission: Admission) -> bool {
        if !self.current.is_first(admission.version) || !admission.head.is_closed() {
            return false;
        }
        let Some(windows) = self.first_windows() else { return false };
        let now = self.now();
        if !self.cell.load().is_bare(admission.head) {
            return false;
        }
        let stripe = self.totals().index_of(own);
        let recorded = windows.record_success(stripe, admission.epoch(), now, ClockReading::Some, &self.cell);
        if recorded == Recorded::ReadAgain {
            return false;
        }
        own.count_success(admission.epoch());
        true
    }

    /// A failure of a call that is not timed. As [`succeed_plainly`](Self::succeed_plainly).
    #[inline(never)]
    fn fail_plainly(&self, own: &Stripe, admission: Admission, type_name: &'static str) {
        if self.current.is_plain(admission.version) {
            if let Some(word) = self.cell.load_closed(admission.head) {
                let settings = self.settings();
                let is_opening = step::opening_cause(word, None, settings.values()).is_some();
                own.count_error(admission.epoch());
                let info = FailureInfo::new(type_name);
                if !is_opening && self.cell.try_swap(word, step::closed_after_failure(word)) {
                    return self.cold().last_failure.record(&info, None, admission.epoch(), || self.epoch());
                }
                let now = is_opening.then(|| self.now());
                return self.apply_failure(admission.epoch(), &settings, None, now, &info);
            }
        }
        self.fail(Some(own), admission.into(), &FailureInfo::new(type_name));
    }

    /// Settles a call that ended without an outcome: by a panic of the operation, or by a drop.
    #[cold]
    pub(crate) fn abandon(&self, ticket: Ticket, has_panicked: impl FnOnce() -> bool) {
        let has_panicked = has_panicked();
        let (ticket, shadow_call) = self.recall(ticket);
        if has_panicked {
            self.fail(None, ticket, &FailureInfo::PANIC);
        } else {
            self.drop_call(ticket);
        }
        if let Some(call) = shadow_call {
            call.abandon(has_panicked);
        }
    }

    fn drop_call(&self, ticket: Ticket) {
        let dropped_calls = self.judgement(ticket.admission.version, &self.settings()).dropped_calls;
        let failed = match dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => {
                ticket.admitted().is_some_and(|admitted| self.now().saturating_sub(admitted) >= limit)
            }
        };
        if failed { self.fail(None, ticket, &FailureInfo::DROPPED) } else { self.release(ticket, Kind::Dropped) }
    }

    /// A success that is timed, ends a run of errors, is a probe's or a late one, or that of a thread without a stripe
    /// at hand.
    #[cold]
    fn succeed(&self, own: Option<&Stripe>, ticket: Ticket) {
        let ended = self.end(own, ticket);
        let Some((word, standing)) = self.cell.load_for(ticket.admission.head) else {
            return ended.place.count_uncredited(Kind::Success);
        };
        if word.is_recovering() {
            return self.settle_in_steps(&ended, None);
        }
        if ended.is_slow {
            return self.succeed_slowly(&ended, word, standing);
        }
        self.count(&ended, Kind::Success, standing);
        if let (Some(windows), Some(now)) = (windows_in(word, &ended.settings), ended.at) {
            let record = |now, reading| {
                windows.record_success(ended.place.index, ticket.admission.epoch(), now, reading, &self.cell)
            };
            if record(now, ClockReading::Some) == Recorded::ReadAgain {
                let _recorded = record(self.now(), ClockReading::Again);
            }
        }
        let next = step::closed_after_success(word);
        if word.state() != State::Closed || next != word && !self.cell.try_swap(word, next) {
            self.swap_success(word, ticket.admission.epoch(), ended.at, &ended.settings);
        }
    }

    /// What a success that has been counted makes of the word, which was `word` just now. `now`: the time, if it was read.
    #[inline(never)]
    fn swap_success(&self, word: Word, epoch: Epoch, now: Option<Duration>, settings: &CurrentSettings<'_>) {
        let settings = settings.values();
        let at = now.or_else(|| if word.state() == State::HalfOpen { self.time_to_tell() } else { None });
        if settings.recovery.is_some() && word.state() == State::HalfOpen {
            let now = at.unwrap_or_else(|| self.now());
            let applied = self.cell.succeed_into_steps(epoch, now, settings);
            return self.perform(&applied, Some(now));
        }
        let applied = self.cell.succeed(epoch, settings);
        self.perform(&applied, at);
    }

    #[cold]
    fn succeed_slowly(&self, ended: &EndedCall<'_>, word: Word, standing: Standing) {
        let (epoch, settings, now) =
            (ended.ticket.admission.epoch(), ended.settings.values(), ended.at.unwrap_or_default());
        let tripped_by = self.count_bad(ended, Kind::Success, word, standing);
        let applied = match tripped_by {
            Some(cause) => {
                // The run of errors ends before the breaker opens.
                let _still_closed = self.cell.succeed(epoch, settings);
                self.open_by_rate(epoch, cause, now, settings)
            }
            None if word.state() == State::HalfOpen => {
                self.cell.fail(epoch, None, Some(now), draw_for(settings), settings)
            }
            None => self.cell.succeed(epoch, settings),
        };
        self.perform(&applied, Some(now));
    }

    #[cold]
    fn fail(&self, own: Option<&Stripe>, ticket: Ticket, info: &FailureInfo) {
        let ended = self.end(own, ticket);
        let Some((word, standing)) = self.cell.load_for(ticket.admission.head) else {
            return ended.place.count_uncredited(Kind::Error);
        };
        if word.is_recovering() {
            return self.settle_in_steps(&ended, Some(info));
        }
        let tripped_by = self.count_bad(&ended, Kind::Error, word, standing);
        let is_opening = step::opening_cause(word, tripped_by, ended.settings.values()).is_some();
        let is_below = word.state() == State::Closed && !is_opening;
        if is_below && self.cell.try_swap(word, step::closed_after_failure(word)) {
            return self.cold().last_failure.record(info, info.at, ticket.admission.epoch(), || self.epoch());
        }
        let now = ended.at.or_else(|| is_opening.then(|| self.now()));
        self.apply_failure(ticket.admission.epoch(), &ended.settings, tripped_by, now, info);
    }

    /// A failure that has been counted. `now`: the time, if it was read.
    #[inline(never)]
    fn apply_failure(
        &self,
        epoch: Epoch,
        settings: &CurrentSettings<'_>,
        tripped_by: Option<Cause>,
        now: Option<Duration>,
        info: &FailureInfo,
    ) {
        let (settings, mut now) = (settings.values(), now);
        loop {
            let applied = self.open_by_failure(epoch, tripped_by, now, settings);
            if applied.effect != Effect::NeedsClock {
                return self.finish_failure(&applied, info, now);
            }
            // Other failures have come between.
            now = Some(self.now());
        }
    }

    #[cold]
    fn trip(&self, ticket: Ticket, open_for: Duration, info: &FailureInfo) {
        let ended = self.end(None, ticket);
        let Some((word, standing)) = self.cell.load_for(ticket.admission.head) else {
            return ended.place.count_uncredited(Kind::Error);
        };
        let _opens_anyway = self.count_bad(&ended, Kind::Error, word, standing);
        let now = ended.at.unwrap_or_else(|| self.now());
        let applied = self.cell.trip(ticket.admission.epoch(), now, open_for);
        self.finish_failure(&applied, info, Some(now));
    }

    /// What is left to do once a failure has been applied. `now`: the time, if it was read.
    #[expect(clippy::inline_always, reason = "its arguments are in memory, and a call would double the cost")]
    #[inline(always)]
    fn finish_failure(&self, applied: &Applied, info: &FailureInfo, now: Option<Duration>) {
        if applied.effect != Effect::Late {
            let at = now.filter(|_| applied.effect.begins_epoch()).or(info.at);
            let newest = || if self.cell.is_still(applied.after) { applied.epoch_after() } else { self.epoch() };
            self.cold().last_failure.record(info, at, applied.epoch, newest);
        }
        self.perform(applied, now);
    }

    #[cold]
    fn release(&self, ticket: Ticket, kind: Kind) {
        let settings = self.settings();
        let place = self.totals().place();
        self.finish(ticket, place, &settings);
        place.count_uncredited(kind);
        let applied = self.cell.release(ticket.admission.epoch());
        self.perform(&applied, None);
        if kind == Kind::Dropped {
            self.count_drop(ticket, place, &settings);
        }
    }

    /// Counts a dropped call in the windows, if there is a drop rate, and opens the breaker if a rule is met. Drops of
    /// probes and late ones do not count.
    fn count_drop(&self, ticket: Ticket, place: Place<'_>, settings: &CurrentSettings<'_>) {
        let Some(windows) = settings.windows().filter(|windows| windows.counts_drops()) else { return };
        let epoch = ticket.admission.epoch();
        match self.cell.load_for(ticket.admission.head) {
            Some((word, _)) if word.state() == State::Closed => {}
            _ => return,
        }
        let mut sample = Sample {
            epoch,
            position: self.calls_in(windows, epoch) + 1,
            stripe: place.index,
            now: self.now(),
            failed: false,
            slow: false,
        };
        if windows.record_drop(sample, ClockReading::Some, &self.cell) == Recorded::ReadAgain {
            sample.now = self.now();
            let _recorded = windows.record_drop(sample, ClockReading::Again, &self.cell);
        }
        if let Some(cause) = self.evaluate(windows, epoch, sample.now) {
            let applied = self.open_by_rate(epoch, cause, sample.now, settings.values());
            self.perform(&applied, Some(sample.now));
        }
    }

    /// Times the end of a call, if that matters, and takes the call out of those in flight.
    #[inline]
    fn end<'a>(&'a self, own: Option<&'a Stripe>, ticket: Ticket) -> EndedCall<'a> {
        let place = own.map_or_else(|| self.totals().place(), |own| self.totals().place_of(own));
        let settings = self.settings();
        let is_timed =
            self.current.times_settlements() || ticket.is_timed() && self.current.version() != ticket.admission.version;
        let at = is_timed.then(|| self.now());
        let took = at.zip(ticket.admitted()).map(|(now, admitted)| now.saturating_sub(admitted));
        let is_slow = took.map_or(ticket.was_slow(), |took| self.end_timing(ticket, place, &settings, took));
        if is_slow {
            self.cold().count_slow();
        }
        EndedCall { ticket, place, at, is_slow, settings }
    }

    /// Takes a call that took so long out of those in flight. Returns whether it was slow.
    #[inline(never)]
    fn end_timing(&self, ticket: Ticket, place: Place<'_>, settings: &CurrentSettings<'_>, took: Duration) -> bool {
        let judgement = self.judgement(ticket.admission.version, settings);
        if judgement.are_windows_the_same {
            finish_in_windows(ticket, place, settings);
        }
        judgement.slow_call_duration.is_some_and(|slow| took >= slow)
    }

    /// Ends the duration of a call that is not settled yet: what comes after is not part of it.
    #[cfg(all(feature = "http", feature = "tower"))]
    pub(crate) fn end_duration(&self, ticket: &mut Ticket) {
        self.change_timing(ticket, |engine, ticket| {
            if let Some(admitted) = ticket.admitted() {
                let took = engine.now().saturating_sub(admitted);
                let was_slow = engine.end_timing(*ticket, engine.totals().place(), &engine.settings(), took);
                *ticket = ticket.with_duration_ended(was_slow);
            }
        });
    }

    /// Counts a call in the totals. A probe of an earlier round belongs to no epoch that is still counted.
    #[inline]
    fn count(&self, ended: &EndedCall<'_>, kind: Kind, standing: Standing) {
        let (totals, epoch) = (self.totals(), ended.ticket.admission.epoch());
        match (standing, kind) {
            (Standing::Current, Kind::Error) => totals.count_error(ended.place, epoch, &self.cell),
            (Standing::Current, _) => totals.count_success(ended.place, epoch, &self.cell),
            (Standing::EarlierRound | Standing::Late, _) => ended.place.count_uncredited(kind),
        }
    }

    /// Counts a failure or a slow call, also in the windows, and returns which rule it trips there.
    #[inline]
    fn count_bad(&self, ended: &EndedCall<'_>, kind: Kind, word: Word, standing: Standing) -> Option<Cause> {
        let windows = windows_in(word, &ended.settings);
        // Windows that time settlements and did not when the call ended have begun since: they are without this call.
        if let Some(windows) = windows.filter(|windows| ended.at.is_some() || !windows.times_settlements()) {
            return self.count_in_windows(ended, windows, kind, standing);
        }
        self.count(ended, kind, standing);
        None
    }

    #[inline(never)]
    fn count_in_windows(
        &self,
        ended: &EndedCall<'_>,
        windows: &Windows,
        kind: Kind,
        standing: Standing,
    ) -> Option<Cause> {
        let epoch = ended.ticket.admission.epoch();
        // Before it is counted, so that its position is not later than it should be.
        let position = self.calls_in(windows, epoch) + 1;
        self.count(ended, kind, standing);
        let mut sample = Sample {
            epoch,
            position,
            stripe: ended.place.index,
            now: ended.at.unwrap_or_default(),
            failed: kind == Kind::Error,
            slow: ended.is_slow,
        };
        if windows.record(sample, ClockReading::Some, &self.cell) == Recorded::ReadAgain {
            sample.now = self.now();
            let _recorded = windows.record(sample, ClockReading::Again, &self.cell);
        }
        self.evaluate(windows, epoch, sample.now)
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

    /// Stops timing: the call can no longer count as slow or hung.
    pub(crate) fn stop_timing(&self, ticket: &mut Ticket) {
        self.change_timing(ticket, |engine, ticket| {
            engine.finish(*ticket, engine.totals().place(), &engine.settings());
            *ticket = ticket.admission.into();
        });
    }

    /// Takes a call out of those in flight. Windows that have started over since know nothing of it.
    fn finish(&self, ticket: Ticket, place: Place<'_>, settings: &CurrentSettings<'_>) {
        if ticket.slice().is_some() && self.judgement(ticket.admission.version, settings).are_windows_the_same {
            finish_in_windows(ticket, place, settings);
        }
    }
}

fn finish_in_windows(ticket: Ticket, place: Place<'_>, settings: &CurrentSettings<'_>) {
    if let (Some(slice), Some(windows)) = (ticket.slice(), settings.windows()) {
        windows.finish(place.index, slice);
    }
}

/// The windows, if a call of the state of `word` is one of those that they are about.
#[inline]
fn windows_in<'a>(word: Word, settings: &'a CurrentSettings<'_>) -> Option<&'a Windows> {
    settings.windows().filter(|_| word.state() == State::Closed)
}
