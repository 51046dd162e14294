//! Every state does with every event what the table of the design says.

mod common;

use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, Outcome, State};

const TRIP: Outcome = Outcome::Trip { open_for: Duration::from_secs(7) };

#[test]
fn closed_admits_every_call() {
    let breaker = CircuitBreaker::new("test");
    let permits: Vec<_> = (0..100).map(|_| admitted(&breaker)).collect();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.metrics().active_calls, 100);
    drop(permits);
}

#[test]
fn open_refuses_before_the_deadline_and_says_for_how_long() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.transition_to(State::Open);
    for (passed, left) in [(0, 5), (3, 2), (1, 1)] {
        clock.advance(passed * SECOND);
        let rejected = refused(&breaker);
        assert_eq!((rejected.state(), rejected.retry_after()), (State::Open, Some(left * SECOND)));
    }
    clock.advance(SECOND - TICK);
    assert_eq!(refused(&breaker).retry_after(), Some(TICK));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn open_at_the_deadline_becomes_half_open_and_admits_the_caller() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.transition_to(State::Open);
    clock.advance(5 * SECOND);
    let probe = admitted(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.metrics().transition_count, 2);
    assert_eq!(refused(&breaker).state(), State::HalfOpen);
    probe.success();
}

#[test]
fn open_admits_a_caller_long_after_the_deadline() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.transition_to(State::Open);
    clock.advance(YEAR);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn open_stays_open_until_a_call_comes() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.transition_to(State::Open);
    clock.advance(YEAR);
    assert_eq!(breaker.state(), State::Open);
    assert!(is_open_for(&breaker, Duration::ZERO));
    assert_eq!(breaker.metrics().transition_count, 1);
}

#[test]
fn half_open_admits_while_a_slot_is_free_and_no_more() {
    let (breaker, _clock) = manual(|settings| settings.half_open_capacity(2));
    breaker.transition_to(State::HalfOpen);
    let probes = [admitted(&breaker), admitted(&breaker)];
    let rejected = refused(&breaker);
    assert_eq!((rejected.state(), rejected.retry_after()), (State::HalfOpen, None));
    drop(probes);
    drop(admitted(&breaker));
}

#[test]
fn forced_open_refuses_and_knows_no_time() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.force_open();
    clock.advance(YEAR);
    let rejected = refused(&breaker);
    assert_eq!((rejected.state(), rejected.retry_after()), (State::ForcedOpen, None));
    assert_eq!(breaker.state(), State::ForcedOpen);
}

#[test]
fn forced_closed_admits_every_call() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_closed();
    let permits: Vec<_> = (0..100).map(|_| admitted(&breaker)).collect();
    assert_eq!(breaker.metrics().active_calls, 100);
    drop(permits);
}

#[test]
fn success_while_closed_ends_the_run_of_errors() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
    for _ in 0..2 {
        fail(&breaker);
        fail(&breaker);
        assert_eq!(consecutive(&breaker), (2, 0));
        succeed(&breaker);
        assert_eq!(consecutive(&breaker), (0, 0));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn failure_while_closed_is_counted_and_opens_at_the_threshold() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
    for errors in 1..=2 {
        fail(&breaker);
        assert_eq!(consecutive(&breaker), (errors, 0));
        assert_eq!(breaker.state(), State::Closed);
    }
    fail(&breaker);
    assert!(is_open_for(&breaker, 30 * SECOND));
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn the_call_that_opens_gets_its_own_error() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let result = breaker.call_sync(|| Err::<(), _>("mine"));
    assert_eq!(result.unwrap_err().into_inner(), Some("mine"));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn ignored_and_dropped_calls_while_closed_change_nothing() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    fail(&breaker);
    ignore(&breaker);
    drop(admitted(&breaker));
    assert_eq!(consecutive(&breaker), (1, 0));
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn trip_while_closed_opens_at_once_for_the_time_given() {
    let (breaker, _clock) = manual(|settings| settings);
    admitted(&breaker).record(TRIP);
    assert!(is_open_for(&breaker, 7 * SECOND));
    assert_eq!(breaker.metrics().total_error_count, 1);
}

#[test]
fn probe_success_is_counted_and_closes_at_the_threshold_with_all_counts_zero() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(3));
    breaker.transition_to(State::HalfOpen);
    for successes in 1..=2 {
        succeed(&breaker);
        assert_eq!(consecutive(&breaker), (0, successes));
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn probe_failure_zeroes_the_successes_and_reopens_at_the_threshold() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(3).half_open_error_threshold(2));
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(consecutive(&breaker), (1, 0));
    fail(&breaker);
    assert!(is_open_for(&breaker, 30 * SECOND));
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn ignored_and_dropped_probes_give_the_slot_back_and_change_nothing_else() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(3).half_open_error_threshold(2));
    breaker.transition_to(State::HalfOpen);
    fail(&breaker);
    succeed(&breaker);
    for _ in 0..10 {
        ignore(&breaker);
        drop(admitted(&breaker));
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(consecutive(&breaker), (1, 1));
}

