//! hyper's client behind a breaker, against a real server that fails, is killed and comes back.

mod common;

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use common::*;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use services::{Conduct, Loopback, Reply};
use tokio::spawn;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tripcoil::http::ByStatus;
use tripcoil::tower::BreakerLayer;
use tripcoil::{Error, Outcome, Rejected, State};

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn server_that_is_killed_opens_the_breaker_and_is_found_again() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(3));
    let conduct = Conduct::well();
    let mut server = Loopback::axum(conduct.app()).unwrap();
    let url = server.url("/");
    let mut client =
        ServiceBuilder::new().layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new())).service(client());

    let response = request(&mut client, get(&url)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "200 OK");
    server.kill();
    for _ in 0..3 {
        assert!(matches!(request(&mut client, get(&url)).await, Err(Error::Inner(_))));
    }
    let error = request(&mut client, get(&url)).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(30 * SECOND));

    // Still dead: the probe fails, and that is all that was tried.
    clock.advance(30 * SECOND);
    assert!(matches!(request(&mut client, get(&url)).await, Err(Error::Inner(_))));
    assert!(is_open_for(&breaker, 30 * SECOND));

    server.restart();
    clock.advance(30 * SECOND);
    for _ in 0..2 {
        assert_eq!(request(&mut client, get(&url)).await.unwrap().status(), 200);
    }
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(conduct.calls(), 3);
}

#[tokio::test]
async fn statuses_of_the_server_count_and_those_of_the_callers_do_not() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let url = server.url("/");
    let mut client =
        ServiceBuilder::new().layer(BreakerLayer::new(&*breaker).judging(ByStatus::new())).service(client());
    for _ in 0..5 {
        assert_eq!(request(&mut client, get(&server.url("/no/such/path"))).await.unwrap().status(), 404);
    }
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE] {
        conduct.answer(status);
        assert_eq!(request(&mut client, get(&url)).await.unwrap().status(), status);
    }
    assert!(request(&mut client, get(&url)).await.unwrap_err().is_rejected());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_ignored_count, metrics.total_error_count), (5, 3));
}

#[tokio::test]
async fn retry_after_opens_for_as_long_as_it_says_and_for_no_longer_than_it_may() {
    let (breaker, _clock) = manual(|settings| settings);
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let judge = ByStatus::new().max_retry_after(60 * SECOND);
    let mut client = ServiceBuilder::new().layer(BreakerLayer::new(&*breaker).judging(judge)).service(client());
    let (date, later) = ("Mon, 23 Nov 2026 12:00:00 GMT", "Mon, 23 Nov 2026 12:00:45 GMT");
    for (status, headers, wait) in [
        (StatusCode::SERVICE_UNAVAILABLE, vec![("retry-after", "20")], 20),
        (StatusCode::TOO_MANY_REQUESTS, vec![("retry-after", "7")], 7),
        (StatusCode::TOO_MANY_REQUESTS, vec![("retry-after", "86400")], 60),
        (StatusCode::SERVICE_UNAVAILABLE, vec![("date", date), ("retry-after", later)], 45),
    ] {
        breaker.reset();
        answer_with(&conduct, status, &headers);
        assert_eq!(request(&mut client, get(&server.url("/"))).await.unwrap().status(), status);
        assert!(is_open_for(&breaker, wait * SECOND), "{status} {headers:?}");
    }
}

#[tokio::test]
async fn clones_that_are_ready_hold_no_slot() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let mut client =
        ServiceBuilder::new().layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new())).service(client());
    let mut others = [client.clone(), client.clone(), client.clone()];
    for other in &mut others {
        assert!(is_ready(other).await);
    }
    assert_eq!(breaker.metrics().active_calls, 0);
    assert_eq!(request(&mut client, get(&server.url("/"))).await.unwrap().status(), 200);
    assert_eq!(request(&mut others[0], get(&server.url("/"))).await.unwrap().status(), 200);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn request_that_is_cancelled_gives_its_slot_back() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    let conduct = Conduct::well();
    conduct.set(Reply::Hang);
    let server = Loopback::axum(conduct.app()).unwrap();
    let client =
        ServiceBuilder::new().layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new())).service(client());
    let probe = spawn(client.clone().oneshot(get(&server.url("/"))));
    until(|| conduct.calls() == 1).await;
    assert!(client.clone().oneshot(get(&server.url("/"))).await.unwrap_err().is_rejected());
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    assert_eq!(breaker.metrics().active_calls, 0);
    conduct.answer(StatusCode::OK);
    assert_eq!(client.oneshot(get(&server.url("/"))).await.unwrap().status(), 200);
}

