//! A breaker reads its clock only where time decides, and no clock can do it harm.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use tripcoil::clock::{ManualClock, MonotonicClock};
use tripcoil::{Builder, CircuitBreaker, Clock, Dropped, State};

fn counting(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, CountingClock) {
    let clock = CountingClock::default();
    let breaker = settings(CircuitBreaker::builder("test").clock(clock.clone())).build().unwrap();
    assert_eq!(clock.reads(), 0);
    (breaker, clock)
}

/// An ordinary time for a clock that began in 1970, and not on a whole millisecond.
const TODAY: Duration = Duration::new(1_790_000_000, 123_456_789);

#[test]
fn a_healthy_call_reads_no_clock() {
    let (breaker, clock) = counting(|settings| settings);
    breaker.call_sync(|| Ok::<_, ()>(())).unwrap();
    futures_lite::future::block_on(breaker.call(async { Ok::<_, ()>(()) })).unwrap();
    succeed(&breaker);
    ignore(&breaker);
    drop(admitted(&breaker));
    assert_eq!(clock.reads(), 0);
}

#[test]
fn a_failure_below_the_threshold_reads_no_clock_and_neither_does_the_success_after_it() {
    let (breaker, clock) = counting(|settings| settings.error_threshold(3));
    for _ in 0..3 {
        fail(&breaker);
        fail(&breaker);
        succeed(&breaker);
    }
    assert_eq!(clock.reads(), 0);
    fail(&breaker);
    fail(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(clock.reads(), 1);
}

#[test]
fn forced_closed_reads_no_clock() {
    let (breaker, clock) = counting(|settings| settings.error_threshold(1));
    breaker.force_closed();
    succeed(&breaker);
    fail(&breaker);
    assert_eq!(clock.reads(), 0);
}

#[test]
fn the_state_is_a_pure_read() {
    let (breaker, clock) = counting(|settings| settings);
    for state in STATES {
        breaker.transition_to(state);
        clock.inner.advance(YEAR);
        clock.reads();
        for _ in 0..10 {
            assert_eq!(breaker.state(), state);
        }
        assert_eq!(clock.reads(), 0);
    }
}

#[test]
fn a_rejection_while_open_reads_the_clock_once() {
    let (breaker, clock) = counting(|settings| settings);
    breaker.transition_to(State::Open);
    clock.reads();
    refused(&breaker);
    assert_eq!(clock.reads(), 1);
}

#[test]
fn making_a_future_reads_no_clock() {
    let (breaker, clock) = counting(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    drop(breaker.call(async { Ok::<_, ()>(()) }));
    assert_eq!(clock.reads(), 0);
}

#[test]
fn a_deadline_is_exact_wherever_the_clock_stands() {
    for start in [Duration::ZERO, TICK, MILLI - TICK, Duration::from_nanos(1_500_001), TODAY, 40 * YEAR + TICK] {
        for wait in [MILLI, 5 * SECOND, YEAR] {
            let openings: [fn(&CircuitBreaker, Duration); 4] = [
                |breaker, wait| breaker.open_for(wait),
                trip,
                |breaker, _| breaker.transition_to(State::Open),
                |breaker, _| fail(breaker),
            ];
            for open in openings {
                let (breaker, clock) = manual(|settings| settings.error_threshold(1).reset_timeout(wait));
                clock.set(start);
                open(&breaker, wait);
                assert!(is_open_for(&breaker, wait), "{start:?} {wait:?}");
                clock.set(start + wait - TICK);
                assert_eq!(refused(&breaker).retry_after(), Some(TICK), "{start:?} {wait:?}");
                clock.set(start + wait);
                assert!(is_open_for(&breaker, Duration::ZERO));
                drop(admitted(&breaker));
            }
        }
    }
}

#[test]
fn a_wait_of_less_than_a_millisecond_counts_as_one() {
    for (wait, counted) in [(TICK, MILLI), (MILLI - TICK, MILLI), (MILLI + TICK, 2 * MILLI)] {
        let (breaker, clock) = manual(|settings| settings);
        clock.set(TODAY);
        breaker.open_for(wait);
        assert!(is_open_for(&breaker, counted));
        clock.advance(counted - TICK);
        refused(&breaker);
        clock.advance(TICK);
        drop(admitted(&breaker));
    }
}

#[test]
fn a_probe_is_silent_never_before_its_timeout_and_less_than_a_millisecond_after() {
    for start in [Duration::ZERO, TICK, MILLI - TICK, TODAY] {
        let (breaker, clock) = manual(|settings| settings.probe_timeout(5 * SECOND));
        clock.set(start);
        breaker.transition_to(State::HalfOpen);
        let silent = admitted(&breaker);
        clock.set(start + 5 * SECOND - TICK);
        refused(&breaker);
        clock.set(start + 5 * SECOND + MILLI);
        drop(admitted(&breaker));
        drop(silent);
    }
}

#[test]
fn a_clock_that_stands_still_keeps_an_open_breaker_open() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2));
    fail(&breaker);
    succeed(&breaker);
    fail(&breaker);
    fail(&breaker);
    for _ in 0..1_000 {
        assert_eq!(refused(&breaker).retry_after(), Some(30 * SECOND));
    }
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_clock_that_steps_back_while_open_makes_it_wait_longer() {
    let (breaker, clock) = manual(|settings| settings);
    clock.set(100 * SECOND);
    breaker.transition_to(State::Open);
    clock.set(40 * SECOND);
    assert_eq!(refused(&breaker).retry_after(), Some(90 * SECOND));
    clock.set(130 * SECOND);
    drop(admitted(&breaker));
}

