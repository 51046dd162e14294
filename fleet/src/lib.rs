#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breakers;
mod builder;
mod config;
#[cfg(feature = "redis")]
mod diagnosis;
mod event;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod export;
mod fleet;
mod handle;
mod memory;
mod operator;
pub mod protocol;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "serde")]
mod serde;
mod status;
mod store;
pub mod testing;
mod worker;

pub use builder::{BuildError, FleetBuilder};
pub use config::FleetConfig;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use diagnosis::Diagnosis;
pub use event::{By, FleetEvent, FleetOrder, OrderError};
pub use fleet::{BreakerName, Fleet, Joining};
pub use handle::FleetHandle;
pub use memory::Memory;
pub use operator::{Operator, Overview};
pub use protocol::Quorum;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::Redis;
#[cfg(feature = "redis")]
#[doc(hidden)]
pub use redis::SCRIPT;
pub use status::{BreakerStatus, Counts, Standing, Status};
pub use store::{Connection, Listener, Store, StoreError};
