use std::io;
use std::time::Duration;

use failsafe::{CircuitBreaker, Config, Error, backoff, failure_policy, futures};

pub fn breaker() -> impl CircuitBreaker + futures::CircuitBreaker {
    let backoff = backoff::exponential(Duration::from_secs(10), Duration::from_secs(60));
    let policy = failure_policy::consecutive_failures(3, backoff);
    Config::new().failure_policy(policy).build()
}

pub fn settings(breaker: &impl CircuitBreaker, path: &str) -> io::Result<Option<String>> {
    match breaker.call(|| std::fs::read_to_string(path)) {
        Ok(text) => Ok(Some(text)),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::Rejected) => Ok(None),
    }
}

pub async fn quote(
    breaker: &impl futures::CircuitBreaker,
    fetch: impl Future<Output = io::Result<f64>>,
) -> io::Result<Option<f64>> {
    match breaker.call(fetch).await {
        Ok(quote) => Ok(Some(quote)),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::Rejected) => Ok(None),
    }
}
