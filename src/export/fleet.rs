//! The series of fleets, whose counts come from another crate.

use std::collections::HashMap;
use std::sync::Arc;

/// The counts of one member of a fleet, for [`Exporter::add_fleet`](crate::Exporter::add_fleet).
///
/// The crate `tripcoil-fleet` fills it in. The totals count from the start of the member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetMetrics {
    /// Whether the member can reach the store and has read its state.
    pub is_connected: bool,
    /// Live members of the fleet.
    pub members: u64,
    /// Breakers for which this member votes.
    pub votes: u64,
    /// Breakers that this member probes for the fleet.
    pub probers: u64,
    /// Breakers that the fleet holds open in this member.
    pub held: u64,
    /// Operators' orders in force.
    pub orders: u64,
    /// Published changes that this member has not received yet.
    pub behind: u64,
    /// Votes that this member has sent.
    pub total_votes: u64,
    /// Times that this member was elected to probe.
    pub total_elections: u64,
    /// Times that the store could not be reached or did not answer.
    pub total_store_errors: u64,
    /// Malformed messages, which were ignored.
    pub total_malformed: u64,
    /// Items dropped because a queue was full.
    pub total_dropped: u64,
}

/// How the values of several members of one fleet in this process are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Sum,
    /// Every member reports this for the whole fleet, some later than others.
    Largest,
}

/// A series of each fleet.
pub(super) struct FleetInstrument {
    /// As OpenTelemetry has it.
    pub(super) name: &'static str,
    #[cfg_attr(not(feature = "opentelemetry"), expect(dead_code, reason = "the metrics facade has no such units"))]
    pub(super) unit: &'static str,
    pub(super) description: &'static str,
    pub(super) kind: Kind,
    value: fn(&FleetMetrics) -> u64,
}

pub(super) const FLEET_INSTRUMENTS: [FleetInstrument; 12] = [
    FleetInstrument {
        name: "circuit_breaker.fleet.connected",
        unit: "{member}",
        description: "Members of the fleet in this process that are connected to the store; 1 or 0 for a single one.",
        kind: Kind::Sum,
        value: |metrics| metrics.is_connected.into(),
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.members",
        unit: "{member}",
        description: "Live members of the fleet.",
        kind: Kind::Largest,
        value: |metrics| metrics.members,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.votes",
        unit: "{circuit_breaker}",
        description: "Circuit breakers for which this process votes.",
        kind: Kind::Sum,
        value: |metrics| metrics.votes,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.prober",
        unit: "{circuit_breaker}",
        description: "Circuit breakers that this process probes for the fleet.",
        kind: Kind::Sum,
        value: |metrics| metrics.probers,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.held",
        unit: "{circuit_breaker}",
        description: "Circuit breakers that the fleet holds open in this process.",
        kind: Kind::Sum,
        value: |metrics| metrics.held,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.orders",
        unit: "{order}",
        description: "Operators' orders in force.",
        kind: Kind::Largest,
        value: |metrics| metrics.orders,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.behind",
        unit: "{change}",
        description: "Published changes that this process has not received yet.",
        kind: Kind::Largest,
        value: |metrics| metrics.behind,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.votes_sent",
        unit: "{vote}",
        description: "Votes that this process has sent.",
        kind: Kind::Counter,
        value: |metrics| metrics.total_votes,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.elections",
        unit: "{election}",
        description: "Times that this process was elected to probe.",
        kind: Kind::Counter,
        value: |metrics| metrics.total_elections,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.store_errors",
        unit: "{error}",
        description: "Times that the store could not be reached or did not answer.",
        kind: Kind::Counter,
        value: |metrics| metrics.total_store_errors,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.malformed",
        unit: "{message}",
        description: "Malformed messages, which were ignored.",
        kind: Kind::Counter,
        value: |metrics| metrics.total_malformed,
    },
    FleetInstrument {
        name: "circuit_breaker.fleet.dropped",
        unit: "{item}",
        description: "Items dropped because a queue was full.",
        kind: Kind::Counter,
        value: |metrics| metrics.total_dropped,
    },
];

/// In the order of [`FLEET_INSTRUMENTS`].
type Values = [u64; FLEET_INSTRUMENTS.len()];

type Read = dyn Fn() -> Option<FleetMetrics> + Send + Sync;

/// A member of a fleet, and its counts when it was last read.
struct FleetSource {
    name: Arc<str>,
    read: Box<Read>,
    seen: Values,
}

/// What is exported of one fleet.
#[derive(Clone, Debug)]
pub(super) struct FleetSeries {
    pub(super) name: Arc<str>,
    values: Values,
}

impl FleetSeries {
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static FleetInstrument, u64)> {
        FLEET_INSTRUMENTS.iter().zip(self.values)
    }
}

