//! With `until_body_end` the body of a response decides how its call counts.
#![cfg(all(feature = "http", feature = "tower"))]

mod common;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::*;
use futures_lite::future::block_on;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;
use tripcoil::http::{ByGrpcStatus, ByStatus, unavailable};
use tripcoil::tower::{BreakerLayer, GuardedBody};
use tripcoil::{CircuitBreaker, Dropped, Metrics, State};

/// A body that does what it is told to, step by step.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    length: Option<u64>,
    /// Whether it says by itself that its last step is over.
    knows_its_end: bool,
}

#[derive(Debug)]
enum Step {
    Data(&'static [u8]),
    Trailers(&'static [(&'static str, &'static str)]),
    Broken,
    Pending,
    Panic,
}

#[derive(Debug)]
struct Broken;

impl Body for Script {
    type Data = &'static [u8];
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<&'static [u8]>, Broken>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => {
                self.length = self.length.map(|length| length - data.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Step::Trailers(pairs)) => {
                let trailers: HeaderMap =
                    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Broken) => Poll::Ready(Some(Err(Broken))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Panic) => panic!("the body panics"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script { steps: steps.into_iter().collect(), ..Script::default() }
}

/// Answers with the response that it is asked for.
#[derive(Clone)]
struct Echo;

impl Service<Response<Script>> for Echo {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Script>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, response: Response<Script>) -> Self::Future {
        ready(Ok(response))
    }
}

type Guarded = GuardedBody<Script, Arc<CircuitBreaker>>;

fn call(breaker: &Arc<CircuitBreaker>, response: Response<Script>) -> Guarded {
    let layer = BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).until_body_end();
    block_on(layer.layer(Echo).call(response)).unwrap().into_body()
}

/// Reads a body until it ends, breaks or has nothing more for now.
fn read(body: &mut Guarded) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(_))) = Pin::new(&mut *body).poll_frame(&mut cx) {}
}

fn counts(metrics: &Metrics) -> [u64; 4] {
    let Metrics { total_success_count, total_error_count, total_dropped_count, active_calls, .. } = *metrics;
    [total_success_count, total_error_count, total_dropped_count, active_calls]
}

const SUCCESS: [u64; 4] = [1, 0, 0, 0];
const ERROR: [u64; 4] = [0, 1, 0, 0];
const DROPPED: [u64; 4] = [0, 0, 1, 0];
const OPEN: [u64; 4] = [0, 0, 0, 1];

/// How a call counts whose body is read as far as it goes, and then dropped.
fn counted(response: Response<Script>) -> [u64; 4] {
    let breaker = Arc::new(manual(|settings| settings).0);
    let mut body = call(&breaker, response);
    read(&mut body);
    drop(body);
    counts(&breaker.metrics())
}

fn grpc(steps: impl IntoIterator<Item = Step>) -> Response<Script> {
    Response::builder().header("content-type", "application/grpc+proto").body(script(steps)).unwrap()
}

#[test]
fn a_body_that_ends_is_a_success_and_one_that_breaks_a_failure() {
    assert_eq!(counted(Response::new(script([]))), SUCCESS);
    assert_eq!(counted(Response::new(script([Step::Data(b"ab"), Step::Data(b"c")]))), SUCCESS);
    assert_eq!(counted(Response::new(script([Step::Data(b"ab"), Step::Trailers(&[("digest", "x")])]))), SUCCESS);
    assert_eq!(counted(Response::new(script([Step::Broken]))), ERROR);
    assert_eq!(counted(Response::new(script([Step::Data(b"ab"), Step::Broken]))), ERROR);
}

#[test]
fn the_call_is_open_until_the_body_ends_and_settled_once() {
    let breaker = Arc::new(manual(|settings| settings).0);
    let mut body = call(&breaker, Response::new(script([Step::Data(b"ab"), Step::Pending, Step::Broken])));
    assert_eq!(counts(&breaker.metrics()), OPEN);
    read(&mut body);
    assert_eq!(counts(&breaker.metrics()), OPEN);
    read(&mut body);
    assert_eq!(counts(&breaker.metrics()), ERROR);
    assert_eq!(breaker.metrics().last_error.unwrap().type_name, std::any::type_name::<Broken>());
    read(&mut body);
    drop(body);
    assert_eq!(counts(&breaker.metrics()), ERROR);
}

