//! What Prometheus and OpenTelemetry see of a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ScopeMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use tripcoil::{CircuitBreaker, Exporter, State};
use tripcoil_fleet::{By, Fleet, Memory};

const MS: Duration = Duration::from_millis(1);

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "this never came: {what}");
        std::thread::sleep(5 * MS);
    }
}

fn member(store: &Memory) -> (Fleet, Arc<CircuitBreaker>) {
    let fleet = Fleet::builder("checkout").store(store.clone()).beat(200 * MS).lease(Duration::from_secs(60));
    let fleet = fleet.build().unwrap();
    let breaker = CircuitBreaker::builder("db").error_threshold(1).success_threshold(1).reset_timeout(300 * MS);
    let breaker = Arc::new(breaker.build().unwrap());
    fleet.join(&breaker);
    breaker.try_acquire().unwrap().success();
    (fleet, breaker)
}

/// The samples of the page of Prometheus: the name of a fleet's series, without what all have, and its value.
fn page(exporter: &Exporter, recorder: &PrometheusHandle) -> BTreeMap<String, u64> {
    exporter.publish();
    let text = recorder.render();
    let samples = text.lines().filter_map(|line| line.strip_prefix("circuit_breaker_fleet_"));
    samples
        .map(|sample| {
            let (series, value) = sample.rsplit_once(' ').unwrap();
            let name = series.strip_suffix(r#"{fleet="checkout"}"#).unwrap_or_else(|| panic!("{series}"));
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Likewise of what OpenTelemetry collects, with the names that Prometheus gives them.
fn collect(provider: &SdkMeterProvider, memory: &InMemoryMetricExporter) -> BTreeMap<String, u64> {
    memory.reset();
    provider.force_flush().unwrap();
    let mut collected = BTreeMap::new();
    for resource in memory.get_finished_metrics().unwrap() {
        for metric in resource.scope_metrics().flat_map(ScopeMetrics::metrics) {
            let Some(name) = metric.name().strip_prefix("circuit_breaker.fleet.") else { continue };
            let AggregatedMetrics::U64(data) = metric.data() else { panic!("{name} counts in fractions") };
            let (name, points): (_, Vec<_>) = match data {
                MetricData::Sum(sum) => {
                    assert!(sum.is_monotonic());
                    (
                        format!("{name}_total"),
                        sum.data_points().map(|p| (p.value(), p.attributes().cloned().collect::<Vec<_>>())).collect(),
                    )
                }
                MetricData::Gauge(gauge) => (
                    name.to_owned(),
                    gauge.data_points().map(|p| (p.value(), p.attributes().cloned().collect())).collect(),
                ),
                _ => panic!("{name} is neither a counter nor a gauge"),
            };
            let [(value, attributes)] = points.as_slice() else { panic!("{name}: {points:?}") };
            assert_eq!(attributes, &[opentelemetry::KeyValue::new("fleet", "checkout")]);
            collected.insert(name, *value);
        }
    }
    collected
}

// One test: a process has one global recorder.
#[test]
fn prometheus_and_opentelemetry_show_a_fleet_through_an_outage() {
    let (exporter, recorder) = (Exporter::new(), PrometheusBuilder::new().install_recorder().unwrap());
    let memory = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(memory.clone()).build()).build();
    exporter.instrument(&provider.meter("tripcoil"));
    let store = Memory::new();
    let (fleet, breaker) = member(&store);
    let (other, others) = member(&store);
    fleet.export(&exporter);
    wait_for("both are connected", || {
        [&fleet, &other].iter().all(|fleet| fleet.status().is_connected && fleet.status().members == 2)
    });
    let first = page(&exporter, &recorder);
    assert_eq!((first["connected"], first["members"], first["votes"], first["prober"]), (1, 2, 0, 0));
    assert_eq!(first, collect(&provider, &memory));
    let names = |page: &BTreeMap<String, u64>| page.keys().cloned().collect::<Vec<_>>();
    let documented: Vec<_> = include_str!("../../src/export/exporter.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("/// | `circuit_breaker_fleet_"))
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(names(&first).len(), documented.len());
    assert!(documented.iter().all(|name| first.contains_key(name)), "{documented:?}");

    breaker.try_acquire().unwrap().failure();
    wait_for("the vote shows", || page(&exporter, &recorder)["votes"] == 1);
    assert_eq!(page(&exporter, &recorder)["votes_sent_total"], 1);
    others.try_acquire().unwrap().failure();
    wait_for("the hold shows", || page(&exporter, &recorder)["held"] == 1);
    assert_eq!(page(&exporter, &recorder)["votes"], 0);
    wait_for("the prober shows", || {
        // The breaker's only permit is kept, so that the probe does not end.
        std::mem::forget(breaker.try_acquire_owned());
        page(&exporter, &recorder)["prober"] == 1
    });
    let probing = page(&exporter, &recorder);
    assert_eq!((probing["elections_total"], probing["held"]), (1, 0));

    other.force_open("db", By::new("ana")).unwrap();
    wait_for("it obeys", || breaker.state() == State::ForcedOpen);
    wait_for("the order shows", || page(&exporter, &recorder)["orders"] == 1);
    assert_eq!(page(&exporter, &recorder)["prober"], 0);
    store.go_down();
    wait_for("the loss shows", || page(&exporter, &recorder)["connected"] == 0);
    let lost = page(&exporter, &recorder);
    assert!(lost["store_errors_total"] > 0, "{lost:?}");
    drop(fleet);
    let ended = page(&exporter, &recorder);
    assert_eq!((ended["members"], ended["orders"]), (0, 0));
    assert!(ended["store_errors_total"] >= lost["store_errors_total"]);
    assert_eq!(ended, collect(&provider, &memory));
}
