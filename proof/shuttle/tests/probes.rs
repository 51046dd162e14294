//! Never more probes than the capacity, one change of state at a deadline, and every slot comes back.

#![cfg(shuttle)]

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle_tests::{Crowd, Diary, SECOND, at_once, builder, exhaust, sample, shared};
use tripcoil::{CircuitBreaker, Outcome, State};

/// How many slots are free.
fn free(breaker: &Arc<CircuitBreaker>) -> usize {
    let mut held = Vec::new();
    while let Ok(permit) = breaker.try_acquire_owned() {
        held.push(permit);
    }
    held.len()
}

/// The most probes at once of as many callers, each of whom asks twice; in the end every slot is free.
fn most_at_once(callers: usize, capacity: u32) -> usize {
    let breaker = shared(builder().0.half_open_capacity(capacity));
    breaker.transition_to(State::HalfOpen);
    let crowd = Arc::new(Crowd::default());
    at_once(callers, {
        let (breaker, crowd) = (breaker.clone(), crowd.clone());
        move |_| {
            for _ in 0..2 {
                if let Ok(permit) = breaker.try_acquire() {
                    crowd.enter();
                    crowd.leave();
                    permit.ignore();
                }
            }
        }
    });
    assert_eq!(free(&breaker), capacity as usize);
    crowd.most()
}

#[test]
fn one_slot_admits_one_of_four_callers_at_a_time() {
    sample([1], || most_at_once(4, 1));
}

#[test]
fn three_slots_admit_three_of_eight_callers_at_a_time() {
    sample([1, 2, 3], || most_at_once(8, 3));
}

#[test]
fn one_slot_admits_one_of_two_callers_in_every_schedule() {
    exhaust([1], || {
        let breaker = shared(builder().0);
        breaker.transition_to(State::HalfOpen);
        let held = at_once(2, move |_| breaker.try_acquire_owned().ok());
        held.iter().flatten().count()
    });
}

#[test]
fn at_a_deadline_five_callers_make_one_change_and_two_probes() {
    sample([("1 closed open, 2 open half_open".to_owned(), 2)], || {
        let diary = Diary::default();
        let (builder, clock) = builder();
        let breaker = shared(diary.kept_by(builder.half_open_capacity(2)));
        breaker.transition_to(State::Open);
        clock.advance(SECOND);
        let held = at_once(5, {
            let breaker = breaker.clone();
            move |_| breaker.try_acquire_owned().ok()
        });
        (diary.told(), held.iter().flatten().count())
    });
}

#[test]
fn past_a_silent_probe_one_of_five_callers_is_let_in() {
    sample([1], || {
        let (builder, clock) = builder();
        let breaker = shared(builder.probe_timeout(SECOND));
        breaker.transition_to(State::HalfOpen);
        let _silent = breaker.try_acquire_owned().unwrap();
        clock.advance(SECOND);
        let held = at_once(5, move |_| breaker.try_acquire_owned().ok());
        held.iter().flatten().count()
    });
}

#[test]
fn every_slot_comes_back_however_the_calls_end() {
    sample([6], || {
        let settings = builder().0.half_open_capacity(6).success_threshold(9).half_open_error_threshold(9);
        let breaker = shared(settings);
        breaker.transition_to(State::HalfOpen);
        at_once(6, {
            let breaker = breaker.clone();
            move |number| {
                let permit = breaker.try_acquire_owned().unwrap();
                match number % 4 {
                    0 => permit.success(),
                    1 => permit.failure(),
                    2 => permit.ignore(),
                    _ => drop(permit),
                }
            }
        });
        free(&breaker)
    });
}

#[test]
fn slow_start_raises_by_one_for_each_of_four_successes() {
    sample([5], || {
        let settings = builder().0.half_open_capacity(4).half_open_max_capacity(5).success_threshold(9);
        let breaker = shared(settings);
        breaker.transition_to(State::HalfOpen);
        let probes = Mutex::new((0..4).map(|_| breaker.try_acquire_owned().unwrap()).collect::<Vec<_>>());
        at_once(4, move |_| {
            let probe = probes.lock().unwrap().pop();
            probe.unwrap().success();
        });
        free(&breaker)
    });
}

#[test]
fn calls_of_an_earlier_epoch_free_no_slot_and_decide_nothing() {
    let told = || "1 closed half_open".to_owned();
    sample([(told(), 1, 2), (told(), 2, 2)], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0.half_open_capacity(2)));
        let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Ignored];
        let early = outcomes.map(|outcome| (breaker.try_acquire_owned().unwrap(), outcome));
        breaker.transition_to(State::HalfOpen);
        let (early, crowd) = (Mutex::new(Vec::from(early)), Arc::new(Crowd::default()));
        at_once(8, {
            let (breaker, crowd) = (breaker.clone(), crowd.clone());
            move |number| {
                if number < 4 {
                    let call = early.lock().unwrap().pop();
                    let (late, outcome) = call.unwrap();
                    late.record(outcome);
                } else if let Ok(permit) = breaker.try_acquire() {
                    crowd.enter();
                    crowd.leave();
                    permit.ignore();
                }
            }
        });
        (diary.told(), crowd.most(), free(&breaker))
    });
}
