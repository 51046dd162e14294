//! The time of a window, cut into slices.

use std::time::Duration;

use super::SLICES;
use crate::machine::cell::Cell;
use crate::machine::millis::whole_nanos;
use crate::machine::word::Epoch;
use crate::sync::{Mutex, Ordering, RingU64};

/// Numbers the slices of a window, in one order for all threads.
///
/// A slice follows upon another by time. An *era* is a run of slices that may be counted together: it begins with the
/// first call of an epoch, and anew where the clock has stepped back by more than a slice. No two slices have the same
/// number, so a count that is marked with its slice's number needs no other mark. Where the clock is far ahead of the
/// current slice, most of the slices between get no number: those who count have room for so many only.
///
/// Threads read the current slice without a lock. The one that finds it over locks it and moves on: once a slice,
/// for all threads together.
pub(super) struct Timeline {
    /// The length of a slice, in nanoseconds.
    length: u64,
    begins: Begins,
    changing: Mutex<()>,
    /// The number of the current slice. [`CHANGING`] while the fields below are written: no two states of them have the
    /// same number.
    current: RingU64,
    epoch: RingU64,
    /// The number of the era's first slice.
    first: RingU64,
    /// When the current slice began, in nanoseconds.
    start: RingU64,
}

/// Where the first slice of an era begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// With the call that begins the era.
    WithItsFirstCall,
    /// At a multiple of its length, before that call.
    AtAMultiple,
}

const CHANGING: u64 = u64::MAX;
/// The epoch of an era that has not begun.
const NO_EPOCH: u64 = u64::MAX;
/// By how much the number goes on at most. A count that is this number of slices old has left every ring.
const FARTHEST: u64 = 2 * SLICES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Now {
    epoch: u64,
    current: u64,
    first: u64,
    start: u64,
}

/// The slices that a window consists of at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slices {
    /// The era's first.
    pub(super) first: u64,
    /// The slice of the present.
    pub(super) current: u64,
}

impl Slices {
    /// Whether the slice with this number is one of the latest `many`.
    pub(super) fn has(self, number: u64, many: u64) -> bool {
        number >= self.first && number <= self.current && self.current - number < many
    }
}

/// Where a moment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// In the current slice. `is_new`: this thread has begun it.
    In { slices: Slices, is_new: bool },
    /// More than a slice before the current one, by a reading of the clock that may simply be old.
    Earlier,
    /// In an epoch that is over.
    Late,
}

/// How sure it is that a moment is the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockReading {
    /// The clock was read some time ago.
    Some,
    /// The clock was read again because an earlier reading lay far back.
    Again,
}

impl Timeline {
    pub(super) fn new(length: u64, begins: Begins) -> Self {
        Timeline {
            length,
            begins,
            changing: Mutex::new(()),
            current: RingU64::new(0),
            epoch: RingU64::new(NO_EPOCH),
            first: RingU64::new(0),
            start: RingU64::new(0),
        }
    }

    /// Finds the slice of a call of `epoch` that ends, or begins, at `now`. `present` is the cell of the breaker.
    #[inline]
    pub(super) fn find(&self, epoch: Epoch, now: Duration, reading: ClockReading, present: &Cell) -> Moment {
        let time = whole_nanos(now);
        match self.read_unlocked() {
            Some(seen) if seen.epoch == epoch.number() && self.is_in_current(seen, time) => {
                Moment::In { slices: seen.slices(), is_new: false }
            }
            _ => self.find_elsewhere(epoch, time, reading, present),
        }
    }

    /// Within the current slice, or earlier by less than a slice: another thread has read the clock a little later.
    #[inline]
    fn is_in_current(&self, seen: Now, time: u64) -> bool {
        // Either difference is far larger than a slice where it would be negative, but for `before` where the time is near
        // the end of its range.
        let (after, before) = (time.wrapping_sub(seen.start), seen.start.wrapping_sub(time));
        after < self.length || before <= self.length && time < seen.start
    }

    #[cold]
    fn find_elsewhere(&self, epoch: Epoch, time: u64, reading: ClockReading, present: &Cell) -> Moment {
        let _changing = self.changing.lock();
        let seen = self.fields();
        let next = if seen.epoch != epoch.number() {
            // An epoch that is not in the word is over. One that is in the word is later than all that were.
            if !present.is_in(epoch) {
                return Moment::Late;
            }
            self.new_era(seen, epoch, time)
        } else if self.is_in_current(seen, time) {
            return Moment::In { slices: seen.slices(), is_new: false };
        } else if time < seen.start {
            if reading == ClockReading::Some {
                return Moment::Earlier;
            }
            self.new_era(seen, epoch, time)
        } else {
            self.moved_on(seen, time)
        };
        self.write(next);
        Moment::In { slices: next.slices(), is_new: true }
    }

    /// The first slice of the era.
    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    /// The slices at `now`, if a call of `epoch` has been counted.
    pub(super) fn slices(&self, epoch: Epoch, now: Duration) -> Option<Slices> {
        let seen = self.read();
        let time = whole_nanos(now);
        let is_over = time >= seen.start.saturating_add(self.length);
        let current = if is_over { self.moved_on(seen, time) } else { seen };
        (seen.epoch == epoch.number()).then_some(current.slices())
    }

    /// Whether the window is still that of `slices`, or one of later slices that nobody has begun.
    pub(super) fn is_still(&self, slices: Slices) -> bool {
        let seen = self.read().slices();
        seen.first == slices.first && seen.current <= slices.current
    }

    /// The first slice of another era.
    fn new_era(&self, seen: Now, epoch: Epoch, time: u64) -> Now {
        let first = seen.current + 1;
        let start = match self.begins {
            Begins::WithItsFirstCall => time,
            Begins::AtAMultiple => time - time % self.length,
        };
        Now { epoch: epoch.number(), current: first, first, start }
    }

    fn moved_on(&self, seen: Now, time: u64) -> Now {
        let slices = (time - seen.start) / self.length;
        Now { current: seen.current + slices.min(FARTHEST), start: seen.start + slices * self.length, ..seen }
    }

    #[inline]
    fn read_unlocked(&self) -> Option<Now> {
        // Acquire, all of them: what is read between two readings of the same number belongs to it.
        let current = self.current.load(Ordering::Acquire);
        let now = Now { current, ..self.fields() };
        (current != CHANGING && self.current.load(Ordering::Acquire) == current).then_some(now)
    }

    fn read(&self) -> Now {
        self.read_unlocked().unwrap_or_else(|| {
            let _changing = self.changing.lock();
            self.fields()
        })
    }

    #[inline]
    fn fields(&self) -> Now {
        Now {
            current: self.current.load(Ordering::Relaxed),
            epoch: self.epoch.load(Ordering::Acquire),
            first: self.first.load(Ordering::Acquire),
            start: self.start.load(Ordering::Acquire),
        }
    }

    /// The lock is held.
    fn write(&self, next: Now) {
        // Release, all of them: pairs with the Acquires in `read_unlocked`. A reader that sees a part of the new sees that
        // it is being written.
        self.current.store(CHANGING, Ordering::Release);
        self.epoch.store(next.epoch, Ordering::Release);
        self.first.store(next.first, Ordering::Release);
        self.start.store(next.start, Ordering::Release);
        self.current.store(next.current, Ordering::Release);
    }
}

impl Now {
    fn slices(self) -> Slices {
        Slices { first: self.first, current: self.current }
    }
}
