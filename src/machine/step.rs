//! What every state does with every event: one function for each event.

use std::time::Duration;

use crate::machine::millis::Millis;
use crate::machine::step_length::StepLength;
use crate::machine::word::{Epoch, Word};
use crate::settings::Settings;
use crate::state::State;
use crate::transition::Cause;

/// What a decision needs to know of a word's epoch and the word does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) epoch: Epoch,
    /// The epoch of the first round of probes, if the word is half-open; otherwise `epoch`.
    pub(crate) first_round: Epoch,
    /// Openings out of half-open since the last close.
    pub(crate) reopenings: u32,
}

/// What a call's epoch is to the word's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The same.
    Current,
    /// An earlier round of the same half-open episode. Its probes fell silent and have lost their places; what they say
    /// is evidence still.
    EarlierRound,
    /// An earlier one: the outcome changes nothing.
    Late,
}

impl Context {
    pub(crate) const fn standing(&self, call: Epoch) -> Standing {
        let ago = self.epoch.since(call);
        if ago == 0 {
            Standing::Current
        } else if ago <= self.epoch.since(self.first_round) {
            Standing::EarlierRound
        } else {
            Standing::Late
        }
    }
}

/// Where an operator moves a breaker to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Close,
    /// `draw`, from 0 to 1, picks the jitter.
    Open {
        now: Duration,
        draw: f64,
    },
    OpenFor {
        now: Duration,
        open_for: Duration,
    },
    HalfOpen,
    ForceOpen,
    ForceClosed,
    /// As the settings have it: closed, or forced closed if the breaker is not enabled.
    Reset,
    /// Forced closed, unless it is so already. What an operator has forced open is moved only if this `overrules` it.
    Disable {
        overrules: bool,
    },
    /// Ends what `Disable` began as the epoch `since`, if that still is.
    Enable {
        since: Epoch,
        reopens: bool,
    },
}

impl Command {
    /// When it was given, if it opens the breaker.
    pub(crate) const fn opens_at(self) -> Option<Duration> {
        match self {
            Command::Open { now, .. } | Command::OpenFor { now, .. } => Some(now),
            _ => None,
        }
    }
}

/// What an event leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Step {
    pub(crate) next: Word,
    /// If a new epoch begins: the word with the last counts of the one before.
    pub(crate) counted: Word,
    pub(crate) effect: Effect,
}

/// What the caller has to do once the next word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Effect {
    /// Let the call through.
    Admit,
    /// Refuse it: open, and the deadline is not reached.
    RejectOpen,
    /// Refuse it: half-open, and every slot is taken.
    RejectFull,
    /// Refuse it: forced open.
    RejectForced,
    /// Ask the steps of recovery: the word does not know.
    AskSteps,
    /// Nothing more: the outcome has been counted.
    Counted,
    /// Nothing more: the outcome belongs to an earlier epoch and changed nothing.
    Late,
    /// Wake the waiters for the slots that have become free; [`freed`] counts them.
    Free,
    /// Read the clock and try again: the outcome would open the breaker.
    NeedsClock,
    /// A new epoch began. Let the call through, if it was an admission; tell everyone who waits, and
    /// the observers if the state is another.
    Begin(Cause),
    /// A further round of probes began, a new epoch of the same episode. Let the call through, and wake the waiters for
    /// the slots that have become free.
    BeginRound,
}

impl Effect {
    /// Whether the next word is of another epoch.
    pub(crate) const fn begins_epoch(self) -> bool {
        matches!(self, Effect::Begin(_) | Effect::BeginRound)
    }
}

// An effect has no field but the cause. With fields of several sizes, it would be written in small pieces and copied in
// large ones, and each copy would stall until the writes have completed.
const _: () = assert!(size_of::<Effect>() == 1);

impl Step {
    /// A step that stays within the epoch.
    const fn within(next: Word, effect: Effect) -> Self {
        Step { next, counted: next, effect }
    }

    const fn counted(next: Word) -> Self {
        Step::within(next, Effect::Counted)
    }
}

