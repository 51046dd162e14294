//! A breaker for each key: made once, bounded in number, and never lost while it knows something.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, Registry, State};

fn registry(capacity: usize) -> Registry<u64> {
    Registry::builder(CircuitBreaker::builder("test")).capacity(capacity).build().unwrap()
}

/// Asks for so many keys, so often, that whatever can be evicted is.
fn crowd_out(registry: &Registry<u64>) {
    for key in 1_000_000..1_010_000 {
        for _ in 0..3 {
            succeed(&registry.get(&key));
        }
    }
}

#[test]
fn a_key_has_one_breaker_and_another_key_another() {
    let hosts: Registry<String> = Registry::new("hosts");
    assert!(hosts.is_empty() && hosts.find("a").is_none());
    fail(&hosts.get("a"));
    succeed(&hosts.get("b"));
    assert_eq!(hosts.len(), 2);
    assert!(Arc::ptr_eq(&hosts.get("a"), &hosts.find("a").unwrap()));
    assert_eq!(hosts.get("a").metrics().total_error_count, 1);
    assert_eq!(hosts.get("b").metrics().total_error_count, 0);
    assert_eq!((hosts.name(), hosts.get("a").name()), ("hosts", "a"));
}

#[test]
fn all_breakers_have_the_settings_of_the_template_and_tell_their_own_names() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let template = CircuitBreaker::builder("test")
        .error_threshold(2)
        .on_transition(move |transition| sink.lock().unwrap().push((transition.name.to_string(), transition.sequence)));
    let registry: Registry<u64> = Registry::builder(template).build().unwrap();
    for key in [7, 8] {
        fail(&registry.get(&key));
        assert_eq!(registry.get(&key).state(), State::Closed);
        fail(&registry.get(&key));
        assert_eq!(registry.get(&key).try_acquire().unwrap_err().name(), key.to_string());
    }
    assert_eq!(*told.lock().unwrap(), [("7".to_owned(), 1), ("8".to_owned(), 1)]);
}

#[test]
fn a_name_can_be_made_of_a_key_that_cannot_be_displayed_alike() {
    let names = Registry::builder(CircuitBreaker::builder("test")).name_by(|key: &u64| format!("tenant {key}"));
    assert_eq!(names.build().unwrap().get(&3).name(), "tenant 3");
}

