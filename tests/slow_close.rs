//! A slow close: an order, or the end of a forced state, that lets a growing share of the calls pass before the breaker
//! closes.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{MILLI, Recorder, SECOND, STATES, TICK, YEAR, admitted, fail, is_open_for, manual, refused, succeed};
use tripcoil::clock::ManualClock;
use tripcoil::{
    Builder, Cause, CircuitBreaker, Config, Order, Outcome, Permit, Recovery, RecoveryStep, Revision, State,
};

const RAMP: Duration = Duration::from_secs(20);
/// A twentieth of it.
const EACH: Duration = Duration::from_secs(1);

fn slow_close(breaker: &CircuitBreaker) -> Revision {
    breaker.order(Order::SlowClose { ramp: RAMP }, None).expect("the order is unconditional")
}

/// At the first step of an ordered slow close, out of open.
fn closing(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = manual(settings);
    breaker.open_for(YEAR);
    slow_close(&breaker);
    (breaker, clock)
}

fn step(breaker: &CircuitBreaker) -> RecoveryStep {
    *breaker.metrics().recovery.expect("the breaker is within the steps")
}

fn passed(breaker: &CircuitBreaker, calls: usize, outcome: Outcome) -> usize {
    (0..calls).filter(|_| breaker.try_acquire().map(|permit| permit.record(outcome)).is_ok()).count()
}

/// The shares of all steps up to the close, each of which is left after `each`.
fn shares(breaker: &CircuitBreaker, clock: &ManualClock, each: Duration) -> Vec<f64> {
    let mut shares = Vec::new();
    while let Some(step) = breaker.metrics().recovery {
        shares.push(step.share());
        clock.advance(each);
        let _asked = breaker.try_acquire().map(Permit::success);
    }
    shares
}

fn has_one_step(builder: Builder) -> Builder {
    builder.success_threshold(1).recovery(Recovery::steps([1.0]).each(SECOND))
}

#[test]
fn it_enters_the_first_step_from_every_state_that_rejects_calls_with_and_without_a_recovery() {
    for from in [State::Open, State::HalfOpen, State::ForcedOpen] {
        for has_recovery in [false, true] {
            let recorder = Recorder::default();
            let (breaker, clock) = manual(|builder| {
                let builder = builder.on_transition(recorder.observer());
                if has_recovery { has_one_step(builder) } else { builder }
            });
            clock.set(7 * SECOND);
            breaker.transition_to(from);
            let before = breaker.revision();
            let ordered = breaker.order(Order::SlowClose { ramp: RAMP }, Some(before)).unwrap();
            assert!(before.is_before(ordered) && breaker.revision() == ordered);
            assert_eq!((ordered.state(), step(&breaker).step, step(&breaker).steps), (State::HalfOpen, 1, 20));
            let told = recorder.seen().pop().unwrap();
            // Half-open is the same state, and observers hear of changes only.
            if from != State::HalfOpen {
                assert_eq!((told.from, told.to, told.cause), (from, State::HalfOpen, Cause::Remote));
                assert_eq!((told.at, told.revision()), (7 * SECOND, ordered));
            }
            let shares = shares(&breaker, &clock, EACH);
            assert_eq!((shares.len(), shares[0], shares[19]), (20, 0.025, 0.975));
            let told = recorder.seen().pop().unwrap();
            assert_eq!((told.from, told.to, told.cause), (State::HalfOpen, State::Closed, Cause::Recovered));
            assert_eq!(told.at, 27 * SECOND);
        }
    }
}

#[test]
fn its_steps_are_those_of_a_ramp_that_is_set() {
    let (set, set_clock) = manual(|builder| builder.success_threshold(1).recovery(Recovery::ramp(RAMP)));
    set.transition_to(State::HalfOpen);
    succeed(&set);
    let (ordered, ordered_clock) = closing(|builder| builder);
    for _ in 0..5 {
        for breaker in [&set, &ordered] {
            passed(breaker, 400, Outcome::Success);
        }
        assert_eq!(set.metrics().window, ordered.metrics().window);
        let rejections = [&set, &ordered].map(|breaker| (0..400).find_map(|_| breaker.try_acquire().err()).unwrap());
        assert_eq!(rejections[0], rejections[1]);
        set_clock.advance(3 * SECOND);
        ordered_clock.advance(3 * SECOND);
    }
    assert_eq!(shares(&set, &set_clock, EACH), shares(&ordered, &ordered_clock, EACH));
}

