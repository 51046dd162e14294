//! Rates over time: failures at once are not missed, none counts in another epoch, and no slice is read while
//! it is emptied.

#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use loom_tests::{BOTH, Plain, SECOND, Sched, builder, explore, explore_crowded, shared};
use tripcoil::clock::ManualClock;
use tripcoil::loom_mode::model_rings;
use tripcoil::{Builder, CircuitBreaker, Clock, Window};

/// Over two slices of a second each.
fn over_time(minimum_calls: u32) -> (Builder, ManualClock) {
    model_rings(true);
    let (builder, clock) = builder();
    let builder = builder.error_threshold(None).error_rate(1.0).window(Window::time(2 * SECOND));
    (builder.minimum_calls(minimum_calls), clock)
}

/// The state, the changes of it, and the calls and errors in the window.
fn state_and_window(breaker: &CircuitBreaker) -> (&'static str, u64, u64, u64) {
    let metrics = breaker.metrics();
    let window = metrics.window.expect("there is a rate rule");
    (metrics.state.as_str(), metrics.transition_count, window.calls, window.errors)
}

/// Lets two calls fail at once, a second having passed before one of them ends if `time_passes`.
fn after_two_failures(minimum_calls: u32, time_passes: bool) -> (&'static str, u64, u64, u64) {
    let (builder, clock) = over_time(minimum_calls);
    let breaker = shared(builder);
    let [early, late] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
    let late = thread::spawn(move || {
        if time_passes {
            clock.advance(SECOND);
        }
        late.failure();
    });
    let early = thread::spawn(move || early.failure());
    early.join().unwrap();
    late.join().unwrap();
    state_and_window(&breaker)
}

#[test]
fn two_failures_at_once_meet_a_rate() {
    explore_crowded(&[Plain, Sched], [("open", 1, 0, 0)], || after_two_failures(2, false));
}

#[test]
fn two_failures_at_once_are_both_in_a_window_that_they_do_not_fill() {
    explore_crowded(&BOTH, [("closed", 0, 2, 2)], || after_two_failures(3, false));
}

#[test]
fn two_failures_in_neighbouring_slices_meet_a_rate() {
    explore_crowded(&[Plain, Sched], [("open", 1, 0, 0)], || after_two_failures(2, true));
}

#[test]
fn no_failure_crosses_an_epoch() {
    explore(&BOTH, [("closed", 0, 1, 1)], || {
        let breaker = shared(over_time(2).0);
        let old = breaker.try_acquire_owned().unwrap();
        let failing = thread::spawn(move || old.failure());
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || {
                breaker.reset();
                breaker.try_acquire().unwrap().failure();
            }
        });
        failing.join().unwrap();
        operator.join().unwrap();
        state_and_window(&breaker)
    });
}

/// A clock of whole seconds that loom sees.
#[derive(Clone)]
struct SeenClock(Arc<AtomicU64>);

impl Clock for SeenClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Acquire))
    }
}

#[test]
fn a_slice_is_not_read_while_it_is_emptied() {
    // From the third second on the slice of the first is out, and its place is taken. Who reads has looked at the
    // clock before or after that.
    explore(&[Plain, Sched], [(0, 0), (1, 0), (1, 1)], || {
        let clock = SeenClock(Arc::new(AtomicU64::new(0)));
        let breaker = shared(over_time(9).0.clock(clock.clone()));
        let caller = thread::spawn({
            let breaker = breaker.clone();
            move || {
                breaker.try_acquire().unwrap().failure();
                let reader = thread::spawn({
                    let breaker = breaker.clone();
                    move || breaker.metrics().window.expect("there is a rate rule")
                });
                clock.0.store(2, Ordering::Release);
                breaker.try_acquire().unwrap().failure();
                reader.join().unwrap()
            }
        });
        let window = caller.join().unwrap();
        (window.calls, window.errors)
    });
}
