//! A circuit breaker for async tasks and threads alike.
//!
//! A circuit breaker stops calls to a dependency that fails. After a while it lets a few probes through, and it resumes
//! traffic when they succeed.
//!
//! ```
//! use std::net::TcpStream;
//! use tripcoil::{CircuitBreaker, Error};
//!
//! static MAIL: CircuitBreaker = CircuitBreaker::new("mail");
//!
//! match MAIL.call_sync(|| TcpStream::connect("127.0.0.1:1")) {
//!     Ok(_stream) => println!("connected"),
//!     Err(Error::Inner(error)) => println!("failed: {error}"),
//!     Err(Error::Rejected(rejected)) => println!("not called: {rejected}"),
//! }
//! ```
//!
//! With async, on any runtime:
//!
//! ```
//! use std::{io, time::Duration};
//! use tokio::time::sleep;
//! use tripcoil::CircuitBreaker;
//!
//! static QUOTES: CircuitBreaker = CircuitBreaker::new("quotes");
//!
//! async fn fetch() -> io::Result<f64> {
//!     Ok(42.1) // for example, a request over the network
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let limit = sleep(Duration::from_secs(2));
//! let quote = QUOTES.call_within(limit, || io::ErrorKind::TimedOut.into(), fetch()).await?;
//! # Ok::<(), tripcoil::Error<io::Error>>(())
//! # }).unwrap();
//! ```
//!
//! `call_within` has the time-out built in, because **a time-out has to reach the breaker as an error**: see
//! [time-outs](guide::timeouts).
//!
//! # Where to start
//!
//! - [`CircuitBreaker`] makes protected calls; [`Builder`] lists the settings with their defaults.
//! - [`Error`] and [`Rejected`] say why a call has no value, and when to come back.
//! - [`Permit`] is for code that is neither one closure nor one future.
//! - [`Config`] holds settings from files and the environment.
//! - [`Metrics`] and [`Transition`] show what a breaker counts and does.
//! - [`clock::ManualClock`] moves the time in tests.
//!
//! # The guide
//!
//! - [Settings](guide::settings): the states and every setting.
//! - [Choosing rules](guide::choosing_rules): which rule suits which traffic, with measured figures.
//! - [Replay](guide::replay): trying settings on recorded calls, and the presets.
//! - [Fleet](guide::fleet): breakers that share their state across processes, over Redis or Valkey.
//! - [Time-outs](guide::timeouts), dropped calls and calls that hang.
//! - [Errors](guide::errors), and which results count.
//! - [Recipes](guide::recipes): fallbacks, retries, reqwest, tower, streams, one breaker for each host.
//! - [Testing](guide::testing) your code.
//! - [Observability](guide::observability): observers, metrics, tracing.
//! - [Recovery by steps](guide::recovery) after an outage.
//! - [Operating](guide::operating): an outage from the first alert to the release.
//! - [Reconfiguration](guide::reconfiguration), shadows and manual control.
//! - [Proof](guide::proof): what is checked, by what, and what is not proven.
//! - [Design](guide::design): the atomic word, memory ordering, costs, limits.
//! - [Compare](guide::compare): other breakers, speed, migration.
//!
//! # Features
//!
//! All features are off by default and purely additive.
//!
//! | feature | what it adds |
//! |---|---|
//! | `coarse-clock` | `clock::CoarseClock`, which ticks every few milliseconds and is cheaper to read |
//! | `http` | judges for HTTP and gRPC statuses and `Retry-After`, a response for rejected calls |
//! | `macros` | the attribute `guarded` |
//! | `metrics` | `Exporter`, publishing through the `metrics` facade |
//! | `opentelemetry` | `Exporter`, as observable instruments of an OpenTelemetry meter |
//! | `registry` | `Registry`, one breaker for each key, bounded in number |
//! | `serde` | reads and writes [`Config`] in self-describing formats |
//! | `tokio` | `clock::TokioClock`, for tests that pause tokio's time |
//! | `tower` | a layer for clients and servers made of services |
//! | `tracing` | `trace::observer`, one event for each change of state |
//!
//! # Guarantees
//!
//! - The library never blocks, spawns, sleeps or starts a timer, except in functions that say so: `acquire_blocking`,
//!   `Changed::wait` and `Changed::wait_timeout`.
//! - It never runs your code under a lock or inside a compare-and-swap loop.
//! - It forbids `unsafe` code.
//! - It needs Rust 1.85.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
mod cause;
pub mod clock;
mod config;
mod engine;
mod error;
#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
mod export;
#[cfg(any(doc, doctest))]
pub mod guide;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod machine;
#[cfg(feature = "macros")]
mod macros;
mod metrics;
mod name;
mod outcome;
mod panics;
mod recovery;
#[cfg(feature = "registry")]
mod registry;
mod settings;
mod state;
mod sync;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod tower;
mod transition;
mod waiters;
mod window;

pub use breaker::{
    Admitted, Builder, Call, Changed, CircuitBreaker, Guarded, GuardedBy, OwnedGuarded, OwnedPermit, Permit, Within,
};
#[doc(inline)]
pub use clock::Clock;
pub use config::{Config, ConfigError, Preset};
pub use engine::Observing;
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use engine::SuppressedOpening;
pub use error::{Error, Rejected};
#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub use export::tracing as trace;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "metrics", feature = "opentelemetry"))))]
pub use export::{Exporter, FleetMetrics};
pub use metrics::{LastError, Metrics, RecoveryStep, ShadowMetrics, ShadowRejections, WindowMetrics};
pub use name::Name;
pub use outcome::{ByResult, Dropped, Ignoring, Judge, Outcome, WithMessages};
pub use recovery::{Recovery, RecoverySteps};
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use registry::{
    BreakerHandle, DefaultHashBuilder, GuardedRegistry, KeyHasher, KeyedCall, KeyedPermit, ObservingRegistry, Registry,
    RegistryBuilder, RegistryChange, RegistryMetrics,
};
pub use settings::Window;
pub use state::State;
pub use transition::{Cause, Order, Revision, Transition};

#[cfg(feature = "macros")]
pub use tripcoil_macros::guarded;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __macros {
    pub use crate::macros::{Flat, Guardable, call_admitted_with, call_sync_admitted_with, never};
}

/// The samples of the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// How the models of `loom-tests` look at the atomics.
#[cfg(loom)]
#[doc(hidden)]
pub mod loom_mode {
    pub use crate::sync::{Mode, model_rings, model_tallies, set_mode};
}

/// How the models of `proof/shuttle` look at the atomics.
#[cfg(shuttle)]
#[doc(hidden)]
pub mod shuttle_mode {
    pub use crate::sync::{model_rings, model_tallies};
}
