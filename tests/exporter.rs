//! What is exported is what the breakers have counted: it never falls, and its series are bounded.
#![cfg(feature = "metrics")]

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::*;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder as Facade, SharedString, Unit,
};
use tripcoil::{CircuitBreaker, Exporter, State};

/// A recorder that keeps the last value of each series, by its text.
#[derive(Clone, Default)]
struct Page {
    series: Arc<Mutex<BTreeMap<String, u64>>>,
    described: Arc<Mutex<Vec<String>>>,
}

struct Cell(Page, String);

impl Cell {
    fn keep(&self, value: u64) {
        self.0.series.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, _: u64) {
        panic!("counters are set to what the breakers have counted");
    }

    fn absolute(&self, value: u64) {
        self.keep(value);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.keep(value.to_string().parse().expect("a whole number"));
    }
}

impl Page {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = key.name().trim_start_matches("circuit_breaker_");
        Arc::new(Cell(self.clone(), format!("{name}{{{}}}", labels.join(","))))
    }
}

impl Facade for Page {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().push(name.as_str().to_owned());
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// What the exporter publishes now.
fn published(exporter: &Exporter) -> BTreeMap<String, u64> {
    let page = Page::default();
    metrics::with_local_recorder(&page, || exporter.publish());
    let series = page.series.lock().unwrap();
    series.clone()
}

fn calls(exporter: &Exporter, name: &str) -> [u64; 5] {
    let page = published(exporter);
    let of = |outcome| page[&format!("calls_total{{name={name},outcome={outcome}}}")];
    ["success", "error", "ignored", "dropped", "rejected"].map(of)
}

fn states(exporter: &Exporter, name: &str) -> [u64; 5] {
    let page = published(exporter);
    STATES.map(|state| page[&format!("state{{name={name},state={state}}}")])
}

fn named(name: &'static str) -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::new(name))
}

#[test]
fn everything_that_was_counted_is_published() {
    let clock = tripcoil::clock::ManualClock::new();
    let exporter = Exporter::new();
    let breaker = CircuitBreaker::builder("db")
        .error_threshold(1)
        .slow_call_rate(1.0)
        .slow_call_duration(SECOND)
        .clock(clock.clone())
        .on_transition(exporter.observer())
        .build()
        .unwrap();
    let breaker = Arc::new(breaker);
    exporter.add(&breaker);
    let slow = admitted(&breaker);
    clock.advance(SECOND);
    slow.success();
    succeed(&breaker);
    ignore(&breaker);
    drop(admitted(&breaker));
    let in_flight = admitted(&breaker);
    fail(&breaker);
    refused(&breaker);
    refused(&breaker);

    let expected = [
        ("active_calls{name=db}", 1),
        ("calls_total{name=db,outcome=dropped}", 1),
        ("calls_total{name=db,outcome=error}", 1),
        ("calls_total{name=db,outcome=ignored}", 1),
        ("calls_total{name=db,outcome=rejected}", 2),
        ("calls_total{name=db,outcome=success}", 2),
        ("hanging_calls{name=db}", 0),
        ("slow_calls_total{name=db}", 1),
        ("state{name=db,state=closed}", 0),
        ("state{name=db,state=forced_closed}", 0),
        ("state{name=db,state=forced_open}", 0),
        ("state{name=db,state=half_open}", 0),
        ("state{name=db,state=open}", 1),
        ("transitions_total{name=db,from=closed,to=open}", 1),
        ("transitions_total{name=db,from=half_open,to=closed}", 0),
        ("transitions_total{name=db,from=half_open,to=open}", 0),
        ("transitions_total{name=db,from=open,to=half_open}", 0),
    ];
    let page = published(&exporter);
    let series: Vec<_> = page.iter().map(|(series, value)| (series.as_str(), *value)).collect();
    assert_eq!(series, expected);
    drop(in_flight);
    assert_eq!(published(&exporter)["active_calls{name=db}"], 0);
}

#[test]
fn a_shadow_has_series_of_its_own_which_go_on_when_another_one_begins() {
    let (exporter, breaker) = (Exporter::new(), named("db"));
    exporter.add(&breaker);
    let shadows = |page: BTreeMap<String, u64>| -> Vec<_> {
        page.into_iter().filter(|(series, value)| series.starts_with("shadow") && *value > 0).collect()
    };
    assert!(published(&exporter).keys().all(|series| !series.starts_with("shadow")));
    let mut config = tripcoil::Config::default();
    config.error_threshold = Some(Some(1));
    for round in 1..=2 {
        breaker.shadow(config.clone()).unwrap();
        fail(&breaker);
        fail(&breaker);
        succeed(&breaker);
        let expected = [
            ("shadow_rejections_total{name=db,outcome=error}", round),
            ("shadow_rejections_total{name=db,outcome=success}", round),
            ("shadow_state{name=db,state=open}", 1),
            ("shadow_transitions_total{name=db,cause=error_threshold}", round),
        ];
        assert_eq!(shadows(published(&exporter)), expected.map(|(series, value)| (series.to_owned(), value)));
        breaker.end_shadow();
        assert_eq!(published(&exporter)["shadow_state{name=db,state=open}"], 0);
    }
}

#[test]
fn every_metric_is_described_whenever_the_recorder_came() {
    let exporter = Exporter::new();
    exporter.publish();
    let page = Page::default();
    metrics::with_local_recorder(&page, || exporter.publish());
    let mut described = page.described.lock().unwrap().clone();
    // Those of registries and fleets have tests of their own.
    described
        .retain(|name| !name.starts_with("circuit_breaker_registry_") && !name.starts_with("circuit_breaker_fleet_"));
    described.sort();
    let expected = [
        "active_calls",
        "calls_total",
        "hanging_calls",
        "shadow_rejections_total",
        "shadow_state",
        "shadow_transitions_total",
        "slow_calls_total",
        "state",
        "transitions_total",
    ];
    assert_eq!(described, expected.map(|name| format!("circuit_breaker_{name}")));
}

#[test]
fn counters_go_on_over_a_reset() {
    let (exporter, breaker) = (Exporter::new(), named("db"));
    exporter.add(&breaker);
    succeed(&breaker);
    assert_eq!(calls(&exporter, "db"), [1, 0, 0, 0, 0]);
    fail(&breaker);
    breaker.reset();
    succeed(&breaker);
    assert_eq!(calls(&exporter, "db"), [2, 1, 0, 0, 0]);
}

#[test]
fn counters_go_on_when_a_breaker_is_dropped_and_another_of_its_name_is_made() {
    let exporter = Exporter::new();
    for round in [1, 2, 3] {
        let breaker = named("db");
        exporter.add(&breaker);
        succeed(&breaker);
        assert_eq!(calls(&exporter, "db")[0], round);
        assert_eq!(states(&exporter, "db"), [1, 0, 0, 0, 0]);
        let _in_flight = breaker.try_acquire().unwrap();
        assert_eq!(published(&exporter)["active_calls{name=db}"], 1);
    }
    assert_eq!(calls(&exporter, "db")[0], 3);
    assert_eq!(states(&exporter, "db"), [0; 5]);
    assert_eq!(published(&exporter)["active_calls{name=db}"], 0);
}

#[test]
fn a_breaker_is_not_kept_alive_by_its_roster() {
    let exporter = Exporter::new();
    let breaker = Arc::new(
        CircuitBreaker::builder("db").on_transition(exporter.observer()).build().expect("the settings are valid"),
    );
    exporter.add(&breaker);
    let weak = Arc::downgrade(&breaker);
    drop(breaker);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_breaker_that_is_listed_twice_counts_once() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("static");
    let (exporter, breaker) = (Exporter::new(), named("shared"));
    for _ in 0..2 {
        exporter.add(&breaker);
        exporter.add_static(&BREAKER);
    }
    succeed(&breaker);
    fail(&BREAKER);
    assert_eq!(calls(&exporter, "shared"), [1, 0, 0, 0, 0]);
    assert_eq!(calls(&exporter, "static"), [0, 1, 0, 0, 0]);
    assert_eq!(states(&exporter, "static"), [1, 0, 0, 0, 0]);
}

#[test]
fn breakers_of_one_name_are_summed() {
    let (exporter, breakers) = (Exporter::new(), [named("db"), named("db"), named("db")]);
    for breaker in &breakers {
        exporter.add(breaker);
        succeed(breaker);
    }
    breakers[1].force_open();
    assert_eq!(calls(&exporter, "db")[0], 3);
    assert_eq!(states(&exporter, "db"), [2, 0, 0, 1, 0]);
    assert_eq!(calls(&exporter, "db")[0], 3);
}

#[test]
fn names_beyond_the_maximum_are_summed_under_other() {
    let exporter = Exporter::with_max_names(2);
    let breakers = ["a", "b", "c", "d", "other"].map(named);
    for breaker in &breakers {
        exporter.add(breaker);
        succeed(breaker);
    }
    breakers[3].force_open();
    assert_eq!(calls(&exporter, "a")[0], 1);
    assert_eq!(calls(&exporter, "b")[0], 1);
    assert_eq!(calls(&exporter, "other")[0], 3);
    assert_eq!(states(&exporter, "other"), [2, 0, 0, 1, 0]);
    let page = published(&exporter);
    assert_eq!(page.keys().filter(|series| series.starts_with("active_calls")).count(), 3, "{page:#?}");
    let none = Exporter::with_max_names(0);
    none.add(&breakers[0]);
    assert_eq!(calls(&none, "other")[0], 1);
}

#[test]
fn a_thousand_names_that_come_and_go_make_a_bounded_number_of_series() {
    let exporter = Exporter::with_max_names(10);
    let names = Arc::new(Mutex::new(0));
    let from = names.clone();
    exporter.add_each(move |hand_out| {
        let first = *from.lock().unwrap();
        for number in first..first + 20 {
            let breaker = CircuitBreaker::new("key");
            succeed(&breaker);
            hand_out(&format!("key {number}"), &breaker.lifetime_metrics());
        }
    });
    for round in 0..50 {
        *names.lock().unwrap() = 20 * round;
        published(&exporter);
    }
    let page = published(&exporter);
    assert_eq!(page.len(), 11 * 16);
    assert_eq!(page["calls_total{name=other,outcome=success}"], 990);
}

type Exchangeable = Arc<Mutex<Vec<(&'static str, CircuitBreaker)>>>;

/// A exporter that walks over breakers that can be exchanged.
fn walking() -> (Exporter, Exchangeable) {
    let (exporter, breakers) = (Exporter::new(), Exchangeable::default());
    let walked = breakers.clone();
    exporter.add_each(move |hand_out| {
        for (name, breaker) in walked.lock().unwrap().iter() {
            hand_out(name, &breaker.lifetime_metrics());
        }
    });
    (exporter, breakers)
}

fn with_successes(successes: usize) -> CircuitBreaker {
    let breaker = CircuitBreaker::new("key");
    (0..successes).for_each(|_| succeed(&breaker));
    breaker
}

#[test]
fn a_breaker_that_was_evicted_and_made_anew_counts_on() {
    let (exporter, breakers) = walking();
    breakers.lock().unwrap().push(("a", with_successes(5)));
    assert_eq!(calls(&exporter, "a")[0], 5);
    breakers.lock().unwrap()[0].1 = with_successes(2);
    assert_eq!(calls(&exporter, "a")[0], 7);
    breakers.lock().unwrap().clear();
    assert_eq!(calls(&exporter, "a")[0], 7);
    assert_eq!(states(&exporter, "a"), [0; 5]);
    breakers.lock().unwrap().push(("a", with_successes(9)));
    assert_eq!(calls(&exporter, "a")[0], 16);
}

#[test]
fn breakers_of_one_name_within_a_walk_are_summed() {
    let (exporter, breakers) = walking();
    breakers.lock().unwrap().extend([("a", with_successes(5)), ("a", with_successes(3))]);
    for _ in 0..3 {
        assert_eq!(calls(&exporter, "a")[0], 8);
    }
    succeed(&breakers.lock().unwrap()[0].1);
    assert_eq!(calls(&exporter, "a")[0], 9);
    assert_eq!(states(&exporter, "a")[0], 2);
}

#[test]
fn a_walk_that_panics_loses_no_count() {
    let (exporter, breakers) = walking();
    let breaker = named("listed");
    exporter.add(&breaker);
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = broken.clone();
    exporter.add_each(move |_| assert!(!breaks.load(Ordering::SeqCst), "walk"));
    breakers.lock().unwrap().push(("a", with_successes(5)));
    succeed(&breaker);
    assert!(catch_unwind(AssertUnwindSafe(|| exporter.publish())).is_err());
    broken.store(false, Ordering::SeqCst);
    assert_eq!((calls(&exporter, "a")[0], calls(&exporter, "listed")[0]), (5, 1));
}

#[test]
fn a_transition_during_a_walk_is_counted() {
    let exporter = Exporter::new();
    let breaker = CircuitBreaker::builder("db").on_transition(exporter.observer()).build().unwrap();
    exporter.add_each(move |hand_out| {
        breaker.force_open();
        breaker.reset();
        hand_out("db", &breaker.lifetime_metrics());
    });
    let page = published(&exporter);
    assert_eq!(page["transitions_total{name=db,from=closed,to=forced_open}"], 1);
    assert_eq!(page["transitions_total{name=db,from=forced_open,to=closed}"], 1);
}

#[test]
fn transitions_of_all_breakers_with_an_observer_are_counted_by_pair() {
    let exporter = Exporter::with_max_names(1);
    let make = |name: &'static str| {
        CircuitBreaker::builder(name).error_threshold(1).on_transition(exporter.observer()).build().unwrap()
    };
    let (known, further) = (make("a"), [make("b"), make("c")]);
    known.transition_to(State::HalfOpen);
    fail(&known);
    for breaker in &further {
        fail(breaker);
        breaker.force_closed();
    }
    let page = published(&exporter);
    assert_eq!(page["transitions_total{name=a,from=closed,to=half_open}"], 1);
    assert_eq!(page["transitions_total{name=a,from=half_open,to=open}"], 1);
    assert_eq!(page["transitions_total{name=other,from=closed,to=open}"], 2);
    assert_eq!(page["transitions_total{name=other,from=open,to=forced_closed}"], 2);
}

#[test]
fn reading_from_many_threads_counts_each_call_once() {
    let (exporter, breakers) = walking();
    breakers.lock().unwrap().push(("a", CircuitBreaker::new("a")));
    let listed = named("b");
    exporter.add(&listed);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..200).for_each(|_| drop(published(&exporter))));
        }
        for _ in 0..2_000 {
            succeed(&listed);
        }
    });
    succeed(&breakers.lock().unwrap()[0].1);
    assert_eq!((calls(&exporter, "a")[0], calls(&exporter, "b")[0]), (1, 2_000));
}

