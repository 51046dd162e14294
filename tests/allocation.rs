//! A call allocates nothing once its thread has made one.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use common::*;
use tripcoil::{CircuitBreaker, Config, Outcome, State};

const CALLS: usize = 100;

/// The allocations of many calls, after a first one.
fn allocations(mut call: impl FnMut()) -> u64 {
    call();
    measure(|| (0..CALLS).for_each(|_| call())).count_total
}

fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

#[test]
fn an_allocation_would_be_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), CALLS as u64);
}

#[test]
fn making_a_breaker_with_the_defaults_allocates_nothing() {
    assert_eq!(allocations(|| drop(std::hint::black_box(CircuitBreaker::new("test")))), 0);
}

#[test]
fn a_healthy_sync_call_allocates_nothing() {
    let breaker = CircuitBreaker::new("test");
    assert_eq!(allocations(|| assert_eq!(breaker.call_sync(|| Ok::<_, ()>(7)), Ok(7))), 0);
    assert_eq!(allocations(|| succeed(&breaker)), 0);
    assert_eq!(allocations(|| ignore(&breaker)), 0);
    assert_eq!(allocations(|| drop(admitted(&breaker))), 0);
    let wrapped = breaker.wrap_sync(Ok::<u32, ()>);
    assert_eq!(allocations(|| assert_eq!(wrapped(7), Ok(7))), 0);
    let guarded = breaker.ignoring(|(): &()| true);
    assert_eq!(allocations(|| assert!(guarded.call_sync(|| Err::<(), _>(())).is_err())), 0);
}

#[test]
fn a_healthy_async_call_allocates_nothing() {
    let breaker = CircuitBreaker::new("test");
    let operation = || async {
        futures_lite::future::yield_now().await;
        Ok::<_, ()>(7)
    };
    assert_eq!(allocations(|| assert_eq!(run(breaker.call(operation())), Ok(7))), 0);
    assert_eq!(allocations(|| assert_eq!(run(breaker.call_with(operation(), |_| Outcome::Ignored)), Ok(7))), 0);
    assert_eq!(allocations(|| drop(run(futures_lite::future::poll_once(breaker.call(operation()))))), 0);
    assert_eq!(breaker.metrics().total_dropped_count, CALLS as u64 + 1);
}

#[test]
fn a_failure_below_the_threshold_allocates_nothing() {
    let breaker = CircuitBreaker::builder("test").error_threshold(1_000).build().unwrap();
    assert_eq!(allocations(|| drop(breaker.call_sync(|| Err::<(), _>("down")))), 0);
    assert_eq!(allocations(|| drop(run(breaker.call(async { Err::<(), _>("down") })))), 0);
    assert_eq!(allocations(|| fail(&breaker)), 0);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_call_that_a_shadow_judges_allocates_nothing() {
    let breaker = CircuitBreaker::new("test");
    breaker.shadow(Config::default()).unwrap();
    assert_eq!(allocations(|| succeed(&breaker)), 0);
    let crowd = || drop((0..1000).map(|_| admitted(&breaker)).collect::<Vec<_>>());
    assert!(measure(crowd).bytes_current <= 0, "the table of a crowd is freed");
}

#[test]
fn alternating_success_and_failure_allocates_nothing() {
    let breaker = CircuitBreaker::new("test");
    let alternating = || {
        fail(&breaker);
        succeed(&breaker);
    };
    assert_eq!(allocations(alternating), 0);
}

#[test]
fn a_rejection_allocates_nothing_whatever_the_name() {
    for breaker in [
        CircuitBreaker::new("test"),
        CircuitBreaker::builder(String::from("owned")).probe_timeout(Duration::MAX).build().unwrap(),
    ] {
        let rejected = || {
            drop(refused(&breaker));
            assert!(breaker.call_sync(|| Ok::<_, ()>(7)).is_err());
            assert!(run(breaker.call(async { Ok::<_, ()>(7) })).is_err());
        };
        breaker.transition_to(State::Open);
        assert_eq!(allocations(rejected), 0);
        breaker.force_open();
        assert_eq!(allocations(rejected), 0);
        breaker.transition_to(State::HalfOpen);
        let probe = admitted(&breaker);
        assert_eq!(allocations(rejected), 0);
        drop(probe);
    }
}

#[test]
fn opening_and_probing_allocate_nothing_without_observers() {
    let breaker = CircuitBreaker::builder("test").error_threshold(1).success_threshold(1).build().unwrap();
    let outage = || {
        fail(&breaker);
        breaker.open_for(Duration::ZERO);
        succeed(&breaker);
        assert_eq!(breaker.state(), State::Closed);
    };
    assert_eq!(allocations(outage), 0);
}

#[test]
fn looking_allocates_nothing() {
    let breaker = CircuitBreaker::new("test");
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(allocations(|| drop(breaker.metrics())), 0);
    assert_eq!(allocations(|| assert_eq!(breaker.state(), State::Closed)), 0);
    assert_eq!(allocations(|| assert_eq!(breaker.name(), "test")), 0);
    admitted(&breaker).failure_because("no answer");
    assert_eq!(allocations(|| drop(breaker.metrics())), 0);
    let owned = CircuitBreaker::builder(String::from("owned")).build().unwrap();
    assert_eq!(allocations(|| drop(owned.metrics())), 0);
}
