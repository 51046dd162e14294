//! An outcome of an earlier epoch goes into the totals and nowhere else.

mod common;

use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, Dropped, Metrics, Outcome, Permit, State};

type Move = fn(&CircuitBreaker);
type Ending = fn(Permit<'_>);

const MOVES: [(&str, Move); 7] = [
    ("closed", |breaker| breaker.transition_to(State::Closed)),
    ("open", |breaker| breaker.transition_to(State::Open)),
    ("half-open", |breaker| breaker.transition_to(State::HalfOpen)),
    ("forced open", CircuitBreaker::force_open),
    ("forced closed", CircuitBreaker::force_closed),
    ("open for", |breaker| breaker.open_for(9 * SECOND)),
    ("reset", CircuitBreaker::reset),
];

const ENDINGS: [(&str, Ending); 5] = [
    ("success", |permit| permit.success()),
    ("failure", |permit| permit.failure()),
    ("ignored", |permit| permit.ignore()),
    ("trip", |permit| permit.record(Outcome::Trip { open_for: Duration::from_secs(77) })),
    ("dropped", |permit| drop(permit)),
];

/// All of the metrics that are not totals.
fn standing(metrics: &Metrics) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        metrics.state,
        metrics.consecutive_error_count,
        metrics.consecutive_success_count,
        metrics.transition_count,
        metrics.retry_after,
        metrics.last_error.clone(),
    )
}

fn settled(metrics: &Metrics) -> u64 {
    metrics.total_success_count + metrics.total_error_count + metrics.total_ignored_count + metrics.total_dropped_count
}

/// Brings a state to the brink, so that one more outcome of its own epoch would change it.
fn brink(breaker: &CircuitBreaker) -> Option<Permit<'_>> {
    match breaker.state() {
        State::Closed => {
            fail(breaker);
            None
        }
        State::HalfOpen => {
            fail(breaker);
            succeed(breaker);
            Some(admitted(breaker))
        }
        _ => None,
    }
}

#[test]
fn late_outcome_of_any_kind_changes_nothing_after_any_transition_from_any_state() {
    for dropped in [Dropped::Ignore, Dropped::Failure] {
        for from in [State::Closed, State::HalfOpen, State::ForcedClosed] {
            for (move_name, move_on) in MOVES {
                for (ending_name, end) in ENDINGS {
                    let case = format!("{ending_name} of {from} after {move_name}");
                    let recorder = Recorder::default();
                    let (breaker, clock) = manual(|settings| {
                        settings
                            .error_threshold(2)
                            .half_open_error_threshold(2)
                            .dropped_calls(dropped)
                            .on_transition(recorder.observer())
                    });
                    breaker.transition_to(from);
                    let late = admitted(&breaker);
                    move_on(&breaker);
                    let current = brink(&breaker);
                    clock.advance(SECOND);
                    let (before, told) = (breaker.metrics(), recorder.count());

                    end(late);

                    let after = breaker.metrics();
                    assert_eq!(standing(&after), standing(&before), "{case}");
                    assert_eq!(settled(&after), settled(&before) + 1, "{case}");
                    assert_eq!(after.active_calls, before.active_calls - 1, "{case}");
                    assert_eq!(recorder.count(), told, "{case}");
                    if breaker.state() == State::HalfOpen {
                        assert_eq!(refused(&breaker).state(), State::HalfOpen, "{case}: no slot is freed");
                    }
                    drop(current);
                }
            }
        }
    }
}

#[test]
fn late_outcomes_are_in_the_totals_like_any_other() {
    let (breaker, _clock) = manual(|settings| settings);
    let permits: Vec<_> = (0..5).map(|_| admitted(&breaker)).collect();
    breaker.force_open();
    for (permit, (_, end)) in permits.into_iter().zip(ENDINGS) {
        end(permit);
    }
    let metrics = breaker.metrics();
    assert_eq!(metrics.total_success_count, 1);
    assert_eq!(metrics.total_error_count, 2);
    assert_eq!(metrics.total_ignored_count, 1);
    assert_eq!(metrics.total_dropped_count, 1);
    assert_eq!(metrics.active_calls, 0);
}

#[test]
fn late_failures_of_an_earlier_epoch_do_not_open() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(3).success_threshold(1));
    let earlier: Vec<_> = (0..10).map(|_| admitted(&breaker)).collect();
    for _ in 0..3 {
        fail(&breaker);
    }
    clock.advance(30 * SECOND);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    for permit in earlier {
        permit.failure();
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn late_success_does_not_end_a_run_of_errors() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let earlier = admitted(&breaker);
    breaker.transition_to(State::Closed);
    fail(&breaker);
    earlier.success();
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn late_success_joins_no_run_of_successes() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(9));
    let earlier = admitted(&breaker);
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    earlier.success();
    succeed(&breaker);
    assert_eq!(consecutive(&breaker), (0, 2));
    assert_eq!(breaker.metrics().total_success_count, 3);
}

