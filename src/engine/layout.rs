//! Where healthy calls read and write.

use std::array;
use std::collections::BTreeSet;
use std::ops::Range;
use std::ptr;
use std::sync::Barrier;
use std::thread;

use super::Engine;
use super::last_failure::FailureInfo;
use super::totals::Stripe;
use crate::machine::cell::Cell;
use crate::name::Name;
use crate::outcome::Outcome;

const LINE: usize = 64;
/// The second one earns its stripe.
const THREADS: usize = 2;

type Lines = BTreeSet<usize>;

/// The cache lines of some bytes of a value.
fn lines<T>(value: &T, bytes: Range<usize>) -> Lines {
    let start = ptr::from_ref(value).addr();
    ((start + bytes.start) / LINE..=(start + bytes.end - 1) / LINE).collect()
}

fn all_of<T>(value: &T) -> Lines {
    lines(value, 0..size_of::<T>())
}

/// What every healthy call reads of a breaker.
fn read_by_all(engine: &Engine) -> Lines {
    let Engine { current, directory, shared, cold, cell, .. } = engine;
    let word = lines(cell, Cell::WORD..Cell::WORD + size_of::<u64>());
    let others = [all_of(current), all_of(directory), all_of(shared), all_of(cold), word];
    others.into_iter().flatten().collect()
}

/// What this thread's healthy calls write, once it has a stripe of its own.
fn written_here(engine: &Engine) -> Lines {
    for _ in 0..100_000 {
        let ticket = engine.admit().expect("closed");
        engine.settle(ticket, Outcome::Success, &FailureInfo::PANIC);
        if let Some(own) = engine.own_stripe() {
            return lines(own, 0..Stripe::HOT);
        }
    }
    Lines::new()
}

#[test]
fn a_healthy_call_writes_to_no_cache_line_that_another_threads_healthy_call_touches() {
    // Next to each other, so that each begins elsewhere in a line.
    let engines: [Engine; 4] = array::from_fn(|_| Engine::new(Name::new("test")));
    for engine in &engines {
        let barrier = Barrier::new(THREADS);
        let written: Vec<Lines> = thread::scope(|scope| {
            let all = array::from_fn::<_, THREADS, _>(|_| {
                scope.spawn(|| {
                    let lines = written_here(engine);
                    // No thread ends before all have begun: it would hand on its stripe.
                    barrier.wait();
                    lines
                })
            });
            all.map(|thread| thread.join().expect("no thread panics")).into()
        });
        assert!(written.iter().all(|lines| !lines.is_empty()));
        let read = read_by_all(engine);
        for (number, own) in written.iter().enumerate() {
            assert!(own.is_disjoint(&read), "thread {number} writes {own:x?}, all read {read:x?}");
            let mut others = written.iter().enumerate().filter(|(other, _)| *other != number);
            let shared = others.find(|(_, lines)| !own.is_disjoint(lines));
            assert!(shared.is_none(), "thread {number} writes {own:x?}, so does {shared:x?}");
        }
    }
}
