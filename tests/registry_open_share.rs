//! At most a share of a registry's breakers is open by their own rules.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, Cause, CircuitBreaker, Registry, State, SuppressedOpening, Window};

type Told = Arc<Mutex<Vec<SuppressedOpening>>>;

struct Fixture {
    registry: Registry<u64>,
    clock: ManualClock,
    told: Told,
}

/// A registry with `breakers` breakers, of the keys from 0 on.
fn registry(share: f64, breakers: u64, settings: impl FnOnce(Builder) -> Builder) -> Fixture {
    let (clock, told) = (ManualClock::new(), Told::default());
    let sink = told.clone();
    let template = settings(CircuitBreaker::builder("test").clock(clock.clone()));
    let registry = Registry::builder(template)
        .max_open_share(share)
        .on_suppressed_opening(move |opening| sink.lock().unwrap().push(opening.clone()))
        .build()
        .unwrap();
    for key in 0..breakers {
        registry.get(&key);
    }
    Fixture { registry, clock, told }
}

fn after(errors: u32) -> impl FnOnce(Builder) -> Builder {
    move |settings| settings.error_threshold(errors)
}

fn fail_times(registry: &Registry<u64>, key: u64, times: usize) {
    for _ in 0..times {
        fail(&registry.get(&key));
    }
}

fn states(registry: &Registry<u64>, keys: impl IntoIterator<Item = u64>) -> Vec<State> {
    keys.into_iter().map(|key| registry.get(&key).state()).collect()
}

/// How many of the closed breakers `keys` open.
fn can_open(registry: &Registry<u64>, keys: impl IntoIterator<Item = u64>) -> usize {
    let opens = |key: &u64| {
        fail(&registry.get(key));
        registry.get(key).state() == State::Open
    };
    keys.into_iter().filter(opens).count()
}

#[test]
fn a_rule_that_is_met_beyond_the_share_makes_no_transition_and_the_run_begins_anew() {
    let Fixture { registry, clock, told } = registry(0.2, 10, after(3));
    clock.advance(7 * SECOND);
    for key in [0, 1, 2] {
        fail_times(&registry, key, 3);
    }
    assert_eq!(states(&registry, 0..3), [State::Open, State::Open, State::Closed]);
    let third = registry.get(&2);
    assert_eq!(consecutive(&third), (0, 0));
    assert_eq!((third.metrics().total_error_count, third.metrics().transition_count), (3, 0));
    let told = std::mem::take(&mut *told.lock().unwrap());
    let SuppressedOpening { name, cause, at, consecutive_error_count, window, .. } = &told[0];
    assert_eq!((&**name, *cause, *at), ("2", Cause::ErrorThreshold, 7 * SECOND));
    assert_eq!((*consecutive_error_count, *window, told.len()), (3, None, 1));
    assert_eq!(told[0].to_string(), "circuit breaker `2`: not opened (error_threshold)");

    // It takes the whole threshold again.
    fail_times(&registry, 2, 2);
    assert_eq!(registry.metrics().suppressed_open_count, 1);
    registry.get(&0).reset();
    fail_times(&registry, 2, 1);
    assert_eq!(states(&registry, 0..3), [State::Closed, State::Open, State::Open]);
    let metrics = registry.metrics();
    assert_eq!((metrics.open, metrics.suppressed_open_count), (2, 1));
}

#[test]
fn without_a_share_all_may_open() {
    let registry: Registry<u64> =
        Registry::builder(CircuitBreaker::builder("test").error_threshold(1)).build().unwrap();
    assert_eq!(can_open(&registry, 0..50), 50);
    assert_eq!(registry.metrics().suppressed_open_count, 0);
}

#[test]
fn one_breaker_may_always_open() {
    let Fixture { registry, .. } = registry(0.01, 0, after(1));
    assert_eq!(can_open(&registry, 0..20), 1);
    assert_eq!(registry.metrics().suppressed_open_count, 19);
}

#[test]
fn a_call_in_flight_at_a_suppressed_opening_is_late() {
    let Fixture { registry, .. } = registry(0.01, 2, after(2));
    registry.get(&0).transition_to(State::Open);
    let in_flight = registry.try_acquire(&1).unwrap();
    fail_times(&registry, 1, 2);
    assert_eq!(registry.metrics().suppressed_open_count, 1);
    registry.get(&0).reset();
    in_flight.failure();
    fail_times(&registry, 1, 1);
    assert_eq!(registry.get(&1).state(), State::Closed);
    fail_times(&registry, 1, 1);
    assert_eq!(registry.get(&1).state(), State::Open);
    assert_eq!(registry.get(&1).metrics().total_error_count, 5);
}

