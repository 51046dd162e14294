use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::exporter::Exporter;
use super::fleet::{FLEET_INSTRUMENTS, FleetInstrument, Kind};
#[cfg(feature = "registry")]
use super::registry_series::RegistrySeries;
use super::series::{OUTCOMES, Series};

/// Requires the feature `opentelemetry`.
impl Exporter {
    /// Creates the exporter's instruments on `meter`. All are observable: they are read when the meter provider
    /// collects, and never during a call.
    ///
    /// Call it once for each meter provider. The instruments exist as long as the provider does, and keep the
    /// exporter alive. The attributes have the names of the labels of the feature `metrics`, so Prometheus
    /// shows the same names when fed through OpenTelemetry.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Exporter};
    ///
    /// static MAIL: CircuitBreaker = CircuitBreaker::new("mail");
    ///
    /// let exporter = Exporter::new();
    /// exporter.add_static(&MAIL);
    /// exporter.instrument(&opentelemetry::global::meter("tripcoil"));
    /// ```
    pub fn instrument(&self, meter: &Meter) {
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.calls")
            .with_unit("{call}")
            .with_description("Calls of the circuit breaker by outcome.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (outcome, count) in OUTCOMES.into_iter().zip(series.counts.calls) {
                        instrument.observe(count, &[name(&series), KeyValue::new("outcome", outcome)]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.slow_calls")
            .with_unit("{call}")
            .with_description("Slow calls of the circuit breaker; each is also a success or an error.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    instrument.observe(series.counts.slow, &[name(&series)]);
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.transitions")
            .with_unit("{transition}")
            .with_description("State changes of the circuit breaker.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (from, to, count) in series.transitions() {
                        let (from, to) = (KeyValue::new("from", from.as_str()), KeyValue::new("to", to.as_str()));
                        instrument.observe(count, &[name(&series), from, to]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.state")
            .with_unit("{circuit_breaker}")
            .with_description("Circuit breakers with this name in this state; 1 or 0 for a single one.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (state, breakers) in series.states() {
                        instrument.observe(signed(breakers), &[name(&series), KeyValue::new("state", state.as_str())]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.active_calls")
            .with_unit("{call}")
            .with_description("Calls of the circuit breaker in flight.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    instrument.observe(signed(series.active), &[name(&series)]);
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.hanging_calls")
            .with_unit("{call}")
            .with_description("Calls of the circuit breaker that hang.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    if let Some(hanging) = series.hanging {
                        instrument.observe(signed(hanging), &[name(&series)]);
                    }
                }
            })
            .build();
        self.instrument_shadows(meter);
        #[cfg(feature = "registry")]
        self.instrument_registries(meter);
        for instrument in &FLEET_INSTRUMENTS {
            self.instrument_fleets(meter, instrument);
        }
    }

    fn instrument_fleets(&self, meter: &Meter, of: &'static FleetInstrument) {
        let exporter = self.clone();
        let observe = move |instrument: &dyn AsyncInstrument<u64>| {
            for series in exporter.read_fleets() {
                let values = series.values().filter(|(instrument, _)| instrument.name == of.name);
                for (_, value) in values {
                    instrument.observe(value, &[KeyValue::new("fleet", series.name.clone())]);
                }
            }
        };
        if of.kind == Kind::Counter {
            let counter = meter.u64_observable_counter(of.name).with_unit(of.unit).with_description(of.description);
            counter.with_callback(observe).build();
        } else {
            let gauge = meter.u64_observable_gauge(of.name).with_unit(of.unit).with_description(of.description);
            gauge.with_callback(observe).build();
        }
    }

    #[cfg(feature = "registry")]
    fn instrument_registries(&self, meter: &Meter) {
        let registry = |series: &RegistrySeries| KeyValue::new("registry", series.name.clone());
        let exporter = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.registry.breakers")
            .with_unit("{circuit_breaker}")
            .with_description("Circuit breakers that the registry lists.")
            .with_callback(move |instrument| {
                for series in exporter.read_registries() {
                    instrument.observe(signed(series.breakers), &[registry(&series)]);
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.registry.evictions")
            .with_unit("{circuit_breaker}")
            .with_description("Circuit breakers that the registry evicted, by the state that they were in.")
            .with_callback(move |instrument| {
                for series in exporter.read_registries() {
                    for (state, count) in series.evictions() {
                        instrument.observe(count, &[registry(&series), KeyValue::new("state", state)]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.registry.unlisted")
            .with_unit("{circuit_breaker}")
            .with_description("Circuit breakers that the registry could not list, because it could evict none.")
            .with_callback(move |instrument| {
                for series in exporter.read_registries() {
                    instrument.observe(series.events.unlisted, &[registry(&series)]);
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.registry.suppressed_openings")
            .with_unit("{opening}")
            .with_description("Openings that the registry's maximum share of open circuit breakers prevented.")
            .with_callback(move |instrument| {
                for series in exporter.read_registries() {
                    instrument.observe(series.events.suppressed_openings, &[registry(&series)]);
                }
            })
            .build();
    }

    fn instrument_shadows(&self, meter: &Meter) {
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.shadow.rejections")
            .with_unit("{call}")
            .with_description("Calls that the circuit breaker's shadow would have rejected, by how they ended.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (outcome, count) in series.shadow_rejections() {
                        instrument.observe(count, &[name(&series), KeyValue::new("outcome", outcome)]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .u64_observable_counter("circuit_breaker.shadow.transitions")
            .with_unit("{transition}")
            .with_description("State changes that the circuit breaker's shadow would have made.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (cause, count) in series.shadow_transitions() {
                        instrument.observe(count, &[name(&series), KeyValue::new("cause", cause.as_str())]);
                    }
                }
            })
            .build();
        let exporter = self.clone();
        meter
            .i64_observable_up_down_counter("circuit_breaker.shadow.state")
            .with_unit("{circuit_breaker}")
            .with_description("Shadows of circuit breakers with this name in this state.")
            .with_callback(move |instrument| {
                for series in exporter.read() {
                    for (state, shadows) in series.shadow_states() {
                        instrument.observe(signed(shadows), &[name(&series), KeyValue::new("state", state.as_str())]);
                    }
                }
            })
            .build();
    }
}

fn name(series: &Series) -> KeyValue {
    KeyValue::new("name", series.name.clone())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
