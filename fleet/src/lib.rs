//! x
#![allow(dead_code)]
mod memory {}
pub mod protocol;
pub use protocol::Quorum;
