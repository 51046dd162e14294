//! What every circuit breaker has to do: open, cool down, probe, close, and obey its operator.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{Builder, CircuitBreaker, Error, Outcome, State};

#[test]
fn the_sixth_failure_in_a_row_opens_and_its_caller_gets_its_own_error() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(6));
    let failing = |number| breaker.call_sync(|| Err::<(), u32>(number));
    let five_fail = || {
        for number in 1..=5 {
            assert_eq!(failing(number), Err(Error::Inner(number)));
            assert_eq!(breaker.state(), State::Closed);
        }
    };
    five_fail();
    succeed(&breaker);
    five_fail();
    assert_eq!(failing(6), Err(Error::Inner(6)));
    assert_eq!(breaker.state(), State::Open);
    assert!(failing(7).unwrap_err().is_rejected());
}

#[test]
fn a_success_between_two_failures_keeps_it_closed() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    fail(&breaker);
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(consecutive(&breaker), (1, 0));
}

#[test]
fn failures_of_three_threads_are_counted_exactly() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3_000));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..500).for_each(|_| fail(&breaker)));
        }
    });
    assert_eq!(consecutive(&breaker), (1_500, 0));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn refused_at_three_seconds_and_admitted_at_five_exactly() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).reset_timeout(5 * SECOND));
    fail(&breaker);
    for _ in 0..2 {
        assert_eq!(refused(&breaker).retry_after(), Some(5 * SECOND));
        clock.advance(3 * SECOND);
        assert_eq!(refused(&breaker).retry_after(), Some(2 * SECOND));
        clock.advance(2 * SECOND);
        fail(&breaker);
    }
}

#[test]
fn of_five_threads_at_the_deadline_one_is_admitted_and_one_notification_sent() {
    for _ in 0..50 {
        let recorder = Recorder::default();
        let (breaker, clock) = manual(|settings| settings.on_transition(recorder.observer()));
        breaker.open_for(SECOND);
        clock.advance(SECOND);
        let (barrier, lucky) = (Barrier::new(5), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    barrier.wait();
                    let probe = breaker.try_acquire();
                    lucky.fetch_add(usize::from(probe.is_ok()), Ordering::SeqCst);
                    barrier.wait();
                });
            }
        });
        assert_eq!(lucky.load(Ordering::SeqCst), 1);
        let told: Vec<_> = recorder.seen().iter().map(|seen| (seen.from, seen.to)).collect();
        assert_eq!(told, [(State::Closed, State::Open), (State::Open, State::HalfOpen)]);
    }
}

#[test]
fn two_slots_are_freed_by_success_ignored_and_dropped_and_a_panic_reopens() {
    let (breaker, _clock) = manual(|settings| settings.half_open_capacity(2).success_threshold(9));
    breaker.transition_to(State::HalfOpen);
    let [first, second] = [admitted(&breaker), admitted(&breaker)];
    refused(&breaker);
    first.success();
    let third = admitted(&breaker);
    refused(&breaker);
    second.ignore();
    let mut fourth = Task::waiting(breaker.call(std::future::pending::<Result<(), ()>>()));
    assert!(fourth.poll().is_pending());
    refused(&breaker);
    drop(fourth);
    let unwound = catch_unwind(AssertUnwindSafe(|| breaker.call_sync(|| -> Result<(), ()> { panic!("probe") })));
    assert!(unwound.is_err());
    assert_eq!(breaker.state(), State::Open);
    third.ignore();
}

#[test]
fn a_failure_after_two_of_three_successes_reopens_and_the_next_episode_starts_from_zero() {
    let (breaker, clock) = manual(|settings| settings.success_threshold(3));
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(30 * SECOND);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_success_from_before_the_outage_closes_nothing_and_frees_no_slot() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
    let slow = admitted(&breaker);
    fail(&breaker);
    clock.advance(30 * SECOND);
    let probe = admitted(&breaker);
    slow.success();
    assert_eq!(breaker.state(), State::HalfOpen);
    refused(&breaker);
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_probe_of_one_episode_that_ends_in_the_next_does_nothing_to_it() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Trip { open_for: SECOND }] {
        let (breaker, clock) = manual(|settings| settings.half_open_capacity(2).success_threshold(1));
        breaker.transition_to(State::HalfOpen);
        let [slow, failing] = [admitted(&breaker), admitted(&breaker)];
        failing.failure();
        clock.advance(30 * SECOND);
        let [_first, _second] = [admitted(&breaker), admitted(&breaker)];
        slow.record(outcome);
        assert_eq!((breaker.state(), consecutive(&breaker)), (State::HalfOpen, (0, 0)), "{outcome:?}");
        refused(&breaker);
    }
}

