//! A call that is dropped unfinished gives its slot back and counts as `dropped_calls` says.

mod common;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use futures_lite::future::{block_on, yield_now};
use tripcoil::{CircuitBreaker, Dropped, Outcome, State};

const AWAITS: usize = 5;

async fn with_awaits() -> Result<(), ()> {
    for _ in 0..AWAITS {
        yield_now().await;
    }
    Ok(())
}

fn half_open() -> CircuitBreaker {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(1).probe_timeout(Duration::MAX));
    breaker.transition_to(State::HalfOpen);
    breaker
}

#[test]
fn future_dropped_before_its_first_poll_was_never_a_call() {
    let breaker = half_open();
    let call = breaker.call(with_awaits());
    assert_eq!(breaker.metrics().active_calls, 0);
    drop(call);
    let metrics = breaker.metrics();
    assert_eq!((metrics.active_calls, metrics.total_dropped_count), (0, 0));
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn future_dropped_before_its_first_poll_opens_no_half_open_episode() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(SECOND);
    clock.advance(SECOND);
    drop(breaker.call(with_awaits()));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn future_dropped_at_any_await_gives_its_slot_back_and_is_neutral() {
    for polls in 1..=AWAITS {
        let breaker = half_open();
        let mut call = Task::new(breaker.call(with_awaits()));
        for _ in 0..polls {
            assert!(call.poll().is_pending());
        }
        refused(&breaker);
        assert_eq!(breaker.metrics().active_calls, 1);

        drop(call);

        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.total_dropped_count), (0, 1), "after {polls} polls");
        assert_eq!(metrics.total_error_count + metrics.total_success_count + metrics.total_ignored_count, 0);
        assert_eq!((metrics.state, consecutive(&breaker)), (State::HalfOpen, (0, 0)));
        drop(admitted(&breaker));
    }
}

#[test]
fn finished_future_is_not_dropped_a_second_time() {
    let breaker = half_open();
    let mut call = Task::new(breaker.call(with_awaits()));
    for _ in 0..AWAITS {
        assert!(call.poll().is_pending());
    }
    assert!(call.poll().is_ready());
    drop(call);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_dropped_count, metrics.active_calls), (1, 0, 0));
}

#[test]
fn rejected_future_that_is_dropped_gives_no_slot_back() {
    let breaker = half_open();
    let probe = admitted(&breaker);
    let mut call = Task::new(breaker.call(with_awaits()));
    assert!(call.poll().is_ready());
    drop(call);
    refused(&breaker);
    assert_eq!(breaker.metrics().total_dropped_count, 0);
    probe.success();
}

#[test]
fn judged_and_guarded_futures_are_dropped_alike() {
    let breaker = half_open();
    let ignoring = breaker.ignoring(|(): &()| true);
    let judging = breaker.judging(|_: &Result<(), ()>| Outcome::Failure);
    drop(Task::waiting(breaker.call_with(with_awaits(), |_| Outcome::Failure)));
    drop(Task::waiting(ignoring.call(with_awaits())));
    drop(Task::waiting(judging.call(with_awaits())));
    drop(Task::waiting(breaker.wrap(|()| with_awaits())(())));
    assert_eq!(breaker.metrics().total_dropped_count, 4);
    drop(admitted(&breaker));
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn permit_dropped_is_neutral() {
    let breaker = Arc::new(half_open());
    drop(admitted(&breaker));
    drop(breaker.try_acquire_owned().unwrap());
    let metrics = breaker.metrics();
    assert_eq!((metrics.active_calls, metrics.total_dropped_count, metrics.total_error_count), (0, 2, 0));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(metrics.last_error, None);
}

#[test]
fn question_mark_between_acquiring_and_settling_drops_the_permit() {
    fn wrong(breaker: &CircuitBreaker) -> Result<(), &'static str> {
        let permit = admitted(breaker);
        Err("broken")?;
        permit.success();
        Ok(())
    }
    fn right(breaker: &CircuitBreaker) -> Result<(), &'static str> {
        admitted(breaker).settle(Err("broken"))?;
        Ok(())
    }
    let (breaker, _clock) = manual(|settings| settings);
    wrong(&breaker).unwrap_err();
    assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 0));
    right(&breaker).unwrap_err();
    assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 1));
}

