use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, gauge};

use super::exporter::Roster;
use super::series::{OUTCOMES, Row};

const CALLS: &str = "circuit_breaker_calls_total";
const SLOW_CALLS: &str = "circuit_breaker_slow_calls_total";
const TRANSITIONS: &str = "circuit_breaker_transitions_total";
const STATE: &str = "circuit_breaker_state";
const ACTIVE_CALLS: &str = "circuit_breaker_active_calls";

/// With feature `metrics`.
impl Roster {
    /// Publishes what the breakers have counted to the recorder of the `metrics` facade.
    ///
    /// Call it when the recorder is about to be scraped, or now and then from a timer of your own: the roster has
    /// none. A recorder that is installed later gets the whole counts.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Roster};
    ///
    /// static MAIL: CircuitBreaker = CircuitBreaker::new("mail");
    ///
    /// let roster = Roster::new();
    /// roster.add_static(&MAIL);
    /// roster.publish(); // circuit_breaker_state{name="mail",state="closed"} 1, and so on
    /// ```
    pub fn publish(&self) {
        describe();
        for row in self.read() {
            publish(&row);
        }
    }
}

fn describe() {
    describe_counter!(CALLS, Unit::Count, "Calls of the circuit breaker by outcome.");
    describe_counter!(SLOW_CALLS, Unit::Count, "Slow calls of the circuit breaker; each is a success or an error too.");
    describe_counter!(TRANSITIONS, Unit::Count, "Changes of the circuit breaker's state.");
    describe_gauge!(
        STATE,
        Unit::Count,
        "Circuit breakers of this name that are in this state: 1 or 0 for a single one."
    );
    describe_gauge!(ACTIVE_CALLS, Unit::Count, "Calls of the circuit breaker in flight.");
}

fn publish(row: &Row) {
    let name = SharedString::from(row.name.clone());
    for (outcome, count) in OUTCOMES.into_iter().zip(row.counts.calls) {
        counter!(CALLS, "name" => name.clone(), "outcome" => outcome).absolute(count);
    }
    counter!(SLOW_CALLS, "name" => name.clone()).absolute(row.counts.slow);
    for (from, to, count) in row.transitions() {
        counter!(TRANSITIONS, "name" => name.clone(), "from" => from.as_str(), "to" => to.as_str()).absolute(count);
    }
    for (state, breakers) in row.states() {
        gauge!(STATE, "name" => name.clone(), "state" => state.as_str()).set(value(breakers));
    }
    gauge!(ACTIVE_CALLS, "name" => name).set(value(row.active));
}

#[expect(clippy::cast_precision_loss, reason = "calls in flight are far below 2^52")]
fn value(count: u64) -> f64 {
    count as f64
}
