use crate::machine::word::{EPOCH, Epoch, Field, GATED_BITS, OPEN, TAG, Word, is_half_open, is_same_state};

const REOPENINGS: Field = Field::after(EPOCH, 10);
/// Modulo 2²²: a wide count beside the history makes them exact, see [`full_count`](History::full_count).
const CHANGES: Field = Field::after(REOPENINGS, 22);

const _: () = assert!(CHANGES.end() == u64::BITS);

/// What the word has no room for: facts about the epochs so far.
///
/// It is a function of the words that were: [`as_of`](Self::as_of) computes the history of an epoch from that of the epoch
/// before. So the stored history may trail the word by one epoch. Anyone can bring it up to date, and everyone who does
/// writes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History(u64);

impl History {
    /// The history of [`Word::INITIAL`].
    pub(crate) const INITIAL: History = History(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        History(bits)
    }

    /// The history of a first word that admits every call.
    pub(crate) const fn of_first(word: Word) -> Self {
        // Tag and epoch lie in the same bits in both.
        History(word.bits())
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// The history of `word`, if `changes` changes of state came before it.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn after_changes(word: Word, changes: u64) -> Self {
        // Tag and epoch lie in the same bits in both.
        History(word.bits()).with_changes(changes)
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn with_changes(self, changes: u64) -> Self {
        History(CHANGES.set(self.0, changes & CHANGES.max()))
    }

    pub(crate) fn epoch(self) -> Epoch {
        Epoch::new(EPOCH.get(self.0))
    }

    /// Openings out of half-open since the last close. Saturates at 1023.
    pub(crate) fn reopenings(self) -> u32 {
        REOPENINGS.get_u32(self.0)
    }

    /// Changes of state so far. `floor` is an earlier count of them, less than 2²² changes ago.
    pub(crate) fn full_count(self, floor: u64) -> u64 {
        floor.wrapping_add(CHANGES.get(self.0).wrapping_sub(floor) & CHANGES.max())
    }

    /// Whether a floor has to be raised to `count`, long before the changes have gone round.
    pub(crate) const fn is_far_from(floor: u64, count: u64) -> bool {
        count.wrapping_sub(floor) > CHANGES.max() / 4
    }

    /// The history as of `word`, if this is it or trails it by one epoch; `None` if `word` is no
    /// longer the newest.
    #[inline]
    pub(crate) fn as_of(self, word: Word) -> Option<Self> {
        if word.is_headed_as(self.0) {
            return Some(self);
        }
        let next = EPOCH.set(TAG.set(self.0, word.tag()), self.epoch().next().number());
        word.is_headed_as(next).then(|| History(next).counting_from(TAG.get(self.0)))
    }

    /// Whether this trails `later`, which is of the next epoch or of the same.
    pub(crate) fn trails(self, later: Self) -> bool {
        self.epoch().next() == later.epoch()
    }

    /// With the counts as they are once the tag has come here from the tag `from`.
    fn counting_from(self, from: u64) -> Self {
        let to = TAG.get(self.0);
        let reopened = is_half_open(from) && to == OPEN && REOPENINGS.get(self.0) < REOPENINGS.max();
        let kept = if to & GATED_BITS == 0 { REOPENINGS.set(self.0, 0) } else { self.0 };
        let reopenings = kept + (u64::from(reopened) << REOPENINGS.start());
        // The changes are the highest bits: what they lose when they go round is lost.
        History(reopenings.wrapping_add(u64::from(!is_same_state(from, to)) << CHANGES.start()))
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
    fn the_steps_of_recovery_are_half_open_in_an_epoch_of_their_own() {
        let outage = [open, Word::half_open, Word::recovering];
        assert_eq!((follow(&outage).full_count(0), follow(&outage).epoch()), (2, Epoch::new(3)));
        let reopened = follow(&[open, Word::half_open, Word::recovering, open]);
        assert_eq!((reopened.full_count(0), reopened.reopenings()), (3, 1));
        assert_eq!(follow(&[open, Word::half_open, Word::recovering, Word::half_open, open]).reopenings(), 1);
        assert_eq!(follow(&[open, Word::half_open, open, Word::half_open, Word::recovering]).reopenings(), 1);
        let history = follow(&outage);
        let later = Word::recovering(Epoch::new(3)).with_step(5).with_step_over();
        assert_eq!((history.as_of(later), history.as_of(Word::half_open(Epoch::new(3)))), (Some(history), None));
    }

    #[test]
    fn an_epoch_of_the_same_state_is_no_change() {
        assert_eq!(follow(&[Word::closed, Word::closed, open, open, open]).full_count(0), 1);
        assert_eq!(follow(&[open, Word::closed, open]).full_count(0), 3);
        assert_eq!(follow(&[open, Word::half_open, |epoch| Word::half_open(epoch).next_round(epoch)]).full_count(0), 2);
    }

    #[test]
    fn a_word_that_is_no_longer_the_newest_has_no_history() {
        let history = follow(&[open, Word::half_open, Word::closed]);
        assert_eq!(history.as_of(Word::half_open(Epoch::new(2))), None);
        assert_eq!(history.as_of(Word::closed(Epoch::new(3)).with_errors(4)), Some(history));
    }

    #[test]
    fn a_history_trails_that_of_the_next_epoch_only() {
        let [first, second] = [follow(&[open]), follow(&[open, Word::half_open])];
        assert!(first.trails(second) && History::INITIAL.trails(first));
        assert!(!second.trails(first) && !second.trails(second) && !History::INITIAL.trails(second));
    }

    #[test]
    fn the_whole_epoch_of_a_word_that_holds_only_its_low_bits_is_that_of_its_history() {
        const LOW: u64 = 1 << 19;
        for number in [LOW - 1, LOW, 3 * LOW - 1, EPOCH.max() - 1, EPOCH.max()] {
            let epoch = Epoch::new(number);
            let history = History(Word::forced_open(epoch).bits());
            for word in [open(epoch.next()), Word::half_open(epoch.next()), Word::closed(epoch.next())] {
                let next = history.as_of(word).expect("one epoch further");
                assert_eq!(next.epoch(), epoch.next());
                assert_eq!(next.as_of(word), Some(next));
                assert!(history.trails(next));
            }
        }
    }

    #[test]
    fn counts_end_at_the_width_of_their_fields() {
        let word = Word::half_open(Epoch::new(0));
        let bits = TAG.set(0, word.tag());
        let full = History(CHANGES.set(REOPENINGS.set(bits, REOPENINGS.max()), CHANGES.max()));
        assert_eq!(full.as_of(word), Some(full));
        let next = full.as_of(open(Epoch::new(1))).expect("one epoch further");
        assert_eq!(u64::from(next.reopenings()), REOPENINGS.max());
        assert_eq!(CHANGES.get(next.bits()), 0);
        assert_eq!(History::from_bits(next.bits()), next);
    }

    #[test]
    fn the_full_count_of_changes_goes_on_where_those_in_the_history_wrap() {
        const ROUND: u64 = CHANGES.max() + 1;
        let with = |changes: u64| History(CHANGES.set(0, changes % ROUND));
        for floor in [0, 1, ROUND / 4, ROUND - 1, ROUND, 7 * ROUND + 5] {
            for ahead in [0, 1, ROUND / 4, ROUND - 1] {
                assert_eq!(with(floor + ahead).full_count(floor), floor + ahead, "{floor} {ahead}");
            }
            assert!(!History::is_far_from(floor, floor + ROUND / 4 - 1));
            assert!(History::is_far_from(floor, floor + ROUND / 4));
        }
    }
}
