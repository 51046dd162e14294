use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TrySendError, sync_channel};
use std::time::Duration;

use crate::event::{By, FleetEvent, FleetOrder, OrderError};
use crate::fleet::{BreakerName, Input, Shared};
use crate::protocol::{Op, StandingOrder, shown};
use crate::status::Status;

/// Reads and operates a [`Fleet`](crate::Fleet) from elsewhere in the process, created by
/// [`Fleet::handle`](crate::Fleet::handle).
///
/// A handle is cheap to clone. It does not keep the member in the fleet: once the `Fleet` is dropped, orders fail with
/// [`OrderError::NotConnected`].
///
/// ```
/// use tripcoil_fleet::{Fleet, Memory};
///
/// let fleet = Fleet::builder("checkout").store(Memory::new()).build()?;
/// let handle = fleet.handle();
/// assert_eq!(handle.name(), "checkout");
/// assert!(handle.orders().is_empty());
/// # Ok::<(), tripcoil_fleet::BuildError>(())
/// ```
#[derive(Clone)]
pub struct FleetHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) timeout: Duration,
}

impl FleetHandle {
    /// Returns the name of the fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Returns the status of the member, as [`Fleet::status`](crate::Fleet::status) does. After the `Fleet` has been
    /// dropped, this is its last status, marked as not connected.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::clone(&self.shared.status.lock())
    }

    /// Returns the orders that the member knows, as [`Fleet::orders`](crate::Fleet::orders) does.
    #[must_use]
    pub fn orders(&self) -> Vec<FleetOrder> {
        self.shared.status.lock().orders.clone()
    }

    /// Returns whether a breaker of this name has joined the fleet in this process.
    #[must_use]
    pub fn has_joined(&self, breaker: impl Into<BreakerName>) -> bool {
        self.shared.joined.lock().contains(breaker.into().as_escaped())
    }

    /// Adds an observer for all future events, as [`Fleet::on_event`](crate::Fleet::on_event) does.
    pub fn on_event(&self, observer: impl Fn(&FleetEvent) + Send + Sync + 'static) {
        self.shared.observers.lock().push(Arc::new(observer));
    }

    /// Forces a breaker open in all members. See [`Fleet::force_open`](crate::Fleet::force_open).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Fleet::force_open`](crate::Fleet::force_open).
    pub fn force_open(&self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.force(breaker.into(), true, by)
    }

    /// Forces a breaker closed in all members. See [`Fleet::force_closed`](crate::Fleet::force_closed).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Fleet::force_open`](crate::Fleet::force_open).
    pub fn force_closed(&self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.force(breaker.into(), false, by)
    }

    /// Ends an order. See [`Fleet::release`](crate::Fleet::release).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Fleet::release`](crate::Fleet::release).
    pub fn release(&self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        let name = breaker.into().checked()?;
        let is_released = self.order(Op::Release { name: name.clone() })?;
        if is_released { Ok(()) } else { Err(OrderError::NoOrder(shown(&name))) }
    }

    /// Closes a breaker in all connected members. See [`Fleet::reset`](crate::Fleet::reset).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Fleet::force_open`](crate::Fleet::force_open).
    pub fn reset(&self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        self.order(Op::Reset { name: breaker.into().checked()? }).map(drop)
    }

    fn force(&self, breaker: BreakerName, is_open: bool, by: By) -> Result<(), OrderError> {
        let order = StandingOrder::checked(is_open, by)?;
        self.order(Op::Order { name: breaker.checked()?, order }).map(drop)
    }

    fn order(&self, op: Op) -> Result<bool, OrderError> {
        let (sender, answer) = sync_channel(1);
        match self.shared.inbox.try_send(Input::Order(op, sender)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(OrderError::NoAnswer("too much else is waiting".to_owned()));
            }
            Err(TrySendError::Disconnected(_)) => return Err(OrderError::NotConnected),
        }
        match answer.recv_timeout(2 * self.timeout + Duration::from_secs(1)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(OrderError::NoAnswer("it took too long".to_owned())),
            // The member left before it processed the order.
            Err(RecvTimeoutError::Disconnected) => Err(OrderError::NotConnected),
        }
    }
}

impl fmt::Debug for FleetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetHandle").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
