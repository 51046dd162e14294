//! What the models of windows have in common.

use std::sync::Arc;

use loom::thread;
use tripcoil::CircuitBreaker;

use crate::beside;

/// The state, the changes of it, and the calls and errors in the window.
///
/// # Panics
///
/// If the breaker has no rate rule.
#[must_use]
pub fn state_and_window(breaker: &CircuitBreaker) -> (&'static str, u64, u64, u64) {
    let metrics = breaker.metrics();
    let window = metrics.window.expect("there is a rate rule");
    (metrics.state.as_str(), metrics.transition_count, window.calls, window.errors)
}

/// Lets a call that was admitted before a reset fail, while another thread resets the breaker and lets a later call
/// fail.
///
/// # Panics
///
/// If a call is not admitted.
pub fn fail_across_a_reset(breaker: &Arc<CircuitBreaker>) {
    let old = breaker.try_acquire_owned().expect("the breaker is closed");
    let failing = thread::spawn(move || old.failure());
    let operator = beside(breaker, |breaker| {
        breaker.reset();
        breaker.try_acquire().expect("the breaker is closed").failure();
    });
    failing.join().expect("the failure is counted");
    operator.join().expect("the reset is done");
}
