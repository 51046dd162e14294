//! The semantics of a breaker written down as plainly as can be: queues of outcomes, and no attempt at speed.
//!
//! It knows nothing of how the library does it, and one thread uses it.

use std::collections::VecDeque;
use std::time::Duration;

use tripcoil::{Cause, Dropped, Outcome, State, Window};

/// Nanoseconds.
pub(crate) type Time = u64;

pub(crate) const MILLI: Time = 1_000_000;

/// Windows roll in so many slices.
const SLICES: i128 = 16;

/// A share as a fraction, so that no rounding is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) part: u32,
    pub(crate) whole: u32,
}

impl Share {
    pub(crate) fn rate(self) -> f64 {
        f64::from(self.part) / f64::from(self.whole)
    }

    fn is_met(self, part: u64, calls: u64) -> bool {
        part * u64::from(self.whole) >= u64::from(self.part) * calls
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    Calls(u32),
    Millis(u64),
}

impl Span {
    pub(crate) fn window(self) -> Window {
        match self {
            Span::Calls(calls) => Window::calls(calls),
            Span::Millis(millis) => Window::time(Duration::from_millis(millis)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) error_rate: Option<Share>,
    /// The rate, and the duration in milliseconds.
    pub(crate) slow: Option<(Share, u64)>,
    pub(crate) span: Span,
    pub(crate) minimum_calls: u32,
}

/// Durations in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) error_threshold: Option<u32>,
    pub(crate) rates: Option<Rates>,
    pub(crate) reset_timeout: u64,
    pub(crate) backoff_factor: f64,
    pub(crate) backoff_max: u64,
    pub(crate) success_threshold: u32,
    pub(crate) half_open_error_threshold: u32,
    pub(crate) half_open_capacity: u32,
    pub(crate) half_open_max_capacity: u32,
    pub(crate) probe_timeout: u64,
    pub(crate) dropped_calls: Dropped,
}

/// What a breaker shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) state: State,
    pub(crate) active: usize,
    pub(crate) totals: Totals,
    pub(crate) consecutive_errors: u64,
    pub(crate) consecutive_successes: u64,
    pub(crate) transitions: u64,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) has_last_error: bool,
    pub(crate) window: Option<Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) success: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) slow: u64,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) slow: u64,
}

/// What an observer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) cause: Cause,
    pub(crate) sequence: u64,
    pub(crate) at: Duration,
    pub(crate) open_for: Option<Duration>,
    pub(crate) errors: u64,
    pub(crate) successes: u64,
    pub(crate) window: Option<Counts>,
}

/// An admitted call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    id: u64,
    epoch: u64,
    admitted: Time,
    is_timed: bool,
}

#[derive(Clone, Debug)]
enum Mode {
    Closed(Closed),
    Open { until: Time },
    HalfOpen(HalfOpen),
    ForcedOpen,
    ForcedClosed,
}

#[derive(Clone, Debug, Default)]
struct Closed {
    errors: u64,
    successes: u64,
    ended: VecDeque<Ended>,
    /// When the first call ended.
    start: Option<Time>,
    /// The latest slice of the window that a call ended in.
    latest_end: i128,
    /// The calls in flight that might hang, and the slices of their admission.
    watched: Vec<(u64, u64)>,
    /// The latest slice of an admission.
    latest_admission: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    slice: i128,
    failed: bool,
    slow: bool,
}

