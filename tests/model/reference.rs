//! A plain breaker that does what the documentation promises: queues of calls, exact fractions, and no attempt at speed.
//!
//! It is written from the promises alone and shares no code with the library. One thread uses it.

use std::collections::VecDeque;
use std::time::Duration;

use tripcoil::{Cause, Dropped, Outcome, State, Window};

/// Nanoseconds.
pub(crate) type Time = u64;

pub(crate) const MILLI: Time = 1_000_000;

/// A window of time rolls in this many slices.
const SLICES: u64 = 16;

/// A share as a fraction, so that nothing is rounded.
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

    /// The length of a slice, rounded up. A window of calls does not depend on time.
    fn slice(self) -> Option<Time> {
        match self {
            Span::Calls(_) => None,
            Span::Millis(millis) => Some((millis * MILLI).div_ceil(SLICES)),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) error_rate: Option<Share>,
    /// The rate, and the duration in milliseconds.
    pub(crate) slow: Option<(Share, u64)>,
    pub(crate) drop_rate: Option<Share>,
    pub(crate) span: Span,
    pub(crate) minimum_calls: u32,
}

/// Durations are in milliseconds.
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
    pub(crate) recovery: Option<Steps>,
}

/// The steps of recovery.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) shares: Vec<Share>,
    /// In milliseconds.
    pub(crate) each: u64,
}

/// What the metrics of a breaker show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) state: State,
    pub(crate) active: usize,
    pub(crate) totals: Totals,
    pub(crate) consecutive_errors: u64,
    /// 0 while closed, where the promise leaves it open whether successes are counted.
    pub(crate) consecutive_successes: u64,
    pub(crate) transitions: u64,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) has_last_error: bool,
    pub(crate) window: Option<Counts>,
    /// The step of recovery, counted from 1.
    pub(crate) recovery: Option<u32>,
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
    /// Settled calls.
    pub(crate) calls: u64,
    /// Settled calls that failed.
    pub(crate) errors: u64,
    /// Settled calls that were slow.
    pub(crate) slow: u64,
    /// Calls that are still in flight and slow already.
    pub(crate) hanging: u64,
    /// Calls that were dropped.
    pub(crate) dropped: u64,
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
    /// 0 from closed, as in [`Face`].
    pub(crate) successes: u64,
    pub(crate) window: Option<Counts>,
}

/// An admitted call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    id: u64,
    epoch: u64,
    /// The round of probes that it belongs to, if it is a probe.
    round: u64,
    admitted: Time,
    is_timed: bool,
}

#[derive(Clone, Debug)]
enum Mode {
    Closed(Closed),
    Open { until: Time },
    HalfOpen(HalfOpen),
    Recovering(Recovering),
    ForcedOpen,
    ForcedClosed,
}

#[derive(Clone, Debug)]
struct Closed {
    /// Failures since the last success.
    errors: u64,
    ended: Ended,
    in_flight: InFlight,
    /// The latest time since this began, or since the windows began anew.
    latest: Time,
}

/// The settled and the dropped calls that a window is taken over.
#[derive(Clone, Debug, Default)]
struct Ended {
    samples: VecDeque<Sample>,
    /// When the first call ended. The slices are counted from here.
    start: Time,
    /// The latest time at which a call ended.
    latest: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    slice: u64,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Settled { failed: bool, slow: bool },
    Dropped,
}

/// The calls in flight that may come to hang.
#[derive(Clone, Debug, Default)]
struct InFlight {
    /// Their numbers, and the slices that they were admitted in.
    calls: Vec<(u64, u64)>,
    /// The latest time at which a call was admitted.
    latest: Option<Time>,
}

#[derive(Clone, Debug, Default)]
struct HalfOpen {
    /// Begins with 0. Each time that silent probes are replaced a new round begins.
    round: u64,
    /// Probes in flight of this round.
    in_flight: u32,
    /// By how much slow start has raised the capacity in this round.
    raise: u32,
    /// When the newest probe was admitted.
    newest: Option<Time>,
    successes: u32,
    errors: u32,
}