/// A call asks to be let through. `is_silent`: the newest probe of this round has been silent for the `probe_timeout`.
#[inline]
pub(crate) fn admit(word: Word, epoch: Epoch, now: Duration, is_silent: bool, settings: &Settings) -> Step {
    match word.state() {
        State::Closed | State::ForcedClosed => Step::within(word, Effect::Admit),
        State::ForcedOpen => Step::within(word, Effect::RejectForced),
        State::Open if Millis::reached(now) < word.deadline() => Step::within(word, Effect::RejectOpen),
        State::Open => begin(Word::half_open(epoch.next()).with_probe(), word, Cause::ResetTimeout),
        State::HalfOpen if word.is_recovering() => Step::within(word, Effect::AskSteps),
        State::HalfOpen if !is_full(word, settings) => Step::within(word.with_probe(), Effect::Admit),
        State::HalfOpen if is_silent => begin_round(word, epoch),
        State::HalfOpen => Step::within(word, Effect::RejectFull),
    }
}

/// A call of the epoch `call` succeeded.
#[inline]
pub(crate) fn succeed(word: Word, context: Context, call: Epoch, settings: &Settings) -> Step {
    let standing = context.standing(call);
    match word.state() {
        State::Closed if standing == Standing::Current => Step::counted(closed_after_success(word)),
        State::HalfOpen if standing != Standing::Late && !word.is_recovering() => {
            let succeeded = word.with_successes(word.successes() + 1);
            if succeeded.successes() >= u64::from(settings.success_threshold) {
                let epoch = context.epoch.next();
                let next = if settings.recovery.is_some() { Word::recovering(epoch) } else { Word::closed(epoch) };
                return begin(next, succeeded, Cause::SuccessThreshold);
            }
            if standing == Standing::EarlierRound {
                return Step::within(succeeded, Effect::Free);
            }
            let most = u64::from(settings.half_open_max_capacity.saturating_sub(settings.half_open_capacity));
            Step::within(succeeded.without_probe().with_raise((word.raise() + 1).min(most)), Effect::Free)
        }
        _ => stay_settled(word, standing),
    }
}

/// A call of the epoch `call` failed, and so `met` a rate rule. Without `now` only if the clock has not been read yet;
/// `draw` picks the jitter of an opening.
#[inline]
pub(crate) fn fail(
    word: Word,
    context: Context,
    call: Epoch,
    tripped_by: Option<Cause>,
    now: Option<Duration>,
    draw: f64,
    settings: &Settings,
) -> Step {
    let standing = context.standing(call);
    let failed = match word.state() {
        State::Closed if standing == Standing::Current => closed_after_failure(word),
        State::HalfOpen if standing != Standing::Late && !word.is_recovering() => failed_probe(word, standing),
        _ => return stay_settled(word, standing),
    };
    match (opening_cause(word, tripped_by, settings), now) {
        (None, _) if word.state() == State::Closed => Step::counted(failed),
        (None, _) => Step::within(failed, Effect::Free),
        (Some(_), None) => Step::within(word, Effect::NeedsClock),
        (Some(cause), Some(now)) => open(word, failed, context, now, draw, cause, settings),
    }
}

/// The word of closed after a success.
#[inline]
pub(crate) fn closed_after_success(word: Word) -> Word {
    word.with_errors(0)
}

/// The word of closed after a failure that does not open.
#[inline]
pub(crate) fn closed_after_failure(word: Word) -> Word {
    word.with_errors(word.errors() + 1)
}

/// Why one more failure would open the breaker, if it would.
#[inline]
pub(crate) fn opening_cause(word: Word, tripped_by: Option<Cause>, settings: &Settings) -> Option<Cause> {
    match word.state() {
        State::Closed => {
            let errors = word.errors() + 1;
            let is_met = settings.error_threshold.is_some_and(|threshold| errors >= u64::from(threshold));
            is_met.then_some(Cause::ErrorThreshold).or(tripped_by)
        }
        State::HalfOpen => {
            let is_met = word.probe_errors() + 1 >= u64::from(settings.half_open_error_threshold);
            is_met.then_some(Cause::ProbeFailed)
        }
        State::Open | State::ForcedOpen | State::ForcedClosed => None,
    }
}

/// Calls of the epoch `call` that did not fail have met a rate rule: slow ones, or ones that hang.
pub(crate) fn trip_by_rate(
    word: Word,
    context: Context,
    call: Epoch,
    cause: Cause,
    now: Duration,
    draw: f64,
    settings: &Settings,
) -> Step {
    let standing = context.standing(call);
    match word.state() {
        State::Closed if standing == Standing::Current => open(word, word, context, now, draw, cause, settings),
        _ => stay_settled(word, standing),
    }
}

