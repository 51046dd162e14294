use crate::machine::word::{EPOCH, Epoch, FREE, TAG, Word};
use crate::rules::Rules;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicU32, OnceLock, Ordering};
use crate::window::Windows as Sliding;

/// The generation that holds, and what is timed under it.
///
/// The number of a generation, 0 for the settings that the breaker was made with, stands where a word has its counts, once
/// it is moved there. Above it are the bits that tell what is timed, so that these can never be those of another one.
pub(crate) struct Current(AtomicU32);

/// Of a generation's number.
const NUMBER: u32 = SETTLEMENTS - 1;
/// Each settlement reads the clock. Moved down by `TIMING`, the bit in which forced closed differs from closed, the one
/// state that settlements are timed in.
const SETTLEMENTS: u32 = 1 << TIMING;
/// Each admission does. Moved down by `TIMING`, one of the bits that tell, of a word, that it does not admit all.
const CALLS: u32 = 1 << 31;
const TIMING: u32 = 29;

const _: () = assert!((CALLS >> TIMING) as u64 & FREE != 0 && SETTLEMENTS >> TIMING == 1);

impl Current {
    crate::sync::const_unless_loom! {
        pub(crate) fn first() -> Self {
            Current(AtomicU32::new(0))
        }
    }

    /// With settings of its own for the first generation.
    pub(crate) fn with(rules: &Rules, lately: Option<&Sliding>) -> Self {
        Current(AtomicU32::new(timing(rules, lately)))
    }

    #[inline]
    fn bits(&self) -> u32 {
        // Acquire: pairs with the Release below. Who sees a number finds its generation.
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn number(&self) -> u32 {
        self.bits() & NUMBER
    }

    /// Whether each settlement reads the clock, by the settings that hold.
    #[inline]
    pub(crate) fn times_settlements(&self) -> bool {
        self.bits() & SETTLEMENTS != 0
    }

    /// Whether a call of `admission` was admitted under the settings that hold.
    #[inline]
    pub(crate) fn is_that_of(&self, admission: Admission) -> bool {
        self.bits() == admission.bits()
    }

    /// # Panics
    ///
    /// If there are so many generations that the number has no place.
    pub(crate) fn set(&self, number: u32, rules: &Rules, lately: Option<&Sliding>) {
        assert!(number <= NUMBER, "settings can be changed {NUMBER} times");
        self.0.store(number | timing(rules, lately), Ordering::Release);
    }

    /// Admits a call if `word` admits all and nothing has to be timed for it.
    #[inline]
    pub(crate) fn admit_freely(&self, word: Word) -> Option<Admission> {
        let bits = self.bits();
        let head = word.bits() | u64::from(bits >> TIMING);
        (head & FREE == 0).then_some(Admission(counted(bits) | head & HEAD))
    }

    /// Admits any call.
    pub(crate) fn admit(&self, word: Word) -> Admission {
        Admission(counted(self.bits()) | TAG.set(word.bits() & HEAD, TAG.max()))
    }

    /// Whether a success of a call of `admission` changes nothing. `word` is the one of now: it admits all, has counted
    /// nothing, and is of that epoch; the generation is still that one, and times no settlement.
    #[inline]
    pub(crate) fn leaves_quiet(&self, word: Word, admission: Admission) -> bool {
        // Counts add to the generation, and that only grows: the sum is what it was only if there are none and it
        // is the same.
        word.bits().wrapping_add(counted(self.bits())) == admission.0
    }
}

/// Moved to where a word has its counts.
#[inline]
fn counted(bits: u32) -> u64 {
    u64::from(bits) << EPOCH.end()
}

/// State and epoch of a word.
const HEAD: u64 = (1 << EPOCH.end()) - 1;

fn timing(rules: &Rules, lately: Option<&Sliding>) -> u32 {
    let calls = if times_calls(rules, lately) { CALLS } else { 0 };
    let settlements = if times_settlements(lately) { SETTLEMENTS } else { 0 };
    calls | settlements
}

/// What a call was admitted under: epoch, generation, and what that times. Its tag is that of the state if a success may change nothing,
/// and another one otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission(u64);

impl Admission {
    #[inline]
    pub(crate) fn epoch(self) -> Epoch {
        Word::from_bits(self.0).epoch()
    }

    pub(crate) const fn generation(self) -> u32 {
        self.bits() & NUMBER
    }

    /// Those of [`Current`].
    #[inline]
    const fn bits(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "there is nothing beyond")]
        let bits = (self.0 >> EPOCH.end()) as u32;
        bits
    }
}

/// Whether each admission reads the clock.
pub(crate) fn times_calls(rules: &Rules, lately: Option<&Sliding>) -> bool {
    rules.times_calls() || lately.is_some_and(Sliding::times_calls)
}

/// Whether each settlement does.
pub(crate) fn times_settlements(lately: Option<&Sliding>) -> bool {
    lately.is_some_and(Sliding::times_settlements)
}

/// Settings that a breaker was given later than when it was made.
pub(crate) struct Generation {
    pub(crate) rules: Rules,
    pub(crate) windows: Windows,
}

/// Where the windows of a generation are.
pub(crate) enum Windows {
    Own(Option<Box<Sliding>>),
    /// Those of this earlier generation, for its rates are the same.
    Of(u32),
}

