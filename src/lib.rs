#![doc = include_str!("../README.md")]
#![doc = include_str!("design.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
mod breaker;
mod builder;
mod call;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/choosing-rules.md")]
pub mod choosing_rules {}
pub mod clock;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../COMPARE.md")]
pub mod compare {}
mod config;
mod engine;
mod error;
mod failures;
mod guarded;
mod guarded_by;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
mod judge;
mod machine;
#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "registry")]
mod membership;
mod metrics;
mod name;
mod observers;
#[cfg(feature = "registry")]
mod open_limit;
mod outcome;
mod owned;
mod panics;
mod permit;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/proof.md")]
pub mod proof {}
#[cfg(feature = "registry")]
mod registry;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod roster;
mod rules;
mod state;
mod sync;
mod terms;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod tower;
#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub mod trace;
mod transition;
mod waiters;
mod watch;
mod window;

pub use breaker::CircuitBreaker;
pub use builder::Builder;
pub use call::Call;
#[doc(inline)]
pub use clock::Clock;
pub use config::{Config, ConfigError};
pub use error::{Error, Rejected};
pub use guarded::Guarded;
pub use guarded_by::GuardedBy;
pub use judge::{ByResult, Ignoring, Judge};
pub use metrics::{LastError, Metrics, WindowMetrics};
pub use name::Name;
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use open_limit::SuppressedOpening;
pub use outcome::{Dropped, Outcome};
pub use owned::OwnedPermit;
pub use permit::Permit;
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use registry::{
    BreakerHandle, DefaultHashBuilder, GuardedRegistry, KeyHasher, KeyedCall, KeyedPermit, Registry, RegistryBuilder,
    RegistryMetrics,
};
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "metrics", feature = "opentelemetry"))))]
pub use roster::Roster;
pub use state::State;
pub use transition::{Cause, Transition};
pub use watch::Changed;
pub use window::Window;

#[cfg(feature = "macros")]
pub use tripcoil_macros::guarded;

#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __macros {
    pub use crate::macros::{Flat, Guardable, never};
}

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
