//! Rings of slices: one for each stripe, so that threads that count at the same time do not meet.

use super::timeline::Slices;
use super::{PLACES, SLICES};
use crate::sync::{CountBox, Ordering, RingU64};

/// Counts by slice.
///
/// A count shares a word with the number of its slice, so one write counts, and begins the count of a new slice where the
/// word holds that of an old one. Where several threads write, it is a swap.
#[derive(Debug)]
pub(super) struct Ring {
    words: [RingU64; PLACES],
    /// The latest slice that has been counted in, so that a reader skips a ring that is out of use.
    newest: RingU64,
}

/// How a word is divided: the number of the slice, and below it `count_bits` bits of the count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    count_bits: u32,
}

impl Packing {
    /// For slices of this many nanoseconds. No thread counts more than one call in a nanosecond, and none keeps that up
    /// for the five hours that fill 44 bits.
    pub(super) fn for_slices_of(length: u64) -> Self {
        let bits = u64::BITS - length.leading_zeros();
        Packing { count_bits: bits.clamp(20, 44) }
    }

    pub(super) fn most(self) -> u64 {
        (1 << self.count_bits) - 1
    }

    fn count(self, word: u64) -> u64 {
        word & self.most()
    }

    fn number(self, word: u64) -> u64 {
        word >> self.count_bits
    }

    /// As much of the number as a word has room for.
    fn cut(self, number: u64) -> u64 {
        number << self.count_bits >> self.count_bits
    }

    fn pack(self, number: u64, count: u64) -> u64 {
        number << self.count_bits | count
    }

    /// Whether the slice of `word` comes after the one with this number, where a thread counts in a slice that has just
    /// been over. A word that has not been touched for long may hold any number, and is not later.
    fn is_later(self, word: u64, number: u64) -> bool {
        let ahead = self.cut(self.number(word).wrapping_sub(number));
        ahead != 0 && ahead <= 2 * SLICES
    }

    /// The whole number of the slice of `word`, if it is among the latest of `slices`.
    pub(super) fn recent(self, word: u64, slices: Slices) -> Option<u64> {
        let age = self.cut(slices.current.wrapping_sub(self.number(word)));
        let number = slices.current.checked_sub(age)?;
        slices.has(number, SLICES).then_some(number)
    }
}

/// How many threads count in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    One,
    Several,
}

impl Writers {
    /// Who counts in the rings of the stripe with this index: the owner alone, or all whose place it is.
    #[inline]
    pub(super) fn of(stripe: usize) -> Self {
        if stripe < super::OWNED { Writers::One } else { Writers::Several }
    }
}

impl Ring {
    pub(super) fn new() -> Self {
        Ring { words: std::array::from_fn(|_| RingU64::new(0)), newest: RingU64::new(0) }
    }

    /// Counts one in the slice with this number. One that has left the ring counts no more: it has left the window, too.
    #[inline(never)]
    pub(super) fn count(&self, packing: Packing, number: u64, writers: Writers) {
        let word = &self.words[(number % SLICES) as usize];
        match writers {
            Writers::One => {
                if let Some(next) = self.counted(packing, number, word.load(Ordering::Relaxed)) {
                    // Release: pairs with the Acquire in `sum`. A reader that sees an error sees that its call has ended.
                    word.store(next, Ordering::Release);
                }
            }
            Writers::Several => self.count_by_swap(packing, number, word),
        }
    }

