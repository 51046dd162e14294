//! What Prometheus sees over the lives of breakers, scraped over HTTP, and that the dashboard and the alerts ask for nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use clients::serve;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tripcoil::{CircuitBreaker, Exporter, FleetMetrics, Registry};

/// The samples of a page: series and value.
fn scrape(page: SocketAddr) -> BTreeMap<String, f64> {
    let url = format!("http://{page}/metrics");
    let text = ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn lines(page: &BTreeMap<String, f64>, begin: &str) -> Vec<String> {
    let found = page.iter().filter(|(series, _)| series.starts_with(begin));
    found.map(|(series, value)| format!("{} {value}", series.trim_start_matches(begin))).collect()
}

fn settle(breaker: &CircuitBreaker, successes: usize, failures: usize) {
    for call in 0..successes + failures {
        let _ = breaker.call_sync(|| if call < successes { Ok(()) } else { Err("down") });
    }
}

// One test: a process has one global recorder.
#[test]
fn counters_never_fall_and_series_are_bounded_and_the_dashboard_finds_them() {
    let exporter = Exporter::with_max_names(2);
    let make = |name: &'static str| {
        let breaker = CircuitBreaker::builder(name).error_threshold(2).on_transition(exporter.observer()).build();
        let breaker = Arc::new(breaker.unwrap());
        exporter.add(&breaker);
        breaker
    };
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let page = serve({
        let exporter = exporter.clone();
        move |_path| {
            exporter.publish();
            (200, recorder.render())
        }
    });

    let payments = make("payments");
    settle(&payments, 3, 2);
    assert!(payments.try_acquire().is_err());
    let before = scrape(page);
    assert_eq!(
        lines(&before, "circuit_breaker_calls_total"),
        [
            r#"{name="payments",outcome="dropped"} 0"#,
            r#"{name="payments",outcome="error"} 2"#,
            r#"{name="payments",outcome="ignored"} 0"#,
            r#"{name="payments",outcome="rejected"} 1"#,
            r#"{name="payments",outcome="success"} 3"#,
        ]
    );
    assert_eq!(
        lines(&before, "circuit_breaker_state"),
        [
            r#"{name="payments",state="closed"} 0"#,
            r#"{name="payments",state="forced_closed"} 0"#,
            r#"{name="payments",state="forced_open"} 0"#,
            r#"{name="payments",state="half_open"} 0"#,
            r#"{name="payments",state="open"} 1"#,
        ]
    );

    payments.reset();
    settle(&payments, 1, 0);
    drop(payments);
    let payments = make("payments");
    settle(&payments, 1, 0);
    let in_flight = payments.try_acquire().unwrap();
    let after = scrape(page);
    for (series, value) in &before {
        assert!(!series.contains("_total{") || after[series] >= *value, "{series} fell");
    }
    // The success before the drop was in no scrape any more.
    assert_eq!(lines(&after, r#"circuit_breaker_calls_total{name="payments",outcome="success"}"#), [" 4"]);
    assert_eq!(lines(&after, r#"circuit_breaker_state{name="payments",state="closed"}"#), [" 1"]);
    assert_eq!(lines(&after, r#"circuit_breaker_active_calls{name="payments"}"#), [" 1"]);
    assert_eq!(
        lines(&after, "circuit_breaker_transitions_total"),
        [
            r#"{name="payments",from="closed",to="open"} 1"#,
            r#"{name="payments",from="half_open",to="closed"} 0"#,
            r#"{name="payments",from="half_open",to="open"} 0"#,
            r#"{name="payments",from="open",to="closed"} 1"#,
            r#"{name="payments",from="open",to="half_open"} 0"#,
        ]
    );
    drop(in_flight);

    let further = ["mail", "search", "stock"].map(make);
    for breaker in &further {
        settle(breaker, 1, 0);
    }
    let all = scrape(page);
    let names: BTreeSet<_> = all.keys().filter_map(|series| label(series, "name")).collect();
    assert_eq!(names, BTreeSet::from(["mail", "other", "payments"].map(String::from)));
    assert_eq!(lines(&all, r#"circuit_breaker_calls_total{name="other",outcome="success"}"#), [" 2"]);

    // What exists only with rate rules, shadows, registries and fleets.
    let rates = CircuitBreaker::builder("payments").error_rate(0.5).build().unwrap();
    rates.shadow(CircuitBreaker::builder("strict").error_threshold(1).build().unwrap().config()).unwrap();
    let rates = Arc::new(rates);
    exporter.add(&rates);
    settle(&rates, 1, 1);
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    exporter.add_registry(&hosts);
    exporter.add_fleet("shop", || Some(FleetMetrics::default()));
    let all = scrape(page);
    dashboard_asks_only_for(&all);
    alerts_ask_only_for(&all);
}

/// The value of a label in a series, or in a selector of a query.
fn label(series: &str, name: &str) -> Option<String> {
    let (_, labels) = series.split_once('{')?;
    let (_, value) = labels.split_once(&format!("{name}=\""))?;
    value.split('"').next().map(String::from)
}

fn dashboard_asks_only_for(page: &BTreeMap<String, f64>) {
    let text = include_str!("../../../docs/grafana.json");
    let dashboard: Value = serde_json::from_str(text).expect("it is JSON");
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    assert!(queries.len() >= 10, "{queries:#?}");

    let used = queries_ask_only_for(page, queries.iter().map(String::as_str));
    assert_eq!(used, metrics_of(page), "the dashboard shows every metric");
    let variables: Vec<_> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(variables, ["datasource", "name"]);
}

fn alerts_ask_only_for(page: &BTreeMap<String, f64>) {
    let text = include_str!("../../../docs/alerts.yml");
    let guide = include_str!("../../../docs/operating.md");
    let tests = include_str!("../../../docs/alerts_test.yml");
    let alerts: Vec<_> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let (_, expr) = alert.split_once("expr: ").unwrap();
        let (expr, _) = expr.split_once("labels:").unwrap();
        queries_ask_only_for(page, [expr]);
        let severity = alert.split_once("severity: ").unwrap().1.lines().next().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let section = alert.split_once("runbook_url: ").unwrap().1.lines().next().unwrap();
        let expected = format!("https://docs.rs/tripcoil/latest/tripcoil/guide/operating/#{}", name.to_lowercase());
        assert_eq!(section, expected);
        assert!(guide.lines().any(|line| line.strip_prefix("## ") == Some(name)), "the guide has no section {name}");
        assert!(tests.contains(&format!("- alertname: {name}\n")), "no test shows that {name} fires");
    }
}

fn metrics_of(page: &BTreeMap<String, f64>) -> BTreeSet<String> {
    page.keys().map(|series| series.split('{').next().unwrap().to_owned()).collect()
}

/// The metrics that the queries ask for: all are on the page, with the labels and values that are selected.
fn queries_ask_only_for<'q>(
    page: &BTreeMap<String, f64>,
    queries: impl IntoIterator<Item = &'q str>,
) -> BTreeSet<String> {
    let metrics = metrics_of(page);
    let mut used = BTreeSet::new();
    for query in queries {
        let (asked, selectors) = parts(query);
        assert!(!asked.is_empty(), "{query} asks for nothing");
        for metric in &asked {
            assert!(metrics.contains(metric), "{query}: no metric {metric}");
        }
        for (metric, name, values) in selectors {
            let mut of_metric = page.keys().filter(|series| series.starts_with(&format!("{metric}{{")));
            assert!(of_metric.clone().any(|series| label(series, &name).is_some()), "{query}: no label {name}");
            if !values.starts_with('$') {
                let known = |value: &str| of_metric.any(|series| label(series, &name).as_deref() == Some(value));
                assert!(values.split('|').all(known), "{query}: no {name} {values}");
            }
        }
        used.extend(asked);
    }
    used
}

/// Every query, wherever it stands.
fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(query) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        queries.extend(Some(query.clone()).filter(|query| query != "prometheus"));
                    }
                    _ => collect(field, queries),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}

/// The metrics that a query names, and what it selects of them: metric, label, values.
fn parts(query: &str) -> (Vec<String>, Vec<(String, String, String)>) {
    let (mut metrics, mut selectors) = (Vec::new(), Vec::new());
    for (at, _) in query.match_indices("circuit_breaker_") {
        let rest = &query[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        metrics.push(rest[..end].to_owned());
        let Some(selector) = rest[end..].strip_prefix('{') else { continue };
        for pair in selector.split('}').next().unwrap().split(',') {
            let (name, value) = pair.split_once('=').unwrap();
            let value = value.trim_matches(|c| c == '~' || c == '"');
            selectors.push((rest[..end].to_owned(), name.trim_end_matches('!').to_owned(), value.to_owned()));
        }
    }
    (metrics, selectors)
}
