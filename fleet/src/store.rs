//! What a fleet needs of an engine.

use std::fmt;

use crate::protocol::{Op, Reply};

/// An engine that the members of a fleet share.
///
/// [`Redis`](crate::Redis) and [`Memory`](crate::Memory) are such; write one for an engine that you have anyway, and
/// [`testing::check_store`](crate::testing::check_store) tells whether it is right. What each operation does is said by
/// [`Model`](crate::protocol::Model), in Rust: an engine with transactions may keep a model as a value, and apply a batch
/// to it within one.
///
/// Its functions are called on threads of the fleet's own, never on one that makes a call.
pub trait Store: Send + Sync + 'static {
    /// Makes a connection. It must not block for much longer than the command timeout.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the engine cannot be reached. The fleet tries again later.
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError>;

    /// Hears what is published for a fleet, until the listener has had enough.
    ///
    /// Calls [`subscribed`](Listener::subscribed) once everything that is published from then on will be heard, then
    /// [`message`](Listener::message) for each message, and asks [`goes_on`](Listener::goes_on) several times a second.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the engine cannot be reached, or not any more. The fleet tries again later.
    fn listen(&self, fleet: &str, listener: &mut dyn Listener) -> Result<(), StoreError>;
}

/// A connection to an engine.
pub trait Connection: Send {
    /// Carries out a batch at once, by the engine's clock, and publishes what has changed.
    ///
    /// `fleet` is the fleet's name and `caller` the member's incarnation. `fleet` is not escaped.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there was no answer within the command timeout, or it was none that the protocol knows. The
    /// batch may have been carried out or not; the fleet drops the connection.
    fn run(&mut self, fleet: &str, caller: &str, ops: &[Op]) -> Result<Reply, StoreError>;
}

/// Who hears what is published.
pub trait Listener {
    /// From now on everything is heard.
    fn subscribed(&mut self);
    /// A message, as [`Message::encode`](crate::protocol::Message::encode) writes it.
    fn message(&mut self, bytes: &[u8]);
    /// Whether to go on.
    fn goes_on(&self) -> bool;
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(String);

impl StoreError {
    /// An error of this text, which is shown to people and must hold no secret.
    ///
    /// ```
    /// let error = tripcoil_fleet::StoreError::new("no connection");
    /// assert_eq!(error.to_string(), "no connection");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        StoreError(text.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
