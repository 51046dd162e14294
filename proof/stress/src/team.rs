//! Threads in the one way that the sanitizer of threads understands without a standard library that was built for it:
//! `spawn` and `join`.
//!
//! They begin one after the other and end one after the other, because for each the `thread_local` crate takes a
//! lock of the standard library, and two threads that want that lock at once synchronize unseen. What they share is
//! leaked: the last drop of an `Arc` rests on a fence.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

/// How many threads a team has.
pub(crate) const THREADS: usize = 4;

/// Where leaked memory can be seen from, so that it is no leak to the sanitizers.
static KEPT: Mutex<Vec<&'static (dyn Any + Sync)>> = Mutex::new(Vec::new());

/// Remembers what was leaked.
pub(crate) fn keep<T: Any + Sync>(leaked: &'static T) {
    KEPT.lock().push(leaked);
}

struct Gates {
    ready: AtomicUsize,
    /// How many may go on to end.
    dismissed: AtomicUsize,
    done: AtomicUsize,
}

/// Runs `work` on all threads of a team at once, each with its number. `greet` runs on each thread first, while no
/// other one does anything. Returns the sum of what `work` did.
pub(crate) fn at_once<T: Sync>(shared: &'static T, greet: fn(&'static T), work: fn(&'static T, usize) -> u64) -> u64 {
    let gates: &'static Gates = Box::leak(Box::new(Gates {
        ready: AtomicUsize::new(0),
        dismissed: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
    }));
    keep(gates);
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let thread = thread::spawn(move || {
                greet(shared);
                gates.ready.fetch_add(1, Ordering::AcqRel);
                wait_for(&gates.ready, THREADS);
                let worked = work(shared, number);
                gates.done.fetch_add(1, Ordering::AcqRel);
                wait_for(&gates.done, THREADS);
                wait_for(&gates.dismissed, number + 1);
                worked
            });
            wait_for(&gates.ready, number + 1);
            thread
        })
        .collect();
    let mut sum = 0;
    for (number, thread) in threads.into_iter().enumerate() {
        gates.dismissed.store(number + 1, Ordering::Release);
        sum += thread.join().expect("no thread of a team panics");
    }
    sum
}

fn wait_for(count: &AtomicUsize, least: usize) {
    while count.load(Ordering::Acquire) < least {
        thread::yield_now();
    }
}
