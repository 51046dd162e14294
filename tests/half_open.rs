//! Half-open lets so many probes pass at a time, and decides by what becomes of them.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{Builder, CircuitBreaker, Outcome, State};

const MOST: u32 = 127;

fn half_open(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, tripcoil::clock::ManualClock) {
    let (breaker, clock) = manual(settings);
    breaker.transition_to(State::HalfOpen);
    (breaker, clock)
}

/// How many more probes are admitted; they are dropped again.
fn free_slots(breaker: &CircuitBreaker) -> usize {
    let mut probes = Vec::new();
    while let Ok(probe) = breaker.try_acquire() {
        probes.push(probe);
    }
    probes.len()
}

#[test]
fn capacity_is_the_number_of_concurrent_probes() {
    for capacity in [1, 2, 3, 17, MOST] {
        let (breaker, _clock) = half_open(|settings| settings.half_open_capacity(capacity));
        assert_eq!(free_slots(&breaker), capacity as usize);
    }
}

#[test]
fn the_caller_that_ends_the_cool_down_takes_a_slot() {
    let (breaker, clock) = manual(|settings| settings.half_open_capacity(3));
    breaker.open_for(SECOND);
    clock.advance(SECOND);
    let probe = admitted(&breaker);
    assert_eq!(free_slots(&breaker), 2);
    probe.ignore();
    assert_eq!(free_slots(&breaker), 3);
}

#[test]
fn every_outcome_gives_exactly_one_slot_back() {
    let (breaker, _clock) =
        half_open(|settings| settings.half_open_capacity(3).success_threshold(9).half_open_error_threshold(9));
    for outcome in [Some(Outcome::Success), Some(Outcome::Failure), Some(Outcome::Ignored), None] {
        let [first, second, third] = [admitted(&breaker), admitted(&breaker), admitted(&breaker)];
        assert_eq!(free_slots(&breaker), 0);
        match outcome {
            Some(outcome) => first.record(outcome),
            None => drop(first),
        }
        assert_eq!(free_slots(&breaker), 1, "{outcome:?}");
        second.ignore();
        assert_eq!(free_slots(&breaker), 2, "{outcome:?}");
        third.ignore();
    }
    assert_eq!(consecutive(&breaker), (1, 0));
}

#[test]
fn success_threshold_counts_successes_in_a_row() {
    let (breaker, _clock) = half_open(|settings| settings.success_threshold(3).half_open_error_threshold(9));
    for _ in 0..3 {
        succeed(&breaker);
        succeed(&breaker);
        fail(&breaker);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn error_threshold_counts_errors_of_the_episode_whatever_is_between() {
    let (breaker, _clock) = half_open(|settings| settings.success_threshold(3).half_open_error_threshold(3));
    for errors in 1..=2 {
        fail(&breaker);
        succeed(&breaker);
        succeed(&breaker);
        assert_eq!(consecutive(&breaker), (errors, 2));
    }
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn the_next_episode_counts_from_zero() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(3));
    succeed(&breaker);
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    clock.advance(30 * SECOND);
    for successes in 1..=2 {
        succeed(&breaker);
        assert_eq!(consecutive(&breaker), (0, successes));
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_next_episode_has_all_its_slots_whoever_is_still_out() {
    let (breaker, clock) = half_open(|settings| settings.half_open_capacity(2));
    let [failing, silent] = [admitted(&breaker), admitted(&breaker)];
    failing.failure();
    clock.advance(30 * SECOND);
    assert_eq!(free_slots(&breaker), 2);
    drop(silent);
    assert_eq!(free_slots(&breaker), 2);
}

#[test]
fn thresholds_work_up_to_the_most_that_is_allowed() {
    let (breaker, _clock) = half_open(|settings| settings.success_threshold(MOST).half_open_error_threshold(MOST));
    for _ in 1..MOST {
        succeed(&breaker);
    }
    for _ in 1..MOST {
        fail(&breaker);
    }
    for _ in 1..MOST {
        succeed(&breaker);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(consecutive(&breaker), (126, 126));
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);

    breaker.transition_to(State::HalfOpen);
    for _ in 1..MOST {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn slow_start_raises_the_capacity_with_each_success_up_to_its_maximum() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_max_capacity(4).success_threshold(9));
    for slots in [1, 2, 3, 4, 4, 4] {
        assert_eq!(free_slots(&breaker), slots);
        succeed(&breaker);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn slow_start_raises_nothing_by_ignored_or_dropped_probes() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_max_capacity(4).success_threshold(9));
    ignore(&breaker);
    drop(admitted(&breaker));
    assert_eq!(free_slots(&breaker), 1);
}

#[test]
fn slow_start_begins_anew_with_each_episode() {
    let (breaker, clock) = half_open(|settings| settings.half_open_max_capacity(4).success_threshold(9));
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(free_slots(&breaker), 3);
    fail(&breaker);
    clock.advance(30 * SECOND);
    assert_eq!(free_slots(&breaker), 1);
}

#[test]
fn without_slow_start_a_success_raises_nothing() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_capacity(2).success_threshold(9));
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(free_slots(&breaker), 2);
}

#[test]
fn a_silent_probe_is_replaced_at_its_timeout_and_then_the_next_one() {
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(5 * SECOND));
    let mut probes = vec![admitted(&breaker)];
    for _ in 0..3 {
        clock.advance(5 * SECOND - TICK);
        assert_eq!(refused(&breaker).retry_after(), None);
        clock.advance(TICK);
        probes.push(admitted(&breaker));
        refused(&breaker);
    }
    assert_eq!(breaker.metrics().active_calls, 4);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn recovery_behind_a_silent_probe_waits_for_it_once_and_not_for_each_success() {
    for threshold in [1, 2, 20, MOST] {
        let (breaker, clock) = manual(|settings| settings.success_threshold(threshold));
        breaker.open_for(SECOND);
        clock.advance(SECOND);
        let silent = admitted(&breaker);
        refused(&breaker);
        clock.advance(30 * SECOND);
        for _ in 0..threshold {
            assert_eq!(breaker.state(), State::HalfOpen);
            succeed(&breaker);
        }
        assert_eq!(breaker.state(), State::Closed);
        drop(silent);
    }
}

#[test]
fn a_new_round_has_all_places_but_the_one_of_the_caller_that_begins_it() {
    let (breaker, clock) = half_open(|settings| {
        settings.half_open_capacity(3).half_open_max_capacity(9).success_threshold(99).probe_timeout(5 * SECOND)
    });
    succeed(&breaker);
    succeed(&breaker);
    let silent: Vec<_> = (0..5).map(|_| admitted(&breaker)).collect();
    refused(&breaker);
    clock.advance(5 * SECOND);
    let first = admitted(&breaker);
    assert_eq!(consecutive(&breaker), (0, 2));
    assert_eq!(free_slots(&breaker), 2, "without the raise of slow start");
    first.success();
    assert_eq!(free_slots(&breaker), 4);
    drop(silent);
    assert_eq!(free_slots(&breaker), 4, "silent probes free nothing");
}

#[test]
fn a_new_round_is_no_change_of_state_and_observers_hear_nothing() {
    let recorder = Recorder::default();
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(5 * SECOND).on_transition(recorder.observer()));
    let (told, changes) = (recorder.count(), breaker.metrics().transition_count);
    let silent = admitted(&breaker);
    clock.advance(5 * SECOND);
    let probe = admitted(&breaker);
    assert_eq!((recorder.count(), breaker.metrics().transition_count), (told, changes));
    probe.success();
    silent.success();
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(recorder.seen().last().unwrap().sequence, changes + 1);
}

