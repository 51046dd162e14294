//! What every state does with every event.

use std::time::Duration;

use crate::machine::millis::Millis;
use crate::machine::word::{Epoch, Word};
use crate::rules::Rules;
use crate::state::State;
use crate::transition::Cause;

/// Something that happens to a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A call asks to be let through. `past_silence`: the newest probe no longer blocks it.
    Admit { now: Duration, past_silence: bool },
    /// A call of `epoch` succeeded.
    Success { epoch: Epoch },
    /// A call of `epoch` failed, and so `met` a rate rule. Without a `moment` only if the clock has not been
    /// read yet.
    Failure { epoch: Epoch, met: Option<Cause>, moment: Option<Moment> },
    /// Calls of `epoch` that did not fail have met a rate rule: slow ones, or ones that hang.
    RateMet { epoch: Epoch, cause: Cause, moment: Moment },
    /// A call of `epoch` failed and said for how long to stay open.
    Trip { epoch: Epoch, now: Duration, open_for: Duration },
    /// A call of `epoch` ended and says nothing.
    Release { epoch: Epoch },
    /// An operator moves the breaker.
    Operate(Order),
}

/// Where an operator moves a breaker to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Close,
    Open(Moment),
    OpenFor { now: Duration, open_for: Duration },
    HalfOpen,
    ForceOpen,
    ForceClosed,
    Reset,
}

/// When something happens, and the draw that picks the jitter of an opening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Duration,
    pub(crate) draw: f64,
}

impl Event {
    /// When it happens, if it can open the breaker.
    pub(crate) fn opens_at(&self) -> Option<Duration> {
        match *self {
            Event::Failure { moment: Some(Moment { now, .. }), .. }
            | Event::RateMet { moment: Moment { now, .. }, .. }
            | Event::Trip { now, .. }
            | Event::Operate(Order::Open(Moment { now, .. }) | Order::OpenFor { now, .. }) => Some(now),
            _ => None,
        }
    }
}

/// What an event leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Step {
    pub(crate) next: Word,
    pub(crate) effect: Effect,
}

/// What the caller has to do once the next word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Effect {
    /// Let the call through.
    Admit,
    /// Refuse it: open, and the deadline is not reached.
    RefuseOpen,
    /// Refuse it: half-open, and every slot is taken.
    RefuseFull,
    /// Refuse it: forced open.
    RefuseForced,
    /// Nothing more: the outcome has been counted.
    Counted,
    /// Nothing more: the outcome belongs to an earlier epoch and changed nothing.
    Late,
    /// Wake this many who wait for a slot.
    Free(u32),
    /// Read the clock and ask again: the outcome would open the breaker.
    ReadClock,
    /// A new epoch began. Let the call through, if it was an admission; tell everyone who waits, and
    /// the observers if the state is another.
    Begin { cause: Cause, errors: u32, successes: u16 },
}

// It comes back in two registers: of memory that is written in small pieces and read in large ones, each call would
// wait for the writes to end.
const _: () = assert!(size_of::<Step>() == 16);

impl Step {
    fn stay(word: Word, effect: Effect) -> Self {
        Step { next: word, effect }
    }
}

/// The next word, and what to do once it stands. `reopenings`: openings out of half-open since the
/// last close.
#[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
#[inline(always)]
pub(crate) fn step(word: Word, reopenings: u32, event: Event, rules: &Rules) -> Step {
    match event {
        Event::Admit { now, past_silence } => admit(word, now, past_silence, rules),
        Event::Operate(order) => operate(word, reopenings, order, rules),
        Event::Success { epoch }
        | Event::Failure { epoch, .. }
        | Event::RateMet { epoch, .. }
        | Event::Trip { epoch, .. }
        | Event::Release { epoch }
            if epoch != word.epoch() =>
        {
            Step::stay(word, Effect::Late)
        }
        _ => match word.state() {
            State::Closed => settle_call(word, reopenings, event, rules),
            State::HalfOpen => settle_probe(word, reopenings, event, rules),
            State::ForcedClosed => Step::stay(word, Effect::Counted),
            // They admit nobody, so no call is of their epoch.
            State::Open | State::ForcedOpen => Step::stay(word, Effect::Late),
        },
    }
}

fn admit(word: Word, now: Duration, past_silence: bool, rules: &Rules) -> Step {
    match word.state() {
        State::Closed | State::ForcedClosed => Step::stay(word, Effect::Admit),
        State::ForcedOpen => Step::stay(word, Effect::RefuseForced),
        State::Open if Millis::reached(now) < word.deadline() => Step::stay(word, Effect::RefuseOpen),
        State::Open => {
            let half_open = Word::half_open(word.epoch().next());
            let next = half_open.with_probe().unwrap_or(half_open);
            Step { next, effect: begin_after((0, 0), Cause::ResetTimeout) }
        }
        State::HalfOpen => match word.with_probe() {
            Some(next) if free_slots(word, rules) > 0 || past_silence => Step { next, effect: Effect::Admit },
            _ => Step::stay(word, Effect::RefuseFull),
        },
    }
}