#[cfg(feature = "registry")]
mod registries {
    use super::*;
    use std::sync::LazyLock;
    use tripcoil::Registry;

    fn with_host(host: &str) -> Arc<Registry<String>> {
        let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
        hosts.call_sync(host, || Ok::<_, ()>(())).unwrap();
        hosts
    }

    fn named(exporter: &Exporter) -> String {
        let page = Page::default();
        metrics::with_local_recorder(&page, || exporter.publish());
        format!("{exporter:?}")
    }

    #[test]
    fn a_registry_is_exported_by_one_call_with_what_comes_later() {
        let (exporter, hosts) = (Exporter::new(), with_host("a.example"));
        exporter.add_registry(&hosts);
        exporter.add_registry(&hosts);
        hosts.call_sync("b.example", || Ok::<_, ()>(())).unwrap();
        let page = Page::default();
        metrics::with_local_recorder(&page, || exporter.publish());
        let series = page.series.lock().unwrap();
        for host in ["a.example", "b.example"] {
            let of_host: Vec<_> = series.iter().filter(|(text, _)| text.contains(host)).collect();
            let successes = of_host.iter().find(|(text, _)| text.contains("success")).expect("it has a series");
            // Once, though it was listed twice.
            assert_eq!(*successes.1, 1, "{of_host:?}");
        }
    }