/// Calls of the epoch `call` have met a rule, and the breaker must not open: run and window start over.
#[allow(dead_code, reason = "only a registry restarts its breakers")]
pub(crate) fn restart(word: Word, context: Context, call: Epoch, cause: Cause) -> Step {
    let standing = context.standing(call);
    match word.state() {
        State::Closed if standing == Standing::Current => begin(Word::closed(context.epoch.next()), word, cause),
        _ => stay_settled(word, standing),
    }
}

/// A call of the epoch `call` failed and said for how long to stay open.
pub(crate) fn trip(word: Word, context: Context, call: Epoch, now: Duration, open_for: Duration) -> Step {
    let standing = context.standing(call);
    let failed = match word.state() {
        State::Closed if standing == Standing::Current => closed_after_failure(word),
        State::HalfOpen if standing != Standing::Late => failed_probe(word, standing),
        _ => return stay_settled(word, standing),
    };
    open_until(failed, context, Millis::after(now, open_for), Cause::Tripped)
}

/// A call of the epoch `call` ended and says nothing.
pub(crate) fn release(word: Word, context: Context, call: Epoch) -> Step {
    match (word.state(), context.standing(call)) {
        (State::HalfOpen, Standing::Current) if !word.is_recovering() => Step::within(word.with_return(), Effect::Free),
        (_, standing) => stay_settled(word, standing),
    }
}

/// The calls of the step of recovery that `judged` is at have met a rate rule.
pub(crate) fn relapse(
    word: Word,
    context: Context,
    judged: Word,
    cause: Cause,
    now: Duration,
    draw: f64,
    settings: &Settings,
) -> Step {
    let is_at = word.is_recovering() && context.epoch == judged.head().epoch() && word.step() == judged.step();
    if is_at { open(word, word, context, now, draw, cause, settings) } else { Step::within(word, Effect::Late) }
}

/// The last step of recovery has held; `judged` is the word then.
pub(crate) fn conclude(word: Word, context: Context, judged: Word) -> Step {
    if word != judged {
        return Step::within(word, Effect::Late);
    }
    begin(Word::closed(context.epoch.next()), word, Cause::Recovered)
}

/// An operator moves the breaker.
pub(crate) fn operate(word: Word, context: Context, order: Command, settings: &Settings) -> Step {
    let cause = match order {
        Command::Reset => Cause::Reset,
        Command::Disable { .. } => Cause::Disabled,
        Command::Enable { .. } => Cause::Enabled,
        _ => Cause::Manual,
    };
    move_to(word, context, order, cause, settings)
}

/// Someone outside of the process moves the breaker.
pub(crate) fn operate_remotely(word: Word, context: Context, order: Command, settings: &Settings) -> Step {
    move_to(word, context, order, Cause::Remote, settings)
}

fn move_to(word: Word, context: Context, order: Command, cause: Cause, settings: &Settings) -> Step {
    let epoch = context.epoch.next();
    let is_there = match order {
        Command::Disable { overrules } => match word.state() {
            State::ForcedClosed => true,
            State::ForcedOpen => !overrules,
            State::Closed | State::Open | State::HalfOpen => false,
        },
        Command::Enable { since, .. } => word.state() != State::ForcedClosed || context.epoch != since,
        _ => false,
    };
    if is_there {
        return Step::within(word, Effect::Counted);
    }
    let next = match order {
        Command::Reset if !settings.enabled => Word::forced_closed(epoch),
        Command::Close | Command::Reset | Command::Enable { reopens: false, .. } => Word::closed(epoch),
        Command::Open { now, draw } => Word::open(epoch, deadline(word, context, now, draw, settings)),
        Command::OpenFor { now, open_for } => Word::open(epoch, Millis::after(now, open_for)),
        Command::HalfOpen => Word::half_open(epoch),
        Command::ForceOpen | Command::Enable { reopens: true, .. } => Word::forced_open(epoch),
        Command::ForceClosed | Command::Disable { .. } => Word::forced_closed(epoch),
    };
    begin(next, word, cause)
}

/// Something outside the process closes the breaker by `steps`, or at once if there are none. A breaker that lets every
/// call pass does not go back to a share of them.
pub(crate) fn slow_close(word: Word, context: Context, steps: Option<StepLength>) -> Step {
    let epoch = context.epoch.next();
    let next = match (word.state(), steps) {
        (State::Closed, _) => return Step::within(word, Effect::Counted),
        (State::Open | State::HalfOpen | State::ForcedOpen, Some(steps)) => {
            Word::recovering(epoch).with_step_length(steps)
        }
        _ => Word::closed(epoch),
    };
    begin(next, word, Cause::Remote)
}

