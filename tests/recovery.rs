//! Recovery by steps: a growing share of the calls, between the probes and the close.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{
    MILLI, Recorder, SECOND, TICK, Task, accepts, admitted, fail, is_open_for, manual, refused, refuses, succeed, trip,
};
use tripcoil::clock::ManualClock;
use tripcoil::{
    Builder, Cause, CircuitBreaker, Config, Dropped, Outcome, Permit, Recovery, RecoveryStep, State, Window,
};

/// How long each step lasts.
const EACH: Duration = Duration::from_secs(10);
/// No call for so long lets the next one pass.
const TENTH: Duration = Duration::from_secs(1);

fn steps<const N: usize>(shares: [f64; N]) -> Recovery {
    Recovery::steps(shares).each(EACH)
}

/// At the first step of `recovery`. One probe is enough.
fn recovering(recovery: Recovery, settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = manual(|builder| settings(builder.success_threshold(1).recovery(recovery)));
    enter(&breaker);
    (breaker, clock)
}

fn enter(breaker: &CircuitBreaker) {
    breaker.transition_to(State::HalfOpen);
    succeed(breaker);
}

fn step(breaker: &CircuitBreaker) -> RecoveryStep {
    *breaker.metrics().recovery.expect("the breaker is within the steps")
}

/// The calls and the errors of the step.
fn window(breaker: &CircuitBreaker) -> (u64, u64) {
    let window = breaker.metrics().window.unwrap();
    (window.calls, window.errors)
}

/// Which of so many calls pass, settled at once.
fn passed(breaker: &CircuitBreaker, calls: usize, outcome: Outcome) -> Vec<usize> {
    (0..calls).filter(|_| breaker.try_acquire().map(|permit| permit.record(outcome)).is_ok()).collect()
}

#[test]
fn entering_the_steps_is_no_transition() {
    let recorder = Recorder::default();
    let (breaker, _) = recovering(steps([0.5]), |builder| builder.on_transition(recorder.observer()));
    assert_eq!((breaker.state(), recorder.count(), breaker.metrics().transition_count), (State::HalfOpen, 1, 1));
    assert_eq!((step(&breaker).step, step(&breaker).steps, step(&breaker).share()), (1, 1, 0.5));
}

#[test]
fn the_probes_come_first_and_take_the_success_threshold() {
    let (breaker, clock) = manual(|builder| builder.success_threshold(2).recovery(steps([0.5])));
    breaker.open_for(SECOND);
    clock.advance(SECOND);
    for _ in 0..2 {
        assert_eq!((breaker.metrics().recovery, breaker.state() == State::Closed), (None, false));
        let probe = admitted(&breaker);
        assert!(probe.is_probe() && breaker.try_acquire().is_err());
        probe.success();
    }
    assert_eq!((breaker.state(), step(&breaker).step), (State::HalfOpen, 1));
}

#[test]
fn all_steps_share_an_epoch_so_a_call_may_begin_in_one_and_end_in_another() {
    let (breaker, clock) = recovering(steps([1.0, 1.0]), |builder| builder);
    let long = admitted(&breaker);
    clock.advance(EACH);
    succeed(&breaker);
    long.failure();
    assert_eq!((step(&breaker).step, window(&breaker)), (2, (2, 1)));
}

#[test]
fn entering_the_steps_is_a_new_epoch_so_probes_from_before_it_are_late() {
    let (breaker, _) = manual(|builder| builder.success_threshold(1).half_open_capacity(3).recovery(steps([1.0])));
    breaker.transition_to(State::HalfOpen);
    let [first, second, third] = [(); 3].map(|()| admitted(&breaker));
    first.success();
    second.failure();
    third.record(Outcome::Trip { open_for: SECOND });
    assert_eq!((breaker.state(), window(&breaker)), (State::HalfOpen, (0, 0)));
    assert_eq!(breaker.metrics().total_error_count, 2);
}

#[test]
fn a_rejection_names_the_step_and_no_time() {
    let (breaker, clock) = recovering(steps([0.1, 0.2]), |builder| builder);
    succeed(&breaker);
    let rejected = refused(&breaker);
    assert_eq!(rejected.to_string(), "circuit breaker `test` is half-open, at step 1 of 2 of its recovery");
    assert_eq!((rejected.state(), rejected.recovery_step(), rejected.retry_after()), (State::HalfOpen, Some(1), None));
    clock.advance(EACH);
    let _first_of_its_step = breaker.try_acquire();
    assert_eq!(refused(&breaker).recovery_step(), Some(2));
}

