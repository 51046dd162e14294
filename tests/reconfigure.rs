//! New settings hold from now on, keep the state and the counts, and do not judge the calls that are in flight.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, Config, ConfigError, Dropped, State, Window, WindowMetrics};

fn config(settings: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    settings(&mut config);
    config
}

fn reconfigure(breaker: &CircuitBreaker, settings: impl FnOnce(&mut Config)) {
    breaker.reconfigure(config(settings)).expect("the settings are valid");
}

fn window(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there are rates")
}

#[test]
fn a_run_of_errors_goes_on_and_opens_at_the_new_threshold() {
    let (breaker, _) = manual(|settings| settings.error_threshold(10));
    for _ in 0..3 {
        fail(&breaker);
    }
    reconfigure(&breaker, |config| config.error_threshold = Some(Some(4)));
    assert_eq!((breaker.state(), consecutive(&breaker)), (State::Closed, (3, 0)));
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_threshold_below_the_run_opens_at_the_next_failure_and_not_before() {
    let (breaker, _) = manual(|settings| settings.error_threshold(10));
    for _ in 0..5 {
        fail(&breaker);
    }
    reconfigure(&breaker, |config| config.error_threshold = Some(Some(2)));
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn an_open_breaker_keeps_its_deadline_and_its_next_opening_has_the_new_one() {
    let (breaker, clock) = manual(|settings| settings.reset_timeout(30 * SECOND));
    breaker.transition_to(State::Open);
    reconfigure(&breaker, |config| config.reset_timeout = Some(5 * SECOND));
    assert!(is_open_for(&breaker, 30 * SECOND));
    fail_a_probe(&breaker, &clock);
    assert!(is_open_for(&breaker, 5 * SECOND));
}

#[test]
fn a_half_open_breaker_keeps_its_probes_and_what_they_found() {
    let (breaker, _) = manual(|settings| settings.success_threshold(5).half_open_capacity(2));
    breaker.transition_to(State::HalfOpen);
    for _ in 0..2 {
        succeed(&breaker);
    }
    let probes = [admitted(&breaker), admitted(&breaker)];
    reconfigure(&breaker, |config| {
        config.success_threshold = Some(3);
        config.half_open_capacity = Some(3);
    });
    assert_eq!(consecutive(&breaker), (0, 2));
    let third = admitted(&breaker);
    refused(&breaker);
    drop(third);
    let [probe, _other] = probes;
    probe.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_lower_capacity_holds_once_the_probes_that_are_too_many_have_ended() {
    let (breaker, _) = manual(|settings| settings.half_open_capacity(3));
    breaker.transition_to(State::HalfOpen);
    let [one, two, three] = [(); 3].map(|()| admitted(&breaker));
    reconfigure(&breaker, |_| {});
    one.ignore();
    two.ignore();
    refused(&breaker);
    three.ignore();
    let _probe = admitted(&breaker);
    refused(&breaker);
}

#[test]
fn a_slow_start_goes_no_higher_than_the_new_maximum() {
    let (breaker, _) =
        manual(|settings| settings.success_threshold(100).half_open_capacity(1).half_open_max_capacity(10));
    breaker.transition_to(State::HalfOpen);
    for _ in 0..9 {
        succeed(&breaker);
    }
    reconfigure(&breaker, |config| {
        config.success_threshold = Some(100);
        config.half_open_capacity = Some(2);
        config.half_open_max_capacity = Some(3);
    });
    let _probes = [(); 3].map(|()| admitted(&breaker));
    refused(&breaker);
}

#[test]
fn a_call_in_flight_is_slow_by_the_settings_that_it_was_admitted_under() {
    let slow = |seconds: u32| {
        move |config: &mut Config| {
            config.slow_call_rate = Some(1.0);
            config.slow_call_duration = Some(seconds * SECOND);
        }
    };
    for (before, after, expected) in [(2, 10, 1), (10, 2, 0)] {
        let (breaker, clock) = manual(|settings| settings.config(config(slow(before))));
        let call = admitted(&breaker);
        reconfigure(&breaker, slow(after));
        clock.advance(5 * SECOND);
        call.success();
        assert_eq!(breaker.metrics().total_slow_count, expected, "{before} s, then {after} s");
        assert_eq!(window(&breaker).slow_calls, expected);

        let call = admitted(&breaker);
        clock.advance(5 * SECOND);
        call.success();
        assert_eq!(breaker.metrics().total_slow_count, 1, "the next one is judged by the new settings");
    }
}

#[test]
fn a_call_in_flight_is_dropped_by_the_settings_that_it_was_admitted_under() {
    for (before, after, errors) in [
        (Dropped::Failure, Dropped::Ignore, 1),
        (Dropped::Ignore, Dropped::Failure, 0),
        (Dropped::FailureAfter(SECOND), Dropped::FailureAfter(YEAR), 1),
        (Dropped::Ignore, Dropped::FailureAfter(TICK), 0),
    ] {
        let (breaker, clock) = manual(|settings| settings.dropped_calls(before));
        let call = admitted(&breaker);
        reconfigure(&breaker, |config| config.dropped_calls = Some(after));
        clock.advance(2 * SECOND);
        drop(call);
        assert_eq!(breaker.metrics().total_error_count, errors, "{before:?}, then {after:?}");
        assert_eq!(breaker.metrics().active_calls, 0);
    }
}

#[test]
fn a_call_that_hangs_under_rules_that_are_gone_opens_nothing() {
    let (breaker, clock) =
        manual(|settings| settings.slow_call_rate(0.5).slow_call_duration(SECOND).minimum_calls(1).error_threshold(5));
    let hung = [(); 10].map(|()| admitted(&breaker));
    reconfigure(&breaker, |_| {});
    clock.advance(60 * SECOND);
    succeed(&breaker);
    for call in hung {
        call.success();
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.total_slow_count, metrics.window), (State::Closed, 10, None));
}

#[test]
fn a_window_whose_settings_are_the_same_is_kept() {
    for span in [Window::calls(10), Window::time(60 * SECOND)] {
        let rates = |config: &mut Config| {
            config.error_rate = Some(0.5);
            config.window = Some(span);
            config.minimum_calls = Some(10);
        };
        let (breaker, clock) = manual(|settings| settings.config(config(rates)));
        for _ in 0..5 {
            succeed(&breaker);
        }
        for seconds in 1..5 {
            fail(&breaker);
            reconfigure(&breaker, |config| {
                rates(config);
                config.reset_timeout = Some(seconds * SECOND);
            });
            clock.advance(MILLI);
        }
        let WindowMetrics { calls, errors, .. } = window(&breaker);
        assert_eq!((calls, errors), (9, 4), "{span}");
        fail(&breaker);
        assert!(is_open_for(&breaker, 4 * SECOND), "{span}");
    }
}

#[test]
fn a_window_whose_settings_have_changed_begins_empty() {
    for (before, after) in [
        (Window::calls(10), Window::calls(20)),
        (Window::calls(10), Window::time(SECOND)),
        (Window::time(SECOND), Window::calls(10)),
        (Window::time(SECOND), Window::time(2 * SECOND)),
    ] {
        let rates = |span| {
            move |config: &mut Config| {
                config.error_rate = Some(0.5);
                config.window = Some(span);
                config.minimum_calls = Some(4);
            }
        };
        let (breaker, _) = manual(|settings| settings.config(config(rates(before))));
        for _ in 0..3 {
            fail(&breaker);
        }
        let in_flight = admitted(&breaker);
        reconfigure(&breaker, rates(after));
        assert_eq!((window(&breaker).calls, window(&breaker).errors), (0, 0), "{before}, then {after}");
        in_flight.failure();
        succeed(&breaker);
        succeed(&breaker);
        assert_eq!((window(&breaker).calls, window(&breaker).errors), (3, 1), "{before}, then {after}");
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker);
        assert_eq!(breaker.state(), State::Open, "{before}, then {after}");
    }
}

#[test]
fn rates_can_come_and_go() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(100));
    for _ in 0..50 {
        fail(&breaker);
    }
    reconfigure(&breaker, |config| config.error_rate = Some(1.0));
    assert_eq!(window(&breaker).calls, 0);
    for _ in 0..19 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::Closed);
    reconfigure(&breaker, |config| config.error_threshold = Some(Some(1000)));
    assert_eq!(breaker.metrics().window, None);
    fail(&breaker);
    assert_eq!((breaker.state(), consecutive(&breaker)), (State::Closed, (70, 0)));

    // The window of an episode that began later holds that episode.
    reconfigure(&breaker, |config| config.error_rate = Some(1.0));
    breaker.transition_to(State::Open);
    clock.advance(30 * SECOND);
    for _ in 0..2 {
        succeed(&breaker);
    }
    fail(&breaker);
    assert_eq!((window(&breaker).calls, window(&breaker).errors), (1, 1));
}

