//! The breaker does what the plain reference does, operation for operation.
//!
//! Each run has a new seed. Set `TRIPCOIL_SEED` to repeat a run, and `TRIPCOIL_SCALE` to multiply the number of
//! operations.

mod pair;
mod promises;
mod reference;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use pair::{Openings, Operation, compare};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use reference::{MILLI, Rates, Settings, Share, Span, Steps};
use tripcoil::{Dropped, Outcome, State};

/// Each rule is tried with at least this many operations.
const OPERATIONS: u64 = 100_000;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(Outcome::Success),
        8 => Just(Outcome::Failure),
        2 => Just(Outcome::Ignored),
        1 => (0..200_u64).prop_map(|millis| Outcome::Trip { open_for: Duration::from_millis(millis) }),
    ]
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        2 => Just(State::Closed),
        1 => Just(State::Open),
        2 => Just(State::HalfOpen),
        1 => Just(State::ForcedOpen),
        1 => Just(State::ForcedClosed),
    ]
}

fn half_millis(most: u64) -> impl Strategy<Value = u64> {
    (0..most).prop_map(|halves| halves * MILLI / 2)
}

fn success_or_failure() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Success), Just(Outcome::Failure)]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        30 => success_or_failure().prop_map(Operation::Call),
        3 => outcome().prop_map(Operation::Call),
        20 => Just(Operation::Admit),
        18 => (any::<usize>(), outcome()).prop_map(|(place, outcome)| Operation::Settle(place, outcome)),
        3 => any::<usize>().prop_map(Operation::Drop),
        1 => any::<usize>().prop_map(Operation::Panic),
        1 => any::<usize>().prop_map(Operation::StopTiming),
        20 => half_millis(20).prop_map(Operation::Advance),
        8 => half_millis(400).prop_map(Operation::Advance),
        2 => half_millis(200_000).prop_map(Operation::Advance),
        1 => half_millis(4).prop_map(Operation::StepBack),
        1 => half_millis(200).prop_map(Operation::StepBack),
        1 => half_millis(120_000).prop_map(Operation::StepBack),
        1 => state().prop_map(Operation::TransitionTo),
        1 => (0..300_000_u64).prop_map(|micros| Operation::OpenFor(Duration::from_micros(micros))),
        1 => Just(Operation::Reset),
    ]
}

/// Calls that are dropped, one by one and many at a time, between others that end.
fn dropping() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => operation(),
        3 => any::<usize>().prop_map(Operation::Drop),
        2 => Just(Operation::Lose(1)),
        3 => (1..=12_u8).prop_map(Operation::Lose),
        2 => (1..=12_u8).prop_map(|calls| Operation::Calls(calls, Outcome::Success)),
        1 => Just(Operation::TransitionTo(State::Closed)),
    ]
}

/// Calls that hang, many at a time, while others end.
fn hanging() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => operation(),
        4 => (1..=30_u8).prop_map(Operation::Leave),
        4 => (1..=30_u8, success_or_failure()).prop_map(|(calls, outcome)| Operation::Calls(calls, outcome)),
        3 => half_millis(60).prop_map(Operation::Advance),
        1 => half_millis(300).prop_map(Operation::Advance),
        1 => Just(Operation::TransitionTo(State::Closed)),
    ]
}

/// Probes that stay silent, and answer late.
fn probing() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => operation(),
        4 => Just(Operation::Admit),
        3 => (any::<usize>(), outcome()).prop_map(|(place, outcome)| Operation::Settle(place, outcome)),
        4 => half_millis(60).prop_map(Operation::Advance),
        1 => Just(Operation::TransitionTo(State::HalfOpen)),
    ]
}

fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        (1..=10_u32).prop_map(|part| Share { part, whole: 10 }),
        (1..=100_u32).prop_map(|part| Share { part, whole: 100 }),
        (1..=7_u32).prop_map(|part| Share { part, whole: 7 }),
    ]
}

fn last_calls() -> impl Strategy<Value = (Span, u32)> {
    prop_oneof![1..=12_u32, 1..=60_u32].prop_flat_map(|calls| (Just(Span::Calls(calls)), 1..=calls))
}

fn last_millis() -> impl Strategy<Value = (Span, u32)> {
    (prop_oneof![16..=200_u64, Just(1_000)].prop_map(Span::Millis), prop_oneof![1..=10_u32, 1..=40_u32])
}

fn slow() -> impl Strategy<Value = (Share, u64)> {
    (share(), prop_oneof![1..=12_u64, 1..=100_u64])
}

