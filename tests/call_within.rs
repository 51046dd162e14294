//! A call with a time-out fails in time, on any runtime, and gives its slot back.

mod common;

use std::future::{pending, poll_fn, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::*;
use futures_lite::future::{block_on, yield_now};
use tripcoil::{Call, CircuitBreaker, Dropped, Error, Outcome, State, Within};

const SHORT: Duration = Duration::from_millis(5);

async fn hangs() -> io::Result<u32> {
    pending().await
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

fn is_time_out<T>(result: Result<T, Error<io::Error>>) -> bool {
    matches!(result, Err(Error::Inner(error)) if error.kind() == io::ErrorKind::TimedOut)
}

fn counts(breaker: &CircuitBreaker) -> (u64, u64, u64, u64) {
    let metrics = breaker.metrics();
    (metrics.total_success_count, metrics.total_error_count, metrics.total_ignored_count, metrics.active_calls)
}

#[test]
fn a_time_out_is_a_failure_with_the_error_that_was_asked_for_under_tokio() {
    let breaker = CircuitBreaker::new("test");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..5 {
            let call = breaker.call_within(tokio::time::sleep(SHORT), timed_out, hangs());
            assert!(is_time_out(call.await));
        }
        let rejected = breaker.call_within(tokio::time::sleep(SHORT), timed_out, hangs()).await;
        assert!(rejected.unwrap_err().is_rejected());
    });
    assert_eq!((breaker.state(), counts(&breaker)), (State::Open, (0, 5, 0, 0)));
}

#[test]
fn a_time_out_is_a_failure_under_smol_and_async_std() {
    let breaker = CircuitBreaker::new("test");
    assert!(is_time_out(smol::block_on(breaker.call_within(smol::Timer::after(SHORT), timed_out, hangs()))));
    let sleep = async_std::task::sleep(SHORT);
    assert!(is_time_out(async_std::task::block_on(breaker.call_within(sleep, timed_out, hangs()))));
    assert_eq!(counts(&breaker), (0, 2, 0, 0));
    assert!(breaker.metrics().last_error.unwrap().type_name.ends_with("Error"));
}

#[test]
fn what_ends_in_time_counts_by_its_own_result() {
    let breaker = CircuitBreaker::new("test");
    let never = || -> io::Error { unreachable!("there was no time-out") };
    assert_eq!(block_on(breaker.call_within(pending::<()>(), never, async { Ok(7) })).unwrap(), 7);
    let fails = async { Err::<u32, _>(io::Error::from(io::ErrorKind::NotFound)) };
    assert!(block_on(breaker.call_within(pending::<()>(), never, fails)).is_err());
    assert_eq!(counts(&breaker), (1, 1, 0, 0));
}

#[test]
fn a_failure_in_time_is_never_a_success() {
    let breaker = CircuitBreaker::builder("test").error_threshold(100).build().unwrap();
    for _ in 0..100 {
        let fails = ready(Err::<(), _>(timed_out()));
        assert!(block_on(breaker.call_within(pending::<()>(), timed_out, fails)).is_err());
    }
    assert_eq!(counts(&breaker), (0, 100, 0, 0));
}

#[test]
fn if_both_are_ready_the_result_is_taken() {
    let breaker = CircuitBreaker::new("test");
    assert_eq!(block_on(breaker.call_within(ready(()), timed_out, ready(Ok(7)))).unwrap(), 7);
    // Later, too: both become ready between two polls.
    let op = async {
        yield_now().await;
        Ok(8)
    };
    assert_eq!(block_on(breaker.call_within(yield_now(), timed_out, op)).unwrap(), 8);
    assert_eq!(counts(&breaker), (2, 0, 0, 0));
}

#[test]
fn a_rejected_call_polls_neither_future() {
    let breaker = CircuitBreaker::new("test");
    breaker.force_open();
    let polled = AtomicU32::new(0);
    let sleep = poll_fn(|_| {
        polled.fetch_add(1, Ordering::Relaxed);
        Poll::<()>::Pending
    });
    let op = async {
        polled.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    };
    assert!(block_on(breaker.call_within(sleep, timed_out, op)).unwrap_err().is_rejected());
    assert_eq!(polled.into_inner(), 0);
}

