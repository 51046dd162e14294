use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::exporter::Exporter;
use super::fleet::{FLEET_INSTRUMENTS, FleetInstrument, FleetSeries, Kind};
#[cfg(feature = "registry")]
use super::registry_series::RegistrySeries;
use super::series::{OUTCOMES, Series};

const CALLS: &str = "circuit_breaker_calls_total";
const SLOW_CALLS: &str = "circuit_breaker_slow_calls_total";
const TRANSITIONS: &str = "circuit_breaker_transitions_total";
const STATE: &str = "circuit_breaker_state";
const ACTIVE_CALLS: &str = "circuit_breaker_active_calls";
const HANGING_CALLS: &str = "circuit_breaker_hanging_calls";
const SHADOW_REJECTIONS: &str = "circuit_breaker_shadow_rejections_total";
const SHADOW_TRANSITIONS: &str = "circuit_breaker_shadow_transitions_total";
const SHADOW_STATE: &str = "circuit_breaker_shadow_state";
#[cfg(feature = "registry")]
const REGISTRY_BREAKERS: &str = "circuit_breaker_registry_breakers";
#[cfg(feature = "registry")]
const REGISTRY_EVICTIONS: &str = "circuit_breaker_registry_evictions_total";
#[cfg(feature = "registry")]
const REGISTRY_UNLISTED: &str = "circuit_breaker_registry_unlisted_total";
#[cfg(feature = "registry")]
const REGISTRY_SUPPRESSED_OPENINGS: &str = "circuit_breaker_registry_suppressed_openings_total";

/// Requires the feature `metrics`.
impl Exporter {
    /// Publishes the counts of the breakers to the recorder of the `metrics` facade.
    ///
    /// Call it before the recorder is scraped, or periodically from your own timer; the exporter has none. A
    /// recorder that you install later receives the full counts.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Exporter};
    ///
    /// static MAIL: CircuitBreaker = CircuitBreaker::new("mail");
    ///
    /// let exporter = Exporter::new();
    /// exporter.add_static(&MAIL);
    /// exporter.publish(); // circuit_breaker_state{name="mail",state="closed"} 1, and so on
    /// ```
    pub fn publish(&self) {
        describe();
        for series in self.read() {
            publish(&series);
        }
        for series in self.read_fleets() {
            publish_fleet(&series);
        }
        #[cfg(feature = "registry")]
        {
            describe_registries();
            self.read_registries().iter().for_each(publish_registry);
        }
    }
}

fn describe() {
    describe_counter!(CALLS, Unit::Count, "Calls of the circuit breaker by outcome.");
    describe_counter!(
        SLOW_CALLS,
        Unit::Count,
        "Slow calls of the circuit breaker; each is also a success or an error."
    );
    describe_counter!(TRANSITIONS, Unit::Count, "State changes of the circuit breaker.");
    describe_gauge!(STATE, Unit::Count, "Circuit breakers with this name in this state; 1 or 0 for a single one.");
    describe_gauge!(ACTIVE_CALLS, Unit::Count, "Calls of the circuit breaker in flight.");
    describe_gauge!(HANGING_CALLS, Unit::Count, "Calls of the circuit breaker that hang.");
    describe_counter!(
        SHADOW_REJECTIONS,
        Unit::Count,
        "Calls that the circuit breaker's shadow would have rejected, by how they ended."
    );
    describe_counter!(
        SHADOW_TRANSITIONS,
        Unit::Count,
        "State changes that the circuit breaker's shadow would have made."
    );
    describe_gauge!(SHADOW_STATE, Unit::Count, "Shadows of circuit breakers with this name in this state.");
    for instrument in &FLEET_INSTRUMENTS {
        match instrument.kind {
            Kind::Counter => describe_counter!(name_of(instrument), Unit::Count, instrument.description),
            Kind::Sum | Kind::Largest => describe_gauge!(name_of(instrument), Unit::Count, instrument.description),
        }
    }
}

fn name_of(instrument: &FleetInstrument) -> String {
    let name = instrument.name.replace('.', "_");
    if instrument.kind == Kind::Counter { name + "_total" } else { name }
}

fn publish_fleet(series: &FleetSeries) {
    let fleet = SharedString::from(series.name.clone());
    for (instrument, count) in series.values() {
        let name = name_of(instrument);
        match instrument.kind {
            Kind::Counter => counter!(name, "fleet" => fleet.clone()).absolute(count),
            Kind::Sum | Kind::Largest => gauge!(name, "fleet" => fleet.clone()).set(value(count)),
        }
    }
}

fn publish(series: &Series) {
    let name = SharedString::from(series.name.clone());
    for (outcome, count) in OUTCOMES.into_iter().zip(series.counts.calls) {
        counter!(CALLS, "name" => name.clone(), "outcome" => outcome).absolute(count);
    }
    counter!(SLOW_CALLS, "name" => name.clone()).absolute(series.counts.slow);
    for (from, to, count) in series.transitions() {
        counter!(TRANSITIONS, "name" => name.clone(), "from" => from.as_str(), "to" => to.as_str()).absolute(count);
    }
    for (state, breakers) in series.states() {
        gauge!(STATE, "name" => name.clone(), "state" => state.as_str()).set(value(breakers));
    }
    for (outcome, count) in series.shadow_rejections() {
        counter!(SHADOW_REJECTIONS, "name" => name.clone(), "outcome" => outcome).absolute(count);
    }
    for (cause, count) in series.shadow_transitions() {
        counter!(SHADOW_TRANSITIONS, "name" => name.clone(), "cause" => cause.as_str()).absolute(count);
    }
    for (state, shadows) in series.shadow_states() {
        gauge!(SHADOW_STATE, "name" => name.clone(), "state" => state.as_str()).set(value(shadows));
    }
    if let Some(hanging) = series.hanging {
        gauge!(HANGING_CALLS, "name" => name.clone()).set(value(hanging));
    }
    gauge!(ACTIVE_CALLS, "name" => name).set(value(series.active));
}

#[cfg(feature = "registry")]
fn describe_registries() {
    describe_gauge!(REGISTRY_BREAKERS, Unit::Count, "Circuit breakers that the registry lists.");
    describe_counter!(
        REGISTRY_EVICTIONS,
        Unit::Count,
        "Circuit breakers that the registry evicted, by the state that they were in."
    );
    describe_counter!(
        REGISTRY_UNLISTED,
        Unit::Count,
        "Circuit breakers that the registry could not list, because it could evict none."
    );
    describe_counter!(
        REGISTRY_SUPPRESSED_OPENINGS,
        Unit::Count,
        "Openings that the registry's maximum share of open circuit breakers prevented."
    );
}

#[cfg(feature = "registry")]
fn publish_registry(series: &RegistrySeries) {
    let name = SharedString::from(series.name.clone());
    gauge!(REGISTRY_BREAKERS, "registry" => name.clone()).set(value(series.breakers));
    for (state, count) in series.evictions() {
        counter!(REGISTRY_EVICTIONS, "registry" => name.clone(), "state" => state).absolute(count);
    }
    counter!(REGISTRY_UNLISTED, "registry" => name.clone()).absolute(series.events.unlisted);
    counter!(REGISTRY_SUPPRESSED_OPENINGS, "registry" => name).absolute(series.events.suppressed_openings);
}

#[expect(clippy::cast_precision_loss, reason = "calls in flight are far below 2^52")]
fn value(count: u64) -> f64 {
    count as f64
}
