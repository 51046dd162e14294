//! The examples do what their first lines say.

use std::process::Command;

/// What the example prints.
fn run(example: &str) -> Vec<String> {
    let output = Command::new(example).output().expect("the example starts");
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text").lines().map(String::from).collect()
}

fn count(lines: &[String], begin: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(begin)).count()
}

#[test]
fn an_outage_and_a_recovery_are_over_for_all_threads_of_ureq() {
    let lines = run(env!("CARGO_BIN_EXE_ureq"));
    let place = |text: &str| lines.iter().position(|line| line == text).expect(text);
    let (outage, recovery) = (place("-- an outage"), place("-- the server is well again"));
    assert!(lines[..outage].iter().all(|line| line == "fetched: well"));
    assert_eq!(outage, 4);
    assert_eq!(lines[recovery - 4..recovery], ["not called: open"; 4]);
    assert!(count(&lines[outage..recovery], "failed: http status: 503") >= 3);
    assert_eq!(lines[lines.len() - 5..lines.len() - 1], ["fetched: well"; 4]);
}

#[test]
fn a_rejection_is_not_retried_before_its_time() {
    let lines = run(env!("CARGO_BIN_EXE_retry"));
    assert_eq!(count(&lines, "attempt: status 503"), 3, "{lines:#?}");
    assert!(count(&lines, "attempt: circuit breaker `quotes` is open; retry in") <= 1, "{lines:#?}");
    assert!(lines.contains(&String::from("at last: fetched")), "{lines:#?}");
    assert!(lines.contains(&String::from("forced open: circuit breaker `quotes` is forced open")), "{lines:#?}");
    assert_eq!(count(&lines, "4 requests"), 1, "{lines:#?}");
}

#[test]
fn a_time_out_counts_inside_and_not_outside() {
    let lines = run(env!("CARGO_BIN_EXE_timeouts"));
    let mut expected = vec!["inside: timed out"; 5];
    expected.push("inside: not called, open");
    expected.extend(["outside: gave up"; 6]);
    expected.extend(["counted: gave up"; 5]);
    expected.push("counted: not called");
    expected.push("inside: open, 5 errors, 0 dropped");
    expected.push("outside: closed, 0 errors, 6 dropped");
    expected.push("counted: open, 5 errors, 0 dropped");
    assert_eq!(lines, expected);
}

#[test]
fn a_pool_that_is_busy_opens_nothing_and_a_rejection_takes_no_connection() {
    let lines = run(env!("CARGO_BIN_EXE_pool"));
    let mut expected = vec!["ok"; 3];
    expected.push("-- all connections are busy");
    expected.extend(["failed: Timeout occurred while waiting for a slot to become available"; 4]);
    expected.push("breaker: closed");
    expected.push("-- an outage");
    expected.extend(["failed: the store is down"; 3]);
    expected.extend(["not called: open"; 3]);
    expected.push("3 connections were opened");
    assert_eq!(lines, expected);
}

#[test]
fn prometheus_scrapes_every_series_of_a_breaker() {
    let mut lines = run(env!("CARGO_BIN_EXE_prometheus"));
    lines.retain(|line| !line.is_empty());
    lines.sort();
    let expected = [
        "# HELP circuit_breaker_active_calls Calls of the circuit breaker in flight.",
        "# HELP circuit_breaker_calls_total Calls of the circuit breaker by outcome.",
        "# HELP circuit_breaker_slow_calls_total Slow calls of the circuit breaker; each is also a success or an error.",
        "# HELP circuit_breaker_state Circuit breakers with this name in this state; 1 or 0 for a single one.",
        "# HELP circuit_breaker_transitions_total State changes of the circuit breaker.",
        "# TYPE circuit_breaker_active_calls gauge",
        "# TYPE circuit_breaker_calls_total counter",
        "# TYPE circuit_breaker_slow_calls_total counter",
        "# TYPE circuit_breaker_state gauge",
        "# TYPE circuit_breaker_transitions_total counter",
        "circuit_breaker_active_calls{name=\"quotes\"} 0",
        "circuit_breaker_calls_total{name=\"quotes\",outcome=\"dropped\"} 0",
        "circuit_breaker_calls_total{name=\"quotes\",outcome=\"error\"} 3",
        "circuit_breaker_calls_total{name=\"quotes\",outcome=\"ignored\"} 0",
        "circuit_breaker_calls_total{name=\"quotes\",outcome=\"rejected\"} 5",
        "circuit_breaker_calls_total{name=\"quotes\",outcome=\"success\"} 4",
        "circuit_breaker_slow_calls_total{name=\"quotes\"} 0",
        "circuit_breaker_state{name=\"quotes\",state=\"closed\"} 0",
        "circuit_breaker_state{name=\"quotes\",state=\"forced_closed\"} 0",
        "circuit_breaker_state{name=\"quotes\",state=\"forced_open\"} 0",
        "circuit_breaker_state{name=\"quotes\",state=\"half_open\"} 0",
        "circuit_breaker_state{name=\"quotes\",state=\"open\"} 1",
        "circuit_breaker_transitions_total{name=\"quotes\",from=\"closed\",to=\"open\"} 1",
        "circuit_breaker_transitions_total{name=\"quotes\",from=\"half_open\",to=\"closed\"} 0",
        "circuit_breaker_transitions_total{name=\"quotes\",from=\"half_open\",to=\"open\"} 0",
        "circuit_breaker_transitions_total{name=\"quotes\",from=\"open\",to=\"half_open\"} 0",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_log_has_one_line_for_each_change_of_state() {
    let lines = run(env!("CARGO_BIN_EXE_tracing"));
    let begins = [
        " WARN tripcoil: circuit breaker `quotes`: closed -> open (error_threshold) ",
        " INFO tripcoil: circuit breaker `quotes`: open -> half_open (reset_timeout) ",
        " INFO tripcoil: circuit breaker `quotes`: half_open -> closed (success_threshold) ",
        " WARN tripcoil: circuit breaker `quotes`: closed -> forced_open (manual) ",
        " INFO tripcoil: circuit breaker `quotes`: forced_open -> closed (reset) ",
    ];
    assert_eq!(lines.len(), begins.len(), "{lines:#?}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
    }
    assert!(lines[2].ends_with("rejected=1001"), "{}", lines[2]);
}
