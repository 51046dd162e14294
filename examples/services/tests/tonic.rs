//! A real gRPC service: a client behind a breaker, and a server behind one.

mod common;

use std::error::Error as _;
use std::sync::Arc;

use common::*;
use services::{Health, Loopback, health};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tower::ServiceBuilder;
use tripcoil::http::ByGrpcStatus;
use tripcoil::tower::{BreakerLayer, BreakerService};
use tripcoil::{CircuitBreaker, Error, Outcome, State};

type Protected = BreakerService<Channel, Arc<CircuitBreaker>, ByGrpcStatus>;

fn serve(service: &Health) -> Loopback {
    let service = service.clone();
    Loopback::start(move |listener| health(service.clone(), listener)).unwrap()
}

fn channel(server: &Loopback) -> Channel {
    Endpoint::from_shared(server.url("")).unwrap().connect_lazy()
}

fn client(server: &Loopback, breaker: &Arc<CircuitBreaker>) -> HealthClient<Protected> {
    let layer = BreakerLayer::new(breaker.clone()).judging(ByGrpcStatus::new());
    HealthClient::new(ServiceBuilder::new().layer(layer).service(channel(server)))
}

fn question() -> HealthCheckRequest {
    HealthCheckRequest::default()
}

fn is_rejection(status: &Status) -> bool {
    let source = status.source().and_then(|source| source.downcast_ref::<Error<tonic::transport::Error>>());
    source.is_some_and(Error::is_rejected)
}

#[tokio::test]
async fn codes_of_the_server_open_the_breaker_and_those_of_the_callers_do_not() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(3));
    let service = Health::default();
    let server = serve(&service);
    let mut client = client(&server, &breaker);
    client.check(question()).await.unwrap();
    service.answer(Code::NotFound);
    for _ in 0..5 {
        assert_eq!(client.check(question()).await.unwrap_err().code(), Code::NotFound);
    }
    for code in [Code::Unavailable, Code::Internal, Code::DeadlineExceeded] {
        service.answer(code);
        assert_eq!(client.check(question()).await.unwrap_err().code(), code);
    }
    assert!(is_rejection(&client.check(question()).await.unwrap_err()));
    assert_eq!(service.calls(), 9);
    assert_eq!(breaker.metrics().total_ignored_count, 5);

    service.answer(Code::Ok);
    clock.advance(30 * SECOND);
    for _ in 0..2 {
        client.check(question()).await.unwrap();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn server_that_is_killed_opens_the_breaker_and_is_found_again() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(2).success_threshold(1));
    let service = Health::default();
    let mut server = serve(&service);
    let mut client = client(&server, &breaker);
    client.check(question()).await.unwrap();
    server.kill();
    for _ in 0..2 {
        let status = client.check(question()).await.unwrap_err();
        assert!(!is_rejection(&status), "{status}");
    }
    assert!(is_rejection(&client.check(question()).await.unwrap_err()));
    server.restart();
    clock.advance(30 * SECOND);
    client.check(question()).await.unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn rejection_can_be_answered_as_a_status() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.open_for(20 * SECOND);
    let server = serve(&Health::default());
    let layer = BreakerLayer::new(breaker)
        .judging(ByGrpcStatus::new())
        .answering(|rejected| Status::unavailable(rejected.to_string()).into_http::<Body>());
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel(&server)));
    let status = client.check(question()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "circuit breaker `test` is open; retry in 20s"));
}

#[tokio::test]
async fn server_can_stand_behind_a_breaker_of_its_own() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let service = Health::default();
    let layer = BreakerLayer::new(breaker.clone())
        .judging(ByGrpcStatus::new())
        .answering(|rejected| Status::unavailable(rejected.to_string()).into_http::<Body>());
    let server = Loopback::start({
        let service = service.clone();
        move |listener| {
            let server = Server::builder().layer(layer.clone()).add_service(HealthServer::new(service.clone()));
            async { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() }
        }
    })
    .unwrap();
    let mut client = HealthClient::new(channel(&server));
    client.check(question()).await.unwrap();
    service.answer(Code::ResourceExhausted);
    for _ in 0..2 {
        assert_eq!(client.check(question()).await.unwrap_err().code(), Code::ResourceExhausted);
    }
    let status = client.check(question()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "circuit breaker `test` is open; retry in 30s"));
    assert_eq!(service.calls(), 3);
}

#[tokio::test]
async fn code_in_the_trailers_of_a_stream_is_seen_by_a_judge_of_statuses_alone() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let service = Health::default();
    service.answer(Code::Unavailable);
    let server = serve(&service);
    let mut stream = client(&server, &breaker).watch(question()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!((breaker.state(), breaker.metrics().total_success_count), (State::Closed, 1));

    let mut client = HealthClient::new(channel(&server));
    let watch = async { client.watch(question()).await?.into_inner().message().await };
    let judge = |result: &Result<_, Status>| match result {
        Ok(_) => Outcome::Success,
        Err(status) => ByGrpcStatus::new().outcome(status.code() as i32),
    };
    assert!(breaker.call_with(watch, judge).await.is_err());
    assert_eq!(breaker.state(), State::Open);
}
