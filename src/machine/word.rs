use std::fmt;

use crate::machine::millis::Millis;
use crate::machine::step_length::StepLength;
use crate::recovery::Recovery;
use crate::state::State;

/// A run of bits in a word.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    shift: u32,
    width: u32,
}

impl Field {
    pub(crate) const fn first(width: u32) -> Self {
        Field { shift: 0, width }
    }

    pub(crate) const fn after(previous: Field, width: u32) -> Self {
        Field { shift: previous.end(), width }
    }

    pub(crate) const fn start(self) -> u32 {
        self.shift
    }

    pub(crate) const fn end(self) -> u32 {
        self.shift + self.width
    }

    pub(crate) const fn max(self) -> u64 {
        (1 << self.width) - 1
    }

    #[inline]
    pub(crate) const fn get(self, bits: u64) -> u64 {
        (bits >> self.shift) & self.max()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the assertion settings it out")]
    pub(crate) const fn get_u32(self, bits: u64) -> u32 {
        assert!(self.width <= u32::BITS);
        self.get(bits) as u32
    }

    #[inline]
    pub(crate) const fn set(self, bits: u64, value: u64) -> u64 {
        debug_assert!(value <= self.max());
        (bits & !(self.max() << self.shift)) | ((value & self.max()) << self.shift)
    }
}

pub(crate) const TAG: Field = Field::first(3);
/// In the words of the states that hold until a failure or an operator ends them, and in a [`Head`].
pub(crate) const EPOCH: Field = Field::after(TAG, 29);

/// Closed: failures since the last success.
const ERRORS: Field = Field::after(EPOCH, 32);

/// The low bits of the epoch, in the words of the gated states, open and half-open. The history beside the word has all
/// of them, and whatever happens in a gated state reads it.
const LOW_EPOCH: Field = Field::after(TAG, 19);

/// Open: when the next caller becomes a probe.
const DEADLINE: Field = Field::after(LOW_EPOCH, Millis::BITS);

/// Half-open: probes of this round that were admitted and not yet settled.
const IN_FLIGHT: Field = Field::after(LOW_EPOCH, 7);
/// Half-open: probe successes since the last probe failure.
const SUCCESSES: Field = Field::after(IN_FLIGHT, 7);
/// Half-open: probe failures.
const PROBE_ERRORS: Field = Field::after(SUCCESSES, 7);
/// Half-open: by how much slow start has raised the capacity.
const RAISE: Field = Field::after(PROBE_ERRORS, 7);
/// Half-open: whether this epoch is a further round of probes of the episode, after a silence.
const CONTINUED: Field = Field::after(RAISE, 1);
/// Half-open: how many places came back without a verdict, modulo 2¹³. Successes and errors make no word twice in an
/// epoch; this keeps a place that is given back and taken again from doing so.
const RETURNS: Field = Field::after(CONTINUED, 13);

const _: () = assert!(ERRORS.end() == u64::BITS);
const _: () = assert!(DEADLINE.end() == u64::BITS);
const _: () = assert!(RETURNS.end() == u64::BITS);
const _: () = assert!(EPOCH.end() == u32::BITS);

/// Recovering: the step, counted from 0. The words of this state hold the whole epoch.
const STEP: Field = Field::after(EPOCH, 6);
/// Recovering: whether the time of the step is over, and its window is being judged.
const STEP_IS_OVER: Field = Field::after(STEP, 1);
/// Recovering: how long each step lasts, if an order set it; 0 if the settings do. In the word, it belongs to its epoch only.
const STEP_LENGTH: Field = Field::after(STEP_IS_OVER, StepLength::BITS);

const _: () = assert!(STEP_LENGTH.end() == u64::BITS);
const _: () = assert!(Recovery::MOST_STEPS as u64 <= STEP.max() + 1);

/// The most that `half_open_capacity` and the probe thresholds may be set to.
pub(crate) const MAX_PROBES: u32 = 127;

const _: () = assert!(MAX_PROBES as u64 == IN_FLIGHT.max());
const _: () = assert!(MAX_PROBES as u64 == SUCCESSES.max());
const _: () = assert!(MAX_PROBES as u64 == PROBE_ERRORS.max());
const _: () = assert!(MAX_PROBES as u64 == RAISE.max());

/// Which stretch between two transitions this is. Wraps after 2²⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

impl Epoch {
    pub(crate) const fn new(number: u64) -> Self {
        Epoch(Field::first(EPOCH.width).get_u32(number))
    }