#[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
#[inline(always)]
fn settle_call(word: Word, reopenings: u32, event: Event, rules: &Rules) -> Step {
    match event {
        Event::Failure { met, moment, .. } => {
            let next = word.with_errors(word.errors() + 1);
            let is_met = rules.error_threshold.is_some_and(|threshold| next.errors() >= u64::from(threshold));
            match is_met.then_some(Cause::ErrorThreshold).or(met) {
                Some(cause) => open(word, next, reopenings, moment, cause, rules),
                None => Step { next, effect: Effect::Counted },
            }
        }
        Event::RateMet { cause, moment, .. } => open(word, word, reopenings, Some(moment), cause, rules),
        Event::Trip { now, open_for, .. } => {
            open_until(word.with_errors(word.errors() + 1), Millis::after(now, open_for), Cause::Tripped)
        }
        Event::Success { .. } => Step { next: word.with_errors(0), effect: Effect::Counted },
        _ => Step::stay(word, Effect::Counted),
    }
}

#[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
#[inline(always)]
fn settle_probe(word: Word, reopenings: u32, event: Event, rules: &Rules) -> Step {
    let settled = word.without_probe();
    let failed = settled.with_successes(0).with_probe_errors(word.probe_errors() + 1);
    let next = match event {
        Event::Failure { moment, .. } => {
            if failed.probe_errors() >= u64::from(rules.half_open_error_threshold) {
                return open(word, failed, reopenings + 1, moment, Cause::ProbeFailed, rules);
            }
            failed
        }
        Event::Trip { now, open_for, .. } => return open_until(failed, Millis::after(now, open_for), Cause::Tripped),
        Event::Success { .. } => {
            let most = u64::from(rules.half_open_max_capacity.saturating_sub(rules.half_open_capacity));
            let raised = settled.with_successes(word.successes() + 1).with_raise((word.raise() + 1).min(most));
            if raised.successes() >= u64::from(rules.success_threshold) {
                return begin(Word::closed(word.epoch().next()), raised, Cause::SuccessThreshold);
            }
            raised
        }
        Event::Release { .. } => settled,
        Event::RateMet { .. } | Event::Admit { .. } | Event::Operate(_) => word,
    };
    let freed = free_slots(next, rules).saturating_sub(free_slots(word, rules));
    Step { next, effect: Effect::Free(freed) }
}

#[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
#[inline(always)]
fn operate(word: Word, reopenings: u32, order: Order, rules: &Rules) -> Step {
    let epoch = word.epoch().next();
    let next = match order {
        Order::Close | Order::Reset => Word::closed(epoch),
        Order::Open(Moment { now, draw }) => {
            let reopenings = reopenings + u32::from(word.state() == State::HalfOpen);
            Word::open(epoch, Millis::after(now, rules.cool_down(reopenings, draw)))
        }
        Order::OpenFor { now, open_for } => Word::open(epoch, Millis::after(now, open_for)),
        Order::HalfOpen => Word::half_open(epoch),
        Order::ForceOpen => Word::forced_open(epoch),
        Order::ForceClosed => Word::forced_closed(epoch),
    };
    let cause = if matches!(order, Order::Reset) { Cause::Reset } else { Cause::Manual };
    begin(next, word, cause)
}

/// Leaves `word`, whose last counts are `counted`, for the cool-down of the rules, if the time is known.
#[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
#[inline(always)]
fn open(word: Word, counted: Word, reopenings: u32, moment: Option<Moment>, cause: Cause, rules: &Rules) -> Step {
    match moment {
        Some(Moment { now, draw }) => open_until(counted, Millis::after(now, rules.cool_down(reopenings, draw)), cause),
        None => Step::stay(word, Effect::ReadClock),
    }
}

#[inline]
fn open_until(counted: Word, deadline: Millis, cause: Cause) -> Step {
    begin(Word::open(counted.epoch().next(), deadline), counted, cause)
}

/// Leaves the state whose last counts are `counted`.
#[inline]
fn begin(next: Word, counted: Word, cause: Cause) -> Step {
    Step { next, effect: begin_after(counts(counted), cause) }
}

#[inline]
fn begin_after((errors, successes): (u64, u64), cause: Cause) -> Effect {
    let errors = errors.try_into().unwrap_or(u32::MAX);
    let successes = successes.try_into().unwrap_or(u16::MAX);
    Effect::Begin { cause, errors, successes }
}

/// The consecutive errors and successes that the word itself knows of.
pub(crate) fn counts(word: Word) -> (u64, u64) {
    match word.state() {
        State::Closed => (word.errors(), 0),
        State::HalfOpen => (word.probe_errors(), word.successes()),
        State::Open | State::ForcedOpen | State::ForcedClosed => (0, 0),
    }
}

/// How many more probes a half-open word admits.
fn free_slots(word: Word, rules: &Rules) -> u32 {
    // The raise may be one of other rules.
    let capacity = (u64::from(rules.half_open_capacity) + word.raise()).min(u64::from(rules.half_open_max_capacity));
    u32::try_from(capacity.saturating_sub(word.in_flight())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
