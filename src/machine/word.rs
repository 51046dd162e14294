use std::fmt;

use crate::machine::millis::Millis;
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
    #[expect(clippy::cast_possible_truncation, reason = "the assertion rules it out")]
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
pub(crate) const EPOCH: Field = Field::after(TAG, 19);

/// Closed: failures since the last success.
const ERRORS: Field = Field::after(EPOCH, 32);

/// Open: when the next caller becomes a probe.
const DEADLINE: Field = Field::after(EPOCH, Millis::BITS);

/// Half-open: probes admitted and not yet settled.
const IN_FLIGHT: Field = Field::after(EPOCH, 12);
/// Half-open: probe successes since the last probe failure.
const SUCCESSES: Field = Field::after(IN_FLIGHT, 10);
/// Half-open: probe failures.
const PROBE_ERRORS: Field = Field::after(SUCCESSES, 10);
/// Half-open: by how much slow start has raised the capacity.
const RAISE: Field = Field::after(PROBE_ERRORS, 10);

const _: () = assert!(ERRORS.end() <= u64::BITS);
const _: () = assert!(DEADLINE.end() == u64::BITS);
const _: () = assert!(RAISE.end() == u64::BITS);

/// The most that `half_open_capacity` and the probe thresholds may be set to.
pub(crate) const MAX_PROBES: u32 = 1023;

const _: () = assert!(MAX_PROBES as u64 == SUCCESSES.max());
const _: () = assert!(MAX_PROBES as u64 == PROBE_ERRORS.max());
const _: () = assert!(MAX_PROBES as u64 == RAISE.max());
const _: () = assert!((MAX_PROBES as u64) < IN_FLIGHT.max());

/// The epoch in a value beside the word that belongs to one epoch.
pub(crate) const EPOCH_MARK: Field = Field::first(EPOCH.width);

/// Which stretch between two transitions this is. Wraps after 524 288.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

impl Epoch {
    pub(crate) const fn new(number: u64) -> Self {
        Epoch(EPOCH.get_u32(number << EPOCH.shift))
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

    /// Whether this epoch comes after `other`, which was not long ago.
    pub(crate) const fn is_after(self, other: Self) -> bool {
        self.is_shortly_after(other, EPOCH.max() / 2)
    }

    /// Whether this is one of the `most` epochs after `other`.
    pub(crate) const fn is_shortly_after(self, other: Self, most: u64) -> bool {
        let ahead = self.since(other);
        ahead != 0 && ahead <= most
    }

    /// Whether this epoch came before `other`, when it has come to `now`. None of them is more than 524 287 ago.
    pub(crate) const fn is_before(self, other: Self, now: Self) -> bool {
        now.since(self) > now.since(other)
    }

    const fn since(self, other: Self) -> u64 {
        Epoch::new(self.number() + EPOCH.max() + 1 - other.number()).number()
    }
}

/// The whole automatic state of a breaker.
///
/// The two states that admit without a question have the tags 0 and 1, so that one test of the
/// others' bits answers a healthy call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word(u64);

const CLOSED: u64 = 0;
const FORCED_CLOSED: u64 = 1;
const HALF_OPEN: u64 = 2;
const OPEN: u64 = 3;
const FORCED_OPEN: u64 = 4;

/// The bits of the state that those which admit all do not have.
pub(crate) const FREE: u64 = 0b110;

const _: () = assert!((CLOSED | FORCED_CLOSED) & FREE == 0 && FREE | FORCED_CLOSED == TAG.max());
const _: () = assert!(HALF_OPEN & FREE != 0 && OPEN & FREE != 0 && FORCED_OPEN & FREE != 0);

impl Word {
    /// Closed, nothing counted, epoch 0.
    pub(crate) const INITIAL: Word = Word(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Word(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    const fn new(tag: u64, epoch: Epoch) -> Self {
        Word(EPOCH.set(TAG.set(0, tag), epoch.number()))
    }

    pub(crate) const fn closed(epoch: Epoch) -> Self {
        Self::new(CLOSED, epoch)
    }

    pub(crate) const fn open(epoch: Epoch, deadline: Millis) -> Self {
        Word(DEADLINE.set(Self::new(OPEN, epoch).0, deadline.bits()))
    }

    pub(crate) const fn half_open(epoch: Epoch) -> Self {
        Self::new(HALF_OPEN, epoch)
    }

    pub(crate) const fn forced_open(epoch: Epoch) -> Self {
        Self::new(FORCED_OPEN, epoch)
    }

    pub(crate) const fn forced_closed(epoch: Epoch) -> Self {
        Self::new(FORCED_CLOSED, epoch)
    }

    pub(crate) const fn state(self) -> State {
        state_of(TAG.get(self.0))
    }

    pub(crate) const fn epoch(self) -> Epoch {
        Epoch(EPOCH.get_u32(self.0))
    }

    /// Closed or forced closed: every call is admitted, and the word stays as it is.
    #[inline]
    pub(crate) const fn admits_all(self) -> bool {
        self.0 & FREE == 0
    }

    /// [`admits_all`](Self::admits_all) and nothing counted: a success changes nothing.
    pub(crate) const fn is_quiet(self) -> bool {
        self.admits_all() && self.0 >> EPOCH.end() == 0
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

    /// One more probe; none if the field has no room for it.
    pub(crate) const fn with_probe(self) -> Option<Self> {
        if self.in_flight() == IN_FLIGHT.max() {
            return None;
        }
        Some(Word(IN_FLIGHT.set(self.0, self.in_flight() + 1)))
    }

    pub(crate) const fn without_probe(self) -> Self {
        Word(IN_FLIGHT.set(self.0, self.in_flight().saturating_sub(1)))
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

/// The state that a tag stands for. The tags 5 to 7 are never written.
pub(crate) const fn state_of(tag: u64) -> State {
    match tag {
        CLOSED => State::Closed,
        FORCED_CLOSED => State::ForcedClosed,
        HALF_OPEN => State::HalfOpen,
        OPEN => State::Open,
        _ => State::ForcedOpen,
    }
}

pub(crate) const fn tag_of(state: State) -> u64 {
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
        out.field("state", &self.state()).field("epoch", &self.epoch().number());
        match self.state() {
            State::Closed => out.field("errors", &self.errors()),
            State::Open => out.field("deadline", &self.deadline()),
            State::HalfOpen => out
                .field("in_flight", &self.in_flight())
                .field("successes", &self.successes())
                .field("probe_errors", &self.probe_errors())
                .field("raise", &self.raise()),
            State::ForcedOpen | State::ForcedClosed => &mut out,
        };
        out.finish()
    }
}

#[cfg(test)]
mod tests;
