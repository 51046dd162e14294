//! A reset subtracts exactly the counts that there were.

#![cfg(loom)]

use loom_tests::{BOTH, beside, builder, explore, shared};

#[test]
fn a_reader_never_sees_more_taken_off_by_a_reset_than_there_was() {
    // The reset is a change too, and is counted until it has taken off the counts.
    explore(&BOTH, [0, 1, 2], || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let operator = beside(&breaker, |breaker| breaker.reset());
        let reader = beside(&breaker, |breaker| breaker.metrics());
        operator.join().unwrap();
        reader.join().unwrap().transition_count
    });
}

#[test]
fn an_earlier_reset_takes_nothing_back_from_a_later_one() {
    explore(&BOTH, [0], || {
        let breaker = shared(builder().0);
        breaker.force_open();
        let first = beside(&breaker, |breaker| breaker.reset());
        let second = beside(&breaker, move |breaker| {
            breaker.force_open();
            breaker.reset();
        });
        first.join().unwrap();
        second.join().unwrap();
        breaker.metrics().transition_count
    });
}
