use std::time::Duration;

use crate::event::FleetOrder;
use crate::fleet::BreakerName;
use crate::protocol::Quorum;

/// The status of a member, as [`Fleet::status`](crate::Fleet::status) returns it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Whether the store is connected and the member has read its state.
    pub is_connected: bool,
    /// The member's incarnation: its instance name and a unique suffix.
    pub member: String,
    /// Why the store could not be reached the last time. `None` while the member is connected, and until the first attempt
    /// fails.
    pub store_error: Option<String>,
    /// How many votes open the fleet, by the settings of this member.
    pub quorum: Quorum,
    /// The number of live members, according to the store's last answer.
    pub members: u64,
    /// The number of published changes that this member has not received yet.
    pub behind: u64,
    /// The number of breakers that have joined.
    pub joined: usize,
    /// The breakers that the fleet or an operator controls.
    pub breakers: Vec<BreakerStatus>,
    /// Counts since the member started.
    pub counts: Counts,
    pub(crate) orders: Vec<FleetOrder>,
}

/// The status of one breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// The breaker's name. For a breaker of a registry, this is `registry/key`.
    pub name: String,
    /// The breaker's name, with its registry and its key as separate parts.
    pub id: BreakerName,
    /// What controls the breaker.
    pub standing: Standing,
    /// The number of votes in the store's last update. It includes votes of dead members for a while; they do not
    /// count towards the quorum.
    pub votes: u64,
    /// Whether this member votes: its breaker has opened by its own rules.
    pub is_voting: bool,
    /// The instance name of the member that probes for the fleet, if one does.
    pub prober: Option<String>,
    /// The number of re-openings since the last close of the fleet.
    pub generation: u64,
    /// The duration of the fleet's first opening, by the settings of the deciding voter. Zero while the fleet is
    /// closed.
    pub fleets_hold: Duration,
    /// The duration of the first opening by this member's settings.
    pub own_hold: Duration,
    /// The order that is applied to the breaker.
    pub order: Option<FleetOrder>,
}

/// What controls a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Its own rules.
    Local,
    /// The fleet holds it open.
    Held,
    /// This member probes for the fleet.
    Probing,
    /// An operator's order for the fleet controls it.
    Ordered,
    /// An operator has forced it in this process, which takes precedence over the fleet.
    ForcedHere,
}

impl Standing {
    /// Returns the name in `snake_case`, such as `forced_here`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Local => "local",
            Standing::Held => "held",
            Standing::Probing => "probing",
            Standing::Ordered => "ordered",
            Standing::ForcedHere => "forced_here",
        }
    }
}

/// Counts of the traffic between a member and its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Batches sent.
    pub batches: u64,
    /// Operations in these batches.
    pub operations: u64,
    /// Messages received.
    pub messages: u64,
    /// Bytes of these messages.
    pub message_bytes: u64,
    /// Times that the store could not be reached or did not answer.
    pub store_errors: u64,
    /// Malformed messages, which were ignored.
    pub malformed: u64,
    /// Items dropped because a queue was full: transitions, messages, and created or evicted breakers of registries.
    ///
    /// The next snapshot makes up for dropped messages. A breaker whose creation was dropped works on its own.
    pub dropped: u64,
    /// Votes sent.
    pub votes: u64,
    /// Times that this member was elected to probe.
    pub elections: u64,
}
