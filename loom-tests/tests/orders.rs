//! An order from outside of the process is carried out where the breaker still is as it was seen, or not at all.

#![cfg(loom)]

use std::time::Duration;

use loom::thread;
use loom_tests::{BOTH, builder, explore, shared};
use tripcoil::{Order, State};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_order_and_an_outcome_at_once_are_one_transition() {
    // The failure opens, and the order is refused; or the order holds, and the failure is late.
    explore(&BOTH, [(false, 1), (true, 1)], || {
        let breaker = shared(builder().0);
        let permit = breaker.try_acquire_owned().unwrap();
        let seen = breaker.revision();
        let call = thread::spawn(move || permit.failure());
        let control = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.order(Order::Hold(SECOND), Some(seen)).is_ok()
        });
        call.join().unwrap();
        let is_ordered = control.join().unwrap();
        assert_eq!(breaker.state(), State::Open);
        (is_ordered, breaker.metrics().transition_count)
    });
}

#[test]
fn of_an_extension_and_an_admission_at_the_deadline_one_succeeds() {
    explore(&BOTH, [(false, true), (true, false)], || {
        let (builder, clock) = builder();
        let breaker = shared(builder);
        let held = breaker.order(Order::Hold(SECOND), None).unwrap();
        clock.advance(SECOND);
        let caller = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.try_acquire().is_ok()
        });
        let control = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.extend_open(held, SECOND)
        });
        (caller.join().unwrap(), control.join().unwrap())
    });
}

#[test]
fn an_order_never_undoes_a_force_that_it_has_not_seen() {
    // The operator comes last, or the order is refused.
    explore(&BOTH, [false, true], || {
        let breaker = shared(builder().0);
        let seen = breaker.revision();
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.force_open()
        });
        let control = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.order(Order::Probe, Some(seen)).is_ok()
        });
        operator.join().unwrap();
        let is_ordered = control.join().unwrap();
        assert_eq!(breaker.state(), State::ForcedOpen);
        is_ordered
    });
}

#[test]
fn an_observer_that_comes_in_the_midst_hears_each_transition_from_then_on_once() {
    // It came before the two transitions, between them, or after them.
    explore(&BOTH, [vec![], vec![3, 4], vec![4]], || {
        let breaker = shared(builder().0);
        // Of these it does not hear, and does not wait for them.
        breaker.force_open();
        breaker.release();
        let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || {
                breaker.force_open();
                breaker.release();
            }
        });
        let sink = told.clone();
        let observing = breaker.observe(move |transition| sink.lock().unwrap().push(transition.sequence));
        operator.join().unwrap();
        drop(observing);
        let told = told.lock().unwrap().clone();
        told
    });
}
