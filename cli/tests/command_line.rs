//! The command as people run it: arguments, exit codes, what goes where.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn tripcoil(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tripcoil")).args(args).output().unwrap()
}

/// With this standard input.
fn fed(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tripcoil"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Asserts that it failed with this code and a message that has all of these parts.
fn fails(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{}", err(output));
    assert_eq!(out(output), "");
    for part in parts {
        assert!(err(output).contains(part), "`{part}` is not in: {}", err(output));
    }
}

fn file(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// A call each tenth of a second for 100 s; those from 20 s to 60 s fail.
fn outage() -> String {
    let line = |tenth: u32| {
        let outcome = if (200..600).contains(&tenth) { "failure" } else { "success" };
        format!("{}.{},db,0.05,{outcome}\n", 1_767_225_600 + tenth / 10, tenth % 10)
    };
    std::iter::once("time,key,duration,outcome\n".into()).chain((0..1000).map(line)).collect()
}

const POLICIES: &str =
    "[plain]\n\n[soon]\nerror_threshold = 3\nreset_timeout = \"5s\"\n\n[blind]\nerror_threshold = 1000\n";

#[test]
fn the_report_is_the_same_in_every_run() {
    let dir = TempDir::new().unwrap();
    let policies = file(&dir, "policies.toml", POLICIES);
    let input = outage() + "1767225650,db,-1,success\n1767225650,db,1,maybe\n";
    let output = fed(&["replay", "-", "--policy", &policies], input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(out(&output), include_str!("outage.txt"), "{}", out(&output));
    assert!(err(&output).starts_with("1 000 calls through 3 policies in "), "{}", err(&output));
}

#[test]
fn json_has_the_coverage_and_each_policy() {
    let dir = TempDir::new().unwrap();
    let policies = file(&dir, "policies.toml", POLICIES);
    let output = fed(&["replay", "-", "--policy", &policies, "--json"], outage().as_bytes());
    let report: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!(report["coverage"]["lines"], 1000);
    assert_eq!(report["coverage"]["calls"]["failed"], 400);
    let policies = report["policies"].as_array().unwrap();
    let names: Vec<_> = policies.iter().map(|policy| policy["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "soon", "blind"]);
    assert_eq!(policies[0]["causes"]["error_threshold"], 1);
    // Five are let through before it opens, and a probe at 50.5 s.
    assert_eq!(policies[0]["refused"]["failed"], 394);
    assert_eq!(policies[1]["settings"]["reset_timeout"], "5s");
    assert_eq!(policies[2]["missed_troubles"], 1);
    assert_eq!(policies[2]["first_outages"], serde_json::json!([]));
}

/// As [`outage`], of three hosts in turn.
fn outage_of_three_hosts() -> String {
    let outage = outage();
    let (head, calls) = outage.split_once('\n').unwrap();
    let calls = calls.lines().enumerate().map(|(number, line)| line.replace(",db,", &format!(",db-{},", number % 3)));
    std::iter::once(head.into()).chain(calls).map(|line: String| line + "\n").collect()
}

#[test]
fn the_report_shows_what_a_limit_of_open_breakers_suppressed() {
    let dir = TempDir::new().unwrap();
    let input = outage_of_three_hosts();
    let policies = file(&dir, "policies.toml", "[free]\n\n[limited]\nmax_open_share = 0.5\n");
    let output = fed(&["replay", "-", "--policy", &policies], input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    // One of three may open; each of the others meets the rule again after each fifth failure.
    let rows: Vec<_> = out(&output).lines().filter(|line| line.starts_with("| ")).collect();
    let suppressed: Vec<_> = rows.iter().map(|row| row.rsplit('|').nth(1).unwrap().trim()).collect();
    assert_eq!(suppressed, ["suppressed", "0", "52"], "{}", out(&output));
    assert!(out(&output).contains("that `max_open_share` prevented."), "{}", out(&output));
    assert!(out(&output).contains("\nlimited: 1 opening (error_threshold 1), "), "{}", out(&output));
    assert!(out(&output).contains(", 52 suppressed\n"), "{}", out(&output));

    let output = fed(&["replay", "-", "--policy", &policies, "--json"], input.as_bytes());
    let report: serde_json::Value = serde_json::from_str(out(&output)).unwrap();
    let [free, limited] = [0, 1].map(|policy| &report["policies"][policy]);
    assert_eq!((free["max_open_share"].as_f64(), limited["max_open_share"].as_f64()), (None, Some(0.5)));
    assert_eq!([&free["openings"], &limited["openings"]], [3, 1]);
    assert_eq!([&free["suppressed_openings"], &limited["suppressed_openings"]], [0, 52]);
    assert_eq!(limited["suppressed_causes"], serde_json::json!({"error_threshold": 52}));

    // Without a limit there is no such column.
    let policies = file(&dir, "policies.toml", "[free]\n");
    let output = fed(&["replay", "-", "--policy", &policies], input.as_bytes());
    assert!(!out(&output).contains("suppressed"), "{}", out(&output));
}

#[test]
fn the_picture_is_sound_whatever_the_names() {
    let dir = TempDir::new().unwrap();
    let policies = file(&dir, "policies.toml", "[\"<a> & \\\"b\\\" \\u0001 and a name that is long\"]\n");
    let picture = dir.path().join("replay.svg");
    let input = outage().replace(",db,", ",\"<&\u{1}\",");
    let output = fed(&["replay", "-", "--policy", &policies, "--picture", picture.to_str().unwrap()], input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let svg = fs::read_to_string(picture).unwrap();
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
    assert!(texts.iter().any(|text| text.starts_with("<a> & \"b\"")), "{texts:?}");
    assert!(texts.contains(&"opened once: error_threshold"), "{texts:?}");
}

#[test]
fn each_kind_of_failure_has_its_exit_code_and_says_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let calls = file(&dir, "calls.csv", outage());
    let bad = file(&dir, "bad.csv", outage() + "soon,db,1,success\n");
    let absent = dir.path().join("absent").into_os_string().into_string().unwrap();
    let wrong = file(&dir, "wrong.toml", "[a]\nerror_rate = 2.0\n");
    let here = dir.path().to_str().unwrap();

    fails(&tripcoil(&["replay", &absent]), 1, &["absent"]);
    fails(&tripcoil(&["replay", here]), 1, &[here]);
    fails(&tripcoil(&["replay", &calls, "--picture", here]), 1, &[here]);
    fails(&tripcoil(&["replay", &calls, "--policy", &absent]), 1, &["absent"]);
    fails(&tripcoil(&["replay", &calls, "--policy", &wrong]), 2, &["wrong.toml", "policy `a`", "`error_rate`", "2.0"]);
    fails(&tripcoil(&["replay", &bad, "--strict"]), 3, &["line 1002", "`time` is \"soon\""]);
    fails(&tripcoil(&["replay", &calls, "--strict", "--max-in-flight", "0"]), 2, &["max-in-flight", "from 1"]);
    fails(&tripcoil(&["replay", &calls, "--slow", "fast"]), 2, &["--slow", "250ms"]);
    let limited = file(&dir, "limited.toml", "[a]\nmax_open_share = 0.5\n");
    let too_many = ["replay", &calls, "--policy", &limited, "--max-keys", "16777217"];
    fails(&tripcoil(&too_many), 2, &["--max-keys is 16777217", "1 to 16777216", "`max_open_share` of policy `a`"]);
    fails(&tripcoil(&["replay"]), 2, &["CALLS"]);
    fails(&tripcoil(&["replay", "--incidents", "--seeds", "9..=3"]), 2, &["seeds", "51..=100"]);
    fails(&tripcoil(&["replay", "--incidents", &calls]), 2, &["--incidents"]);
    fails(&tripcoil(&["generate", "weather"]), 2, &["weather", "brown-out"]);
}

#[test]
fn an_input_without_calls_is_said_to_be_so() {
    for (input, part) in [
        ("", "no call to replay in 0 lines"),
        ("\n\r\n", "no call to replay in 0 lines"),
        ("time,duration,outcome\r\n", "no call to replay in 0 lines"),
        ("{}\n", "line 1: is no call: missing field `time`"),
    ] {
        fails(&fed(&["replay", "-"], input.as_bytes()), 1, &[part]);
    }
    fails(&fed(&["replay", "-"], b"\x1f\x8b\x08\x00binary\n"), 2, &["header of a CSV", "is not UTF-8"]);
}

#[test]
fn keys_beyond_the_limit_are_counted_and_the_option_is_named() {
    let rows = (0..100).map(|key| format!("{key},host-{key},0,success\n"));
    let input: String = std::iter::once("time,key,duration,outcome\n".into()).chain(rows).collect();
    let output = fed(&["replay", "-", "--max-keys", "40"], input.as_bytes());
    assert!(out(&output).contains("  40 of 100 lines replayed (40.0 %)\n"), "{}", out(&output));
    assert!(
        out(&output).contains("60 calls left out: to keys beyond the first 40; see --max-keys"),
        "{}",
        out(&output)
    );
    fails(&fed(&["replay", "-", "--max-keys", "40", "--strict"], input.as_bytes()), 3, &["line 42", "--max-keys"]);
}

#[test]
fn calls_beyond_the_limit_in_flight_are_counted_and_the_option_is_named() {
    let input = "time,duration,outcome\n".to_owned() + &"1,5,success\n".repeat(10);
    let output = fed(&["replay", "-", "--max-in-flight", "4"], input.as_bytes());
    assert!(
        out(&output).contains("6 calls left out: 4 others were in flight; see --max-in-flight"),
        "{}",
        out(&output)
    );
    fails(&fed(&["replay", "-", "--max-in-flight", "4", "--strict"], input.as_bytes()), 3, &["line 6"]);
}

#[test]
fn units_are_those_that_were_given() {
    let input = "time,duration,outcome\n1767225600000,1500,success\n1767225601000,20,success\n";
    let args = ["replay", "-", "--time-unit", "ms", "--duration-unit", "ms"];
    let output = fed(&args, input.as_bytes());
    assert!(out(&output).contains("2026-01-01T00:00:00.000Z to 2026-01-01T00:00:01.500Z"), "{}", out(&output));
    assert!(out(&output).contains("1 good, 0 failed, 1 slow (1 s or longer)"), "{}", out(&output));
}

#[test]
fn what_is_generated_can_be_replayed_and_goes_on_as_long_as_asked() {
    let generated = tripcoil(&["generate", "hard-down", "--seed", "3", "--calls", "70000"]);
    assert_eq!(out(&generated).lines().count(), 70_000);
    let output = fed(&["replay", "-", "--strict"], &generated.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("70 000 of 70 000 lines replayed (100 %)"), "{}", out(&output));
    let one = tripcoil(&["generate", "hard-down", "--seed", "3"]);
    assert!(generated.stdout.starts_with(&one.stdout) && !one.stdout.is_empty());
}

#[test]
fn the_table_of_the_incidents_goes_into_a_page() {
    let dir = TempDir::new().unwrap();
    let page = file(&dir, "page.md", "before\n<!-- incidents: begin -->\nold\n<!-- incidents: end -->\nafter\n");
    let policies = file(&dir, "policies.toml", POLICIES);
    let args = ["replay", "--incidents", "--seeds", "1..=1", "--policy", &policies, "--markdown", &page];
    let output = tripcoil(&args);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("before\n") && text.ends_with("after\n") && !text.contains("old"), "{text}");
    assert!(text.contains(out(&output)));
    assert!(out(&output).contains("| own-network "), "{}", out(&output));

    let plain = file(&dir, "plain.md", "no comments\n");
    let output = tripcoil(&["replay", "--incidents", "--seeds", "1..=1", "--policy", &policies, "--markdown", &plain]);
    fails(&output, 1, &["plain.md", "<!-- incidents: begin -->"]);
}

#[test]
fn the_named_policies_can_be_printed_and_given_back() {
    let dir = TempDir::new().unwrap();
    let printed = tripcoil(&["replay", "--print-policies"]);
    let policies = file(&dir, "policies.toml", out(&printed));
    let [own, given] = [vec!["replay", "-"], vec!["replay", "-", "--policy", &policies]];
    assert_eq!(out(&fed(&own, outage().as_bytes())), out(&fed(&given, outage().as_bytes())));
}

#[test]
fn nobody_reading_on_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tripcoil"))
        .args(["generate", "hard-down"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
}

#[test]
fn the_help_documents_the_fields_and_the_exit_codes() {
    let output = tripcoil(&["replay", "--help"]);
    for part in ["duration  how long it took", "Exit codes:", "--max-keys", "[default: 60s]"] {
        assert!(out(&output).contains(part), "{part}");
    }
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/replay.md");
    let docs = fs::read_to_string(docs).unwrap();
    for option in out(&output).split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
        let option = option.trim_matches(|char: char| !char.is_ascii_alphanumeric() && char != '-');
        assert!(docs.contains(option) || ["--help", "--version"].contains(&option), "docs/replay.md lacks {option}");
    }
}
