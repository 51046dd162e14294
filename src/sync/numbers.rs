//! A small number for each thread, of which no two that run at the same time have the same.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use parking_lot::Mutex;

/// The number of a thread that has not taken one.
const NONE: u32 = 0;

std::thread_local! {
    // Without a destructor, so that it can be read for as long as the thread runs.
    static NUMBER: Cell<u32> = const { Cell::new(NONE) };

    static GIVES_BACK: GivesBack = const { GivesBack(Cell::new(NONE)) };
    // For a number that is taken by a destructor that runs after the one above.
    static GIVES_BACK_LATE: GivesBack = const { GivesBack(Cell::new(NONE)) };
}

/// This thread's number, or [`NONE`] if it has not taken one yet.
#[inline]
pub(crate) fn thread_number() -> u32 {
    NUMBER.get()
}

/// This thread's number, if it has taken one.
#[inline]
pub(crate) fn taken_thread_number() -> Option<u32> {
    Some(NUMBER.get()).filter(|&number| number != NONE)
}

/// This thread's number, which it takes now if it has none.
pub(crate) fn thread_number_or_take() -> u32 {
    match NUMBER.get() {
        NONE => take(),
        number => number,
    }
}

/// Those that no thread has, of those that one had, and the largest so far.
struct Numbers {
    free: BinaryHeap<Reverse<u32>>,
    largest: u32,
}

/// Who takes a number after another thread gave it back sees by this lock all that thread wrote before.
static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { free: BinaryHeap::new(), largest: NONE });

#[cold]
fn take() -> u32 {
    let number = NUMBERS.lock().take();
    NUMBER.set(number);
    let keep = |guard: &GivesBack| guard.0.set(number);
    // If both have run already, which takes a breaker in a destructor that runs after them, the number stays taken.
    let _ = GIVES_BACK.try_with(keep).or_else(|_| GIVES_BACK_LATE.try_with(keep));
    number
}

impl Numbers {
    fn take(&mut self) -> u32 {
        // The smallest first: what threads find by their numbers is quickest to find by small ones.
        if let Some(Reverse(number)) = self.free.pop() {
            return number;
        }
        self.largest += 1;
        self.largest
    }
}

/// Gives a thread's number back when the thread ends.
struct GivesBack(Cell<u32>);

impl Drop for GivesBack {
    fn drop(&mut self) {
        let number = self.0.get();
        if number != NONE {
            // First, so that a destructor that runs after this one takes another.
            NUMBER.set(NONE);
            NUMBERS.lock().free.push(Reverse(number));
        }
    }
}

/// Runs `f` as if on the thread with that number, which no other test may use.
#[cfg(test)]
pub(crate) fn with_thread_number(number: u32, f: impl FnOnce()) {
    let own = NUMBER.replace(number);
    f();
    NUMBER.set(own);
}
