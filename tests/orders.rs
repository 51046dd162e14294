//! Orders from outside of the process, and observers that come later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{Cause, CircuitBreaker, Order, State, Transition};

const SECOND: Duration = Duration::from_secs(1);

fn breaker(clock: &ManualClock) -> CircuitBreaker {
    CircuitBreaker::builder("db").error_threshold(1).success_threshold(1).clock(clock.clone()).build().unwrap()
}

fn fail(breaker: &CircuitBreaker) {
    breaker.try_acquire().unwrap().failure();
}

#[test]
fn an_order_moves_the_breaker_from_any_state_to_any() {
    let orders = [
        (Order::Hold(SECOND), State::Open),
        (Order::Probe, State::HalfOpen),
        (Order::Close, State::Closed),
        (Order::ForceOpen, State::ForcedOpen),
        (Order::ForceClosed, State::ForcedClosed),
        (Order::Reset, State::Closed),
    ];
    for (first, _) in orders {
        for (order, state) in orders {
            let breaker = breaker(&ManualClock::new());
            let before = breaker.order(first, None).unwrap();
            let after = breaker.order(order, Some(before)).unwrap();
            assert_eq!((after.state(), breaker.state()), (state, state), "{first:?}, then {order:?}");
            assert_eq!(breaker.revision(), after);
            assert!(before.is_before(after));
        }
    }
}

#[test]
fn an_order_for_a_revision_that_is_gone_changes_nothing() {
    let clock = ManualClock::new();
    let slow_close = Order::SlowClose { ramp: SECOND };
    for order in [Order::Hold(SECOND), slow_close, Order::Close, Order::ForceClosed, Order::Reset] {
        let breaker = breaker(&clock);
        let seen = breaker.revision();
        fail(&breaker);
        let metrics = breaker.metrics();
        let found = breaker.order(order, Some(seen)).unwrap_err();
        assert_eq!(found, breaker.revision());
        assert_eq!(breaker.metrics(), metrics, "{order:?}");
    }
}

#[test]
fn a_revision_is_the_same_until_the_next_transition_even_one_into_the_same_state() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock);
    let held = breaker.order(Order::Hold(SECOND), None).unwrap();
    let held_again = breaker.order(Order::Hold(SECOND), None).unwrap();
    assert_ne!(held, held_again);
    assert_eq!(held.sequence(), held_again.sequence());
    assert!(breaker.try_acquire().is_err());
    assert_eq!(breaker.revision(), held_again);
    clock.advance(SECOND);
    let probe = breaker.try_acquire().unwrap();
    assert!(held_again.is_before(breaker.revision()));
    probe.success();
}

#[test]
fn a_hold_is_extended_within_its_epoch_and_never_shortened() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock);
    let held = breaker.order(Order::Hold(5 * SECOND), None).unwrap();
    assert!(breaker.extend_open(held, SECOND));
    assert_eq!(breaker.metrics().retry_after, Some(5 * SECOND));
    assert!(breaker.extend_open(held, 9 * SECOND));
    assert_eq!(breaker.metrics().retry_after, Some(9 * SECOND));
    assert_eq!(breaker.revision(), held);
    clock.advance(8 * SECOND);
    assert!(breaker.try_acquire().is_err());
    clock.advance(SECOND);
    breaker.try_acquire().unwrap().success();
    assert!(!breaker.extend_open(held, SECOND));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn an_extension_to_the_nanosecond_does_not_end_early() {
    let clock = ManualClock::new();
    clock.set(Duration::from_nanos(1_999_999));
    let breaker = breaker(&clock);
    let held = breaker.order(Order::Hold(SECOND), None).unwrap();
    clock.advance(Duration::from_nanos(500_001));
    assert!(breaker.extend_open(held, 2 * SECOND));
    clock.advance(2 * SECOND - Duration::from_nanos(1));
    assert!(breaker.try_acquire().is_err());
    clock.advance(Duration::from_nanos(1));
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn release_ends_a_forced_state_and_nothing_else() {
    let breaker = breaker(&ManualClock::new());
    for state in [State::ForcedOpen, State::ForcedClosed] {
        breaker.transition_to(state);
        breaker.release();
        assert_eq!(breaker.state(), State::Closed);
    }
    for state in [State::Closed, State::Open, State::HalfOpen] {
        breaker.transition_to(state);
        let before = breaker.revision();
        breaker.release();
        assert_eq!(breaker.revision(), before);
    }
}

#[test]
fn observers_are_told_that_an_order_came_from_elsewhere() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("db");
    let (sink, _observing) = recording(&BREAKER);
    let ordered = BREAKER.order(Order::ForceOpen, None).unwrap();
    BREAKER.release();
    let told = sink.lock().unwrap();
    let causes: Vec<_> = told.iter().map(|transition| transition.cause).collect();
    assert_eq!(causes, [Cause::Remote, Cause::Manual]);
    assert_eq!(told[0].revision(), ordered);
    assert!(ordered.is_before(told[1].revision()));
}

