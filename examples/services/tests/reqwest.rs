//! reqwest behind a breaker, with its futures and as a service.

mod common;

use std::time::Duration;

use axum::http::StatusCode;
use common::*;
use reqwest::{Client, Request, Response};
use services::{Conduct, Loopback, Reply};
use tower::ServiceBuilder;
use tripcoil::http::ByStatus;
use tripcoil::tower::BreakerLayer;
use tripcoil::{Outcome, State};

fn client() -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

fn judge(result: &reqwest::Result<Response>) -> Outcome {
    match result {
        Ok(response) => ByStatus::new().outcome(response.status(), response.headers()),
        Err(_) => Outcome::Failure,
    }
}

#[tokio::test]
async fn future_is_judged_by_status_and_server_that_is_killed_is_found_again() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(2).success_threshold(1));
    let conduct = Conduct::well();
    let mut server = Loopback::axum(conduct.app()).unwrap();
    let (client, url) = (client(), server.url("/"));
    let backend = breaker.judging(judge);

    assert_eq!(backend.call(client.get(&url).send()).await.unwrap().status(), 200);
    conduct.answer(StatusCode::BAD_GATEWAY);
    assert_eq!(backend.call(client.get(&url).send()).await.unwrap().status(), 502);
    server.kill();
    assert!(backend.call(client.get(&url).send()).await.unwrap_err().into_inner().unwrap().is_request());
    assert!(backend.call(client.get(&url).send()).await.unwrap_err().is_rejected());

    server.restart();
    conduct.answer(StatusCode::OK);
    clock.advance(30 * SECOND);
    assert_eq!(backend.call(client.get(&url).send()).await.unwrap().status(), 200);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn server_that_asks_to_be_left_alone_is_left_alone() {
    let (breaker, _clock) = manual(|settings| settings);
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    answer_with(&conduct, StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "12")]);
    let response = breaker.call_with(client().get(server.url("/")).send(), judge).await.unwrap();
    assert_eq!(response.status(), 429);
    assert!(is_open_for(&breaker, 12 * SECOND));
}

#[tokio::test]
async fn client_is_a_service_too() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let get = || Request::new(reqwest::Method::GET, server.url("/").parse().unwrap());
    let mut client = ServiceBuilder::new().layer(BreakerLayer::new(breaker.clone()).judging(judge)).service(client());
    assert_eq!(request(&mut client, get()).await.unwrap().status(), 200);
    conduct.answer(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(request(&mut client, get()).await.unwrap().status(), 503);
    assert!(request(&mut client, get()).await.unwrap_err().is_rejected());
    assert_eq!(conduct.calls(), 2);
}

#[tokio::test]
async fn error_for_status_makes_errors_that_can_be_told_apart() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app()).unwrap();
    let client = client();
    let backend =
        breaker.ignoring(|error: &reqwest::Error| error.status().is_some_and(|status| status.is_client_error()));
    let fetch = |path| {
        let request = client.get(server.url(path));
        async { request.send().await?.error_for_status()?.text().await }
    };
    assert_eq!(backend.call(fetch("/")).await.unwrap(), "200 OK");
    assert!(backend.call(fetch("/no/such/path")).await.is_err());
    assert_eq!(breaker.metrics().total_ignored_count, 1);
    conduct.answer(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(backend.call(fetch("/")).await.is_err());
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn time_out_of_the_client_is_a_failure() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let conduct = Conduct::well();
    conduct.set(Reply::Hang);
    let server = Loopback::axum(conduct.app()).unwrap();
    let hasty = client().get(server.url("/")).timeout(Duration::from_millis(20));
    assert!(breaker.call(hasty.send()).await.unwrap_err().into_inner().unwrap().is_timeout());
    assert_eq!(breaker.state(), State::Open);
}
