//! A service behind the breakers of a registry: one for each key of its requests.
#![cfg(all(feature = "tower", feature = "registry"))]

use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;
use tower_layer::Layer;
use tower_service::Service;
use tripcoil::tower::RegistryLayer;
use tripcoil::{CircuitBreaker, Error, Outcome, Registry, Rejected, State};

type Request = (&'static str, Result<u16, &'static str>);

/// Yields what the request says.
#[derive(Clone, Debug)]
struct Echo;

impl Service<Request> for Echo {
    type Response = u16;
    type Error = &'static str;
    type Future = Ready<Result<u16, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (_, result): Request) -> Self::Future {
        ready(result)
    }
}

/// A service made of a function.
#[derive(Clone)]
struct Inner<C>(C);

impl<C: FnMut(Q) -> F, Q, F: Future<Output = Result<T, E>>, T, E> Service<Q> for Inner<C> {
    type Response = T;
    type Error = E;
    type Future = F;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> F {
        (self.0)(request)
    }
}

fn hosts() -> Arc<Registry<String>> {
    Arc::new(Registry::builder(CircuitBreaker::builder("hosts").error_threshold(2)).build().unwrap())
}

fn host(request: &Request) -> String {
    request.0.to_owned()
}

#[test]
fn each_key_has_a_breaker_of_its_own() {
    let hosts = hosts();
    let mut service = RegistryLayer::new(hosts.clone(), host).layer(Echo);
    for _ in 0..2 {
        assert_eq!(block_on(service.call(("down", Err("no answer")))), Err(Error::Inner("no answer")));
    }
    let rejected = block_on(service.call(("down", Ok(200)))).unwrap_err();
    assert_eq!(rejected.rejected().map(Rejected::name), Some("down"));
    assert_eq!(block_on(service.clone().call(("up", Ok(200)))), Ok(200));
    assert_eq!((hosts.get("down").state(), hosts.get("up").state()), (State::Open, State::Closed));
    let metrics = hosts.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count, metrics.total_rejected_count), (1, 2, 1));
}

#[test]
fn judge_predicate_answer_and_boxing_work_as_with_one_breaker() {
    let hosts = hosts();
    let judged = RegistryLayer::new(hosts.clone(), host)
        .judging(
            |result: &Result<u16, _>| if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure },
        )
        .answering(|rejected| if rejected.name() == "down" { 503 } else { 500 });
    let mut judged = judged.layer(Echo);
    for _ in 0..2 {
        assert_eq!(block_on(judged.call(("down", Ok(502)))), Ok(502));
    }
    assert_eq!(block_on(judged.call(("down", Ok(200)))), Ok(503));

    let mut ignoring =
        RegistryLayer::new(hosts.clone(), host).ignoring(|error: &&str| *error == "not found").layer(Echo);
    for _ in 0..5 {
        assert_eq!(block_on(ignoring.call(("up", Err("not found")))), Err(Error::Inner("not found")));
    }
    assert_eq!(hosts.get("up").metrics().total_ignored_count, 5);

    let mut boxing = RegistryLayer::new(hosts, host).boxing().layer(Echo);
    assert!(block_on(boxing.call(("down", Ok(200)))).unwrap_err().is::<Rejected>());
    assert_eq!(block_on(boxing.call(("up", Err("down")))).unwrap_err().to_string(), "down");
}

#[test]
fn call_is_admitted_when_it_is_made_and_dropped_with_its_future() {
    let hosts = hosts();
    let key = |key: &&'static str| (*key).to_owned();
    let mut service = RegistryLayer::new(hosts.clone(), key).layer(Inner(|_| pending::<Result<(), Infallible>>()));
    let future = service.call("a");
    assert_eq!(hosts.get("a").metrics().active_calls, 1);
    drop(future);
    let metrics = hosts.get("a").metrics();
    assert_eq!((metrics.active_calls, metrics.total_dropped_count), (0, 1));
}

