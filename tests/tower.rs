//! A service behind a breaker keeps to the contract of services, and to that of the breaker.
#![cfg(feature = "tower")]

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use common::*;
use futures_lite::future::{block_on, yield_now};
use tower_layer::Layer;
use tower_service::Service;
use tripcoil::tower::{Answering, BreakerFuture, BreakerLayer, BreakerService, OnRejection, Refusing};
use tripcoil::{ByResult, CircuitBreaker, Dropped, Error, Judge, Outcome, Rejected, State};

/// A service made of functions.
#[derive(Clone)]
struct Inner<R, C> {
    ready: R,
    call: C,
}

impl<R, C, Q, F, T, E> Service<Q> for Inner<R, C>
where
    R: FnMut() -> Poll<Result<(), E>>,
    C: FnMut(Q) -> F,
    F: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = F;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        (self.ready)()
    }

    fn call(&mut self, request: Q) -> F {
        (self.call)(request)
    }
}

type AlwaysReady<E> = fn() -> Poll<Result<(), E>>;

fn service<E, C>(call: C) -> Inner<AlwaysReady<E>, C> {
    Inner { ready: || Poll::Ready(Ok(())), call }
}

/// Yields what it is asked to.
fn echo(result: Result<u16, &'static str>) -> Ready<Result<u16, &'static str>> {
    ready(result)
}

fn poll_ready<Q, S: Service<Q>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

/// One request by the book.
fn request<Q, S: Service<Q>>(service: &mut S, request: Q) -> Result<S::Response, S::Error> {
    assert!(matches!(poll_ready(service), Poll::Ready(Ok(()))));
    block_on(service.call(request))
}

fn half_open() -> CircuitBreaker {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    breaker
}

fn active(breaker: &CircuitBreaker) -> u64 {
    breaker.metrics().active_calls
}

#[test]
fn results_are_handed_on_and_errors_open_the_breaker() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(2).success_threshold(1));
    let mut service = BreakerLayer::new(&breaker).layer(service(echo));
    assert_eq!(request(&mut service, Ok(200)), Ok(200));
    for _ in 0..2 {
        assert_eq!(request(&mut service, Err("down")), Err(Error::Inner("down")));
    }
    let error = request(&mut service, Ok(200)).unwrap_err();
    assert_eq!(error.rejected().map(Rejected::state), Some(State::Open));
    assert!(error.retry_after().is_some());

    clock.advance(error.retry_after().unwrap());
    assert_eq!(request(&mut service, Ok(200)), Ok(200));
    assert_eq!(breaker.state(), State::Closed);
    assert!(breaker.metrics().last_error.unwrap().type_name.ends_with("str"));
}

#[test]
fn rejected_call_does_not_reach_the_service() {
    let breaker = CircuitBreaker::new("test");
    breaker.force_open();
    let mut service = BreakerLayer::new(&breaker).layer(service(|()| -> Ready<Result<(), ()>> { unreachable!() }));
    assert!(request(&mut service, ()).unwrap_err().is_rejected());
    assert_eq!(breaker.metrics().total_rejected_count, 1);
}

#[test]
fn layers_and_services_made_of_one_handle_share_the_breaker() {
    let breaker = Arc::new(manual(|settings| settings.error_threshold(3)).0);
    let layer = BreakerLayer::new(Arc::clone(&breaker));
    let mut services =
        [layer.layer(service(echo)), layer.clone().layer(service(echo)), layer.layer(service(echo)).clone()];
    for service in &mut services {
        assert!(request(service, Err("down")).is_err());
    }
    assert_eq!(breaker.state(), State::Open);
    for service in &mut services {
        assert!(request(service, Ok(200)).unwrap_err().is_rejected());
    }
}