#[derive(Clone, Debug, Default)]
struct HalfOpen {
    in_flight: u32,
    successes: u32,
    errors: u32,
    raise: u32,
    /// The admission of the newest probe.
    newest: Option<Time>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reference {
    settings: Settings,
    now: Time,
    epoch: u64,
    mode: Mode,
    /// Openings out of half-open since the last close.
    reopenings: i32,
    totals: Totals,
    active: usize,
    changes: u64,
    changes_at_reset: u64,
    has_last_error: bool,
    calls: u64,
    pub(crate) told: Vec<Told>,
}

fn whole_millis_up(time: Time) -> Time {
    time.div_ceil(MILLI) * MILLI
}

fn whole_millis_down(time: Time) -> Time {
    time / MILLI * MILLI
}

impl Reference {
    pub(crate) fn new(settings: Settings, now: Time) -> Self {
        Reference {
            settings,
            now,
            epoch: 0,
            mode: Mode::Closed(Closed::default()),
            reopenings: 0,
            totals: Totals::default(),
            active: 0,
            changes: 0,
            changes_at_reset: 0,
            has_last_error: false,
            calls: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn set_clock(&mut self, now: Time) {
        self.now = now;
    }

    pub(crate) fn state(&self) -> State {
        match self.mode {
            Mode::Closed(_) => State::Closed,
            Mode::Open { .. } => State::Open,
            Mode::HalfOpen(_) => State::HalfOpen,
            Mode::ForcedOpen => State::ForcedOpen,
            Mode::ForcedClosed => State::ForcedClosed,
        }
    }

    pub(crate) fn face(&self) -> Face {
        let (consecutive_errors, consecutive_successes) = self.runs();
        Face {
            state: self.state(),
            active: self.active,
            totals: self.totals,
            consecutive_errors,
            consecutive_successes,
            transitions: self.changes - self.changes_at_reset,
            retry_after: match self.mode {
                Mode::Open { until } => Some(Duration::from_nanos(until.saturating_sub(self.now))),
                _ => None,
            },
            has_last_error: self.has_last_error,
            window: self.settings.rates.map(|rates| match &self.mode {
                Mode::Closed(closed) => closed.window(&rates, self.now),
                _ => Counts::default(),
            }),
        }
    }

    fn runs(&self) -> (u64, u64) {
        match &self.mode {
            Mode::Closed(closed) => (closed.errors, closed.successes),
            Mode::HalfOpen(probes) => (probes.errors.into(), probes.successes.into()),
            _ => (0, 0),
        }
    }

    /// A call asks to be let through. The error is how long to wait, where that is known.
    pub(crate) fn admit(&mut self) -> Result<Call, Option<Duration>> {
        self.look_for_calls_that_hang();
        match &mut self.mode {
            Mode::Open { until } if self.now < *until => {
                let left = Duration::from_nanos(*until - self.now);
                return self.reject(Some(left));
            }
            Mode::Open { .. } => {
                let first = HalfOpen { in_flight: 1, newest: Some(self.now), ..HalfOpen::default() };
                self.enter(Mode::HalfOpen(first), Cause::ResetTimeout);
            }
            Mode::HalfOpen(probes) => {
                let capacity = self.settings.half_open_capacity + probes.raise;
                let silence_ends = |newest| whole_millis_up(newest) + self.settings.probe_timeout * MILLI;
                let is_silent = probes.newest.is_some_and(|newest| whole_millis_down(self.now) >= silence_ends(newest));
                if probes.in_flight >= capacity && !is_silent {
                    return self.reject(None);
                }
                probes.in_flight += 1;
                probes.newest = probes.newest.max(Some(self.now));
            }
            Mode::ForcedOpen => return self.reject(None),
            Mode::Closed(_) | Mode::ForcedClosed => {}
        }
        self.calls += 1;
        self.active += 1;
        let slow = self.slow();
        if let (Mode::Closed(closed), Some((_, slow))) = (&mut self.mode, slow) {
            closed.watch(self.calls, admission_slice(self.now, slow));
        }
        Ok(Call { id: self.calls, epoch: self.epoch, admitted: self.now, is_timed: true })
    }

    fn reject(&mut self, retry_after: Option<Duration>) -> Result<Call, Option<Duration>> {
        self.totals.rejected += 1;
        Err(retry_after)
    }

    fn slow(&self) -> Option<(Share, u64)> {
        self.settings.rates.and_then(|rates| rates.slow)
    }

    /// The first admission of each slice looks, so that a dependency that hangs opens the breaker.
    fn look_for_calls_that_hang(&mut self) {
        if let (Mode::Closed(closed), Some((_, slow))) = (&self.mode, self.slow()) {
            let is_first = admission_slice(self.now, slow) > closed.latest_admission;
            if is_first && closed.hanging(slow, self.now) > 0 {
                self.judge();
            }
        }
    }

    /// The call's duration is taken out of account.
    pub(crate) fn stop_timing(&mut self, call: &mut Call) {
        call.is_timed = false;
        self.unwatch(call.id);
    }

    fn unwatch(&mut self, call: u64) {
        if let Mode::Closed(closed) = &mut self.mode {
            closed.watched.retain(|(id, _)| *id != call);
        }
    }

    fn took(&self, call: Call) -> Time {
        self.now.saturating_sub(call.admitted)
    }

    /// The call is dropped unfinished.
    pub(crate) fn drop_call(&mut self, call: Call) {
        let failed = match self.settings.dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => call.is_timed && Duration::from_nanos(self.took(call)) >= limit,
        };
        if failed {
            self.settle(call, Outcome::Failure);
        } else {
            self.totals.dropped += 1;
            self.release(call);
        }
    }

    pub(crate) fn settle(&mut self, call: Call, outcome: Outcome) {
        let slow = self.slow().is_some_and(|(_, slow)| call.is_timed && self.took(call) >= slow * MILLI);
        match outcome {
            Outcome::Success => self.totals.success += 1,
            Outcome::Failure | Outcome::Trip { .. } => self.totals.error += 1,
            Outcome::Ignored => {
                self.totals.ignored += 1;
                return self.release(call);
            }
        }
        self.totals.slow += u64::from(slow);
        self.active -= 1;
        if call.epoch != self.epoch {
            return;
        }
        self.unwatch(call.id);
        self.has_last_error |= outcome != Outcome::Success;
        match self.mode {
            Mode::Closed(_) => self.settle_closed(outcome, slow),
            Mode::HalfOpen(_) => self.settle_probe(outcome, slow),
            _ => {}
        }
    }

    /// The call ended and says nothing.
    fn release(&mut self, call: Call) {
        self.active -= 1;
        if call.epoch == self.epoch {
            self.unwatch(call.id);
            if let Mode::HalfOpen(probes) = &mut self.mode {
                probes.in_flight -= 1;
            }
        }
    }

    fn settle_closed(&mut self, outcome: Outcome, slow: bool) {
        let Mode::Closed(closed) = &mut self.mode else { return };
        let failed = outcome != Outcome::Success;
        if failed {
            closed.errors += 1;
            closed.successes = 0;
        } else {
            closed.errors = 0;
            closed.successes += 1;
        }
        let errors = closed.errors;
        if let Some(rates) = &self.settings.rates {
            closed.record(rates, self.now, failed, slow);
        }
        if let Outcome::Trip { open_for } = outcome {
            self.open_for(open_for, Cause::Tripped);
        } else if failed && self.settings.error_threshold.is_some_and(|threshold| errors >= threshold.into()) {
            self.open(Cause::ErrorThreshold);
        } else if failed || slow {
            self.judge();
        }
    }

    fn settle_probe(&mut self, outcome: Outcome, slow: bool) {
        let Mode::HalfOpen(probes) = &mut self.mode else { return };
        probes.in_flight -= 1;
        if outcome == Outcome::Success && !slow {
            probes.successes += 1;
            let most = self.settings.half_open_max_capacity - self.settings.half_open_capacity;
            probes.raise = most.min(probes.raise + 1);
            if probes.successes >= self.settings.success_threshold {
                self.enter(Mode::Closed(Closed::default()), Cause::SuccessThreshold);
            }
            return;
        }
        probes.successes = 0;
        probes.errors += 1;
        if let Outcome::Trip { open_for } = outcome {
            self.open_for(open_for, Cause::Tripped);
        } else if probes.errors >= self.settings.half_open_error_threshold {
            self.open(Cause::ProbeFailed);
        }
    }

    /// Opens the breaker if a rate rule is met.
    fn judge(&mut self) {
        let (Mode::Closed(closed), Some(rates)) = (&self.mode, &self.settings.rates) else { return };
        let Counts { calls, errors, slow } = closed.window(rates, self.now);
        if calls < rates.minimum_calls.into() {
            return;
        }
        if rates.error_rate.is_some_and(|share| share.is_met(errors, calls)) {
            self.open(Cause::ErrorRate);
        } else if rates.slow.is_some_and(|(share, _)| share.is_met(slow, calls)) {
            self.open(Cause::SlowCallRate);
        }
    }

    /// Opens for the current reset timeout.
    fn open(&mut self, cause: Cause) {
        let reopenings = self.reopenings + i32::from(self.state() == State::HalfOpen);
        let timeout = Duration::from_millis(self.settings.reset_timeout).as_secs_f64();
        let backed_off = Duration::from_secs_f64(timeout * self.settings.backoff_factor.powi(reopenings));
        self.open_for(backed_off.min(Duration::from_millis(self.settings.backoff_max)), cause);
    }

    fn open_for(&mut self, cool_down: Duration, cause: Cause) {
        let cool_down = u64::try_from(cool_down.as_nanos()).expect("a short time");
        self.enter(Mode::Open { until: self.now + whole_millis_up(cool_down) }, cause);
    }

    fn enter(&mut self, mode: Mode, cause: Cause) {
        let (errors, successes) = self.runs();
        let window = self.face().window.filter(|_| self.state() == State::Closed);
        let from = self.state();
        self.mode = mode;
        self.epoch += 1;
        let to = self.state();
        match (from, to) {
            (_, State::Closed | State::ForcedClosed) => self.reopenings = 0,
            (State::HalfOpen, State::Open) => self.reopenings += 1,
            _ => {}
        }
        if from == to {
            return;
        }
        self.changes += 1;
        let open_for = self.face().retry_after;
        let (sequence, at) = (self.changes, Duration::from_nanos(self.now));
        self.told.push(Told { from, to, cause, sequence, at, open_for, errors, successes, window });
    }

    /// An operator moves the breaker.
    pub(crate) fn transition_to(&mut self, state: State) {
        match state {
            State::Closed => self.enter(Mode::Closed(Closed::default()), Cause::Manual),
            State::Open => self.open(Cause::Manual),
            State::HalfOpen => self.enter(Mode::HalfOpen(HalfOpen::default()), Cause::Manual),
            State::ForcedOpen => self.enter(Mode::ForcedOpen, Cause::Manual),
            State::ForcedClosed => self.enter(Mode::ForcedClosed, Cause::Manual),
        }
    }

    pub(crate) fn order_open_for(&mut self, cool_down: Duration) {
        self.open_for(cool_down, Cause::Manual);
    }

    pub(crate) fn reset(&mut self) {
        self.enter(Mode::Closed(Closed::default()), Cause::Reset);
        self.totals = Totals::default();
        self.has_last_error = false;
        self.changes_at_reset = self.changes;
    }
}

/// Slices of an eighth of the slow call's duration, and of no less than a millisecond.
fn slice_of(slow_millis: u64) -> Time {
    (slow_millis * MILLI).div_ceil(8).max(MILLI)
}

fn admission_slice(now: Time, slow_millis: u64) -> u64 {
    now / slice_of(slow_millis)
}

impl Closed {
    /// While the clock is behind where it has been, calls are not watched.
    fn watch(&mut self, call: u64, slice: u64) {
        if slice >= self.latest_admission {
            self.latest_admission = slice;
            self.watched.push((call, slice));
        }
    }

