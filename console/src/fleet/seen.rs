use std::collections::HashMap;
use std::sync::Arc;

use super::{FleetSource, Look, LookOrder, Place};

/// A breaker in its fleet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) kind: &'static str,
    pub(crate) votes: u64,
    pub(crate) prober: Option<String>,
    pub(crate) generation: u64,
    pub(crate) fleets_hold_ms: u64,
    pub(crate) own_hold_ms: u64,
}

/// An order with its end as a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StandingOrder {
    pub(crate) is_open: bool,
    pub(crate) by: String,
    pub(crate) because: String,
    pub(crate) at_ms: u64,
    pub(crate) ends_ms: Option<u64>,
}

/// A fleet, as of the last sample.
pub(crate) struct FleetSeen {
    pub(crate) source: Arc<dyn FleetSource>,
    pub(crate) look: Look,
    /// When the store was connected or lost, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    pub(crate) standings: HashMap<Place, Standing>,
    pub(crate) orders: HashMap<Place, StandingOrder>,
}

/// An end that is computed anew from two clocks and moves by less than this has not changed.
const FLICKER: u64 = 1_000;

impl FleetSeen {
    pub(crate) fn new(source: Arc<dyn FleetSource>, now_ms: u64) -> Self {
        let look = source.look();
        let mut seen = FleetSeen { source, look, since_ms: now_ms, standings: HashMap::new(), orders: HashMap::new() };
        seen.arrange(now_ms);
        seen
    }

    pub(crate) fn take(&mut self, look: Look, now_ms: u64) {
        if look.is_connected != self.look.is_connected {
            self.since_ms = now_ms;
        }
        self.look = look;
        self.arrange(now_ms);
    }

    fn arrange(&mut self, now_ms: u64) {
        self.standings = std::mem::take(&mut self.look.breakers).into_iter().collect();
        let former = std::mem::take(&mut self.orders);
        for (place, order) in std::mem::take(&mut self.look.orders) {
            let LookOrder { is_open, by, because, at_ms, remaining } = order;
            let ends_ms = remaining.map(|left| {
                let ends = now_ms.saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
                let known = former.get(&place).and_then(|former| former.ends_ms);
                known.filter(|known| known.abs_diff(ends) < FLICKER).unwrap_or(ends)
            });
            self.orders.insert(place, StandingOrder { is_open, by, because, at_ms, ends_ms });
        }
    }

    /// What is known of a breaker, if it has joined.
    pub(crate) fn of(&self, registry: Option<&str>, name: &str) -> Option<(Option<&Standing>, Option<&StandingOrder>)> {
        if !self.source.has_joined(registry, name) {
            return None;
        }
        let place = (registry.map(str::to_owned), name.to_owned());
        Some((self.standings.get(&place), self.orders.get(&place)))
    }
}