#[test]
fn being_ready_takes_no_slot_and_moves_no_breaker() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(SECOND);
    clock.advance(SECOND);
    let mut service = BreakerLayer::new(&breaker).layer(service(echo));
    let mut others = [service.clone(), service.clone()];
    for other in &mut others {
        assert!(poll_ready(other).is_ready());
    }
    assert_eq!((breaker.state(), active(&breaker)), (State::Open, 0));
    // The one slot is still there for the one that calls.
    assert_eq!(request(&mut service, Ok(200)), Ok(200));
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn service_that_is_not_ready_is_waited_for_whatever_the_state() {
    let breaker = CircuitBreaker::new("test");
    for state in STATES {
        breaker.transition_to(state);
        let mut service = BreakerLayer::new(&breaker).layer(Inner { ready: || Poll::Pending, call: echo });
        assert!(poll_ready(&mut service).is_pending());
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn error_while_becoming_ready_is_handed_on_and_counts_as_nothing() {
    let breaker = CircuitBreaker::new("test");
    let inner = Inner { ready: || Poll::Ready(Err("closed")), call: echo };
    let mut refusing = BreakerLayer::new(&breaker).layer(inner.clone());
    assert_eq!(poll_ready(&mut refusing), Poll::Ready(Err(Error::Inner("closed"))));
    let mut answering = BreakerLayer::new(&breaker).answering(|_| 503).layer(inner);
    assert_eq!(poll_ready(&mut answering), Poll::Ready(Err("closed")));
    assert_eq!(breaker.metrics().total_error_count, 0);
}

#[test]
fn call_goes_to_the_very_service_that_was_polled_ready() {
    /// A clone has not been polled, and a call uses the readiness up.
    struct Strict {
        is_ready: bool,
    }
    impl Clone for Strict {
        fn clone(&self) -> Self {
            Strict { is_ready: false }
        }
    }
    impl Service<()> for Strict {
        type Response = ();
        type Error = ();
        type Future = Ready<Result<(), ()>>;
        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
            self.is_ready = true;
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            assert!(std::mem::take(&mut self.is_ready), "called without having been polled ready");
            ready(Ok(()))
        }
    }

    let breaker = CircuitBreaker::new("test");
    let mut service = BreakerLayer::new(&breaker).layer(Strict { is_ready: false });
    assert!(poll_ready(&mut service).is_ready());
    let mut clone = service.clone();
    assert!(block_on(service.call(())).is_ok());
    assert!(request(&mut clone, ()).is_ok());
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(()))).is_err(), "the test can tell");
}

#[test]
fn call_is_admitted_when_it_is_made_and_not_when_it_is_polled() {
    let breaker = half_open();
    let mut service = BreakerLayer::new(&breaker).layer(service(echo));
    let first = service.call(Ok(200));
    assert_eq!(active(&breaker), 1);
    let second = service.call(Ok(200));
    assert!(block_on(second).unwrap_err().is_rejected());
    assert!(block_on(first).is_ok());
    assert_eq!(active(&breaker), 0);
}

#[test]
fn response_that_is_dropped_is_a_dropped_call() {
    for (setting, errors) in [(Dropped::Ignore, 0), (Dropped::Failure, 2)] {
        let (breaker, _clock) = manual(|settings| settings.dropped_calls(setting));
        let mut service = BreakerLayer::new(&breaker).layer(service(|()| pending::<Result<(), ()>>()));
        drop(service.call(()));
        drop(Task::waiting(service.call(())));
        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.total_error_count), (0, errors));
        assert_eq!(metrics.total_dropped_count, 2 - errors);
    }
}

#[test]
fn cancelled_probe_gives_its_slot_to_the_next_one() {
    let breaker = half_open();
    let mut service = BreakerLayer::new(&breaker).layer(service(|()| pending::<Result<(), ()>>()));
    let probe = Task::waiting(service.call(()));
    refused(&breaker);
    drop(probe);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn panic_anywhere_in_a_call_is_a_failure_and_gives_the_slot_back() {
    type Answer = Pin<Box<dyn Future<Output = Result<u16, &'static str>>>>;
    type Way = (&'static str, fn(()) -> Answer);
    let ways: [Way; 4] = [
        ("in `call`", |()| panic!("boom")),
        ("in the first poll", |()| Box::pin(async { panic!("boom") })),
        ("in a later poll", |()| {
            Box::pin(async {
                yield_now().await;
                panic!("boom")
            })
        }),
        ("in the judge", |()| Box::pin(ready(Ok(666)))),
    ];
    for (way, call) in ways {
        let breaker = half_open();
        let judge = |result: &Result<u16, &str>| match result {
            Ok(666) => panic!("boom"),
            _ => Outcome::Success,
        };
        let mut service = BreakerLayer::new(&breaker).judging(judge).layer(service(call));
        let mut response = None;
        let payload = catch_unwind(AssertUnwindSafe(|| block_on(response.insert(Box::pin(service.call(()))))));
        assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"boom"), "{way}");
        // Also where the future lives on.
        assert_eq!((breaker.state(), active(&breaker)), (State::Open, 0), "{way}");
        drop(response);
        assert_eq!(breaker.metrics().total_error_count, 1, "{way}");
    }
}

#[test]
fn panic_of_the_answer_is_no_failure() {
    let breaker = CircuitBreaker::new("test");
    breaker.force_open();
    let mut service = BreakerLayer::new(&breaker).answering(|_| panic!("boom")).layer(service(echo));
    assert!(catch_unwind(AssertUnwindSafe(|| request(&mut service, Ok(200)))).is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_rejected_count, metrics.total_error_count, metrics.active_calls), (1, 0, 0));
}

