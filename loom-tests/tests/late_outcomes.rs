//! An outcome of an earlier epoch changes nothing.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, beside, builder, explore, shared};
use tripcoil::{OwnedPermit, State};

/// Settles a call that was admitted while closed, while another thread begins a half-open episode with a
/// probe; tells the state and the slots that are free afterwards, and the changes of state.
fn state_and_free_slots_after(settle: fn(OwnedPermit)) -> (State, usize, u64) {
    // An error is there: otherwise the call would see by itself that it is late, and not ask the word.
    let breaker = shared(builder().0.error_threshold(2).half_open_capacity(2));
    breaker.try_acquire().unwrap().failure();
    let call = breaker.try_acquire_owned().unwrap();
    let settler = thread::spawn(move || settle(call));
    let prober = beside(&breaker, move |breaker| {
        breaker.transition_to(State::HalfOpen);
        breaker.try_acquire_owned().unwrap()
    });
    let probe = prober.join().unwrap();
    settler.join().unwrap();
    let state = breaker.state();
    let held = [(); 3].map(|()| breaker.try_acquire_owned().ok());
    let free = held.iter().flatten().count();
    let changes = breaker.metrics().transition_count;
    drop(probe);
    (state, free, changes)
}

#[test]
fn a_late_success_closes_nothing_and_frees_no_slot() {
    explore(&BOTH, [(State::HalfOpen, 1, 1)].map(plain), || plain(state_and_free_slots_after(OwnedPermit::success)));
}

#[test]
fn a_late_failure_opens_nothing() {
    let outcomes = [(State::HalfOpen, 1, 1), (State::HalfOpen, 1, 2)].map(plain);
    explore(&BOTH, outcomes, || plain(state_and_free_slots_after(OwnedPermit::failure)));
}

#[test]
fn a_late_drop_frees_no_slot() {
    explore(&BOTH, [(State::HalfOpen, 1, 1)].map(plain), || plain(state_and_free_slots_after(drop)));
}

fn plain((state, free, changes): (State, usize, u64)) -> (&'static str, usize, u64) {
    (state.as_str(), free, changes)
}
