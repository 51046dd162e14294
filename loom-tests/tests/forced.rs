//! `force_open` holds, whatever happens concurrently.

#![cfg(loom)]

use std::sync::Arc;

use loom_tests::{BOTH, Diary, SECOND, beside, builder, explore, shared};
use tripcoil::{CircuitBreaker, State};

/// What the observer was told, and the state in the end.
fn told_and_state<T: 'static>(
    diary: &Diary,
    breaker: &Arc<CircuitBreaker>,
    meanwhile: impl FnOnce(&Arc<CircuitBreaker>) -> T + 'static,
) -> (String, &'static str, T) {
    let operator = beside(breaker, |breaker| breaker.force_open());
    let other = beside(breaker, meanwhile);
    operator.join().unwrap();
    let other = other.join().unwrap();
    (diary.told(), breaker.state().as_str(), other)
}

#[test]
fn forced_open_holds_against_a_probe_that_closes() {
    let outcomes = [
        ("1 closed half_open, 2 half_open closed, 3 closed forced_open".to_owned(), "forced_open", ()),
        ("1 closed half_open, 2 half_open forced_open".to_owned(), "forced_open", ()),
    ];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0));
        breaker.transition_to(State::HalfOpen);
        let probe = breaker.try_acquire_owned().unwrap();
        told_and_state(&diary, &breaker, |_| probe.success())
    });
}

#[test]
fn forced_open_holds_against_a_trip() {
    let outcomes = [
        ("1 closed open, 2 open forced_open".to_owned(), "forced_open", ()),
        ("1 closed forced_open".to_owned(), "forced_open", ()),
    ];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0));
        let call = breaker.try_acquire_owned().unwrap();
        told_and_state(&diary, &breaker, |_| call.failure())
    });
}

#[test]
fn of_forced_open_and_reset_the_later_holds() {
    let outcomes = [
        ("1 closed open, 2 open closed, 3 closed forced_open".to_owned(), "forced_open", ()),
        ("1 closed open, 2 open forced_open, 3 forced_open closed".to_owned(), "closed", ()),
    ];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0));
        breaker.transition_to(State::Open);
        told_and_state(&diary, &breaker, |breaker| breaker.reset())
    });
}

#[test]
fn forced_open_holds_against_a_caller_at_the_deadline() {
    let outcomes = [
        ("1 closed open, 2 open half_open, 3 half_open forced_open".to_owned(), "forced_open", true),
        ("1 closed open, 2 open forced_open".to_owned(), "forced_open", false),
    ];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let (builder, clock) = builder();
        let breaker = shared(diary.kept_by(builder));
        breaker.transition_to(State::Open);
        clock.advance(SECOND);
        told_and_state(&diary, &breaker, |breaker| breaker.try_acquire().is_ok())
    });
}
