//! At the deadline the breaker becomes half-open once, and observers are notified once.

#![cfg(loom)]

use loom_tests::{BOTH, Diary, SECOND, beside, builder, explore, joined, shared};
use tripcoil::State;

const TOLD: &str = "1 closed open, 2 open half_open";

/// Who of two callers at the deadline is admitted, and what the observer was told. No slot is free then.
fn admitted_and_told(half_open_capacity: u32) -> (bool, bool, String) {
    let diary = Diary::default();
    let (builder, clock) = builder();
    let breaker = shared(diary.kept_by(builder.half_open_capacity(half_open_capacity)));
    breaker.transition_to(State::Open);
    clock.advance(SECOND);
    let callers = [(); 2].map(|()| beside(&breaker, |breaker| breaker.try_acquire_owned().ok()));
    let [a, b] = joined(callers);
    assert!(breaker.try_acquire().is_err(), "each caller has a slot of its own");
    (a.is_some(), b.is_some(), diary.told())
}

#[test]
fn at_a_deadline_one_caller_becomes_the_probe() {
    let outcomes = [(false, true, TOLD.to_owned()), (true, false, TOLD.to_owned())];
    explore(&BOTH, outcomes, || admitted_and_told(1));
}

#[test]
fn at_a_deadline_two_callers_become_probes_of_the_same_episode() {
    explore(&BOTH, [(true, true, TOLD.to_owned())], || admitted_and_told(2));
}
