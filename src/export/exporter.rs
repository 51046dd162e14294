//! The exported breakers and their series.

use std::fmt;
#[cfg(feature = "registry")]
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::fleet::{FleetMetrics, FleetSeries, FleetTable};
#[cfg(feature = "registry")]
use super::registry_series::RegistrySeries;
use super::series::{Series, SeriesTable};
use super::source::Source;

use crate::breaker::CircuitBreaker;
use crate::metrics::Metrics;
#[cfg(feature = "registry")]
use crate::registry::Registry;
use crate::sync::Mutex;
use crate::transition::Transition;

/// Exports the counts of breakers to the `metrics` facade or to OpenTelemetry. Requires the feature `metrics`
/// or `opentelemetry`.
///
/// Add each breaker once. The exporter reads their counts when it is asked, so calls pay nothing. A clone is
/// another handle to the same exporter.
///
/// | `metrics` | OpenTelemetry | labels | what it is |
/// |---|---|---|---|
/// | `circuit_breaker_calls_total` | `circuit_breaker.calls` | `name`, `outcome` | counter: calls by outcome, one of `success`, `error`, `ignored`, `dropped`, `rejected` |
/// | `circuit_breaker_slow_calls_total` | `circuit_breaker.slow_calls` | `name` | counter: slow calls, each also a success or an error |
/// | `circuit_breaker_transitions_total` | `circuit_breaker.transitions` | `name`, `from`, `to` | counter: changes of state that an [`observer`](Self::observer) received |
/// | `circuit_breaker_state` | `circuit_breaker.state` | `name`, `state` | 1 for the current state and 0 for the others; if several breakers have the same name, how many are in each state |
/// | `circuit_breaker_active_calls` | `circuit_breaker.active_calls` | `name` | calls in flight |
/// | `circuit_breaker_hanging_calls` | `circuit_breaker.hanging_calls` | `name` | [hanging calls](crate::WindowMetrics::hanging_calls) |
/// | `circuit_breaker_shadow_rejections_total` | `circuit_breaker.shadow.rejections` | `name`, `outcome` | counter: calls that a [shadow](CircuitBreaker::shadow) would have rejected, by how they ended |
/// | `circuit_breaker_shadow_transitions_total` | `circuit_breaker.shadow.transitions` | `name`, `cause` | counter: changes of state that a shadow would have made |
/// | `circuit_breaker_shadow_state` | `circuit_breaker.shadow.state` | `name`, `state` | 1 for the state of a shadow and 0 for the others |
/// | `circuit_breaker_registry_breakers` | `circuit_breaker.registry.breakers` | `registry` | listed breakers |
/// | `circuit_breaker_registry_evictions_total` | `circuit_breaker.registry.evictions` | `registry`, `state` | counter: evicted breakers, by the state that they were in: `closed`, or `open` for half-open ones too |
/// | `circuit_breaker_registry_unlisted_total` | `circuit_breaker.registry.unlisted` | `registry` | counter: breakers that were not listed because no other could be evicted |
/// | `circuit_breaker_registry_suppressed_openings_total` | `circuit_breaker.registry.suppressed_openings` | `registry` | counter: openings that `max_open_share` prevented |
///
/// The series of shadows exist only for names that have had a shadow, those of hanging calls for names that
/// have had rate rules, and those of registries with the feature `registry`.
///
/// A fleet of the crate `tripcoil-fleet` that was [added](Self::add_fleet) has these, with the label `fleet`:
///
/// | `metrics` | OpenTelemetry | what it is |
/// |---|---|---|
/// | `circuit_breaker_fleet_connected` | `circuit_breaker.fleet.connected` | 1 while the store can be reached, otherwise 0; if several members of the fleet are in this process, how many can reach it |
/// | `circuit_breaker_fleet_members` | `circuit_breaker.fleet.members` | live members of the fleet |
/// | `circuit_breaker_fleet_votes` | `circuit_breaker.fleet.votes` | breakers for which this process votes |
/// | `circuit_breaker_fleet_prober` | `circuit_breaker.fleet.prober` | breakers that this process probes for the fleet |
/// | `circuit_breaker_fleet_held` | `circuit_breaker.fleet.held` | breakers that the fleet holds open in this process |
/// | `circuit_breaker_fleet_orders` | `circuit_breaker.fleet.orders` | operators' orders in force |
/// | `circuit_breaker_fleet_behind` | `circuit_breaker.fleet.behind` | published changes that this process has not received yet |
/// | `circuit_breaker_fleet_votes_sent_total` | `circuit_breaker.fleet.votes_sent` | counter: votes of this process |
/// | `circuit_breaker_fleet_elections_total` | `circuit_breaker.fleet.elections` | counter: times that this process was elected to probe |
/// | `circuit_breaker_fleet_store_errors_total` | `circuit_breaker.fleet.store_errors` | counter: times that the store could not be reached or did not answer |
/// | `circuit_breaker_fleet_malformed_total` | `circuit_breaker.fleet.malformed` | counter: malformed messages, which were ignored |
/// | `circuit_breaker_fleet_dropped_total` | `circuit_breaker.fleet.dropped` | counter: items dropped because a queue was full |
///
/// Counters never decrease. They continue across a [`reset`](CircuitBreaker::reset), and when a breaker is
/// dropped and another one with its name is created.
///
/// # Number of series
///
/// The first [`with_max_names`](Self::with_max_names) names, 100 by default, have their own series, 16 to 33
/// each, and keep them permanently. The breakers of all further names are summed under the name `other`. So a
/// breaker for each host or tenant cannot flood your metrics database, however many come and go. A breaker
/// added by itself gets its name's series at once; those of a registry and of [`add_each`](Self::add_each) when
/// they first appear.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, LazyLock};
/// use tripcoil::{CircuitBreaker, Exporter};
///
/// static EXPORTER: LazyLock<Exporter> = LazyLock::new(Exporter::new);
/// static PAYMENTS: LazyLock<CircuitBreaker> = LazyLock::new(|| {
///     CircuitBreaker::builder("payments")
///         .on_transition(EXPORTER.observer())
///         .build()
///         .expect("the settings are in range")
/// });
///
/// EXPORTER.add_static(&PAYMENTS);
/// let mail = Arc::new(CircuitBreaker::new("mail")); // without an observer: no count of transitions
/// EXPORTER.add(&mail);
/// ```
#[derive(Clone)]
pub struct Exporter(Arc<Inner>);