    #[test]
    fn the_exporter_does_not_keep_a_registry_alive_and_its_counters_stay() {
        let (exporter, hosts) = (Exporter::new(), with_host("a.example"));
        exporter.add_registry(&hosts);
        assert!(named(&exporter).contains("a.example"));
        let weak = Arc::downgrade(&hosts);
        drop(hosts);
        assert!(weak.upgrade().is_none());
        assert!(named(&exporter).contains("a.example"));
    }

    #[test]
    fn a_static_registry_is_exported_and_the_names_are_bounded() {
        static HOSTS: LazyLock<Registry<u32>> = LazyLock::new(|| Registry::new("hosts"));
        let exporter = Exporter::with_max_names(2);
        exporter.add_static_registry(&*HOSTS);
        exporter.add_static_registry(&*HOSTS);
        for host in 0..50 {
            HOSTS.call_sync(&host, || Ok::<_, ()>(())).unwrap();
        }
        let page = Page::default();
        metrics::with_local_recorder(&page, || exporter.publish());
        let series = page.series.lock().unwrap();
        let successes: u64 = series.iter().filter(|(text, _)| text.contains("success")).map(|(_, count)| count).sum();
        assert_eq!(successes, 50);
        assert!(series.keys().any(|text| text.contains("other")));
    }