    pub(crate) const fn number(self) -> u64 {
        self.0 as u64
    }

    pub(crate) const fn number_u32(self) -> u32 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Epoch::new(self.number() + 1)
    }

    /// Whether this epoch came before `other`, when it has come to `now`. None of them is 2²⁹ epochs ago.
    pub(crate) const fn is_before(self, other: Self, now: Self) -> bool {
        now.since(self) > now.since(other)
    }

    /// How many epochs ago `other` was, modulo 2²⁹.
    pub(crate) const fn since(self, other: Self) -> u64 {
        Epoch::new(self.number() + EPOCH.max() + 1 - other.number()).number()
    }
}

/// State and epoch of the word that a call was admitted under, as its permit keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Head(u32);

impl Head {
    /// Whether the call was admitted while closed.
    #[inline]
    pub(crate) const fn is_closed(self) -> bool {
        TAG.get(self.0 as u64) == CLOSED
    }

    /// The head of a probe of `epoch`. No word has its tag, so a success of a probe is never taken for one without effect.
    pub(crate) const fn of_probe(epoch: Epoch) -> Self {
        Head::new(PROBE, epoch)
    }

    /// The head of a call within the steps of recovery, with a tag of its own for the same reason.
    pub(crate) const fn of_step(epoch: Epoch) -> Self {
        Head::new(STEP_CALL, epoch)
    }

    #[inline]
    pub(crate) const fn is_probe(self) -> bool {
        TAG.get(self.0 as u64) == PROBE
    }

    #[expect(clippy::cast_possible_truncation, reason = "both fields end there")]
    const fn new(tag: u64, epoch: Epoch) -> Self {
        Head(EPOCH.set(TAG.set(0, tag), epoch.number()) as u32)
    }

    #[inline]
    pub(crate) const fn epoch(self) -> Epoch {
        Epoch(self.0 >> TAG.end())
    }
}

/// The whole automatic state of a breaker.
///
/// The two states that admit without a question have the tags 0 and 1, so that one test of the
/// others' bits answers a healthy call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word(u64);

pub(crate) const CLOSED: u64 = 0;
const FORCED_CLOSED: u64 = 1;
pub(crate) const HALF_OPEN: u64 = 2;
pub(crate) const OPEN: u64 = 3;
const FORCED_OPEN: u64 = 4;
/// Half-open, in the steps of recovery.
pub(crate) const RECOVERING: u64 = 5;
/// In the head of the permit of a call within the steps; no word has it.
const STEP_CALL: u64 = 6;
/// In the head of a probe's permit; no word has it.
const PROBE: u64 = 7;

/// The bits of the tag that the states which admit every call do not have.
pub(crate) const GATED_BITS: u64 = 0b110;
/// The bit of the tag that open and half-open have, the two states whose words hold the low bits of the epoch only.
const LOW_EPOCH_BIT: u64 = 0b010;

const _: () = assert!((CLOSED | FORCED_CLOSED) & GATED_BITS == 0 && GATED_BITS | FORCED_CLOSED == TAG.max());
const _: () = assert!(HALF_OPEN & GATED_BITS != 0 && OPEN & GATED_BITS != 0 && FORCED_OPEN & GATED_BITS != 0);
const _: () = assert!(HALF_OPEN & OPEN & LOW_EPOCH_BIT != 0);
const _: () = assert!((CLOSED | FORCED_CLOSED | FORCED_OPEN | RECOVERING) & LOW_EPOCH_BIT == 0);
const _: () = assert!(RECOVERING & GATED_BITS != 0);