/// All later generations. Each stays for good: a call in flight is judged by the settings that it was admitted under.
pub(crate) struct Generations {
    /// Of lengths 1, 2, 4, and so on.
    buckets: [OnceLock<Box<[OnceLock<Generation>]>>; BUCKETS],
    /// Held by who adds one.
    pub(crate) changing: Mutex<()>,
}

const BUCKETS: usize = TIMING as usize;

impl Generations {
    pub(crate) fn new() -> Self {
        Generations { buckets: [const { OnceLock::new() }; BUCKETS], changing: Mutex::new(()) }
    }

    /// The `number`th, counting from 1.
    pub(crate) fn get(&self, number: u32) -> Option<&Generation> {
        let (bucket, place) = Self::place(number);
        self.buckets[bucket].get()?[place].get()
    }

    /// Adds the one of this number, which is the next.
    pub(crate) fn add(&self, number: u32, generation: Generation) {
        let (bucket, place) = Self::place(number);
        let places = self.buckets[bucket].get_or_init(|| (0..1 << bucket).map(|_| OnceLock::new()).collect());
        places[place].get_or_init(|| generation);
    }

    fn place(number: u32) -> (usize, usize) {
        let bucket = number.ilog2();
        (bucket as usize, (number - (1 << bucket)) as usize)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::machine::millis::Millis;
    use crate::outcome::Dropped;
    use crate::window::{Rates, Span};
    use std::sync::Arc;
    use std::time::Duration;

    const LAST: Epoch = Epoch::new(EPOCH.max());

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_generation_takes_the_memory_that_its_docs_tell() {
        assert_eq!((size_of::<OnceLock<Generation>>(), size_of::<Generations>()), (128, 704));
    }

    #[test]
    fn every_generation_has_a_place_of_its_own() {
        let generations = Generations::new();
        for number in 1..=100 {
            assert!(generations.get(number).is_none());
            let rules = Rules { success_threshold: number, ..Rules::DEFAULT };
            generations.add(number, Generation { rules, windows: Windows::Of(0) });
        }
        for number in 1..=100 {
            assert_eq!(generations.get(number).map(|found| found.rules.success_threshold), Some(number));
        }
        assert!(generations.get(101).is_none());
        assert_eq!(Generations::place(NUMBER), (BUCKETS - 1, (1 << (BUCKETS - 1)) - 1));
    }

    #[test]
    fn an_admission_keeps_epoch_and_generation_apart() {
        let current = Current::first();
        for generation in [0, 1, NUMBER] {
            current.set(generation, &Rules::DEFAULT, None);
            for word in words() {
                let free = current.admit_freely(word);
                assert_eq!(free.is_some(), word.admits_all(), "{word:?}");
                for admission in free.into_iter().chain([current.admit(word)]) {
                    assert_eq!(admission.epoch(), word.epoch());
                    assert_eq!((admission.generation(), current.number()), (generation, generation));
                }
            }
        }
    }

    #[test]
    fn only_what_is_as_it_was_is_quiet() {
        let current = Current::first();
        for (then, now) in [(0, 0), (1, 1), (0, 1), (1, 2), (2, 9), (NUMBER - 1, NUMBER)] {
            for (before, after) in words().into_iter().flat_map(|before| words().map(|after| (before, after))) {
                current.set(then, &Rules::DEFAULT, None);
                let (free, other) = (current.admit_freely(before), current.admit(before));
                current.set(now, &Rules::DEFAULT, None);
                assert!(!current.leaves_quiet(after, other));
                if let Some(free) = free {
                    let expected = then == now && after.is_quiet() && before.epoch() == after.epoch();
                    let is_same_state = before.state() == after.state();
                    assert_eq!(current.leaves_quiet(after, free), expected && is_same_state, "{before:?} {after:?}");
                }
            }
        }
    }

    #[test]
    fn no_admission_is_free_where_calls_are_timed() {
        let timed = Rules { dropped_calls: Dropped::FailureAfter(Duration::MAX), ..Rules::DEFAULT };
        let current = Current::first();
        current.set(3, &timed, None);
        assert!(words().into_iter().all(|word| current.admit_freely(word).is_none()));
    }

    #[test]
    fn nothing_is_quiet_while_closed_where_settlements_are_timed() {
        let rates =
            Rates { error_rate: Some(0.5), slow: None, minimum_calls: 1, span: Span::Time(Duration::from_secs(1)) };
        let current = Current::first();
        current.set(3, &Rules::DEFAULT, Some(&Sliding::new(Arc::new(rates))));
        for word in [Word::closed(LAST), Word::INITIAL] {
            let admission = current.admit_freely(word).expect("admissions are not timed");
            assert!(!current.leaves_quiet(word, admission));
        }
    }

    fn words() -> [Word; 12] {
        let closed = Word::closed(LAST);
        [
            closed,
            closed.with_errors(1),
            closed.with_errors(2),
            closed.with_errors(7),
            closed.with_errors(u64::from(u32::MAX)),
            Word::INITIAL,
            Word::forced_closed(LAST),
            Word::half_open(LAST),
            Word::half_open(LAST).with_successes(1),
            Word::open(LAST, Millis::MAX),
            Word::open(LAST, Millis::from_bits(0)),
            Word::forced_open(LAST),
        ]
    }
}
