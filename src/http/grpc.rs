use ::http::header::HeaderName;
use ::http::{HeaderMap, Response, StatusCode};

use super::ByStatus;
use crate::outcome::Outcome;
use crate::outcome::judge::Judge;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The code of a failure that has no other.
const UNKNOWN: i32 = 2;

/// Judges a gRPC response by its code. An error instead of a response is a failure.
///
/// | code | counts as |
/// |---|---|
/// | 0 `OK` | success |
/// | 2 `UNKNOWN`, 4 `DEADLINE_EXCEEDED`, 8 `RESOURCE_EXHAUSTED`, 13 `INTERNAL`, 14 `UNAVAILABLE`, 15 `DATA_LOSS` | failure |
/// | 1 `CANCELLED`, 3 `INVALID_ARGUMENT`, 5 `NOT_FOUND`, 6 `ALREADY_EXISTS`, 7 `PERMISSION_DENIED`, 9 `FAILED_PRECONDITION`, 10 `ABORTED`, 11 `OUT_OF_RANGE`, 12 `UNIMPLEMENTED`, 16 `UNAUTHENTICATED` | ignored: the caller's fault, or nobody's |
/// | anything else | failure, as `UNKNOWN` |
///
/// A code is written in decimal digits, without a sign and without leading zeros: `00` and `+0` are unknown codes.
///
/// The code is in the headers of the response if the call failed before it sent a message. Most errors of unary
/// calls are such "trailers-only" responses. **A code after a message, in the trailers, is not visible here**,
/// so such a response is a success. To judge those too, use `BreakerLayer::until_body_end`, or pass the code of
/// a generated client's result to [`outcome`](Self::outcome). A response without a code and with an HTTP status
/// other than 200 comes from a proxy and is judged by [`ByStatus`].
///
/// ```
/// use tripcoil::Outcome;
/// use tripcoil::http::ByGrpcStatus;
///
/// let judge = ByGrpcStatus::new();
/// assert_eq!(judge.outcome(14), Outcome::Failure); // with tonic: `status.code() as i32`
/// assert_eq!(judge.outcome(5), Outcome::Ignored);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ByGrpcStatus {
    proxy: ByStatus,
}

impl ByGrpcStatus {
    /// Creates the judge, with [`ByStatus::new`] for the responses of proxies.
    #[must_use]
    pub const fn new() -> Self {
        ByGrpcStatus { proxy: ByStatus::new() }
    }

    /// Sets the judge for the responses of proxies.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::http::{ByGrpcStatus, ByStatus};
    ///
    /// let by_status = ByStatus::new().max_retry_after(Duration::from_secs(30));
    /// let judge = ByGrpcStatus::new().proxies(by_status);
    /// ```
    #[must_use]
    pub const fn proxies(self, judge: ByStatus) -> Self {
        ByGrpcStatus { proxy: judge }
    }

    /// Returns how a call with this code counts.
    #[must_use]
    pub const fn outcome(&self, code: i32) -> Outcome {
        match code {
            0 => Outcome::Success,
            1 | 3 | 5..=7 | 9..=12 | 16 => Outcome::Ignored,
            _ => Outcome::Failure,
        }
    }

    fn response(self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match grpc_code(headers) {
            Some(code) => self.outcome(code),
            None if status == StatusCode::OK => Outcome::Success,
            None => self.proxy.outcome(status, headers),
        }
    }
}

/// The code in headers or trailers; `UNKNOWN` if the specification does not have it.
pub(crate) fn grpc_code(headers: &HeaderMap) -> Option<i32> {
    let code = headers.get(GRPC_STATUS)?;
    Some(number(code.as_bytes()).unwrap_or(UNKNOWN))
}

/// The code that is written so, if the specification has it.
fn number(code: &[u8]) -> Option<i32> {
    match *code {
        [digit @ b'0'..=b'9'] => Some((digit - b'0').into()),
        [b'1', digit @ b'0'..=b'6'] => Some((10 + digit - b'0').into()),
        _ => None,
    }
}

impl<B, E> Judge<Result<Response<B>, E>> for ByGrpcStatus {
    fn judge(self, result: &Result<Response<B>, E>) -> Outcome {
        (&self).judge(result)
    }
}

impl<B, E> Judge<Result<Response<B>, E>> for &ByGrpcStatus {
    fn judge(self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            Ok(response) => self.response(response.status(), response.headers()),
            Err(_) => Outcome::Failure,
        }
    }
}
