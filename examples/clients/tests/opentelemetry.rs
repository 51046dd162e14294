//! What an OpenTelemetry reader collects: the same as Prometheus sees, by the same attributes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tripcoil::{CircuitBreaker, Exporter, Registry};

/// The kind and unit of each instrument, and the value of each of its series.
#[derive(Debug, Default, PartialEq)]
struct Collected {
    instruments: BTreeMap<String, String>,
    series: BTreeMap<String, i64>,
}

impl Collected {
    fn add<T: Copy + TryInto<i64>>(&mut self, name: &str, unit: &str, data: &MetricData<T>) {
        let MetricData::Sum(sum) = data else { panic!("{name} is no sum") };
        let kind = if sum.is_monotonic() { "counter" } else { "up-down counter" };
        self.instruments.insert(name.to_owned(), format!("{kind} of {unit}"));
        for point in sum.data_points() {
            let attributes: BTreeMap<_, _> =
                point.attributes().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect();
            let attributes: Vec<_> = attributes.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            let Ok(value) = point.value().try_into() else { panic!("{name} is above 2^63") };
            assert_eq!(self.series.insert(format!("{name} {}", attributes.join(" ")), value), None);
        }
    }
}

fn collect(provider: &SdkMeterProvider, memory: &InMemoryMetricExporter) -> Collected {
    memory.reset();
    provider.force_flush().unwrap();
    let mut collected = Collected::default();
    for resource in memory.get_finished_metrics().unwrap() {
        for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
            match metric.data() {
                AggregatedMetrics::U64(data) => collected.add(metric.name(), metric.unit(), data),
                AggregatedMetrics::I64(data) => collected.add(metric.name(), metric.unit(), data),
                AggregatedMetrics::F64(_) => panic!("{} counts in fractions", metric.name()),
            }
        }
    }
    collected
}

#[test]
fn every_collection_reads_what_the_breakers_have_counted() {
    let memory = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(memory.clone()).build()).build();
    let exporter = Exporter::new();
    exporter.instrument(&provider.meter("tripcoil"));
    let breaker = CircuitBreaker::builder("payments").error_threshold(2).on_transition(exporter.observer()).build();
    let breaker = Arc::new(breaker.unwrap());
    exporter.add(&breaker);
    breaker.call_sync(|| Ok::<_, ()>(())).unwrap();
    let in_flight = breaker.try_acquire().unwrap();
    for _ in 0..3 {
        let _ = breaker.call_sync(|| Err::<(), _>("down"));
    }

    let collected = collect(&provider, &memory);
    let instruments: Vec<_> = collected.instruments.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
    assert_eq!(
        instruments,
        [
            "circuit_breaker.active_calls: up-down counter of {call}",
            "circuit_breaker.calls: counter of {call}",
            "circuit_breaker.slow_calls: counter of {call}",
            "circuit_breaker.state: up-down counter of {circuit_breaker}",
            "circuit_breaker.transitions: counter of {transition}",
        ]
    );
    let series: Vec<_> = collected.series.iter().map(|(series, value)| format!("{series}: {value}")).collect();
    assert_eq!(
        series,
        [
            "circuit_breaker.active_calls name=payments: 1",
            "circuit_breaker.calls name=payments outcome=dropped: 0",
            "circuit_breaker.calls name=payments outcome=error: 2",
            "circuit_breaker.calls name=payments outcome=ignored: 0",
            "circuit_breaker.calls name=payments outcome=rejected: 1",
            "circuit_breaker.calls name=payments outcome=success: 1",
            "circuit_breaker.slow_calls name=payments: 0",
            "circuit_breaker.state name=payments state=closed: 0",
            "circuit_breaker.state name=payments state=forced_closed: 0",
            "circuit_breaker.state name=payments state=forced_open: 0",
            "circuit_breaker.state name=payments state=half_open: 0",
            "circuit_breaker.state name=payments state=open: 1",
            "circuit_breaker.transitions from=closed name=payments to=open: 1",
            "circuit_breaker.transitions from=half_open name=payments to=closed: 0",
            "circuit_breaker.transitions from=half_open name=payments to=open: 0",
            "circuit_breaker.transitions from=open name=payments to=half_open: 0",
        ]
    );

    in_flight.success();
    breaker.reset();
    let later = collect(&provider, &memory).series;
    assert_eq!(later["circuit_breaker.calls name=payments outcome=success"], 2);
    assert_eq!(later["circuit_breaker.calls name=payments outcome=error"], 2);
    assert_eq!(later["circuit_breaker.active_calls name=payments"], 0);
    assert_eq!(later["circuit_breaker.state name=payments state=closed"], 1);
    assert_eq!(later["circuit_breaker.state name=payments state=open"], 0);
    assert_eq!(later["circuit_breaker.transitions from=open name=payments to=closed"], 1);
}

#[test]
fn registries_and_calls_that_hang_have_instruments_of_their_own() {
    let memory = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(memory.clone()).build()).build();
    let exporter = Exporter::new();
    exporter.instrument(&provider.meter("tripcoil"));
    let template = CircuitBreaker::builder("hosts").slow_call_rate(0.5).slow_call_duration(Duration::from_millis(1));
    let hosts: Arc<Registry<u32>> = Arc::new(Registry::builder(template).capacity(1).build().unwrap());
    exporter.add_registry(&hosts);
    hosts.call_sync(&1, || Ok::<_, ()>(())).unwrap();
    let _in_flight = hosts.try_acquire(&2).unwrap(); // evicts 1, and is not evicted by 3
    hosts.call_sync(&3, || Ok::<_, ()>(())).unwrap();
    std::thread::sleep(Duration::from_millis(20));

    let collected = collect(&provider, &memory);
    for (instrument, kind) in [
        ("circuit_breaker.hanging_calls", "up-down counter of {call}"),
        ("circuit_breaker.registry.breakers", "up-down counter of {circuit_breaker}"),
        ("circuit_breaker.registry.evictions", "counter of {circuit_breaker}"),
        ("circuit_breaker.registry.suppressed_openings", "counter of {opening}"),
        ("circuit_breaker.registry.unlisted", "counter of {circuit_breaker}"),
    ] {
        assert_eq!(collected.instruments[instrument], kind, "{instrument}");
    }
    for (series, value) in [
        ("circuit_breaker.hanging_calls name=2", 1),
        ("circuit_breaker.registry.breakers registry=hosts", 1),
        ("circuit_breaker.registry.evictions registry=hosts state=closed", 1),
        ("circuit_breaker.registry.evictions registry=hosts state=open", 0),
        ("circuit_breaker.registry.suppressed_openings registry=hosts", 0),
        ("circuit_breaker.registry.unlisted registry=hosts", 1),
    ] {
        assert_eq!(collected.series[series], value, "{series}");
    }
}