    /// A call hangs once the last moment of its slice is a slow call's duration ago.
    fn hanging(&self, slow_millis: u64, now: Time) -> u64 {
        let latest = admission_slice(now, slow_millis).max(self.latest_admission);
        let slices = (slow_millis * MILLI).div_ceil(slice_of(slow_millis));
        self.watched.iter().filter(|(_, slice)| slice + slices < latest).count() as u64
    }

    /// The slice of the window that `now` is in, counted from the first call.
    fn slice(&self, span_millis: u64, now: Time) -> i128 {
        let start = i128::from(self.start.unwrap_or(now));
        ((i128::from(now) - start) * SLICES).div_euclid(i128::from(span_millis * MILLI))
    }

    fn record(&mut self, rates: &Rates, now: Time, failed: bool, slow: bool) {
        if let Span::Millis(span) = rates.span {
            self.start = self.start.or(Some(now));
            self.latest_end = self.latest_end.max(self.slice(span, now));
        }
        self.ended.push_back(Ended { slice: self.latest_end, failed, slow });
    }

    fn window(&self, rates: &Rates, now: Time) -> Counts {
        let hanging = rates.slow.map_or(0, |(_, slow)| self.hanging(slow, now));
        let mut counts = Counts { calls: hanging, errors: 0, slow: hanging };
        match rates.span {
            Span::Calls(most) => {
                let most = u64::from(most);
                counts = Counts { calls: hanging.min(most), errors: 0, slow: hanging.min(most) };
                self.ended
                    .iter()
                    .rev()
                    .take(usize::try_from(most - counts.calls).expect("a small window"))
                    .for_each(|ended| counts.add(ended));
            }
            Span::Millis(span) => {
                let latest = self.latest_end.max(self.slice(span, now));
                self.ended.iter().filter(|ended| ended.slice > latest - SLICES).for_each(|ended| counts.add(ended));
            }
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, ended: &Ended) {
        self.calls += 1;
        self.errors += u64::from(ended.failed);
        self.slow += u64::from(ended.slow);
    }
}