/// An operator ends a forced state. Forced open leads into the recovery of the settings, if they have one.
pub(crate) fn end_force(word: Word, context: Context, settings: &Settings) -> Step {
    let epoch = context.epoch.next();
    match word.state() {
        State::ForcedClosed if !settings.enabled => unmoved(word),
        State::ForcedOpen if settings.recovery.is_some() => begin(Word::recovering(epoch), word, Cause::Manual),
        State::ForcedOpen | State::ForcedClosed => begin(Word::closed(epoch), word, Cause::Manual),
        State::Closed | State::Open | State::HalfOpen => unmoved(word),
    }
}

/// The breaker stays open until `deadline`, if it is open and that is later. It stays in its epoch.
pub(crate) fn extend(word: Word, context: Context, deadline: Millis) -> Step {
    if word.state() == State::Open && word.deadline() < deadline {
        return Step::counted(Word::open(context.epoch, deadline));
    }
    unmoved(word)
}

/// Nothing was to be done, or it was not wanted any more.
pub(crate) fn unmoved(word: Word) -> Step {
    Step::within(word, Effect::Late)
}

/// An outcome that leaves the word as it is.
fn stay_settled(word: Word, standing: Standing) -> Step {
    // Open and forced open admit nobody, so no call is of their epoch.
    let is_late = standing == Standing::Late || matches!(word.state(), State::Open | State::ForcedOpen);
    Step::within(word, if is_late { Effect::Late } else { Effect::Counted })
}

fn failed_probe(word: Word, standing: Standing) -> Word {
    if word.is_recovering() {
        return word;
    }
    let settled = if standing == Standing::Current { word.without_probe() } else { word };
    settled.with_successes(0).with_probe_errors(word.probe_errors() + 1)
}

/// Leaves `word`, whose last counts are `counted`, for the cool-down of the rules.
#[inline]
fn open(
    word: Word,
    counted: Word,
    context: Context,
    now: Duration,
    draw: f64,
    cause: Cause,
    settings: &Settings,
) -> Step {
    open_until(counted, context, deadline(word, context, now, draw, settings), cause)
}

/// When the cool-down of the rules ends, if it begins `now` and the breaker leaves `word` for it.
fn deadline(word: Word, context: Context, now: Duration, draw: f64, settings: &Settings) -> Millis {
    let reopenings = context.reopenings + u32::from(word.state() == State::HalfOpen);
    Millis::after(now, settings.cool_down(reopenings, draw))
}

fn open_until(counted: Word, context: Context, deadline: Millis, cause: Cause) -> Step {
    begin(Word::open(context.epoch.next(), deadline), counted, cause)
}

/// Leaves the state whose last counts are `counted`.
fn begin(next: Word, counted: Word, cause: Cause) -> Step {
    Step { next, counted, effect: Effect::Begin(cause) }
}

/// Begins another round of probes.
fn begin_round(word: Word, epoch: Epoch) -> Step {
    Step { next: word.next_round(epoch.next()), counted: word, effect: Effect::BeginRound }
}

/// The consecutive errors and successes that the word counts.
pub(crate) fn counts(word: Word) -> (u64, u64) {
    match word.state() {
        State::Closed => (word.errors(), 0),
        State::HalfOpen if word.is_recovering() => (0, 0),
        State::HalfOpen => (word.probe_errors(), word.successes()),
        State::Open | State::ForcedOpen | State::ForcedClosed => (0, 0),
    }
}

/// Whether a half-open word admits no more probes.
pub(crate) fn is_full(word: Word, settings: &Settings) -> bool {
    free_slots(word, settings) == 0
}

/// How many slots a step from one half-open word to another has freed.
pub(crate) fn freed(before: Word, after: Word, settings: &Settings) -> u32 {
    free_slots(after, settings).saturating_sub(free_slots(before, settings))
}

/// How many more probes a half-open word admits.
fn free_slots(word: Word, settings: &Settings) -> u32 {
    // The raise may be one of other rules.
    let capacity =
        (u64::from(settings.half_open_capacity) + word.raise()).min(u64::from(settings.half_open_max_capacity));
    u32::try_from(capacity.saturating_sub(word.in_flight())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk;
