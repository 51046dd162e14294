//! Drops under a drop rate: concurrent drops see each other and the calls beside them, the breaker opens once, and drops
//! of an earlier epoch and of probes stay neutral.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::{BOTH, Plain, SECOND, Sched, beside, builder, explore, explore_crowded, shared};
use tripcoil::loom_mode::{model_rings, model_tallies};
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, State, Window};

fn against_drops(rate: f64, window: Window, minimum_calls: u32) -> Builder {
    builder().0.error_threshold(None).drop_rate(rate).window(window).minimum_calls(minimum_calls)
}

/// The changes of state, and the settled and the dropped calls in the window.
fn changes_and_window(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let metrics = breaker.metrics();
    let window = metrics.window.expect("there is a rate rule");
    (metrics.transition_count, window.calls, window.dropped_calls)
}

fn admitted<const N: usize>(breaker: &Arc<CircuitBreaker>) -> [OwnedPermit; N] {
    std::array::from_fn(|_| breaker.try_acquire_owned().unwrap())
}

/// Ends calls in two threads at once: `end` those of each.
fn after_two<const N: usize>(breaker: &Arc<CircuitBreaker>, end: fn([OwnedPermit; N])) -> (u64, u64, u64) {
    let [one, other] = [(); 2].map(|()| admitted(breaker));
    let beside = thread::spawn(move || end(one));
    end(other);
    beside.join().unwrap();
    changes_and_window(breaker)
}

fn drop_one(call: [OwnedPermit; 1]) {
    drop(call);
}

fn succeed_and_drop([good, lost]: [OwnedPermit; 2]) {
    good.success();
    drop(lost);
}

fn drop_and_succeed([lost, good]: [OwnedPermit; 2]) {
    drop(lost);
    good.success();
}

#[test]
fn two_drops_at_once_meet_a_rate_of_the_last_calls() {
    explore(&[Plain, Sched], [(1, 0, 0)], || after_two(&shared(against_drops(1.0, Window::calls(2), 2)), drop_one));
}

#[test]
fn two_drops_at_once_meet_a_rate_over_time() {
    explore(&[Plain, Sched], [(1, 0, 0)], || {
        model_rings(true);
        let breaker = shared(against_drops(0.5, Window::time(2 * SECOND), 3));
        // Begins the first slice, so that the threads agree on where the slices lie.
        breaker.try_acquire().unwrap().success();
        after_two(&breaker, drop_one)
    });
}

#[test]
fn two_drops_at_once_are_both_in_a_window_that_they_do_not_fill() {
    explore(&BOTH, [(0, 0, 2)], || after_two(&shared(against_drops(1.0, Window::calls(3), 3)), drop_one));
}

#[test]
fn drops_after_successes_open_once_there_are_enough_calls_of_both_kinds() {
    // The drop that looks last sees all four.
    explore_crowded(&[Plain, Sched], [(1, 0, 0)], || {
        model_tallies(true);
        after_two(&shared(against_drops(0.5, Window::calls(4), 4)), succeed_and_drop)
    });
}

#[test]
fn a_success_beside_a_drop_counts_and_opens_nothing() {
    // Open, if a thread had succeeded before the drop of the other looked. The last drop opens in any case.
    explore_crowded(&[Plain, Sched], [(0, 2, 2, true), (1, 0, 0, true)], || {
        model_tallies(true);
        let breaker = shared(against_drops(0.5, Window::calls(4), 3));
        let [last] = admitted(&breaker);
        let (changes, calls, drops) = after_two(&breaker, drop_and_succeed);
        drop(last);
        (changes, calls, drops, breaker.state() == State::Open)
    });
}

#[test]
fn no_drop_crosses_an_epoch() {
    explore(&BOTH, [(0, 0, 1)], || {
        let breaker = shared(against_drops(0.5, Window::calls(4), 2));
        let old: [_; 1] = admitted(&breaker);
        let late = thread::spawn(move || drop(old));
        breaker.reset();
        drop(breaker.try_acquire().unwrap());
        late.join().unwrap();
        changes_and_window(&breaker)
    });
}

#[test]
fn a_drop_of_a_probe_beside_one_that_closes_is_neutral() {
    explore(&BOTH, [(2, 0, 0)], || {
        let breaker = shared(against_drops(0.5, Window::calls(1), 1).half_open_capacity(2));
        breaker.transition_to(State::HalfOpen);
        let [lost, good] = admitted(&breaker);
        let dropping = thread::spawn(move || drop(lost));
        let succeeding = beside(&breaker, move |_| good.success());
        dropping.join().unwrap();
        succeeding.join().unwrap();
        changes_and_window(&breaker)
    });
}
