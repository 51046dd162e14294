//! Within the steps of recovery no failure is lost, and a step ends once.

#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::thread;
use loom_tests::{BOTH, Diary, Plain, SECOND, Sched, builder, explore, explore_crowded, shared};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, Recovery, State};

const EACH: Duration = Duration::from_secs(10);

/// A breaker with these steps, which each last for [`EACH`].
fn with_steps<const N: usize>(shares: [f64; N]) -> (Builder, ManualClock) {
    let (builder, clock) = builder();
    (builder.reset_timeout(100 * EACH).recovery(Recovery::steps(shares).each(EACH)), clock)
}

/// At the first step.
fn recovering(builder: Builder) -> Arc<CircuitBreaker> {
    let breaker = shared(builder);
    breaker.transition_to(State::HalfOpen);
    breaker.try_acquire().unwrap().success();
    // What threads count in is made here: no model sees how they find it.
    let first = thread::spawn({
        let breaker = breaker.clone();
        move || drop(breaker.try_acquire())
    });
    first.join().unwrap();
    breaker
}

/// Lets the time of a step pass, and asks.
fn asks_after_the_step(breaker: &Arc<CircuitBreaker>, clock: &ManualClock) -> impl FnOnce() + use<> {
    let (breaker, clock) = (breaker.clone(), clock.clone());
    move || {
        clock.advance(EACH);
        if let Ok(permit) = breaker.try_acquire() {
            permit.ignore();
        }
    }
}

/// The state, and the step with its calls and its errors.
fn seen(breaker: &CircuitBreaker) -> (String, Option<(u32, u64, u64)>) {
    let metrics = breaker.metrics();
    let step = metrics.recovery.zip(metrics.window);
    let step = step.map(|(recovery, window)| (recovery.step, window.calls, window.errors));
    (metrics.state.to_string(), step)
}

#[test]
fn a_failure_while_another_thread_ends_the_step_is_in_this_one_or_in_the_next() {
    // In this one it is the only call, so the step does not hold.
    explore_crowded(&BOTH, [("half_open".into(), Some((2, 1, 1))), ("open".into(), None)], || {
        let (builder, clock) = with_steps([1.0, 1.0]);
        let breaker = recovering(builder);
        let call = breaker.try_acquire_owned().unwrap();
        let fails = thread::spawn(move || call.failure());
        let asks = thread::spawn(asks_after_the_step(&breaker, &clock));
        fails.join().unwrap();
        asks.join().unwrap();
        seen(&breaker)
    });
}

#[test]
fn two_failures_at_once_meet_the_rate_of_a_step() {
    explore_crowded(&BOTH, [("open".into(), None)], || {
        let (builder, _clock) = with_steps([1.0]);
        let breaker = recovering(builder.minimum_calls(2));
        let [here, there] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        // They count in stripes of their own.
        let thread = thread::spawn(move || there.failure());
        here.failure();
        thread.join().unwrap();
        seen(&breaker)
    });
}

#[test]
fn two_slow_calls_at_once_meet_the_rate_of_a_step() {
    // No lock orders them, as the note on the last failure does for failures.
    explore_crowded(&[Plain, Sched], [("open".into(), None)], || {
        let (builder, clock) = with_steps([1.0]);
        let builder = builder.error_threshold(None).slow_call_rate(1.0).slow_call_duration(SECOND);
        let breaker = recovering(builder.minimum_calls(2));
        let [here, there] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        clock.advance(SECOND);
        // They count in stripes of their own.
        let thread = thread::spawn(move || there.success());
        here.success();
        thread.join().unwrap();
        seen(&breaker)
    });
}

#[test]
fn of_two_threads_that_find_the_last_step_over_one_closes() {
    explore_crowded(&BOTH, ["1 closed half_open, 2 half_open closed".to_owned()], || {
        let diary = Diary::default();
        let (builder, clock) = with_steps([1.0]);
        let breaker = recovering(diary.kept_by(builder));
        clock.advance(EACH);
        let threads = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire().unwrap().success())
        });
        for thread in threads {
            thread.join().unwrap();
        }
        diary.told()
    });
}

#[test]
fn an_order_holds_against_the_end_of_the_last_step() {
    let begun = "1 closed half_open";
    let outcomes =
        [format!("{begun}, 2 half_open forced_open"), format!("{begun}, 2 half_open closed, 3 closed forced_open")];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let (builder, clock) = with_steps([1.0]);
        let breaker = recovering(diary.kept_by(builder));
        let asks = thread::spawn(asks_after_the_step(&breaker, &clock));
        let orders = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.force_open()
        });
        asks.join().unwrap();
        orders.join().unwrap();
        assert_eq!(breaker.state(), State::ForcedOpen);
        diary.told()
    });
}

#[test]
fn an_order_to_begin_anew_holds_against_a_failure_that_opens() {
    // The failure opens before the order, or is late.
    explore(&BOTH, ["half_open".to_owned()], || {
        let (builder, _clock) = with_steps([1.0]);
        let breaker = recovering(builder.minimum_calls(1));
        let call = breaker.try_acquire_owned().unwrap();
        let fails = thread::spawn(move || call.failure());
        let orders = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.transition_to(State::HalfOpen)
        });
        fails.join().unwrap();
        orders.join().unwrap();
        assert!(breaker.try_acquire().unwrap().is_probe());
        breaker.state().to_string()
    });
}

#[test]
fn whoever_finds_the_steps_finds_when_they_were_entered() {
    // Full while the probe is in flight; afterwards an ordinary call, at the first step.
    explore(&BOTH, [(None, Some(1)), (Some(false), Some(1))], || {
        let (builder, clock) = with_steps([1.0, 1.0]);
        clock.set(100 * EACH);
        let breaker = shared(builder);
        breaker.transition_to(State::HalfOpen);
        let probe = breaker.try_acquire_owned().unwrap();
        let succeeds = thread::spawn(move || probe.success());
        let asks = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.try_acquire().ok().map(|permit| permit.is_probe())
        });
        succeeds.join().unwrap();
        let admitted = asks.join().unwrap();
        (admitted, breaker.metrics().recovery.map(|recovery| recovery.step))
    });
}

#[test]
fn of_two_callers_after_a_tenth_without_calls_one_passes() {
    explore(&BOTH, [1], || {
        let (builder, clock) = with_steps([0.000_001]);
        let breaker = recovering(builder);
        breaker.try_acquire().unwrap().success();
        clock.advance(SECOND);
        let threads = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || usize::from(breaker.try_acquire().map(tripcoil::Permit::success).is_ok()))
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
}
