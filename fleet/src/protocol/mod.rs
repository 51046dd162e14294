//! The protocol of a fleet: values in, values out.
//!
//! For those who write a [`Store`](crate::Store), or want to know what is sent. [`Op`] is what a member asks, [`Reply`]
//! and [`Message`] are what it is told, and [`Model`] is what a store has to do. Nothing here does I/O or reads a clock.
//!
//! A name in here is escaped as [`escape`] does it; that of a registry's breaker is the registry's, a slash and the key's.

mod member;
mod message;
mod model;
mod node;
mod op;
mod random;
mod text;

pub use message::{Answer, LONGEST_MESSAGE, Malformed, Message, Phase, Reply, StandingOrder, View};
pub use model::Model;
pub use op::{Backoff, Op, PAGE, Quorum};
pub use text::{LONGEST_NAME, LONGEST_TEXT, escape};

pub(crate) use member::{Action, Local, Mode, Notice, Sight, Terms};
pub(crate) use node::{Breakers, Node, Pace, Told};
#[doc(hidden)]
pub use random::Random;
pub(crate) use text::{is_name, registry_name, shown};

/// The version of the protocol, which is in every key.
pub const VERSION: u32 = 1;

/// The beginning of every key of a fleet. Its braces are the hash tag: one fleet is one slot of a cluster.
///
/// ```
/// assert_eq!(tripcoil_fleet::protocol::prefix("checkout"), "tripcoil:1:{checkout}:");
/// ```
#[must_use]
pub fn prefix(fleet: &str) -> String {
    format!("tripcoil:{VERSION}:{{{}}}:", escape(fleet))
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