fn recording(breaker: &CircuitBreaker) -> (Arc<Mutex<Vec<Transition>>>, tripcoil::Observing) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let observing = breaker.observe(move |transition| sink.lock().unwrap().push(transition.clone()));
    (told, observing)
}

#[test]
fn an_observer_that_comes_later_is_told_of_what_comes_later() {
    let clock = ManualClock::new();
    let breaker = breaker(&clock);
    fail(&breaker);
    let _ = breaker.try_acquire();
    let (told, observing) = recording(&breaker);
    breaker.force_open();
    let (told_later, _observing) = recording(&breaker);
    breaker.release();
    drop(observing);
    fail(&breaker);
    let sequences = |told: &Mutex<Vec<Transition>>| {
        told.lock().unwrap().iter().map(|transition| transition.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(&told), [2, 3]);
    assert_eq!(sequences(&told_later), [3, 4]);
    assert_eq!(told.lock().unwrap()[0].rejected_count, 0, "the rejection was before");
}

#[test]
fn after_a_time_without_observers_the_next_one_is_told_again() {
    let breaker = breaker(&ManualClock::new());
    for round in 0..3 {
        let (told, observing) = recording(&breaker);
        breaker.force_open();
        breaker.release();
        assert_eq!(told.lock().unwrap().len(), 2);
        assert_eq!(told.lock().unwrap()[1].sequence, 4 * round + 2);
        drop(observing);
        breaker.force_closed();
        breaker.release();
        assert_eq!(told.lock().unwrap().len(), 2);
    }
}

#[test]
fn observers_that_come_and_go_while_threads_make_transitions_hear_each_one_once_and_in_order() {
    let breaker = Arc::new(breaker(&ManualClock::new()));
    let (ends, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let movers: Vec<_> = (0..2)
        .map(|_| {
            let (breaker, ends) = (breaker.clone(), ends.clone());
            thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    breaker.force_open();
                    breaker.release();
                }
            })
        })
        .collect();
    for _ in 0..100 {
        let (told, observing) = recording(&breaker);
        while told.lock().unwrap().len() < 3 {
            thread::yield_now();
        }
        drop(observing);
        let told = told.lock().unwrap();
        assert!(told.windows(2).all(|two| two[0].sequence + 1 == two[1].sequence), "{told:#?}");
        heard.fetch_add(told.len() as u64, Ordering::Relaxed);
    }
    ends.store(true, Ordering::Relaxed);
    for mover in movers {
        mover.join().unwrap();
    }
    assert!(heard.load(Ordering::Relaxed) >= 300);
}

#[test]
fn what_an_observer_holds_is_dropped_with_its_handle() {
    let breaker = breaker(&ManualClock::new());
    let held = Arc::new(());
    let kept = held.clone();
    let observing = breaker.observe(move |_| drop(kept.clone()));
    drop(observing);
    assert_eq!(Arc::strong_count(&held), 1);
    let kept = held.clone();
    let observing = breaker.observe(move |_| drop(kept.clone()));
    drop(breaker);
    drop(observing);
    assert_eq!(Arc::strong_count(&held), 1);
}
