//! What several of the test files need.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use services::{Conduct, Reply};
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, State};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// For what must come, but may take its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A breaker on a clock that moves when it is told to.
pub(crate) fn manual(settings: impl FnOnce(Builder) -> Builder) -> (Arc<CircuitBreaker>, ManualClock) {
    let clock = ManualClock::new();
    let builder = settings(CircuitBreaker::builder("test").clock(clock.clone()));
    (Arc::new(builder.build().expect("the settings are valid")), clock)
}

pub(crate) fn is_open_for(breaker: &CircuitBreaker, wait: Duration) -> bool {
    breaker.state() == State::Open && breaker.metrics().retry_after == Some(wait)
}

/// Waits until `is_so`, which another thread brings about.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it becomes so");
}

/// One request by the book.
pub(crate) async fn request<Q, S: Service<Q>>(service: &mut S, request: Q) -> Result<S::Response, S::Error> {
    service.ready().await?.call(request).await
}

/// Whether it becomes ready at once.
pub(crate) async fn is_ready<Q, S: Service<Q>>(service: &mut S) -> bool {
    poll_fn(|cx| std::task::Poll::Ready(service.poll_ready(cx).is_ready())).await
}

pub(crate) fn answer_with(conduct: &Conduct, status: StatusCode, headers: &[(&'static str, &str)]) {
    conduct.set(Reply::Answer(status, headers.iter().map(|&(name, value)| (name, value.to_owned())).collect()));
}