#[test]
fn dropped_calls_can_count_as_failures() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3).dropped_calls(Dropped::Failure));
    drop(admitted(&breaker));
    drop(Task::waiting(breaker.call(with_awaits())));
    assert_eq!(consecutive(&breaker), (2, 0));
    drop(breaker.call(with_awaits()));
    assert_eq!(consecutive(&breaker), (2, 0));
    drop(Task::waiting(breaker.call(pending::<Result<(), ()>>())));
    assert_eq!(breaker.state(), State::Open);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count), (3, 0));
    assert_eq!(metrics.last_error.unwrap().type_name, "dropped");
}

#[test]
fn dropped_probe_that_counts_as_a_failure_reopens() {
    let (breaker, _clock) = manual(|settings| settings.dropped_calls(Dropped::Failure));
    breaker.transition_to(State::HalfOpen);
    drop(admitted(&breaker));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn failure_after_counts_from_exactly_its_limit() {
    let limit = 2 * SECOND;
    for start in [Duration::ZERO, Duration::from_nanos(1_234_567)] {
        let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(limit)));
        clock.set(start);
        let (early, punctual, finished) = (admitted(&breaker), admitted(&breaker), admitted(&breaker));
        let task = Task::waiting(breaker.call(pending::<Result<(), ()>>()));
        clock.advance(limit - TICK);
        drop(early);
        assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 0));
        clock.advance(TICK);
        drop(punctual);
        drop(task);
        assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 2));
        assert_eq!(consecutive(&breaker), (2, 0));
        finished.success();
        assert_eq!(consecutive(&breaker), (0, 0));
    }
}

#[test]
fn failure_after_counts_from_the_admission_not_from_the_making() {
    let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    let mut call = Task::new(breaker.call(with_awaits()));
    clock.advance(10 * SECOND);
    assert!(call.poll().is_pending());
    drop(call);
    assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 0));
}

#[test]
fn failure_after_is_for_probes_as_for_any_call() {
    let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    breaker.open_for(5 * SECOND);
    clock.advance(5 * SECOND);
    let probe = admitted(&breaker);
    clock.advance(SECOND - TICK);
    drop(probe);
    assert_eq!(breaker.state(), State::HalfOpen);
    let probe = admitted(&breaker);
    clock.advance(SECOND);
    drop(probe);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn failure_after_is_for_forced_closed_too() {
    let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    breaker.force_closed();
    let permit = admitted(&breaker);
    clock.advance(SECOND);
    drop(permit);
    assert_eq!(breaker.metrics().total_error_count, 1);
}

#[test]
fn time_out_outside_the_call_drops_it_and_inside_fails_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (breaker, _clock) = manual(|settings| settings);
        let hanging = || pending::<Result<(), ()>>();
        assert!(tokio::time::timeout(MILLI, breaker.call(hanging())).await.is_err());
        assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 0));
        assert!(breaker.call(tokio::time::timeout(MILLI, hanging())).await.is_err());
        assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 1));
    });
}

#[test]
fn aborted_task_gives_its_slot_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let breaker = Arc::new(half_open());
    runtime.block_on(async {
        let shared = breaker.clone();
        let task = tokio::spawn(async move { shared.call(pending::<Result<(), ()>>()).await });
        tokio::task::yield_now().await;
        refused(&breaker);
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!((breaker.metrics().active_calls, breaker.metrics().total_dropped_count), (0, 1));
    drop(admitted(&breaker));
}

#[test]
fn dropping_the_loser_of_a_race_is_neutral() {
    let breaker = half_open();
    let winner = async {
        yield_now().await;
        Ok(())
    };
    let loser = breaker.call(pending::<Result<(), ()>>());
    block_on(futures_lite::future::or(loser, winner)).unwrap();
    assert_eq!(breaker.metrics().total_dropped_count, 1);
    drop(admitted(&breaker));
}
