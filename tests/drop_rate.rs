//! The drop rate: drops open the breaker where they are so many of the calls, and displace none of them.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{Builder, Cause, CircuitBreaker, Dropped, Preset, Recovery, State, Window, WindowMetrics};

const WINDOWS: [Window; 2] = [Window::calls(10), Window::time(Duration::from_secs(16))];

fn rate(share: f64, window: Window, minimum: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.drop_rate(share).window(window).minimum_calls(minimum).error_threshold(None)
}

fn lose(breaker: &CircuitBreaker) {
    drop(admitted(breaker));
}

fn times(calls: u32, breaker: &CircuitBreaker, call: impl Fn(&CircuitBreaker)) {
    (0..calls).for_each(|_| call(breaker));
}

fn seen(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a rate rule")
}

fn counts(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let window = seen(breaker);
    (window.calls, window.errors, window.dropped_calls)
}

fn is_open(breaker: &CircuitBreaker) -> bool {
    breaker.state() == State::Open
}

#[test]
fn drops_open_once_they_are_the_share_of_all_calls() {
    for window in WINDOWS {
        let transitions = Arc::new(Mutex::new(Vec::new()));
        let log = transitions.clone();
        let (breaker, _clock) = manual(|settings| {
            rate(0.5, window, 4)(settings).on_transition(move |transition| log.lock().unwrap().push(transition.clone()))
        });
        times(4, &breaker, succeed);
        times(3, &breaker, lose);
        assert_eq!((is_open(&breaker), counts(&breaker)), (false, (4, 0, 3)), "{window}");
        lose(&breaker);
        assert!(is_open(&breaker), "{window}");
        let told = transitions.lock().unwrap().clone();
        assert_eq!((told.len(), told[0].cause, told[0].cause.as_str()), (1, Cause::DropRate, "drop_rate"));
        assert_eq!(told[0].window.map(|window| (window.calls, window.dropped_calls)), Some((4, 4)), "{window}");
    }
}

#[test]
fn a_dependency_that_sees_nothing_but_drops_opens_at_the_minimum() {
    for window in WINDOWS {
        let (breaker, _clock) = manual(rate(1.0, window, 5));
        times(4, &breaker, lose);
        assert!(!is_open(&breaker), "{window}");
        lose(&breaker);
        assert!(is_open(&breaker), "{window}");
    }
}

#[test]
fn the_default_is_off_and_takes_no_notice_of_drops() {
    let (breaker, _clock) = manual(|settings| settings.error_rate(0.5).minimum_calls(1));
    times(1_000, &breaker, lose);
    assert_eq!((is_open(&breaker), counts(&breaker)), (false, (0, 0, 0)));
    let (breaker, _clock) = manual(|settings| settings.preset(Preset::Responsive));
    times(1_000, &breaker, lose);
    assert_eq!((is_open(&breaker), counts(&breaker)), (false, (0, 0, 0)));
}