/// Settings with these rules, and anything else.
fn settings(
    error_threshold: impl Strategy<Value = Option<u32>>,
    rates: impl Strategy<Value = Option<Rates>>,
) -> impl Strategy<Value = Settings> {
    let dropped = prop_oneof![
        Just(Dropped::Ignore),
        Just(Dropped::Failure),
        (1..100_u64).prop_map(|millis| Dropped::FailureAfter(Duration::from_millis(millis))),
    ];
    let backoff = prop_oneof![Just(1.0), Just(1.5), Just(2.0)];
    // The most that is allowed is 127.
    let few = || prop_oneof![20 => 1..=4_u32, 1 => 1..=127_u32];
    let probing = (few(), few(), few(), prop_oneof![20 => 0..=3_u32, 1 => 0..=126_u32], 1..=150_u64);
    (error_threshold, rates, 1..=100_u64, backoff, 1..=8_u64, probing, dropped).prop_map(
        |(error_threshold, rates, reset_timeout, backoff_factor, longer, probing, dropped_calls)| Settings {
            error_threshold,
            rates,
            reset_timeout,
            backoff_factor,
            backoff_max: reset_timeout * longer,
            success_threshold: probing.0,
            half_open_error_threshold: probing.1,
            half_open_capacity: probing.2,
            half_open_max_capacity: (probing.2 + probing.3).min(127),
            probe_timeout: probing.4,
            dropped_calls,
            recovery: None,
        },
    )
}

/// The same settings with steps of recovery.
fn with_recovery(settings: impl Strategy<Value = Settings>) -> impl Strategy<Value = Settings> {
    let steps = (vec(share(), 1..=4), prop_oneof![10..=60_u64, Just(400)]).prop_map(|(mut shares, each)| {
        shares.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
        Steps { shares, each }
    });
    (settings, steps).prop_map(|(settings, steps)| Settings { recovery: Some(steps), ..settings })
}

/// An order to begin with probes comes often, so that the steps are entered often.
fn recovering() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => operation(),
        1 => Just(Operation::TransitionTo(State::HalfOpen)),
        4 => (1..=30_u8, success_or_failure()).prop_map(|(calls, outcome)| Operation::Calls(calls, outcome)),
        6 => (1..=10_u8).prop_map(|calls| Operation::Calls(calls, Outcome::Success)),
    ]
}

