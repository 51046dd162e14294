//! Probes that end concurrently decide together, and once.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, Diary, builder, explore, joined, shared};
use tripcoil::{OwnedPermit, State};

/// What the observer is told when two probes end at once, and the probe successes and errors that are left.
fn told_after(a: fn(OwnedPermit), b: fn(OwnedPermit), thresholds: (u32, u32)) -> (String, u64, u64) {
    let diary = Diary::default();
    let builder = builder().0.half_open_capacity(2);
    let builder = builder.success_threshold(thresholds.0).half_open_error_threshold(thresholds.1);
    let breaker = shared(diary.kept_by(builder));
    breaker.transition_to(State::HalfOpen);
    let probes = [a, b].map(|settle| (settle, breaker.try_acquire_owned().unwrap()));
    let threads = probes.map(|(settle, probe)| thread::spawn(move || settle(probe)));
    joined(threads);
    let counts = breaker.metrics();
    let told = diary.told();
    if breaker.state() != State::HalfOpen {
        assert!(told.ends_with(breaker.state().as_str()), "what is told holds");
        return (told, 0, 0);
    }
    let held = [(); 3].map(|()| breaker.try_acquire_owned().ok());
    assert_eq!(held.iter().flatten().count(), 2, "two slots have come back");
    (told, counts.consecutive_success_count, counts.consecutive_error_count)
}

const UNDECIDED: &str = "1 closed half_open";
const CLOSED: &str = "1 closed half_open, 2 half_open closed";
const OPENED: &str = "1 closed half_open, 2 half_open open";

#[test]
fn two_successes_at_once_close_once() {
    let success = OwnedPermit::success;
    explore(&BOTH, [(CLOSED.to_owned(), 0, 0)], move || told_after(success, success, (2, 1)));
}

#[test]
fn two_failures_at_once_open_once() {
    let failure = OwnedPermit::failure;
    explore(&BOTH, [(OPENED.to_owned(), 0, 0)], move || told_after(failure, failure, (1, 2)));
}

#[test]
fn of_a_success_and_a_failure_at_once_the_first_decides() {
    let outcomes = [(CLOSED.to_owned(), 0, 0), (OPENED.to_owned(), 0, 0)];
    explore(&BOTH, outcomes, || told_after(OwnedPermit::success, OwnedPermit::failure, (1, 1)));
}

#[test]
fn a_success_and_a_release_at_once_decide_nothing_below_the_threshold() {
    explore(&BOTH, [(UNDECIDED.to_owned(), 1, 0)], || told_after(OwnedPermit::success, OwnedPermit::ignore, (2, 1)));
}
