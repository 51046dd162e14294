//! No number of transitions blinds a rule, revives a count, or takes a late call for one of the current epoch.
//!
//! A breaker that probes once a second makes a million transitions in six days. Operators' orders make them here.

mod common;

use common::*;
use tripcoil::{Builder, CircuitBreaker, Metrics, Outcome, Permit, State, Window, WindowMetrics};

/// Two to the nineteenth: as many epochs as an earlier layout of the word could tell apart.
const MANY: u32 = 1 << 19;

/// Around the numbers of transitions after which that layout took marks of long ago for marks of the future.
const OUTAGES: [u32; 6] = [MANY - 1025, MANY - 1024, MANY - 512, MANY - 1, MANY, MANY + 1];

type Rule = fn(Builder) -> Builder;

const RULES: [(&str, Rule); 5] = [
    ("errors over calls", |settings| settings.error_rate(0.5).window(Window::calls(10)).minimum_calls(5)),
    ("errors over time", |settings| settings.error_rate(0.5).window(Window::time(10 * SECOND)).minimum_calls(5)),
    ("slow calls over calls", |settings| {
        settings.slow_call_rate(0.5).slow_call_duration(SECOND).window(Window::calls(10)).minimum_calls(5)
    }),
    ("slow calls over time", |settings| {
        settings.slow_call_rate(0.5).slow_call_duration(SECOND).window(Window::time(10 * SECOND)).minimum_calls(5)
    }),
    ("errors in a row", |settings| settings.error_threshold(5)),
];

/// Makes this many transitions, the last of them into `state`.
fn make_transitions(breaker: &CircuitBreaker, transitions: u32, state: State) {
    for _ in 1..transitions {
        breaker.transition_to(State::Closed);
    }
    breaker.transition_to(state);
}

fn window(breaker: &CircuitBreaker) -> WindowMetrics {
    breaker.metrics().window.unwrap_or_default()
}

/// A few calls of each kind, not enough to open.
fn some_calls(breaker: &CircuitBreaker, clock: &tripcoil::clock::ManualClock) {
    for _ in 0..2 {
        fail(breaker);
    }
    for _ in 0..2 {
        succeed(breaker);
    }
    let slow = admitted(breaker);
    clock.advance(SECOND);
    slow.success();
    assert_eq!(breaker.state(), State::Closed);
}

/// How many slow failures in a row open the breaker; `None` if six do not.
fn failures_until_open(breaker: &CircuitBreaker, clock: &tripcoil::clock::ManualClock) -> Option<usize> {
    for failures in 1..=6 {
        let call = admitted(breaker);
        clock.advance(SECOND);
        call.failure();
        if breaker.state() == State::Open {
            return Some(failures);
        }
    }
    None
}

/// All of the metrics that are not totals.
fn standing(metrics: &Metrics) -> impl PartialEq + std::fmt::Debug + use<> {
    let counts = (metrics.consecutive_error_count, metrics.consecutive_success_count);
    (metrics.state, counts, metrics.transition_count, metrics.retry_after, metrics.last_error.clone(), metrics.window)
}

#[test]
fn after_any_number_of_transitions_every_rule_still_opens() {
    for (name, rule) in RULES {
        for transitions in OUTAGES {
            let (breaker, clock) = manual(rule);
            some_calls(&breaker, &clock);
            make_transitions(&breaker, transitions, State::Closed);
            let failures = failures_until_open(&breaker, &clock);
            assert_eq!(failures, Some(5), "{name}, {transitions} transitions: {:?}", window(&breaker));
        }
    }
}

#[test]
fn after_an_outage_of_half_a_million_failed_probes_a_rate_still_opens() {
    let (breaker, clock) = manual(|settings| settings.error_rate(0.5).window(Window::calls(10)).minimum_calls(5));
    (0..5).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), State::Open);
    // Each failed probe is two transitions. The close is one more.
    while breaker.metrics().transition_count < u64::from(MANY - 515) {
        clock.advance(30 * SECOND);
        for _ in 0..100 {
            breaker.transition_to(State::HalfOpen);
            fail(&breaker);
        }
    }
    clock.advance(30 * SECOND);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(failures_until_open(&breaker, &clock), Some(5), "{:?}", window(&breaker));
}

