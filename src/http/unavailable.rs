use std::time::Duration;

use ::http::header::{HeaderValue, RETRY_AFTER};
use ::http::{Response, StatusCode};

use crate::error::Rejected;

/// Creates the HTTP response to a rejected call: status 503 and an empty body, with `Retry-After` if the
/// breaker is open.
///
/// The seconds are rounded up. If the breaker is half-open or forced open, nobody knows how long that lasts,
/// and there is no such header.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::CircuitBreaker;
/// use tripcoil::http::unavailable;
///
/// let breaker = CircuitBreaker::new("payments");
/// breaker.open_for(Duration::from_millis(19_500));
/// let rejected = breaker.try_acquire().unwrap_err();
/// let response = unavailable::<String>(&rejected);
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["retry-after"], "20");
/// ```
#[must_use]
pub fn unavailable<B: Default>(rejected: &Rejected) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    if let Some(wait) = rejected.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
    response
}

/// Rounded up, so that nobody comes back early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
