//! Probes that are silent are replaced by a new round of probes. What they answer late still counts, and they hold up
//! nothing.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, Cause, CircuitBreaker, Outcome, Permit, State};

const SILENCE: Duration = Duration::from_secs(5);

/// A half-open breaker on which a probe is silent after five seconds.
fn half_open(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = manual(|builder| settings(builder.probe_timeout(SILENCE)));
    breaker.transition_to(State::HalfOpen);
    (breaker, clock)
}

/// Takes all places that there are.
fn probes(breaker: &CircuitBreaker) -> Vec<Permit<'_>> {
    std::iter::from_fn(|| breaker.try_acquire().ok()).collect()
}

/// How many places are free.
fn free_places(breaker: &CircuitBreaker) -> usize {
    probes(breaker).len()
}

#[test]
fn after_one_silent_probe_recovery_takes_two_further_probes_and_no_further_wait() {
    let (breaker, clock) = manual(|settings| settings);
    (0..5).for_each(|_| fail(&breaker));
    clock.advance(30 * SECOND);
    let _silent = admitted(&breaker);
    clock.advance(30 * SECOND - TICK);
    refused(&breaker);
    clock.advance(TICK);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn after_one_silent_probe_twenty_successes_are_twenty_probes_and_no_further_wait() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(20));
    let _silent = admitted(&breaker);
    clock.advance(SILENCE);
    for successes in 0..20 {
        assert_eq!(consecutive(&breaker), (0, successes));
        succeed(&breaker);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_place_of_the_new_round_comes_back_by_every_outcome() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(9).half_open_error_threshold(9));
    let _silent = admitted(&breaker);
    clock.advance(SILENCE);
    for outcome in [Some(Outcome::Success), Some(Outcome::Failure), Some(Outcome::Ignored), None] {
        let probe = admitted(&breaker);
        refused(&breaker);
        match outcome {
            Some(outcome) => probe.record(outcome),
            None => drop(probe),
        }
        assert_eq!(free_places(&breaker), 1, "{outcome:?}");
    }
}

#[test]
fn five_thousand_silent_probes_lock_nothing() {
    let (breaker, clock) = half_open(|settings| settings);
    let mut silent = Vec::new();
    for number in 0..5_000 {
        let probe = breaker.try_acquire().unwrap_or_else(|_| panic!("probe {number} is not admitted"));
        silent.push(probe);
        refused(&breaker);
        clock.advance(SILENCE);
    }
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.metrics().active_calls, 5_000);
    silent.into_iter().for_each(Permit::failure);
    assert_eq!((breaker.state(), consecutive(&breaker).0), (State::Closed, 0), "they are late");
}

#[test]
fn thousands_of_silent_probes_that_are_dropped_free_no_place() {
    let (breaker, clock) = half_open(|settings| settings);
    let mut silent = Vec::new();
    for _ in 0..5_000 {
        silent.extend(breaker.try_acquire());
        clock.advance(SILENCE);
    }
    let probe = admitted(&breaker);
    drop(silent);
    refused(&breaker);
    drop(probe);
    assert_eq!(free_places(&breaker), 1);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn a_dependency_slower_than_the_probe_timeout_closes_the_breaker() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(4));
    let mut earlier = admitted(&breaker);
    for successes in 0..4 {
        assert_eq!(consecutive(&breaker), (0, successes));
        clock.advance(SILENCE);
        let later = admitted(&breaker);
        clock.advance(2 * SECOND);
        earlier.success();
        earlier = later;
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn probes_of_many_rounds_ago_still_close_the_breaker() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(3));
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(admitted(&breaker));
        clock.advance(SILENCE);
    }
    for probe in [silent.swap_remove(0), silent.swap_remove(300), silent.swap_remove(1)] {
        assert_eq!(breaker.state(), State::HalfOpen);
        probe.success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_silent_probe_that_answers_frees_no_place() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(9).half_open_error_threshold(9));
    for outcome in [Some(Outcome::Success), Some(Outcome::Failure), Some(Outcome::Ignored), None] {
        let silent = admitted(&breaker);
        clock.advance(SILENCE);
        let probe = admitted(&breaker);
        match outcome {
            Some(outcome) => silent.record(outcome),
            None => drop(silent),
        }
        refused(&breaker);
        drop(probe);
        assert_eq!(free_places(&breaker), 1, "{outcome:?}");
    }
}

#[test]
fn a_silent_probe_that_succeeds_raises_no_capacity() {
    let (breaker, clock) = half_open(|settings| settings.half_open_max_capacity(4).success_threshold(9));
    let silent = admitted(&breaker);
    clock.advance(SILENCE);
    drop(admitted(&breaker));
    silent.success();
    assert_eq!(consecutive(&breaker), (0, 1));
    assert_eq!(free_places(&breaker), 1);
    succeed(&breaker);
    assert_eq!(free_places(&breaker), 2, "one of the current round does");
}