#[test]
fn handle_whose_clone_panics_loses_no_slot() {
    /// Its clone panics while a call is in flight.
    struct Fragile(Rc<CircuitBreaker>);
    impl Deref for Fragile {
        type Target = CircuitBreaker;
        fn deref(&self) -> &CircuitBreaker {
            &self.0
        }
    }
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert_eq!(active(&self.0), 0);
            Fragile(self.0.clone())
        }
    }

    let breaker = Rc::new(half_open());
    let mut service = BreakerLayer::new(Fragile(breaker.clone())).layer(service(echo));
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(Ok(200)))).is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.active_calls, metrics.total_error_count, metrics.total_dropped_count), (0, 0, 1));
}

#[test]
fn response_dropped_by_a_panic_elsewhere_in_its_task_is_a_dropped_call() {
    for (dropped, errors) in [(Dropped::Ignore, 0), (Dropped::Failure, 1)] {
        let (breaker, _clock) = manual(|settings| settings.dropped_calls(dropped));
        let mut service = BreakerLayer::new(&breaker).layer(service(|()| pending::<Result<u16, &str>>()));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _response = Task::waiting(service.call(()));
            panic!("boom");
        }));
        assert!(unwound.is_err());
        let metrics = breaker.metrics();
        assert_eq!((metrics.total_error_count, metrics.total_dropped_count), (errors, 1 - errors));
        assert_ne!(metrics.last_error.map(|error| error.type_name), Some("panic"));
    }
}

#[test]
fn judge_decides_by_response_or_error() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let judge = |result: &Result<u16, &str>| match result {
        Ok(429) => Outcome::Trip { open_for: 7 * SECOND },
        Ok(400..) | Err("not found") => Outcome::Ignored,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure,
    };
    let mut service = BreakerLayer::new(&breaker).judging(judge).layer(service(echo));
    assert_eq!(request(&mut service, Ok(404)), Ok(404));
    assert_eq!(request(&mut service, Err("not found")), Err(Error::Inner("not found")));
    assert_eq!(request(&mut service, Ok(200)), Ok(200));
    assert_eq!(breaker.metrics().total_ignored_count, 2);
    assert_eq!(request(&mut service, Ok(429)), Ok(429));
    assert!(is_open_for(&breaker, 7 * SECOND));
}

#[test]
fn errors_that_are_ignored_count_neither_way() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let mut service = BreakerLayer::new(&breaker).ignoring(|error: &&str| *error == "not found").layer(service(echo));
    assert_eq!(request(&mut service, Err("not found")), Err(Error::Inner("not found")));
    assert_eq!(request(&mut service, Ok(200)), Ok(200));
    assert_eq!((breaker.metrics().total_ignored_count, breaker.metrics().total_success_count), (1, 1));
    assert!(request(&mut service, Err("down")).is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn answering_service_keeps_the_error_type_of_the_one_within() {
    let breaker = CircuitBreaker::new("test");
    breaker.open_for(20 * SECOND);
    let answer = |rejected: &Rejected| format!("{} is {}", rejected.name(), rejected.state());
    let call = |()| ready(Ok::<String, Infallible>("here".to_owned()));
    let mut service = BreakerLayer::new(&breaker).answering(answer).layer(service(call));
    assert_eq!(request(&mut service, ()), Ok("test is open".to_owned()));
    breaker.reset();
    assert_eq!(request(&mut service, ()), Ok("here".to_owned()));
}

#[test]
fn boxing_service_has_one_error_type_whatever_is_within() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let layer = BreakerLayer::new(&breaker).boxing();
    let boxed = |()| ready(Err::<(), Box<dyn std::error::Error + Send + Sync>>("down".into()));
    // Also around another of its kind.
    let other = CircuitBreaker::new("other");
    let mut service = layer.layer(BreakerLayer::new(&other).boxing().layer(service(boxed)));
    assert_eq!(request(&mut service, ()).unwrap_err().to_string(), "down");
    assert!(request(&mut service, ()).unwrap_err().is::<Rejected>());
}

#[test]
fn response_keeps_the_breaker_alive() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let weak = Arc::downgrade(&breaker);
    let mut service = BreakerLayer::new(breaker).layer(service(echo));
    let response = service.call(Ok(200));
    drop(service);
    assert_eq!(weak.upgrade().map(|breaker| active(&breaker)), Some(1));
    assert!(block_on(response).is_ok());
    assert!(weak.upgrade().is_none());
}

#[test]
fn late_outcome_of_a_response_changes_nothing() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let mut service = BreakerLayer::new(&breaker).layer(service(echo));
    let response = service.call(Err("down"));
    breaker.reset();
    assert!(block_on(response).is_err());
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Closed, 1));
}

#[test]
fn response_that_is_polled_again_says_so() {
    let breaker = CircuitBreaker::new("test");
    let mut service = BreakerLayer::new(&breaker).layer(service(echo));
    let admitted = service.call(Ok(200));
    breaker.force_open();
    for response in [admitted, service.call(Ok(200))] {
        let mut task = Task::new(response);
        assert!(task.poll().is_ready());
        let payload = catch_unwind(AssertUnwindSafe(|| task.poll())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"`BreakerFuture` was polled after it had finished"));
    }
}