#[test]
fn a_rejection_names_the_step_and_no_time() {
    let (breaker, _) = closing(|builder| builder);
    succeed(&breaker);
    let rejected = refused(&breaker);
    assert_eq!(rejected.to_string(), "circuit breaker `test` is half-open, at step 1 of 20 of its recovery");
    assert_eq!((rejected.recovery_step(), rejected.retry_after()), (Some(1), None));
}

#[test]
fn its_calls_are_no_probes_and_none_comes_before_the_first_step() {
    let (breaker, clock) = closing(|builder| builder.probe_timeout(MILLI));
    clock.advance(19 * EACH);
    let calls: Vec<Permit<'_>> = (0..50).filter_map(|_| breaker.try_acquire().ok()).collect();
    assert!(calls.len() > 40 && calls.iter().all(|call| !call.is_probe()));
}

#[test]
fn a_breaker_that_is_closed_stays_at_its_revision_and_keeps_its_counts() {
    let recorder = Recorder::default();
    let (breaker, _) = manual(|builder| builder.on_transition(recorder.observer()));
    fail(&breaker);
    let seen = breaker.revision();
    for only_at in [None, Some(seen)] {
        assert_eq!(breaker.order(Order::SlowClose { ramp: RAMP }, only_at), Ok(seen));
    }
    assert_eq!((breaker.metrics().consecutive_error_count, recorder.count()), (1, 0));
    breaker.transition_to(State::Closed);
    assert_eq!(breaker.order(Order::SlowClose { ramp: RAMP }, Some(seen)), Err(breaker.revision()));
}

#[test]
fn a_breaker_that_is_forced_closed_closes_at_once() {
    for is_enabled in [true, false] {
        let (breaker, _) = manual(|builder| has_one_step(builder).enabled(is_enabled));
        breaker.force_closed();
        assert_eq!(slow_close(&breaker).state(), State::Closed);
        assert_eq!(breaker.metrics().recovery, None);
    }
}

#[test]
fn an_order_for_a_revision_that_is_gone_undoes_no_force_of_an_operator() {
    for state in [State::ForcedOpen, State::ForcedClosed] {
        let (breaker, _) = manual(|builder| builder);
        breaker.open_for(YEAR);
        let seen = breaker.revision();
        breaker.transition_to(state);
        let found = breaker.order(Order::SlowClose { ramp: RAMP }, Some(seen)).unwrap_err();
        assert_eq!((found, found.state()), (breaker.revision(), state));
        // Nor does what it would have entered show later.
        breaker.transition_to(State::HalfOpen);
        assert_eq!(breaker.metrics().recovery, None);
        assert!(admitted(&breaker).is_probe());
    }
}

#[test]
fn ordered_again_it_begins_again_with_the_other_ramp() {
    let (breaker, clock) = closing(|builder| builder.minimum_calls(1).error_rate(1.0));
    let late = (0..40).find_map(|_| breaker.try_acquire().ok()).unwrap();
    clock.advance(5 * EACH);
    succeed(&breaker);
    assert_eq!(step(&breaker).step, 6);
    let first = breaker.revision();
    let second = breaker.order(Order::SlowClose { ramp: 2 * RAMP }, Some(first)).unwrap();
    assert_eq!((first.sequence(), step(&breaker).step), (second.sequence(), 1));
    late.failure();
    assert_eq!((breaker.state(), breaker.metrics().window.unwrap().calls), (State::HalfOpen, 0));
    assert_eq!(shares(&breaker, &clock, 2 * EACH).len(), 20);
}

