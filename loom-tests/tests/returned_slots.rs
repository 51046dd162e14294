//! Every slot comes back, however its call ends.

#![cfg(loom)]

use loom_tests::{BOTH, beside, builder, explore, joined, shared};
use tripcoil::{OwnedPermit, State};

/// Two callers compete for one slot and give it back by `settle`. Tells how many were admitted, how many
/// slots are free afterwards, and what the breaker has counted.
fn admitted_and_free(settle: fn(OwnedPermit)) -> (usize, usize, u64, u64) {
    let breaker = shared(builder().0.success_threshold(3).half_open_error_threshold(3));
    breaker.transition_to(State::HalfOpen);
    let callers = [(); 2].map(|()| beside(&breaker, move |breaker| breaker.try_acquire_owned().map(settle).is_ok()));
    let admitted = joined(callers).into_iter().filter(|admitted| *admitted).count();
    let counts = breaker.metrics();
    let held = [(); 2].map(|()| breaker.try_acquire_owned().ok());
    let free = held.iter().flatten().count();
    (admitted, free, counts.consecutive_success_count, counts.consecutive_error_count)
}

#[test]
fn a_success_gives_its_slot_back() {
    explore(&BOTH, [(1, 1, 1, 0), (2, 1, 2, 0)], || admitted_and_free(OwnedPermit::success));
}

#[test]
fn a_failure_gives_its_slot_back() {
    explore(&BOTH, [(1, 1, 0, 1), (2, 1, 0, 2)], || admitted_and_free(OwnedPermit::failure));
}

#[test]
fn an_ignored_call_gives_its_slot_back() {
    explore(&BOTH, [(1, 1, 0, 0), (2, 1, 0, 0)], || admitted_and_free(OwnedPermit::ignore));
}

#[test]
fn a_dropped_call_gives_its_slot_back() {
    explore(&BOTH, [(1, 1, 0, 0), (2, 1, 0, 0)], || admitted_and_free(drop));
}