#[test]
fn a_probe_that_never_ends_makes_room_after_its_timeout() {
    let (breaker, clock) = manual(|settings| settings.probe_timeout(5 * SECOND).success_threshold(1));
    breaker.transition_to(State::HalfOpen);
    std::mem::forget(admitted(&breaker));
    clock.advance(5 * SECOND - TICK);
    refused(&breaker);
    clock.advance(TICK);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_judge_that_panics_on_a_probe_loses_no_slot() {
    let (breaker, _clock) = manual(|settings| settings.half_open_error_threshold(2));
    breaker.transition_to(State::HalfOpen);
    let call = || breaker.call_sync_with(|| Ok::<(), ()>(()), |_| panic!("judge"));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!((breaker.state(), consecutive(&breaker)), (State::HalfOpen, (1, 0)));
    succeed(&breaker);
}

#[test]
fn the_second_opening_lasts_longer_and_a_close_starts_over() {
    let (breaker, clock) = manual(|settings| {
        settings.error_threshold(1).success_threshold(1).reset_timeout(5 * SECOND).reset_backoff(1.5, Duration::MAX)
    });
    fail(&breaker);
    clock.advance(5 * SECOND);
    fail(&breaker);
    clock.advance(6 * SECOND);
    refused(&breaker);
    clock.advance(1_500 * MILLI);
    succeed(&breaker);
    fail(&breaker);
    assert!(is_open_for(&breaker, 5 * SECOND));

    let (breaker, _clock) = manual(|settings| settings.reset_backoff(1e300, Duration::MAX));
    breaker.transition_to(State::HalfOpen);
    fail(&breaker);
    assert!(refused(&breaker).retry_after().unwrap() > 100 * YEAR);
}

#[test]
fn forced_open_outlives_any_deadline_and_forced_closed_any_number_of_failures() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1));
    fail(&breaker);
    breaker.force_open();
    clock.advance(YEAR);
    refused(&breaker);
    breaker.force_closed();
    for _ in 0..1_000 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
}

#[test]
fn reset_closes_and_clears_in_any_state_and_calls_from_before_change_nothing() {
    for state in STATES {
        let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
        let earlier = admitted(&breaker);
        fail(&breaker);
        breaker.transition_to(state);
        breaker.reset();
        let metrics = breaker.metrics();
        assert_eq!((metrics.state, metrics.total_error_count, metrics.active_calls), (State::Closed, 0, 1));
        assert_eq!((metrics.transition_count, metrics.last_error), (0, None));
        fail(&breaker);
        earlier.failure();
        assert_eq!((breaker.state(), consecutive(&breaker)), (State::Closed, (1, 0)), "{state}");
    }
}

#[test]
fn observers_may_call_the_breaker_and_a_panicking_one_stops_nobody() {
    static BREAKER: OnceLock<CircuitBreaker> = OnceLock::new();
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| {
        settings
            .on_transition(|transition| {
                if transition.to == State::ForcedOpen {
                    BREAKER.get().unwrap().reset();
                }
                panic!("observer");
            })
            .on_transition(recorder.observer())
    });
    let breaker = BREAKER.get_or_init(|| breaker);
    breaker.force_open();
    let told: Vec<_> = recorder.seen().iter().map(|seen| seen.to).collect();
    assert_eq!(told, [State::ForcedOpen, State::Closed]);
}

#[test]
fn a_clock_that_steps_back_loses_no_count_and_no_time_out_is_too_long() {
    let (breaker, clock) =
        manual(|settings| settings.error_threshold(2).reset_timeout(Duration::MAX).probe_timeout(Duration::MAX));
    clock.set(100 * SECOND);
    fail(&breaker);
    clock.set(40 * SECOND);
    fail(&breaker);
    assert_eq!(breaker.metrics().total_error_count, 2);
    assert!(refused(&breaker).retry_after().unwrap() > 100 * YEAR);
    clock.set(Duration::ZERO);
    refused(&breaker);
}

type Settings = fn(Builder) -> Builder;

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let nonsense: [(&str, Settings); 10] = [
        ("error_threshold", |settings| settings.error_threshold(0)),
        ("success_threshold", |settings| settings.success_threshold(0)),
        ("half_open_error_threshold", |settings| settings.half_open_error_threshold(0)),
        ("half_open_capacity", |settings| settings.half_open_capacity(0)),
        ("half_open_max_capacity", |settings| settings.half_open_capacity(3).half_open_max_capacity(2)),
        ("reset_timeout", |settings| settings.reset_timeout(Duration::ZERO)),
        ("probe_timeout", |settings| settings.probe_timeout(Duration::ZERO)),
        ("reset_backoff", |settings| settings.reset_backoff(0.5, Duration::MAX)),
        ("reset_jitter", |settings| settings.reset_jitter(f64::NAN)),
        ("reset_jitter", |settings| settings.reset_jitter(1.5)),
    ];
    for (setting, settings) in nonsense {
        let error = settings(CircuitBreaker::builder("test")).build().unwrap_err();
        assert_eq!(error.setting(), setting);
        assert!(error.to_string().contains(setting));
    }
}
