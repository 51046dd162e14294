//! The interface between a fleet and its store.

use std::fmt;

use crate::protocol::{Op, Reply};

/// A store that the members of a fleet share.
///
/// [`Redis`](crate::Redis) and [`Memory`](crate::Memory) implement this trait. Implement it to use another engine, and
/// verify your implementation with [`testing::check_store`](crate::testing::check_store).
///
/// [`Model`](crate::protocol::Model) defines the effect of each operation. If your engine has transactions, you can
/// store a model as a value and apply each batch to it in a transaction.
///
/// The fleet calls these methods on its own threads, never on a thread that makes a call.
pub trait Store: Send + Sync + 'static {
    /// Opens a connection. This method must not block for much longer than the command timeout.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the engine cannot be reached. The fleet retries later.
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError>;

    /// Receives the messages of a fleet until the listener stops.
    ///
    /// Call [`subscribed`](Listener::subscribed) once the subscription will receive every later message. Then call
    /// [`message`](Listener::message) for each message, and check [`goes_on`](Listener::goes_on) several times a
    /// second.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the engine cannot be reached or the connection is lost. The fleet retries later.
    fn listen(&self, fleet: &str, listener: &mut dyn Listener) -> Result<(), StoreError>;
}

/// A connection to a store.
pub trait Connection: Send {
    /// Executes a batch atomically, by the engine's clock, and publishes the changes.
    ///
    /// `fleet` is the fleet's name, which is not escaped. `caller` is the member's incarnation.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the engine does not answer within the command timeout, or if its answer is not
    /// part of the protocol. The batch may or may not have been executed. The fleet drops the connection.
    fn run(&mut self, fleet: &str, caller: &str, ops: &[Op]) -> Result<Reply, StoreError>;
}

/// Receives the messages of a subscription.
pub trait Listener {
    /// The subscription is active and receives every later message.
    fn subscribed(&mut self);
    /// A message has arrived, encoded by [`Message::encode`](crate::protocol::Message::encode).
    fn message(&mut self, bytes: &[u8]);
    /// Returns whether to continue.
    fn goes_on(&self) -> bool;
}

/// An error of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(String);

impl StoreError {
    /// Creates an error with this text. The text is displayed to users and must not contain secrets.
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
