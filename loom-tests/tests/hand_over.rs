//! A thread that sees a state, or is admitted or rejected by it, sees everything written before the state was entered.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::parcel::Parcel;
use loom_tests::{Plain, Sched, builder, explore, shared};
use tripcoil::{CircuitBreaker, State};

/// Works on a parcel and then does `enter`, while another thread does `looks`, which looks into it if it may.
/// Which of the two is spawned first is up to `reader_first`. Whether it was looked into is the outcome.
fn hand_over<T: 'static>(
    reader_first: bool,
    prepare: impl FnOnce(&Arc<CircuitBreaker>) -> T,
    enter: impl FnOnce(&CircuitBreaker, T) + 'static,
    looks: fn(&CircuitBreaker, &Parcel) -> bool,
) -> bool {
    hand_over_by(&shared(builder().0), reader_first, prepare, enter, looks)
}

fn hand_over_by<T: 'static>(
    breaker: &Arc<CircuitBreaker>,
    reader_first: bool,
    prepare: impl FnOnce(&Arc<CircuitBreaker>) -> T,
    enter: impl FnOnce(&CircuitBreaker, T) + 'static,
    looks: fn(&CircuitBreaker, &Parcel) -> bool,
) -> bool {
    let prepared = prepare(breaker);
    let parcel = Arc::new(Parcel::new());
    let read = {
        let (breaker, parcel) = (breaker.clone(), parcel.clone());
        move || looks(&breaker, &parcel)
    };
    let write = {
        let breaker = breaker.clone();
        move || {
            parcel.work_on();
            enter(&breaker, prepared);
        }
    };
    if reader_first {
        let (reader, writer) = (thread::spawn(read), thread::spawn(write));
        writer.join().unwrap();
        reader.join().unwrap()
    } else {
        let (writer, reader) = (thread::spawn(write), thread::spawn(read));
        writer.join().unwrap();
        reader.join().unwrap()
    }
}

/// Looks while the permit is held: giving it back would synchronize as well.
fn looks_if_admitted(breaker: &CircuitBreaker, parcel: &Parcel) -> bool {
    let permit = breaker.try_acquire();
    permit.is_ok() && has_arrived(parcel)
}

fn has_arrived(parcel: &Parcel) -> bool {
    assert_eq!(parcel.look(), 1);
    true
}

#[test]
fn a_state_that_is_seen_shows_what_came_before_it() {
    for reader_first in [false, true] {
        explore(&[Plain, Sched], [false, true], move || {
            hand_over(
                reader_first,
                |_| (),
                |breaker, ()| breaker.force_open(),
                |breaker, parcel| breaker.state() == State::ForcedOpen && has_arrived(parcel),
            )
        });
    }
}

#[test]
fn an_admission_shows_what_came_before_the_close() {
    for reader_first in [false, true] {
        explore(&[Plain, Sched], [false, true], move || {
            let prepare = |breaker: &Arc<CircuitBreaker>| breaker.force_open();
            hand_over(reader_first, prepare, |breaker, ()| breaker.reset(), looks_if_admitted)
        });
    }
}

#[test]
fn a_rejection_shows_what_came_before_the_trip() {
    for reader_first in [false, true] {
        explore(&[Plain, Sched], [false, true], move || {
            let prepare = |breaker: &Arc<CircuitBreaker>| breaker.try_acquire_owned().unwrap();
            hand_over(
                reader_first,
                prepare,
                |_, call| call.failure(),
                |breaker, parcel| breaker.try_acquire().is_err() && has_arrived(parcel),
            )
        });
    }
}

#[test]
fn a_slot_that_came_back_shows_what_its_probe_did() {
    for reader_first in [false, true] {
        explore(&[Plain, Sched], [false, true], move || {
            let prepare = |breaker: &Arc<CircuitBreaker>| {
                breaker.transition_to(State::HalfOpen);
                breaker.try_acquire_owned().unwrap()
            };
            hand_over(reader_first, prepare, |_, probe| probe.ignore(), looks_if_admitted)
        });
    }
}

#[test]
fn a_failure_that_is_counted_shows_what_came_before_it() {
    for reader_first in [false, true] {
        explore(&[Plain, Sched], [false, true], move || {
            hand_over_by(
                &shared(builder().0.error_threshold(2)),
                reader_first,
                |breaker| breaker.try_acquire_owned().unwrap(),
                |_, call| call.failure(),
                |breaker, parcel| breaker.metrics().consecutive_error_count == 1 && has_arrived(parcel),
            )
        });
    }
}
