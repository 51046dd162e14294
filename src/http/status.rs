use std::time::Duration;

use ::http::{HeaderMap, Response, StatusCode};

use super::retry_after::retry_after;
use crate::outcome::Outcome;
use crate::outcome::judge::Judge;

/// Judges an HTTP response by its status. An error, which is no response at all, is a failure.
///
/// | status | counts as |
/// |---|---|
/// | 1xx, 2xx, 3xx | success |
/// | 4xx but 429 | ignored: the fault is the caller's |
/// | 429, 503 with a `Retry-After` | [`Outcome::Trip`]: the breaker opens at once, for that long |
/// | 429, 503 without; all other 5xx; 600 and above | failure |
///
/// A breaker that is half-open and sees only ignored responses stays so, with as many calls at a time as there are
/// slots: where a 404 is an everyday answer, judge it a success yourself. And where 429 is meant for one client alone,
/// do not let a breaker that all share see it.
///
/// `Retry-After` may be seconds or a date. A date counts from the `Date` of the same response, which every server with
/// a clock sends, and is not understood without one. A wait that is over, and one that cannot be understood, is none:
/// the response is a plain failure. Of several `Retry-After` headers the longest wait counts. A server cannot close the
/// way to itself for longer than [`max_retry_after`](Self::max_retry_after).
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
    /// The judge, with a maximum of 5 minutes for `Retry-After`.
    #[must_use]
    pub const fn new() -> Self {
        ByStatus { max_retry_after: Duration::from_secs(300) }
    }

    /// The longest time that a `Retry-After` opens the breaker for; 5 minutes by default.
    ///
    /// A longer one is cut to this; after it the breaker probes. With zero no response trips it: each is a plain
    /// failure.
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

    /// How a response with this status and these headers counts.
    #[must_use]
    pub fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status.as_u16() {
            ..400 => Outcome::Success,
            429 | 503 => self.refusal(headers),
            400..500 => Outcome::Ignored,
            500.. => Outcome::Failure,
        }
    }

    /// A judge for responses of another type, whose status and headers `head` tells.
    ///
    /// With reqwest, whose `Response` is a type of its own, that is
    /// `ByStatus::new().with_head(|response: &reqwest::Response| (response.status(), response.headers()))`.
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
    /// let payments = breaker.judging(by_status);
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

/// [`ByStatus`] for responses of any type; made by [`ByStatus::with_head`].
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
