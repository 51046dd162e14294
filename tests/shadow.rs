//! A shadow judges every admitted call by a policy of its own, and changes nothing.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::clock::{Clock, ManualClock};
use tripcoil::{Cause, CircuitBreaker, Config, Dropped, Outcome, ShadowMetrics, State, Window};

fn config(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    set(&mut config);
    config
}

fn threshold(errors: u32) -> Config {
    config(|config| config.error_threshold = Some(Some(errors)))
}

fn shadow(breaker: &CircuitBreaker) -> ShadowMetrics {
    *breaker.metrics().shadow.expect("there is a shadow")
}

fn fail(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().failure();
}

fn succeed(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().success();
}

#[test]
fn it_opens_where_the_breaker_does_not_and_rejects_nobody() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.shadow(threshold(3)).unwrap();
    for errors in 1..=4 {
        fail(&breaker);
        assert_eq!(shadow(&breaker).state, if errors < 3 { State::Closed } else { State::Open });
    }
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Closed, 4));
    let found = shadow(&breaker);
    assert_eq!(found.transitions, [(Cause::ErrorThreshold, 1)]);
    assert_eq!((found.seen_calls, found.unseen_calls, found.rejected_count), (4, 0, 1));
    assert_eq!(found.retry_after, Some(30 * SECOND));
}

#[test]
fn rejections_are_counted_by_how_the_calls_ended() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(100));
    breaker.shadow(threshold(1)).unwrap();
    fail(&breaker);
    succeed(&breaker);
    succeed(&breaker);
    fail(&breaker);
    breaker.try_acquire().unwrap().ignore();
    drop(breaker.try_acquire().unwrap());
    let panics = || breaker.call_sync(|| -> Result<(), ()> { panic!("the call panics") });
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    let rejections = shadow(&breaker).rejections;
    let counts = (rejections.success_count, rejections.error_count, rejections.ignored_count, rejections.dropped_count);
    assert_eq!(counts, (2, 2, 1, 1));
    assert_eq!(shadow(&breaker).rejected_count, 6);
}

#[test]
fn where_it_would_be_half_open_the_next_calls_are_its_probes() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(100));
    breaker
        .shadow(config(|config| (config.error_threshold, config.half_open_capacity) = (Some(Some(1)), Some(2))))
        .unwrap();
    fail(&breaker);
    clock.advance(30 * SECOND);
    let probes = [breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap()];
    let other = breaker.try_acquire().unwrap();
    assert_eq!((shadow(&breaker).state, shadow(&breaker).rejected_count), (State::HalfOpen, 1));
    other.success();
    assert_eq!(shadow(&breaker).state, State::HalfOpen);
    probes.into_iter().for_each(tripcoil::Permit::success);
    let found = shadow(&breaker);
    assert_eq!((found.state, found.rejections.success_count), (State::Closed, 1));
    let causes = [(Cause::ErrorThreshold, 1), (Cause::SuccessThreshold, 1), (Cause::ResetTimeout, 1)];
    assert_eq!(found.transitions, causes);
}

#[test]
fn it_judges_while_the_breaker_is_forced_closed_and_sees_nothing_while_that_rejects() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_closed();
    breaker.shadow(threshold(2)).unwrap();
    fail(&breaker);
    fail(&breaker);
    assert_eq!(shadow(&breaker).state, State::Open);
    breaker.force_open();
    for _ in 0..2 {
        breaker.try_acquire().unwrap_err();
    }
    let found = shadow(&breaker);
    assert_eq!((found.seen_calls, found.unseen_calls), (2, 2));
    assert!((found.coverage() - 0.5).abs() < f64::EPSILON);
}

#[test]
fn coverage_is_that_since_the_shadow_began() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    breaker.try_acquire().unwrap_err();
    breaker.shadow(Config::default()).unwrap();
    assert_eq!((shadow(&breaker).unseen_calls, shadow(&breaker).coverage()), (0, 1.0));
    breaker.try_acquire().unwrap_err();
    breaker.reset();
    assert_eq!((shadow(&breaker).seen_calls, shadow(&breaker).unseen_calls), (0, 1));
}

