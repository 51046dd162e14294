//! A slow close begins only if the breaker has not moved since its revision was read. It uses the ramp of its order, and
//! never takes a closed breaker back to a share of its calls.

#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::thread::{self, JoinHandle};
use loom_tests::{BOTH, SECOND, builder, explore, shared};
use tripcoil::{CircuitBreaker, Order, Recovery, Revision, State};

const RAMP: Duration = Duration::from_secs(20);

/// Orders it in a thread of its own, which returns the state that the order leads to, or `None` if it is refused.
fn orders(breaker: &Arc<CircuitBreaker>, ramp: Duration, only_at: Option<Revision>) -> JoinHandle<Option<State>> {
    let breaker = breaker.clone();
    thread::spawn(move || breaker.order(Order::SlowClose { ramp }, only_at).ok().map(Revision::state))
}

fn step(breaker: &CircuitBreaker) -> Option<(u32, u32)> {
    breaker.metrics().recovery.map(|recovery| (recovery.step, recovery.steps))
}

#[test]
fn a_slow_close_and_the_failure_of_a_probe_are_one_transition() {
    // The failure opens, and the order is refused; or the steps begin, and the failure is late.
    let outcomes = [(None, "open", None), (Some("half_open"), "half_open", Some((1, 20)))];
    let outcomes = outcomes.map(|(ordered, state, step)| (ordered.map(str::to_owned), state.to_owned(), step));
    explore(&BOTH, outcomes, || {
        let breaker = shared(builder().0);
        breaker.transition_to(State::HalfOpen);
        let probe = breaker.try_acquire_owned().unwrap();
        let seen = breaker.revision();
        let fails = thread::spawn(move || probe.failure());
        let control = orders(&breaker, RAMP, Some(seen));
        fails.join().unwrap();
        let ordered = control.join().unwrap();
        (ordered.map(|state| state.to_string()), breaker.state().to_string(), step(&breaker))
    });
}

#[test]
fn a_slow_close_does_not_undo_a_reset() {
    // The steps begin and the reset ends them; or the reset comes first, and there is nothing to close.
    let outcomes = [State::HalfOpen, State::Closed].map(|state| (state.to_string(), None));
    explore(&BOTH, outcomes, || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let resets = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.reset()
        });
        let control = orders(&breaker, RAMP, None);
        resets.join().unwrap();
        let ordered = control.join().unwrap().expect("it is unconditional");
        assert_eq!(breaker.state(), State::Closed);
        (ordered.to_string(), step(&breaker))
    });
}

#[test]
fn a_slow_close_that_is_refused_leaves_the_steps_of_another_as_they_are() {
    // Refused, or carried out and then overtaken.
    explore(&BOTH, [(false, Some((2, 20))), (true, Some((2, 20)))], || {
        let (builder, clock) = builder();
        let breaker = shared(builder);
        breaker.force_open();
        let seen = breaker.revision();
        let first = orders(&breaker, RAMP, None);
        let second = orders(&breaker, 100 * RAMP, Some(seen));
        first.join().unwrap();
        let is_ordered = second.join().unwrap().is_some();
        clock.advance(RAMP / 20);
        let _asked = breaker.try_acquire();
        (is_ordered, step(&breaker))
    });
}

#[test]
fn whoever_finds_a_slow_close_finds_when_it_began() {
    // Refused by force, or the first to ask at the first step.
    explore(&BOTH, [(false, Some((1, 20))), (true, Some((1, 20)))], || {
        let (builder, clock) = builder();
        clock.set(100 * RAMP);
        let breaker = shared(builder);
        breaker.force_open();
        let control = orders(&breaker, RAMP, None);
        let asks = thread::spawn({
            let breaker = breaker.clone();
            move || match breaker.try_acquire() {
                Ok(permit) => !permit.is_probe(),
                Err(rejected) => rejected.state() == State::HalfOpen,
            }
        });
        control.join().unwrap();
        (asks.join().unwrap(), step(&breaker))
    });
}

#[test]
fn whoever_finds_the_end_of_a_force_finds_when_the_steps_began() {
    explore(&BOTH, [(false, Some((1, 2))), (true, Some((1, 2)))], || {
        let (builder, clock) = builder();
        clock.set(100 * RAMP);
        let breaker = shared(builder.recovery(Recovery::steps([1.0, 1.0]).each(SECOND)));
        breaker.force_open();
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.release()
        });
        let asks = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.try_acquire().is_ok()
        });
        operator.join().unwrap();
        (asks.join().unwrap(), step(&breaker))
    });
}