#[test]
fn breaker_of_a_call_in_flight_is_not_evicted() {
    let hosts: Arc<Registry<u64>> =
        Arc::new(Registry::builder(CircuitBreaker::builder("hosts")).capacity(4).build().unwrap());
    let mut service =
        RegistryLayer::new(hosts.clone(), |key: &u64| *key).layer(Inner(|_| pending::<Result<(), Infallible>>()));
    let future = service.call(1);
    for key in 100..200 {
        hosts.call_sync(&key, || Ok::<_, ()>(())).unwrap();
    }
    assert_eq!(hosts.find(&1).expect("kept").metrics().active_calls, 1);
    drop(future);
    for key in 100..200 {
        hosts.call_sync(&key, || Ok::<_, ()>(())).unwrap();
    }
    assert!(hosts.find(&1).is_none());
    assert_eq!(hosts.metrics().total_dropped_count, 1);
}

#[test]
fn panic_of_the_service_is_a_failure_and_panic_of_the_key_is_nothing() {
    let hosts = hosts();
    let key = |panics_early: &bool| {
        assert!(!*panics_early, "by design");
        "a".to_owned()
    };
    let inner = Inner(|_| -> Ready<Result<(), Infallible>> { panic!("by design") });
    let mut service = RegistryLayer::new(hosts.clone(), key).layer(inner);
    for panics_early in [true, false] {
        assert!(catch_unwind(AssertUnwindSafe(|| drop(service.call(panics_early)))).is_err());
    }
    let metrics = hosts.metrics();
    assert_eq!((metrics.total_error_count, metrics.active_calls, hosts.len()), (1, 0, 1));
}

#[test]
fn layer_takes_a_static_registry_and_another_hasher_and_its_futures_are_send() {
    use std::hash::RandomState;
    use std::sync::LazyLock;

    static HOSTS: LazyLock<Registry<String, RandomState>> = LazyLock::new(|| {
        Registry::builder(CircuitBreaker::builder("hosts")).hasher(RandomState::new()).build().unwrap()
    });
    fn is_send<T: Send + 'static>(value: T) -> T {
        value
    }
    let mut service = is_send(RegistryLayer::new(&*HOSTS, host).layer(Echo));
    let mut future = Box::pin(is_send(service.call(("a", Ok(200)))));
    let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(poll, Poll::Ready(Ok(200)));
    assert_eq!(HOSTS.get("a").metrics().total_success_count, 1);
}

#[test]
fn debug_text_names_the_registry() {
    let layer = RegistryLayer::new(hosts(), host);
    assert_eq!(format!("{layer:?}"), r#"RegistryLayer { registry: Registry { name: "hosts", .. }, .. }"#);
    let service = layer.layer(Echo);
    let text = r#"RegistryService { inner: Echo, registry: Registry { name: "hosts", .. }, .. }"#;
    assert_eq!(format!("{service:?}"), text);
}

#[test]
fn the_request_of_a_probe_is_mapped_after_its_key_is_taken() {
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    let layer = RegistryLayer::new(hosts.clone(), |(host, _): &Request| (*host).to_owned())
        .on_probe(|(_, result): Request| ("elsewhere", result.map(|_| 204)))
        .boxing();
    let mut service = layer.layer(Echo);
    hosts.get("a").transition_to(State::HalfOpen);
    assert_eq!(block_on(service.call(("a", Ok(200)))).unwrap(), 204);
    assert_eq!(block_on(service.call(("b", Ok(200)))).unwrap(), 200);
    assert_eq!(hosts.get("a").metrics().total_success_count, 1);
    assert_eq!(hosts.metrics().total_success_count, 2);
}

#[test]
fn a_permit_of_a_key_knows_whether_it_is_a_probe() {
    let hosts: Registry<String> = Registry::new("hosts");
    assert!(!hosts.try_acquire("a").unwrap().is_probe());
    hosts.get("a").transition_to(State::HalfOpen);
    assert!(hosts.try_acquire("a").unwrap().is_probe());
}
