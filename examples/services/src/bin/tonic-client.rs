//! A gRPC client behind a breaker. A rejected call becomes an ordinary `UNAVAILABLE`. The program ends by
//! itself.

use std::error::Error;
use std::time::Duration;

use services::{Health, Loopback, health};
use tokio::time::sleep;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;
use tripcoil::http::ByGrpcStatus;
use tripcoil::tower::BreakerLayer;
use tripcoil::{CircuitBreaker, State};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let breaker = CircuitBreaker::builder("backend")
        .error_threshold(3)
        .reset_timeout(Duration::from_secs(1))
        .on_transition(|transition| println!("-- {transition}"))
        .build()?;
    let service = Health::default();
    let server = Loopback::start({
        let service = service.clone();
        move |listener| health(service.clone(), listener)
    })?;

    let layer = BreakerLayer::new(&breaker)
        .judging(ByGrpcStatus::new())
        .answering(|rejected| Status::unavailable(rejected.to_string()).into_http::<Body>());
    let channel = Endpoint::from_shared(server.url(""))?.timeout(Duration::from_secs(2)).connect_lazy();
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
    let mut check = async || {
        let result = client.check(HealthCheckRequest::default()).await;
        match &result {
            Ok(response) => println!("{:?}", response.get_ref().status()),
            Err(status) => println!("{}: {}", status.code(), status.message()),
        }
        result.map(drop)
    };

    check().await?;
    service.answer(Code::Internal);
    while breaker.state() == State::Closed {
        assert_eq!(check().await.unwrap_err().code(), Code::Internal);
    }
    assert_eq!(check().await.unwrap_err().code(), Code::Unavailable);
    service.answer(Code::Ok);
    sleep(breaker.metrics().retry_after.expect("the breaker is open")).await;
    while breaker.state() != State::Closed {
        check().await?;
    }
    Ok(())
}