#[test]
fn a_body_that_is_dropped_half_read_is_a_dropped_call() {
    assert_eq!(counted(Response::new(script([Step::Data(b"ab"), Step::Pending]))), DROPPED);
    let settings = [(Dropped::Ignore, State::Closed), (Dropped::Failure, State::Open)];
    for (dropped_calls, state) in settings {
        let breaker = Arc::new(manual(|settings| settings.error_threshold(1).dropped_calls(dropped_calls)).0);
        drop(call(&breaker, Response::new(script([Step::Pending]))));
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn a_reader_that_stops_at_the_announced_length_has_read_to_the_end() {
    let body = |length| Script { length: Some(length), ..script([Step::Data(b"ab"), Step::Pending]) };
    assert_eq!(counted(Response::new(body(2))), SUCCESS);
    assert_eq!(counted(Response::new(body(3))), DROPPED);
    let empty = Script { length: Some(0), ..script([Step::Pending]) };
    assert_eq!(counted(Response::new(empty)), SUCCESS);
}

#[test]
fn a_body_that_knows_its_end_settles_the_call_with_the_last_frame() {
    let breaker = Arc::new(manual(|settings| settings).0);
    let ends = |steps| Script { knows_its_end: true, ..script(steps) };
    let _empty = call(&breaker, Response::new(ends(vec![])));
    assert_eq!(counts(&breaker.metrics()), SUCCESS);
    let mut body = call(&breaker, Response::new(ends(vec![Step::Data(b"ab")])));
    let frame = block_on(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), b"ab");
    assert_eq!(counts(&breaker.metrics()), [2, 0, 0, 0]);
    assert!(body.is_end_stream());
}

#[test]
fn the_code_in_the_trailers_decides() {
    let trailers = |pairs| counted(grpc([Step::Data(b"message"), Step::Trailers(pairs)]));
    assert_eq!(trailers(&[("grpc-status", "0")]), SUCCESS);
    assert_eq!(trailers(&[("grpc-status", "14"), ("grpc-message", "busy")]), ERROR);
    assert_eq!(trailers(&[("grpc-status", "5")]), [0, 0, 0, 0]); // ignored
    assert_eq!(trailers(&[("grpc-status", "+0")]), ERROR);
    assert_eq!(trailers(&[("other", "0")]), ERROR);
    assert_eq!(counted(grpc([Step::Data(b"message")])), ERROR); // cut off without a status
    let mut head_only = grpc([]);
    head_only.headers_mut().insert("grpc-status", "0".parse().unwrap());
    assert_eq!(counted(head_only), SUCCESS);
}

#[test]
fn grpc_web_ends_without_trailers() {
    for content_type in ["application/grpc-web+proto", "application/grpc-web"] {
        let response = Response::builder().header("content-type", content_type).body(script([Step::Data(b"x")]));
        assert_eq!(counted(response.unwrap()), SUCCESS);
    }
}

#[test]
fn a_head_that_is_no_success_settles_the_call_at_once() {
    for (status, expected) in [(500, ERROR), (404, [0; 4])] {
        let breaker = Arc::new(manual(|settings| settings).0);
        let response = Response::builder().status(status).body(script([Step::Broken])).unwrap();
        let mut body = call(&breaker, response);
        assert_eq!(counts(&breaker.metrics()), expected);
        read(&mut body);
        assert_eq!(counts(&breaker.metrics()), expected);
    }
}

#[test]
fn a_probe_keeps_its_place_until_its_body_ends() {
    let breaker = Arc::new(manual(|settings| settings.success_threshold(1)).0);
    breaker.transition_to(State::HalfOpen);
    let mut body = call(&breaker, Response::new(script([Step::Data(b"a"), Step::Pending])));
    assert!(breaker.try_acquire().is_err());
    read(&mut body);
    assert_eq!(breaker.state(), State::HalfOpen);
    read(&mut body);
    assert_eq!(breaker.state(), State::Closed);
}

fn slow_rule() -> (Arc<CircuitBreaker>, tripcoil::clock::ManualClock) {
    let (breaker, clock) = manual(|settings| {
        settings
            .slow_call_rate(1.0)
            .slow_call_duration(SECOND)
            .minimum_calls(1)
            .dropped_calls(Dropped::FailureAfter(SECOND))
    });
    (Arc::new(breaker), clock)
}

#[test]
fn a_stream_that_takes_long_is_not_slow_and_does_not_hang() {
    let (breaker, clock) = slow_rule();
    let mut body = call(&breaker, Response::new(script([Step::Data(b"a"), Step::Pending])));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(breaker.metrics().window.unwrap().hanging_calls, 0);
    read(&mut body);
    read(&mut body);
    assert_eq!(counts(&breaker.metrics()), SUCCESS);
    assert_eq!((breaker.metrics().total_slow_count, breaker.state()), (0, State::Closed));

    let body = call(&breaker, Response::new(script([Step::Pending])));
    clock.advance(Duration::from_secs(3600));
    drop(body);
    assert_eq!((breaker.metrics().total_dropped_count, breaker.state()), (1, State::Closed));
}

/// Takes two seconds of the breaker's clock for its head.
struct Late(tripcoil::clock::ManualClock);

impl Service<Response<Script>> for Late {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Script>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, response: Response<Script>) -> Self::Future {
        self.0.advance(2 * SECOND);
        ready(Ok(response))
    }
}

