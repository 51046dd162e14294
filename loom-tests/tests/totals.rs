//! The totals of all threads add up, and a reader never sees a call settled before it sees it admitted.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread::{self, JoinHandle};
use loom_tests::{BOTH, Plain, RmwLoad, Sched, beside, builder, explore, joined, shared};
use tripcoil::loom_mode::model_tallies;
use tripcoil::{CircuitBreaker, Metrics};

/// Reads the metrics in a thread of its own. The breaker outlives that thread: dropping it there would race.
fn metrics_elsewhere(breaker: &Arc<CircuitBreaker>) -> JoinHandle<Metrics> {
    beside(breaker, |breaker| breaker.metrics())
}

#[test]
fn the_totals_of_two_threads_add_up() {
    model_tallies(true);
    explore(&BOTH, [(2, 1, 0)], || {
        let breaker = shared(builder().0.error_threshold(2));
        let threads = [0, 1].map(|failures| {
            beside(&breaker, move |breaker| {
                breaker.try_acquire().unwrap().success();
                for _ in 0..failures {
                    breaker.try_acquire().unwrap().failure();
                }
            })
        });
        joined(threads);
        let metrics = breaker.metrics();
        (metrics.total_success_count, metrics.total_error_count, metrics.active_calls)
    });
}

#[test]
fn a_reader_sees_a_call_admitted_before_it_sees_it_settled() {
    model_tallies(true);
    // Both calls are admitted before the first is settled: with one success there is one call active.
    let outcomes = [(0, 0), (0, 1), (0, 2), (1, 1), (2, 0)];
    explore(&[Plain, Sched], outcomes, || {
        let breaker = shared(builder().0);
        let caller = beside(&breaker, move |breaker| {
            let calls = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
            for call in calls {
                call.success();
            }
        });
        let reader = metrics_elsewhere(&breaker);
        caller.join().unwrap();
        let metrics = reader.join().unwrap();
        (metrics.total_success_count, metrics.active_calls)
    });
}

#[test]
fn a_reader_sees_a_call_admitted_that_was_settled_by_another_thread() {
    model_tallies(true);
    let outcomes = [(0, 0), (0, 1), (0, 2), (1, 1)];
    explore(&[Plain, Sched], outcomes, || {
        let breaker = shared(builder().0);
        let caller = beside(&breaker, move |breaker| {
            let other = breaker.try_acquire_owned().unwrap();
            let admitting = beside(breaker, |breaker| breaker.try_acquire_owned().unwrap());
            admitting.join().unwrap().success();
            other
        });
        let reader = metrics_elsewhere(&breaker);
        let _active = caller.join().unwrap();
        let metrics = reader.join().unwrap();
        (metrics.total_success_count, metrics.active_calls)
    });
}

#[test]
fn two_threads_that_share_a_stripe_lose_no_count() {
    model_tallies(true);
    explore(&[Plain, RmwLoad], [(3, 1, 1, 0)], || {
        let breaker = shared(builder().0.error_threshold(2));
        // This thread has the first stripe, and the two share one until they earn their own.
        let calls = [(); 4].map(|()| breaker.try_acquire_owned().unwrap());
        let [good, bad, other, ignored] = calls;
        let one = beside(&breaker, move |breaker| {
            good.success();
            bad.failure();
            breaker.call_sync(|| Ok::<_, ()>(())).unwrap();
        });
        let other = thread::spawn(move || {
            other.success();
            ignored.ignore();
        });
        one.join().unwrap();
        other.join().unwrap();
        let metrics = breaker.metrics();
        let Metrics { total_success_count, total_error_count, total_ignored_count, active_calls, .. } = metrics;
        (total_success_count, total_error_count, total_ignored_count, active_calls)
    });
}

#[test]
fn a_reader_misses_no_call_of_a_thread_that_earns_a_stripe() {
    model_tallies(true);
    // Admissions are read last: of the calls that are settled meanwhile, some are still active to the reader.
    let outcomes = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)];
    explore(&[Plain, Sched], outcomes, || {
        let breaker = shared(builder().0);
        let active = breaker.try_acquire_owned().unwrap();
        // Two successes earn a stripe in a model: two calls are counted in the shared one, and one in the new one.
        let earning = beside(&breaker, move |breaker| (0..3).for_each(|_| breaker.try_acquire().unwrap().success()));
        let reader = metrics_elsewhere(&breaker);
        earning.join().unwrap();
        let metrics = reader.join().unwrap();
        drop(active);
        (metrics.total_success_count, metrics.active_calls)
    });
}