/// Takes the breaker through so many transitions.
fn pass(breaker: &CircuitBreaker, transitions: u32) {
    for _ in 0..transitions {
        breaker.transition_to(breaker.state());
    }
}

/// The words of open and half-open hold as many bits of the epoch.
const LOW_EPOCH_BITS: u32 = 19;

#[test]
fn call_is_late_after_as_many_transitions_as_the_low_bits_of_an_epoch_count() {
    for state in [State::Closed, State::HalfOpen] {
        for (ending_name, end) in ENDINGS {
            let (breaker, _clock) = manual(|settings| settings.error_threshold(2).half_open_error_threshold(2));
            breaker.transition_to(state);
            let late = admitted(&breaker);
            pass(&breaker, 1 << LOW_EPOCH_BITS);
            assert_eq!(breaker.state(), state);
            let current = brink(&breaker);
            let before = breaker.metrics();
            end(late);
            let after = breaker.metrics();
            assert_eq!(standing(&after), standing(&before), "{ending_name} of {state}");
            assert_eq!(settled(&after), settled(&before) + 1);
            drop(current);
        }
    }
}

#[test]
fn call_in_flight_is_current_until_the_first_transition_wherever_the_low_bits_wrap() {
    for state in [State::Closed, State::HalfOpen] {
        let (breaker, _clock) = manual(|settings| settings.error_threshold(1).half_open_capacity(4));
        breaker.transition_to(state);
        pass(&breaker, (1 << LOW_EPOCH_BITS) - 3);
        for _ in 0..6 {
            let permit = admitted(&breaker);
            permit.success();
            let permit = admitted(&breaker);
            pass(&breaker, 1);
            permit.failure();
            assert_eq!(breaker.state(), state);
        }
        fail(&breaker);
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn late_failure_extends_no_deadline() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).reset_timeout(5 * SECOND));
    let [first, second] = [admitted(&breaker), admitted(&breaker)];
    first.failure();
    clock.advance(3 * SECOND);
    second.failure();
    assert!(is_open_for(&breaker, 2 * SECOND));
}

#[test]
fn late_failure_leaves_the_last_error_alone() {
    let (breaker, _clock) = manual(|settings| settings);
    let earlier = admitted(&breaker);
    breaker.reset();
    admitted(&breaker).failure_because("mine");
    earlier.failure_because("late");
    let last = breaker.metrics().last_error.unwrap();
    assert_eq!(last.message.as_deref(), Some("mine"));
}

#[test]
fn late_success_while_half_open_closes_nothing_and_frees_no_slot() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
    let [slow, failing] = [admitted(&breaker), admitted(&breaker)];
    failing.failure();
    clock.advance(30 * SECOND);
    let probe = admitted(&breaker);
    slow.success();
    assert_eq!(breaker.state(), State::HalfOpen);
    refused(&breaker);
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn probe_of_an_earlier_episode_does_nothing_to_the_next() {
    for (name, end) in ENDINGS {
        let (breaker, clock) = manual(|settings| settings.success_threshold(1).probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        let silent = admitted(&breaker);
        clock.advance(SECOND);
        fail(&breaker);
        clock.advance(30 * SECOND);
        let probe = admitted(&breaker);
        end(silent);
        assert_eq!(breaker.state(), State::HalfOpen, "{name}");
        refused(&breaker);
        probe.success();
        assert_eq!(breaker.state(), State::Closed, "{name}");
    }
}

#[test]
fn probe_still_in_flight_when_the_breaker_closes_is_late() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1).success_threshold(1).half_open_capacity(2));
    breaker.transition_to(State::HalfOpen);
    let [first, second] = [admitted(&breaker), admitted(&breaker)];
    first.success();
    assert_eq!(breaker.state(), State::Closed);
    second.failure();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn call_in_flight_through_a_closed_to_closed_outage_is_late() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
    let earlier = admitted(&breaker);
    fail(&breaker);
    clock.advance(30 * SECOND);
    succeed(&breaker);
    earlier.failure();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn no_outcome_is_lost_from_the_totals_while_epochs_change() {
    const CALLS: u64 = 2_000;
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
    breaker.force_closed();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut settled = 0;
                    for call in 0..CALLS {
                        let Ok(permit) = breaker.try_acquire() else { continue };
                        let outcome = if call % 2 == 0 { Outcome::Success } else { Outcome::Failure };
                        permit.record(outcome);
                        settled += 1;
                    }
                    settled
                })
            })
            .collect();
        for _ in 0..200 {
            for (_, move_on) in MOVES.iter().take(6) {
                move_on(&breaker);
                breaker.force_closed();
            }
        }
        let expected: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        let metrics = breaker.metrics();
        assert_eq!(settled(&metrics), expected);
        assert_eq!(metrics.total_rejected_count, 3 * CALLS - expected);
        assert_eq!(metrics.active_calls, 0);
    });
}