#[test]
fn the_window_of_an_error_rate_begins_anew() {
    let rate = |settings: Builder| settings.error_rate(0.5).window(Window::calls(10)).minimum_calls(4);
    let Fixture { registry, told, .. } = registry(0.5, 2, rate);
    registry.get(&0).transition_to(State::Open);
    let breaker = registry.get(&1);
    for _ in 0..2 {
        succeed(&breaker);
    }
    for _ in 0..2 {
        fail(&breaker);
    }
    let window = breaker.metrics().window.unwrap();
    assert_eq!((breaker.state(), window.calls, window.errors), (State::Closed, 0, 0));
    let told = told.lock().unwrap()[0].clone();
    let window = told.window.unwrap();
    assert_eq!((told.cause, window.calls, window.errors), (Cause::ErrorRate, 4, 2));
    registry.get(&0).reset();
    for _ in 0..3 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
}

fn slow(settings: Builder) -> Builder {
    settings.slow_call_rate(0.5).slow_call_duration(SECOND).window(Window::calls(10)).minimum_calls(2)
}

#[test]
fn slow_calls_are_held_to_the_share_too() {
    let Fixture { registry, clock, told } = registry(0.5, 2, slow);
    registry.get(&0).transition_to(State::Open);
    let breaker = registry.get(&1);
    for _ in 0..2 {
        let permit = admitted(&breaker);
        clock.advance(2 * SECOND);
        permit.success();
    }
    assert_eq!((breaker.state(), told.lock().unwrap()[0].cause), (State::Closed, Cause::SlowCallRate));
    assert_eq!(registry.metrics().suppressed_open_count, 1);
}

#[test]
fn calls_that_hang_are_held_to_the_share_too() {
    let Fixture { registry, clock, told } = registry(0.5, 2, slow);
    registry.get(&0).transition_to(State::Open);
    let breaker = registry.get(&1);
    let hanging = [admitted(&breaker), admitted(&breaker), admitted(&breaker)];
    for _ in 0..10 {
        clock.advance(SECOND);
        admitted(&breaker).ignore();
    }
    assert_eq!((breaker.state(), told.lock().unwrap()[0].cause), (State::Closed, Cause::SlowCallRate));
    drop(hanging);
}

#[test]
fn trips_reopenings_and_orders_are_never_suppressed_and_count() {
    let Fixture { registry, clock, .. } = registry(0.3, 10, after(1));
    trip(&registry.get(&0), SECOND);
    registry.get(&1).open_for(SECOND);
    registry.get(&2).transition_to(State::HalfOpen);
    trip(&registry.get(&3), 60 * SECOND);
    assert_eq!(states(&registry, 0..4), [State::Open, State::Open, State::HalfOpen, State::Open]);
    assert_eq!(can_open(&registry, 4..10), 0);
    // A probe that fails opens again, however many are open.
    clock.advance(2 * SECOND);
    fail(&registry.get(&0));
    fail(&registry.get(&2));
    assert_eq!(states(&registry, [0, 2]), [State::Open, State::Open]);
    assert_eq!(can_open(&registry, 4..10), 0);
    assert_eq!(registry.metrics().suppressed_open_count, 12);
    // Two have to close before another one may open.
    registry.get(&0).reset();
    assert_eq!(can_open(&registry, 4..10), 0);
    registry.get(&1).transition_to(State::Closed);
    assert_eq!(can_open(&registry, 4..10), 1);
}

#[test]
fn a_forced_breaker_is_not_counted() {
    let Fixture { registry, .. } = registry(0.2, 10, after(1));
    for key in 0..5 {
        registry.get(&key).force_open();
    }
    assert_eq!(can_open(&registry, 5..10), 2);
    for key in 5..10 {
        registry.get(&key).force_closed();
    }
    registry.get(&0).transition_to(State::Closed);
    registry.get(&1).transition_to(State::Closed);
    registry.get(&2).transition_to(State::Closed);
    assert_eq!(can_open(&registry, 0..3), 2);
}

#[test]
fn a_breaker_that_closes_by_its_probes_makes_room() {
    let Fixture { registry, clock, .. } = registry(0.1, 10, after(1));
    assert_eq!(can_open(&registry, 0..10), 1);
    clock.advance(60 * SECOND);
    succeed(&registry.get(&0));
    assert_eq!((registry.get(&0).state(), can_open(&registry, 1..10)), (State::HalfOpen, 0));
    succeed(&registry.get(&0));
    assert_eq!((registry.get(&0).state(), can_open(&registry, 1..10)), (State::Closed, 1));
}