fn from_environment(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

/// Checks `property` with this many cases of `strategy`, shrinks a case that fails, and prints the seed.
fn check<S: Strategy>(cases: u64, strategy: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let seed = from_environment("TRIPCOIL_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = u32::try_from(cases * from_environment("TRIPCOIL_SCALE").unwrap_or(1)).expect("fewer cases");
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 50_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(strategy, property) {
        panic!("{error}\nto see it again, set TRIPCOIL_SEED={seed}");
    }
}

/// Compares the breaker with the reference, and returns how often it opened and closed.
fn holds_for(rules: impl Strategy<Value = Settings>, operation: impl Strategy<Value = Operation>) -> Openings {
    const LENGTH: std::ops::RangeInclusive<usize> = 100..=500;
    let start = prop_oneof![Just(0), 0..10_000 * MILLI, Just(1_700_000_000_000 * MILLI)];
    let performed = Cell::new(0);
    let openings = Cell::new([0; 5]);
    check(OPERATIONS / 280, &(rules, start, vec(operation, LENGTH)), |(settings, start, operations)| {
        performed.set(performed.get() + operations.len() as u64);
        let more = compare(&settings, start, &operations).map_err(TestCaseError::fail)?;
        let so_far = openings.get();
        openings.set(std::array::from_fn(|kind| so_far[kind] + more[kind]));
        Ok(())
    });
    assert!(performed.get() >= OPERATIONS, "only {} operations", performed.get());
    openings.get()
}

fn threshold() -> impl Strategy<Value = Option<u32>> {
    (1..=6_u32).prop_map(Some)
}

fn maybe_threshold() -> impl Strategy<Value = Option<u32>> {
    proptest::option::of(1..=6_u32)
}

fn errors(span: impl Strategy<Value = (Span, u32)>) -> impl Strategy<Value = Option<Rates>> {
    (share(), span).prop_map(|(error_rate, (span, minimum_calls))| {
        Some(Rates { error_rate: Some(error_rate), slow: None, drop_rate: None, span, minimum_calls })
    })
}

fn slow_calls(span: impl Strategy<Value = (Span, u32)>) -> impl Strategy<Value = Option<Rates>> {
    (slow(), span).prop_map(|(slow, (span, minimum_calls))| {
        Some(Rates { error_rate: None, slow: Some(slow), drop_rate: None, span, minimum_calls })
    })
}

fn both(span: impl Strategy<Value = (Span, u32)>) -> impl Strategy<Value = Option<Rates>> {
    (share(), slow(), span).prop_map(|(error_rate, slow, (span, minimum_calls))| {
        Some(Rates { error_rate: Some(error_rate), slow: Some(slow), drop_rate: None, span, minimum_calls })
    })
}

fn drops(span: impl Strategy<Value = (Span, u32)>) -> impl Strategy<Value = Option<Rates>> {
    (share(), span).prop_map(|(drop_rate, (span, minimum_calls))| {
        Some(Rates { error_rate: None, slow: None, drop_rate: Some(drop_rate), span, minimum_calls })
    })
}

/// These rates with a drop rate beside them.
fn with_drops(rates: impl Strategy<Value = Option<Rates>>) -> impl Strategy<Value = Option<Rates>> {
    (rates, share()).prop_map(|(rates, share)| rates.map(|rates| Rates { drop_rate: Some(share), ..rates }))
}

fn any_span() -> impl Strategy<Value = (Span, u32)> {
    prop_oneof![last_calls(), last_millis()]
}

#[test]
fn consecutive_errors() {
    holds_for(settings(threshold(), Just(None)), operation());
}

#[test]
fn the_error_rate_of_the_last_calls() {
    holds_for(settings(Just(None), errors(last_calls())), operation());
}

#[test]
fn the_error_rate_over_time() {
    holds_for(settings(Just(None), errors(last_millis())), operation());
}

#[test]
fn the_slow_call_rate_of_the_last_calls() {
    holds_for(settings(Just(None), slow_calls(last_calls())), operation());
}

#[test]
fn the_slow_call_rate_over_time() {
    holds_for(settings(Just(None), slow_calls(last_millis())), operation());
}

#[test]
fn every_rule_together_over_the_last_calls() {
    holds_for(settings(maybe_threshold(), both(last_calls())), operation());
}

#[test]
fn every_rule_together_over_time() {
    holds_for(settings(maybe_threshold(), both(last_millis())), operation());
}

#[test]
fn the_drop_rate_of_the_last_calls() {
    let [.., by_drops] = holds_for(settings(maybe_threshold(), drops(last_calls())), dropping());
    assert!(by_drops > 100, "{by_drops}");
}

#[test]
fn the_drop_rate_over_time() {
    let [.., by_drops] = holds_for(settings(maybe_threshold(), drops(last_millis())), dropping());
    assert!(by_drops > 100, "{by_drops}");
}

#[test]
fn the_drop_rate_beside_every_other_rule() {
    let rates = with_drops(both(any_span()));
    let operations = prop_oneof![2 => dropping(), 1 => hanging()];
    let [.., by_drops] = holds_for(settings(maybe_threshold(), rates), operations);
    assert!(by_drops > 100, "{by_drops}");
}

#[test]
fn the_drop_rate_beside_steps_of_recovery() {
    let settings = with_recovery(settings(maybe_threshold(), with_drops(both(any_span()))));
    let [_, _, relapses, closes, by_drops] = holds_for(settings, prop_oneof![2 => recovering(), 1 => dropping()]);
    assert!(relapses > 20 && closes > 20 && by_drops > 20, "{relapses}, {closes} and {by_drops}");
}

#[test]
fn probes_that_are_silent() {
    let rules = (threshold(), proptest::option::weighted(0.3, both(any_span())));
    let rules = rules.prop_map(|(threshold, rates)| (threshold, rates.flatten()));
    let rules = rules.prop_flat_map(|(threshold, rates)| settings(Just(threshold), Just(rates)));
    holds_for(rules, probing());
}

#[test]
fn many_calls_that_hang_under_both_rates_over_the_last_calls() {
    let [by_errors, by_slow_calls, ..] = holds_for(settings(Just(None), both(last_calls())), hanging());
    assert!(by_errors > 20 && by_slow_calls > 20, "{by_errors} and {by_slow_calls}");
}

#[test]
fn many_calls_that_hang_under_both_rates_over_time() {
    let [by_errors, by_slow_calls, ..] = holds_for(settings(Just(None), both(last_millis())), hanging());
    assert!(by_errors > 20 && by_slow_calls > 20, "{by_errors} and {by_slow_calls}");
}

#[test]
fn steps_of_recovery_without_rates() {
    let [_, _, relapses, closes, _] = holds_for(with_recovery(settings(threshold(), Just(None))), recovering());
    assert!(relapses > 20 && closes > 20, "{relapses} and {closes}");
}

#[test]
fn steps_of_recovery_under_both_rates() {
    let settings = with_recovery(settings(maybe_threshold(), both(any_span())));
    let [_, _, relapses, closes, _] = holds_for(settings, prop_oneof![2 => recovering(), 1 => hanging()]);
    assert!(relapses > 20 && closes > 20, "{relapses} and {closes}");
}