#[test]
fn neither_service_nor_handle_need_be_send_or_static() {
    let breaker = Rc::new(CircuitBreaker::new("test"));
    let seen = Cell::new(0);
    let call = |step: u32| {
        let seen = &seen;
        async move {
            let step = Rc::new(step);
            yield_now().await;
            seen.set(seen.get() + *step);
            Ok::<_, Rc<()>>(())
        }
    };
    let mut service = BreakerLayer::new(breaker.clone()).layer(service(call));
    assert!(request(&mut service, 2).is_ok());
    let mut borrowed = BreakerLayer::new(&*breaker).layer(service);
    assert!(request(&mut borrowed, 3).is_ok());
    assert_eq!(seen.get(), 5);
}

#[test]
fn call_allocates_nothing() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let mut service = BreakerLayer::new(breaker.clone()).layer(service(echo));
    assert!(request(&mut service, Ok(200)).is_ok());
    let admitted = allocation_counter::measure(|| {
        assert!(request(&mut service, Ok(200)).is_ok());
        drop(service.call(Ok(200)));
    });
    breaker.force_open();
    let rejected = allocation_counter::measure(|| assert!(request(&mut service, Ok(200)).is_err()));
    assert_eq!((admitted.count_total, rejected.count_total), (0, 0));
}

const fn is_send_and_sync<T: Send + Sync>() {}
const fn is_copy<T: Copy>() {}

type Reply = Ready<Result<(), ()>>;
type Response = BreakerFuture<Reply, Arc<CircuitBreaker>, ByResult, Refusing>;

const _: () = {
    is_send_and_sync::<BreakerLayer>();
    is_send_and_sync::<BreakerService<()>>();
    is_send_and_sync::<Response>();
    is_copy::<BreakerLayer<&'static CircuitBreaker>>();
    is_copy::<BreakerService<(), &'static CircuitBreaker>>();
    is_copy::<Answering<fn()>>();
    assert!(size_of::<Response>() <= 64);
};

/// Both modes can be named in a bound.
#[test]
fn generic_code_can_take_any_layer() {
    fn protect<S, Q, J, M>(
        layer: &BreakerLayer<Arc<CircuitBreaker>, J, M>,
        service: S,
    ) -> impl Service<Q, Error = M::Error>
    where
        S: Service<Q>,
        J: Judge<Result<S::Response, S::Error>> + Clone,
        M: OnRejection<S::Response, S::Error> + Clone,
    {
        layer.layer(service)
    }
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let layer = BreakerLayer::new(breaker);
    assert_eq!(request(&mut protect(&layer, service(echo)), Err("down")).err(), Some(Error::Inner("down")));
    assert_eq!(request(&mut protect(&layer.answering(|_| 503), service(echo)), Err("down")).err(), Some("down"));
}

#[test]
fn debug_text_names_the_breaker_and_the_stage() {
    let breaker = CircuitBreaker::new("payments");
    let layer = BreakerLayer::new(&breaker).judging(|_: &Result<u16, &str>| Outcome::Success).answering(|_| 503);
    assert!(format!("{layer:?}").contains("payments"));
    assert!(format!("{:?}", layer.layer(())).contains("payments"));
    let mut service = layer.layer(service(echo));
    let response = service.call(Ok(200));
    assert!(format!("{response:?}").contains("running"));
    breaker.force_open();
    assert!(format!("{:?}", service.call(Ok(200))).contains("rejected"));
    assert!(block_on(response).is_ok());
}

#[test]
fn the_request_of_a_probe_is_mapped_and_no_other() {
    let (breaker, _clock) = manual(|settings| settings.success_threshold(2));
    let breaker = Arc::new(breaker);
    let layer = BreakerLayer::new(breaker.clone()).on_probe(|request: Result<u16, &'static str>| request.map(|_| 204));
    let mut service = layer.boxing().judging(ByResult).layer(service(echo));
    assert_eq!(block_on(service.call(Ok(200))).unwrap(), 200);
    breaker.transition_to(State::HalfOpen);
    assert_eq!([(), ()].map(|()| block_on(service.call(Ok(200))).unwrap()), [204, 204]);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(block_on(service.call(Ok(200))).unwrap(), 200);
}

#[test]
fn a_function_that_panics_over_a_probe_is_a_failed_probe() {
    let (breaker, _clock) = manual(|settings| settings);
    let breaker = Arc::new(breaker);
    let map = |_: Result<u16, &'static str>| panic!("as it is told");
    let mut service = BreakerLayer::new(breaker.clone()).on_probe(map).layer(service(echo));
    breaker.transition_to(State::HalfOpen);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service.call(Ok(200))))).is_err());
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Open, 1));
}
