//! A [`tower`](https://docs.rs/tower) layer, for clients and servers made of services: hyper, axum, reqwest, tonic.
//! Behind the feature `tower`.
//!
//! The breaker is made outside of the layer, which takes a handle to it: a `&'static`, an [`Arc`](std::sync::Arc), a
//! reference. axum and others call `layer` more than once; all services made by one layer share its breaker, and
//! anybody else may use it too. An `Arc` is counted up and down by each call, which is a shared write; a reference is
//! not.
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
//! assert_eq!(backend.call("/").await, Ok(503)); // by the breaker, which is open now
//! # });
//! ```
//!
//! With the feature `registry`, `RegistryLayer` gives each host, tenant or method a breaker of its own.
//!
//! # What counts
//!
//! By default an error is a failure and a response is a success. **A service whose error is `Infallible`, as in axum,
//! never fails by that rule**: tell its responses apart with [`judging`](BreakerLayer::judging). `tripcoil::http`,
//! behind the feature `http`, has judges for the status of HTTP and of gRPC. A judge sees the head of a response. By
//! default an error while its body streams is not seen; with the feature `http`, `BreakerLayer::until_body_end` keeps
//! the call until the body ends. The time that the body takes is never part of the call's duration.
//!
//! # What becomes of a call
//!
//! - **Admission is in `call`**, never in `poll_ready`: to be ready takes no slot, and a service that is polled and
//!   then not called holds none. A call that is admitted goes to the very service that was polled ready.
//! - A rejected call does not reach the service within. It is an [`Error::Rejected`](crate::Error), a boxed
//!   [`Rejected`](crate::Rejected) with [`boxing`](BreakerLayer::boxing), or the response that
//!   [`answering`](BreakerLayer::answering) makes. What the service within had reserved when it was polled ready,
//!   such as the permit of a concurrency limit, stays reserved for the next call of this clone, or until it is
//!   dropped.
//! - A service within that is not ready is waited for, also while the breaker is open. An error of its `poll_ready` is
//!   handed on and counts as nothing, for there was no call.
//! - A response future that is dropped unfinished is a dropped call, as a [`Call`](crate::Call) would be: the slot
//!   comes back, and [`dropped_calls`](crate::Builder::dropped_calls) says how it counts. A server drops it when its
//!   client goes away.
//! - A `call` or a future that panics is a failure, and the panic goes on.
//! - **Put a time-out inside**, below the breaker's layer, where its error counts; outside, it drops the call. Put a
//!   retry outside, so that each attempt goes through the breaker.

#[cfg(feature = "http")]
mod body;
mod future;
#[cfg(feature = "registry")]
mod keyed;
mod layer;
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
pub use rejection::{Answering, Boxing, OnRejection, Refusing};
pub use service::BreakerService;
pub use settling::{AdmittedCall, AtHead, SettleAt};
