use std::time::Duration;

use super::ring::PerStripe;
use super::timeline::{Begins, ClockReading, Moment, Slices, Timeline};
use super::{PLACES, SLICES};
use crate::machine::cell::Cell;
use crate::machine::millis::whole_nanos;
use crate::machine::word::{Epoch, Field};
use crate::sync::{Ordering, RingU64};

/// How many slices a `slow_call_duration` is cut into.
const FINENESS: u64 = SLICES / 2;
/// Of a slice, in nanoseconds.
const SHORTEST: u64 = 1_000_000;

/// Calls in flight, so that one that hangs is seen while it hangs.
///
/// Each call is counted in the slice of its admission: one more at the admission, one less when it ends. Both counts go
/// to the stripe of the thread that makes them, so the balance of one stripe may be negative; the sum over all stripes
/// is what is still in flight of the calls that were admitted in that slice. Healthy calls are gone before their slice
/// is old, so old slices hold the calls that hang.
pub(super) struct InFlight {
    timeline: Timeline,
    /// The slices of a slow call's duration, rounded up.
    slow: u64,
    balances: PerStripe<Balances>,
}

/// The balances of one stripe, by slice.
///
/// A balance leaves its slice's word for [`older`](Self::older) when a later slice needs the word. A reader must not
/// miss it on the way: the balance of the same slice in another stripe would then look like calls that hang.
struct Balances {
    words: [RingU64; PLACES],
    /// The sum of those that have left their word, and the first slice of the era that they belong to.
    older: RingU64,
    /// How many have begun to leave ...
    leaving: RingU64,
    /// ... and how many have arrived.
    arrived: RingU64,
}

/// A balance, in two's complement. It may go round; no more than 2²⁵ calls may be in flight.
const BALANCE: Field = Field::first(26);
/// The number of a slice. It comes round after eight years in a row of the shortest slices.
const NUMBER: Field = Field::after(BALANCE, 38);

#[expect(clippy::cast_sign_loss, reason = "two's complement")]
fn pack(number: u64, balance: i64) -> u64 {
    NUMBER.set(balance as u64 & BALANCE.max(), number & NUMBER.max())
}

#[expect(clippy::cast_possible_wrap, reason = "two's complement")]
fn balance(word: u64) -> i64 {
    const UNUSED: u32 = u64::BITS - BALANCE.end();
    ((word << UNUSED) as i64) >> UNUSED
}

/// By how much the slice of `word` is older than the one with this number; negative if it is newer.
#[expect(clippy::cast_possible_wrap, reason = "a difference may be negative")]
fn age(word: u64, number: u64) -> i64 {
    const UNUSED: u32 = BALANCE.end();
    ((number.wrapping_sub(NUMBER.get(word)) << UNUSED) as i64) >> UNUSED
}

impl InFlight {
    pub(super) fn new(slow: Duration) -> Self {
        let duration = whole_nanos(slow);
        let length = duration.div_ceil(FINENESS).max(SHORTEST);
        InFlight {
            timeline: Timeline::new(length, Begins::AtAMultiple),
            slow: duration.div_ceil(length),
            balances: PerStripe::new(),
        }
    }

    /// Finds the slice of an admission.
    pub(super) fn find(&self, epoch: Epoch, now: Duration, reading: ClockReading, present: &Cell) -> Moment {
        self.timeline.find(epoch, now, reading, present)
    }

    /// Counts an admission, and returns its slice; `None` if the epoch is over.
    pub(super) fn enter(&self, stripe: usize, epoch: Epoch, now: Duration, present: &Cell) -> Option<u64> {
        // The reading has been found recent just now. If it lies far back in spite of that, the call is not tracked.
        match self.timeline.find(epoch, now, ClockReading::Some, present) {
            Moment::In { slices, .. } => {
                self.balances.of(stripe, Balances::new).add(slices.current, 1, slices.first);
                Some(slices.current)
            }
            Moment::Earlier | Moment::Late => None,
        }
    }

