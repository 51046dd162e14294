//! Each re-opening waits longer, up to a maximum, and replicas wait for different times.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use tripcoil::{Builder, CircuitBreaker, State};

type Act = fn(&CircuitBreaker);

fn wait_of(breaker: &CircuitBreaker) -> Duration {
    assert_eq!(breaker.state(), State::Open);
    breaker.metrics().retry_after.unwrap()
}

fn five_seconds_times_one_and_a_half(settings: Builder) -> Builder {
    settings.error_threshold(1).success_threshold(1).reset_timeout(5 * SECOND).reset_backoff(1.5, 20 * SECOND)
}

#[test]
fn each_opening_out_of_half_open_waits_longer_up_to_the_maximum() {
    let (breaker, clock) = manual(five_seconds_times_one_and_a_half);
    fail(&breaker);
    for millis in [5_000, 7_500, 11_250, 16_875, 20_000, 20_000] {
        assert_eq!(wait_of(&breaker), millis * MILLI);
        fail_a_probe(&breaker, &clock);
    }
}

#[test]
fn the_second_opening_refuses_until_its_own_deadline() {
    let (breaker, clock) = manual(five_seconds_times_one_and_a_half);
    fail(&breaker);
    fail_a_probe(&breaker, &clock);
    clock.advance(6 * SECOND);
    assert_eq!(refused(&breaker).retry_after(), Some(1_500 * MILLI));
    clock.advance(1_500 * MILLI);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn without_a_backoff_every_opening_waits_the_same() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND));
    breaker.transition_to(State::Open);
    for _ in 0..10 {
        assert_eq!(wait_of(&breaker), 5 * SECOND);
        fail_a_probe(&breaker, &clock);
    }
}

#[test]
fn a_close_starts_the_backoff_over() {
    let ways: [(&str, Act); 3] = [
        ("by probes", |breaker| {
            breaker.transition_to(State::HalfOpen);
            succeed(breaker);
        }),
        ("by hand", |breaker| breaker.transition_to(State::Closed)),
        ("by reset", CircuitBreaker::reset),
    ];
    for (name, close) in ways {
        let (breaker, clock) = manual(five_seconds_times_one_and_a_half);
        fail(&breaker);
        fail_a_probe(&breaker, &clock);
        fail_a_probe(&breaker, &clock);
        assert_eq!(wait_of(&breaker), 11_250 * MILLI);
        close(&breaker);
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker);
        assert_eq!(wait_of(&breaker), 5 * SECOND, "{name}");
        fail_a_probe(&breaker, &clock);
        assert_eq!(wait_of(&breaker), 7_500 * MILLI, "{name}");
    }
}

#[test]
fn opening_by_hand_is_for_the_current_reset_timeout() {
    let (breaker, clock) = manual(five_seconds_times_one_and_a_half);
    breaker.transition_to(State::Open);
    assert_eq!(wait_of(&breaker), 5 * SECOND);
    fail_a_probe(&breaker, &clock);
    clock.advance(3 * SECOND);
    breaker.transition_to(State::Open);
    assert_eq!(wait_of(&breaker), 7_500 * MILLI);
    breaker.transition_to(State::HalfOpen);
    breaker.transition_to(State::Open);
    assert_eq!(wait_of(&breaker), 11_250 * MILLI);
}

#[test]
fn a_time_given_is_for_this_once_and_an_opening_like_any_other() {
    let ways: [(&str, Act); 2] =
        [("open_for", |breaker| breaker.open_for(3 * SECOND)), ("trip", |breaker| trip(breaker, 3 * SECOND))];
    for (name, open) in ways {
        let (breaker, clock) = manual(five_seconds_times_one_and_a_half);
        open(&breaker);
        assert_eq!(wait_of(&breaker), 3 * SECOND, "{name}");
        clock.advance(3 * SECOND);
        drop(admitted(&breaker));
        open(&breaker);
        assert_eq!(wait_of(&breaker), 3 * SECOND, "{name}");
        fail_a_probe(&breaker, &clock);
        assert_eq!(wait_of(&breaker), 11_250 * MILLI, "{name}");
    }
}