#[test]
fn it_takes_the_place_of_a_recovery_that_is_under_way_and_leaves_the_next_one_as_it_is_set() {
    let (breaker, clock) = manual(has_one_step);
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    assert_eq!(step(&breaker).steps, 1);
    slow_close(&breaker);
    assert_eq!((step(&breaker).step, step(&breaker).steps), (1, 20));
    assert_eq!(shares(&breaker, &clock, EACH).len(), 20);
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    assert_eq!((step(&breaker).steps, step(&breaker).share()), (1, 1.0));
    clock.advance(SECOND);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn new_settings_leave_its_steps_alone_and_judge_them() {
    let (breaker, clock) = closing(|builder| builder);
    clock.advance(10 * EACH);
    passed(&breaker, 10, Outcome::Success);
    for recovery in [Some(Recovery::steps([0.1]).each(SECOND)), None] {
        let mut config = Config::default().error_rate(0.2).minimum_calls(2);
        config.recovery = recovery;
        breaker.reconfigure(config).unwrap();
        assert_eq!((step(&breaker).step, step(&breaker).steps), (11, 20));
    }
    clock.advance(9 * EACH);
    passed(&breaker, 5, Outcome::Success);
    assert_eq!(passed(&breaker, 1, Outcome::Failure), 1);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(passed(&breaker, 1, Outcome::Failure), 1);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn it_reopens_with_the_next_backoff_at_half_of_twenty_calls_without_rates() {
    let recorder = Recorder::default();
    let settings = |builder: Builder| builder.reset_backoff(2.0, YEAR).on_transition(recorder.observer());
    let (breaker, clock) = closing(settings);
    for wait in [60, 120] {
        clock.advance(19 * EACH);
        while breaker.metrics().window.unwrap().calls < 10 {
            passed(&breaker, 1, Outcome::Success);
        }
        while breaker.state() == State::HalfOpen {
            passed(&breaker, 1, Outcome::Failure);
        }
        assert!(is_open_for(&breaker, wait * SECOND));
        let told = recorder.seen().pop().unwrap();
        let window = told.window.unwrap();
        assert_eq!((told.cause, window.calls, window.errors), (Cause::ErrorRate, 20, 10));
        slow_close(&breaker);
        assert_eq!(step(&breaker).step, 1);
    }
    passed(&breaker, 200, Outcome::Trip { open_for: 7 * SECOND });
    assert!(is_open_for(&breaker, 7 * SECOND));
}

#[test]
fn a_failed_step_with_few_calls_opens_at_its_end() {
    let (breaker, clock) = closing(|builder| builder);
    assert_eq!(passed(&breaker, 1, Outcome::Failure), 1);
    clock.advance(EACH - TICK);
    assert_eq!(breaker.state(), State::HalfOpen);
    clock.advance(TICK);
    refused(&breaker);
    assert!(is_open_for(&breaker, 30 * SECOND));
}

#[test]
fn every_order_and_every_command_ends_it_and_no_later_recovery_has_its_ramp() {
    for to in STATES {
        let (breaker, clock) = closing(has_one_step);
        let late = admitted(&breaker);
        breaker.transition_to(to);
        assert_eq!((breaker.state(), breaker.metrics().recovery), (to, None));
        late.record(Outcome::Trip { open_for: SECOND });
        assert_eq!(breaker.state(), to);
        breaker.transition_to(State::HalfOpen);
        succeed(&breaker);
        assert_eq!(step(&breaker).steps, 1);
        clock.advance(SECOND);
        succeed(&breaker);
        assert_eq!(breaker.state(), State::Closed);
    }
    let (breaker, _) = closing(|builder| builder);
    breaker.reset();
    assert_eq!((breaker.state(), breaker.metrics().transition_count), (State::Closed, 0));
}

#[test]
fn any_ramp_has_a_meaning() {
    for from in [State::Open, State::HalfOpen, State::ForcedOpen] {
        let (breaker, _) = manual(has_one_step);
        breaker.transition_to(from);
        let ordered = breaker.order(Order::SlowClose { ramp: Duration::ZERO }, None).unwrap();
        assert_eq!((ordered.state(), breaker.state()), (State::Closed, State::Closed));
    }
    // (ramp, each step, how much longer a step may last)
    for (ramp, each, more) in
        [(TICK, MILLI, Duration::ZERO), (199 * MILLI, 10 * MILLI, Duration::ZERO), (20 * YEAR, YEAR, YEAR / 500_000)]
    {
        let (breaker, clock) = manual(|builder| builder);
        breaker.force_open();
        breaker.order(Order::SlowClose { ramp }, None).unwrap();
        succeed(&breaker);
        clock.advance(each - TICK);
        let _asked = breaker.try_acquire();
        assert_eq!(step(&breaker).step, 1, "{ramp:?}");
        clock.advance(TICK + more);
        let _asked = breaker.try_acquire();
        assert_eq!(step(&breaker).step, 2, "{ramp:?}");
    }
    let (breaker, clock) = manual(|builder| builder);
    breaker.force_open();
    breaker.order(Order::SlowClose { ramp: Duration::MAX }, None).unwrap();
    clock.set(100 * YEAR);
    let _asked = breaker.try_acquire();
    assert_eq!(step(&breaker).step, 1);
}

#[test]
fn a_clock_that_steps_neither_skips_nor_repeats_a_step() {
    let (breaker, clock) = manual(|builder| builder);
    clock.set(1_000 * SECOND);
    breaker.force_open();
    slow_close(&breaker);
    clock.advance(4 * EACH);
    let _asked = breaker.try_acquire();
    assert_eq!(step(&breaker).step, 5);
    clock.set(SECOND);
    assert!(breaker.try_acquire().is_ok(), "nobody is starved");
    assert_eq!(step(&breaker).step, 5);
    clock.set(1_000 * SECOND + RAMP);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    // At either end of the clock.
    for start in [Duration::ZERO, Duration::MAX] {
        clock.set(start);
        breaker.force_open();
        slow_close(&breaker);
        let _asked = breaker.try_acquire();
        assert_eq!(step(&breaker).step, 1);
    }
}

#[test]
fn whoever_waits_is_admitted_within_a_tenth_of_a_step() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    breaker.force_open();
    let waits = thread::spawn({
        let breaker = breaker.clone();
        move || breaker.acquire_blocking(20 * SECOND).map(Permit::success).is_ok()
    });
    breaker.order(Order::SlowClose { ramp: SECOND }, None).unwrap();
    assert!(waits.join().unwrap());
}

#[test]
fn a_shadow_beside_it_sees_the_calls_that_pass_and_nothing_of_the_order() {
    let (breaker, _) = manual(|builder| builder);
    breaker.shadow(Config::default().error_threshold(1)).unwrap();
    breaker.force_open();
    slow_close(&breaker);
    let passed = passed(&breaker, 100, Outcome::Success) as u64;
    let shadow = breaker.metrics().shadow.unwrap();
    assert_eq!((shadow.state, shadow.seen_calls, shadow.unseen_calls), (State::Closed, passed, 100 - passed));
    breaker.promote();
    assert_eq!((breaker.state(), step(&breaker).steps), (State::HalfOpen, 20));
}

#[test]
fn a_static_on_the_default_terms_closes_slowly_too() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("db");
    BREAKER.force_open();
    let ordered = BREAKER.order(Order::SlowClose { ramp: YEAR }, None).unwrap();
    assert_eq!((ordered.state(), step(&BREAKER).steps), (State::HalfOpen, 20));
    assert!(passed(&BREAKER, 400, Outcome::Success) >= 5);
    let window = BREAKER.metrics().window.unwrap();
    assert!(window.calls >= 5 && window.errors == 0);
}