#[tokio::test]
async fn time_out_below_the_breaker_counts() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let conduct = Conduct::well();
    conduct.set(Reply::Hang);
    let server = Loopback::axum(conduct.app()).unwrap();
    let mut client = ServiceBuilder::new()
        .layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new()))
        .timeout(Duration::from_millis(20))
        .service(client());
    for _ in 0..2 {
        let error: Error<BoxError> = request(&mut client, get(&server.url("/"))).await.unwrap_err();
        assert!(error.into_inner().unwrap().is::<Elapsed>());
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn boxed_errors_fit_between_layers_that_box_theirs() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    conduct.set(Reply::Hang);
    let server = Loopback::axum(conduct.app()).unwrap();
    let mut client = ServiceBuilder::new()
        .timeout(20 * SECOND)
        .layer(BreakerLayer::new(breaker).judging(ByStatus::new()).boxing())
        .timeout(Duration::from_millis(20))
        .service(client());
    assert!(request(&mut client, get(&server.url("/"))).await.unwrap_err().is::<Elapsed>());
    assert!(request(&mut client, get(&server.url("/"))).await.unwrap_err().is::<Rejected>());
}

/// `ConcurrencyLimit` reserves its permit in `poll_ready` and panics in a `call` without one.
#[tokio::test]
async fn limit_below_the_breaker_keeps_its_count() {
    let (breaker, _clock) = manual(|settings| settings);
    let conduct = Conduct::well();
    conduct.set(Reply::Hang);
    let server = Loopback::axum(conduct.app()).unwrap();
    let mut client = ServiceBuilder::new()
        .layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new()))
        .concurrency_limit(2)
        .service(client());
    let mut others = [client.clone(), client.clone()];
    let first = spawn(client.ready().await.unwrap().call(get(&server.url("/"))));
    let second = spawn(others[0].ready().await.unwrap().call(get(&server.url("/"))));
    until(|| conduct.calls() == 2).await;
    assert!(!is_ready(&mut others[1]).await);
    conduct.answer(StatusCode::OK);
    for response in [first.await, second.await] {
        assert_eq!(response.unwrap().unwrap().status(), 200);
    }
    assert!(is_ready(&mut others[1]).await);

    // A rejected call leaves the other permit with its clone, which uses it for its next call.
    breaker.force_open();
    assert!(request(&mut client, get(&server.url("/"))).await.unwrap_err().is_rejected());
    assert!(!is_ready(&mut others[0]).await);
    breaker.reset();
    assert_eq!(request(&mut client, get(&server.url("/"))).await.unwrap().status(), 200);
    assert!(is_ready(&mut others[0]).await);
}

#[tokio::test]
async fn judge_of_ones_own_sees_what_the_client_yields() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let teapots = |result: &Result<Response<_>, _>| match result {
        Ok(response) if response.status() != StatusCode::IM_A_TEAPOT => Outcome::Success,
        _ => Outcome::Failure,
    };
    let mut client = ServiceBuilder::new().layer(BreakerLayer::new(breaker.clone()).judging(teapots)).service(client());
    conduct.answer(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(request(&mut client, get(&server.url("/"))).await.unwrap().status(), 500);
    assert_eq!(breaker.state(), State::Closed);
    conduct.answer(StatusCode::IM_A_TEAPOT);
    assert_eq!(request(&mut client, get(&server.url("/"))).await.unwrap().status(), 418);
    assert_eq!(breaker.state(), State::Open);
}