    /// The series of registries.
    fn registries(exporter: &Exporter) -> Vec<(String, u64)> {
        let page = published(exporter).into_iter();
        page.filter_map(|(series, value)| Some((series.strip_prefix("registry_")?.to_owned(), value))).collect()
    }

    #[test]
    fn a_registry_has_series_of_its_own_which_go_on_when_another_one_of_its_name_begins() {
        let exporter = Exporter::new();
        for round in 1..=2 {
            let template = CircuitBreaker::builder("hosts").error_threshold(1);
            let hosts: Registry<u32> = Registry::builder(template).capacity(2).max_open_share(0.5).build().unwrap();
            let hosts = Arc::new(hosts);
            exporter.add_registry(&hosts);
            hosts.call_sync(&1, || Err::<(), _>("down")).unwrap_err();
            hosts.call_sync(&2, || Err::<(), _>("down")).unwrap_err(); // is suppressed: one of two is open already
            hosts.call_sync(&3, || Ok::<_, ()>(())).unwrap(); // evicts 2, which is closed
            let held = [hosts.get(&3), hosts.get(&1)];
            hosts.call_sync(&4, || Ok::<_, ()>(())).unwrap(); // finds no room
            drop(held);
            hosts.get(&3).force_closed();
            hosts.call_sync(&5, || Ok::<_, ()>(())).unwrap(); // evicts 1, which is open
            let expected = [
                ("breakers{registry=hosts}", 2),
                ("evictions_total{registry=hosts,state=closed}", round),
                ("evictions_total{registry=hosts,state=open}", round),
                ("suppressed_openings_total{registry=hosts}", round),
                ("unlisted_total{registry=hosts}", round),
            ];
            for _ in 0..2 {
                assert_eq!(registries(&exporter), expected.map(|(series, value)| (series.to_owned(), value)));
            }
        }
        assert_eq!(registries(&exporter)[0], ("breakers{registry=hosts}".to_owned(), 0));
    }