#[test]
fn calls_within_the_steps_are_no_probes_and_take_no_probes_place() {
    let (breaker, _) = recovering(steps([1.0]), |builder| builder.half_open_capacity(1).half_open_max_capacity(2));
    let calls: Vec<Permit<'_>> = (0..200).map(|_| admitted(&breaker)).collect();
    assert!(calls.iter().all(|call| !call.is_probe()));
    assert_eq!(breaker.metrics().active_calls, 200);
}

#[test]
fn a_probes_settings_do_not_apply_within_the_steps() {
    let settings = |builder: Builder| builder.half_open_error_threshold(1).probe_timeout(MILLI).minimum_calls(20);
    let (breaker, clock) = recovering(steps([1.0]), settings);
    let silent = admitted(&breaker);
    clock.advance(SECOND);
    for _ in 0..10 {
        fail(&breaker);
        succeed(&breaker);
    }
    // 10 of 20 would be too many, but the last one to end was a success.
    assert_eq!((breaker.state(), window(&breaker)), (State::HalfOpen, (20, 10)));
    silent.success();
    assert_eq!((window(&breaker), breaker.metrics().consecutive_success_count), ((21, 10), 0));
}

#[test]
fn an_owned_permit_knows_a_probe_too() {
    let breaker = Arc::new(manual(|builder| builder.success_threshold(1).recovery(steps([1.0]))).0);
    assert!(!breaker.try_acquire_owned().unwrap().is_probe());
    breaker.transition_to(State::HalfOpen);
    let probe = breaker.try_acquire_owned().unwrap();
    assert!(probe.is_probe());
    probe.success();
    assert!(!breaker.try_acquire_owned().unwrap().is_probe());
}

#[test]
fn each_step_lets_its_share_pass_spread_evenly() {
    let shares = [0.01, 0.05, 0.25, 0.5];
    let (breaker, clock) = recovering(steps(shares), |builder| builder);
    for share in shares {
        let all = passed(&breaker, 10_000, Outcome::Success);
        assert_eq!(breaker.metrics().recovery.unwrap().share().to_bits(), share.to_bits());
        for calls in (100..=10_000).step_by(100) {
            let some = u32::try_from(all.iter().filter(|call| **call < calls).count()).unwrap();
            let expected = f64::from(u32::try_from(calls).unwrap()) * share;
            assert!((f64::from(some) - expected).abs() <= 3.0, "{some} of {calls} calls at {share}");
        }
        clock.advance(EACH);
    }
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn many_threads_with_a_few_calls_each_let_the_same_share_pass() {
    let (breaker, _) = recovering(steps([0.1]), |builder| builder);
    let total: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| passed(&breaker, 250, Outcome::Success).len())).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    assert!((360..=440).contains(&total), "{total} of 4000 calls passed");
}

#[test]
fn each_step_has_a_window_of_its_own() {
    let (breaker, clock) = recovering(steps([1.0, 1.0, 1.0]), |builder| builder);
    for step_number in 1..=3 {
        // 9 of 19 is below the rate; 18 of 38 would be judged, and 27 of 57.
        passed(&breaker, 10, Outcome::Success);
        passed(&breaker, 9, Outcome::Failure);
        assert_eq!((step(&breaker).step, window(&breaker)), (step_number, (19, 9)));
        clock.advance(EACH);
    }
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn without_rates_it_reopens_when_half_of_minimum_calls_fail() {
    let recorder = Recorder::default();
    let settings = |builder: Builder| builder.minimum_calls(8).on_transition(recorder.observer());
    let (breaker, _) = recovering(steps([1.0]), settings);
    passed(&breaker, 4, Outcome::Success);
    passed(&breaker, 3, Outcome::Failure);
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker);
    assert!(is_open_for(&breaker, 30 * SECOND));
    let transition = recorder.seen().pop().unwrap();
    assert_eq!((transition.from, transition.to, transition.cause), (State::HalfOpen, State::Open, Cause::ErrorRate));
    let window = transition.window.expect("that of the step");
    assert_eq!((window.calls, window.errors), (8, 4));
    assert_eq!(breaker.metrics().recovery, None);
}

