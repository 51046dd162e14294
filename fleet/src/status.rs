use std::time::Duration;

use crate::event::FleetOrder;

/// Where a member stands, as [`Fleet::status`](crate::Fleet::status) shows it.
///
/// With the feature `metrics` it is published through the `metrics` facade at each beat and whenever something happens,
/// with the fleet's name as the label `fleet`:
///
/// | series | what |
/// |---|---|
/// | `circuit_breaker_fleet_connected` | 1 while the store can be reached, otherwise 0 |
/// | `circuit_breaker_fleet_members` | live members |
/// | `circuit_breaker_fleet_behind` | published changes that this member has not heard of |
/// | `circuit_breaker_fleet_held` | breakers that the fleet holds open here |
/// | `circuit_breaker_fleet_prober` | breakers that this member probes for the fleet |
/// | `circuit_breaker_fleet_orders` | operators' orders that stand |
/// | `circuit_breaker_fleet_votes_total` | counter: votes of this member |
/// | `circuit_breaker_fleet_elections_total` | counter: times that it was elected to probe |
/// | `circuit_breaker_fleet_store_errors_total` | counter: times that the store could not be reached |
/// | `circuit_breaker_fleet_malformed_total` | counter: messages that were ignored |
/// | `circuit_breaker_fleet_dropped_total` | counter: what a full queue dropped |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether the store can be reached, and its state is known.
    pub is_connected: bool,
    /// The member's incarnation: its instance and what makes it unique.
    pub member: String,
    /// Live members, by the store's last answer.
    pub members: u64,
    /// Published changes that this member has not heard of yet.
    pub behind: u64,
    /// Breakers that have joined.
    pub joined: usize,
    /// Those among them that do not live by their own rules alone.
    pub breakers: Vec<BreakerStatus>,
    /// What went on so far.
    pub counts: Counts,
    pub(crate) orders: Vec<FleetOrder>,
}

/// One breaker, as [`Status`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// The breaker's name; that of a registry's is `registry/key`.
    pub name: String,
    /// By whose rules it lives.
    pub standing: Standing,
    /// Votes when the store last told of the breaker. Those of the dead are among them for a while, and open nothing.
    pub votes: u64,
    /// Re-openings of the fleet since its last close.
    pub generation: u64,
    /// How long the fleet's first opening is, by the settings of the deciding voter; zero while it is closed.
    pub fleets_hold: Duration,
    /// How long it would be by this member's settings.
    pub own_hold: Duration,
    /// The order that it obeys.
    pub order: Option<FleetOrder>,
}

/// By whose rules a breaker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Its own.
    Local,
    /// The fleet holds it open.
    Held,
    /// This member probes for the fleet.
    Probing,
    /// An operator's order for the fleet.
    Ordered,
    /// An operator has forced it here, which beats the fleet.
    ForcedHere,
}

/// What went on between a member and its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Batches that were sent.
    pub batches: u64,
    /// Operations in them.
    pub operations: u64,
    /// Messages that were heard.
    pub messages: u64,
    /// Bytes of those messages.
    pub message_bytes: u64,
    /// Times that the store could not be reached or did not answer.
    pub store_errors: u64,
    /// Messages that were ignored, since they were malformed.
    pub malformed: u64,
    /// Transitions, messages, and breakers of registries that came or went, which were dropped since a queue was full.
    /// The next snapshot makes up for messages; a breaker whose coming was dropped goes on alone.
    pub dropped: u64,
    /// Votes that were sent.
    pub votes: u64,
    /// Times that this member was elected to probe.
    pub elections: u64,
}
