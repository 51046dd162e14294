use std::sync::Arc;

use super::series::SeriesTable;
use crate::registry::RegistryEvents;

/// What is exported of the registries with one name.
#[derive(Clone, Debug)]
pub(super) struct RegistrySeries {
    pub(super) name: Arc<str>,
    pub(super) breakers: u64,
    pub(super) events: RegistryEvents,
}

impl From<Arc<str>> for RegistrySeries {
    fn from(name: Arc<str>) -> Self {
        RegistrySeries { name, breakers: 0, events: RegistryEvents::default() }
    }
}

impl RegistrySeries {
    /// `seen` are the counts of the same registry when it was last entered.
    pub(super) fn enter(&mut self, breakers: u64, now: RegistryEvents, seen: RegistryEvents) {
        self.breakers += breakers;
        let sum = &mut self.events;
        sum.evicted_closed += now.evicted_closed - seen.evicted_closed;
        sum.evicted_open += now.evicted_open - seen.evicted_open;
        sum.unlisted += now.unlisted - seen.unlisted;
        sum.suppressed_openings += now.suppressed_openings - seen.suppressed_openings;
    }

    /// The evictions by the state of the evicted breaker.
    pub(super) fn evictions(&self) -> [(&'static str, u64); 2] {
        [("closed", self.events.evicted_closed), ("open", self.events.evicted_open)]
    }
}

impl SeriesTable<RegistrySeries> {
    pub(super) fn clear_gauges(&mut self) {
        for series in self.all_mut() {
            series.breakers = 0;
        }
    }
}
