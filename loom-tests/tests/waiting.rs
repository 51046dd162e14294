//! No waiter misses its wake-up.
//!
//! A model in which one does ends in a deadlock, which loom reports.

#![cfg(loom)]

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_lite::future::poll_once;
use loom::future::block_on;
use loom::thread;
use loom_tests::parcel::Parcel;
use loom_tests::{Crowd, Plain, Sched, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::{Changed, CircuitBreaker, OwnedPermit, Permit, State};

/// Waits for a change that another thread makes; what was done before it is seen after it. The outcome is
/// whether there was anything to wait for.
fn has_waited(wait: fn(Changed<'_>) -> State) -> bool {
    let breaker = shared(builder().0);
    let parcel = Arc::new(Parcel::new());
    let waiter = thread::spawn({
        let (breaker, parcel) = (breaker.clone(), parcel.clone());
        move || {
            let changed = breaker.changed();
            let waits = breaker.state() == State::Closed;
            if waits {
                assert_eq!(wait(changed), State::ForcedOpen);
            }
            assert_eq!(parcel.look(), 1);
            waits
        }
    });
    let operator = beside(&breaker, move |breaker| {
        parcel.work_on();
        breaker.force_open();
    });
    operator.join().unwrap();
    waiter.join().unwrap()
}

fn wait_in_a_thread(changed: Changed<'_>) -> State {
    changed.wait()
}

fn wait_in_a_task(changed: Changed<'_>) -> State {
    block_on(changed)
}

#[test]
fn a_thread_that_waits_for_a_transition_is_woken() {
    explore(&[Plain, Sched], [false, true], || has_waited(wait_in_a_thread));
}

#[test]
fn a_task_that_waits_for_a_transition_is_woken() {
    explore(&[Plain, Sched], [false, true], || has_waited(wait_in_a_task));
}

fn acquire_in_a_thread(breaker: &CircuitBreaker) -> Permit<'_> {
    breaker.acquire_blocking(Duration::MAX).unwrap()
}

fn acquire_in_a_task(breaker: &CircuitBreaker) -> Permit<'_> {
    block_on(breaker.acquire(|_| pending::<()>()))
}

/// Makes `breaker` let a caller in while one waits for that. The state in the end is the outcome.
fn is_admitted(
    acquire: fn(&CircuitBreaker) -> Permit<'_>,
    breaker: &Arc<CircuitBreaker>,
    let_in: impl FnOnce(&CircuitBreaker) + 'static,
) -> State {
    let waiter = beside(breaker, move |breaker| acquire(breaker).ignore());
    let other = beside(breaker, |breaker| let_in(breaker));
    other.join().unwrap();
    waiter.join().unwrap();
    breaker.state()
}

fn probing() -> Arc<CircuitBreaker> {
    let breaker = shared(builder().0);
    breaker.transition_to(State::HalfOpen);
    breaker
}

fn admitted_by_a_slot(acquire: fn(&CircuitBreaker) -> Permit<'_>) -> bool {
    let breaker = probing();
    let probe = breaker.try_acquire_owned().unwrap();
    is_admitted(acquire, &breaker, move |_| probe.ignore()) == State::HalfOpen
}

fn admitted_by_a_transition(acquire: fn(&CircuitBreaker) -> Permit<'_>) -> bool {
    let breaker = shared(builder().0);
    breaker.force_open();
    is_admitted(acquire, &breaker, CircuitBreaker::reset) == State::Closed
}

#[test]
fn a_thread_that_waits_for_a_slot_is_woken() {
    explore(&[Plain, Sched], [true], || admitted_by_a_slot(acquire_in_a_thread));
}

#[test]
fn a_task_that_waits_for_a_slot_is_woken() {
    explore(&[Plain, Sched], [true], || admitted_by_a_slot(acquire_in_a_task));
}