#[test]
fn counts_do_not_come_back_after_any_number_of_transitions() {
    for (name, rule) in RULES {
        for transitions in [MANY - 1, MANY, MANY + 1] {
            let (breaker, clock) = manual(rule);
            // By this thread, and by one that has ended since.
            some_calls(&breaker, &clock);
            breaker.transition_to(State::Closed);
            std::thread::scope(|scope| {
                scope.spawn(|| some_calls(&breaker, &clock));
            });
            make_transitions(&breaker, transitions, State::Closed);
            assert_eq!(window(&breaker), WindowMetrics::default(), "{name}, {transitions} transitions");
            assert_eq!(consecutive(&breaker), (0, 0), "{name}, {transitions} transitions");
        }
    }
}

#[test]
fn counts_of_threads_that_ended_do_not_come_back_at_exactly_two_to_the_nineteenth() {
    for (name, rule) in RULES {
        let (breaker, clock) = manual(rule);
        for _ in 0..3 {
            std::thread::scope(|scope| {
                scope.spawn(|| succeed(&breaker));
                scope.spawn(|| succeed(&breaker));
            });
        }
        std::thread::scope(|scope| {
            scope.spawn(|| some_calls(&breaker, &clock));
        });
        make_transitions(&breaker, MANY, State::Closed);
        assert_eq!(window(&breaker), WindowMetrics::default(), "{name}");
        assert_eq!(consecutive(&breaker), (0, 0), "{name}");
        assert_eq!(failures_until_open(&breaker, &clock), Some(5), "{name}: {:?}", window(&breaker));
    }
}

type Ending = fn(Permit<'_>);

const ENDINGS: [(&str, Ending); 5] = [
    ("success", |permit| permit.success()),
    ("failure", |permit| permit.failure()),
    ("ignored", |permit| permit.ignore()),
    ("trip", |permit| permit.record(Outcome::Trip { open_for: 77 * SECOND })),
    ("dropped", |permit| drop(permit)),
];

/// Settles calls that were admitted in the state `from` after exactly two to the nineteenth transitions, in each state.
fn late_calls_change_nothing(from: State, rule: Rule) {
    let at_the_brink = |settings: Builder| {
        let settings = rule(settings).error_threshold(1).success_threshold(1).half_open_error_threshold(1);
        settings.half_open_capacity(5)
    };
    let (breaker, clock) = manual(at_the_brink);
    // The calls of one epoch after the other, to be settled in one state after the other.
    let calls = STATES.map(|_| {
        breaker.transition_to(from);
        ENDINGS.map(|_| admitted(&breaker))
    });
    clock.advance(2 * SECOND);
    make_transitions(&breaker, MANY - 5, State::Closed);
    for (state, calls) in STATES.into_iter().zip(calls) {
        breaker.transition_to(state);
        assert_eq!(window(&breaker), WindowMetrics::default(), "none of {from} hangs while {state}");
        let probes: Vec<_> = match state {
            State::HalfOpen => (0..5).map(|_| admitted(&breaker)).collect(),
            _ => Vec::new(),
        };
        for ((name, end), call) in ENDINGS.into_iter().zip(calls) {
            let case = format!("{name} of a call admitted while {from}, while {state}");
            let before = breaker.metrics();
            end(call);
            let after = breaker.metrics();
            assert_eq!(standing(&after), standing(&before), "{case}");
            assert_eq!(after.active_calls, before.active_calls - 1, "{case}");
            if state == State::HalfOpen {
                assert!(breaker.try_acquire().is_err(), "{case}: no place is freed");
            }
        }
        drop(probes);
    }
}

#[test]
fn a_call_held_over_exactly_two_to_the_nineteenth_transitions_is_late_in_every_state() {
    for from in [State::Closed, State::HalfOpen, State::ForcedClosed] {
        late_calls_change_nothing(from, |settings| settings);
    }
}

#[test]
fn a_call_held_over_exactly_two_to_the_nineteenth_transitions_joins_no_window_and_hangs_in_none() {
    for (_, rule) in &RULES[..4] {
        late_calls_change_nothing(State::Closed, *rule);
    }
}
