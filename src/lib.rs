#![doc = include_str!("../README.md")]
#![doc = include_str!("../docs/design.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/choosing-rules.md")]
pub mod choosing_rules {}
pub mod clock;
#[cfg(any(doc, doctest))]
#[doc = include_str!("../COMPARE.md")]
pub mod compare {}
mod cause;
mod config;
mod engine;
mod error;
#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
mod export;
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
#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/proof.md")]
pub mod proof {}
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
    Builder, Call, Changed, CircuitBreaker, Guarded, GuardedBy, OwnedGuarded, OwnedPermit, Permit, Within,
};
#[doc(inline)]
pub use clock::Clock;
pub use config::{Config, ConfigError};
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use engine::SuppressedOpening;
pub use error::{Error, Rejected};
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "metrics", feature = "opentelemetry"))))]
pub use export::Exporter;
#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub use export::tracing as trace;
pub use metrics::{LastError, Metrics, ShadowMetrics, ShadowRejections, WindowMetrics};
pub use name::Name;
pub use outcome::{ByResult, Dropped, Ignoring, Judge, Outcome, WithMessages};
#[cfg(feature = "registry")]
#[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
pub use registry::{
    BreakerHandle, DefaultHashBuilder, GuardedRegistry, KeyHasher, KeyedCall, KeyedPermit, Registry, RegistryBuilder,
    RegistryMetrics,
};
pub use state::State;
pub use transition::{Cause, Transition};
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
