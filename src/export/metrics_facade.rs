use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::exporter::Exporter;
use super::fleet::{FLEET_INSTRUMENTS, FleetInstrument, FleetSeries, Kind};
use super::series::{OUTCOMES, Series};

const CALLS: &str = "circuit_breaker_calls_total";
const SLOW_CALLS: &str = "circuit_breaker_slow_calls_total";
const TRANSITIONS: &str = "circuit_breaker_transitions_total";
const STATE: &str = "circuit_breaker_state";
const ACTIVE_CALLS: &str = "circuit_breaker_active_calls";
const SHADOW_REJECTIONS: &str = "circuit_breaker_shadow_rejections_total";
const SHADOW_TRANSITIONS: &str = "circuit_breaker_shadow_transitions_total";
const SHADOW_STATE: &str = "circuit_breaker_shadow_state";

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
    gauge!(ACTIVE_CALLS, "name" => name).set(value(series.active));
}

#[expect(clippy::cast_precision_loss, reason = "calls in flight are far below 2^52")]
fn value(count: u64) -> f64 {
    count as f64
}