    #[inline(never)]
    fn count_by_swap(&self, packing: Packing, number: u64, word: &RingU64) {
        let mut seen = word.load_to_swap(Ordering::Relaxed);
        while let Some(next) = self.counted(packing, number, seen) {
            // Release as in `count`. Acquire: and it sees the newest slice, which the thread that was first in this one has
            // stored.
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// What a count in the slice with this number makes of `word`, unless that slice has left the ring.
    #[inline]
    fn counted(&self, packing: Packing, number: u64, word: u64) -> Option<u64> {
        if packing.number(word) == packing.cut(number) {
            return Some(if packing.count(word) < packing.most() { word + 1 } else { word });
        }
        if packing.is_later(word, number) {
            return None;
        }
        // Before the count, so that no reader that should see it skips the ring.
        self.newest.fetch_max(number, Ordering::Relaxed);
        Some(packing.pack(number, 1.min(packing.most())))
    }

    /// The count of all recent slices.
    pub(super) fn sum(&self, packing: Packing, slices: Slices) -> u64 {
        let newest = self.newest.load(Ordering::Acquire);
        if newest < slices.first || newest.saturating_add(SLICES) <= slices.current {
            return 0;
        }
        let recent = self.words.iter().map(|word| {
            let word = word.load(Ordering::Acquire);
            if packing.recent(word, slices).is_some() { packing.count(word) } else { 0 }
        });
        recent.sum()
    }
}

/// A `T` for each stripe that calls are counted in, made when it is first needed.
pub(super) struct PerStripe<T> {
    /// The first few, then the others.
    few: [CountBox<T>; FEW],
    rest: CountBox<Box<[CountBox<T>]>>,
    /// A bit for each that is made, or about to be.
    used: RingU64,
}

/// Those that a breaker has without a table of stripes.
const FEW: usize = 3;

impl<T> PerStripe<T> {
    pub(super) fn new() -> Self {
        PerStripe { few: std::array::from_fn(|_| CountBox::new()), rest: CountBox::new(), used: RingU64::new(0) }
    }

    /// The one of the stripe with this index.
    #[inline]
    pub(super) fn of(&self, stripe: usize, make: impl Fn() -> T) -> &T {
        match self.find(stripe) {
            Some(found) => found,
            None => self.make(stripe, make),
        }
    }

    fn find(&self, stripe: usize) -> Option<&T> {
        match stripe.checked_sub(FEW) {
            None => self.few[stripe].get(),
            Some(index) => self.rest.get()?.get(index)?.get(),
        }
    }

    #[cold]
    fn make(&self, stripe: usize, make: impl Fn() -> T) -> &T {
        let place = match stripe.checked_sub(FEW) {
            None => &self.few[stripe],
            Some(index) => {
                let rest = || (FEW..super::STRIPES).map(|_| CountBox::new()).collect::<Box<[_]>>();
                &self.rest.get_or_init(|| Box::new(rest()))[index]
            }
        };
        // Before it is made: another thread may count there as soon as it is, and a reader must not miss that. Release: pairs
        // with the Acquire in `iter`.
        self.used.fetch_or(1 << stripe, Ordering::AcqRel);
        place.get_or_init(|| Box::new(make()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut used = self.used.load(Ordering::Acquire);
        let stripes = std::iter::from_fn(move || {
            let stripe = (used != 0).then_some(used.trailing_zeros() as usize)?;
            used &= used - 1;
            Some(stripe)
        });
        stripes.filter_map(|stripe| self.find(stripe))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const PACKING: Packing = Packing { count_bits: 20 };

    fn at(current: u64) -> Slices {
        Slices { first: 3, current }
    }

    #[test]
    fn a_slice_is_counted_until_it_is_too_old() {
        let ring = Ring::new();
        (0..5).for_each(|_| ring.count(PACKING, 7, Writers::One));
        ring.count(PACKING, 8, Writers::One);
        assert_eq!([7, 8, 22, 23, 24].map(|current| ring.sum(PACKING, at(current))), [5, 6, 6, 1, 0]);
    }

    #[test]
    fn a_slice_before_the_era_or_after_the_present_is_not_counted() {
        let ring = Ring::new();
        ring.count(PACKING, 7, Writers::One);
        ring.count(PACKING, 9, Writers::One);
        assert_eq!(ring.sum(PACKING, Slices { first: 8, current: 9 }), 1);
        assert_eq!(ring.sum(PACKING, at(8)), 1);
    }

    #[test]
    fn a_slice_gives_way_to_a_later_one_and_not_the_other_way_round() {
        let ring = Ring::new();
        (0..5).for_each(|_| ring.count(PACKING, 7, Writers::One));
        ring.count(PACKING, 7 + SLICES, Writers::One);
        ring.count(PACKING, 7, Writers::One);
        assert_eq!(ring.sum(PACKING, at(7 + SLICES)), 1);
    }

    #[test]
    fn counts_end_at_their_largest_value_and_leave_the_number_alone() {
        let packing = Packing { count_bits: 2 };
        let ring = Ring::new();
        (0..9).for_each(|_| ring.count(packing, 7, Writers::One));
        assert_eq!(ring.sum(packing, at(7)), 3);
    }

    #[test]
    fn numbers_go_on_where_a_word_has_no_room_for_all_of_them() {
        let packing = Packing { count_bits: 52 };
        let ring = Ring::new();
        // A word that has not been touched is one of slice 0, which is not far ahead of the last number that has room.
        for number in 4_000..=4_100 {
            ring.count(packing, number, Writers::One);
        }
        assert_eq!(ring.sum(packing, Slices { first: 3, current: 4_100 }), SLICES);
        ring.count(packing, 4_100 + SLICES, Writers::One);
        ring.count(packing, 4_100, Writers::One);
        assert_eq!(ring.sum(packing, Slices { first: 3, current: 4_100 + SLICES }), 1);
    }

    #[test]
    fn a_count_has_room_for_a_call_in_each_nanosecond_of_its_slice() {
        for (length, bits) in [(1, 20), (1_000_000, 20), (625_000_000, 30), (1_971_000_000_000_000, 44)] {
            assert_eq!(Packing::for_slices_of(length).count_bits, bits);
        }
    }

    #[test]
    fn one_that_several_threads_count_in_is_told_of_before_any_of_them_finds_it() {
        let all = PerStripe::new();
        for stripe in [super::super::STRIPES - 1, 2] {
            all.of(stripe, || assert_ne!(all.used.load(Ordering::Acquire) & 1 << stripe, 0));
        }
    }

    #[test]
    fn one_that_is_about_to_be_made_hides_no_other() {
        let all = PerStripe::new();
        all.of(2, || 7);
        all.of(super::super::STRIPES - 1, || 8);
        all.used.fetch_or(0b1010, Ordering::AcqRel);
        assert_eq!(all.iter().sum::<usize>(), 15);
    }

    #[test]
    fn each_stripe_has_its_own() {
        let all = PerStripe::new();
        for stripe in [0, 2, 1, super::super::STRIPES - 1, 3] {
            assert_eq!(*all.of(stripe, || stripe), stripe);
            assert_eq!(*all.of(stripe, || 99), stripe);
        }
        assert_eq!(all.iter().sum::<usize>(), 3 + 3 + super::super::STRIPES - 1);
    }
}