#[test]
fn a_clock_that_steps_back_before_its_first_reading_is_harmless() {
    let (breaker, clock) = manual(|settings| settings);
    clock.set(20 * SECOND);
    breaker.transition_to(State::Open);
    clock.set(Duration::ZERO);
    assert_eq!(refused(&breaker).retry_after(), Some(50 * SECOND));
}

#[test]
fn a_clock_that_steps_back_loses_no_count() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(3));
    clock.set(100 * SECOND);
    fail(&breaker);
    clock.set(40 * SECOND);
    fail(&breaker);
    assert_eq!(consecutive(&breaker), (2, 0));
    fail(&breaker);
    assert!(is_open_for(&breaker, 30 * SECOND));

    clock.set(200 * SECOND);
    let probe = admitted(&breaker);
    clock.set(140 * SECOND);
    refused(&breaker);
    probe.success();
    assert_eq!(consecutive(&breaker), (0, 1));
    let probe = admitted(&breaker);
    refused(&breaker);
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_call_over_which_the_clock_steps_back_took_no_time() {
    let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    clock.set(100 * SECOND);
    let permit = admitted(&breaker);
    clock.set(40 * SECOND);
    drop(permit);
    assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().total_error_count), (1, 0));
}

#[test]
fn the_longest_durations_overflow_nothing() {
    for start in [Duration::ZERO, TODAY] {
        let (breaker, clock) = manual(|settings| {
            settings
                .error_threshold(1)
                .reset_timeout(Duration::MAX)
                .reset_backoff(f64::MAX, Duration::MAX)
                .reset_jitter(1.0)
                .probe_timeout(Duration::MAX)
                .dropped_calls(Dropped::FailureAfter(Duration::MAX))
        });
        clock.set(start);
        let openings: [fn(&CircuitBreaker); 3] =
            [fail, |breaker| trip(breaker, Duration::MAX), |breaker| breaker.open_for(Duration::MAX)];
        for open in openings {
            breaker.reset();
            open(&breaker);
            assert!(refused(&breaker).retry_after().unwrap() > 50 * YEAR);
            assert!(breaker.metrics().retry_after.unwrap() > 50 * YEAR);
        }
        breaker.transition_to(State::HalfOpen);
        let silent = admitted(&breaker);
        clock.advance(YEAR);
        refused(&breaker);
        drop(silent);
        fail(&breaker);
        assert!(refused(&breaker).retry_after().unwrap() > 50 * YEAR);
    }
}

#[test]
fn a_clock_at_the_end_of_time_overflows_nothing() {
    struct Latest;
    impl Clock for Latest {
        fn now(&self) -> Duration {
            Duration::MAX
        }
    }
    let settings = CircuitBreaker::builder("test").error_threshold(1).dropped_calls(Dropped::FailureAfter(SECOND));
    let breaker = settings.clock(Latest).build().unwrap();
    fail(&breaker);
    breaker.open_for(Duration::MAX);
    let _ = (breaker.metrics(), breaker.try_acquire());
    breaker.transition_to(State::HalfOpen);
    let silent = admitted(&breaker);
    let _ = breaker.try_acquire();
    silent.failure();
    breaker.reset();
    succeed(&breaker);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn a_clock_that_began_in_1970_is_as_good_as_any() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(5 * SECOND).probe_timeout(5 * SECOND));
    clock.set(TODAY);
    breaker.transition_to(State::Open);
    for _ in 0..3 {
        assert_eq!(refused(&breaker).retry_after(), Some(5 * SECOND));
        clock.advance(5 * SECOND);
        fail(&breaker);
    }
    clock.advance(5 * SECOND);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn handles_of_a_manual_clock_move_the_same_clock() {
    let clock = ManualClock::new();
    let handle = clock.clone();
    assert_eq!(clock.now(), Duration::ZERO);
    handle.advance(5 * SECOND);
    assert_eq!(clock.now(), 5 * SECOND);
    clock.set(SECOND);
    assert_eq!(handle.now(), SECOND);
    clock.set(Duration::MAX);
    let most = clock.now();
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), most);
}

#[test]
fn a_shared_clock_can_be_a_breaker_s_clock() {
    let clock = Arc::new(ManualClock::new());
    let breaker = CircuitBreaker::builder("test").clock(clock.clone()).build().unwrap();
    breaker.open_for(SECOND);
    refused(&breaker);
    clock.advance(SECOND);
    drop(admitted(&breaker));
}

#[test]
fn the_monotonic_clock_never_steps_back_and_is_the_default() {
    let readings: Vec<_> = (0..1_000).map(|_| MonotonicClock.now()).collect();
    assert!(readings.is_sorted());
    let breaker = CircuitBreaker::new("test");
    breaker.open_for(MILLI);
    let started = MonotonicClock.now();
    while breaker.try_acquire().is_err() {
        assert!(MonotonicClock.now() - started < PATIENCE);
        std::thread::yield_now();
    }
}
