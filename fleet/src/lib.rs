//! x
#![allow(dead_code)]
mod breakers;
pub mod protocol;
pub use protocol::Quorum;
