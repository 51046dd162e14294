//! The off switch: what it forces it also ends, and what an operator forces stays.

mod common;

use std::sync::Arc;
use std::thread;

use common::*;
use tripcoil::{Builder, Cause, CircuitBreaker, Config, State};

fn switch(breaker: &CircuitBreaker, enabled: bool) {
    breaker.reconfigure(breaker.config().enabled(enabled)).expect("the settings are valid");
}

fn disabled(settings: impl FnOnce(Builder) -> Builder) -> CircuitBreaker {
    manual(|builder| settings(builder.enabled(false))).0
}

#[test]
fn a_breaker_is_enabled_unless_it_is_told_otherwise() {
    assert_eq!(CircuitBreaker::new("test").config().enabled, Some(true));
    assert_eq!(CircuitBreaker::new("test").state(), State::Closed);
}

#[test]
fn a_breaker_that_is_made_disabled_admits_everything_and_counts() {
    let recorder = Recorder::default();
    let breaker = disabled(|builder| builder.error_threshold(1).on_transition(recorder.observer()));
    for _ in 0..10 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.transition_count), (10, 0));
    assert_eq!(recorder.count(), 0);

    switch(&breaker, true);
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker);
    assert_eq!(breaker.state(), State::Open);
    let told: Vec<_> = recorder.seen().iter().map(|seen| (seen.sequence, seen.to, seen.cause)).collect();
    assert_eq!(told, [(1, State::Closed, Cause::Enabled), (2, State::Open, Cause::ErrorThreshold)]);
}

#[test]
fn disabling_forces_closed_from_every_state_and_enabling_ends_it() {
    for state in STATES {
        let recorder = Recorder::default();
        let (breaker, _clock) = manual(|builder| builder.on_transition(recorder.observer()));
        breaker.transition_to(state);
        switch(&breaker, false);
        assert_eq!(breaker.state(), State::ForcedClosed, "from {state}");
        switch(&breaker, true);
        let after = match state {
            // What an operator has forced stays.
            State::ForcedOpen | State::ForcedClosed => state,
            State::Closed | State::Open | State::HalfOpen => State::Closed,
        };
        assert_eq!(breaker.state(), after, "from {state}");
        if state == State::Open {
            let causes: Vec<_> = recorder.seen().iter().map(|seen| seen.cause).collect();
            assert_eq!(causes, [Cause::Manual, Cause::Disabled, Cause::Enabled]);
        }
    }
}

