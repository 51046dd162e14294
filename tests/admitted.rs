//! A call may be told how it was admitted, and its outcome counts as that of any other call.

mod common;

use std::future::{Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use common::*;
use futures_lite::future::block_on;
use tripcoil::{Admitted, CircuitBreaker, Error, Outcome, Recovery, State};

type Reply = Result<bool, Error<&'static str>>;

#[expect(clippy::unnecessary_wraps, reason = "it is the operation of a call")]
fn is_probe(admitted: Admitted) -> Result<bool, &'static str> {
    Ok(admitted.is_probe())
}

fn both(breaker: &CircuitBreaker) -> [Reply; 2] {
    let told = |admitted| ready(is_probe(admitted));
    [breaker.call_sync_admitted(is_probe), block_on(breaker.call_admitted(told))]
}

fn counts(breaker: &CircuitBreaker) -> [u64; 5] {
    let metrics = breaker.metrics();
    [
        metrics.total_success_count,
        metrics.total_error_count,
        metrics.total_ignored_count,
        metrics.total_dropped_count,
        metrics.active_calls,
    ]
}

#[test]
fn only_a_call_of_the_half_open_state_is_a_probe() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(3));
    assert_eq!(both(&breaker), [Ok(false), Ok(false)]);
    breaker.transition_to(State::HalfOpen);
    assert_eq!(both(&breaker), [Ok(true), Ok(true)]);
    breaker.force_closed();
    assert_eq!(both(&breaker), [Ok(false), Ok(false)]);
    assert_eq!(counts(&breaker), [6, 0, 0, 0, 0]);
}

#[test]
fn a_call_within_the_steps_of_a_recovery_is_no_probe() {
    let (breaker, _clock) = manual(|settings| {
        settings.success_threshold(1).recovery(Recovery::steps([0.99]).each(std::time::Duration::from_secs(10)))
    });
    breaker.transition_to(State::HalfOpen);
    assert_eq!(breaker.call_sync_admitted(is_probe), Ok(true));
    assert_eq!(breaker.state(), State::HalfOpen);
    let told: Vec<_> = (0..100).filter_map(|_| breaker.call_sync_admitted(is_probe).ok()).collect();
    assert!(told.len() > 90 && told.iter().all(|is_probe| !is_probe), "{told:?}");
}

#[test]
fn a_shadow_does_not_hide_who_is_a_probe() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(9));
    breaker.shadow(breaker.config().error_threshold(1)).unwrap();
    assert_eq!(both(&breaker), [Ok(false), Ok(false)]);
    breaker.transition_to(State::HalfOpen);
    assert_eq!(both(&breaker), [Ok(true), Ok(true)]);
}

#[test]
fn a_rejected_call_creates_no_future() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    let never = |_| -> Ready<Result<(), ()>> { unreachable!("it is rejected") };
    assert!(block_on(breaker.call_admitted(never)).unwrap_err().is_rejected());
    let never = |_| -> Result<(), ()> { unreachable!("it is rejected") };
    assert!(breaker.call_sync_admitted(never).unwrap_err().is_rejected());
    assert_eq!((counts(&breaker), breaker.metrics().total_rejected_count), ([0; 5], 2));
}

#[test]
fn nothing_happens_before_the_first_poll() {
    let (breaker, _clock) = manual(|settings| settings);
    let call = breaker.call_admitted(|_| -> Ready<Result<(), ()>> { unreachable!("it is not polled") });
    drop(call);
    assert_eq!(counts(&breaker), [0; 5]);
}

#[test]
fn results_count_as_the_judge_says() {
    let (breaker, _clock) = manual(|settings| settings);
    assert_eq!(breaker.call_sync_admitted(|_| Err::<(), _>("down")), Err(Error::Inner("down")));
    assert_eq!(block_on(breaker.call_admitted(|_| ready(Err::<(), _>("down")))), Err(Error::Inner("down")));
    assert_eq!(counts(&breaker), [0, 2, 0, 0, 0]);

    let judged = breaker.judging(|_: &Result<(), &str>| Outcome::Ignored);
    assert!(judged.call_sync_admitted(|_| Err("down")).is_err());
    assert!(block_on(judged.call_admitted(|_| ready(Ok(())))).is_ok());
    assert_eq!(counts(&breaker), [0, 2, 2, 0, 0]);
}

#[test]
fn a_call_that_is_dropped_gives_its_slot_back() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    {
        let mut call = pin!(breaker.call_admitted(|_| pending::<Result<(), ()>>()));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(breaker.try_acquire().is_err());
    }
    assert_eq!(counts(&breaker), [0, 0, 0, 1, 0]);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn a_panic_of_the_function_or_of_the_future_is_a_failure() {
    let (breaker, _clock) = manual(|settings| settings);
    let panics = |call: &dyn Fn() -> Result<(), Error<()>>| catch_unwind(AssertUnwindSafe(call)).is_err();
    assert!(panics(&|| breaker.call_sync_admitted(|_| panic!("as it is told"))));
    assert!(panics(&|| block_on(breaker.call_admitted(|_| -> Ready<Result<(), ()>> { panic!("as it is told") }))));
    assert!(panics(&|| block_on(breaker.call_admitted(|_| async { panic!("as it is told") }))));
    assert_eq!(counts(&breaker), [0, 3, 0, 0, 0]);
}

#[test]
fn an_unwinding_task_that_drops_the_call_between_two_polls_cancels_it() {
    let (breaker, _clock) = manual(|settings| settings);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut call = pin!(breaker.call_admitted(|_| pending::<Result<(), ()>>()));
        assert_eq!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        panic!("elsewhere in the task");
    }));
    assert!(unwound.is_err());
    assert_eq!(counts(&breaker), [0, 0, 0, 1, 0]);
}

#[test]
fn the_future_is_send_if_the_call_is() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }

    let (breaker, _clock) = manual(|settings| settings);
    let judged = breaker.judging(|_: &Result<bool, &str>| Outcome::Success);
    let told = |admitted| async move { is_probe(admitted) };
    assert_eq!(block_on(is_send(breaker.call_admitted(told))), Ok(false));
    assert_eq!(block_on(is_send(judged.call_admitted(told))), Ok(false));
}