#[test]
fn a_thread_that_waits_for_admission_is_woken_by_a_transition() {
    explore(&[Plain, Sched], [true], || admitted_by_a_transition(acquire_in_a_thread));
}

#[test]
fn a_task_that_waits_for_admission_is_woken_by_a_transition() {
    explore(&[Plain, Sched], [true], || admitted_by_a_transition(acquire_in_a_task));
}

#[test]
fn a_slot_goes_from_waiter_to_waiter() {
    explore_crowded(&[Plain], [1], || {
        let breaker = probing();
        let probe = breaker.try_acquire_owned().unwrap();
        let (crowd, parcel) = (Arc::new(Crowd::default()), Arc::new(Parcel::new()));
        let waiters = [(); 2].map(|()| {
            let (breaker, crowd, parcel) = (breaker.clone(), crowd.clone(), parcel.clone());
            thread::spawn(move || {
                let permit = acquire_in_a_thread(&breaker);
                crowd.enter();
                parcel.work_on();
                crowd.leave();
                permit.ignore();
            })
        });
        let other = thread::spawn(move || probe.ignore());
        other.join().unwrap();
        joined(waiters);
        crowd.most()
    });
}

/// Two wait for a slot, and one of them gives up. Whether it was the one that was admitted is the outcome.
fn gives_up_beside(acquire: fn(&CircuitBreaker) -> Permit<'_>) -> bool {
    let breaker = probing();
    let probe = breaker.try_acquire_owned().unwrap();
    let fickle = beside(&breaker, move |breaker| {
        let permit = block_on(poll_once(breaker.acquire(|_| pending::<()>())));
        permit.is_some()
    });
    let waiter = beside(&breaker, move |breaker| acquire(breaker).ignore());
    let other = thread::spawn(move || probe.ignore());
    other.join().unwrap();
    waiter.join().unwrap();
    fickle.join().unwrap()
}

#[test]
fn a_waiter_that_gives_up_passes_its_wake_up_on() {
    explore_crowded(&[Plain], [false, true], || gives_up_beside(acquire_in_a_thread));
}

#[test]
fn a_waiter_that_gives_up_passes_its_wake_up_on_to_a_task() {
    explore_crowded(&[Plain], [false, true], || gives_up_beside(acquire_in_a_task));
}

/// A task of an executor that is gone: its waker drops it.
struct Doomed(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for Doomed {
    fn wake(self: Arc<Self>) {
        let future = self.0.lock().unwrap().take();
        drop(future);
    }
}

#[test]
fn a_task_that_its_waker_drops_passes_its_wake_up_on() {
    explore(&[Plain, Sched], [true], || {
        let breaker = probing();
        let probe = breaker.try_acquire_owned().unwrap();
        let doomed = Arc::new(Doomed(Mutex::new(None)));
        let mut future = Box::pin({
            let breaker = breaker.clone();
            async move { breaker.acquire(|_| pending::<()>()).await.ignore() }
        });
        assert!(future.as_mut().poll(&mut Context::from_waker(&Waker::from(doomed.clone()))).is_pending());
        *doomed.0.lock().unwrap() = Some(future);
        is_admitted(acquire_in_a_task, &breaker, move |_| probe.ignore());
        breaker.force_open();
        doomed.0.lock().unwrap().is_none()
    });
}

#[test]
fn two_slots_that_come_back_wake_two_waiters() {
    explore_crowded(&[Plain], [State::HalfOpen.as_str()], || {
        let breaker = shared(builder().0.half_open_capacity(2));
        breaker.transition_to(State::HalfOpen);
        let probes = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        let waiters = [(); 2].map(|()| {
            let breaker = breaker.clone();
            // It keeps its slot, so that the other one needs a wake-up of its own.
            thread::spawn(move || std::mem::forget(acquire_in_a_thread(&breaker)))
        });
        let other = thread::spawn(move || probes.map(OwnedPermit::ignore));
        other.join().unwrap();
        joined(waiters);
        breaker.state().as_str()
    });
}
