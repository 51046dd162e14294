//! Exactly one caller replaces probes that are silent for too long by a new round.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::{BOTH, RmwLoad, SECOND, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, State};

/// A half-open breaker whose only probe has been silent for the timeout.
fn silenced(settings: fn(Builder) -> Builder) -> (Arc<CircuitBreaker>, ManualClock, OwnedPermit) {
    let (builder, clock) = builder();
    let breaker = shared(settings(builder.probe_timeout(SECOND)));
    breaker.transition_to(State::HalfOpen);
    let silent = breaker.try_acquire_owned().unwrap();
    clock.advance(SECOND);
    (breaker, clock, silent)
}

fn undecided(builder: Builder) -> Builder {
    builder.success_threshold(9).half_open_error_threshold(9)
}

fn asks(breaker: &Arc<CircuitBreaker>) -> thread::JoinHandle<Option<OwnedPermit>> {
    beside(breaker, |breaker| breaker.try_acquire_owned().ok())
}

fn free_slots(breaker: &Arc<CircuitBreaker>) -> usize {
    let held = [(); 3].map(|()| breaker.try_acquire_owned().ok());
    held.iter().flatten().count()
}

/// Probe successes and errors.
fn counts(breaker: &CircuitBreaker) -> (u64, u64) {
    let metrics = breaker.metrics();
    (metrics.consecutive_success_count, metrics.consecutive_error_count)
}

#[test]
fn of_two_callers_past_the_silence_one_begins_the_next_round() {
    explore(&BOTH, [(false, true), (true, false)], || {
        let (breaker, _clock, silent) = silenced(undecided);
        let callers = [asks(&breaker), asks(&breaker)];
        let [a, b] = joined(callers);
        drop(silent);
        (a.is_some(), b.is_some())
    });
}

#[test]
fn of_two_callers_past_the_silence_one_begins_the_next_round_and_the_other_takes_its_second_place() {
    explore(&BOTH, [(true, true, 0)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND).half_open_capacity(2));
        breaker.transition_to(State::HalfOpen);
        let silent = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        clock.advance(SECOND);
        let callers = [asks(&breaker), asks(&breaker)];
        let [a, b] = joined(callers);
        drop(silent);
        (a.is_some(), b.is_some(), free_slots(&breaker))
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
        let callers = [asks(&breaker), asks(&breaker)];
        let [a, b] = joined(callers);
        (a.is_some(), b.is_some())
    });
}

#[test]
fn a_probe_that_begins_an_episode_is_not_taken_for_one_of_before() {
    // Both stamps are long past when the next episode begins.
    explore(&BOTH, [(false, true), (true, false)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        breaker.try_acquire().unwrap().failure();
        clock.advance(SECOND);
        let callers = [asks(&breaker), asks(&breaker)];
        let [a, b] = joined(callers);
        (a.is_some(), b.is_some())
    });
}

#[test]
fn a_silent_probe_that_says_nothing_meanwhile_leaves_no_slot_behind() {
    explore(&BOTH, [(true, 0)], || {
        let (breaker, _clock, silent) = silenced(undecided);
        let answer = thread::spawn(move || silent.ignore());
        let caller = asks(&breaker);
        answer.join().unwrap();
        let held = caller.join().unwrap();
        (held.is_some(), free_slots(&breaker))
    });
}

#[test]
fn a_silent_probe_that_says_nothing_while_two_ask_makes_room_for_one() {
    explore_crowded(&[RmwLoad], [(false, true, 0), (true, false, 0)], || {
        let (breaker, _clock, silent) = silenced(undecided);
        let answer = thread::spawn(move || silent.ignore());
        let callers = [asks(&breaker), asks(&breaker)];
        answer.join().unwrap();
        let [a, b] = joined(callers);
        (a.is_some(), b.is_some(), free_slots(&breaker))
    });
}

#[test]
fn a_silent_probe_that_answers_while_the_next_round_begins_is_evidence() {
    for (answer, counted) in [(OwnedPermit::success as fn(_), (1, 0)), (OwnedPermit::failure, (0, 1))] {
        explore(&BOTH, [(true, counted, 0)], move || {
            let (breaker, _clock, silent) = silenced(undecided);
            let answer = thread::spawn(move || answer(silent));
            let caller = asks(&breaker);
            answer.join().unwrap();
            let held = caller.join().unwrap();
            (held.is_some(), counts(&breaker), free_slots(&breaker))
        });
    }
}

#[test]
fn a_silent_probe_decides_while_the_next_round_begins() {
    // The caller comes before the decision or after it, and then it is refused by the breaker that has opened.
    let opened = [(false, "open", 2), (true, "open", 2)];
    explore(&BOTH, opened, || state_after(OwnedPermit::failure));
    explore(&BOTH, [(true, "closed", 2)], || state_after(OwnedPermit::success));
}

fn state_after(answer: fn(OwnedPermit)) -> (bool, &'static str, u64) {
    let (breaker, _clock, silent) = silenced(|builder| builder);
    let answer = thread::spawn(move || answer(silent));
    let caller = asks(&breaker);
    answer.join().unwrap();
    let held = caller.join().unwrap();
    (held.is_some(), breaker.state().as_str(), breaker.metrics().transition_count)
}

#[test]
fn silent_probes_of_two_rounds_that_answer_at_once_both_count_and_free_nothing() {
    explore(&BOTH, [((2, 0), 0)], || {
        let (breaker, clock, first) = silenced(undecided);
        let second = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let third = breaker.try_acquire_owned().unwrap();
        let answers = [first, second].map(|silent| thread::spawn(move || silent.success()));
        joined(answers);
        let seen = (counts(&breaker), free_slots(&breaker));
        drop(third);
        seen
    });
}

#[test]
fn a_silent_probe_of_the_first_round_counts_while_the_third_begins() {
    explore(&BOTH, [(true, (1, 0), 0)], || {
        let (breaker, clock, first) = silenced(undecided);
        let second = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let answer = thread::spawn(move || first.success());
        let caller = asks(&breaker);
        answer.join().unwrap();
        let third = caller.join().unwrap();
        drop(second);
        (third.is_some(), counts(&breaker), free_slots(&breaker))
    });
}

#[test]
fn a_silent_probe_is_late_once_an_operator_has_begun_another_episode() {
    // Either the caller begins a round that the operator ends, or it takes the place of the new episode.
    explore(&BOTH, [(true, (0, 0), 0), (true, (0, 0), 1)], || {
        let (breaker, _clock, silent) = silenced(undecided);
        let operator = beside(&breaker, move |breaker| breaker.transition_to(State::HalfOpen));
        let caller = asks(&breaker);
        operator.join().unwrap();
        let held = caller.join().unwrap();
        silent.success();
        (held.is_some(), counts(&breaker), free_slots(&breaker))
    });
}

#[test]
fn a_probe_of_the_episode_before_is_late_while_the_next_round_begins() {
    explore(&BOTH, [(true, (0, 0), 0)], || {
        let (breaker, clock, earlier) = silenced(undecided);
        breaker.transition_to(State::HalfOpen);
        let silent = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let answer = thread::spawn(move || earlier.success());
        let caller = asks(&breaker);
        answer.join().unwrap();
        let held = caller.join().unwrap();
        let seen = (held.is_some(), counts(&breaker), free_slots(&breaker));
        drop(silent);
        seen
    });
}
