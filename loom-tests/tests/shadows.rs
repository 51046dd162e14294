//! A shadow beside its breaker judges each call once, and changes nothing.
//!
//! Loom switches threads at the words of both; `proof/shuttle/tests/shadows.rs` does at every lock.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, builder, explore_crowded, shared};
use tripcoil::{Cause, Config, State};

#[test]
fn two_failures_at_once_open_the_shadow_once_and_not_the_breaker() {
    explore_crowded(&BOTH, [2], || {
        let breaker = shared(builder().0.error_threshold(3));
        let mut config = Config::default();
        config.error_threshold = Some(Some(2));
        breaker.shadow(config).unwrap();
        let calls = [breaker.try_acquire_owned().unwrap(), breaker.try_acquire_owned().unwrap()];
        let threads = calls.map(|call| thread::spawn(move || call.failure()));
        for thread in threads {
            thread.join().unwrap();
        }
        let metrics = breaker.metrics();
        let shadow = metrics.shadow.unwrap();
        assert_eq!((metrics.state, shadow.state), (State::Closed, State::Open));
        assert_eq!((shadow.transitions, shadow.seen_calls), (vec![(Cause::ErrorThreshold, 1)], 2));
        metrics.consecutive_error_count
    });
}