#[test]
fn trip_while_half_open_opens_at_once_for_the_time_given() {
    let (breaker, _clock) = manual(|settings| settings.half_open_error_threshold(9).reset_backoff(2.0, Duration::MAX));
    breaker.transition_to(State::HalfOpen);
    admitted(&breaker).record(TRIP);
    assert!(is_open_for(&breaker, 7 * SECOND));
}

#[test]
fn forced_closed_counts_into_the_totals_only() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    breaker.force_closed();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, TRIP] {
        admitted(&breaker).record(outcome);
        assert_eq!(breaker.state(), State::ForcedClosed);
        assert_eq!(consecutive(&breaker), (0, 0));
    }
    drop(admitted(&breaker));
    let metrics = breaker.metrics();
    assert_eq!(metrics.total_success_count, 1);
    assert_eq!(metrics.total_error_count, 2);
    assert_eq!(metrics.total_ignored_count, 1);
    assert_eq!(metrics.total_dropped_count, 1);
    breaker.transition_to(State::Closed);
    assert_eq!(consecutive(&breaker), (0, 0));
}

#[test]
fn success_never_opens() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
    for _ in 0..2 {
        fail(&breaker);
        fail(&breaker);
        for _ in 0..10 {
            succeed(&breaker);
            assert_eq!(breaker.state(), State::Closed);
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let (built, clock) = manual(|settings| settings);
    for _ in 0..4 {
        fail(&built);
    }
    assert_eq!(built.state(), State::Closed);
    fail(&built);
    for _ in 0..3 {
        assert!(is_open_for(&built, 30 * SECOND));
        fail_a_probe(&built, &clock);
    }
    clock.advance(30 * SECOND);
    let probe = admitted(&built);
    clock.advance(30 * SECOND - TICK);
    refused(&built);
    probe.success();
    drop(admitted(&built));
    assert_eq!(built.state(), State::HalfOpen);
    succeed(&built);
    assert_eq!(built.state(), State::Closed);
}

#[test]
fn the_defaults_of_new_are_those_of_the_builder() {
    let made = CircuitBreaker::new("test");
    for errors in 0..5 {
        assert_eq!((made.state(), made.metrics().consecutive_error_count), (State::Closed, errors));
        fail(&made);
    }
    let left = made.metrics().retry_after.unwrap();
    assert!(left <= 30 * SECOND && left > Duration::ZERO);
    made.transition_to(State::HalfOpen);
    let probe = admitted(&made);
    refused(&made);
    probe.success();
    succeed(&made);
    assert_eq!(made.state(), State::Closed);
}

#[test]
fn an_operator_moves_the_breaker_from_any_state_to_any_state() {
    for from in STATES {
        for to in STATES {
            let (breaker, _clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
            breaker.transition_to(from);
            let before = breaker.metrics().transition_count;
            breaker.transition_to(to);
            assert_eq!(breaker.state(), to, "{from} to {to}");
            assert_eq!(breaker.metrics().transition_count - before, u64::from(from != to), "{from} to {to}");
            assert_eq!(consecutive(&breaker), (0, 0));
            assert_eq!(breaker.metrics().retry_after, (to == State::Open).then_some(5 * SECOND));
            let admits = matches!(to, State::Closed | State::HalfOpen | State::ForcedClosed);
            assert_eq!(breaker.try_acquire().is_ok(), admits, "{from} to {to}");
            assert_eq!(breaker.state(), to, "{from} to {to}");
        }
    }
}

#[test]
fn open_for_opens_from_any_state_for_the_time_given() {
    for from in STATES {
        let (breaker, clock) = manual(|settings| settings.reset_jitter(1.0));
        breaker.transition_to(from);
        breaker.open_for(7 * SECOND);
        assert!(is_open_for(&breaker, 7 * SECOND), "from {from}");
        clock.advance(7 * SECOND - TICK);
        refused(&breaker);
        clock.advance(TICK);
        succeed(&breaker);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
}

#[test]
fn open_for_no_time_at_all_makes_the_next_caller_a_probe() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.open_for(Duration::ZERO);
    assert!(is_open_for(&breaker, Duration::ZERO));
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn reset_closes_from_any_state() {
    for from in STATES {
        let (breaker, _clock) = manual(|settings| settings);
        breaker.transition_to(from);
        breaker.reset();
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.metrics().transition_count, 0);
        succeed(&breaker);
    }
}

#[test]
fn manual_transition_into_the_same_state_clears_its_counts() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND).half_open_error_threshold(2));

    fail(&breaker);
    breaker.transition_to(State::Closed);
    assert_eq!(consecutive(&breaker), (0, 0));

    breaker.transition_to(State::Open);
    clock.advance(3 * SECOND);
    breaker.transition_to(State::Open);
    assert!(is_open_for(&breaker, 5 * SECOND));

    breaker.transition_to(State::HalfOpen);
    fail(&breaker);
    succeed(&breaker);
    let stuck = admitted(&breaker);
    breaker.transition_to(State::HalfOpen);
    assert_eq!(consecutive(&breaker), (0, 0));
    drop(admitted(&breaker));
    drop(stuck);
}