#[test]
fn its_windows_slow_rules_and_hanging_calls_are_its_own() {
    let (breaker, clock) = manual(|settings| settings);
    let slow = |config: &mut Config| {
        config.slow_call_rate = Some(0.5);
        config.slow_call_duration = Some(SECOND);
        config.window = Some(Window::calls(10));
        config.minimum_calls = Some(2);
    };
    breaker.shadow(config(slow)).unwrap();
    let hung = [breaker.try_acquire().unwrap(), breaker.try_acquire().unwrap()];
    clock.advance(3 * SECOND);
    assert_eq!(shadow(&breaker).window.unwrap().hanging_calls, 2);
    succeed(&breaker);
    assert_eq!((shadow(&breaker).state, breaker.state()), (State::Open, State::Closed));
    assert_eq!(shadow(&breaker).transitions, [(Cause::SlowCallRate, 1)]);
    assert_eq!(breaker.metrics().total_slow_count, 0);
    hung.into_iter().for_each(tripcoil::Permit::success);
}

#[test]
fn a_call_that_is_not_timed_is_not_timed_by_the_shadow_either() {
    let (breaker, clock) = manual(|settings| settings);
    let drops = |config: &mut Config| {
        config.error_threshold = Some(Some(1));
        config.dropped_calls = Some(Dropped::FailureAfter(SECOND));
    };
    breaker.shadow(config(drops)).unwrap();
    let untimed = breaker.try_acquire().unwrap().untimed();
    clock.advance(2 * SECOND);
    drop(untimed);
    assert_eq!(shadow(&breaker).state, State::Closed);
    let timed = breaker.try_acquire().unwrap();
    clock.advance(2 * SECOND);
    drop(timed);
    assert_eq!((shadow(&breaker).state, breaker.metrics().total_dropped_count), (State::Open, 2));
}

#[test]
fn a_trip_trips_both() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.shadow(Config::default()).unwrap();
    breaker.try_acquire().unwrap().record(Outcome::Trip { open_for: 7 * SECOND });
    assert_eq!((breaker.state(), shadow(&breaker).state), (State::Open, State::Open));
    assert_eq!(shadow(&breaker).retry_after, Some(7 * SECOND));
}

#[test]
fn only_its_own_observers_hear_of_it() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let other = heard.clone();
    let (breaker, _clock) = manual(|settings| {
        settings.on_transition(|transition| panic!("{transition}")).on_shadow_transition(move |transition| {
            other.lock().unwrap().push((transition.name.to_string(), transition.to, transition.sequence));
            panic!("an observer that panics harms nobody");
        })
    });
    for sequence in 1..=2 {
        breaker.shadow(threshold(1)).unwrap();
        fail(&breaker);
        assert_eq!(heard.lock().unwrap().len(), sequence);
        succeed(&breaker);
    }
    assert_eq!(*heard.lock().unwrap(), vec![("test".to_owned(), State::Open, 1); 2]);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_promoted_shadow_is_the_policy_and_the_state_stays() {
    let (breaker, _clock) = manual(|settings| settings.error_rate(0.9).minimum_calls(1).window(Window::calls(10)));
    succeed(&breaker);
    let rates = |config: &mut Config| {
        config.error_rate = Some(0.9);
        config.minimum_calls = Some(1);
        config.window = Some(Window::calls(10));
    };
    breaker.shadow(config(rates)).unwrap();
    let found = breaker.promote().unwrap();
    assert_eq!((found.state, breaker.state()), (State::Closed, State::Closed));
    assert_eq!(breaker.metrics().window.unwrap().calls, 0, "the windows begin empty");
    assert_eq!((breaker.metrics().shadow, breaker.promote()), (None, None));
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_further_shadow_begins_anew_and_late_calls_stay_with_the_former_one() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.shadow(threshold(2)).unwrap();
    fail(&breaker);
    let late = breaker.try_acquire().unwrap();
    breaker.shadow(threshold(2)).unwrap();
    assert_eq!(shadow(&breaker).seen_calls, 0);
    late.failure();
    fail(&breaker);
    assert_eq!((shadow(&breaker).state, shadow(&breaker).seen_calls), (State::Closed, 1));
    assert_eq!(breaker.end_shadow().unwrap().seen_calls, 1);
    assert!(breaker.end_shadow().is_none());
    assert_eq!(breaker.metrics().shadow, None);
}

