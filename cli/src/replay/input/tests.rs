use super::*;
use proptest::prelude::*;
use tripcoil::Outcome;

const OPTIONS: Options = Options {
    time_unit: Unit::S,
    duration_unit: Unit::S,
    reorder: Duration::from_secs(60),
    max_keys: 3,
    strict: false,
};

fn read_all(input: &[u8], options: Options) -> Result<(Coverage, Vec<Call>), Broken> {
    let mut calls = Vec::new();
    let (coverage, _) = read(input, options, |call| {
        calls.push(call);
        true
    })?;
    Ok((coverage, calls))
}

fn read_text(text: &str) -> (Coverage, Vec<Call>) {
    read_all(text.as_bytes(), OPTIONS).unwrap()
}

fn reasons(text: &str) -> Vec<String> {
    read_text(text).0.first_bad_lines.into_iter().map(|bad| format!("{}: {}", bad.line, bad.reason)).collect()
}

#[test]
fn json_lines_and_csv_give_the_same_calls() {
    let json = r#"
        {"time": 1.5, "key": "db", "duration": 0.25, "outcome": "success"}
        {"outcome": "trip 30s", "time": "1970-01-01T00:00:02Z", "duration": "1ms", "status": 503, "key": "a\"b"}
        {"time": "3", "duration": 2e-3, "outcome": "dropped", "key": null}
    "#;
    let csv = "Outcome, status,time,key,duration\r\nsuccess,200,1.5,db,0.25\r\n\r\n\
        trip 30s,503,1970-01-01T00:00:02Z,\"a\"\"b\",1ms\r\ndropped,,3,,2ms\r\n";
    let (_, calls) = read_text(json);
    assert_eq!(calls, read_text(csv).1);
    let outcomes: Vec<_> = calls.iter().map(|call| call.outcome).collect();
    let trip = Outcome::Trip { open_for: Duration::from_secs(30) };
    assert_eq!(outcomes, [Some(Outcome::Success), Some(trip), None]);
    let keys: Vec<_> = calls.iter().map(|call| call.key).collect();
    assert_eq!(keys, [0, 1, 2]);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let (coverage, calls) = read_text("\u{FEFF}time,duration,outcome\n1,2,ignored\n");
    assert_eq!((coverage.lines, calls.len()), (1, 1));
    let (coverage, calls) = read_text("\u{FEFF}{\"time\":1,\"duration\":0,\"outcome\":\"ignored\"}");
    assert_eq!((coverage.lines, calls.len(), coverage.without_duration), (1, 1, 1));
}

#[test]
fn bad_lines_are_counted_and_the_first_are_named() {
    let text = r#"{"time":1,"duration":0.1,"outcome":"success"}
{"time":NaN,"duration":0.1,"outcome":"success"}
{"time":1,"duration":"NaN","outcome":"success"}
{"time":-3,"duration":1,"outcome":"success"}
{"time":1,"duration":1,"outcome":"OK"}
{"time":1,"duration":1}
[1,2]
{"time":1,"duration":1,"outcome":"success"}"#;
    let (coverage, calls) = read_text(text);
    assert_eq!((coverage.lines, coverage.bad_lines, calls.len()), (8, 6, 2));
    let reasons = reasons(text);
    assert_eq!(reasons.len(), NAMED);
    for (reason, part) in reasons.iter().zip([
        "2: is no call: expected value at column 9",
        "3: `duration` is \"NaN\", allowed is a number that is not negative",
        "4: `time` is \"-3\", allowed is a number that is not negative",
        "5: `outcome` is \"OK\", allowed is success, failure, ignored, dropped",
        "6: is no call: missing field `outcome`",
    ]) {
        assert!(reason.starts_with(part), "{reason}");
    }
}

#[test]
fn lines_of_a_csv_that_are_no_records_are_bad() {
    let text = "time,duration,outcome\n1,2\n\"1,2,success\n1,2,success,more\n";
    let (coverage, calls) = read_text(text);
    assert_eq!((coverage.bad_lines, calls.len()), (2, 1));
    assert_eq!(reasons(text)[0], "2: has no column `outcome`");
}

#[test]
fn what_is_not_utf_8_or_too_long_is_bad() {
    let mut input = br#"{"time":1,"duration":1,"outcome":"success","key":"#.to_vec();
    input.extend(b"\"\xFF\"}\n");
    input.extend(format!("{{\"time\":1,\"key\":\"{}\"", "k".repeat(MAX_LINE)).as_bytes());
    input.extend(
        format!("\n{{\"time\":1,\"duration\":1,\"outcome\":\"success\",\"key\":\"{}\"}}", "k".repeat(2000)).as_bytes(),
    );
    let (coverage, calls) = read_all(&input, OPTIONS).unwrap();
    assert_eq!((coverage.lines, coverage.bad_lines, calls.len()), (3, 3, 0));
    let reasons: Vec<_> = coverage.first_bad_lines.iter().map(|bad| bad.reason.as_str()).collect();
    assert_eq!(reasons, ["is not UTF-8", "is longer than 65536 bytes", "`key` has 2000 bytes, allowed are 1024"]);
}

#[test]
fn an_input_without_a_known_format_is_refused_with_what_is_missing() {
    let error = read_all(b"GET / HTTP/1.1\nmore", OPTIONS).unwrap_err();
    assert!(matches!(&error, Broken::Header(message) if message.contains("column `time`")), "{error:?}");
}

#[test]
fn strict_ends_at_the_first_bad_line() {
    let text = b"time,duration,outcome\n1,1,success\n1,1,what\n1,1,ever\n";
    let error = read_all(text, Options { strict: true, ..OPTIONS }).unwrap_err();
    assert!(matches!(&error, Broken::Line(bad) if bad.line == 3), "{error:?}");
}

#[test]
fn calls_come_in_the_order_of_time_and_too_late_ones_are_bad() {
    let line = |time| format!("{{\"time\":{time},\"duration\":1,\"outcome\":\"success\"}}\n");
    let text: String = [100, 50, 80, 170, 99, 109, 200].map(line).concat();
    let (coverage, calls) = read_text(&text);
    let times: Vec<_> = calls.iter().map(|call| call.time.as_secs()).collect();
    assert_eq!(times, [50, 80, 100, 109, 170, 200]);
    assert_eq!((coverage.bad_lines, coverage.out_of_order), (1, 3));
    assert_eq!(reasons(&text), ["5: starts 1s before a call that was replayed already; see --reorder"]);
}

#[test]
fn a_million_keys_take_the_room_of_those_that_are_kept() {
    let lines = (0..1_000_000).map(|key| format!("1,{key},0.1,success\n"));
    let text: String = std::iter::once("time,key,duration,outcome\n".into()).chain(lines).collect();
    let (coverage, calls) = read_text(&text);
    assert_eq!((coverage.keys, coverage.beyond_max_keys, calls.len()), (3, 999_997, 3));
}

proptest! {
    #[test]
    fn no_input_panics(input in any::<Vec<u8>>(), lines in proptest::collection::vec("[{}:,\"a-z0-9. \\\\]{0,40}", 0..9)) {
        let _ = read_all(&input, OPTIONS);
        let text = format!("time,key,duration,outcome\n{}", lines.join("\n"));
        read_all(text.as_bytes(), OPTIONS).unwrap();
        let text = format!("{{\n{}", lines.join("\n"));
        read_all(text.as_bytes(), OPTIONS).unwrap();
    }
}