#[test]
fn a_huge_factor_saturates() {
    for factor in [1e9, 1e300, f64::MAX] {
        for (max, least) in [(Duration::MAX, YEAR), (60 * SECOND, 60 * SECOND)] {
            let (breaker, _clock) = manual(|settings| settings.reset_backoff(factor, max));
            for _ in 0..5 {
                breaker.transition_to(State::HalfOpen);
                fail(&breaker);
                assert!(wait_of(&breaker) >= least && wait_of(&breaker) <= max);
                refused(&breaker);
            }
        }
    }
}

#[test]
fn a_maximum_of_the_reset_timeout_allows_no_backoff() {
    let (breaker, clock) = manual(|settings| settings.reset_backoff(2.0, 30 * SECOND));
    breaker.transition_to(State::Open);
    fail_a_probe(&breaker, &clock);
    assert_eq!(wait_of(&breaker), 30 * SECOND);
}

#[test]
fn an_outage_of_thousands_of_openings_stays_at_the_maximum() {
    let (breaker, clock) = manual(|settings| settings.reset_backoff(1.01, 60 * SECOND));
    breaker.transition_to(State::Open);
    let mut longest = Duration::ZERO;
    for _ in 0..3_000 {
        fail_a_probe(&breaker, &clock);
        assert!(wait_of(&breaker) >= longest);
        longest = wait_of(&breaker);
    }
    assert_eq!(longest, 60 * SECOND);
}

#[test]
fn jitter_lengthens_by_up_to_its_share_and_never_shortens() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(10 * SECOND).reset_jitter(0.2));
    breaker.transition_to(State::Open);
    let waits: BTreeSet<_> = (0..500)
        .map(|_| {
            let wait = wait_of(&breaker);
            fail_a_probe(&breaker, &clock);
            wait
        })
        .collect();
    assert!(*waits.first().unwrap() >= 10 * SECOND);
    assert!(*waits.last().unwrap() <= 12 * SECOND);
    // Of 500 draws, that none is in the first or the last quarter has a chance of 1 in 10⁶².
    assert!(*waits.first().unwrap() < Duration::from_millis(10_500));
    assert!(*waits.last().unwrap() > Duration::from_millis(11_500));
}

#[test]
fn jitter_lengthens_the_wait_that_the_backoff_came_to() {
    let (breaker, clock) =
        manual(|settings| settings.reset_timeout(SECOND).reset_backoff(2.0, 8 * SECOND).reset_jitter(0.5));
    breaker.transition_to(State::Open);
    for seconds in [1, 2, 4, 8, 8, 8] {
        let wait = wait_of(&breaker);
        assert!(wait >= seconds * SECOND && wait <= seconds * SECOND * 3 / 2, "{wait:?}");
        fail_a_probe(&breaker, &clock);
    }
}

#[test]
fn replicas_with_jitter_wait_for_different_times() {
    let waits: BTreeSet<_> = (0..20)
        .map(|_| {
            let (breaker, _clock) = manual(|settings| settings.reset_jitter(1.0));
            breaker.transition_to(State::Open);
            wait_of(&breaker)
        })
        .collect();
    assert!(waits.len() > 1);
}

#[test]
fn jitter_leaves_a_time_that_was_given_alone() {
    let (breaker, _clock) = manual(|settings| settings.reset_jitter(1.0));
    for _ in 0..20 {
        breaker.open_for(7 * SECOND);
        assert_eq!(wait_of(&breaker), 7 * SECOND);
        breaker.reset();
        trip(&breaker, 9 * SECOND);
        assert_eq!(wait_of(&breaker), 9 * SECOND);
        breaker.reset();
    }
}
