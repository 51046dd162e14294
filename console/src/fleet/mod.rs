//! Fleets, as the console knows them.

#[cfg(feature = "fleet")]
mod handle;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use crate::access::Action;
#[cfg(feature = "fleet")]
pub(crate) use handle::Member;
pub(crate) use seen::{FleetSeen, Standing, StandingOrder};

/// A member of a fleet.
pub(crate) trait FleetSource: Send + Sync {
    fn name(&self) -> &str;
    fn look(&self) -> Look;
    fn has_joined(&self, registry: Option<&str>, name: &str) -> bool;
    /// Blocks until the store answers, for some seconds if it does not.
    fn perform(&self, act: &FleetAct<'_>) -> Result<(), FleetError>;
    /// What has happened to breakers since the last call.
    fn take_events(&self) -> Vec<FleetNews>;
}

/// The registry of a breaker and its name.
pub(crate) type Place = (Option<String>, String);

/// What a member shows of itself and its fleet.
pub(crate) struct Look {
    pub(crate) is_connected: bool,
    pub(crate) store_error: Option<String>,
    pub(crate) member: String,
    pub(crate) members: u64,
    pub(crate) behind: u64,
    pub(crate) joined: usize,
    /// As a sentence for the page.
    pub(crate) quorum: String,
    /// How many votes open the fleet if every live member uses the breaker.
    pub(crate) votes_needed: u64,
    pub(crate) breakers: Vec<(Place, Standing)>,
    pub(crate) orders: Vec<(Place, LookOrder)>,
}

/// An operator's order for a fleet.
#[derive(Clone)]
pub(crate) struct LookOrder {
    pub(crate) is_open: bool,
    pub(crate) by: String,
    pub(crate) because: String,
    pub(crate) at_ms: u64,
    pub(crate) remaining: Option<Duration>,
}

/// What happened to a breaker in its fleet.
pub(crate) struct FleetNews {
    pub(crate) at_ms: u64,
    /// The breaker's name; for one of a registry, with the registry's name and a slash before it.
    pub(crate) breaker: String,
    pub(crate) note: Arc<FleetNote>,
}

impl FleetNews {
    /// The name of the breaker, if it is in this registry.
    pub(crate) fn name_in(&self, registry: Option<&str>) -> Option<&str> {
        match registry {
            None => Some(&self.breaker),
            Some(registry) => self.breaker.strip_prefix(registry)?.strip_prefix('/'),
        }
    }
}

#[derive(Debug)]
pub(crate) struct FleetNote {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// What an operator asks of a fleet.
#[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "without the feature there is no fleet"))]
pub(crate) struct FleetAct<'a> {
    pub(crate) action: Action,
    pub(crate) registry: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) lasts: Option<Duration>,
}

/// Why a fleet refused an act.
#[cfg_attr(not(feature = "fleet"), expect(dead_code, reason = "without the feature there is no fleet"))]
pub(crate) enum FleetError {
    /// A text or a time is out of range.
    Invalid(String),
    /// There is no order to release.
    NoOrder(String),
    /// The store cannot be reached, or does not answer.
    Unreachable(String),
}
