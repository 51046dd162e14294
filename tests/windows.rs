//! The rate rules: exactly what they say, of exactly the calls that they are taken over.

mod common;

use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{Builder, Cause, CircuitBreaker, Dropped, State, Window, WindowMetrics};

fn rate(share: f64, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.error_rate(share).window(window).minimum_calls(minimum)
}

fn slow(share: f64, duration: Duration, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.slow_call_rate(share).slow_call_duration(duration).window(window).minimum_calls(minimum)
}

fn seen(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a rate rule")
}

fn counts(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let window = seen(breaker);
    (window.calls, window.errors, window.slow_calls)
}

fn is_open(breaker: &CircuitBreaker) -> bool {
    breaker.state() == State::Open
}

fn recover(breaker: &CircuitBreaker) {
    breaker.transition_to(State::HalfOpen);
    succeed(breaker);
    succeed(breaker);
    assert_eq!(breaker.state(), State::Closed);
}

/// Fails as often as may be and once more, which opens.
fn opens_at_exactly(breaker: &CircuitBreaker, failures: u64) {
    for _ in 1..failures {
        fail(breaker);
        assert!(!is_open(breaker), "{failures} were to open, these did: {:?}", seen(breaker));
    }
    fail(breaker);
    assert!(is_open(breaker), "{failures} did not open: {:?}", seen(breaker));
}

#[test]
fn opens_at_exactly_the_fifth_failure_after_ten_thousand_successes() {
    let (breaker, _) = manual(rate(0.5, Window::calls(10), 5));
    (0..10_000).for_each(|_| succeed(&breaker));
    opens_at_exactly(&breaker, 5);
}

#[test]
fn a_window_of_time_rolls_and_does_not_tumble() {
    let window = Window::time(10 * SECOND);
    for start in [Duration::ZERO, Duration::from_micros(1_234_567), 50 * YEAR + TICK] {
        let (breaker, clock) = manual(rate(0.5, window, 4));
        clock.set(start);
        (0..3).for_each(|_| fail(&breaker));
        clock.advance(10 * SECOND - TICK);
        fail(&breaker);
        assert!(is_open(&breaker));

        let (breaker, clock) = manual(rate(0.3, window, 3));
        clock.set(start);
        succeed(&breaker);
        clock.advance(10 * SECOND - TICK);
        succeed(&breaker);
        succeed(&breaker);
        fail(&breaker);
        assert!(!is_open(&breaker), "one of four is less than 0.3");
        clock.advance(TICK);
        fail(&breaker);
        assert!(is_open(&breaker));
        let (breaker, clock) = manual(rate(0.5, window, 4));
        clock.set(start);
        succeed(&breaker);
        clock.advance(10 * SECOND - TICK);
        succeed(&breaker);
        succeed(&breaker);
        fail(&breaker);
        clock.advance(TICK);
        fail(&breaker);
        assert!(is_open(&breaker), "two of the four of the last ten seconds");
    }
}

#[test]
fn ten_seconds_of_one_call_a_second_are_never_more_than_ten_calls() {
    let (breaker, clock) = manual(rate(1.0, Window::time(10 * SECOND), 100));
    for second in 1..=40 {
        succeed(&breaker);
        clock.advance(SECOND);
        let calls = seen(&breaker).calls;
        assert!(calls <= 10, "{calls} calls after {second} s");
        assert!(calls >= 9.min(second), "{calls} calls after {second} s");
    }
    clock.advance(1_000_000 * SECOND);
    assert_eq!(counts(&breaker), (0, 0, 0));
    succeed(&breaker);
    assert_eq!(counts(&breaker), (1, 0, 0));
}

#[test]
fn calls_longer_than_the_window_still_count_when_they_end() {
    let (breaker, clock) = manual(rate(0.5, Window::time(10 * SECOND), 3));
    let permits: Vec<_> = (0..3).map(|_| admitted(&breaker)).collect();
    clock.advance(30 * SECOND);
    permits.into_iter().for_each(tripcoil::Permit::failure);
    assert!(is_open(&breaker));
}