#[test]
fn what_an_operator_does_in_the_meantime_stays() {
    for state in STATES {
        let breaker = disabled(|builder| builder);
        breaker.transition_to(state);
        assert_eq!(breaker.state(), state);
        switch(&breaker, true);
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn false_again_forces_closed_again_but_for_what_an_operator_has_forced() {
    for state in STATES {
        let breaker = disabled(|builder| builder);
        breaker.transition_to(state);
        switch(&breaker, false);
        let expected = if state == State::ForcedOpen { State::ForcedOpen } else { State::ForcedClosed };
        assert_eq!(breaker.state(), expected, "from {state}");
    }
}

#[test]
fn true_without_false_changes_nothing() {
    for state in STATES {
        let (breaker, _clock) = manual(|builder| builder);
        breaker.transition_to(state);
        switch(&breaker, true);
        assert_eq!(breaker.state(), state);
    }
}

#[test]
fn a_configuration_that_says_nothing_enables() {
    let breaker = disabled(|builder| builder);
    breaker.reconfigure(Config::default()).unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn other_settings_leave_a_disabled_breaker_disabled() {
    let breaker = disabled(|builder| builder);
    let before = breaker.metrics().transition_count;
    breaker.reconfigure(Config::default().error_threshold(9).or(breaker.config())).unwrap();
    assert_eq!((breaker.state(), breaker.metrics().transition_count), (State::ForcedClosed, before));
    assert_eq!(breaker.config().error_threshold, Some(Some(9)));
    switch(&breaker, true);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_reset_leaves_the_switch_off() {
    let breaker = disabled(|builder| builder);
    fail(&breaker);
    breaker.force_open();
    breaker.reset();
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::ForcedClosed, 0));
    // And it is the switch that holds it, not an operator.
    switch(&breaker, true);
    assert_eq!(breaker.state(), State::Closed);
    breaker.force_closed();
    breaker.reset();
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn with_rate_rules_it_is_the_same() {
    let breaker = disabled(|builder| builder.error_rate(0.5).minimum_calls(2));
    for _ in 0..10 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    switch(&breaker, true);
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..2 {
        fail(&breaker);
    }
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn calls_in_flight_when_the_switch_is_thrown_change_nothing() {
    let (breaker, _clock) = manual(|builder| builder.error_threshold(1));
    let before = admitted(&breaker);
    switch(&breaker, false);
    let during = admitted(&breaker);
    switch(&breaker, true);
    before.failure();
    during.failure();
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Closed, 2));
}

#[test]
fn who_waits_is_admitted_when_the_breaker_is_disabled() {
    let (breaker, _clock) = manual(|builder| builder);
    breaker.force_open();
    let mut waiting = Task::waiting(breaker.acquire(|_| std::future::pending::<()>()));
    switch(&breaker, false);
    assert!(waiting.is_woken() && waiting.poll().is_ready());
}

/// However the switch, resets and an operator race: in the end the last word of the settings holds.
#[test]
fn a_race_of_switch_and_reset_ends_as_the_settings_say() {
    for round in 0..200 {
        let breaker = CircuitBreaker::builder("test").enabled(round % 2 == 0).build().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| breaker.reset());
            scope.spawn(|| breaker.reconfigure(Config::default().enabled(round % 2 == 1)).unwrap());
            scope.spawn(|| breaker.reset());
        });
        let expected = if round % 2 == 1 { State::Closed } else { State::ForcedClosed };
        assert_eq!((breaker.state(), breaker.config().enabled), (expected, Some(round % 2 == 1)));
        switch(&breaker, true);
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[test]
fn an_operator_who_forces_while_the_switch_is_thrown_is_never_undone_by_true() {
    for _ in 0..200 {
        let breaker = Arc::new(CircuitBreaker::new("test"));
        thread::scope(|scope| {
            scope.spawn(|| switch(&breaker, false));
            scope.spawn(|| breaker.force_open());
        });
        // Either the operator came first and was covered, or came last and stands.
        switch(&breaker, true);
        assert_eq!(breaker.state(), State::ForcedOpen);
    }
}

#[test]
fn the_settings_in_force_can_be_given_again() {
    let (breaker, _clock) =
        manual(|builder| builder.error_threshold(3).half_open_capacity(4).reset_timeout(7 * SECOND));
    let config = breaker.config();
    assert_eq!(config.error_threshold, Some(Some(3)));
    assert_eq!(config.reset_timeout, Some(7 * SECOND));
    assert_eq!(config.half_open_capacity, Some(4));
    breaker.reconfigure(config.clone()).unwrap();
    assert_eq!(breaker.config(), config);
    let other = CircuitBreaker::builder("other").config(config.clone()).build().unwrap();
    assert_eq!(other.config(), config);
}

#[test]
fn what_follows_from_other_settings_goes_on_following() {
    let (breaker, _clock) = manual(|builder| builder);
    let change = |config: Config| breaker.reconfigure(config.or(breaker.config()));
    change(Config::default().half_open_capacity(8)).unwrap();
    change(Config::default().reset_timeout(60 * SECOND)).unwrap();
    let config = breaker.config();
    assert_eq!((config.half_open_max_capacity, config.probe_timeout), (None, None));
    // A rate rule takes the place of the default rule, as with a builder, but not that of one that was given.
    change(Config::default().error_rate(0.5)).unwrap();
    assert_eq!((breaker.config().error_threshold, breaker.config().minimum_calls), (None, None));
    let (strict, _clock) = manual(|builder| builder.error_threshold(5));
    strict.reconfigure(Config::default().error_rate(0.5).or(strict.config())).unwrap();
    for _ in 0..5 {
        fail(&strict);
    }
    assert_eq!(strict.state(), State::Open);
}

#[test]
fn every_setting_that_was_given_is_in_force() {
    let all = Config::default()
        .enabled(false)
        .error_threshold(None)
        .error_rate(0.25)
        .slow_call_rate(0.5)
        .slow_call_duration(2 * SECOND)
        .window(tripcoil::Window::time(10 * SECOND))
        .minimum_calls(7)
        .reset_timeout(3 * SECOND)
        .reset_backoff(2.0, 60 * SECOND)
        .reset_jitter(0.5)
        .success_threshold(4)
        .half_open_error_threshold(3)
        .half_open_capacity(2)
        .half_open_max_capacity(9)
        .probe_timeout(11 * SECOND)
        .dropped_calls(tripcoil::Dropped::FailureAfter(SECOND));
    let breaker = CircuitBreaker::builder("test").config(all.clone()).build().unwrap();
    assert_eq!(breaker.config(), all);
    let reconfigured = CircuitBreaker::new("test");
    reconfigured.reconfigure(all.clone()).unwrap();
    assert_eq!(reconfigured.config(), all);
}

#[cfg(feature = "registry")]
mod registry {
    use super::*;
    use tripcoil::Registry;

    fn hosts(capacity: usize) -> Registry<u32> {
        let template = CircuitBreaker::builder("hosts").enabled(false);
        Registry::builder(template).capacity(capacity).build().unwrap()
    }

    #[test]
    fn the_switch_reaches_every_breaker_that_is_there_and_that_comes() {
        let hosts = hosts(100);
        assert_eq!(hosts.get(&1).state(), State::ForcedClosed);
        assert_eq!(hosts.config().enabled, Some(false));
        hosts.reconfigure(hosts.config().enabled(true)).unwrap();
        assert_eq!((hosts.get(&1).state(), hosts.get(&2).state()), (State::Closed, State::Closed));
        hosts.get(&1).force_closed();
        hosts.reconfigure(hosts.config().enabled(false)).unwrap();
        hosts.reconfigure(hosts.config().enabled(true)).unwrap();
        assert_eq!((hosts.get(&1).state(), hosts.get(&2).state()), (State::ForcedClosed, State::Closed));
    }

    #[test]
    fn a_disabled_registry_evicts_as_if_its_breakers_were_closed() {
        let hosts = hosts(16);
        for host in 0..1_000 {
            hosts.call_sync(&host, || Ok::<_, ()>(())).unwrap();
        }
        let metrics = hosts.metrics();
        assert_eq!((metrics.unlisted, metrics.forced_closed, metrics.evicted_closed), (0, 16, 984));
        // One that an operator has forced is kept.
        hosts.get(&999).force_closed();
        for host in 0..100 {
            hosts.call_sync(&host, || Ok::<_, ()>(())).unwrap();
        }
        assert!(hosts.find(&999).is_some());
    }
}

#[cfg(feature = "serde")]
#[test]
fn the_switch_is_a_truth_value_in_files() {
    let config: Config = toml::from_str("enabled = false").unwrap();
    assert_eq!(config, Config::default().enabled(false));
    assert_eq!(serde_json::to_string(&config).unwrap(), r#"{"enabled":false}"#);
    let text: Config = serde_json::from_str(r#"{"enabled":"true"}"#).unwrap();
    assert_eq!(text.enabled, Some(true));
    assert!(serde_json::from_str::<Config>(r#"{"enabled":1}"#).is_err());
}