struct Inner {
    sources: Mutex<Vec<Source>>,
    /// Apart from the sources: an observer may be notified of a transition while they are read.
    table: Mutex<SeriesTable>,
    fleets: Mutex<FleetTable>,
    #[cfg(feature = "registry")]
    registries: Mutex<SeriesTable<RegistrySeries>>,
}

impl Exporter {
    /// Creates an empty exporter.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_names(100)
    }

    /// Creates an empty exporter with separate series for up to this many names. With 0, all breakers are
    /// summed under `other`.
    #[must_use]
    pub fn with_max_names(names: usize) -> Self {
        Exporter(Arc::new(Inner {
            sources: Mutex::new(Vec::new()),
            table: Mutex::new(SeriesTable::new(names)),
            fleets: Mutex::new(FleetTable::new(names)),
            #[cfg(feature = "registry")]
            registries: Mutex::new(SeriesTable::new(names)),
        }))
    }

    /// Adds a breaker for as long as it exists. Adding it again does nothing.
    ///
    /// The exporter does not keep the breaker alive. What the breaker counts after the exporter's last reading
    /// and before it is dropped is lost.
    pub fn add(&self, breaker: &Arc<CircuitBreaker>) {
        self.list(Source::shared(breaker), breaker.name());
    }

    /// Adds a breaker with a static lifetime. Adding it again does nothing.
    pub fn add_static(&self, breaker: &'static CircuitBreaker) {
        self.list(Source::lasting(breaker), breaker.name());
    }

    /// Adds all current and future breakers of a registry, for as long as the registry exists. Adding it again
    /// does nothing.
    ///
    /// The series have the names of the breakers, and their number is [bounded](#number-of-series). The
    /// exporter does not keep the registry alive. What a breaker counts after the exporter's last reading and
    /// before its eviction is lost.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tripcoil::{Exporter, Registry};
    ///
    /// let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    /// let exporter = Exporter::with_max_names(100);
    /// exporter.add_registry(&hosts);
    /// ```
    #[cfg(feature = "registry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
    pub fn add_registry<K, S>(&self, registry: &Arc<Registry<K, S>>)
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        self.list_all(Source::registry(registry));
    }

    /// Like [`add_registry`](Self::add_registry), for a registry with a static lifetime.
    #[cfg(feature = "registry")]
    #[cfg_attr(docsrs, doc(cfg(feature = "registry")))]
    pub fn add_static_registry<K, S>(&self, registry: &'static Registry<K, S>)
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        self.list_all(Source::static_registry(registry));
    }

    #[cfg(feature = "registry")]
    fn list_all(&self, source: Source) {
        let mut sources = self.0.sources.lock();
        if !sources.iter().any(|listed| listed.is_same(&source)) {
            sources.push(source);
        }
    }

    /// Adds breakers that come and go. Whenever the exporter is read, it calls `walk`, which passes on a name
    /// and a snapshot of each breaker.
    ///
    /// Within one walk each name should appear once; breakers with the same name are summed. If a count has
    /// decreased since the last walk, the exporter assumes a new breaker with the same name. Therefore pass
    /// [`lifetime_metrics`](CircuitBreaker::lifetime_metrics) instead of [`metrics`](CircuitBreaker::metrics).
    /// The exporter remembers the counts of every breaker of the last walk. `walk` must not use the exporter.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, Mutex};
    /// use tripcoil::{CircuitBreaker, Exporter};
    ///
    /// let tenants: Arc<Mutex<HashMap<u32, CircuitBreaker>>> = Arc::default();
    /// let exporter = Exporter::with_max_names(20);
    /// let listed = tenants.clone();
    /// exporter.add_each(move |hand_out| {
    ///     for (tenant, breaker) in listed.lock().unwrap().iter() {
    ///         hand_out(&format!("tenant {tenant}"), &breaker.lifetime_metrics());
    ///     }
    /// });
    /// ```
    pub fn add_each(&self, walk: impl Fn(&mut dyn FnMut(&str, &Metrics)) + Send + Sync + 'static) {
        self.0.sources.lock().push(Source::each(walk));
    }

    /// Returns an observer that counts transitions for the exporter, by name, `from` and `to`. The same
    /// observer works for all breakers.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Exporter};
    ///
    /// let exporter = Exporter::new();
    /// let breaker = CircuitBreaker::builder("payments").on_transition(exporter.observer()).build()?;
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn observer(&self) -> impl Fn(&Transition) + Send + Sync + 'static {
        let shared = self.0.clone();
        move |transition| {
            let Transition { name, from, to, .. } = transition;
            shared.table.lock().series_of(name).count_transition(*from, *to);
        }
    }

    /// Adds a member of a fleet. `Fleet::export` of the crate `tripcoil-fleet` calls this for you.
    ///
    /// Whenever the exporter is read, it calls `read`, which returns the member's counts, or `None` once the member has
    /// ended. Then its counters stay, and its gauges are 0. Add each member once: the values of members with the same
    /// `fleet` are combined. `read` must not use the exporter.
    ///
    /// ```
    /// use tripcoil::{Exporter, FleetMetrics};
    ///
    /// let exporter = Exporter::new();
    /// exporter.add_fleet("checkout", || {
    ///     let mut metrics = FleetMetrics::default();
    ///     metrics.members = 3;
    ///     Some(metrics)
    /// });
    /// ```
    pub fn add_fleet(&self, fleet: &str, read: impl Fn() -> Option<FleetMetrics> + Send + Sync + 'static) {
        self.0.fleets.lock().add(fleet, Box::new(read));
    }

    fn list(&self, source: Source, name: &str) {
        let mut sources = self.0.sources.lock();
        if !sources.iter().any(|listed| listed.is_same(&source)) {
            sources.push(source);
            self.0.table.lock().series_of(name);
        }
    }

    /// What is to be exported now.
    pub(super) fn read(&self) -> Vec<Series> {
        let mut sources = self.0.sources.lock();
        sources.retain(Source::lasts);
        let sights: Vec<_> = sources.iter().map(Source::look).collect();
        let mut table = self.0.table.lock();
        table.clear_gauges();
        for (source, sights) in sources.iter_mut().zip(sights) {
            source.enter(sights, &mut table);
        }
        table.all().to_vec()
    }

    /// Reads the series of fleets.
    pub(super) fn read_fleets(&self) -> Vec<FleetSeries> {
        self.0.fleets.lock().read()
    }

    /// Reads the series of the registries themselves.
    #[cfg(feature = "registry")]
    pub(super) fn read_registries(&self) -> Vec<RegistrySeries> {
        let mut sources = self.0.sources.lock();
        let mut registries = self.0.registries.lock();
        registries.clear_gauges();
        for source in sources.iter_mut() {
            source.enter_registry(&mut registries);
        }
        registries.all().to_vec()
    }
}

impl Default for Exporter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.table.lock().all().iter().map(|series| series.name.clone()).collect();
        f.debug_struct("Exporter").field("names", &names).finish_non_exhaustive()
    }
}
