//! As `tests/linear` of the library, in schedules that shuttle draws: admissions, settlements and orders take effect
//! one after the other.

#![cfg(shuttle)]

#[allow(dead_code, reason = "it is made for tests of more rules")]
#[path = "../../../tests/model/reference.rs"]
mod reference;

#[path = "../../../tests/linear/order.rs"]
mod order;
#[path = "../../../tests/linear/round.rs"]
mod round;

use std::sync::Arc;

use order::explanation;
use round::{Plan, Stage};
use shuttle::rand::{Rng, thread_rng};
use shuttle_tests::{at_once, sample};

/// A round of a random plan; whether an order explains it.
fn is_explained(threads: usize) -> bool {
    let plan = Plan::new(threads, &mut |below| thread_rng().gen_range(0..below));
    let stage = Arc::new(Stage::new(&plan, shuttle::thread::yield_now));
    let mut entries = Vec::new();
    for phase in plan.phases {
        stage.set_clock(phase.time);
        let stage = stage.clone();
        let threads = phase.threads.len();
        let seen = at_once(threads, move |thread| {
            let operations = phase.threads[thread].iter();
            operations.filter_map(|(number, operation)| stage.perform(*number, *operation, phase.time)).collect()
        });
        entries.extend(seen.into_iter().flat_map(|entries: Vec<_>| entries));
    }
    let record = stage.record(entries);
    let explained = explanation(&record).is_some();
    assert!(explained, "no order explains this: {record:#?}");
    explained
}

#[test]
fn what_two_threads_see_is_explained_by_an_order_of_their_operations() {
    sample([true], || is_explained(2));
}

#[test]
fn what_four_threads_see_is_explained_by_an_order_of_their_operations() {
    sample([true], || is_explained(4));
}
