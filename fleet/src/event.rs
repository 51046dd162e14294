use std::fmt;
use std::time::{Duration, SystemTime};

/// What the fleet did, for logs and alerts. It is displayed as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetEvent {
    /// The store cannot be reached. Breakers go on alone; orders stay.
    StoreLost {
        /// What the store's client said.
        reason: String,
    },
    /// The store can be reached, for the first time or again, and its state has been taken over.
    StoreBack {
        /// Whether it knew less than before: it was restarted empty, or from an old backup.
        has_forgotten: bool,
    },
    /// A breaker has opened here by its own rules, and votes.
    Voted {
        /// The breaker's name.
        breaker: String,
    },
    /// The fleet holds a breaker open.
    OpenedByFleet {
        /// The breaker's name.
        breaker: String,
        /// For how long, before a member may probe.
        remaining: Duration,
        /// Re-openings since the last close.
        generation: u64,
    },
    /// The fleet has found that the dependency is back, and lets go of a breaker.
    ClosedByFleet {
        /// The breaker's name.
        breaker: String,
    },
    /// This member probes for all.
    Elected {
        /// The breaker's name.
        breaker: String,
        /// The lease's fencing token.
        token: u64,
    },
    /// What the probes of this member have found.
    Verdict {
        /// The breaker's name.
        breaker: String,
        /// The lease's fencing token.
        token: u64,
        /// Whether the fleet may close.
        is_ok: bool,
    },
    /// A breaker obeys an operator's order for the fleet.
    OrderTaken(FleetOrder),
    /// The order was released, or its time is over.
    OrderEnded {
        /// The breaker's name.
        breaker: String,
    },
    /// Somebody had released the fleet's order here, and it was applied again.
    OrderOverridden {
        /// The breaker's name.
        breaker: String,
    },
    /// A breaker could not join.
    NotJoined {
        /// The breaker's name.
        breaker: String,
        /// Why not.
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
    /// The breaker's name; that of a registry's is `registry/key`.
    pub breaker: String,
    /// Whether it is forced open; otherwise it is forced closed.
    pub is_open: bool,
    /// Who gave the order.
    pub by: String,
    /// Why; may be empty.
    pub because: String,
    /// When, by the store's clock.
    pub at: SystemTime,
    /// For how long it still holds; `None` is until it is released.
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

/// Who gives an order to the fleet, why, and for how long.
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
    /// The author: 1 to 100 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        By { name: name.into(), because: String::new(), lasts: None }
    }

    /// The reason: up to 300 bytes.
    pub fn because(self, reason: impl Into<String>) -> Self {
        By { because: reason.into(), ..self }
    }

    /// For how long: above zero, up to ten years. Without it the order stands until it is released.
    pub fn for_(self, lasts: Duration) -> Self {
        By { lasts: Some(lasts), ..self }
    }
}

/// Why an order was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The store cannot be reached. No member obeys the order.
    #[error("the fleet's store cannot be reached")]
    NotConnected,
    /// The store did not answer. Members may obey the order or not; [`orders`](crate::Fleet::orders) tells later.
    #[error("the fleet's store did not answer: {0}")]
    NoAnswer(String),
    /// A text or a time is out of its range.
    #[error("{what} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// What it is about.
        what: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        allowed: &'static str,
    },
    /// There is nothing to release.
    #[error("no order stands for `{0}`")]
    NoOrder(String),
}
