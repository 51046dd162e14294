//! Shadows begin and end while calls are in flight, and threads switch at every lock.

#![cfg(shuttle)]

use shuttle::thread;
use shuttle_tests::{builder, sample, shared};
use tripcoil::Config;

#[test]
fn a_call_is_settled_in_the_shadow_that_saw_it_or_in_none() {
    sample([0, 1, 2], || {
        let breaker = shared(builder().0.error_threshold(9));
        breaker.shadow(Config::default()).unwrap();
        let callers = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire().unwrap().failure())
        });
        let found = breaker.end_shadow().unwrap();
        for caller in callers {
            caller.join().unwrap();
        }
        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.total_error_count), (0, 2));
        assert!(metrics.shadow.is_none());
        // Nothing is left behind that would hide the next call from the next shadow.
        breaker.shadow(Config::default()).unwrap();
        breaker.try_acquire().unwrap().success();
        assert_eq!(breaker.metrics().shadow.unwrap().seen_calls, 1);
        found.seen_calls
    });
}

#[test]
fn whether_calls_are_shown_follows_the_shadow_that_came_last() {
    sample([false, true], || {
        let breaker = shared(builder().0);
        breaker.shadow(Config::default()).unwrap();
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || breaker.shadow(Config::default()).unwrap()
        });
        let _found = breaker.end_shadow();
        operator.join().unwrap();
        let has_shadow = breaker.metrics().shadow.is_some();
        breaker.try_acquire().unwrap().success();
        let seen = breaker.metrics().shadow.map(|shadow| shadow.seen_calls);
        assert_eq!(seen, has_shadow.then_some(1));
        has_shadow
    });
}