    /// Counts that a call, which was entered in the slice with this number, is no longer in flight.
    pub(super) fn finish(&self, stripe: usize, slice: u64) {
        let first = self.timeline.first();
        // Else the era is over, and the new one tracks its own calls.
        if slice >= first {
            self.balances.of(stripe, Balances::new).add(slice, -1, first);
        }
    }

    /// The calls of `epoch` in flight whose whole slice was admitted a slow call's duration ago.
    pub(super) fn hanging(&self, epoch: Epoch, now: Duration) -> u64 {
        let Some(slices) = self.timeline.slices(epoch, now) else { return 0 };
        // The latest slice whose last moment is a slow call's duration ago.
        let latest = slices.current.checked_sub(self.slow + 1).filter(|latest| *latest >= slices.first);
        let Some(latest) = latest else { return 0 };
        let overdue = Slices { current: latest, ..slices };
        // None: a balance is on its way just now. Whoever looks next will see.
        let sum: Option<i64> = self.balances.iter().map(|balances| balances.sum(overdue)).sum();
        // Where calls end on other stripes than they began on, a balance goes round sooner or later. The sum is right in as
        // many bits as a balance has.
        sum.and_then(|sum| u64::try_from(balance(pack(0, sum))).ok()).unwrap_or(0)
    }
}

impl Balances {
    fn new() -> Self {
        Balances {
            words: std::array::from_fn(|_| RingU64::new(0)),
            older: RingU64::new(0),
            leaving: RingU64::new(0),
            arrived: RingU64::new(0),
        }
    }

    fn add(&self, number: u64, difference: i64, first: u64) {
        let word = &self.words[(number % SLICES) as usize];
        let mut seen = word.load_to_swap(Ordering::Relaxed);
        loop {
            let age = age(seen, number);
            if age < 0 {
                // The word has gone on to a later slice.
                return self.add_to_older(difference, first);
            }
            // A balance of this era may not be lost. That of an era before may.
            let left = if age > 0 && self::age(seen, first) <= 0 { balance(seen) } else { 0 };
            let next = if age > 0 { difference } else { balance(seen) + difference };
            if left != 0 {
                self.leaving.fetch_add(1, Ordering::Release);
            }
            // Release: pairs with the Acquire in `sum`. A reader that sees the word taken sees that a balance leaves.
            let swapped = word.compare_exchange_weak(seen, pack(number, next), Ordering::Release, Ordering::Relaxed);
            if left != 0 {
                if swapped.is_ok() {
                    self.add_to_older(left, first);
                }
                self.arrived.fetch_add(1, Ordering::Release);
            }
            match swapped {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// `first`: of the era.
    fn add_to_older(&self, difference: i64, first: u64) {
        let mut seen = self.older.load_to_swap(Ordering::Relaxed);
        loop {
            let age = age(seen, first);
            if age < 0 {
                return; // Another era has begun.
            }
            let sum = if age > 0 { difference } else { balance(seen) + difference };
            match self.older.compare_exchange_weak(seen, pack(first, sum), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    /// The sum over the slices up to the current one; `None` if a balance leaves its word meanwhile.
    fn sum(&self, slices: Slices) -> Option<i64> {
        // Acquire: pairs with the Releases in `add`. What has arrived is in `older`.
        let arrived = self.arrived.load(Ordering::Acquire);
        let older = self.older.load(Ordering::Acquire);
        let older = if age(older, slices.first) == 0 { balance(older) } else { 0 };
        let words = self.words.iter().map(|word| {
            let word = word.load(Ordering::Acquire);
            let is_in = age(word, slices.current) >= 0 && age(word, slices.first) <= 0;
            if is_in { balance(word) } else { 0 }
        });
        let sum = words.sum::<i64>() + older;
        (self.leaving.load(Ordering::Acquire) == arrived).then_some(sum)
    }
}

#[cfg(test)]
pub(super) const BALANCES: usize = size_of::<Balances>();

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