#[test]
fn an_answer_of_any_earlier_round_counts_and_raises_nothing() {
    let settings = |settings: Builder| {
        settings.half_open_max_capacity(4).success_threshold(4).half_open_error_threshold(4).probe_timeout(5 * SECOND)
    };
    let (breaker, clock) = half_open(settings);
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(admitted(&breaker));
        clock.advance(5 * SECOND);
    }
    let current = admitted(&breaker);
    for (number, permit) in silent.drain(..3).enumerate() {
        permit.success();
        assert_eq!(consecutive(&breaker), (0, number as u64 + 1));
        refused(&breaker);
    }
    silent.remove(0).failure();
    assert_eq!(consecutive(&breaker), (1, 0));
    refused(&breaker);
    current.ignore();
    assert_eq!(free_slots(&breaker), 1);
}

#[test]
fn a_trip_of_an_earlier_round_opens() {
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(5 * SECOND));
    let silent = admitted(&breaker);
    clock.advance(5 * SECOND);
    let current = admitted(&breaker);
    silent.record(Outcome::Trip { open_for: 9 * SECOND });
    assert!(is_open_for(&breaker, 9 * SECOND));
    current.success();
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_dependency_slower_than_the_probe_timeout_closes_the_breaker() {
    let (breaker, clock) = half_open(|settings| settings.success_threshold(3).probe_timeout(SECOND));
    let mut calls = std::collections::VecDeque::new();
    // Each call takes 2.5 s.
    for half_second in 0.. {
        if calls.front().is_some_and(|(began, _)| half_second - began == 5) {
            let (_, permit): (i32, tripcoil::Permit<'_>) = calls.pop_front().unwrap();
            permit.success();
        }
        if breaker.state() == State::Closed {
            break;
        }
        assert!(half_second < 20, "it does not close");
        calls.extend(breaker.try_acquire().ok().map(|permit| (half_second, permit)));
        clock.advance(SECOND / 2);
    }
}

#[test]
fn probe_timeout_counts_from_the_newest_probe() {
    let (breaker, clock) = half_open(|settings| settings.half_open_capacity(2).probe_timeout(5 * SECOND));
    let first = admitted(&breaker);
    clock.advance(3 * SECOND);
    let second = admitted(&breaker);
    clock.advance(5 * SECOND - TICK);
    refused(&breaker);
    clock.advance(TICK);
    let third = admitted(&breaker);
    let fourth = admitted(&breaker);
    refused(&breaker);
    drop([first, second, third, fourth]);
}

#[test]
fn a_free_slot_needs_no_timeout() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_capacity(2).probe_timeout(Duration::MAX));
    let first = admitted(&breaker);
    let second = admitted(&breaker);
    drop(first);
    drop(admitted(&breaker));
    drop(second);
}

