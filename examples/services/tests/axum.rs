//! A real axum server behind a breaker, asked over the loopback interface.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use common::*;
use reqwest::Client;
use services::{Conduct, Loopback, Reply};
use tokio::task::JoinSet;
use tower::layer::layer_fn;
use tower::{Layer, ServiceBuilder};
use tripcoil::http::{ByStatus, unavailable};
use tripcoil::tower::BreakerLayer;
use tripcoil::{CircuitBreaker, Dropped, Error, Rejected, State};

const RETRY_AFTER: &str = "retry-after";

fn protected(conduct: &Conduct, breaker: &Arc<CircuitBreaker>) -> Loopback {
    let layer = BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).answering(unavailable);
    Loopback::axum(conduct.app().layer(layer)).unwrap()
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// The status and the `Retry-After` of the answer.
async fn ask(client: &Client, url: &str) -> (u16, Option<String>) {
    let response = client.get(url).send().await.unwrap();
    let wait = response.headers().get(RETRY_AFTER).map(|wait| wait.to_str().unwrap().to_owned());
    (response.status().as_u16(), wait)
}

#[tokio::test]
async fn failing_handler_opens_the_breaker_which_answers_503_with_retry_after_and_recovers() {
    let (breaker, clock) = manual(|settings| settings);
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    let url = server.url("/");

    assert_eq!(ask(&client, &url).await, (200, None));
    conduct.answer(StatusCode::INTERNAL_SERVER_ERROR);
    for _ in 0..5 {
        assert_eq!(ask(&client, &url).await, (500, None));
    }
    assert_eq!(ask(&client, &url).await, (503, Some("30".to_owned())));
    clock.advance(Duration::from_millis(29_500));
    assert_eq!(ask(&client, &url).await, (503, Some("1".to_owned())));
    assert_eq!(conduct.calls(), 6, "no rejected request reaches the handler");

    conduct.answer(StatusCode::OK);
    clock.advance(Duration::from_millis(500));
    for _ in 0..2 {
        assert_eq!(ask(&client, &url).await, (200, None));
    }
    assert_eq!(breaker.state(), State::Closed);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count, metrics.total_rejected_count), (3, 5, 2));
}

#[tokio::test]
async fn routes_that_are_each_layered_by_themselves_share_the_breaker() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(4));
    let layers = Arc::new(AtomicUsize::new(0));
    let layer = {
        let inner = BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).answering(unavailable);
        let layers = layers.clone();
        layer_fn(move |service| {
            layers.fetch_add(1, Ordering::SeqCst);
            inner.layer(service)
        })
    };
    let conduct = Conduct::well();
    let (server, client) = (Loopback::axum(conduct.app().layer(layer)).unwrap(), client());
    assert!(layers.load(Ordering::SeqCst) > 1, "axum calls `layer` for each route");

    conduct.answer(StatusCode::BAD_GATEWAY);
    for _ in 0..2 {
        assert_eq!(ask(&client, &server.url("/")).await.0, 502);
        assert_eq!(ask(&client, &server.url("/other")).await.0, 502);
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(ask(&client, &server.url("/")).await.0, 503);
    assert_eq!(ask(&client, &server.url("/other")).await.0, 503);
}

#[tokio::test]
async fn no_more_probes_reach_the_handler_than_there_are_slots() {
    let (breaker, _clock) = manual(|settings| settings.half_open_capacity(2));
    breaker.transition_to(State::HalfOpen);
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    conduct.set(Reply::Hang);
    let mut requests = JoinSet::new();
    for _ in 0..6 {
        let (client, url) = (client.clone(), server.url("/"));
        requests.spawn(async move { ask(&client, &url).await });
    }
    // Nobody knows for how long, so there is no `Retry-After`.
    for _ in 0..4 {
        assert_eq!(requests.join_next().await.unwrap().unwrap(), (503, None));
    }
    until(|| conduct.calls() == 2).await;
    assert_eq!(breaker.metrics().active_calls, 2);
    conduct.answer(StatusCode::OK);
    assert_eq!(requests.join_all().await, [(200, None), (200, None)]);
    assert_eq!((conduct.calls(), breaker.state()), (2, State::Closed));
}

#[tokio::test]
async fn client_that_goes_away_gives_its_slot_back_and_blames_nobody() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    conduct.set(Reply::Hang);
    let probe = tokio::spawn({
        let (client, url) = (client.clone(), server.url("/"));
        async move { ask(&client, &url).await }
    });
    until(|| conduct.calls() == 1).await;
    assert_eq!(ask(&client, &server.url("/")).await.0, 503);
    probe.abort();
    until(|| breaker.metrics().active_calls == 0).await;

    conduct.answer(StatusCode::OK);
    assert_eq!(ask(&client, &server.url("/")).await.0, 200);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_dropped_count, metrics.total_error_count, metrics.state), (1, 0, State::HalfOpen));
}

#[tokio::test]
async fn client_that_goes_away_counts_as_a_failure_where_drops_do() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1).dropped_calls(Dropped::Failure));
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    conduct.set(Reply::Hang);
    let request = tokio::spawn({
        let url = server.url("/");
        async move { ask(&client, &url).await }
    });
    until(|| conduct.calls() == 1).await;
    request.abort();
    until(|| breaker.state() == State::Open).await;
}

#[tokio::test]
async fn handler_that_panics_is_a_failure() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    conduct.set(Reply::Panic);
    assert!(client.get(server.url("/")).send().await.is_err());
    until(|| breaker.state() == State::Open).await;
    assert_eq!(breaker.metrics().last_error.unwrap().type_name, "panic");
    assert_eq!(ask(&client, &server.url("/")).await.0, 503);
}

#[tokio::test]
async fn handler_that_passes_retry_after_on_opens_the_breaker_for_that_long() {
    let (breaker, _clock) = manual(|settings| settings);
    let conduct = Conduct::well();
    let (server, client) = (protected(&conduct, &breaker), client());
    answer_with(&conduct, StatusCode::SERVICE_UNAVAILABLE, &[(RETRY_AFTER, "7")]);
    assert_eq!(ask(&client, &server.url("/")).await, (503, Some("7".to_owned())));
    assert!(is_open_for(&breaker, 7 * SECOND));
    assert_eq!(ask(&client, &server.url("/")).await, (503, Some("7".to_owned())));
    assert_eq!(conduct.calls(), 1);
}

#[tokio::test]
async fn answer_to_a_rejected_call_can_be_anything_that_axum_answers() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    let answer = |rejected: &Rejected| (StatusCode::OK, rejected.to_string()).into_response();
    let layer = BreakerLayer::new(breaker).judging(ByStatus::new()).answering(answer);
    let server = Loopback::axum(Conduct::well().app().layer(layer)).unwrap();
    let response = client().get(server.url("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "circuit breaker `test` is forced open");
}

/// Without `answering`, an error of the layer's has to be handled as axum has it.
#[tokio::test]
async fn refusal_can_be_handled_by_axums_own_means() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    let refuse = BreakerLayer::new(breaker).judging(ByStatus::new());
    let stack = ServiceBuilder::new()
        .layer(axum::error_handling::HandleErrorLayer::new(|error: Error<std::convert::Infallible>| async move {
            (StatusCode::IM_A_TEAPOT, error.to_string())
        }))
        .layer(refuse);
    let app = Router::new().route("/", get(|| async { "here" })).layer(stack);
    let server = Loopback::axum(app).unwrap();
    assert_eq!(ask(&client(), &server.url("/")).await.0, 418);
}