#[test]
fn a_new_round_begins_without_what_slow_start_had_raised() {
    let (breaker, clock) =
        half_open(|settings| settings.half_open_capacity(2).half_open_max_capacity(8).success_threshold(9));
    (0..3).for_each(|_| succeed(&breaker));
    let silent = probes(&breaker);
    assert_eq!(silent.len(), 5);
    clock.advance(SILENCE);
    assert_eq!(free_places(&breaker), 2, "the first of the round is one of them");
    assert_eq!(consecutive(&breaker), (0, 3), "successes stay");
    succeed(&breaker);
    assert_eq!(free_places(&breaker), 3);
}

#[test]
fn successes_and_errors_stay_when_a_new_round_begins() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(3).half_open_error_threshold(2));
    fail(&breaker);
    succeed(&breaker);
    succeed(&breaker);
    let _silent = admitted(&breaker);
    clock.advance(SILENCE);
    let probe = admitted(&breaker);
    assert_eq!(consecutive(&breaker), (1, 2));
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_silent_probe_that_fails_ends_the_successes_and_counts_as_an_error() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(9).half_open_error_threshold(2));
    let first = admitted(&breaker);
    clock.advance(SILENCE);
    let second = admitted(&breaker);
    clock.advance(SILENCE);
    succeed(&breaker);
    succeed(&breaker);
    first.failure();
    assert_eq!(consecutive(&breaker), (1, 0));
    succeed(&breaker);
    second.failure();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_silent_probe_that_trips_opens() {
    let recorder = Recorder::default();
    let (breaker, clock) =
        half_open(|settings| settings.half_open_error_threshold(9).on_transition(recorder.observer()));
    let silent = admitted(&breaker);
    clock.advance(SILENCE);
    let _probe = admitted(&breaker);
    silent.record(Outcome::Trip { open_for: 7 * SECOND });
    assert!(is_open_for(&breaker, 7 * SECOND));
    assert_eq!(recorder.seen().last().map(|told| told.cause), Some(Cause::Tripped));
}

#[test]
fn a_silent_probe_is_late_after_a_transition() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Trip { open_for: SECOND }] {
        let (breaker, clock) = half_open(|settings| settings.success_threshold(1));
        let silent = admitted(&breaker);
        clock.advance(SILENCE);
        fail(&breaker);
        clock.advance(30 * SECOND);
        let probe = admitted(&breaker);
        silent.record(outcome);
        assert_eq!((breaker.state(), consecutive(&breaker)), (State::HalfOpen, (0, 0)), "{outcome:?}");
        refused(&breaker);
        drop(probe);
    }
}

#[test]
fn a_new_round_begins_only_when_the_newest_probe_is_silent_and_no_place_is_free() {
    let (breaker, clock) = half_open(|settings| settings.half_open_capacity(2).success_threshold(9));
    let first = admitted(&breaker);
    clock.advance(SILENCE);
    // A place is free: this is a probe of the same round.
    let second = admitted(&breaker);
    refused(&breaker);
    clock.advance(SILENCE - MILLI);
    refused(&breaker);
    first.success();
    let third = admitted(&breaker);
    refused(&breaker);
    clock.advance(SILENCE - MILLI);
    refused(&breaker);
    clock.advance(MILLI);
    // The newest is silent: these are the two of a new round, and neither of the old ones has a place.
    let round = probes(&breaker);
    assert_eq!(round.len(), 2);
    drop([second, third]);
    refused(&breaker);
    drop(round);
    assert_eq!(free_places(&breaker), 2);
}

#[test]
fn of_many_threads_that_find_the_silence_as_many_are_admitted_as_there_are_places() {
    for capacity in [1, 3] {
        for _ in 0..200 {
            let (breaker, clock) = half_open(|settings| settings.half_open_capacity(capacity));
            let silent = probes(&breaker);
            clock.advance(SILENCE);
            let (barrier, admitted) = (Barrier::new(5), AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..5 {
                    scope.spawn(|| {
                        barrier.wait();
                        let probe = breaker.try_acquire();
                        admitted.fetch_add(usize::from(probe.is_ok()), Ordering::SeqCst);
                        barrier.wait();
                    });
                }
            });
            assert_eq!(admitted.load(Ordering::SeqCst), capacity as usize);
            drop(silent);
        }
    }
}

#[test]
fn a_silent_probe_that_is_dropped_while_another_replaces_it_frees_no_place() {
    for _ in 0..500 {
        let (breaker, clock) = half_open(|settings| settings);
        let silent = admitted(&breaker);
        clock.advance(SILENCE);
        let (barrier, admitted) = (Barrier::new(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                drop(silent);
                barrier.wait();
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    let probe = breaker.try_acquire();
                    admitted.fetch_add(usize::from(probe.is_ok()), Ordering::SeqCst);
                    barrier.wait();
                });
            }
        });
        assert_eq!(admitted.load(Ordering::SeqCst), 1);
        assert_eq!(free_places(&breaker), 1);
    }
}