#[test]
fn a_reconfiguration_that_changes_nothing_does_nothing() {
    let seen = Recorder::default();
    let rates = |config: &mut Config| config.error_rate = Some(0.5);
    let (breaker, _) = manual(|settings| settings.config(config(rates)).on_transition(seen.observer()));
    for _ in 0..5 {
        fail(&breaker);
    }
    for _ in 0..3 {
        reconfigure(&breaker, rates);
    }
    // The default is what it is, given or not.
    reconfigure(&breaker, |config| {
        rates(config);
        config.reset_timeout = Some(30 * SECOND);
        config.window = Some(Window::calls(100));
    });
    assert_eq!((window(&breaker).calls, window(&breaker).errors), (5, 5));
    assert!(seen.seen().is_empty());
}

#[test]
fn settings_that_are_not_given_get_their_defaults() {
    let (breaker, _) = manual(|settings| settings.error_threshold(50).reset_timeout(SECOND));
    reconfigure(&breaker, |_| {});
    for _ in 0..5 {
        fail(&breaker);
    }
    assert!(is_open_for(&breaker, 30 * SECOND));
}

#[test]
fn what_is_refused_changes_nothing() {
    let (breaker, _) = manual(|settings| settings.error_threshold(2));
    fail(&breaker);
    let refused: ConfigError = breaker.reconfigure(config(|config| config.success_threshold = Some(0))).unwrap_err();
    assert_eq!(refused.to_string(), "`success_threshold` is 0, allowed is 1 to 127");
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn name_clock_observers_and_totals_stay() {
    let seen = Recorder::default();
    let (breaker, clock) = manual(|settings| settings.on_transition(seen.observer()));
    for _ in 0..3 {
        fail(&breaker);
    }
    reconfigure(&breaker, |config| config.error_threshold = Some(Some(4)));
    clock.advance(7 * SECOND);
    fail(&breaker);
    let seen = seen.seen();
    assert_eq!((seen.len(), seen[0].at, &*seen[0].name), (1, 7 * SECOND, "test"));
    assert_eq!(breaker.metrics().total_error_count, 4);
}

#[test]
fn a_breaker_with_the_default_settings_can_be_reconfigured() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("test");
    reconfigure(&BREAKER, |config| config.error_threshold = Some(Some(1)));
    fail(&BREAKER);
    assert_eq!(BREAKER.state(), State::Open);
}

