#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod audit;
mod clock;
mod console;
mod core;
mod fleet;
mod holds;
mod http;
mod journal;
mod json;
mod record;
#[cfg(feature = "axum")]
mod router;
mod sampler;
#[cfg(feature = "serve")]
mod serve;
mod service;
mod settings;
mod source;

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../../docs/console.md")]
mod guide {}

pub use access::{Access, Action};
pub use audit::{Audit, AuditOutcome, Scope};
pub use console::{Closer, Console};
pub use http::Body;
pub use journal::Journal;
#[cfg(feature = "serve")]
#[cfg_attr(docsrs, doc(cfg(feature = "serve")))]
pub use serve::Serving;
pub use service::{ConsoleFuture, ConsoleService};
pub use source::Shared;
