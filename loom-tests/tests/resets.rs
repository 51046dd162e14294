//! A reset subtracts exactly the counts that there were.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, builder, explore, shared};

#[test]
fn a_reader_never_sees_more_taken_off_by_a_reset_than_there_was() {
    // The reset is a change too, and is counted until it has taken off the counts.
    explore(&BOTH, [0, 1, 2], || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.reset()
        });
        let reader = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.metrics()
        });
        operator.join().unwrap();
        reader.join().unwrap().transition_count
    });
}

#[test]
fn an_earlier_reset_takes_nothing_back_from_a_later_one() {
    explore(&BOTH, [0], || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let first = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.reset()
        });
        let second = thread::spawn({
            let breaker = breaker.clone();
            move || {
                breaker.force_open();
                breaker.reset();
            }
        });
        first.join().unwrap();
        second.join().unwrap();
        breaker.metrics().transition_count
    });
}
