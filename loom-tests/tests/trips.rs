//! No failure is lost, and the breaker opens exactly once.

#![cfg(loom)]

use std::sync::{Arc, Mutex};

use loom::thread;
use loom_tests::{BOTH, Diary, SECOND, Sched, builder, explore, joined, shared};
use tripcoil::Outcome;

const TRIPPED: &str = "1 closed open";

/// Lets as many calls fail at once; tells what the observer was told, and the consecutive errors left.
fn told_after_failures<const CALLS: usize>(threshold: u32) -> (String, u64, u64) {
    let diary = Diary::default();
    let breaker = shared(diary.kept_by(builder().0.error_threshold(threshold)));
    let calls = [(); CALLS].map(|()| breaker.try_acquire_owned().unwrap());
    let threads = calls.map(|call| thread::spawn(move || call.failure()));
    joined(threads);
    let metrics = breaker.metrics();
    (diary.told(), metrics.consecutive_error_count, metrics.transition_count)
}

#[test]
fn two_failures_at_once_reach_a_threshold_of_two() {
    explore(&BOTH, [(TRIPPED.to_owned(), 0, 1)], || told_after_failures::<2>(2));
}

#[test]
fn two_failures_at_once_are_both_counted_below_a_threshold_of_three() {
    explore(&BOTH, [(String::new(), 2, 0)], || told_after_failures::<2>(3));
}

#[test]
fn of_two_trips_at_once_the_one_that_is_told_holds() {
    explore(&BOTH, [(vec![SECOND], SECOND), (vec![2 * SECOND], 2 * SECOND)], || {
        let told = Arc::new(Mutex::new(Vec::new()));
        let breaker = shared(builder().0.on_transition({
            let told = told.clone();
            move |transition| told.lock().unwrap().push(transition.open_for.unwrap())
        }));
        let calls = [SECOND, 2 * SECOND].map(|open_for| (breaker.try_acquire_owned().unwrap(), open_for));
        let threads = calls.map(|(call, open_for)| thread::spawn(move || call.record(Outcome::Trip { open_for })));
        joined(threads);
        let told = told.lock().unwrap().clone();
        (told, breaker.metrics().retry_after.unwrap())
    });
}

#[test]
fn three_failures_at_once_reach_a_threshold_of_three() {
    explore(&[Sched], [(TRIPPED.to_owned(), 0, 1)], || told_after_failures::<3>(3));
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    // Before both failures it changes nothing, and after both it comes late.
    explore(&BOTH, [(String::new(), 1), (TRIPPED.to_owned(), 0)], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0.error_threshold(2)));
        let calls = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        let good = breaker.try_acquire_owned().unwrap();
        let bad = thread::spawn(move || {
            for call in calls {
                call.failure();
            }
        });
        let good = thread::spawn(move || good.success());
        bad.join().unwrap();
        good.join().unwrap();
        (diary.told(), breaker.metrics().consecutive_error_count)
    });
}
