use std::time::Duration;

use ::http::{HeaderMap, Response, StatusCode};

use super::retry_after::retry_after;
use crate::outcome::Outcome;
use crate::outcome::judge::Judge;

/// Judges an HTTP response by its status. An error instead of a response is a failure.
///
/// | status | counts as |
/// |---|---|
/// | 1xx, 2xx, 3xx | success |
/// | 4xx except 429 | ignored: the caller's fault |
/// | 429, 503 with a `Retry-After` | [`Outcome::Trip`]: the breaker opens at once, for that long |
/// | 429, 503 without; all other 5xx; 600 and above | failure |
///
/// If a half-open breaker receives only ignored responses, it stays half-open and admits only as many calls at
/// a time as it has slots. If 404 is a normal response of your server, judge it as a success yourself. If a 429
/// concerns a single client, do not pass it to a breaker that all clients share.
///
/// `Retry-After` may be a number of seconds or a date. A date is relative to the `Date` of the same response,
/// which every server with a clock sends; without it the date is ignored. If the wait is over or cannot be
/// parsed, the response is a plain failure. If there are several `Retry-After` headers, the longest wait
/// applies. A server cannot keep the breaker open for longer than [`max_retry_after`](Self::max_retry_after).
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue, StatusCode};
/// use tripcoil::Outcome;
/// use tripcoil::http::ByStatus;
///
/// let judge = ByStatus::new();
/// let mut headers = HeaderMap::new();
/// assert_eq!(judge.outcome(StatusCode::TOO_MANY_REQUESTS, &headers), Outcome::Failure);
///
/// headers.insert("retry-after", HeaderValue::from_static("20"));
/// let trip = Outcome::Trip { open_for: Duration::from_secs(20) };
/// assert_eq!(judge.outcome(StatusCode::TOO_MANY_REQUESTS, &headers), trip);
/// assert_eq!(judge.outcome(StatusCode::NOT_FOUND, &headers), Outcome::Ignored);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ByStatus {
    max_retry_after: Duration,
}

impl ByStatus {
    /// Creates the judge, with a maximum of 5 minutes for `Retry-After`.
    #[must_use]
    pub const fn new() -> Self {
        ByStatus { max_retry_after: Duration::from_secs(300) }
    }

    /// Sets the longest time for which a `Retry-After` opens the breaker. Default: 5 minutes.
    ///
    /// A longer wait is shortened to this maximum; then the breaker probes. With zero no response trips the
    /// breaker, and each is a plain failure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::http::ByStatus;
    ///
    /// const JUDGE: ByStatus = ByStatus::new().max_retry_after(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub const fn max_retry_after(self, max: Duration) -> Self {
        ByStatus { max_retry_after: max }
    }

    /// Returns how a response with this status and these headers counts.
    #[must_use]
    pub fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status.as_u16() {
            ..400 => Outcome::Success,
            429 | 503 => self.refusal(headers),
            400..500 => Outcome::Ignored,
            500.. => Outcome::Failure,
        }
    }

    /// Creates a judge for responses of another type, whose status and headers `head` returns.
    ///
    /// For reqwest, which has its own `Response`: `ByStatus::new().with_head(|response: &reqwest::Response|
    /// (response.status(), response.headers()))`.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use tripcoil::CircuitBreaker;
    /// use tripcoil::http::ByStatus;
    ///
    /// struct Response { status: StatusCode, headers: HeaderMap, body: String }
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let by_status = ByStatus::new().with_head(|response: &Response| (response.status, &response.headers));
    /// let payments = breaker.judged_by(by_status);
    /// let busy = || Ok::<_, std::io::Error>(Response {
    ///     status: StatusCode::BAD_GATEWAY,
    ///     headers: HeaderMap::new(),
    ///     body: String::new(),
    /// });
    /// assert!(payments.call_sync(busy).is_ok());
    /// assert_eq!(breaker.metrics().total_error_count, 1);
    /// ```
    #[must_use]
    pub const fn with_head<R, H>(self, head: H) -> ByHead<H>
    where
        H: Fn(&R) -> (StatusCode, &HeaderMap),
    {
        ByHead { judge: self, head }
    }

    fn refusal(&self, headers: &HeaderMap) -> Outcome {
        let wait = retry_after(headers).map(|wait| wait.min(self.max_retry_after));
        match wait.filter(|wait| !wait.is_zero()) {
            Some(open_for) => Outcome::Trip { open_for },
            None => Outcome::Failure,
        }
    }
}

impl Default for ByStatus {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, E> Judge<Result<Response<B>, E>> for ByStatus {
    fn judge(self, result: &Result<Response<B>, E>) -> Outcome {
        (&self).judge(result)
    }
}

impl<B, E> Judge<Result<Response<B>, E>> for &ByStatus {
    fn judge(self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => self.outcome(response.status(), response.headers()),
            Err(_) => Outcome::Failure,
        }
    }
}

/// [`ByStatus`] for responses of any type. Created by [`ByStatus::with_head`].
#[derive(Clone, Copy, Debug)]
pub struct ByHead<H> {
    judge: ByStatus,
    head: H,
}

impl<R, E, H: Fn(&R) -> (StatusCode, &HeaderMap)> Judge<Result<R, E>> for ByHead<H> {
    fn judge(self, result: &Result<R, E>) -> Outcome {
        (&self).judge(result)
    }
}

impl<R, E, H: Fn(&R) -> (StatusCode, &HeaderMap)> Judge<Result<R, E>> for &ByHead<H> {
    fn judge(self, result: &Result<R, E>) -> Outcome {
        match result {
            Ok(response) => {
                let (status, headers) = (self.head)(response);
                self.judge.outcome(status, headers)
            }
            Err(_) => Outcome::Failure,
        }
    }
}