#[test]
fn a_call_that_is_dropped_gives_its_slot_back_and_counts_as_dropped() {
    for (dropped, errors) in [(Dropped::Ignore, 0), (Dropped::Failure, 1)] {
        let (breaker, _clock) = manual(|settings| settings.dropped_calls(dropped));
        breaker.transition_to(State::HalfOpen);
        let mut call = Task::new(breaker.call_within(pending::<()>(), timed_out, hangs()));
        assert!(call.poll().is_pending());
        assert_eq!(breaker.metrics().active_calls, 1);
        drop(call);
        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.total_error_count), (0, errors));
        assert_eq!(metrics.total_dropped_count, 1 - errors);
    }
}

#[test]
fn a_time_out_frees_the_slot_of_a_probe_before_the_future_is_dropped() {
    let (breaker, _clock) = manual(|settings| settings.half_open_error_threshold(9));
    breaker.transition_to(State::HalfOpen);
    let mut call = Task::new(breaker.call_within(ready(()), timed_out, hangs()));
    assert!(matches!(call.poll(), Poll::Ready(Err(Error::Inner(_)))));
    assert_eq!(breaker.metrics().active_calls, 0);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn a_panic_of_the_sleep_or_of_the_error_is_a_failure() {
    let breaker = CircuitBreaker::new("test");
    let panics = breaker.call_within(async { panic!("no timer") }, timed_out, hangs());
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(panics))).is_err());
    let panics = breaker.call_within(ready(()), || panic!("no error"), hangs());
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(panics))).is_err());
    assert_eq!(counts(&breaker), (0, 2, 0, 0));
}

#[test]
fn a_judge_sees_the_time_out_as_the_error_of_the_call() {
    let breaker = std::sync::Arc::new(CircuitBreaker::new("test"));
    let judged = breaker.judging(|result: &io::Result<u32>| match result {
        Ok(500..) => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Outcome::Failure,
        Err(_) => Outcome::Ignored,
    });
    assert!(is_time_out(block_on(judged.call_within(ready(()), timed_out, hangs()))));
    assert_eq!(block_on(judged.call_within(ready(()), timed_out, ready(Ok(502)))).unwrap(), 502);
    let owned = breaker.ignoring_owned(|_: &io::Error| true);
    assert!(is_time_out(block_on(owned.call_within(ready(()), timed_out, hangs()))));
    assert_eq!(counts(&breaker), (0, 2, 1, 0));
}

#[test]
fn a_call_with_a_time_out_is_send_and_borrows_what_it_needs() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let breaker = CircuitBreaker::new("test");
    let text = String::from("borrowed");
    let op = async { Ok::<_, &str>(text.as_str()) };
    let call = is_send(breaker.call_within(smol::Timer::after(PATIENCE), || "too late", op));
    assert_eq!(block_on(call).unwrap(), "borrowed");
}

#[cfg(feature = "registry")]
#[test]
fn the_breakers_of_a_registry_have_it_too() {
    let hosts: tripcoil::Registry<String> = tripcoil::Registry::new("hosts");
    assert!(is_time_out(block_on(hosts.call_within("a", ready(()), timed_out, hangs()))));
    let ignoring = hosts.ignoring(|_: &io::Error| true);
    assert!(is_time_out(block_on(ignoring.call_within("a", ready(()), timed_out, hangs()))));
    let metrics = hosts.get("a").metrics();
    assert_eq!((metrics.total_error_count, metrics.total_ignored_count, metrics.active_calls), (1, 1, 0));
}

type Timed<F> = Within<F, smol::Timer, fn() -> io::Error>;

struct Session<'a, F> {
    handshake: Call<'a, Timed<F>>,
}

#[test]
fn a_call_with_a_time_out_can_be_a_field() {
    let breaker = CircuitBreaker::new("test");
    let session =
        Session { handshake: breaker.call_within(smol::Timer::after(PATIENCE), timed_out as _, ready(Ok(7))) };
    assert_eq!(block_on(session.handshake).unwrap(), 7);
}
