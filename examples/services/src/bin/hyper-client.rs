//! hyper's client as a service, with a time-out inside the breaker. The server is killed and comes back. The
//! program ends by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use services::{Conduct, Loopback};
use tokio::time::sleep;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tripcoil::http::ByStatus;
use tripcoil::tower::BreakerLayer;
use tripcoil::{CircuitBreaker, Rejected, State};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let breaker = CircuitBreaker::builder("backend")
        .error_threshold(3)
        .reset_timeout(Duration::from_secs(1))
        .on_transition(|transition| println!("-- {transition}"))
        .build()?;
    let breaker = Arc::new(breaker);
    let mut server = Loopback::axum(Conduct::well().app())?;
    let mut client = ServiceBuilder::new()
        .layer(BreakerLayer::new(breaker.clone()).judging(ByStatus::new()).boxing())
        .timeout(Duration::from_secs(2))
        .service(Client::builder(TokioExecutor::new()).build_http::<Body>());
    let url = server.url("/");
    let mut ask = async || -> Result<(), BoxError> {
        let request = Request::get(&url).body(Body::empty()).expect("the request is valid");
        let result = client.ready().await?.call(request).await;
        match &result {
            Ok(response) => println!("{}", response.status()),
            Err(error) => println!("{error}"),
        }
        result.map(drop)
    };

    ask().await?;
    server.kill();
    while breaker.state() == State::Closed {
        assert!(!ask().await.unwrap_err().is::<Rejected>());
    }
    let rejected = *ask().await.unwrap_err().downcast::<Rejected>()?;
    server.restart();
    sleep(rejected.retry_after().unwrap_or_default()).await;
    while breaker.state() != State::Closed {
        ask().await?;
    }
    Ok(())
}
