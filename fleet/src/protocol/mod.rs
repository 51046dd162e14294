//! The protocol of a fleet, as pure values.
//!
//! Use this module to implement a [`Store`](crate::Store) or to inspect the messages. A member sends an [`Op`] and
//! receives a [`Reply`] and [`Message`]s. [`Model`] defines what a store has to do. Nothing in this module does I/O
//! or reads a clock.
//!
//! Names in this module are escaped by [`escape`]. The name of a registry's breaker is the name of the registry, a
//! slash and the key.

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
pub(crate) use text::{is_name, registry_name, shown, unescape};

/// The version of the protocol, which is part of every key.
pub const VERSION: u32 = 1;

/// Returns the prefix of every key of a fleet. The braces are the hash tag, which puts a fleet into one slot of a
/// cluster.
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