#[test]
fn of_threads_that_ask_at_the_same_time_one_makes_the_breaker() {
    const THREADS: usize = 8;
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let registry = Registry::builder(CircuitBreaker::builder("test")).name_by(move |key: &u64| {
        count.fetch_add(1, Ordering::Relaxed);
        key.to_string()
    });
    let registry = registry.build().unwrap();
    let together = Barrier::new(THREADS);
    let found: HashSet<usize> = thread::scope(|scope| {
        let ask = || {
            together.wait();
            (0..100).map(|key| Arc::as_ptr(&registry.get(&key)).addr()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((found.len(), made.load(Ordering::Relaxed)), (100, 100));
}

#[test]
fn there_are_no_more_breakers_than_the_capacity() {
    for capacity in [1, 2, 33, 100, 1024] {
        let registry = registry(capacity);
        crowd_out(&registry);
        // Each part rounds its share up.
        let parts = thread::available_parallelism().unwrap().get().next_power_of_two() * 4;
        assert!((1..=capacity + parts).contains(&registry.len()), "{} of {capacity}", registry.len());
        assert!(registry.len() >= capacity.min(30));
    }
}

#[test]
fn a_breaker_that_is_not_just_closed_is_never_evicted() {
    let registry = registry(16);
    let states = [State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];
    for (key, state) in states.into_iter().enumerate() {
        registry.get(&(key as u64)).transition_to(state);
    }
    fail(&registry.get(&99));
    crowd_out(&registry);
    for (key, state) in states.into_iter().enumerate() {
        assert_eq!(registry.find(&(key as u64)).expect("kept").state(), state);
    }
    assert!(registry.find(&99).is_none());
}

#[test]
fn a_breaker_that_is_held_or_has_a_call_in_flight_is_never_evicted() {
    let registry = registry(16);
    let held = registry.get(&1);
    let weakly_held = Arc::downgrade(&registry.get(&2));
    let permit = registry.get(&3).try_acquire_owned().unwrap();
    crowd_out(&registry);
    assert!(Arc::ptr_eq(&held, &registry.get(&1)));
    assert!(Arc::ptr_eq(&weakly_held.upgrade().unwrap(), &registry.get(&2)));
    permit.failure();
    assert_eq!(registry.find(&3).expect("kept").metrics().total_error_count, 1);
    drop((held, weakly_held));
    crowd_out(&registry);
    assert!([1, 2, 3].iter().all(|key| registry.find(key).is_none()));
}

#[test]
fn where_none_can_be_evicted_the_registry_grows_and_shrinks_when_they_can() {
    let registry = registry(16);
    for key in 0..200 {
        registry.get(&key).force_open();
    }
    assert_eq!(registry.len(), 200);
    assert!((0..200).all(|key| registry.find(&key).unwrap().state() == State::ForcedOpen));
    for (_, breaker) in registry.iter() {
        breaker.reset();
    }
    crowd_out(&registry);
    assert!(registry.len() <= 32, "{}", registry.len());
}

#[test]
fn a_breaker_that_opens_under_churn_is_found_open_by_everyone() {
    const KEYS: u64 = 50;
    let registry = registry(32);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for churner in 1..=2_u64 {
            let (registry, done) = (&registry, &done);
            scope.spawn(move || {
                let mut key = churner << 32;
                while done.load(Ordering::Relaxed) < 2 {
                    succeed(&registry.get(&key));
                    key += 1;
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for key in 0..KEYS {
                    for _ in 0..5 {
                        // The look-up and the call are two steps, between which the handle is held.
                        let breaker = registry.get(&key);
                        if let Ok(permit) = breaker.try_acquire() {
                            thread::yield_now();
                            permit.record(tripcoil::Outcome::Trip { open_for: SECOND * 3_600 });
                        }
                    }
                    assert_eq!(registry.get(&key).state(), State::Open, "key {key}");
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert!((0..KEYS).all(|key| registry.find(&key).expect("kept").state() == State::Open));
    assert_eq!(registry.metrics().open, KEYS);
}

#[test]
fn the_sums_are_exact_whatever_was_evicted_removed_or_reset() {
    let registry = registry(16);
    for key in 0..1_000 {
        succeed(&registry.get(&key));
        fail(&registry.get(&key));
    }
    registry.get(&5).force_open();
    assert!(registry.get(&5).try_acquire().is_err());
    registry.get(&6).reset();
    assert!(registry.remove(&6).is_some() && registry.remove(&6).is_none());
    let metrics = registry.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count), (1_000, 1_000));
    assert_eq!((metrics.forced_open, metrics.open, metrics.half_open, metrics.forced_closed), (1, 0, 0, 0));
    assert_eq!((metrics.total_rejected_count, metrics.transition_count), (1, 1));
    assert_eq!(metrics.closed + metrics.forced_open, registry.len() as u64);
    registry.retain(|_, _| false);
    let metrics = registry.metrics();
    assert_eq!((metrics.closed, metrics.total_success_count, metrics.total_rejected_count), (0, 1_000, 1));
}

#[test]
fn the_sums_never_go_down_while_breakers_come_and_go() {
    let registry = registry(16);
    let is_done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for key in 0..30_000 {
                succeed(&registry.get(&key));
            }
            is_done.store(1, Ordering::Release);
        });
        let mut last = 0;
        while is_done.load(Ordering::Acquire) == 0 {
            let sum = registry.metrics().total_success_count;
            assert!(sum >= last, "{sum} after {last}");
            last = sum;
        }
        churn.join().unwrap();
    });
    assert_eq!(registry.metrics().total_success_count, 30_000);
}

#[test]
fn the_worst_come_first() {
    let registry: Registry<String> =
        Registry::builder(CircuitBreaker::builder("test").error_threshold(10)).build().unwrap();
    for (key, failures) in [("fine", 0), ("shaky", 2), ("bad", 7), ("worse", 8)] {
        succeed(&registry.get(key));
        for _ in 0..failures {
            fail(&registry.get(key));
        }
    }
    registry.get("off").force_open();
    registry.get("through").force_closed();
    let names: Vec<_> = registry.worst(4).into_iter().map(|metrics| metrics.name.to_string()).collect();
    assert_eq!(names, ["off", "worse", "bad", "shaky"]);
    assert_eq!(registry.worst(100).len(), 6);
}

#[test]
fn a_removed_breaker_stays_valid_for_those_who_hold_it() {
    let registry = registry(16);
    let held = registry.get(&1);
    held.force_open();
    assert!(Arc::ptr_eq(&registry.remove(&1).unwrap(), &held));
    assert_eq!((held.state(), registry.get(&1).state()), (State::ForcedOpen, State::Closed));
}

#[test]
fn the_capacity_is_held_to_its_range() {
    for (capacity, text) in [(0, "0"), (1 << 25, "33554432")] {
        let refused = Registry::<u64>::builder(CircuitBreaker::builder("test")).capacity(capacity).build();
        assert_eq!(refused.unwrap_err().to_string(), format!("`capacity` is {text}, allowed is 1 to 16777216"));
    }
    let refused = Registry::<u64>::builder(CircuitBreaker::builder("test").success_threshold(0)).build();
    assert_eq!(refused.unwrap_err().setting(), "success_threshold");
}

#[test]
fn a_registry_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Registry::<String>::new("test"));
}

fn opening_after(errors: u32) -> Config {
    let mut config = Config::default();
    config.error_threshold = Some(Some(errors));
    config
}

#[test]
fn new_settings_reach_the_breakers_that_are_here_and_those_that_come() {
    let registry = registry(16);
    fail(&registry.get(&1));
    registry.reconfigure(opening_after(2)).unwrap();
    fail(&registry.get(&1));
    assert_eq!(registry.get(&1).state(), State::Open, "its first error still counts");
    fail(&registry.get(&2));
    assert_eq!(registry.get(&2).state(), State::Closed);
    fail(&registry.get(&2));
    assert_eq!(registry.get(&2).state(), State::Open);
}

#[test]
fn settings_that_make_no_sense_change_nothing() {
    let registry = registry(16);
    registry.reconfigure(opening_after(1)).unwrap();
    let error = registry.reconfigure(opening_after(0)).unwrap_err();
    assert_eq!(error.setting(), "error_threshold");
    fail(&registry.get(&1));
    assert_eq!(registry.get(&1).state(), State::Open);
}

#[test]
fn observers_and_clock_stay_when_settings_change() {
    let recorder = Recorder::default();
    let clock = ManualClock::new();
    let template = CircuitBreaker::builder("test").clock(clock.clone()).on_transition(recorder.observer());
    let registry: Registry<u64> = Registry::builder(template).build().unwrap();
    registry.reconfigure(opening_after(1)).unwrap();
    clock.advance(7 * SECOND);
    fail(&registry.get(&5));
    assert_eq!(recorder.seen()[0].at, 7 * SECOND);
}

#[test]
fn a_breaker_that_is_made_while_settings_change_has_the_last_ones() {
    let (is_made, is_changed) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let waits = (is_made.clone(), is_changed.clone());
    let registry = Registry::builder(CircuitBreaker::builder("test"))
        .name_by(move |key: &u64| {
            waits.0.wait();
            waits.1.wait();
            key.to_string()
        })
        .build()
        .unwrap();
    thread::scope(|scope| {
        let maker = scope.spawn(|| registry.get(&1));
        is_made.wait();
        for errors in [3, 1] {
            registry.reconfigure(opening_after(errors)).unwrap();
        }
        is_changed.wait();
        fail(&maker.join().unwrap());
    });
    assert_eq!(registry.get(&1).state(), State::Open);
}