#[test]
fn a_head_that_is_late_makes_the_call_slow_when_its_body_ends() {
    let (breaker, clock) = slow_rule();
    let layer = BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).until_body_end();
    let response = Response::new(script([Step::Pending]));
    let mut body = block_on(layer.layer(Late(clock)).call(response)).unwrap().into_body();
    read(&mut body);
    assert_eq!((breaker.state(), breaker.metrics().window.unwrap().hanging_calls), (State::Closed, 0));
    read(&mut body);
    assert_eq!((breaker.state(), breaker.metrics().total_slow_count), (State::Open, 1));
}

#[test]
fn a_late_head_is_slow_whatever_the_settings_became() {
    let (breaker, clock) = slow_rule();
    let layer = BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).until_body_end();
    let response = Response::new(script([Step::Pending]));
    let mut body = block_on(layer.layer(Late(clock.clone())).call(response)).unwrap().into_body();
    read(&mut body);
    breaker.reconfigure(tripcoil::Config::default()).unwrap();
    read(&mut body);
    assert_eq!((breaker.state(), breaker.metrics().total_slow_count), (State::Closed, 1));
    assert_eq!(counts(&breaker.metrics()), SUCCESS);
}

#[test]
fn a_body_that_panics_is_a_failure_and_the_panic_goes_on() {
    let breaker = Arc::new(manual(|settings| settings.error_threshold(1)).0);
    let mut body = call(&breaker, Response::new(script([Step::Panic])));
    catch_unwind(AssertUnwindSafe(|| read(&mut body))).unwrap_err();
    assert_eq!((breaker.state(), breaker.metrics().last_error.unwrap().type_name), (State::Open, "panic"));
}

#[test]
fn a_body_that_a_foreign_panic_drops_is_a_dropped_call() {
    let breaker = Arc::new(manual(|settings| settings.error_threshold(1)).0);
    let body = call(&breaker, Response::new(script([Step::Pending])));
    catch_unwind(AssertUnwindSafe(move || {
        let _body = body;
        panic!("the reader panics");
    }))
    .unwrap_err();
    assert_eq!((breaker.state(), counts(&breaker.metrics())), (State::Closed, DROPPED));
}

#[test]
fn a_rejection_is_answered_with_a_body_that_holds_no_call() {
    let breaker = Arc::new(manual(|settings| settings).0);
    breaker.force_open();
    let layer = BreakerLayer::new(breaker.clone()).judging(ByGrpcStatus::new()).answering(unavailable).until_body_end();
    let response = block_on(layer.layer(Echo).call(grpc([]))).unwrap();
    assert_eq!(response.status(), 503);
    drop(response);
    assert_eq!(counts(&breaker.metrics()), [0; 4]);
}

#[cfg(feature = "registry")]
#[test]
fn the_breakers_of_a_registry_wait_for_the_body_too() {
    use tripcoil::Registry;
    use tripcoil::tower::RegistryLayer;

    let hosts: Arc<Registry<u16>> = Arc::new(Registry::new("hosts"));
    let layer = RegistryLayer::new(hosts.clone(), |response: &Response<Script>| response.status().as_u16())
        .judging(ByStatus::new())
        .until_body_end();
    for _ in 0..5 {
        let response = Response::new(script([Step::Data(b"a"), Step::Broken]));
        let body = block_on(layer.layer(Echo).call(response)).unwrap().into_body();
        let mut body = body;
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(_))) = Pin::new(&mut body).poll_frame(&mut cx) {}
    }
    assert_eq!(hosts.get(&200).state(), State::Open);
}
