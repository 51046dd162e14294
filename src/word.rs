use std::fmt;

use crate::state::State;
use crate::time::Millis;

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
mod tests {
    use super::*;

    const LAST: Epoch = Epoch::new(EPOCH.max());

    #[test]
    fn the_fields_of_a_state_do_not_overlap() {
        for fields in [
            &[TAG, EPOCH, ERRORS][..],
            &[TAG, EPOCH, DEADLINE],
            &[TAG, EPOCH, IN_FLIGHT, SUCCESSES, PROBE_ERRORS, RAISE],
        ] {
            let mut used = 0_u64;
            for field in fields {
                let mask = field.set(0, field.max());
                assert_eq!(used & mask, 0);
                used |= mask;
            }
        }
    }

    #[test]
    fn the_layout_in_the_docs_is_the_layout_of_the_word() {
        let docs = include_str!("design.md");
        for (state, name, field) in [
            ("every", "tag", TAG),
            ("every", "epoch", EPOCH),
            ("closed", "errors", ERRORS),
            ("open", "deadline", DEADLINE),
            ("half-open", "in flight", IN_FLIGHT),
            ("half-open", "successes", SUCCESSES),
            ("half-open", "probe errors", PROBE_ERRORS),
            ("half-open", "raise", RAISE),
        ] {
            let (first, last) = (field.shift, field.end() - 1);
            let row = format!("| {name} | {state} | {first} to {last} | {} | {} |", field.width, field.max());
            assert!(docs.contains(&row), "the docs lack: {row}");
        }
        let tags = format!(
            "closed {CLOSED}, forced closed {FORCED_CLOSED}, half-open {HALF_OPEN}, open {OPEN}, forced open {FORCED_OPEN}"
        );
        assert!(docs.contains(&tags), "the docs lack: {tags}");
    }

    #[test]
    fn every_field_goes_round_at_its_bounds_and_leaves_the_others_alone() {
        for field in [TAG, EPOCH, ERRORS, DEADLINE, IN_FLIGHT, SUCCESSES, PROBE_ERRORS, RAISE] {
            for value in [0, 1, field.max() / 2, field.max()] {
                for others in [0, u64::MAX] {
                    let bits = field.set(others, value);
                    assert_eq!(field.get(bits), value);
                    assert_eq!(field.set(bits, field.get(others)), others);
                }
            }
        }
    }

    #[test]
    fn every_state_keeps_its_tag_and_epoch() {
        for epoch in [Epoch::new(0), Epoch::new(1), LAST] {
            let words = [
                (State::Closed, Word::closed(epoch).with_errors(u64::MAX)),
                (State::Open, Word::open(epoch, Millis::MAX)),
                (State::HalfOpen, Word::half_open(epoch).with_raise(u64::MAX).with_successes(u64::MAX)),
                (State::ForcedOpen, Word::forced_open(epoch)),
                (State::ForcedClosed, Word::forced_closed(epoch)),
            ];
            for (state, word) in words {
                assert_eq!(word.state(), state);
                assert_eq!(word.epoch(), epoch);
                assert_eq!(Word::from_bits(word.bits()), word);
                assert_eq!(state_of(tag_of(state)), state);
            }
        }
    }

    #[test]
    fn counts_saturate_at_the_width_of_their_field() {
        assert_eq!(Word::closed(LAST).with_errors(u64::MAX).errors(), u64::from(u32::MAX));
        let probing = Word::half_open(LAST).with_successes(5_000).with_probe_errors(5_000).with_raise(5_000);
        assert_eq!(probing.successes(), 1023);
        assert_eq!(probing.probe_errors(), 1023);
        assert_eq!(probing.raise(), 1023);
        assert_eq!(probing.in_flight(), 0);
    }

    #[test]
    fn probes_are_counted_up_to_the_width_of_their_field_and_down_to_zero() {
        let mut word = Word::half_open(LAST);
        for count in 1..=4_095 {
            word = word.with_probe().expect("there is room");
            assert_eq!(word.in_flight(), count);
        }
        assert_eq!(word.with_probe(), None);
        assert_eq!(word.without_probe().in_flight(), 4_094);
        assert_eq!(Word::half_open(LAST).without_probe(), Word::half_open(LAST));
    }

    #[test]
    fn an_epoch_wraps_to_the_first_and_still_comes_after_the_last() {
        assert_eq!(LAST.next(), Epoch::new(0));
        assert!(LAST.next().is_after(LAST));
        assert!(!LAST.is_after(LAST.next()));
        assert!(!LAST.is_after(LAST));
        assert!(Epoch::new(7).is_after(Epoch::new(3)));
        assert!(Epoch::new(1).is_shortly_after(LAST, 2));
        assert!(!Epoch::new(2).is_shortly_after(LAST, 2));
    }

    #[test]
    fn of_two_epochs_the_one_that_is_longer_ago_came_before_also_across_the_wrap() {
        let now = Epoch::new(2);
        for (earlier, later) in [(0, 1), (EPOCH.max(), 0), (EPOCH.max() - 1, EPOCH.max()), (3, 2), (3, EPOCH.max())] {
            let (earlier, later) = (Epoch::new(earlier), Epoch::new(later));
            assert!(earlier.is_before(later, now), "{earlier:?} {later:?}");
            assert!(!later.is_before(earlier, now), "{earlier:?} {later:?}");
            assert!(!later.is_before(later, now));
        }
    }

    #[test]
    fn an_epoch_is_the_number_that_it_was_made_of() {
        for number in [0, 1, 2, 524_287] {
            assert_eq!((Epoch::new(number).number(), u64::from(Epoch::new(number).number_u32())), (number, number));
        }
        assert_eq!(Epoch::new(524_288).number(), 0);
    }

    #[test]
    fn only_a_word_without_counts_that_admits_all_is_quiet() {
        assert!(Word::INITIAL.is_quiet());
        assert!(Word::closed(LAST).is_quiet());
        assert!(Word::forced_closed(LAST).is_quiet());
        assert!(!Word::closed(LAST).with_errors(1).is_quiet());
        assert!(Word::closed(LAST).with_errors(1).admits_all());
        for word in [Word::half_open(LAST), Word::open(LAST, Millis::MAX), Word::forced_open(LAST)] {
            assert!(!word.is_quiet());
            assert!(!word.admits_all());
        }
    }

    #[test]
    fn a_word_is_debugged_by_the_fields_of_its_state() {
        let text = format!("{:?}", Word::half_open(Epoch::new(3)).with_successes(1));
        assert_eq!(text, "Word { state: HalfOpen, epoch: 3, in_flight: 0, successes: 1, probe_errors: 0, raise: 0 }");
    }
}