/// All fleets. Each keeps its series permanently.
pub(super) struct FleetTable {
    sources: Vec<FleetSource>,
    series: HashMap<Arc<str>, Values>,
    max_names: usize,
}

impl FleetTable {
    const OTHER: &str = "other";

    pub(super) fn new(max_names: usize) -> Self {
        FleetTable { sources: Vec::new(), series: HashMap::new(), max_names }
    }

    pub(super) fn add(&mut self, name: &str, read: Box<Read>) {
        let is_known = self.series.contains_key(name);
        let name = if is_known || self.series.len() < self.max_names { name } else { Self::OTHER };
        let name: Arc<str> = name.into();
        self.series.entry(name.clone()).or_default();
        self.sources.push(FleetSource { name, read, seen: Values::default() });
    }

    /// Reads every member. A member that has ended keeps its counts.
    pub(super) fn read(&mut self) -> Vec<FleetSeries> {
        for values in self.series.values_mut() {
            for (value, instrument) in values.iter_mut().zip(&FLEET_INSTRUMENTS) {
                if instrument.kind != Kind::Counter {
                    *value = 0;
                }
            }
        }
        let series = &mut self.series;
        self.sources.retain_mut(|source| {
            let Some(metrics) = (source.read)() else { return false };
            let values = series.entry(source.name.clone()).or_default();
            for ((value, seen), instrument) in values.iter_mut().zip(&mut source.seen).zip(&FLEET_INSTRUMENTS) {
                let now = (instrument.value)(&metrics);
                *value = match instrument.kind {
                    Kind::Counter => *value + now.saturating_sub(*seen),
                    Kind::Sum => *value + now,
                    Kind::Largest => now.max(*value),
                };
                *seen = now.max(*seen);
            }
            true
        });
        let mut all: Vec<_> =
            series.iter().map(|(name, values)| FleetSeries { name: name.clone(), values: *values }).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Mutex;

    /// A member whose counts the test sets; `None` once it has ended.
    type Shown = Arc<Mutex<Option<FleetMetrics>>>;

    fn add(table: &mut FleetTable, name: &str) -> Shown {
        let shown = Shown::new(Mutex::new(None));
        let read = shown.clone();
        table.add(name, Box::new(move || *read.lock()));
        shown
    }

    fn values(table: &mut FleetTable, fleet: &str) -> HashMap<&'static str, u64> {
        let all = table.read();
        let of_fleet = all.iter().find(|series| &*series.name == fleet).unwrap();
        of_fleet.values().map(|(instrument, value)| (instrument.name.rsplit('.').next().unwrap(), value)).collect()
    }

    #[test]
    fn members_of_one_fleet_are_summed_and_what_they_say_of_the_fleet_is_not() {
        let mut table = FleetTable::new(2);
        let metrics = FleetMetrics {
            is_connected: true,
            members: 7,
            orders: 1,
            votes: 2,
            total_votes: 5,
            ..FleetMetrics::default()
        };
        let (one, other) = (add(&mut table, "checkout"), add(&mut table, "checkout"));
        *one.lock() = Some(metrics);
        *other.lock() = Some(FleetMetrics { members: 6, ..metrics });
        let values = values(&mut table, "checkout");
        assert_eq!((values["connected"], values["members"], values["orders"]), (2, 7, 1));
        assert_eq!((values["votes"], values["votes_sent"]), (4, 10));
    }

    #[test]
    fn a_member_that_has_ended_keeps_its_counts_and_is_connected_no_more() {
        let mut table = FleetTable::new(1);
        let metrics = FleetMetrics { is_connected: true, members: 2, total_elections: 3, ..FleetMetrics::default() };
        let first = add(&mut table, "checkout");
        *first.lock() = Some(metrics);
        assert_eq!(values(&mut table, "checkout")["elections"], 3);
        *first.lock() = None;
        let ended = values(&mut table, "checkout");
        assert_eq!((ended["connected"], ended["members"], ended["elections"]), (0, 0, 3));
        let second = add(&mut table, "checkout");
        *second.lock() = Some(metrics);
        assert_eq!(values(&mut table, "checkout")["elections"], 6);
        assert_eq!(values(&mut table, "checkout")["elections"], 6);
    }

    #[test]
    fn fleets_beyond_the_most_names_are_one() {
        let mut table = FleetTable::new(1);
        for name in ["checkout", "search", "stock", "checkout"] {
            *add(&mut table, name).lock() = Some(FleetMetrics { is_connected: true, ..Default::default() });
        }
        assert_eq!(values(&mut table, "checkout")["connected"], 2);
        assert_eq!(values(&mut table, "other")["connected"], 2);
    }
}