#[test]
fn a_window_of_calls_looks_at_the_latest_calls_of_either_kind() {
    // However long it has been healthy, so many drops in a row open as are the share of the window.
    for healthy in [10, 11, 500] {
        let (breaker, _clock) = manual(rate(0.7, Window::calls(10), 10));
        times(healthy, &breaker, succeed);
        times(6, &breaker, lose);
        assert_eq!((is_open(&breaker), counts(&breaker)), (false, (10, 0, 6)), "{healthy}");
        lose(&breaker);
        assert!(is_open(&breaker), "{healthy}");
    }
    // Settled calls push drops out one by one.
    let (breaker, _clock) = manual(rate(1.0, Window::calls(10), 10));
    succeed(&breaker);
    times(9, &breaker, lose);
    let left: Vec<_> = (0..10)
        .map(|_| {
            succeed(&breaker);
            seen(&breaker).dropped_calls
        })
        .collect();
    assert_eq!(left, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    // And so do drops.
    let (breaker, _clock) = manual(rate(1.0, Window::calls(10), 10));
    for _ in 0..100 {
        times(4, &breaker, lose);
        succeed(&breaker);
    }
    assert_eq!((is_open(&breaker), counts(&breaker)), (false, (10, 0, 8)));
}

#[test]
fn a_window_of_time_forgets_drops_with_its_slices() {
    let (breaker, clock) = manual(rate(0.5, Window::time(16 * SECOND), 4));
    times(3, &breaker, lose);
    clock.advance(15 * SECOND);
    times(2, &breaker, succeed);
    assert_eq!(counts(&breaker), (2, 0, 3));
    clock.advance(SECOND);
    assert_eq!(counts(&breaker), (2, 0, 0));
    lose(&breaker);
    assert_eq!((is_open(&breaker), counts(&breaker)), (false, (2, 0, 1)));
    lose(&breaker);
    assert!(is_open(&breaker));
}

#[test]
fn drops_displace_no_error_and_do_not_thin_the_error_rate() {
    for window in WINDOWS {
        let (breaker, _clock) = manual(|settings| rate(1.0, window, 8)(settings).error_rate(0.5));
        times(4, &breaker, succeed);
        times(3, &breaker, fail);
        times(100, &breaker, |breaker| {
            if seen(breaker).dropped_calls < 7 {
                lose(breaker);
            }
        });
        assert_eq!(counts(&breaker), (7, 3, 7), "{window}");
        fail(&breaker);
        assert!(is_open(&breaker), "{window}");
    }
}

#[test]
fn an_error_threshold_stands_beside_a_drop_rate_by_default() {
    let (breaker, _clock) = manual(|settings| settings.drop_rate(1.0));
    times(4, &breaker, fail);
    assert!(!is_open(&breaker));
    fail(&breaker);
    assert!(is_open(&breaker));
}

#[test]
fn a_hanging_call_that_is_dropped_is_a_drop_and_hangs_no_more() {
    for window in WINDOWS {
        let (breaker, clock) = manual(|settings| {
            rate(0.9, window, 5)(settings).slow_call_rate(0.9).slow_call_duration(Duration::from_secs(1))
        });
        times(4, &breaker, succeed);
        let hanging = admitted(&breaker);
        clock.advance(2 * SECOND);
        assert_eq!((seen(&breaker).hanging_calls, seen(&breaker).dropped_calls), (1, 0), "{window}");
        drop(hanging);
        assert_eq!((seen(&breaker).hanging_calls, seen(&breaker).dropped_calls), (0, 1), "{window}");
        assert_eq!(breaker.metrics().total_slow_count, 0);
    }
}

#[test]
fn a_drop_that_counts_as_a_failure_is_a_settled_call() {
    for window in WINDOWS {
        let (breaker, _clock) = manual(|settings| rate(0.1, window, 1)(settings).dropped_calls(Dropped::Failure));
        times(5, &breaker, lose);
        assert_eq!((is_open(&breaker), counts(&breaker)), (false, (5, 5, 0)), "{window}");
    }
}

#[test]
fn a_panic_and_an_ignored_call_are_no_drops() {
    let (breaker, _clock) = manual(rate(0.1, Window::calls(10), 1));
    let panics = || breaker.call_sync(|| -> Result<(), ()> { panic!("as it is told") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    ignore(&breaker);
    assert_eq!((is_open(&breaker), counts(&breaker)), (false, (1, 1, 0)));
}

#[test]
fn drops_of_probes_and_late_ones_stay_neutral() {
    let (breaker, _clock) = manual(rate(0.1, Window::calls(10), 1));
    let late = admitted(&breaker);
    breaker.transition_to(State::HalfOpen);
    times(20, &breaker, lose);
    assert_eq!(breaker.state(), State::HalfOpen);
    let probe = admitted(&breaker);
    breaker.transition_to(State::Closed);
    drop((late, probe));
    assert_eq!((breaker.state(), counts(&breaker)), (State::Closed, (0, 0, 0)));
    breaker.force_closed();
    times(20, &breaker, lose);
    assert_eq!(breaker.state(), State::ForcedClosed);
}

#[test]
fn drops_within_the_steps_of_a_recovery_stay_neutral() {
    let (breaker, _clock) = manual(|settings| {
        rate(0.1, Window::calls(10), 1)(settings).success_threshold(1).recovery(Recovery::steps([1.0]).each(SECOND))
    });
    breaker.transition_to(State::HalfOpen);
    succeed(&breaker);
    times(20, &breaker, lose);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn each_closed_episode_begins_without_drops() {
    for window in WINDOWS {
        let (breaker, _clock) = manual(rate(1.0, window, 3));
        times(3, &breaker, lose);
        assert!(is_open(&breaker));
        breaker.transition_to(State::Closed);
        times(2, &breaker, lose);
        assert_eq!((is_open(&breaker), counts(&breaker)), (false, (0, 0, 2)), "{window}");
        lose(&breaker);
        assert!(is_open(&breaker), "{window}");
    }
}

#[test]
fn another_drop_rate_begins_with_empty_windows_and_the_same_one_does_not() {
    for window in WINDOWS {
        let (breaker, _clock) = manual(rate(1.0, window, 9));
        times(3, &breaker, succeed);
        times(3, &breaker, lose);
        breaker.reconfigure(breaker.config().success_threshold(5)).unwrap();
        assert_eq!(counts(&breaker), (3, 0, 3), "{window}");
        breaker.reconfigure(breaker.config().drop_rate(0.5).minimum_calls(2)).unwrap();
        assert_eq!(counts(&breaker), (0, 0, 0), "{window}");
        times(2, &breaker, succeed);
        lose(&breaker);
        assert_eq!((is_open(&breaker), counts(&breaker)), (false, (2, 0, 1)), "{window}");
        lose(&breaker);
        assert!(is_open(&breaker), "{window}");
    }
}

#[test]
fn a_shadow_judges_drops_without_consequence() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.shadow(breaker.config().drop_rate(1.0).minimum_calls(3)).unwrap();
    times(3, &breaker, lose);
    let shadow = breaker.metrics().shadow.expect("there is one");
    assert_eq!((breaker.state(), shadow.state), (State::Closed, State::Open));
    assert_eq!(shadow.transitions, [(Cause::DropRate, 1)]);
}

#[test]
fn no_drop_is_lost_where_threads_drop_at_the_same_time() {
    const THREADS: u32 = 8;
    const EACH: u32 = 25;

    for window in [Window::calls(1_000), Window::time(Duration::from_secs(16))] {
        let (breaker, _clock) = manual(rate(1.0, window, THREADS * EACH));
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let permits: Vec<_> = (0..EACH).map(|_| admitted(&breaker)).collect();
                    start.wait();
                    drop(permits);
                });
            }
        });
        assert!(is_open(&breaker), "{window}");
    }
}

#[test]
fn a_share_out_of_range_is_an_error() {
    for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = CircuitBreaker::builder("test").drop_rate(share).build().expect_err("it is out of range");
        assert_eq!(error.setting(), "drop_rate");
    }
}
