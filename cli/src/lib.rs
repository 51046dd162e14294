#![doc = include_str!("../README.md")]
//!
//! # This library
//!
//! What the command is made of, for the tests and the examples of `tripcoil`. It may change with every version.

mod call;
mod command;
mod failure;
mod generate;
pub mod incidents;
mod operate;
mod replay;

pub use call::{Call, Trouble};
pub use command::run;
