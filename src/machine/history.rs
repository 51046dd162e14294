use crate::machine::word::{EPOCH, Epoch, Field, TAG, Word, state_of, tag_of};
use crate::state::State;

const REOPENINGS: Field = Field::after(EPOCH, 10);
const CHANGES: Field = Field::after(REOPENINGS, 32);

const _: () = assert!(CHANGES.end() == u64::BITS);

/// What the word has no room for: facts about the epochs so far.
///
/// It is a function of the words that were: [`after`](Self::after) tells the history of an epoch from
/// that of the epoch before. So the stored history may trail the word by one epoch, anyone can bring it
/// up to date, and everyone who does writes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History(u64);

impl History {
    /// That of [`Word::INITIAL`].
    pub(crate) const INITIAL: History = History(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        History(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    fn state(self) -> State {
        state_of(TAG.get(self.0))
    }

    fn epoch(self) -> Epoch {
        Epoch::new(EPOCH.get(self.0))
    }

    /// Openings out of half-open since the last close. Saturates at 1023.
    pub(crate) fn reopenings(self) -> u32 {
        REOPENINGS.get_u32(self.0)
    }

    /// Changes of state so far. Wraps after 2³².
    pub(crate) fn changes(self) -> u32 {
        CHANGES.get_u32(self.0)
    }

    /// The history as of `word`, if this is it or trails it by one epoch; `None` if `word` is no
    /// longer the newest.
    pub(crate) fn as_of(self, word: Word) -> Option<Self> {
        if self.epoch() == word.epoch() {
            Some(self)
        } else if self.epoch().next() == word.epoch() {
            Some(self.after(word))
        } else {
            None
        }
    }

    /// Whether this is the history of an earlier epoch than `later`'s.
    pub(crate) fn is_before(self, later: Self) -> bool {
        later.epoch().is_after(self.epoch())
    }

    /// The history of `word`'s epoch, which follows this one's.
    #[cold]
    fn after(self, word: Word) -> Self {
        let (from, to) = (self.state(), word.state());
        let reopenings = match (from, to) {
            (_, State::Closed | State::ForcedClosed) => 0,
            (State::HalfOpen, State::Open) => (u64::from(self.reopenings()) + 1).min(REOPENINGS.max()),
            _ => u64::from(self.reopenings()),
        };
        let changes = self.changes().wrapping_add(u32::from(from != to));
        let bits = EPOCH.set(TAG.set(0, tag_of(to)), word.epoch().number());
        History(CHANGES.set(REOPENINGS.set(bits, reopenings), u64::from(changes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::millis::Millis;

    fn follow(words: &[fn(Epoch) -> Word]) -> History {
        let mut epoch = Epoch::new(0);
        let mut history = History::INITIAL;
        for word in words {
            epoch = epoch.next();
            history = history.as_of(word(epoch)).expect("one epoch further");
        }
        history
    }

    fn open(epoch: Epoch) -> Word {
        Word::open(epoch, Millis::MAX)
    }

    #[test]
    fn openings_out_of_half_open_are_counted_until_a_close() {
        let outage = [open, Word::half_open, open, Word::half_open, open];
        assert_eq!(follow(&outage).reopenings(), 2);
        assert_eq!(follow(&[open, Word::half_open, open, Word::forced_open, Word::half_open]).reopenings(), 1);
        assert_eq!(follow(&[open, Word::half_open, open, Word::closed, open]).reopenings(), 0);
        assert_eq!(follow(&[open, Word::half_open, open, Word::forced_closed]).reopenings(), 0);
    }

    #[test]
    fn an_epoch_of_the_same_state_is_no_change() {
        assert_eq!(follow(&[Word::closed, Word::closed, open, open, open]).changes(), 1);
        assert_eq!(follow(&[open, Word::closed, open]).changes(), 3);
    }

    #[test]
    fn a_word_that_is_no_longer_the_newest_has_no_history() {
        let history = follow(&[open, Word::half_open, Word::closed]);
        assert_eq!(history.as_of(Word::half_open(Epoch::new(2))), None);
        assert_eq!(history.as_of(Word::closed(Epoch::new(3)).with_errors(4)), Some(history));
    }

    #[test]
    fn a_history_is_before_those_of_later_epochs_only() {
        let [first, second] = [follow(&[open]), follow(&[open, Word::half_open])];
        assert!(first.is_before(second) && History::INITIAL.is_before(second));
        assert!(!second.is_before(first) && !second.is_before(second));
    }

    #[test]
    fn counts_end_at_the_width_of_their_fields() {
        let word = Word::half_open(Epoch::new(0));
        let full = History(CHANGES.set(REOPENINGS.set(word.bits(), REOPENINGS.max()), CHANGES.max()));
        let next = full.as_of(open(Epoch::new(1))).expect("one epoch further");
        assert_eq!(next.reopenings(), 1023);
        assert_eq!(next.changes(), 0);
        assert_eq!(History::from_bits(next.bits()), next);
    }
}