#[test]
fn a_breaker_that_is_removed_or_evicted_makes_room_and_counts_no_more() {
    let template = CircuitBreaker::builder("test").error_threshold(1);
    let registry: Registry<u64> = Registry::builder(template).capacity(4).max_open_share(0.25).build().unwrap();
    assert_eq!(can_open(&registry, 0..4), 1);
    let removed = registry.remove(&0).unwrap();
    assert_eq!(can_open(&registry, 1..4), 1);
    // What becomes of the one that is gone does not matter any more.
    removed.reset();
    fail(&removed);
    assert_eq!((removed.state(), can_open(&registry, 2..4)), (State::Open, 0));
    drop(removed);
    // All are open, so that an open one is evicted.
    for key in 1..5 {
        registry.get(&key).transition_to(State::Open);
    }
    assert_eq!(registry.len(), 4);
    registry.get(&5);
    assert_eq!(registry.metrics().evicted_open, 1);
    for key in 1..5 {
        if let Some(breaker) = registry.find(&key) {
            breaker.reset();
        }
    }
    assert_eq!(can_open(&registry, 5..6), 1);
}

#[test]
fn a_share_out_of_range_is_refused() {
    for (share, text) in [(0.0, "0"), (1.1, "1.1"), (-0.5, "-0.5"), (f64::NAN, "NaN")] {
        let refused = Registry::<u64>::builder(CircuitBreaker::builder("test")).max_open_share(share).build();
        let expected = format!("`max_open_share` is {text}, allowed is above 0.0, up to 1.0");
        assert_eq!(refused.unwrap_err().to_string(), expected);
    }
    assert!(Registry::<u64>::builder(CircuitBreaker::builder("test")).max_open_share(1.0).build().is_ok());
}

#[test]
fn an_observer_may_use_the_registry_and_panic() {
    let registry: Arc<std::sync::OnceLock<Registry<u64>>> = Arc::default();
    let within = registry.clone();
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    let built = Registry::builder(CircuitBreaker::builder("test").error_threshold(1))
        .max_open_share(0.1)
        .on_suppressed_opening(move |opening| {
            let registry = within.get().unwrap();
            assert_eq!(registry.find(&1).unwrap().name(), &*opening.name);
            assert_eq!(registry.metrics().suppressed_open_count, 1);
            panic!("by design");
        })
        .on_suppressed_opening(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    let registry = registry.get_or_init(|| built.build().unwrap());
    assert_eq!(can_open(registry, 0..2), 1);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn no_more_than_the_share_open_when_threads_fail_at_the_same_time() {
    const KEYS: u64 = 40;
    for round in 0..50 {
        let Fixture { registry, .. } = registry(0.25, KEYS, after(2));
        thread::scope(|scope| {
            for thread in 0..4 {
                let registry = &registry;
                scope.spawn(move || {
                    for step in 0..10 * KEYS {
                        let key = (step * 7 + thread * 11 + round) % KEYS;
                        let _ = registry.call_sync(&key, || Err::<(), _>(()));
                        let metrics = registry.metrics();
                        assert!(metrics.open <= 10, "{metrics:?}");
                    }
                });
            }
        });
        let metrics = registry.metrics();
        assert_eq!((metrics.open, metrics.half_open, metrics.transition_count), (10, 0, 10));
        assert!(metrics.suppressed_open_count > 0);
        assert_eq!(metrics.total_error_count + metrics.total_rejected_count, 4 * 10 * KEYS);
    }
}

#[test]
fn the_open_ones_are_counted_exactly_while_threads_open_and_close_them() {
    const KEYS: u64 = 20;
    let Fixture { registry, .. } = registry(0.25, KEYS, after(1));
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let registry = &registry;
            scope.spawn(move || {
                for step in 0..5_000 {
                    let key = (step * 7 + thread * 3) % KEYS;
                    let breaker = registry.get(&key);
                    match (step + thread) % 9 {
                        0 => breaker.reset(),
                        1 => breaker.transition_to(State::HalfOpen),
                        2 => breaker.force_closed(),
                        3 => drop(registry.remove(&key)),
                        4 => breaker.open_for(SECOND),
                        _ => drop(registry.call_sync(&key, || Err::<(), _>(()))),
                    }
                }
            });
        }
    });
    for key in 0..KEYS {
        registry.get(&key).reset();
    }
    assert_eq!(registry.len() as u64, KEYS);
    assert_eq!(can_open(&registry, 0..KEYS), 5);
}
