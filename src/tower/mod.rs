//! A [`tower`](https://docs.rs/tower) layer, for clients and servers made of services: hyper, axum, reqwest,
//! tonic. Requires the feature `tower`.
//!
//! You create the breaker outside the layer and pass a handle to it: a `&'static`, an [`Arc`](std::sync::Arc)
//! or a reference. axum and others call `layer` more than once. All services made by one layer share its
//! breaker, and other code can use it too. Each call increments and decrements the count of an `Arc`, which is
//! a shared write; a reference has no such cost.
//!
//! ```
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll};
//! use tower_layer::Layer;
//! use tower_service::Service;
//! use tripcoil::tower::BreakerLayer;
//! use tripcoil::{CircuitBreaker, Outcome};
//!
//! /// Answers each request with a status.
//! struct Backend;
//!
//! impl Service<&str> for Backend {
//!     type Response = u16;
//!     type Error = Infallible;
//!     type Future = Ready<Result<u16, Infallible>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, _request: &str) -> Self::Future {
//!         ready(Ok(502))
//!     }
//! }
//!
//! static BACKEND: CircuitBreaker = CircuitBreaker::new("backend");
//!
//! # futures_lite::future::block_on(async {
//! let layer = BreakerLayer::new(&BACKEND)
//!     .judging(|status: &Result<u16, Infallible>| match status {
//!         Ok(..500) => Outcome::Success,
//!         _ => Outcome::Failure,
//!     })
//!     .answering(|_rejected| 503);
//! let mut backend = layer.layer(Backend);
//! for _ in 0..5 {
//!     assert_eq!(backend.call("/").await, Ok(502));
//! }
//! assert_eq!(backend.call("/").await, Ok(503)); // the breaker is open now
//! # });
//! ```
//!
//! With the feature `registry`, `RegistryLayer` uses a separate breaker for each host, tenant or method.
//!
//! # What counts
//!
//! By default an error is a failure and a response is a success. **A service whose error is `Infallible`, as in
//! axum, never fails by that rule.** Judge its responses with [`judging`](BreakerLayer::judging).
//! `tripcoil::http`, with the feature `http`, has judges for HTTP and gRPC statuses. A judge receives the head
//! of a response. By default an error while the body streams does not count; with the feature `http`,
//! `BreakerLayer::until_body_end` keeps the call open until the body ends. The time that the body takes is
//! never part of the call's duration.
//!
//! # The life of a call
//!
//! - **Admission happens in `call`**, never in `poll_ready`. Being ready takes no slot, and a service that is
//!   polled but not called holds none. An admitted call goes to the same service that was polled ready.
//! - A rejected call does not reach the inner service. It yields an [`Error::Rejected`](crate::Error), a boxed
//!   [`Rejected`](crate::Rejected) with [`boxing`](BreakerLayer::boxing), or the response of
//!   [`answering`](BreakerLayer::answering). Whatever the inner service reserved when it was polled ready, such
//!   as the permit of a concurrency limit, stays reserved for the next call of this clone, or until the clone
//!   is dropped.
//! - `poll_ready` waits for the inner service, even while the breaker is open. An error of its `poll_ready` is
//!   returned and counts as nothing, because there was no call.
//! - A response future that is dropped before it finishes is a dropped call, like a [`Call`](crate::Call): the
//!   slot is released, and [`dropped_calls`](crate::Builder::dropped_calls) decides how it counts. A server
//!   drops it when its client disconnects.
//! - The request of a half-open probe can be a different one; see [`on_probe`](BreakerLayer::on_probe).
//! - A panic of `call` or of the future is a failure, and it propagates.
//! - **Put a time-out inside**, below the breaker's layer, where its error counts. Outside, it drops the call.
//!   Put a retry outside, so that each attempt goes through the breaker.

#[cfg(feature = "http")]
mod body;
mod future;
#[cfg(feature = "registry")]
mod keyed;
mod layer;
mod probe;
mod rejection;
mod service;
mod settling;

#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use body::{AtBodyEnd, GuardedBody};
pub use future::BreakerFuture;
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use keyed::{RegistryLayer, RegistryService};
pub use layer::BreakerLayer;
pub use probe::{MapProbe, OnProbe, Unmapped};
pub use rejection::{Answering, Boxing, OnRejection, Refusing};
pub use service::BreakerService;
pub use settling::{AdmittedCall, AtHead, SettleAt};