#[test]
fn a_higher_capacity_lets_in_those_who_wait() {
    let (breaker, _) = manual(|settings| settings.probe_timeout(YEAR));
    breaker.transition_to(State::HalfOpen);
    let _probe = admitted(&breaker);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| breaker.acquire_blocking(PATIENCE).map(drop));
        while breaker.metrics().total_rejected_count == 0 && !waiting.is_finished() {
            reconfigure(&breaker, |config| config.half_open_capacity = Some(2));
            thread::yield_now();
        }
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn a_thousand_reconfigurations_are_as_good_as_one() {
    let (breaker, _) = manual(|settings| settings);
    let mut calls = Vec::new();
    for number in 1..=1000 {
        let dropped = if number % 2 == 0 { Dropped::Failure } else { Dropped::Ignore };
        reconfigure(&breaker, |config| {
            config.error_threshold = Some(Some(1000 + number));
            config.dropped_calls = Some(dropped);
        });
        calls.push(admitted(&breaker));
    }
    drop(calls);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count), (500, 500));
    assert_eq!((metrics.state, metrics.active_calls), (State::Closed, 0));
}

#[test]
fn of_two_reconfigurations_at_once_one_holds_as_a_whole() {
    for _ in 0..200 {
        let (breaker, _) = manual(|settings| settings);
        thread::scope(|scope| {
            for errors in [1, 2] {
                let breaker = &breaker;
                scope.spawn(move || {
                    reconfigure(breaker, |config| {
                        config.error_threshold = Some(Some(errors));
                        config.reset_timeout = Some(errors * SECOND);
                    });
                });
            }
        });
        let errors = (1..=2).find(|_| {
            fail(&breaker);
            breaker.state() == State::Open
        });
        assert!(is_open_for(&breaker, errors.unwrap() * SECOND));
    }
}

/// Settings that differ in all that a call has to know of them.
fn kinds() -> [Config; 4] {
    [
        config(|config| config.error_threshold = Some(Some(u32::MAX))),
        config(|config| {
            config.error_threshold = Some(Some(u32::MAX));
            config.dropped_calls = Some(Dropped::FailureAfter(YEAR));
        }),
        config(|config| {
            config.error_rate = Some(1.0);
            config.window = Some(Window::time(10 * SECOND));
        }),
        config(|config| {
            config.error_rate = Some(1.0);
            config.slow_call_rate = Some(1.0);
            config.slow_call_duration = Some(YEAR);
        }),
    ]
}

#[test]
fn calls_of_all_threads_are_counted_while_the_settings_change() {
    let (breaker, _) = manual(|settings| settings.error_threshold(u32::MAX));
    let calls = 20_000_u64;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for number in 0..calls {
                        match number % 4 {
                            0 => fail(&breaker),
                            1 => ignore(&breaker),
                            2 => drop(admitted(&breaker)),
                            _ => succeed(&breaker),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for config in kinds().into_iter().cycle() {
                breaker.reconfigure(config).expect("the settings are valid");
                if done.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_micros(50));
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let metrics = breaker.metrics();
    let each = calls / 2;
    assert_eq!((metrics.state, metrics.active_calls), (State::Closed, 0));
    assert_eq!((metrics.total_error_count, metrics.total_success_count), (each, each));
    assert_eq!((metrics.total_ignored_count, metrics.total_dropped_count), (each, each));
}

#[test]
fn a_trip_and_a_reconfiguration_at_once_both_hold() {
    for _ in 0..200 {
        let (breaker, _) = manual(|settings| settings.error_threshold(2));
        fail(&breaker);
        thread::scope(|scope| {
            scope.spawn(|| fail(&breaker));
            scope.spawn(|| {
                reconfigure(&breaker, |config| {
                    config.error_threshold = Some(Some(2));
                    config.reset_timeout = Some(SECOND);
                });
            });
        });
        let wait = breaker.metrics().retry_after.expect("it is open");
        assert!([SECOND, 30 * SECOND].contains(&wait), "{wait:?}");
        breaker.transition_to(State::Open);
        assert!(is_open_for(&breaker, SECOND));
    }
}