#[test]
fn release_leads_forced_open_into_the_recovery_that_is_set() {
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|builder| has_one_step(builder).on_transition(recorder.observer()));
    clock.set(9 * SECOND);
    breaker.force_open();
    breaker.release();
    assert_eq!((breaker.state(), step(&breaker).step, step(&breaker).steps), (State::HalfOpen, 1, 1));
    let told = recorder.seen().pop().unwrap();
    assert_eq!((told.from, told.to, told.cause), (State::ForcedOpen, State::HalfOpen, Cause::Manual));
    assert_eq!(told.at, 9 * SECOND);
    assert!(!admitted(&breaker).is_probe());
    // Once it is there, there is nothing to release.
    let seen = breaker.revision();
    breaker.release();
    assert_eq!(breaker.revision(), seen);
    clock.advance(SECOND);
    succeed(&breaker);
    assert_eq!(recorder.seen().pop().unwrap().cause, Cause::Recovered);
}

#[test]
fn release_closes_at_once_where_no_recovery_is_set_and_out_of_forced_closed() {
    let (without, _) = manual(|builder| builder);
    let (with, _) = manual(has_one_step);
    for (breaker, state) in
        [(&without, State::ForcedOpen), (&without, State::ForcedClosed), (&with, State::ForcedClosed)]
    {
        breaker.transition_to(state);
        breaker.release();
        assert_eq!(breaker.state(), State::Closed, "{state}");
    }
}

#[test]
fn a_storm_of_orders_and_calls_ends_closed_and_loses_no_call() {
    let breaker = CircuitBreaker::builder("test").error_threshold(None).error_rate(0.9).build().unwrap();
    for _ in 0..20 {
        breaker.force_open();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| slow_close(&breaker));
                scope.spawn(|| passed(&breaker, 500, Outcome::Success));
            }
        });
        let metrics = breaker.metrics();
        assert_eq!((metrics.state, metrics.active_calls), (State::HalfOpen, 0));
        assert_eq!(metrics.recovery.unwrap().steps, 20);
    }
    breaker.order(Order::SlowClose { ramp: 20 * MILLI }, None).unwrap();
    while breaker.state() != State::Closed {
        passed(&breaker, 10, Outcome::Success);
    }
}
