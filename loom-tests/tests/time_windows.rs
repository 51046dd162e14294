//! Time windows: concurrent failures see each other, none counts in another epoch, and no slice is read while another
//! replaces it.

#![cfg(loom)]

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use loom_tests::windows::{fail_across_a_reset, state_and_window};
use loom_tests::{Plain, RmwLoad, SECOND, Sched, beside, builder, explore, explore_crowded, explore_stale, shared};
use tripcoil::clock::ManualClock;
use tripcoil::loom_mode::model_rings;
use tripcoil::{Builder, CircuitBreaker, Clock, OwnedPermit, Window};

/// Over two slices of a second each.
fn over_time(rate: f64, minimum_calls: u32) -> (Builder, ManualClock) {
    model_rings(true);
    let (builder, clock) = builder();
    let builder = builder.error_threshold(None).error_rate(rate).window(Window::time(2 * SECOND));
    (builder.minimum_calls(minimum_calls), clock)
}

/// A breaker whose first slice has begun with a failure, so that the threads of a model agree on where the slices lie.
fn begun(builder: Builder) -> Arc<CircuitBreaker> {
    let breaker = shared(builder);
    breaker.try_acquire().unwrap().failure();
    breaker
}

/// Lets two calls fail at once after a first one. `fail` ends the one, and a thread the other, once a second has passed if
/// `time_passes`.
fn after_two_failures(minimum_calls: u32, fail: fn(OwnedPermit), time_passes: bool) -> (&'static str, u64, u64, u64) {
    let (builder, clock) = over_time(1.0, minimum_calls);
    let breaker = begun(builder);
    let [early, late] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
    let late = thread::spawn(move || {
        if time_passes {
            clock.advance(SECOND);
        }
        late.failure();
    });
    fail(early);
    late.join().unwrap();
    state_and_window(&breaker)
}

/// Both failures are counted in one stripe, which threads share.
fn in_a_thread(call: OwnedPermit) {
    thread::spawn(move || call.failure()).join().unwrap();
}

/// The failures are counted in two stripes: this thread has made the first call, and owns the first stripe.
fn in_this_thread(call: OwnedPermit) {
    call.failure();
}

#[test]
fn two_failures_at_once_meet_a_rate() {
    explore_crowded(&[Plain], [("open", 1, 0, 0)], || after_two_failures(3, in_a_thread, false));
}

#[test]
fn two_failures_at_once_are_both_in_a_window_that_they_do_not_fill() {
    explore_crowded(&[RmwLoad], [("closed", 0, 3, 3)], || after_two_failures(4, in_a_thread, false));
}

#[test]
fn two_failures_in_two_stripes_meet_a_rate() {
    explore(&[Plain, Sched], [("open", 1, 0, 0)], || after_two_failures(3, in_this_thread, false));
}

#[test]
fn two_failures_in_neighbouring_slices_meet_a_rate() {
    explore_stale(&[Plain, Sched], [("open", 1, 0, 0)], || after_two_failures(3, in_this_thread, true));
}

#[test]
fn no_failure_crosses_an_epoch() {
    explore_crowded(&[Plain], [("closed", 0, 1, 1)], || {
        let breaker = begun(over_time(1.0, 2).0);
        fail_across_a_reset(&breaker);
        state_and_window(&breaker)
    });
}

#[test]
fn a_failure_is_in_its_own_look_whatever_another_thread_makes_first() {
    // The failures are more than half of the calls before the success and after it.
    explore(&[Plain, Sched], [("open", 1)], || {
        let breaker = begun(over_time(0.6, 2).0);
        let [bad, good] = [(); 2].map(|()| breaker.try_acquire_owned().unwrap());
        let failing = thread::spawn(move || bad.failure());
        let succeeding = thread::spawn(move || good.success());
        failing.join().unwrap();
        succeeding.join().unwrap();
        let (state, changes, ..) = state_and_window(&breaker);
        (state, changes)
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
fn a_slice_is_not_read_while_another_takes_its_place() {
    // From the third second on the slice of the first is out, and its place is taken. Who reads has looked at the
    // clock before or after that.
    explore_crowded(&[Plain], [(0, 0), (1, 0), (1, 1)], || {
        let clock = SeenClock(Arc::new(AtomicU64::new(0)));
        let breaker = shared(over_time(1.0, 9).0.clock(clock.clone()));
        let caller = beside(&breaker, move |breaker| {
            breaker.try_acquire().unwrap().failure();
            let reader = beside(breaker, move |breaker| breaker.metrics().window.expect("there is a rate rule"));
            clock.0.store(2, Ordering::Release);
            breaker.try_acquire().unwrap().failure();
            reader.join().unwrap()
        });
        let window = caller.join().unwrap();
        (window.calls, window.errors)
    });
}