#[test]
fn manual_transition_into_the_same_state_starts_a_new_epoch() {
    for state in [State::Closed, State::HalfOpen, State::ForcedClosed] {
        let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
        breaker.transition_to(state);
        let earlier = admitted(&breaker);
        breaker.transition_to(state);
        earlier.failure();
        assert_eq!(breaker.state(), state);
        assert_eq!(consecutive(&breaker), (0, 0));
    }
}

#[test]
fn reset_while_closed_starts_a_new_epoch_and_clears_the_counts() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let earlier = admitted(&breaker);
    fail(&breaker);
    breaker.reset();
    assert_eq!(consecutive(&breaker), (0, 0));
    fail(&breaker);
    earlier.failure();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(consecutive(&breaker), (1, 0));
}

#[test]
fn observers_and_the_transition_count_ignore_a_move_into_the_same_state() {
    for state in STATES {
        let recorder = Recorder::default();
        let (breaker, _clock) = manual(|settings| settings.on_transition(recorder.observer()));
        breaker.transition_to(state);
        let (told, counted) = (recorder.count(), breaker.metrics().transition_count);
        breaker.transition_to(state);
        assert_eq!((recorder.count(), breaker.metrics().transition_count), (told, counted), "{state}");
    }
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| settings.on_transition(recorder.observer()));
    breaker.reset();
    assert_eq!((recorder.count(), breaker.metrics().transition_count), (0, 0));
}

#[test]
fn retry_after_is_known_only_while_open() {
    for state in STATES {
        let (breaker, _clock) = manual(|settings| settings);
        breaker.transition_to(state);
        assert_eq!(breaker.metrics().retry_after.is_some(), state == State::Open, "{state}");
    }
}

#[test]
fn states_are_displayed_in_snake_case() {
    let texts = STATES.map(|state| state.to_string());
    assert_eq!(texts, ["closed", "open", "half_open", "forced_open", "forced_closed"]);
}
