//! The status of a member, as the library's exporter reads it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tripcoil::{Exporter, FleetMetrics};

use crate::fleet::Fleet;
use crate::status::{Standing, Status};

/// Requires the feature `metrics` or `opentelemetry`.
impl Fleet {
    /// Adds this member to an exporter, which then publishes the member's [`status`](Self::status) beside the series of
    /// breakers.
    ///
    /// The label `fleet` has the name of the fleet. [`Exporter`] lists the series. Call this once for each exporter. The
    /// exporter does not keep the member alive; when the member is dropped, its counters stay and its gauges become 0.
    ///
    /// ```
    /// use tripcoil::Exporter;
    /// use tripcoil_fleet::{Fleet, Memory};
    ///
    /// let exporter = Exporter::new();
    /// let fleet = Fleet::builder("checkout").store(Memory::new()).build()?;
    /// fleet.export(&exporter);
    /// // From now on, `publish` includes circuit_breaker_fleet_connected{fleet="checkout"}, and so on.
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    #[cfg_attr(docsrs, doc(cfg(any(feature = "metrics", feature = "opentelemetry"))))]
    pub fn export(&self, exporter: &Exporter) {
        let shared = Arc::downgrade(&self.handle.shared);
        exporter.add_fleet(&self.handle.shared.name, move || {
            let shared = shared.upgrade().filter(|shared| !shared.has_ended.load(Ordering::Acquire))?;
            let status = shared.status.lock().clone();
            Some(metrics(&status))
        });
    }
}

fn metrics(status: &Status) -> FleetMetrics {
    let standing = |wanted| status.breakers.iter().filter(|breaker| breaker.standing == wanted).count() as u64;
    let mut metrics = FleetMetrics::default();
    metrics.is_connected = status.is_connected;
    metrics.members = status.members;
    metrics.votes = status.breakers.iter().filter(|breaker| breaker.is_voting).count() as u64;
    metrics.probers = standing(Standing::Probing);
    metrics.held = standing(Standing::Held);
    metrics.orders = status.orders.len() as u64;
    metrics.behind = status.behind;
    metrics.total_votes = status.counts.votes;
    metrics.total_elections = status.counts.elections;
    metrics.total_store_errors = status.counts.store_errors;
    metrics.total_malformed = status.counts.malformed;
    metrics.total_dropped = status.counts.dropped;
    metrics
}