#[test]
fn one_failure_after_a_recovery_does_not_open_again() {
    for window in [Window::calls(10), Window::time(10 * SECOND)] {
        let (breaker, _) = manual(rate(0.5, window, 4));
        for _ in 0..50 {
            opens_at_exactly(&breaker, 4);
            recover(&breaker);
            assert_eq!(counts(&breaker), (0, 0, 0));
        }
    }
}

#[test]
fn slow_calls_open_whether_they_succeed_or_fail() {
    let (breaker, clock) = manual(slow(0.5, 4 * SECOND, Window::calls(10), 5));
    let take = |seconds: u32, succeeds: bool| {
        let permit = admitted(&breaker);
        clock.advance(seconds * SECOND);
        if succeeds { permit.success() } else { permit.failure() }
    };
    take(4, false);
    take(4, true);
    take(0, false);
    take(0, true);
    assert!(!is_open(&breaker));
    assert_eq!(counts(&breaker), (4, 2, 2));
    take(4, true);
    assert!(is_open(&breaker));
    assert_eq!(breaker.metrics().total_slow_count, 3);
}

#[test]
fn exactly_the_share_opens_for_every_size_of_window() {
    for calls in [1, 2, 3, 7, 10, 99, 100, 1_000, 12_345, 100_000_u32] {
        for share in [0.01, 0.1, 1.0 / 3.0, 0.5, 0.7, 0.999, 1.0] {
            let (breaker, _) = manual(rate(share, Window::calls(calls), calls));
            (0..calls).for_each(|_| succeed(&breaker));
            let exact = share * f64::from(calls);
            let least = if (exact - exact.round()).abs() < 1e-6 { exact.round() } else { exact.ceil() };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the window")]
            opens_at_exactly(&breaker, (least as u64).max(1));
        }
    }
}

#[test]
fn seven_of_ten_are_seven_tenths() {
    let (breaker, _) = manual(rate(0.7, Window::calls(10), 10));
    (0..3).for_each(|_| succeed(&breaker));
    opens_at_exactly(&breaker, 7);
}

#[test]
fn a_window_is_exact_after_millions_of_successes_and_again_after_each_recovery() {
    let (breaker, _) = manual(rate(0.3, Window::calls(1_000), 500));
    for _ in 0..3 {
        (0..2_000_000).for_each(|_| succeed(&breaker));
        opens_at_exactly(&breaker, 300);
        recover(&breaker);
    }
}

#[test]
fn what_has_left_the_window_no_longer_counts() {
    let (breaker, _) = manual(rate(0.5, Window::calls(10), 10));
    for _ in 0..1_000 {
        (0..4).for_each(|_| fail(&breaker));
        (0..6).for_each(|_| succeed(&breaker));
        assert_eq!(counts(&breaker), (10, 4, 0));
    }
    assert!(!is_open(&breaker));
}

#[test]
fn a_success_never_opens() {
    let (breaker, _) = manual(rate(0.5, Window::calls(10), 5));
    (0..4).for_each(|_| fail(&breaker));
    succeed(&breaker);
    assert_eq!(counts(&breaker), (5, 4, 0), "the rule is met, but by a success");
    assert!(!is_open(&breaker));
    fail(&breaker);
    assert!(is_open(&breaker));
}

#[test]
fn ignored_calls_and_neutral_drops_are_in_no_window() {
    let (breaker, clock) = manual(slow(0.5, SECOND, Window::calls(4), 1));
    ignore(&breaker);
    let permit = admitted(&breaker);
    clock.advance(SECOND);
    drop(permit);
    assert_eq!(counts(&breaker), (0, 0, 0));
    assert_eq!(breaker.metrics().total_slow_count, 0);
}

#[test]
fn a_drop_that_counts_as_a_failure_is_slow_if_it_took_that_long() {
    let limit = 2 * SECOND;
    let rules = slow(1.0, limit, Window::calls(10), 10);
    let (breaker, clock) = manual(|settings| rules(settings).dropped_calls(Dropped::FailureAfter(limit)));
    let permit = admitted(&breaker);
    clock.advance(limit - TICK);
    drop(permit);
    assert_eq!(counts(&breaker), (0, 0, 0));
    let permit = admitted(&breaker);
    clock.advance(limit);
    drop(permit);
    assert_eq!(counts(&breaker), (1, 1, 1));
}

