//! Judges for HTTP and gRPC responses, and a response for rejected calls. Requires the feature `http`.
//!
//! They use the types of the crate [`http`], which hyper, axum, reqwest and tonic share. With the feature
//! `tower`, pass a judge to `BreakerLayer::judging`, and [`unavailable()`] to `BreakerLayer::answering`.
//! Without tower, pass a judge to [`CircuitBreaker::judged_by`](crate::CircuitBreaker::judged_by):
//!
//! ```
//! use http::{Response, StatusCode};
//! use tripcoil::http::ByStatus;
//! use tripcoil::{CircuitBreaker, State};
//! # async fn fetch() -> Result<Response<String>, std::io::Error> {
//! #     let response = Response::builder().status(503).header("retry-after", "20").body(String::new());
//! #     Ok(response.unwrap())
//! # }
//!
//! # futures_lite::future::block_on(async {
//! let breaker = CircuitBreaker::new("payments");
//! let payments = breaker.judged_by(ByStatus::new());
//! let response = payments.call(fetch()).await.unwrap();
//! assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
//! assert_eq!(breaker.state(), State::Open); // for the 20 seconds that `Retry-After` asked for
//! # });
//! ```
//!
//! If the response is not a [`Response`](::http::Response), as in reqwest, tell [`ByStatus::with_head`] where
//! its status and headers are.

mod grpc;
mod retry_after;
mod status;
mod unavailable;

pub use grpc::ByGrpcStatus;
#[cfg(feature = "tower")]
pub(crate) use grpc::grpc_code;
pub use status::{ByHead, ByStatus};
pub use unavailable::unavailable;
