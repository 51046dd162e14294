//! Bodies and trailers that break off, over the loopback interface: with `until_body_end` the breaker sees them.

mod common;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use common::*;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use services::{Health, Loopback, health};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tower::{Layer, ServiceBuilder};
use tripcoil::http::{ByGrpcStatus, ByStatus, unavailable};
use tripcoil::tower::{AtBodyEnd, BreakerLayer, BreakerService, Refusing};
use tripcoil::{CircuitBreaker, State};

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn http_layer(breaker: &Arc<CircuitBreaker>) -> BreakerLayer<Arc<CircuitBreaker>, ByStatus, Refusing, AtBodyEnd> {
    BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).until_body_end()
}

/// Sends these bytes to everybody who asks, and then closes the connection.
fn raw(reply: &'static str) -> Loopback {
    Loopback::start(move |listener| async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).await.unwrap();
            stream.write_all(reply.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    })
    .unwrap()
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_body_is_a_failure_for_the_client() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let (breaker, _clock) = manual(|settings| settings.error_threshold(3));
        let server = raw(reply);
        let mut client = http_layer(&breaker).layer(client());
        for _ in 0..3 {
            let request = Request::get(server.url("/")).body(Body::empty()).unwrap();
            let response = common::request(&mut client, request).await.unwrap();
            assert_eq!((response.status(), breaker.state()), (StatusCode::OK, State::Closed));
            response.into_body().collect().await.unwrap_err();
        }
        assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Open, 3));
    }
}

#[tokio::test]
async fn whole_bodies_are_successes_for_the_client_however_they_are_framed() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut client = http_layer(&breaker).layer(client());
    for (calls, reply) in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwhole",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let server = raw(reply);
        let request = Request::get(server.url("/")).body(Body::empty()).unwrap();
        let response = common::request(&mut client, request).await.unwrap();
        response.into_body().collect().await.unwrap();
        let metrics = breaker.metrics();
        assert_eq!((metrics.total_success_count, metrics.active_calls), (calls as u64 + 1, 0), "{reply}");
    }
}

/// What an axum handler streams.
#[derive(Clone, Copy)]
enum Stream {
    /// Two pieces.
    Whole,
    /// One piece, then an error.
    Breaks,
    /// One piece, then nothing for good.
    Hangs,
    /// A body whose length is known.
    Fixed,
}

fn streaming(stream: Stream) -> Body {
    let (sender, receiver) = mpsc::channel::<Result<&str, io::Error>>(2);
    if let Stream::Fixed = stream {
        return Body::from("fixed");
    }
    sender.try_send(Ok("piece")).unwrap();
    match stream {
        Stream::Whole => sender.try_send(Ok("piece")).unwrap(),
        Stream::Breaks => sender.try_send(Err(io::ErrorKind::BrokenPipe.into())).unwrap(),
        Stream::Hangs => drop(tokio::spawn(async move { sender.closed().await })),
        Stream::Fixed => {}
    }
    Body::from_stream(ReceiverStream::new(receiver))
}

fn axum_server(stream: Stream, breaker: &Arc<CircuitBreaker>) -> Loopback {
    let handler = move || async move { Ok::<_, Infallible>(Response::new(streaming(stream))) };
    let layer = http_layer(breaker).answering(unavailable);
    Loopback::axum(Router::new().route("/", get(handler)).layer(layer)).unwrap()
}

async fn ask(server: &Loopback) -> Result<Bytes, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(server.url("/")).send().await?.bytes().await
}

#[tokio::test]
async fn a_handler_whose_stream_breaks_off_fails_and_one_that_ends_does_not() {
    for (stream, length) in [(Stream::Whole, 10), (Stream::Fixed, 5)] {
        let (breaker, _clock) = manual(|settings| settings);
        let server = axum_server(stream, &breaker);
        assert_eq!(ask(&server).await.unwrap().len(), length);
        until(|| breaker.metrics().active_calls == 0).await;
        assert_eq!(breaker.metrics().total_success_count, 1);
    }
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let server = axum_server(Stream::Breaks, &breaker);
    for _ in 0..2 {
        ask(&server).await.unwrap_err();
    }
    until(|| breaker.state() == State::Open).await;
    assert_eq!(breaker.metrics().total_error_count, 2);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_a_body_drops_the_call() {
    let (breaker, _clock) = manual(|settings| settings);
    let server = axum_server(Stream::Hangs, &breaker);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut response = client.get(server.url("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "piece");
    assert_eq!(breaker.metrics().active_calls, 1);
    drop((response, client));
    until(|| breaker.metrics().active_calls == 0).await;
    assert_eq!((breaker.metrics().total_dropped_count, breaker.state()), (1, State::Closed));
}

type Protected = BreakerService<Channel, Arc<CircuitBreaker>, ByGrpcStatus, Refusing, AtBodyEnd>;

fn grpc_client(server: &Loopback, breaker: &Arc<CircuitBreaker>) -> HealthClient<Protected> {
    let layer = BreakerLayer::new(breaker.clone()).judging(ByGrpcStatus::new()).until_body_end();
    let channel = Endpoint::from_shared(server.url("")).unwrap().connect_lazy();
    HealthClient::new(ServiceBuilder::new().layer(layer).service(channel))
}

#[tokio::test]
async fn a_code_in_the_trailers_of_a_stream_counts() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    let service = Health::default();
    let clone = service.clone();
    let server = Loopback::start(move |listener| health(clone.clone(), listener)).unwrap();
    let mut client = grpc_client(&server, &breaker);

    client.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!((breaker.metrics().total_success_count, breaker.metrics().active_calls), (1, 0));
    service.answer(Code::NotFound);
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::NotFound);
    assert_eq!(breaker.metrics().total_ignored_count, 1);
    service.answer(Code::Unavailable);
    for _ in 0..2 {
        let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Open, 2));
}

#[tokio::test]
async fn a_server_of_tonic_judges_the_trailers_that_it_sends() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    let service = Health::default();
    let layer = BreakerLayer::new(breaker.clone())
        .judging(ByGrpcStatus::new())
        .answering(|rejected| tonic::Status::unavailable(rejected.to_string()).into_http::<tonic::body::Body>())
        .until_body_end();
    let server = Loopback::start({
        let service = service.clone();
        move |listener| {
            let server = Server::builder().layer(layer.clone()).add_service(HealthServer::new(service.clone()));
            async { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() }
        }
    })
    .unwrap();
    let channel = Endpoint::from_shared(server.url("")).unwrap().connect_lazy();
    let mut client = HealthClient::new(channel);
    client.check(HealthCheckRequest::default()).await.unwrap();
    until(|| breaker.metrics().total_success_count == 1).await;
    service.answer(Code::Internal);
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
    until(|| breaker.state() == State::Open).await;
    assert_eq!(client.check(HealthCheckRequest::default()).await.unwrap_err().code(), Code::Unavailable);
}