    #[test]
    fn names_of_registries_are_bounded_too() {
        let exporter = Exporter::with_max_names(1);
        let registries_of = ["a", "b", "c"].map(|name| Arc::new(Registry::<u32>::new(name)));
        for registry in &registries_of {
            exporter.add_registry(registry);
            registry.get(&7);
        }
        let breakers: Vec<_> =
            registries(&exporter).into_iter().filter(|(series, _)| series.starts_with("breakers")).collect();
        let expected = [("breakers{registry=a}", 1), ("breakers{registry=other}", 2)];
        assert_eq!(breakers, expected.map(|(series, value)| (series.to_owned(), value)));
    }
}

#[test]
fn calls_that_hang_are_published() {
    let clock = tripcoil::clock::ManualClock::new();
    let exporter = Exporter::new();
    let builder = CircuitBreaker::builder("db").slow_call_rate(1.0).slow_call_duration(SECOND).clock(clock.clone());
    let breaker = Arc::new(builder.build().unwrap());
    exporter.add(&breaker);
    let hangs = admitted(&breaker);
    clock.advance(SECOND * 2);
    assert_eq!(published(&exporter)["hanging_calls{name=db}"], 1);
    hangs.success();
    assert_eq!(published(&exporter)["hanging_calls{name=db}"], 0);
}
