//! A call leaves the windows that it was counted in, whatever settings have come and gone while it was in flight.

mod common;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, State, WindowMetrics};

/// An eighth of the `slow_call_duration`, which is a second.
const SLICE: Duration = Duration::from_millis(125);

/// A slow rule, and what else is given.
fn slow(slow_call_duration: Duration, settings: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    config.slow_call_rate = Some(0.5);
    config.slow_call_duration = Some(slow_call_duration);
    config.minimum_calls = Some(10);
    settings(&mut config);
    config
}

fn window(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.expect("there is a slow rule")
}

/// Makes healthy calls, one in each slice of time.
fn traffic(breaker: &CircuitBreaker, clock: &ManualClock, slices: u32) {
    for number in 0..slices {
        let call = admitted(breaker);
        assert_eq!(window(breaker).hanging_calls, 0, "call {number} has just been admitted");
        call.success();
        clock.advance(SLICE);
    }
}

#[test]
fn a_call_that_outlives_any_number_of_settings_does_not_hang_once_it_has_ended() {
    for changes in [1, 1_000, 1_100, 10_000] {
        let (breaker, clock) = manual(|settings| settings.config(slow(SECOND, |_| {})));
        let call = admitted(&breaker);
        for change in 1..=changes {
            let rules = |config: &mut Config| config.reset_timeout = Some(change * SECOND);
            breaker.reconfigure(slow(SECOND, rules)).expect("the settings are valid");
        }
        clock.advance(2 * SECOND);
        assert_eq!(window(&breaker).hanging_calls, 1, "after {changes} changes");
        call.success();
        assert_eq!(window(&breaker).hanging_calls, 0, "after {changes} changes");
    }
}

#[test]
fn a_call_that_outlives_the_windows_leaves_none_of_the_later_ones() {
    let (breaker, clock) = manual(|settings| settings.config(slow(SECOND, |_| {})));
    traffic(&breaker, &clock, 100);
    let call = admitted(&breaker);
    for change in 1..=1_100 {
        let rules = |config: &mut Config| config.reset_timeout = Some(change * SECOND);
        breaker.reconfigure(slow(2 * SECOND, rules)).expect("the settings are valid");
    }
    breaker.reconfigure(slow(SECOND, |_| {})).expect("the settings are valid");
    call.success();
    let hung = admitted(&breaker);
    clock.advance(2 * SECOND);
    assert_eq!(window(&breaker).hanging_calls, 1);
    hung.success();
    traffic(&breaker, &clock, 100);
}

#[test]
fn a_call_that_is_admitted_while_an_observer_changes_the_windows_leaves_those_that_it_entered() {
    let (breaker, clock) = (Arc::new(OnceLock::<CircuitBreaker>::new()), ManualClock::new());
    let observed = breaker.clone();
    let built = CircuitBreaker::builder("test")
        .config(slow(SECOND, |config| config.minimum_calls = Some(1)))
        .clock(clock.clone())
        .on_transition(move |transition| {
            if transition.to == State::Open {
                let breaker = observed.get().expect("it is there before it opens");
                breaker.reconfigure(slow(SECOND, |_| {})).expect("the settings are valid");
                breaker.reset();
            }
        })
        .build()
        .expect("the settings are valid");
    let breaker = breaker.get_or_init(|| built);
    traffic(breaker, &clock, 100);
    let hung = [(); 200].map(|()| admitted(breaker));
    clock.advance(2 * SECOND);
    // This one finds that the others hang, and opens the breaker.
    let call = admitted(breaker);
    assert_eq!((breaker.state(), breaker.metrics().transition_count), (State::Closed, 0));
    call.success();
    drop(hung);
    traffic(breaker, &clock, 200);
}
