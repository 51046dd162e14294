//! Forced states hold until an operator ends them.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, State};

type Act = fn(&CircuitBreaker);

#[test]
fn forced_open_outlives_every_deadline_and_never_probes() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(SECOND));
    breaker.open_for(SECOND);
    breaker.force_open();
    for _ in 0..100 {
        clock.advance(YEAR);
        let rejected = refused(&breaker);
        assert_eq!((rejected.state(), rejected.retry_after()), (State::ForcedOpen, None));
    }
    assert_eq!(breaker.metrics().total_rejected_count, 100);
}

#[test]
fn forced_closed_admits_through_any_number_of_failures_and_opens_on_none() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    breaker.force_closed();
    for _ in 0..1_000 {
        fail(&breaker);
        trip(&breaker, 60 * SECOND);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    assert_eq!(breaker.metrics().total_error_count, 2_000);
}

#[test]
fn force_open_holds_whatever_calls_in_flight_become() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(1));
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    breaker.force_open();
    probe.success();
    assert_eq!(breaker.state(), State::ForcedOpen);
}

#[test]
fn an_operator_ends_a_forced_state_in_any_way() {
    let ends: [(Act, State); 5] = [
        (CircuitBreaker::reset, State::Closed),
        (|breaker| breaker.transition_to(State::Closed), State::Closed),
        (|breaker| breaker.transition_to(State::Open), State::Open),
        (|breaker| breaker.transition_to(State::HalfOpen), State::HalfOpen),
        (|breaker| breaker.open_for(SECOND), State::Open),
    ];
    for forced in [State::ForcedOpen, State::ForcedClosed] {
        for (end, state) in ends {
            let (breaker, _clock) = manual(|settings| settings);
            breaker.transition_to(forced);
            end(&breaker);
            assert_eq!(breaker.state(), state);
        }
    }
}

#[test]
fn failures_under_forced_closed_are_no_burden_afterwards() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    breaker.force_closed();
    for _ in 0..10 {
        fail(&breaker);
    }
    let earlier = admitted(&breaker);
    breaker.transition_to(State::Closed);
    fail(&breaker);
    earlier.failure();
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn an_opened_breaker_that_was_forced_closed_probes_as_usual_again() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.force_closed();
    breaker.transition_to(State::Open);
    assert!(is_open_for(&breaker, 5 * SECOND));
    clock.advance(5 * SECOND);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn forcing_is_a_transition_like_any_other_by_hand() {
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| settings.on_transition(recorder.observer()));
    breaker.force_open();
    breaker.force_open();
    breaker.force_closed();
    breaker.transition_to(State::ForcedClosed);
    let told: Vec<_> = recorder.seen().iter().map(|seen| (seen.from, seen.to)).collect();
    assert_eq!(told, [(State::Closed, State::ForcedOpen), (State::ForcedOpen, State::ForcedClosed)]);
    assert_eq!(breaker.metrics().retry_after, None::<Duration>);
}