/// Half-open, within the steps of recovery.
#[derive(Clone, Debug)]
struct Recovering {
    /// In milliseconds, rounded up.
    entered: u64,
    step: u32,
    /// What the step has seen, but for the calls that hang.
    counts: Counts,
    in_flight: InFlight,
    /// When the latest call was admitted, in milliseconds since the steps were entered.
    last: u64,
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
    /// Calls that have asked a step of recovery to pass.
    asked: u32,
    pub(crate) told: Vec<Told>,
}

fn whole_millis_up(time: Time) -> Time {
    time.div_ceil(MILLI) * MILLI
}

impl Reference {
    pub(crate) fn new(settings: Settings, now: Time) -> Self {
        Reference {
            settings,
            now,
            epoch: 0,
            mode: Mode::Closed(Closed::new(now)),
            reopenings: 0,
            totals: Totals::default(),
            active: 0,
            changes: 0,
            changes_at_reset: 0,
            has_last_error: false,
            calls: 0,
            asked: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn set_clock(&mut self, now: Time) {
        self.now = now;
        if let Mode::Closed(closed) = &mut self.mode {
            closed.latest = closed.latest.max(now);
        }
    }

    /// Sets the clock back by a step that all windows begin anew after.
    pub(crate) fn set_clock_back(&mut self, now: Time) {
        self.now = now;
        if let Mode::Closed(closed) = &mut self.mode {
            closed.latest = now;
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.mode {
            Mode::Closed(_) => State::Closed,
            Mode::Open { .. } => State::Open,
            Mode::HalfOpen(_) | Mode::Recovering(_) => State::HalfOpen,
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
            window: match (&self.mode, self.settings.rates) {
                (Mode::Closed(closed), Some(rates)) => Some(closed.window(&rates, self.now)),
                (Mode::Recovering(steps), _) => Some(steps.window(self.slow(), self.now)),
                (_, rates) => rates.map(|_| Counts::default()),
            },
            recovery: match &self.mode {
                Mode::Recovering(steps) => Some(steps.step + 1),
                _ => None,
            },
        }
    }

    fn runs(&self) -> (u64, u64) {
        match &self.mode {
            Mode::Closed(closed) => (closed.errors, 0),
            Mode::HalfOpen(probes) => (probes.errors.into(), probes.successes.into()),
            _ => (0, 0),
        }
    }

    /// A call asks to be admitted. The error is how long to wait, if that is known.
    pub(crate) fn admit(&mut self) -> Result<Call, Option<Duration>> {
        let slow = self.slow();
        self.bring_steps_up_to_now();
        self.look_for_calls_that_hang();
        if !self.passes_the_step() {
            return self.reject(None);
        }
        let mut round = 0;
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
                let silence = self.settings.probe_timeout * MILLI;
                if probes.in_flight >= self.settings.half_open_capacity + probes.raise {
                    if probes.newest.is_none_or(|newest| self.now < newest + silence) {
                        return self.reject(None);
                    }
                    probes.round += 1;
                    probes.in_flight = 0;
                    probes.raise = 0;
                }
                probes.in_flight += 1;
                probes.newest = probes.newest.max(Some(self.now));
                round = probes.round;
            }
            Mode::ForcedOpen => return self.reject(None),
            Mode::Closed(_) | Mode::Recovering(_) | Mode::ForcedClosed => {}
        }
        self.calls += 1;
        self.active += 1;
        if let (
            Mode::Closed(Closed { in_flight, .. }) | Mode::Recovering(Recovering { in_flight, .. }),
            Some((_, slow)),
        ) = (&mut self.mode, slow)
        {
            in_flight.admit(self.calls, slow, self.now);
        }
        Ok(Call { id: self.calls, epoch: self.epoch, round, admitted: self.now, is_timed: true })
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
        if let (
            Mode::Closed(Closed { in_flight, .. }) | Mode::Recovering(Recovering { in_flight, .. }),
            Some((_, slow)),
        ) = (&self.mode, self.slow())
        {
            if in_flight.is_first_of_slice(slow, self.now) && in_flight.hanging(slow, self.now) > 0 {
                self.judge();
            }
        }
    }

    /// The duration of the call no longer counts.
    pub(crate) fn stop_timing(&mut self, call: &mut Call) {
        call.is_timed = false;
        self.no_longer_hangs(*call);
    }

    fn no_longer_hangs(&mut self, call: Call) {
        if let Mode::Closed(Closed { in_flight, .. }) | Mode::Recovering(Recovering { in_flight, .. }) = &mut self.mode
        {
            in_flight.calls.retain(|(id, _)| *id != call.id);
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
            if call.epoch == self.epoch {
                self.count_drop();
            }
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
        self.no_longer_hangs(call);
        if matches!(outcome, Outcome::Success | Outcome::Failure) {
            self.bring_steps_up_to_now();
            if call.epoch != self.epoch {
                return;
            }
        }
        self.has_last_error |= outcome != Outcome::Success;
        match self.mode {
            Mode::Closed(_) => self.settle_closed(outcome, slow),
            Mode::HalfOpen(_) => self.settle_probe(call, outcome, slow),
            Mode::Recovering(_) => self.settle_in_step(outcome, slow),
            _ => {}
        }
    }

    /// The call ended and says nothing about the dependency.
    fn release(&mut self, call: Call) {
        self.active -= 1;
        if call.epoch == self.epoch {
            self.no_longer_hangs(call);
            if let Mode::HalfOpen(probes) = &mut self.mode {
                probes.give_back(call);
            }
        }
    }

    /// Drops are counted while closed, if there is a rule for them.
    fn count_drop(&mut self) {
        let Mode::Closed(closed) = &mut self.mode else { return };
        if let Some(rates) = self.settings.rates.filter(|rates| rates.drop_rate.is_some()) {
            closed.ended.record(rates.span, self.now, End::Dropped);
            self.judge();
        }
    }

    fn settle_closed(&mut self, outcome: Outcome, slow: bool) {
        let Mode::Closed(closed) = &mut self.mode else { return };
        let failed = outcome != Outcome::Success;
        closed.errors = if failed { closed.errors + 1 } else { 0 };
        let errors = closed.errors;
        if let Some(rates) = &self.settings.rates {
            closed.ended.record(rates.span, self.now, End::Settled { failed, slow });
        }
        if let Outcome::Trip { open_for } = outcome {
            self.open_for(open_for, Cause::Tripped);
        } else if failed && self.settings.error_threshold.is_some_and(|threshold| errors >= threshold.into()) {
            self.open(Cause::ErrorThreshold);
        } else if failed || slow {
            self.judge();
        }
    }

    /// Every probe of the episode counts for or against; only one of the current round has a place to give back, and
    /// raises the capacity.
    fn settle_probe(&mut self, call: Call, outcome: Outcome, slow: bool) {
        let Mode::HalfOpen(probes) = &mut self.mode else { return };
        let had_a_place = probes.give_back(call);
        if outcome == Outcome::Success && !slow {
            probes.successes += 1;
            if had_a_place {
                let most = self.settings.half_open_max_capacity - self.settings.half_open_capacity;
                probes.raise = most.min(probes.raise + 1);
            }
            if probes.successes >= self.settings.success_threshold && self.settings.recovery.is_some() {
                self.enter_steps();
            } else if probes.successes >= self.settings.success_threshold {
                self.enter(Mode::Closed(Closed::new(self.now)), Cause::SuccessThreshold);
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

    /// The state stays half-open, so nobody is told.
    fn enter_steps(&mut self) {
        let entered = whole_millis_up(self.now) / MILLI;
        let (counts, in_flight) = (Counts::default(), InFlight::default());
        self.mode = Mode::Recovering(Recovering { entered, step: 0, counts, in_flight, last: 0 });
        self.epoch += 1;
    }

    /// Ends the steps whose time is over.
    fn bring_steps_up_to_now(&mut self) {
        let (Mode::Recovering(steps), Some(Steps { shares, each })) = (&self.mode, &self.settings.recovery) else {
            return;
        };
        let (reached, last) = (steps.elapsed(self.now) / each, shares.len() as u64 - 1);
        if reached <= steps.step.into() {
            return;
        }
        let window = steps.window(self.slow(), self.now);
        if let Some(cause) = self.tripped_by(window, 1) {
            self.open(cause);
        } else if reached > last {
            self.enter(Mode::Closed(Closed::new(self.now)), Cause::Recovered);
        } else if let Mode::Recovering(steps) = &mut self.mode {
            steps.step = u32::try_from(reached).expect("few steps");
            steps.counts = Counts::default();
        }
    }

    /// Whether a call passes, as far as steps of recovery are concerned.
    fn passes_the_step(&mut self) -> bool {
        let (Mode::Recovering(steps), Some(Steps { shares, each })) = (&mut self.mode, &self.settings.recovery) else {
            return true;
        };
        let golden_ratio = (5_f64.sqrt() - 1.0) / 2.0;
        let share = shares[steps.step as usize].rate();
        let is_in_the_share = (f64::from(self.asked) * golden_ratio).fract() < share;
        self.asked += 1;
        let elapsed = steps.elapsed(self.now);
        let passes = is_in_the_share || steps.last.abs_diff(elapsed) >= each.div_ceil(10);
        if passes {
            steps.last = elapsed;
        }
        passes
    }

    fn settle_in_step(&mut self, outcome: Outcome, slow: bool) {
        if let Outcome::Trip { open_for } = outcome {
            return self.open_for(open_for, Cause::Tripped);
        }
        let Mode::Recovering(Recovering { counts, .. }) = &mut self.mode else { return };
        counts.calls += 1;
        counts.errors += u64::from(outcome == Outcome::Failure);
        counts.slow += u64::from(slow);
        if slow || outcome == Outcome::Failure {
            self.judge();
        }
    }

    /// Which rule the calls of a step have met.
    fn tripped_by(&self, window: Counts, minimum_calls: u64) -> Option<Cause> {
        let Counts { calls, errors, slow, hanging, dropped: _ } = window;
        let error_rate = self.settings.rates.and_then(|rates| rates.error_rate).unwrap_or(Share { part: 1, whole: 2 });
        let is_met = |share: Share, part, calls| calls >= minimum_calls && share.is_met(part, calls);
        if is_met(error_rate, errors, calls) {
            return Some(Cause::ErrorRate);
        }
        let (share, _) = self.slow()?;
        is_met(share, slow + hanging, calls + hanging).then_some(Cause::SlowCallRate)
    }

    /// Opens the breaker if a rate rule is met.
    fn judge(&mut self) {
        if let Mode::Recovering(steps) = &self.mode {
            let minimum_calls = self.settings.rates.map_or(20, |rates| rates.minimum_calls);
            if let Some(cause) = self.tripped_by(steps.window(self.slow(), self.now), minimum_calls.into()) {
                self.open(cause);
            }
            return;
        }
        let (Mode::Closed(closed), Some(rates)) = (&self.mode, &self.settings.rates) else { return };
        let Counts { calls, errors, slow, hanging, dropped } = closed.window(rates, self.now);
        let is_met = |share: Share, part, calls| calls >= rates.minimum_calls.into() && share.is_met(part, calls);
        if rates.error_rate.is_some_and(|share| is_met(share, errors, calls)) {
            self.open(Cause::ErrorRate);
        } else if rates.slow.is_some_and(|(share, _)| is_met(share, slow + hanging, calls + hanging)) {
            self.open(Cause::SlowCallRate);
        } else if rates.drop_rate.is_some_and(|share| is_met(share, dropped, closed.ended(rates, self.now))) {
            self.open(Cause::DropRate);
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
        let window = self.face().window.filter(|_| matches!(self.mode, Mode::Closed(_) | Mode::Recovering(_)));
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
            State::Closed => self.enter(Mode::Closed(Closed::new(self.now)), Cause::Manual),
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
        self.enter(Mode::Closed(Closed::new(self.now)), Cause::Reset);
        self.totals = Totals::default();
        self.has_last_error = false;
        self.changes_at_reset = self.changes;
    }
}

/// Where the promise leaves room.
impl Reference {
    /// This time, or the next one at which it is certain whether the newest probe is silent. That is noticed at the
    /// `probe_timeout` at the earliest, and less than a millisecond later.
    pub(crate) fn certain_time(&self, time: Time) -> Time {
        match &self.mode {
            Mode::HalfOpen(HalfOpen { newest: Some(newest), .. }) => {
                let silence = newest + self.settings.probe_timeout * MILLI;
                if (silence..silence + MILLI).contains(&time) { silence + MILLI } else { time }
            }
            _ => time,
        }
    }

    /// A step back of the clock by `back`, or by more if that is not certain: one that costs nothing in any window, or
    /// one after which all windows begin anew. `None` if there is none.
    ///
    /// A step of less than a slice costs nothing. After a longer one windows begin anew; a breaker that knows the slice
    /// of its latest reading and no more notices that from two slices on.
    pub(crate) fn step_back(&self, back: Time) -> Option<Step> {
        let to = self.now.saturating_sub(back);
        if matches!(self.mode, Mode::Recovering(_)) && self.slow().is_some() {
            return None;
        }
        let (Mode::Closed(closed), Some(rates)) = (&self.mode, &self.settings.rates) else {
            return Some(Step { to, begins_anew: false });
        };
        let ended = rates.span.slice().map(|slice| (slice, closed.ended.latest));
        let in_flight = rates.slow.map(|(_, slow)| (slice_of(slow), closed.in_flight.latest));
        let windows = || ended.into_iter().chain(in_flight);
        let Some(shortest) = windows().map(|(slice, _)| slice).min() else {
            return Some(Step { to, begins_anew: false });
        };
        if to + shortest > closed.latest {
            return Some(Step { to, begins_anew: false });
        }
        // A window that has seen no call does not matter.
        let far = windows().filter_map(|(slice, latest)| Some(latest?.checked_sub(2 * slice)));
        let to = far.chain([Some(to)]).min().flatten()?;
        Some(Step { to, begins_anew: true })
    }
}

/// A step back of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) to: Time,
    /// The windows begin anew with the next call that is admitted and settled.
    pub(crate) begins_anew: bool,
}

/// Calls in flight are counted by slices of an eighth of the slow call's duration, and of a millisecond at least.
fn slice_of(slow_millis: u64) -> Time {
    (slow_millis * MILLI).div_ceil(8).max(MILLI)
}

impl HalfOpen {
    /// Whether the probe had a place in this round.
    fn give_back(&mut self, probe: Call) -> bool {
        let has_a_place = probe.round == self.round;
        self.in_flight -= u32::from(has_a_place);
        has_a_place
    }
}

impl Recovering {
    /// In milliseconds.
    fn elapsed(&self, now: Time) -> u64 {
        (now / MILLI).saturating_sub(self.entered)
    }

    fn window(&self, slow: Option<(Share, u64)>, now: Time) -> Counts {
        let hanging = slow.map_or(0, |(_, slow)| self.in_flight.hanging(slow, now));
        Counts { hanging, ..self.counts }
    }
}

impl InFlight {
    fn stepped_back(&self, slow_millis: u64, now: Time) -> bool {
        self.latest.is_some_and(|latest| now + slice_of(slow_millis) < latest)
    }

    /// The slice of a reading, which is no earlier one than that of the latest.
    fn slice(&self, slow_millis: u64, now: Time) -> u64 {
        self.latest.map_or(now, |latest| latest.max(now)) / slice_of(slow_millis)
    }

    fn is_first_of_slice(&self, slow_millis: u64, now: Time) -> bool {
        let length = slice_of(slow_millis);
        self.latest.is_none_or(|latest| now / length > latest / length)
    }

    fn admit(&mut self, call: u64, slow_millis: u64, now: Time) {
        if self.stepped_back(slow_millis, now) {
            *self = InFlight::default();
        }
        self.calls.push((call, self.slice(slow_millis, now)));
        self.latest = self.latest.max(Some(now));
    }

    /// A call hangs once the last moment of its slice is a slow call's duration ago.
    fn hanging(&self, slow_millis: u64, now: Time) -> u64 {
        if self.stepped_back(slow_millis, now) {
            return 0;
        }
        let current = self.slice(slow_millis, now);
        let slices = (slow_millis * MILLI).div_ceil(slice_of(slow_millis));
        self.calls.iter().filter(|(_, slice)| slice + slices < current).count() as u64
    }
}

impl Ended {
    fn stepped_back(&self, slice: Time, now: Time) -> bool {
        self.latest.is_some_and(|latest| now + slice < latest)
    }

    /// The slice of a reading, which is no earlier one than that of the latest.
    fn slice(&self, span_millis: u64, now: Time) -> u64 {
        let since_start = self.latest.map_or(now, |latest| latest.max(now)) - self.start;
        let slice = u128::from(since_start) * u128::from(SLICES) / u128::from(span_millis * MILLI);
        u64::try_from(slice).expect("years")
    }

    fn record(&mut self, span: Span, now: Time, end: End) {
        if span.slice().is_some_and(|slice| self.stepped_back(slice, now)) {
            *self = Ended::default();
        }
        if self.samples.is_empty() {
            self.start = now;
        }
        self.latest = self.latest.max(Some(now));
        let slice = match span {
            Span::Calls(_) => 0,
            Span::Millis(millis) => self.slice(millis, now),
        };
        self.samples.push_back(Sample { slice, end });
    }

    /// Of the calls that `counts` counts, those in the window.
    fn within(&self, span: Span, now: Time, counts: fn(End) -> bool) -> Vec<End> {
        let latest = self.samples.iter().rev().filter(|sample| counts(sample.end));
        let within: Vec<_> = match span {
            Span::Calls(most) => latest.take(most as usize).collect(),
            Span::Millis(_) if span.slice().is_some_and(|slice| self.stepped_back(slice, now)) => Vec::new(),
            Span::Millis(_) if self.samples.is_empty() => Vec::new(),
            Span::Millis(millis) => {
                let current = self.slice(millis, now);
                latest.take_while(|sample| sample.slice + SLICES > current).collect()
            }
        };
        within.into_iter().map(|sample| sample.end).collect()
    }
}

impl Closed {
    fn new(now: Time) -> Self {
        Closed { errors: 0, ended: Ended::default(), in_flight: InFlight::default(), latest: now }
    }

    fn window(&self, rates: &Rates, now: Time) -> Counts {
        let settled = self.ended.within(rates.span, now, |end| end != End::Dropped);
        let ended = self.ended.within(rates.span, now, |_| true);
        let count = |ends: &[End], holds: fn(&End) -> bool| ends.iter().filter(|end| holds(end)).count() as u64;
        Counts {
            calls: count(&settled, |_| true),
            errors: count(&settled, |end| matches!(end, End::Settled { failed: true, .. })),
            slow: count(&settled, |end| matches!(end, End::Settled { slow: true, .. })),
            hanging: rates.slow.map_or(0, |(_, slow)| self.in_flight.hanging(slow, now)),
            dropped: count(&ended, |end| *end == End::Dropped),
        }
    }

    /// How many calls the drop rate is taken over. A window of calls holds the latest, settled or dropped.
    fn ended(&self, rates: &Rates, now: Time) -> u64 {
        self.ended.within(rates.span, now, |_| true).len() as u64
    }
}
