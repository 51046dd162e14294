use crate::machine::word::{
    CLOSED, EPOCH, Epoch, Field, GATED_BITS, HALF_OPEN, OPEN, TAG, Word, is_half_open, is_same_state,
};

const REOPENINGS: Field = Field::after(EPOCH, 10);
/// Modulo 2²²: a wide count beside the history makes them exact, see [`full_count`](History::full_count).
const CHANGES: Field = Field::after(REOPENINGS, 22);

const _: () = assert!(CHANGES.end() == u64::BITS);

/// The most regular steps that may lead from closed, through the stored history, to the word.
const MOST_BEHIND: u64 = 1_023;

/// What the word has no room for: facts about the epochs so far.
///
/// It is a function of earlier words. Most steps are regular: from closed to open, from open to half-open, and
/// from half-open to closed, without steps of recovery. If only regular steps lead from a stored history to a word, the
/// word's history follows from their number. After a step of another kind, it follows from the history of the epoch before.
///
/// So the stored history may trail the word by up to [`MOST_BEHIND`] regular steps, or by one step of another kind.
/// Before a step that would take the word further, the stored history is brought up to date. Any thread can do that, and
/// all of them write the same.
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

    fn tag(self) -> u64 {
        TAG.get(self.0)
    }

    /// Whether this trails `later`, which is of the same or a later epoch.
    pub(crate) fn trails(self, later: Self) -> bool {
        (1..=MOST_BEHIND).contains(&later.epoch().since(self.epoch()))
    }

    /// Returns the history with another tag, `ahead` epochs later.
    fn with_head(self, tag: u64, ahead: u64) -> Self {
        let epoch = self.epoch().number() + ahead;
        History(EPOCH.set(TAG.set(self.0, tag), epoch & EPOCH.max()))
    }

    /// Returns the history with the counts after this many regular steps. A close on the way ends the count of reopenings.
    fn after_regular_steps(self, steps: u64, passed_close: bool) -> Self {
        let kept = if passed_close { REOPENINGS.set(self.0, 0) } else { self.0 };
        // The changes are the highest bits, so a carry when they wrap is dropped.
        History(kept.wrapping_add(steps << CHANGES.start()))
    }

    /// With the counts as they are once the tag has come here from the tag `from`.
    fn counting_from(self, from: u64) -> Self {
        let to = TAG.get(self.0);
        let reopened = is_half_open(from) && to == OPEN && REOPENINGS.get(self.0) < REOPENINGS.max();
        let kept = if to & GATED_BITS == 0 { REOPENINGS.set(self.0, 0) } else { self.0 };
        let reopenings = kept + (u64::from(reopened) << REOPENINGS.start());
        // The changes are the highest bits, so a carry when they wrap is dropped.
        History(reopenings.wrapping_add(u64::from(!is_same_state(from, to)) << CHANGES.start()))
    }
}

/// The history of a word, and what it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    /// The history that is stored beside the word, which may trail it.
    pub(crate) stored: History,
    /// The history of the word.
    pub(crate) history: History,
    /// How many regular steps lead from closed, through the stored history, to the word; [`NOWHERE`] or more if a step of
    /// another kind is among them.
    steps: u64,
}

impl Past {
    /// `None` if `word` is no longer the newest.
    #[inline]
    pub(crate) fn of(stored: History, word: Word) -> Option<Self> {
        let ahead = word.epochs_since(stored.epoch());
        let steps = turn(stored.tag()) + ahead;
        if ahead == 0 {
            return (word.tag() == stored.tag()).then_some(Past { stored, history: stored, steps });
        }
        let next = stored.with_head(word.tag(), ahead);
        if is_regular(steps, word.tag()) {
            return Some(Past { stored, history: next.after_regular_steps(ahead, steps >= TURNS), steps });
        }
        (ahead == 1).then(|| Past { stored, history: next.counting_from(stored.tag()), steps: NOWHERE })
    }

    /// Whether the stored history may stay when the word goes on to the tag `next`.
    #[inline]
    pub(crate) fn may_stay(&self, next: u64) -> bool {
        is_regular(self.steps + 1, next)
    }
}

/// How many regular steps lead from a state to itself.
const TURNS: u64 = 3;

/// More than any number of steps.
const NOWHERE: u64 = 1 << EPOCH.end();