impl Word {
    /// Closed, nothing counted, epoch 0.
    pub(crate) const INITIAL: Word = Word(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Word(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    const fn whole(tag: u64, epoch: Epoch) -> Self {
        Word(EPOCH.set(TAG.set(0, tag), epoch.number()))
    }

    const fn gated(tag: u64, epoch: Epoch) -> Self {
        Word(LOW_EPOCH.set(TAG.set(0, tag), epoch.number() & LOW_EPOCH.max()))
    }

    pub(crate) const fn closed(epoch: Epoch) -> Self {
        Self::whole(CLOSED, epoch)
    }

    pub(crate) const fn open(epoch: Epoch, deadline: Millis) -> Self {
        Word(DEADLINE.set(Self::gated(OPEN, epoch).0, deadline.bits()))
    }

    /// Without probes. The count of returns begins elsewhere for epochs whose low bits are the same, so that a word of
    /// 2¹⁹ epochs ago is another one.
    pub(crate) const fn half_open(epoch: Epoch) -> Self {
        const APART: u32 = RETURNS.width - (EPOCH.width - LOW_EPOCH.width);
        let start = epoch.number() >> LOW_EPOCH.width << APART;
        Word(RETURNS.set(Self::gated(HALF_OPEN, epoch).0, start))
    }

    pub(crate) const fn forced_open(epoch: Epoch) -> Self {
        Self::whole(FORCED_OPEN, epoch)
    }

    pub(crate) const fn forced_closed(epoch: Epoch) -> Self {
        Self::whole(FORCED_CLOSED, epoch)
    }

    /// At the first step of recovery.
    pub(crate) const fn recovering(epoch: Epoch) -> Self {
        Self::whole(RECOVERING, epoch)
    }

    /// Half-open, in the steps of recovery: no field of a half-open word is there.
    #[inline]
    pub(crate) const fn is_recovering(self) -> bool {
        TAG.get(self.0) == RECOVERING
    }

    /// Half-open, not in the steps of recovery.
    #[inline]
    pub(crate) const fn is_probing(self) -> bool {
        TAG.get(self.0) == HALF_OPEN
    }

    /// Recovering: the step, counted from 0.
    pub(crate) const fn step(self) -> u32 {
        STEP.get_u32(self.0)
    }

    pub(crate) const fn is_step_over(self) -> bool {
        STEP_IS_OVER.get(self.0) != 0
    }

    pub(crate) const fn with_step_over(self) -> Self {
        Word(STEP_IS_OVER.set(self.0, 1))
    }

    /// Returns the word with steps of this length, instead of those of the settings.
    pub(crate) fn with_step_length(self, length: StepLength) -> Self {
        Word(STEP_LENGTH.set(self.0, length.bits()))
    }

    /// Recovering: how long each step lasts; `None` if the settings decide.
    pub(crate) fn step_length(self) -> Option<StepLength> {
        StepLength::from_bits(STEP_LENGTH.get(self.0))
    }

    /// At a later step.
    pub(crate) const fn with_step(self, step: u32) -> Self {
        Word(STEP_IS_OVER.set(STEP.set(self.0, step as u64), 0))
    }

    pub(crate) const fn state(self) -> State {
        state_of(TAG.get(self.0))
    }

    #[inline]
    pub(crate) const fn tag(self) -> u64 {
        TAG.get(self.0)
    }

    #[inline]
    pub(crate) const fn has_state_of(self, other: Word) -> bool {
        is_same_state(self.tag(), other.tag())
    }

    /// All but the tag.
    pub(crate) const fn above_tag(self) -> u64 {
        self.0 >> TAG.end()
    }

    /// Whether the word holds no more of its epoch than the low bits.
    const fn has_low_epoch(self) -> bool {
        self.0 & LOW_EPOCH_BIT != 0
    }

    /// Whether this is a word of `epoch`, by as many bits of the epoch as the word holds.
    #[cfg(test)]
    pub(crate) const fn is_of(self, epoch: Epoch) -> bool {
        self.epochs_since(epoch) == 0
    }

    /// How many epochs ago `earlier` was, modulo the bits of the epoch that the word holds.
    #[inline]
    pub(crate) const fn epochs_since(self, earlier: Epoch) -> u64 {
        let epoch = if self.has_low_epoch() { LOW_EPOCH } else { EPOCH };
        (self.0 >> TAG.end()).wrapping_sub(earlier.number()) & epoch.max()
    }

    /// State and epoch of a word that holds the whole epoch.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the errors are cut off")]
    pub(crate) const fn head(self) -> Head {
        Head(self.0 as u32)
    }

    /// Closed or forced closed: every call is admitted, and the word stays as it is.
    #[inline]
    pub(crate) const fn admits_all(self) -> bool {
        self.0 & GATED_BITS == 0
    }

    /// Whether a success of a call with this head changes nothing: the word admits every call, has counted nothing, and
    /// is of the same state and epoch.
    #[inline]
    pub(crate) const fn is_bare(self, head: Head) -> bool {
        self.0 == head.0 as u64
    }

    pub(crate) const fn errors(self) -> u64 {
        ERRORS.get(self.0)
    }

    pub(crate) const fn with_errors(self, errors: u64) -> Self {
        Word(ERRORS.set(self.0, min(errors, ERRORS.max())))
    }

    pub(crate) const fn deadline(self) -> Millis {
        Millis::from_bits(DEADLINE.get(self.0))
    }

    pub(crate) const fn in_flight(self) -> u64 {
        IN_FLIGHT.get(self.0)
    }

    /// One more probe, for which there has to be room.
    pub(crate) const fn with_probe(self) -> Self {
        Word(IN_FLIGHT.set(self.0, min(self.in_flight() + 1, IN_FLIGHT.max())))
    }

    /// A probe has settled.
    pub(crate) const fn without_probe(self) -> Self {
        Word(IN_FLIGHT.set(self.0, self.in_flight().saturating_sub(1)))
    }

    /// A probe has given its place back without a verdict.
    pub(crate) const fn with_return(self) -> Self {
        let returns = (RETURNS.get(self.0) + 1) & RETURNS.max();
        Word(RETURNS.set(self.without_probe().0, returns))
    }

    /// Whether this epoch is a further round of its episode.
    pub(crate) const fn is_continued(self) -> bool {
        CONTINUED.get(self.0) != 0
    }

    /// The first word of a further round, `epoch`: one probe, the same successes and errors.
    pub(crate) const fn next_round(self, epoch: Epoch) -> Self {
        let begun = Word(CONTINUED.set(Self::half_open(epoch).0, 1)).with_probe();
        begun.with_successes(self.successes()).with_probe_errors(self.probe_errors())
    }

    pub(crate) const fn successes(self) -> u64 {
        SUCCESSES.get(self.0)
    }

    pub(crate) const fn with_successes(self, successes: u64) -> Self {
        Word(SUCCESSES.set(self.0, min(successes, SUCCESSES.max())))
    }

    pub(crate) const fn probe_errors(self) -> u64 {
        PROBE_ERRORS.get(self.0)
    }

    pub(crate) const fn with_probe_errors(self, errors: u64) -> Self {
        Word(PROBE_ERRORS.set(self.0, min(errors, PROBE_ERRORS.max())))
    }

    pub(crate) const fn raise(self) -> u64 {
        RAISE.get(self.0)
    }

    pub(crate) const fn with_raise(self, raise: u64) -> Self {
        Word(RAISE.set(self.0, min(raise, RAISE.max())))
    }
}

/// Whether a tag is one of the two that stand for half-open.
#[inline]
pub(crate) const fn is_half_open(tag: u64) -> bool {
    tag == HALF_OPEN || tag == RECOVERING
}

/// Whether two tags stand for the same state.
#[inline]
pub(crate) const fn is_same_state(tag: u64, other: u64) -> bool {
    tag == other || tag + other == HALF_OPEN + RECOVERING && is_half_open(tag)
}

/// The state that a tag stands for. No word has the tags 6 and 7.
pub(crate) const fn state_of(tag: u64) -> State {
    match tag {
        CLOSED => State::Closed,
        FORCED_CLOSED => State::ForcedClosed,
        HALF_OPEN | RECOVERING => State::HalfOpen,
        OPEN => State::Open,
        _ => State::ForcedOpen,
    }
}

#[cfg(test)]
const fn tag_of(state: State) -> u64 {
    match state {
        State::Closed => CLOSED,
        State::ForcedClosed => FORCED_CLOSED,
        State::HalfOpen => HALF_OPEN,
        State::Open => OPEN,
        State::ForcedOpen => FORCED_OPEN,
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Word");
        let epoch = if self.has_low_epoch() { LOW_EPOCH } else { EPOCH };
        out.field("state", &self.state()).field("epoch", &epoch.get(self.0));
        match self.state() {
            State::Closed => out.field("errors", &self.errors()),
            State::Open => out.field("deadline", &self.deadline()),
            State::HalfOpen if self.is_recovering() => {
                out.field("step", &self.step()).field("is_step_over", &self.is_step_over());
                out.field("step_millis", &self.step_length().map(StepLength::millis))
            }
            State::HalfOpen => out
                .field("in_flight", &self.in_flight())
                .field("successes", &self.successes())
                .field("probe_errors", &self.probe_errors())
                .field("raise", &self.raise())
                .field("is_continued", &self.is_continued()),
            State::ForcedOpen | State::ForcedClosed => &mut out,
        };
        out.finish()
    }
}

#[cfg(test)]
mod tests;