#[test]
fn minimum_calls_are_twenty_unless_they_are_set() {
    let (breaker, _) = recovering(steps([1.0]), |builder| builder);
    passed(&breaker, 19, Outcome::Failure);
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn it_reopens_by_the_configured_error_rate() {
    let (breaker, _) = recovering(steps([1.0]), |builder| builder.error_rate(0.2).minimum_calls(10));
    passed(&breaker, 8, Outcome::Success);
    fail(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

fn slow_rule(builder: Builder) -> Builder {
    builder.slow_call_rate(0.5).slow_call_duration(SECOND).minimum_calls(4)
}

#[test]
fn it_reopens_by_the_configured_slow_call_rate() {
    let recorder = Recorder::default();
    let (breaker, clock) = recovering(steps([1.0]), |builder| slow_rule(builder).on_transition(recorder.observer()));
    passed(&breaker, 2, Outcome::Success);
    for state in [State::HalfOpen, State::Open] {
        let slow = admitted(&breaker);
        clock.advance(SECOND);
        slow.success();
        assert_eq!(breaker.state(), state);
    }
    assert_eq!(recorder.seen().pop().unwrap().cause, Cause::SlowCallRate);
    assert_eq!(breaker.metrics().total_slow_count, 2);
}

#[test]
fn beside_a_slow_call_rate_alone_half_of_the_calls_failing_is_too_much() {
    let (breaker, _) = recovering(steps([1.0]), slow_rule);
    passed(&breaker, 4, Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn calls_that_hang_are_in_the_window_of_the_step() {
    let (breaker, clock) = recovering(steps([1.0, 1.0]), slow_rule);
    let _hanging: Vec<_> = (0..4).map(|_| admitted(&breaker)).collect();
    clock.advance(1500 * MILLI);
    assert_eq!(breaker.metrics().window.unwrap().hanging_calls, 4);
    let found = breaker.try_acquire().unwrap_err();
    assert_eq!((breaker.state(), found.state()), (State::Open, State::Open));
}

#[test]
fn a_call_that_has_hung_since_an_earlier_step_is_in_the_window_of_this_one() {
    let (breaker, clock) = recovering(steps([1.0, 1.0]), slow_rule);
    passed(&breaker, 4, Outcome::Success);
    let hanging = admitted(&breaker);
    clock.advance(EACH);
    succeed(&breaker);
    assert_eq!((step(&breaker).step, breaker.metrics().window.unwrap().hanging_calls), (2, 1));
    // Alone with one other call it is half of what came.
    clock.advance(EACH);
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.state(), State::Open);
    hanging.success();
}

#[test]
fn a_step_with_fewer_calls_is_judged_at_its_end_on_what_came() {
    for (failures, state) in [(1, State::HalfOpen), (2, State::Open)] {
        let (breaker, clock) = recovering(steps([1.0, 1.0]), |builder| builder);
        passed(&breaker, 2, Outcome::Success);
        passed(&breaker, failures, Outcome::Failure);
        clock.advance(EACH - TICK);
        assert_eq!(breaker.state(), State::HalfOpen);
        clock.advance(TICK);
        assert_eq!(breaker.try_acquire().is_ok(), state == State::HalfOpen);
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn a_reopening_waits_for_the_next_backoff() {
    let settings = |builder: Builder| builder.reset_backoff(2.0, 600 * SECOND).minimum_calls(1);
    let (breaker, clock) = recovering(steps([1.0]), settings);
    for wait in [60, 120, 240] {
        fail(&breaker);
        assert!(is_open_for(&breaker, wait * SECOND));
        clock.advance(breaker.metrics().retry_after.unwrap());
        succeed(&breaker);
        assert_eq!(step(&breaker).step, 1);
    }
    clock.advance(EACH);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    breaker.transition_to(State::Open);
    assert!(is_open_for(&breaker, 30 * SECOND));
}

#[test]
fn a_trip_opens_for_the_time_given() {
    let (breaker, _) = recovering(steps([1.0]), |builder| builder);
    trip(&breaker, 7 * SECOND);
    assert!(is_open_for(&breaker, 7 * SECOND));
    assert_eq!(breaker.metrics().total_error_count, 1);
}

#[test]
fn the_last_step_that_holds_closes() {
    let recorder = Recorder::default();
    let settings = |builder: Builder| builder.on_transition(recorder.observer());
    let (breaker, clock) = recovering(steps([1.0, 1.0]), settings);
    let late = admitted(&breaker);
    for _ in 0..2 {
        assert_eq!(breaker.state(), State::HalfOpen);
        succeed(&breaker);
        clock.advance(EACH);
    }
    // Nobody has asked yet.
    assert_eq!(breaker.state(), State::HalfOpen);
    let first = admitted(&breaker);
    assert!(!first.is_probe());
    let close = recorder.seen().pop().unwrap();
    assert_eq!(
        (close.from, close.to, close.cause, close.at),
        (State::HalfOpen, State::Closed, Cause::Recovered, 2 * EACH)
    );
    first.failure();
    assert_eq!(breaker.metrics().consecutive_error_count, 1);
    late.failure();
    assert_eq!(breaker.metrics().consecutive_error_count, 1, "a call of the steps is late after the close");
}

#[test]
fn a_settlement_ends_a_step_too() {
    let (breaker, clock) = recovering(steps([1.0]), |builder| builder);
    let call = admitted(&breaker);
    clock.advance(EACH);
    call.failure();
    assert_eq!((breaker.state(), breaker.metrics().consecutive_error_count), (State::Closed, 0));
}

#[test]
fn with_little_traffic_a_call_passes_once_none_has_for_a_tenth_of_a_step() {
    let (breaker, clock) = recovering(steps([0.001]), |builder| builder);
    // The first of a thousand.
    succeed(&breaker);
    for _ in 0..5 {
        refused(&breaker);
        clock.advance(TENTH - TICK);
        refused(&breaker);
        clock.advance(TICK);
        succeed(&breaker);
    }
    // The tenth is counted from the call that passed, and from the beginning of the steps.
    clock.advance(TENTH / 2);
    refused(&breaker);
    enter(&breaker);
    refused(&breaker);
    clock.advance(TENTH);
    succeed(&breaker);
}

#[test]
fn an_order_ends_the_steps_like_any_state() {
    for to in [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed] {
        let (breaker, clock) = recovering(steps([1.0]), |builder| builder);
        let late = admitted(&breaker);
        breaker.transition_to(to);
        assert_eq!((breaker.state(), breaker.metrics().recovery), (to, None));
        late.record(Outcome::Trip { open_for: SECOND });
        clock.advance(EACH);
        assert_eq!(breaker.state(), to);
    }
    let (breaker, _) = recovering(steps([1.0]), |builder| builder);
    breaker.reset();
    assert_eq!((breaker.state(), breaker.metrics().total_success_count), (State::Closed, 0));
    let (breaker, _) = recovering(steps([1.0]), |builder| builder);
    breaker.open_for(3 * SECOND);
    assert!(is_open_for(&breaker, 3 * SECOND));
}

#[test]
fn an_order_to_half_open_begins_with_probes_again() {
    let (breaker, _) = recovering(steps([1.0]), |builder| builder);
    breaker.transition_to(State::HalfOpen);
    assert!(admitted(&breaker).is_probe());
}

#[test]
fn time_moves_the_steps_only_when_somebody_asks() {
    let (breaker, clock) = recovering(steps([0.1, 0.2, 1.0]), |builder| builder);
    clock.advance(2 * EACH);
    assert_eq!((breaker.state(), step(&breaker).step), (State::HalfOpen, 1));
    succeed(&breaker);
    assert_eq!((step(&breaker).step, step(&breaker).share()), (3, 1.0));
}

#[test]
fn steps_without_calls_hold() {
    let (breaker, clock) = recovering(steps([0.1, 0.2, 0.3, 0.4]), |builder| builder);
    succeed(&breaker);
    clock.advance(100 * EACH);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn after_a_silence_the_step_before_it_is_judged() {
    let (breaker, clock) = recovering(steps([1.0, 1.0, 1.0]), |builder| builder);
    fail(&breaker);
    clock.advance(100 * EACH);
    assert!(breaker.try_acquire().is_err());
    assert!(is_open_for(&breaker, 30 * SECOND));
}

#[test]
fn a_call_that_says_nothing_is_in_no_window() {
    let (breaker, clock) = recovering(steps([1.0]), |builder| builder.dropped_calls(Dropped::FailureAfter(SECOND)));
    admitted(&breaker).ignore();
    drop(admitted(&breaker));
    assert_eq!(window(&breaker), (0, 0));
    let dropped = admitted(&breaker);
    clock.advance(SECOND);
    drop(dropped);
    assert_eq!(window(&breaker), (1, 1));
    let panicked =
        thread::scope(|scope| scope.spawn(|| breaker.call_sync(|| -> Result<(), ()> { panic!("boom") })).join());
    assert!(panicked.is_err());
    let metrics = breaker.metrics();
    assert_eq!(window(&breaker), (2, 2));
    assert_eq!((metrics.total_ignored_count, metrics.total_dropped_count, metrics.active_calls), (1, 1, 0));
    assert_eq!(metrics.last_error.unwrap().type_name, "panic");
}

#[test]
fn whoever_waits_asks_again_at_a_tenth_of_a_step_and_at_the_close() {
    let (breaker, clock) = recovering(steps([0.001, 0.002]), |builder| builder);
    succeed(&breaker);
    let waits = std::cell::RefCell::new(Vec::new());
    let sleep = |wait| {
        waits.borrow_mut().push(wait);
        std::future::pending::<()>()
    };
    let mut task = Task::waiting(breaker.acquire(sleep));
    assert_eq!(*waits.borrow(), [TENTH]);
    clock.advance(2 * EACH);
    assert!(!task.is_woken());
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert!(task.is_woken() && task.poll().is_ready());
}

#[test]
fn a_thread_that_waits_is_admitted_at_a_tenth_of_a_step() {
    let recovery = Recovery::steps([0.000_001]).each(200 * MILLI);
    let breaker = CircuitBreaker::builder("test").success_threshold(1).recovery(recovery).build().unwrap();
    enter(&breaker);
    succeed(&breaker);
    let permit = breaker.acquire_blocking(20 * SECOND).expect("after 20 ms, or once the breaker has closed");
    permit.success();
}

#[test]
fn changed_hears_of_the_close_and_not_of_the_steps() {
    let (breaker, clock) = recovering(steps([1.0, 1.0]), |builder| builder);
    let mut changed = Task::waiting(breaker.changed());
    clock.advance(EACH);
    succeed(&breaker);
    assert!(!changed.is_woken());
    clock.advance(EACH);
    succeed(&breaker);
    assert!(changed.is_woken());
    assert_eq!(changed.poll(), std::task::Poll::Ready(State::Closed));
}

#[test]
fn every_call_between_asks_the_same_steps() {
    let (breaker, _) = recovering(steps([0.5]), |builder| builder);
    let call =
        |ok: bool| breaker.call_sync(|| if ok { Ok(()) } else { Err("down") }).map_err(|error| error.is_rejected());
    let rejected = (0..100).filter(|_| call(true) == Err(true)).count();
    assert_eq!((rejected, window(&breaker)), (49, (51, 0)));
    assert_eq!(breaker.metrics().total_rejected_count, 49);
    let failed = (0..4).filter(|_| call(false) == Err(false)).count();
    assert_eq!((failed, window(&breaker)), (2, (53, 2)));
}

#[test]
fn new_settings_without_recovery_end_it_with_the_next_call() {
    let (breaker, _) = recovering(steps([0.001]), |builder| builder);
    succeed(&breaker);
    refused(&breaker);
    breaker.reconfigure(Config::default()).unwrap();
    assert_eq!((breaker.state(), breaker.metrics().recovery), (State::HalfOpen, None));
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn new_settings_with_other_steps_hold_at_once() {
    let (breaker, clock) = recovering(steps([0.001, 0.001]), |builder| builder);
    succeed(&breaker);
    let mut config = Config::default();
    config.recovery = Some(steps([1.0, 1.0, 1.0]));
    breaker.reconfigure(config).unwrap();
    assert_eq!((step(&breaker).step, step(&breaker).steps), (1, 3));
    passed(&breaker, 10, Outcome::Success);
    assert_eq!(window(&breaker), (11, 0));
    clock.advance(3 * EACH);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_clock_that_steps_back_brings_no_step_back_and_starves_nobody() {
    let (breaker, clock) = manual(|builder| builder.success_threshold(1).recovery(steps([0.001, 0.001])));
    clock.set(1000 * SECOND);
    enter(&breaker);
    clock.advance(EACH);
    let _may_pass = breaker.try_acquire();
    assert_eq!(step(&breaker).step, 2);
    clock.set(SECOND);
    let passes = breaker.try_acquire().is_ok();
    assert_eq!((passes, step(&breaker).step), (true, 2));
    refused(&breaker);
    clock.set(1000 * SECOND + 2 * EACH);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_clock_at_the_end_of_its_range_harms_nothing() {
    let (breaker, clock) = manual(|builder| builder.success_threshold(1).recovery(steps([1.0, 1.0])));
    clock.set(Duration::MAX);
    enter(&breaker);
    succeed(&breaker);
    assert_eq!(step(&breaker).step, 1);
    clock.set(Duration::ZERO);
    succeed(&breaker);
    breaker.transition_to(State::Closed);
}

#[test]
fn every_episode_begins_at_the_first_step_with_an_empty_window() {
    let (breaker, clock) = recovering(steps([1.0, 1.0]), |builder| builder);
    for _ in 0..5 {
        passed(&breaker, 3, Outcome::Failure);
        passed(&breaker, 4, Outcome::Success);
        clock.advance(EACH);
        succeed(&breaker);
        assert_eq!((step(&breaker).step, window(&breaker)), (2, (1, 0)));
        enter(&breaker);
        assert_eq!((step(&breaker).step, window(&breaker)), (1, (0, 0)));
    }
}

#[test]
fn a_window_of_calls_begins_empty_after_the_steps() {
    let settings = |builder: Builder| builder.error_rate(0.5).window(Window::calls(4)).minimum_calls(2);
    let (breaker, clock) = recovering(steps([1.0]), settings);
    passed(&breaker, 3, Outcome::Success);
    fail(&breaker);
    clock.advance(EACH);
    fail(&breaker);
    let window = breaker.metrics().window.unwrap();
    assert_eq!((breaker.state(), window.calls, window.errors), (State::Closed, 1, 1));
}

#[test]
fn a_ramp_is_twenty_steps() {
    let (breaker, clock) = recovering(Recovery::ramp(20 * SECOND), |builder| builder);
    let mut shares = Vec::new();
    while let Some(step) = breaker.metrics().recovery {
        assert_eq!((step.step as usize, step.steps), (shares.len() + 1, 20));
        shares.push(step.share());
        clock.advance(SECOND);
        let _asked = breaker.try_acquire().map(Permit::success);
    }
    assert_eq!((shares[0], shares[19], shares.len()), (0.025, 0.975, 20));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_storm_of_threads_loses_no_call_and_closes_once() {
    let recorder = Recorder::default();
    let recovery = Recovery::steps([0.2, 0.5, 0.8]).each(20 * MILLI);
    let builder = CircuitBreaker::builder("test").success_threshold(1).recovery(recovery);
    let breaker = builder.on_transition(recorder.observer()).build().unwrap();
    for round in 1..=3 {
        enter(&breaker);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while breaker.state() == State::HalfOpen {
                        if let Ok(permit) = breaker.try_acquire() {
                            permit.success();
                        }
                    }
                });
            }
        });
        let closes = recorder.seen().iter().filter(|told| told.cause == Cause::Recovered).count();
        assert_eq!((breaker.state(), closes, breaker.metrics().active_calls), (State::Closed, round, 0));
    }
}

#[test]
fn recovery_is_read_from_the_environment() {
    let read = |text| Config::from_vars("P_", [("P_RECOVERY", text)]);
    assert_eq!(
        read("0.01, 0.05, 0.25, 0.5 each 30s").unwrap().recovery,
        Some(Recovery::steps([0.01, 0.05, 0.25, 0.5]).each(30 * SECOND))
    );
    assert_eq!(read("0.5 each 10ms").unwrap().recovery, Some(Recovery::steps([0.5]).each(10 * MILLI)));
    assert_eq!(read("ramp 2m").unwrap().recovery, Some(Recovery::ramp(120 * SECOND)));
    for text in ["", "0.5", "each 30s", "0.1, each 30s", "0.1 0.2 each 30s", "0.1 each 30", "ramp", "ramp 2", "ramp up"]
    {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`P_RECOVERY` is {text:?}, allowed is rising shares")), "{error}");
    }
}

#[test]
fn settings_out_of_range_are_refused_with_their_value_and_the_range() {
    for (recovery, value, allowed) in [
        (steps([]), "0 steps", "1 to 32 steps"),
        (Recovery::steps([0.5; 33]).each(EACH), "33 steps", "1 to 32 steps"),
        (steps([0.0]), "a share of 0.0", "shares above 0.0, up to 1.0"),
        (steps([0.5, 1.5]), "a share of 1.5", "shares above 0.0, up to 1.0"),
        (steps([f64::NAN]), "a share of NaN", "shares above 0.0, up to 1.0"),
        (steps([-0.1]), "a share of -0.1", "shares above 0.0, up to 1.0"),
        (steps([0.5, 0.25]), "a share of 0.25 after 0.5", "shares of which none is smaller than the one before"),
        (Recovery::steps([0.5]).each(9 * MILLI), "steps of 9ms", "steps of 10ms to 86400s each"),
        (Recovery::steps([0.5]).each(86_401 * SECOND), "steps of 86401s", "steps of 10ms to 86400s each"),
        (Recovery::ramp(199 * MILLI), "a ramp of 199ms", "a ramp of 200ms to 1728000s"),
        (Recovery::ramp(Duration::ZERO), "a ramp of 0ns", "a ramp of 200ms to 1728000s"),
        (Recovery::ramp(Duration::MAX), "a ramp of 18446744073709551615.999999999s", "a ramp of 200ms to 1728000s"),
    ] {
        refuses("recovery", value, allowed, |builder| builder.recovery(recovery));
    }
    for recovery in [steps([0.5, 0.5, 1.0]), Recovery::ramp(200 * MILLI), Recovery::ramp(1_728_000 * SECOND)] {
        accepts(|builder| builder.recovery(recovery));
    }
    accepts(|builder| builder.recovery(Recovery::steps([0.1; 32]).each(10 * MILLI)).minimum_calls(1));
    let needless = "unset, as neither error_rate, slow_call_rate, drop_rate nor recovery is set";
    refuses("minimum_calls", "1", needless, |builder| builder.minimum_calls(1));
}

#[test]
fn a_shadow_goes_through_the_steps_of_its_own_policy_and_sees_the_calls_of_the_breakers_steps() {
    let (breaker, clock) = manual(|builder| builder.error_threshold(100));
    let mut config = Config::default();
    config.error_threshold = Some(Some(1));
    config.reset_timeout = Some(SECOND);
    config.success_threshold = Some(1);
    config.recovery = Some(steps([0.5, 1.0]));
    breaker.shadow(config).unwrap();
    fail(&breaker);
    clock.advance(SECOND);
    succeed(&breaker);
    passed(&breaker, 100, Outcome::Success);
    let shadow = || breaker.metrics().shadow.unwrap();
    assert_eq!((shadow().state, shadow().rejected_count, shadow().rejections.success_count), (State::HalfOpen, 49, 49));
    clock.advance(2 * EACH);
    succeed(&breaker);
    assert_eq!((shadow().state, shadow().transitions.contains(&(Cause::Recovered, 1))), (State::Closed, true));

    let (breaker, _) = recovering(steps([0.5]), |builder| builder);
    breaker.shadow(Config::default()).unwrap();
    let passed = passed(&breaker, 100, Outcome::Success).len() as u64;
    let shadow = breaker.metrics().shadow.unwrap();
    assert_eq!((shadow.seen_calls, shadow.unseen_calls), (passed, 100 - passed));
    breaker.transition_to(State::HalfOpen);
    assert!(admitted(&breaker).is_probe());
}

#[cfg(feature = "registry")]
#[test]
fn a_registry_takes_a_breaker_within_the_steps_for_half_open() {
    let clock = ManualClock::new();
    let template = CircuitBreaker::builder("db").error_threshold(1).success_threshold(1).clock(clock.clone());
    let registry =
        tripcoil::Registry::<&str>::builder(template.recovery(steps([1.0]))).max_open_share(0.5).build().unwrap();
    let [first, second] = ["db1", "db2"].map(|key| registry.get(&key));
    fail(&first);
    fail(&second);
    assert_eq!((first.state(), second.state()), (State::Open, State::Closed), "half of them are open");
    // The same as while it is half-open and probes.
    clock.advance(30 * SECOND);
    succeed(&first);
    assert!(first.metrics().recovery.is_some());
    fail(&second);
    assert_eq!(second.state(), State::Closed);
    clock.advance(EACH);
    succeed(&first);
    assert_eq!(first.state(), State::Closed);
    fail(&second);
    assert_eq!(second.state(), State::Open);
}
