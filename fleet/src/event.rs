use std::fmt;
use std::time::{Duration, SystemTime};

use crate::fleet::BreakerName;
use crate::protocol::StandingOrder;

/// An event of the fleet, for logs and alerts. Its `Display` output is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetEvent {
    /// The store cannot be reached. Breakers work on their own, and orders stay in force.
    StoreLost {
        /// The error of the store's client.
        reason: String,
    },
    /// The member has connected to the store, for the first time or again, and has read its state.
    StoreBack {
        /// Whether the store has lost state because it was restarted empty or from an old backup.
        has_forgotten: bool,
    },
    /// A breaker has opened in this member by its own rules, and the member votes.
    Voted {
        /// The breaker's name.
        breaker: String,
    },
    /// The fleet holds a breaker open.
    OpenedByFleet {
        /// The breaker's name.
        breaker: String,
        /// How long the breaker stays open before a member may probe.
        remaining: Duration,
        /// Re-openings since the last close.
        generation: u64,
    },
    /// The dependency has recovered, and the fleet stops holding the breaker open.
    ClosedByFleet {
        /// The breaker's name.
        breaker: String,
    },
    /// This member probes for the whole fleet.
    Elected {
        /// The breaker's name.
        breaker: String,
        /// The lease's fencing token.
        token: u64,
    },
    /// The probes of this member have reached a verdict.
    Verdict {
        /// The breaker's name.
        breaker: String,
        /// The lease's fencing token.
        token: u64,
        /// Whether the probes succeeded, so that the fleet may close.
        is_ok: bool,
    },
    /// A breaker applies an operator's order for the fleet.
    OrderTaken(FleetOrder),
    /// An order was released or has expired.
    OrderEnded {
        /// The breaker's name.
        breaker: String,
    },
    /// The fleet's order was overridden in this member, and the member applied it again.
    OrderOverridden {
        /// The breaker's name.
        breaker: String,
    },
    /// A breaker could not join.
    NotJoined {
        /// The breaker's name.
        breaker: String,
        /// The reason.
        reason: &'static str,
    },
}

impl fmt::Display for FleetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FleetEvent::StoreLost { reason } => write!(f, "the fleet's store is lost: {reason}"),
            FleetEvent::StoreBack { has_forgotten: false } => f.write_str("the fleet's store is back"),
            FleetEvent::StoreBack { has_forgotten: true } => f.write_str("the fleet's store is back and has forgotten"),
            FleetEvent::Voted { breaker } => write!(f, "`{breaker}` has opened here and votes"),
            FleetEvent::OpenedByFleet { breaker, remaining, generation } => {
                write!(f, "the fleet holds `{breaker}` open for {remaining:?} (re-opening {generation})")
            }
            FleetEvent::ClosedByFleet { breaker } => write!(f, "the fleet closes `{breaker}`"),
            FleetEvent::Elected { breaker, token } => {
                write!(f, "this member probes `{breaker}` for all (lease {token})")
            }
            FleetEvent::Verdict { breaker, token, is_ok } => {
                let found = if *is_ok { "has recovered" } else { "still fails" };
                write!(f, "`{breaker}` {found} (lease {token})")
            }
            FleetEvent::OrderTaken(order) => write!(f, "{order}"),
            FleetEvent::OrderEnded { breaker } => write!(f, "the order for `{breaker}` has ended"),
            FleetEvent::OrderOverridden { breaker } => {
                write!(f, "the order for `{breaker}` was overridden here, and is applied again")
            }
            FleetEvent::NotJoined { breaker, reason } => write!(f, "`{breaker}` has not joined: {reason}"),
        }
    }
}

/// An operator's order for all members, as [`Fleet::orders`](crate::Fleet::orders) lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetOrder {
    /// The breaker's name. For a breaker of a registry, this is `registry/key`.
    pub breaker: String,
    /// The breaker's name, with its registry and its key as separate parts.
    pub id: BreakerName,
    /// Whether the breaker is forced open. Otherwise it is forced closed.
    pub is_open: bool,
    /// The author of the order.
    pub by: String,
    /// The reason, which may be empty.
    pub because: String,
    /// When the order was given, by the store's clock.
    pub at: SystemTime,
    /// The remaining time. `None` means until the order is released.
    pub remaining: Option<Duration>,
}

impl fmt::Display for FleetOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_open { "open" } else { "closed" };
        write!(f, "`{}` is forced {state} for the fleet by {}", self.breaker, self.by)?;
        if !self.because.is_empty() {
            write!(f, ": {}", self.because)?;
        }
        match self.remaining {
            Some(remaining) => write!(f, " (for {remaining:?})"),
            None => Ok(()),
        }
    }
}

/// The author, the reason and the duration of an order.
///
/// ```
/// use std::time::Duration;
/// use tripcoil_fleet::By;
///
/// let by = By::new("ana").because("migration").for_(Duration::from_secs(600));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct By {
    pub(crate) name: String,
    pub(crate) because: String,
    pub(crate) lasts: Option<Duration>,
}

impl By {
    /// Creates an order by this author: 1 to 100 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        By { name: name.into(), because: String::new(), lasts: None }
    }

    /// Sets the reason: up to 300 bytes.
    pub fn because(self, reason: impl Into<String>) -> Self {
        By { because: reason.into(), ..self }
    }

    /// Limits the order to this duration: above zero, up to ten years. By default, an order stands until it is
    /// released.
    pub fn for_(self, lasts: Duration) -> Self {
        By { lasts: Some(lasts), ..self }
    }
}

impl StandingOrder {
    pub(crate) fn checked(is_open: bool, by: By) -> Result<Self, OrderError> {
        const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let By { name, because, lasts } = by;
        check("the author of an order", &name, 1, 100, "1 to 100 bytes")?;
        check("the reason of an order", &because, 0, 300, "up to 300 bytes")?;
        if let Some(lasts) = lasts.filter(|lasts| lasts.is_zero() || *lasts > LONGEST) {
            let (what, value, allowed) = ("the time of an order", format!("{lasts:?}"), "above zero, up to ten years");
            return Err(OrderError::OutOfRange { what, value, allowed });
        }
        Ok(StandingOrder { is_open, by: name, because, remaining: lasts })
    }
}

fn check(what: &'static str, text: &str, least: usize, most: usize, allowed: &'static str) -> Result<(), OrderError> {
    if (least..=most).contains(&text.len()) {
        return Ok(());
    }
    Err(OrderError::OutOfRange { what, value: format!("of {} bytes", text.len()), allowed })
}

/// The reason why an order failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The store cannot be reached. No member applies the order.
    #[error("the fleet's store cannot be reached")]
    NotConnected,
    /// The store did not answer in time. Members may or may not apply the order; check
    /// [`orders`](crate::Fleet::orders) later.
    #[error("the fleet's store did not answer: {0}")]
    NoAnswer(String),
    /// A text or a time is out of range.
    #[error("{what} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The name of the argument.
        what: &'static str,
        /// The value that was given.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
    /// The breaker has no order to release.
    #[error("no order stands for `{0}`")]
    NoOrder(String),
}
