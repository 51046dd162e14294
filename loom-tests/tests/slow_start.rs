//! Slow start raises the capacity by one for each success, up to its maximum.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, Sched, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::State;

#[test]
fn a_success_frees_its_slot_and_one_more() {
    explore_crowded(&[Sched], [(0, 2), (1, 1), (2, 0)], || admitted_and_free(0));
}

#[test]
fn at_the_maximum_a_success_frees_its_slot_only() {
    explore_crowded(&[Sched], [(1, 1), (2, 0)], || admitted_and_free(1));
}

#[test]
fn two_successes_at_once_raise_to_the_maximum() {
    explore(&BOTH, [3], || {
        let breaker = shared(builder().0.half_open_capacity(2).half_open_max_capacity(3).success_threshold(9));
        breaker.transition_to(State::HalfOpen);
        let probes = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        let threads = probes.map(|probe| thread::spawn(move || probe.success()));
        joined(threads);
        let held = [(); 4].map(|()| breaker.try_acquire_owned().ok());
        held.iter().flatten().count()
    });
}

/// A probe succeeds, as `earlier` ones did, while two callers ask; tells how many of them were admitted and
/// how many slots are free then. The capacity is 1, and 2 at most.
fn admitted_and_free(earlier: usize) -> (usize, usize) {
    let breaker = shared(builder().0.half_open_max_capacity(2).success_threshold(9));
    breaker.transition_to(State::HalfOpen);
    for _ in 0..earlier {
        breaker.try_acquire().unwrap().success();
    }
    let probe = breaker.try_acquire_owned().unwrap();
    let success = thread::spawn(move || probe.success());
    let callers = [(); 2].map(|()| beside(&breaker, |breaker| breaker.try_acquire_owned().ok()));
    success.join().unwrap();
    let admitted = joined(callers);
    let more = [(); 3].map(|()| breaker.try_acquire_owned().ok());
    (admitted.iter().flatten().count(), more.iter().flatten().count())
}