#[test]
fn a_slow_probe_is_a_failed_probe() {
    let recorder = Recorder::default();
    let rules = slow(0.5, SECOND, Window::calls(10), 5);
    let (breaker, clock) = manual(|settings| rules(settings).on_transition(recorder.observer()));
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    clock.advance(SECOND);
    probe.success();
    assert!(is_open(&breaker));
    assert_eq!(recorder.seen()[1].cause, Cause::ProbeFailed);
    assert_eq!(breaker.metrics().total_success_count, 1);
}

#[test]
fn the_transition_says_which_rule_was_met_and_by_what() {
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| {
        let settings = settings.error_rate(0.6).slow_call_rate(0.5).slow_call_duration(SECOND).error_threshold(4);
        settings.window(Window::calls(10)).minimum_calls(3).on_transition(recorder.observer())
    });
    let slow_success = || {
        let permit = admitted(&breaker);
        clock.advance(SECOND);
        permit.success();
    };
    (0..3).for_each(|_| fail(&breaker));
    recover(&breaker);
    succeed(&breaker);
    slow_success();
    slow_success();
    recover(&breaker);
    (0..10).for_each(|_| succeed(&breaker));
    (0..4).for_each(|_| fail(&breaker));
    let openings: Vec<_> = recorder.seen().into_iter().filter(|transition| transition.to == State::Open).collect();
    let told: Vec<_> = openings
        .iter()
        .map(|transition| {
            let window = transition.window.expect("there are rate rules");
            (transition.cause, (window.calls, window.errors, window.slow_calls))
        })
        .collect();
    assert_eq!(
        told,
        [(Cause::ErrorRate, (3, 3, 0)), (Cause::SlowCallRate, (3, 0, 2)), (Cause::ErrorThreshold, (10, 4, 0))]
    );
}

#[test]
fn metrics_change_nothing() {
    let (breaker, clock) = manual(slow(0.5, SECOND, Window::time(10 * SECOND), 2));
    let _hangs = [admitted(&breaker), admitted(&breaker)];
    clock.advance(5 * SECOND);
    for _ in 0..10 {
        assert_eq!((counts(&breaker), seen(&breaker).hanging_calls), ((0, 0, 0), 2));
        assert!(!is_open(&breaker), "looking opens nothing");
    }
}

#[test]
fn a_dependency_that_stops_answering_opens_while_its_calls_hang() {
    for window in [Window::calls(20), Window::time(60 * SECOND)] {
        let recorder = Recorder::default();
        let rules = slow(0.5, 2 * SECOND, window, 10);
        let (breaker, clock) = manual(|settings| rules(settings).on_transition(recorder.observer()));
        let mut hanging = Vec::new();
        let mut waited = Duration::ZERO;
        while let Ok(permit) = breaker.try_acquire() {
            hanging.push(permit);
            clock.advance(100 * MILLI);
            waited += 100 * MILLI;
            assert!(waited < 6 * SECOND, "nobody has noticed");
        }
        assert!(waited >= 2 * SECOND, "a call hangs after two seconds, not after {waited:?}");
        assert_eq!(recorder.seen()[0].cause, Cause::SlowCallRate);
        let window = recorder.seen()[0].window.unwrap();
        assert!(window.hanging_calls >= 10 && (window.calls, window.slow_calls) == (0, 0), "{window:?}");

        recover(&breaker);
        clock.advance(60 * SECOND);
        hanging.into_iter().for_each(tripcoil::Permit::failure);
        assert_eq!(counts(&breaker), (0, 0, 0), "they belong to the episode before");
    }
}