#[test]
fn probe_timeout_is_the_reset_timeout_unless_it_is_set() {
    let (breaker, clock) = half_open(|settings| settings.reset_timeout(7 * SECOND));
    let silent = admitted(&breaker);
    clock.advance(7 * SECOND - TICK);
    refused(&breaker);
    clock.advance(TICK);
    drop(admitted(&breaker));
    drop(silent);
}

#[test]
fn silent_probe_still_counts_when_it_ends() {
    let settings = |settings: Builder| settings.probe_timeout(5 * SECOND);
    let replaced = |breaker: &CircuitBreaker, clock: &tripcoil::clock::ManualClock, end: Outcome| {
        let silent = admitted(breaker);
        clock.advance(5 * SECOND);
        let other = admitted(breaker);
        silent.record(end);
        other.success();
    };

    let (breaker, clock) = half_open(settings);
    replaced(&breaker, &clock, Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);

    let (breaker, clock) = half_open(settings);
    replaced(&breaker, &clock, Outcome::Failure);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_place_that_was_taken_from_a_silent_probe_comes_back_once() {
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(5 * SECOND).success_threshold(9));
    let first = admitted(&breaker);
    clock.advance(5 * SECOND);
    let second = admitted(&breaker);
    first.success();
    refused(&breaker);
    second.success();
    assert_eq!(free_slots(&breaker), 1);
    assert_eq!(consecutive(&breaker), (0, 2));
}

#[test]
fn silent_probes_without_end_lock_nothing() {
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(MILLI));
    let mut probes = Vec::new();
    for _ in 0..5_000 {
        probes.push(admitted(&breaker));
        refused(&breaker);
        clock.advance(MILLI);
    }
    drop(probes.pop());
    assert_eq!(free_slots(&breaker), 1);
    drop(probes);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(free_slots(&breaker), 1);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_probe_timeout_that_is_changed_holds_for_the_probes_in_flight() {
    let (breaker, clock) = half_open(|settings| settings.probe_timeout(50 * SECOND));
    let silent = admitted(&breaker);
    clock.advance(5 * SECOND);
    refused(&breaker);
    let mut config = tripcoil::Config::default();
    config.probe_timeout = Some(5 * SECOND);
    breaker.reconfigure(config).unwrap();
    drop(admitted(&breaker));
    drop(silent);
}

#[test]
fn one_of_many_threads_at_the_deadline_is_admitted() {
    for _ in 0..200 {
        let recorder = Recorder::default();
        let (breaker, clock) = manual(|settings| settings.on_transition(recorder.observer()));
        breaker.open_for(SECOND);
        clock.advance(SECOND);
        let (barrier, lucky) = (Barrier::new(5), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    barrier.wait();
                    let probe = breaker.try_acquire();
                    lucky.fetch_add(usize::from(probe.is_ok()), Ordering::SeqCst);
                    barrier.wait();
                });
            }
        });
        assert_eq!(lucky.load(Ordering::SeqCst), 1);
        let half_opened = recorder.seen().iter().filter(|transition| transition.to == State::HalfOpen).count();
        assert_eq!(half_opened, 1);
    }
}

#[test]
fn one_of_many_threads_takes_the_place_of_a_silent_probe() {
    for _ in 0..200 {
        let (breaker, clock) = half_open(|settings| settings.probe_timeout(5 * SECOND));
        let silent = admitted(&breaker);
        clock.advance(5 * SECOND);
        let (barrier, lucky) = (Barrier::new(4), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let probe = breaker.try_acquire();
                    lucky.fetch_add(usize::from(probe.is_ok()), Ordering::SeqCst);
                    barrier.wait();
                });
            }
        });
        assert_eq!(lucky.load(Ordering::SeqCst), 1);
        drop(silent);
    }
}

#[test]
fn threads_never_hold_more_probes_than_the_capacity() {
    const CAPACITY: usize = 3;
    let (breaker, _clock) =
        half_open(|settings| settings.half_open_capacity(3).success_threshold(MOST).probe_timeout(Duration::MAX));
    let held = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let Ok(probe) = breaker.try_acquire() else { continue };
                    assert!(held.fetch_add(1, Ordering::SeqCst) < CAPACITY);
                    thread::yield_now();
                    held.fetch_sub(1, Ordering::SeqCst);
                    probe.ignore();
                }
            });
        }
    });
    assert_eq!(breaker.metrics().active_calls, 0);
    assert_eq!(free_slots(&breaker), CAPACITY);
}
