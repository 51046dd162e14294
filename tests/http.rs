//! What HTTP and gRPC responses say about the health of the server, and what a rejected call is answered.
#![cfg(feature = "http")]

mod common;

use std::time::Duration;

use common::*;
use http::{HeaderMap, Response, StatusCode};
use tripcoil::http::{ByGrpcStatus, ByStatus, unavailable};
use tripcoil::{CircuitBreaker, Judge, Outcome, State};

type Reply = Result<Response<()>, &'static str>;

fn reply(status: u16, headers: &[(&str, &str)]) -> Reply {
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
    response.body(()).map_err(|_| "no valid header")
}

fn trip(seconds: u64) -> Outcome {
    Outcome::Trip { open_for: Duration::from_secs(seconds) }
}

#[test]
fn every_status_counts_as_the_table_has_it() {
    let outcome = |status| ByStatus::new().judge(&reply(status, &[]));
    for status in 100..1000 {
        let expected = match status {
            100..=399 => Outcome::Success,
            429 | 500..=999 => Outcome::Failure,
            _ => Outcome::Ignored,
        };
        assert_eq!(outcome(status), expected, "{status}");
    }
}

#[test]
fn retry_after_trips_with_429_and_503_alone() {
    for status in 100..1000 {
        let plain = ByStatus::new().judge(&reply(status, &[]));
        let asking = ByStatus::new().judge(&reply(status, &[("retry-after", "20")]));
        assert_eq!(asking, if matches!(status, 429 | 503) { trip(20) } else { plain }, "{status}");
    }
}

#[test]
fn retry_after_may_be_a_date() {
    let date = ("date", "Mon, 23 Nov 2026 23:59:30 GMT");
    let wait = ("retry-after", "Tue, 24 Nov 2026 00:00:15 GMT");
    assert_eq!(ByStatus::new().judge(&reply(503, &[date, wait])), trip(45));
    assert_eq!(ByStatus::new().judge(&reply(503, &[wait])), Outcome::Failure);
    assert_eq!(ByStatus::new().judge(&reply(503, &[("retry-after", date.1), date])), Outcome::Failure);
}

#[test]
fn server_cannot_close_the_way_to_itself_for_longer_than_the_maximum() {
    let day = reply(429, &[("retry-after", "86400")]);
    let endless = reply(429, &[("retry-after", "99999999999999999999")]);
    let short = reply(429, &[("retry-after", "1")]);
    assert_eq!(ByStatus::default().judge(&day), trip(300));
    let judge = ByStatus::new().max_retry_after(30 * SECOND);
    assert_eq!([&day, &endless, &short].map(|reply| judge.judge(reply)), [trip(30), trip(30), trip(1)]);
    let never = ByStatus::new().max_retry_after(Duration::ZERO);
    assert_eq!([&day, &endless, &short].map(|reply| never.judge(reply)), [Outcome::Failure; 3]);
}

#[test]
fn wait_of_nothing_is_a_plain_failure() {
    for wait in ["0", "", "soon", "-5", "1.5"] {
        assert_eq!(ByStatus::new().judge(&reply(503, &[("retry-after", wait)])), Outcome::Failure, "{wait:?}");
    }
}

#[test]
fn no_response_is_a_failure() {
    assert_eq!(ByStatus::new().judge(&Reply::Err("refused")), Outcome::Failure);
    assert_eq!(ByGrpcStatus::new().judge(&Reply::Err("refused")), Outcome::Failure);
}

#[test]
fn every_code_of_grpc_counts_as_the_table_has_it() {
    let failures = [2, 4, 8, 13, 14, 15];
    for code in -1..20 {
        let expected = match code {
            0 => Outcome::Success,
            code if failures.contains(&code) || !(0..=16).contains(&code) => Outcome::Failure,
            _ => Outcome::Ignored,
        };
        assert_eq!(ByGrpcStatus::new().outcome(code), expected, "{code}");
        assert_eq!(ByGrpcStatus::new().judge(&reply(200, &[("grpc-status", &code.to_string())])), expected, "{code}");
    }
}

#[test]
fn code_of_grpc_that_is_not_written_as_the_specification_has_it_is_unknown() {
    for code in ["fine", "", "+0", "-0", "00", "000", "05", "+5", "0x0", "0.0", "5 ", "0,0", "17", "256", "4294967296"]
    {
        let judge = ByGrpcStatus::new();
        assert_eq!(judge.judge(&reply(200, &[("grpc-status", code)])), Outcome::Failure, "{code:?}");
    }
}

#[test]
fn longest_of_several_waits_counts() {
    let waits = ["soon", "20", "60", "Sun, 06 Nov 1994 08:49:40 GMT", "", "7"].map(|wait| ("retry-after", wait));
    let judged = |headers: &[(&str, &str)]| ByStatus::new().judge(&reply(503, headers));
    assert_eq!(judged(&waits), trip(60));
    assert_eq!(judged(&waits[3..]), trip(7));
    assert_eq!(judged(&[&waits[1..], &[("date", "Sun, 06 Nov 1994 08:48:00 GMT")]].concat()), trip(100));
    assert_eq!(judged(&waits[..1]), Outcome::Failure);
    assert_eq!(judged(&[waits[0], waits[4]]), Outcome::Failure);
}

#[test]
fn response_without_a_code_is_a_stream_that_began_or_a_proxy_that_speaks() {
    let judge = ByGrpcStatus::new();
    assert_eq!(judge.judge(&reply(200, &[])), Outcome::Success);
    assert_eq!(judge.judge(&reply(502, &[])), Outcome::Failure);
    assert_eq!(judge.judge(&reply(401, &[])), Outcome::Ignored);
    assert_eq!(judge.judge(&reply(503, &[("retry-after", "60")])), trip(60));
    let strict = judge.proxies(ByStatus::new().max_retry_after(SECOND));
    assert_eq!(strict.judge(&reply(503, &[("retry-after", "60")])), trip(1));
    // The code has the last word.
    assert_eq!(judge.judge(&reply(503, &[("grpc-status", "5"), ("retry-after", "60")])), Outcome::Ignored);
}

#[test]
fn status_and_headers_are_enough() {
    let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "9".parse().unwrap())]);
    assert_eq!(ByStatus::new().outcome(StatusCode::TOO_MANY_REQUESTS, &headers), trip(9));
}

#[test]
fn breaker_stays_open_for_as_long_as_the_server_asked() {
    let (breaker, _clock) = manual(|settings| settings);
    let response =
        breaker.call_sync_with(|| reply(429, &[("retry-after", "17")]), |result| ByStatus::new().judge(result));
    assert_eq!(response.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(is_open_for(&breaker, 17 * SECOND));
}

#[test]
fn rejection_is_answered_with_503_and_the_seconds_rounded_up() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(20 * SECOND);
    for (passed, seconds) in [(Duration::ZERO, "20"), (MILLI, "20"), (999 * MILLI, "19"), (18_999 * MILLI, "1")] {
        clock.advance(passed);
        let response = unavailable::<String>(&refused(&breaker));
        assert_eq!((response.status(), response.body().as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
        assert_eq!(response.headers()["retry-after"], seconds);
    }
    breaker.open_for(Duration::MAX);
    assert!(
        unavailable::<()>(&refused(&breaker)).headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap()
            > 1 << 30
    );
}

#[test]
fn rejection_for_an_unknown_time_promises_none() {
    let breaker = CircuitBreaker::new("test");
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    assert!(unavailable::<()>(&refused(&breaker)).headers().is_empty());
    drop(probe);
    breaker.force_open();
    assert!(unavailable::<()>(&refused(&breaker)).headers().is_empty());
}