#[test]
fn calls_of_before_are_not_in_it() {
    let (breaker, _clock) = manual(|settings| settings);
    let before = breaker.try_acquire().unwrap();
    breaker.shadow(threshold(1)).unwrap();
    before.failure();
    assert_eq!((shadow(&breaker).seen_calls, shadow(&breaker).state), (0, State::Closed));
}

#[test]
fn orders_resets_and_new_settings_do_not_touch_it() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.shadow(threshold(1)).unwrap();
    fail(&breaker);
    breaker.reset();
    breaker.transition_to(State::HalfOpen);
    breaker.transition_to(State::Closed);
    breaker.reconfigure(threshold(9)).unwrap();
    assert_eq!(shadow(&breaker).state, State::Open);
    succeed(&breaker);
    assert_eq!(shadow(&breaker).rejections.success_count, 1);
}

#[test]
fn settings_out_of_range_are_refused_and_change_nothing() {
    let (breaker, _clock) = manual(|settings| settings);
    assert_eq!(breaker.shadow(threshold(0)).unwrap_err().setting(), "error_threshold");
    assert_eq!(breaker.metrics().shadow, None);
    let error = CircuitBreaker::builder("test").shadow(threshold(0)).build().unwrap_err();
    assert_eq!(error.setting(), "error_threshold");
}

#[test]
fn a_breaker_that_only_observes_rejects_nobody_and_shows_its_own_policy() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(2).observe_only());
    assert_eq!((breaker.state(), shadow(&breaker).state), (State::ForcedClosed, State::Closed));
    for _ in 0..5 {
        fail(&breaker);
    }
    assert_eq!((breaker.state(), shadow(&breaker).state), (State::ForcedClosed, State::Open));
    assert_eq!(shadow(&breaker).rejections.error_count, 3);
    breaker.transition_to(State::Closed);
    breaker.end_shadow();
    fail(&breaker);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

/// A clock that panics when it is told to.
struct Fragile(ManualClock, Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Duration {
        assert!(!self.1.load(Ordering::SeqCst), "the clock is broken");
        self.0.now()
    }
}

#[test]
fn a_clock_that_panics_while_the_shadow_reads_it_loses_no_permit() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let clock = Fragile(ManualClock::new(), is_broken.clone());
    let breaker = CircuitBreaker::builder("test").clock(clock).build().unwrap();
    let timed = |config: &mut Config| {
        config.slow_call_rate = Some(0.5);
        config.slow_call_duration = Some(SECOND);
    };
    breaker.shadow(config(timed)).unwrap();
    let permit = breaker.try_acquire().unwrap();
    breaker.end_shadow();
    is_broken.store(true, Ordering::SeqCst);
    // By the breaker's own settings no clock is read; the former shadow reads it.
    permit.success();
    is_broken.store(false, Ordering::SeqCst);
    let metrics = breaker.metrics();
    assert_eq!((metrics.active_calls, metrics.total_success_count), (0, 1));
}

#[test]
fn threads_that_call_while_shadows_come_and_go_lose_no_call() {
    let breaker = Arc::new(manual(|settings| settings.error_threshold(u32::MAX)).0);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let breaker = breaker.clone();
            thread::spawn(move || {
                for call in 0..2_000_u32 {
                    let permit = breaker.try_acquire().unwrap();
                    if call % 3 == 0 { permit.failure() } else { permit.success() }
                }
            })
        })
        .collect();
    for round in 0..200 {
        breaker.shadow(threshold(1 + round % 3)).unwrap();
        if round % 2 == 0 {
            breaker.end_shadow();
        }
    }
    for caller in callers {
        caller.join().unwrap();
    }
    let metrics = breaker.metrics();
    assert_eq!((metrics.active_calls, metrics.total_success_count + metrics.total_error_count), (0, 8_000));
    breaker.shadow(threshold(2)).unwrap();
    fail(&breaker);
    fail(&breaker);
    assert_eq!((shadow(&breaker).state, shadow(&breaker).seen_calls), (State::Open, 2));
}
