//! A future can be protected from its own side, and behaves as if the breaker had been asked.

mod common;

use std::future::{pending, ready};
use std::rc::Rc;

use common::*;
use futures_lite::future::{block_on, poll_once};
use tripcoil::{CircuitBreaker, Dropped, Error, GuardedBy, State};

#[test]
fn outcomes_count_and_are_handed_on() {
    let breaker = CircuitBreaker::new("test");
    block_on(async {
        assert_eq!(ready(Ok::<_, ()>(7)).guarded_by(&breaker).await, Ok(7));
        for _ in 0..5 {
            assert_eq!(ready(Err::<(), _>("down")).guarded_by(&breaker).await, Err(Error::Inner("down")));
        }
        assert_eq!(breaker.state(), State::Open);
        let rejected = async { panic!("it is not polled") as Result<(), ()> }.guarded_by(&breaker).await;
        assert!(rejected.unwrap_err().is_rejected());
    });
    assert_eq!(breaker.metrics().total_success_count, 1);
}

#[test]
fn nothing_happens_before_the_first_poll() {
    let breaker = CircuitBreaker::new("test");
    drop(ready(Ok::<_, ()>(())).guarded_by(&breaker));
    assert_eq!((breaker.metrics().active_calls, breaker.metrics().total_dropped_count), (0, 0));
}

#[test]
fn a_future_that_is_dropped_counts_as_its_breaker_says() {
    for (dropped, errors) in [(Dropped::Ignore, 0), (Dropped::Failure, 1)] {
        let (breaker, _) = manual(|settings| settings.dropped_calls(dropped));
        block_on(async {
            let mut call = Box::pin(pending::<Result<(), ()>>().guarded_by(&breaker));
            assert!(poll_once(&mut call).await.is_none());
            assert_eq!(breaker.metrics().active_calls, 1);
        });
        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.total_error_count), (0, errors));
    }
}

#[test]
fn a_future_may_borrow_and_need_not_be_send() {
    let breaker = CircuitBreaker::new("test");
    let text = String::from("twelve");
    let shared = Rc::new(12);
    let parse = async { text.parse::<u32>().map(|number| number + *shared) };
    assert!(block_on(parse.guarded_by(&breaker)).is_err());
}
