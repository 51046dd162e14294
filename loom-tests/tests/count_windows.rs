//! Count windows: concurrent failures see each other, none counts in another epoch, and a late outcome changes only the
//! totals.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::windows::{fail_across_a_reset, state_and_window};
use loom_tests::{BOTH, Plain, SECOND, Sched, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::loom_mode::model_tallies;
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, Window};

fn over_calls(rate: f64, calls: u32) -> Builder {
    model_tallies(true);
    builder().0.error_threshold(None).error_rate(rate).window(Window::calls(calls)).minimum_calls(calls)
}

/// Lets two calls fail at once, and tells the state.
fn after_two_failures(breaker: &Arc<CircuitBreaker>) -> (&'static str, u64, u64, u64) {
    let calls = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
    let threads = calls.map(|call| thread::spawn(move || call.failure()));
    joined(threads);
    state_and_window(breaker)
}

#[test]
fn two_failures_at_once_meet_a_rate() {
    explore_crowded(&[Plain, Sched], [("open", 1, 0, 0)], || after_two_failures(&shared(over_calls(1.0, 2))));
}

#[test]
fn two_failures_at_once_are_both_in_a_window_that_they_do_not_fill() {
    explore_crowded(&BOTH, [("closed", 0, 2, 2)], || after_two_failures(&shared(over_calls(1.0, 3))));
}

#[test]
fn two_slow_calls_at_once_meet_a_rate() {
    explore_crowded(&[Plain, Sched], [("open", 1)], || {
        model_tallies(true);
        let (builder, clock) = builder();
        let builder = builder.error_threshold(None).slow_call_rate(1.0).slow_call_duration(SECOND);
        let breaker = shared(builder.window(Window::calls(2)).minimum_calls(2));
        let calls = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        clock.advance(SECOND);
        let threads = calls.map(|call| thread::spawn(move || call.success()));
        joined(threads);
        let (state, changes, ..) = state_and_window(&breaker);
        (state, changes)
    });
}

#[test]
fn a_success_is_counted_and_never_opens() {
    // Open, if the success came before the second failure looked. The last failure opens in any case.
    let outcomes = [("closed", 0, 3, 2, "open"), ("open", 1, 0, 0, "open")];
    explore(&[Plain, Sched], outcomes, || {
        let breaker = shared(over_calls(0.6, 3));
        let bad = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        let (good, last) = (breaker.try_acquire_owned().unwrap(), breaker.try_acquire_owned().unwrap());
        let failing = thread::spawn(move || bad.map(OwnedPermit::failure));
        let succeeding = thread::spawn(move || good.success());
        failing.join().unwrap();
        succeeding.join().unwrap();
        let (state, changes, calls, errors) = state_and_window(&breaker);
        last.failure();
        (state, changes, calls, errors, breaker.state().as_str())
    });
}

#[test]
fn no_failure_crosses_an_epoch() {
    explore_crowded(&BOTH, [("closed", 0, 1, 1)], || {
        let breaker = shared(over_calls(1.0, 2));
        fail_across_a_reset(&breaker);
        state_and_window(&breaker)
    });
}

/// Settles a late failure and a late success, while a call of the epoch that is ends with `outcome` and a reader looks.
/// Tells the calls and errors in the window that the reader sees; what there is in the end is always the same.
fn late_outcomes_beside(outcome: fn(OwnedPermit)) -> (u64, u64) {
    let breaker = shared(over_calls(1.0, 2));
    let [bad, good] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
    breaker.reset();
    let current = breaker.try_acquire_owned().unwrap();
    let late = thread::spawn(move || {
        bad.failure();
        good.success();
    });
    let current = thread::spawn(move || outcome(current));
    let reader = beside(&breaker, move |breaker| breaker.metrics().window.expect("there is a rate rule"));
    late.join().unwrap();
    current.join().unwrap();
    let seen = reader.join().unwrap();
    let metrics = breaker.metrics();
    assert_eq!(metrics.total_success_count + metrics.total_error_count, 3);
    assert_eq!((metrics.state.as_str(), metrics.window.map(|window| window.calls)), ("closed", Some(1)));
    (seen.calls, seen.errors)
}

#[test]
fn late_outcomes_are_nowhere_but_in_the_totals_while_a_call_fails() {
    explore_crowded(&[Plain], [(0, 0), (1, 0), (1, 1)], || late_outcomes_beside(OwnedPermit::failure));
}

#[test]
fn late_outcomes_are_nowhere_but_in_the_totals_while_a_call_succeeds() {
    explore_crowded(&[Plain], [(0, 0), (1, 0)], || late_outcomes_beside(OwnedPermit::success));
}
