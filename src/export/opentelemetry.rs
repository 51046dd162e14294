use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::exporter::Roster;
use super::series::{OUTCOMES, Row};

/// With feature `opentelemetry`.
impl Roster {
    /// Makes the roster's instruments of `meter`, all of them observable ones: they are read when the meter
    /// provider collects, and never during a call.
    ///
    /// Once for each meter provider; they stay for as long as it does, and keep the roster alive. The attributes are named as the labels
    /// of the `metrics` feature, so a Prometheus that is fed through OpenTelemetry shows the same names.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Roster};
    ///
    /// static MAIL: CircuitBreaker = CircuitBreaker::new("mail");
    ///
    /// let roster = Roster::new();
    /// roster.add_static(&MAIL);
    /// roster.instrument(&opentelemetry::global::meter("tripcoil"));
    /// ```
    pub fn instrument(&self, meter: &Meter) {
        let roster = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.calls")
            .with_unit("{call}")
            .with_description("Calls of the circuit breaker by outcome.")
            .with_callback(move |instrument| {
                for row in roster.read() {
                    for (outcome, count) in OUTCOMES.into_iter().zip(row.counts.calls) {
                        instrument.observe(count, &[name(&row), KeyValue::new("outcome", outcome)]);
                    }
                }
            })
            .build();
        let roster = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.slow_calls")
            .with_unit("{call}")
            .with_description("Slow calls of the circuit breaker; each is a success or an error too.")
            .with_callback(move |instrument| {
                for row in roster.read() {
                    instrument.observe(row.counts.slow, &[name(&row)]);
                }
            })
            .build();
        let roster = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.transitions")
            .with_unit("{transition}")
            .with_description("Changes of the circuit breaker's state.")
            .with_callback(move |instrument| {
                for row in roster.read() {
                    for (from, to, count) in row.transitions() {
                        let (from, to) = (KeyValue::new("from", from.as_str()), KeyValue::new("to", to.as_str()));
                        instrument.observe(count, &[name(&row), from, to]);
                    }
                }
            })
            .build();
        let roster = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.state")
            .with_unit("{circuit_breaker}")
            .with_description("Circuit breakers of this name that are in this state: 1 or 0 for a single one.")
            .with_callback(move |instrument| {
                for row in roster.read() {
                    for (state, breakers) in row.states() {
                        instrument.observe(signed(breakers), &[name(&row), KeyValue::new("state", state.as_str())]);
                    }
                }
            })
            .build();
        let roster = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.active_calls")
            .with_unit("{call}")
            .with_description("Calls of the circuit breaker in flight.")
            .with_callback(move |instrument| {
                for row in roster.read() {
                    instrument.observe(signed(row.active), &[name(&row)]);
                }
            })
            .build();
    }
}

fn name(row: &Row) -> KeyValue {
    KeyValue::new("name", row.name.clone())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
