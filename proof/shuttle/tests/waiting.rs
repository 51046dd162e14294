//! A task that waits is woken. A lost wake-up is a deadlock, which shuttle reports.

#![cfg(shuttle)]

use std::future::pending;
use std::sync::Arc;

use shuttle::future::{block_on, spawn};
use shuttle_tests::{Crowd, at_once, builder, exhaust, sample, shared};
use tripcoil::{CircuitBreaker, OwnedPermit, State};

fn probing(capacity: u32) -> Arc<CircuitBreaker> {
    let breaker = shared(builder().0.half_open_capacity(capacity));
    breaker.transition_to(State::HalfOpen);
    breaker
}

#[test]
fn one_slot_goes_through_the_hands_of_six_tasks() {
    sample([(1, 6)], || {
        let breaker = probing(1);
        let (probe, crowd) = (breaker.try_acquire_owned().unwrap(), Arc::new(Crowd::default()));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let (breaker, crowd) = (breaker.clone(), crowd.clone());
                spawn(async move {
                    let permit = breaker.acquire(|_| pending::<()>()).await;
                    crowd.enter();
                    crowd.leave();
                    permit.ignore();
                })
            })
            .collect();
        probe.ignore();
        let done = tasks.into_iter().map(|task| block_on(task).unwrap()).count();
        (crowd.most(), done)
    });
}

#[test]
fn three_slots_that_come_back_wake_three_tasks_that_keep_them() {
    sample([3], || {
        let breaker = probing(3);
        let probes = [(); 3].map(|()| breaker.try_acquire_owned().unwrap());
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let breaker = breaker.clone();
                // It keeps its slot, so that each of the others needs a wake-up of its own.
                spawn(async move { std::mem::forget(breaker.acquire(|_| pending::<()>()).await) })
            })
            .collect();
        for probe in probes {
            shuttle::thread::spawn(move || OwnedPermit::ignore(probe));
        }
        tasks.into_iter().map(|task| block_on(task).unwrap()).count()
    });
}

#[test]
fn four_tasks_that_wait_for_admission_are_woken_by_a_close() {
    sample([4], || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let threads = at_once(5, {
            let breaker = breaker.clone();
            move |number| {
                if number == 0 {
                    breaker.transition_to(State::Closed);
                    return 0;
                }
                block_on(breaker.acquire(|_| pending::<()>())).success();
                1
            }
        });
        threads.iter().sum::<usize>()
    });
}

#[test]
fn four_tasks_that_wait_for_a_change_are_woken_by_it() {
    // How many of them looked early enough to have something to wait for.
    sample([0, 1, 2, 3, 4], || {
        let breaker = shared(builder().0);
        let threads = at_once(5, {
            let breaker = breaker.clone();
            move |number| {
                if number == 0 {
                    breaker.force_open();
                    return 0;
                }
                let changed = breaker.changed();
                if breaker.state() != State::Closed {
                    return 0;
                }
                assert_eq!(block_on(changed), State::ForcedOpen);
                1
            }
        });
        threads.iter().sum::<usize>()
    });
}

#[test]
fn a_task_that_waits_for_a_slot_is_woken_in_every_schedule() {
    exhaust([()], || {
        let breaker = probing(1);
        let probe = breaker.try_acquire_owned().unwrap();
        let task = spawn({
            let breaker = breaker.clone();
            async move { breaker.acquire(|_| pending::<()>()).await.ignore() }
        });
        probe.ignore();
        block_on(task).unwrap();
    });
}
