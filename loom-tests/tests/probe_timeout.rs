//! A probe that is silent for too long lets exactly one more in.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, SECOND, builder, explore, explore_crowded, shared};
use tripcoil::State;

#[test]
fn of_two_callers_past_the_silence_one_is_admitted() {
    explore(&BOTH, [(false, true), (true, false)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        let silent = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let callers = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire_owned().ok())
        });
        let [a, b] = callers.map(|caller| caller.join().unwrap());
        drop(silent);
        (a.is_some(), b.is_some())
    });
}

#[test]
fn a_probe_that_has_just_been_admitted_is_not_taken_for_the_one_before_it() {
    explore(&BOTH, [(false, true), (true, false)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        breaker.try_acquire().unwrap().ignore();
        clock.advance(SECOND);
        let callers = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire_owned().ok())
        });
        let [a, b] = callers.map(|caller| caller.join().unwrap());
        (a.is_some(), b.is_some())
    });
}

#[test]
fn a_silent_probe_that_answers_meanwhile_leaves_no_slot_behind() {
    explore(&BOTH, [(true, 0)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        let silent = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let answer = thread::spawn(move || silent.ignore());
        let caller = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.try_acquire_owned().ok()
        });
        answer.join().unwrap();
        let held = caller.join().unwrap();
        let more = [(); 2].map(|()| breaker.try_acquire_owned().ok());
        (held.is_some(), more.iter().flatten().count())
    });
}

#[test]
fn a_silent_probe_that_answers_while_its_place_is_taken_gives_its_slot_back_besides() {
    // Both are admitted if one has taken the place of the silent probe, and the other the slot that came
    // back before the first could enter.
    explore_crowded(&BOTH, [(false, true, 0), (true, false, 0), (true, true, 0)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        let silent = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let answer = thread::spawn(move || silent.ignore());
        let callers = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire_owned().ok())
        });
        answer.join().unwrap();
        let [a, b] = callers.map(|caller| caller.join().unwrap());
        let more = [(); 2].map(|()| breaker.try_acquire_owned().ok());
        (a.is_some(), b.is_some(), more.iter().flatten().count())
    });
}