#[test]
fn a_call_that_hangs_is_seen_at_most_a_quarter_of_the_duration_late_and_never_early() {
    let duration = 8 * SECOND;
    for start in [Duration::ZERO, Duration::from_micros(777_777), 3 * SECOND - TICK] {
        let (breaker, clock) = manual(slow(1.0, duration, Window::calls(10), 1));
        clock.set(start);
        let _hangs = admitted(&breaker);
        clock.set(start + duration - TICK);
        assert_eq!(seen(&breaker).hanging_calls, 0);
        clock.set(start + duration + 2 * SECOND);
        assert_eq!(seen(&breaker).hanging_calls, 1);
        assert!(breaker.try_acquire().is_err(), "the next caller looks");
    }
}

#[test]
fn a_call_that_hangs_counts_once_also_when_it_ends() {
    let (breaker, clock) = manual(slow(1.0, SECOND, Window::calls(10), 10));
    let hangs = admitted(&breaker);
    clock.advance(5 * SECOND);
    assert_eq!((counts(&breaker), seen(&breaker).hanging_calls), ((0, 0, 0), 1));
    thread::scope(|scope| {
        scope.spawn(|| hangs.success());
    });
    assert_eq!((counts(&breaker), seen(&breaker).hanging_calls), ((1, 0, 1), 0));
    assert_eq!(breaker.metrics().total_slow_count, 1);
}

#[test]
fn an_untimed_call_neither_hangs_nor_is_slow() {
    let (breaker, clock) = manual(slow(1.0, SECOND, Window::calls(10), 1));
    let stream = admitted(&breaker).untimed();
    clock.advance(100 * SECOND);
    assert_eq!(counts(&breaker), (0, 0, 0));
    stream.success();
    assert_eq!(counts(&breaker), (1, 0, 0));
    assert_eq!(breaker.metrics().total_slow_count, 0);
}

#[test]
fn a_window_begins_anew_after_the_clock_has_stepped_back() {
    let (breaker, clock) = manual(|settings| {
        let settings = settings.error_rate(1.0).slow_call_rate(1.0).slow_call_duration(SECOND);
        settings.window(Window::time(10 * SECOND)).minimum_calls(100)
    });
    clock.set(100 * SECOND);
    fail(&breaker);
    succeed(&breaker);
    clock.set(40 * SECOND);
    fail(&breaker);
    succeed(&breaker);
    assert_eq!(counts(&breaker), (2, 1, 0));
    clock.set(Duration::MAX);
    succeed(&breaker);
    clock.set(Duration::ZERO);
    succeed(&breaker);
    assert!(!is_open(&breaker));
}

#[test]
fn the_rates_are_shares_of_the_calls() {
    let (breaker, _) = manual(rate(1.0, Window::calls(8), 8));
    let empty = seen(&breaker);
    assert!(empty.error_rate().abs() < f64::EPSILON && empty.slow_call_rate().abs() < f64::EPSILON);
    fail(&breaker);
    (0..3).for_each(|_| succeed(&breaker));
    assert!((seen(&breaker).error_rate() - 0.25).abs() < f64::EPSILON);
}

#[test]
fn calls_that_were_slow_and_calls_that_hang_meet_a_rate_together() {
    for window in [Window::calls(4), Window::time(60 * SECOND)] {
        let (breaker, clock) = manual(slow(0.5, SECOND, window, 4));
        let slow = admitted(&breaker);
        clock.advance(SECOND);
        slow.success();
        succeed(&breaker);
        succeed(&breaker);
        let _hangs = admitted(&breaker);
        clock.advance(2 * SECOND);
        assert!(breaker.try_acquire().is_err(), "one was slow and one hangs, of four");
    }
}

#[test]
fn a_rate_that_is_met_because_successes_grow_old_opens_nothing() {
    let rules = slow(1.0, SECOND, Window::time(16 * SECOND), 2);
    let (breaker, clock) = manual(|settings| rules(settings).error_rate(0.5));
    for _ in 0..3 {
        succeed(&breaker);
    }
    clock.advance(10 * SECOND);
    for _ in 0..2 {
        fail(&breaker);
    }
    clock.advance(7 * SECOND);
    assert_eq!(counts(&breaker), (2, 2, 0));
    let call = admitted(&breaker);
    assert!(!is_open(&breaker), "only a failure, or a call that is slow or hangs, opens");
    call.failure();
    assert!(is_open(&breaker));
}
