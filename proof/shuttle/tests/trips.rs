//! No failure is lost, there is exactly one trip, and a forced state holds.

#![cfg(shuttle)]

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;
use shuttle_tests::{Diary, SECOND, at_once, builder, exhaust, sample, shared};
use tripcoil::{CircuitBreaker, Outcome, OwnedPermit, State};

const TRIPPED: &str = "1 closed open";

/// Lets as many calls fail at once; tells what the observer was told, and the consecutive errors left.
fn told_after_failures(calls: usize, threshold: u32) -> (String, u64, u64) {
    let diary = Diary::default();
    let breaker = shared(diary.kept_by(builder().0.error_threshold(threshold)));
    let in_flight = in_flight(&breaker, calls);
    at_once(calls, move |_| settle(&in_flight, Outcome::Failure));
    let metrics = breaker.metrics();
    (diary.told(), metrics.consecutive_error_count, metrics.total_error_count)
}

fn in_flight(breaker: &Arc<CircuitBreaker>, calls: usize) -> Mutex<Vec<OwnedPermit>> {
    Mutex::new((0..calls).map(|_| breaker.try_acquire_owned().unwrap()).collect())
}

fn settle(calls: &Mutex<Vec<OwnedPermit>>, outcome: Outcome) {
    let call = calls.lock().unwrap().pop();
    call.unwrap().record(outcome);
}

#[test]
fn eight_failures_at_once_reach_a_threshold_of_eight() {
    sample([(TRIPPED.to_owned(), 0, 8)], || told_after_failures(8, 8));
}

#[test]
fn eight_failures_at_once_are_all_counted_below_a_threshold_of_nine() {
    sample([(String::new(), 8, 8)], || told_after_failures(8, 9));
}

#[test]
fn eight_failures_at_once_trip_once_at_a_threshold_of_three() {
    sample([(TRIPPED.to_owned(), 0, 8)], || told_after_failures(8, 3));
}

/// The errors in a row after one, when two calls then end at once.
fn errors_after_one_and(outcomes: [Outcome; 2]) -> u64 {
    let breaker = shared(builder().0.error_threshold(4));
    breaker.try_acquire().unwrap().failure();
    let calls = outcomes.map(|outcome| (breaker.try_acquire_owned().unwrap(), outcome));
    let threads = calls.map(|(call, outcome)| thread::spawn(move || call.record(outcome)));
    for thread in threads {
        thread.join().unwrap();
    }
    breaker.metrics().consecutive_error_count
}

#[test]
fn two_failures_at_once_are_both_counted_in_every_schedule() {
    exhaust([3], || errors_after_one_and([Outcome::Failure; 2]));
}

#[test]
fn a_success_begins_the_count_anew_before_or_after_a_failure_in_every_schedule() {
    exhaust([0, 1], || errors_after_one_and([Outcome::Success, Outcome::Failure]));
}

#[test]
fn a_success_among_four_failures_begins_the_count_anew() {
    // After it, from none to all four of the failures count; it changes nothing once three have tripped.
    let left = |errors| (String::new(), errors);
    sample([left(2), (TRIPPED.to_owned(), 0)], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0.error_threshold(3)));
        let calls = in_flight(&breaker, 5);
        at_once(5, move |number| settle(&calls, if number == 0 { Outcome::Success } else { Outcome::Failure }));
        (diary.told(), breaker.metrics().consecutive_error_count)
    });
}

#[test]
fn of_five_probes_at_once_the_first_failure_decides() {
    let told = |end: &str| format!("1 closed half_open, 2 half_open {end}");
    sample([told("open"), told("closed")], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0.half_open_capacity(5).success_threshold(4)));
        breaker.transition_to(State::HalfOpen);
        let calls = in_flight(&breaker, 5);
        at_once(5, move |number| settle(&calls, if number == 0 { Outcome::Failure } else { Outcome::Success }));
        diary.told()
    });
}

#[test]
fn forced_open_holds_against_four_failures() {
    let tripped_before = "1 closed open, 2 open forced_open";
    sample([tripped_before.to_owned(), "1 closed forced_open".to_owned()], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0.error_threshold(2)));
        let calls = in_flight(&breaker, 4);
        at_once(5, {
            let breaker = breaker.clone();
            move |number| if number == 4 { breaker.force_open() } else { settle(&calls, Outcome::Failure) }
        });
        assert_eq!(breaker.state(), State::ForcedOpen);
        diary.told()
    });
}

#[test]
fn forced_closed_holds_against_callers_at_the_deadline_and_their_failures() {
    let outcomes = [
        "1 closed open, 2 open forced_closed",
        "1 closed open, 2 open half_open, 3 half_open forced_closed",
        "1 closed open, 2 open half_open, 3 half_open open, 4 open forced_closed",
    ];
    sample(outcomes.map(str::to_owned), || {
        let diary = Diary::default();
        let (builder, clock) = builder();
        let breaker = shared(diary.kept_by(builder));
        breaker.transition_to(State::Open);
        clock.advance(SECOND);
        at_once(5, {
            let breaker = breaker.clone();
            move |number| {
                if number == 4 {
                    breaker.force_closed();
                } else if let Ok(permit) = breaker.try_acquire() {
                    permit.failure();
                }
            }
        });
        assert_eq!(breaker.state(), State::ForcedClosed);
        diary.told()
    });
}

#[test]
fn of_six_orders_at_once_each_is_told_once_in_a_chain_that_ends_in_the_state_that_holds() {
    sample([State::HalfOpen, State::ForcedOpen, State::ForcedClosed].map(State::as_str), || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0));
        let orders = [State::HalfOpen, State::ForcedOpen, State::ForcedClosed];
        at_once(6, {
            let breaker = breaker.clone();
            move |number| breaker.transition_to(orders[number % 3])
        });
        let mut state = State::Closed.as_str();
        let told = diary.told();
        for (number, line) in told.split(", ").enumerate() {
            let [sequence, from, to] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            assert_eq!((sequence, from), ((number + 1).to_string().as_str(), state), "{told}");
            state = orders.iter().map(|order| order.as_str()).find(|order| *order == to).unwrap();
        }
        assert_eq!(state, breaker.state().as_str(), "{told}");
        assert_eq!(breaker.metrics().transition_count, told.split(", ").count() as u64);
        state
    });
}