/// How many regular steps lead from closed to this tag. None lead to the steps of recovery, nor to a forced state.
const fn turn(tag: u64) -> u64 {
    match tag {
        CLOSED => 0,
        OPEN => 1,
        HALF_OPEN => 2,
        _ => NOWHERE,
    }
}

/// Whether this many regular steps lead from closed to this tag, and are not too many.
const fn is_regular(steps: u64, tag: u64) -> bool {
    steps <= MOST_BEHIND && steps % TURNS == turn(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::millis::Millis;

    impl History {
        fn as_of(self, word: Word) -> Option<Self> {
            Past::of(self, word).map(|past| past.history)
        }
    }

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
    fn a_history_trails_those_of_later_epochs_only() {
        let [first, second] = [follow(&[open]), follow(&[open, Word::half_open])];
        assert!(first.trails(second) && History::INITIAL.trails(first) && History::INITIAL.trails(second));
        assert!(!second.trails(first) && !second.trails(second));
    }

    const REGULAR: [fn(Epoch) -> Word; 3] = [Word::closed, open, Word::half_open];

    /// Of an epoch in which the breaker has been in that state since `changes` changes, as the history of each epoch
    /// follows from that of the one before.
    fn regular(start: Epoch, turns: usize, steps: usize) -> Vec<(Word, History)> {
        let word = |step: usize| {
            let epoch = Epoch::new(start.number() + step as u64);
            REGULAR[(turns + step) % 3](epoch)
        };
        let (first, kept) = (word(0), if turns % 3 == 0 { 0 } else { 5 });
        let history = REOPENINGS.set(EPOCH.set(first.tag(), start.number()), kept);
        let mut found = vec![(first, History(history).with_changes(CHANGES.max() - 2))];
        for step in 1..=steps {
            let next = found[step - 1].1.as_of(word(step)).expect("one epoch further");
            found.push((word(step), next));
        }
        found
    }

    #[test]
    fn after_any_regular_steps_the_history_is_what_it_is_after_one_at_a_time() {
        const LOW: u64 = 1 << 19;
        for (start, turns) in
            [0, LOW - 3, EPOCH.max() - 4].into_iter().flat_map(|start| [0, 1, 2].map(|turns| (start, turns)))
        {
            let all = regular(Epoch::new(start), turns, 12);
            for (from, (_, stored)) in all.iter().enumerate() {
                for (word, history) in &all[from..] {
                    assert_eq!(stored.as_of(*word), Some(*history), "{stored:?} {word:?}");
                }
            }
        }
    }

    #[test]
    fn a_history_stays_for_as_long_as_all_steps_are_regular_and_not_too_many() {
        let most = usize::try_from(MOST_BEHIND).expect("few");
        let all = regular(Epoch::new(9), 0, most + 2);
        let stored = all[0].1;
        for (step, (word, history)) in all.iter().enumerate().take(most + 1) {
            let past = Past::of(stored, *word).expect("regular steps");
            assert_eq!(past.history, *history);
            let next = all[step + 1].0;
            assert_eq!(past.may_stay(next.tag()), step < most, "{step}");
            let forced = [Word::forced_open, Word::forced_closed, Word::recovering];
            let others = REGULAR.into_iter().chain(forced).map(|word| word(Epoch::new(0)));
            for other in others.filter(|other| other.tag() != next.tag()) {
                assert!(!past.may_stay(other.tag()), "{step} {other:?}");
            }
        }
        assert_eq!(stored.as_of(all[most + 1].0), None);
    }

    #[test]
    fn nothing_may_stay_behind_a_step_that_is_not_regular() {
        let begun = History::INITIAL;
        for (word, next) in [
            (Word::forced_open as fn(_) -> _, Word::half_open as fn(_) -> _),
            (Word::half_open, Word::closed),
            (Word::closed, open),
        ] {
            let past = Past::of(begun, word(Epoch::new(1))).expect("one epoch further");
            assert!(!past.may_stay(next(Epoch::new(2)).tag()));
        }
        let half_open = follow(&[open, Word::half_open]);
        let recovering = Past::of(half_open, Word::recovering(Epoch::new(3))).expect("one epoch further");
        assert!(!recovering.may_stay(CLOSED) && !recovering.may_stay(OPEN));
        // In two steps from closed to half-open, by another way than open.
        let first = begun.as_of(Word::forced_open(Epoch::new(1))).expect("one epoch further");
        assert!(first.as_of(Word::half_open(Epoch::new(2))).is_some());
        assert_eq!(first.as_of(Word::closed(Epoch::new(3))), None);
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
