//! A replay does what the breakers would have done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, Outcome, OwnedPermit, State};

use super::engine::{Options, Outcomes, Replay};
use super::input::{self, Unit};
use super::policy::Policy;
use crate::call::Call;
use crate::incidents::Incident;

const OPTIONS: Options = Options { slow: Duration::from_secs(1), max_in_flight: 1000 };

fn policies() -> Vec<Policy> {
    let vars: [&[(&str, &str)]; 4] = [
        &[("RESET_TIMEOUT", "3s")],
        &[("ERROR_RATE", "0.5"), ("WINDOW", "8 calls"), ("RESET_TIMEOUT", "1s"), ("HALF_OPEN_CAPACITY", "2")],
        &[
            ("ERROR_RATE", "0.4"),
            ("WINDOW", "4s"),
            ("MINIMUM_CALLS", "3"),
            ("RESET_TIMEOUT", "2s"),
            ("RESET_BACKOFF", "2.0 up to 20s"),
        ],
        &[
            ("SLOW_CALL_RATE", "0.5"),
            ("SLOW_CALL_DURATION", "1s"),
            ("WINDOW", "5s"),
            ("MINIMUM_CALLS", "3"),
            ("DROPPED_CALLS", "failure"),
        ],
    ];
    let policy = |vars: &&[(&str, &str)]| {
        let config = Config::from_vars("", vars.iter().copied()).unwrap();
        Policy { name: format!("{vars:?}"), config, had_jitter: false, max_open_share: None }
    };
    vars.iter().map(policy).collect()
}

/// Openings and closes of one breaker, by time, and how many calls it refused.
type Deeds = (Vec<(Duration, State)>, u64);

/// Lets one breaker have the calls, without anything of the replay: all that happens is put in order first.
fn simulate(policy: &Policy, calls: &[Call]) -> Deeds {
    let clock = ManualClock::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let breaker = policy.builder().clock(clock.clone()).on_transition(move |change| {
        if (change.from, change.to) == (State::Closed, State::Open) || change.to == State::Closed {
            sink.lock().unwrap().push((change.at, change.to));
        }
    });
    let breaker: Arc<CircuitBreaker> = Arc::new(breaker.build().unwrap());
    let starts = calls.iter().enumerate().map(|(index, call)| (call.time, 1, index));
    let ends = calls.iter().enumerate().map(|(index, call)| (call.end(), 0, index));
    let mut events: Vec<_> = starts.chain(ends).collect();
    events.sort();
    // A call of no length ends at the instant at which it starts, after its start.
    let mut permits: Vec<Option<Option<OwnedPermit>>> = calls.iter().map(|_| None).collect();
    let mut refused = 0;
    let settle = |permit: Option<OwnedPermit>, call: &Call| {
        if let Some(permit) = permit {
            match call.outcome {
                Some(outcome) => permit.record(outcome),
                None => drop(permit),
            }
        }
    };
    let mut at_once: Vec<usize> = Vec::new();
    for (time, kind, index) in events {
        for index in at_once.extract_if(.., |waiting| kind == 1 || calls[*waiting].time < time) {
            settle(permits[index].take().flatten(), &calls[index]);
        }
        clock.set(time);
        if kind == 1 {
            let permit = breaker.try_acquire_owned().ok();
            refused += u64::from(permit.is_none());
            permits[index] = Some(permit);
            if calls[index].duration.is_zero() {
                at_once.push(index);
            }
        } else if let Some(permit) = permits[index].take() {
            settle(permit, &calls[index]);
        }
    }
    for index in at_once {
        settle(permits[index].take().flatten(), &calls[index]);
    }
    let seen = seen.lock().unwrap().clone();
    (seen, refused)
}

fn deeds(outcomes: &Outcomes, policy: usize, key: u32) -> Vec<(Duration, State)> {
    let outages = outcomes.policies[policy].1.outages.iter().filter(|outage| outage.key == key);
    let both = |outage: &super::journal::Outage| {
        let opened = Some((outage.from, State::Open));
        opened.into_iter().chain(outage.to.map(|to| (to, State::Closed)))
    };
    outages.flat_map(both).collect()
}

/// As a line of a recording.
fn line(call: &Call) -> String {
    let outcome = match call.outcome {
        None => "dropped".into(),
        Some(Outcome::Success) => "success".into(),
        Some(Outcome::Failure) => "failure".into(),
        Some(Outcome::Ignored) => "ignored".into(),
        Some(Outcome::Trip { open_for }) => format!("trip {}ms", open_for.as_millis()),
    };
    let nanos = call.time.as_nanos();
    format!("{nanos},{},{}us,{outcome}\n", call.key, call.duration.as_micros())
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let outcome = prop_oneof![
        6 => Just(Some(Outcome::Success)),
        6 => Just(Some(Outcome::Failure)),
        1 => Just(Some(Outcome::Ignored)),
        1 => Just(None),
        1 => (0..5000_u64).prop_map(|millis| Some(Outcome::Trip { open_for: Duration::from_millis(millis) })),
    ];
    // Times on a coarse grid, so that much happens at the same instant.
    let call = (0..400_u64, 0..40_u64, 0..2_u32, outcome).prop_map(|(tenth, tenths, key, outcome)| Call {
        time: Duration::from_millis(100 * tenth),
        duration: Duration::from_millis(100 * tenths),
        key,
        outcome,
    });
    proptest::collection::vec(call, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_replay_of_a_simulation_is_what_the_breakers_did(mut calls in calls()) {
        calls[0].key = 0;
        // The names of the keys in the recording are numbers in the order of their first calls.
        if let Some(other) = calls.iter().position(|call| call.key == 1) {
            prop_assume!(other > 0);
        }
        let lines: String = calls.iter().map(line).collect();
        let text = format!("time,key,duration,outcome\n{lines}");
        let options = input::Options {
            time_unit: Unit::Ns,
            duration_unit: Unit::S,
            reorder: Duration::from_secs(60),
            max_keys: 10,
            strict: true,
        };
        let policies = policies();
        let mut replay = Replay::new(&policies, OPTIONS);
        input::read(text.as_bytes(), options, |call| replay.start(call)).unwrap();
        let outcomes = replay.finish();

        calls.sort_by_key(|call| call.time);
        let origin = calls[0].time;
        for call in &mut calls {
            call.time -= origin;
        }
        prop_assert_eq!(outcomes.calls.total(), calls.len() as u64);
        for (index, policy) in policies.iter().enumerate() {
            let mut refused = 0;
            for key in [0, 1] {
                let own: Vec<_> = calls.iter().copied().filter(|call| call.key == key).collect();
                let (simulated, its_refusals) = simulate(policy, &own);
                prop_assert_eq!(deeds(&outcomes, index, key), simulated, "{}", policy.name);
                refused += its_refusals;
            }
            prop_assert_eq!(outcomes.policies[index].1.refused.total(), refused, "{}", &policy.name);
        }
    }
}

#[test]
fn a_call_that_overlaps_the_opening_changes_nothing_later() {
    let call = |second, duration, outcome| Call {
        time: Duration::from_secs(second),
        duration: Duration::from_secs(duration),
        key: 0,
        outcome: Some(outcome),
    };
    let policies = &policies()[..1];
    let mut replay = Replay::new(policies, OPTIONS);
    // It starts before the outage, and would have ended the run of failures had it not ended later.
    replay.start(call(0, 4, Outcome::Success));
    for _ in 0..5 {
        replay.start(call(1, 2, Outcome::Failure));
    }
    replay.start(call(3, 0, Outcome::Success));
    let outcomes = replay.finish();
    assert_eq!(deeds(&outcomes, 0, 0), [(Duration::from_secs(3), State::Open)]);
    assert_eq!(outcomes.policies[0].1.refused.good, 1);
    assert_eq!((outcomes.most_in_flight, outcomes.end), (6, Duration::from_secs(4)));
}

#[test]
fn calls_beyond_the_limit_in_flight_are_skipped_and_counted() {
    let mut replay = Replay::new(&policies(), Options { max_in_flight: 2, ..OPTIONS });
    let call = Call { time: Duration::ZERO, duration: Duration::from_secs(9), key: 0, outcome: None };
    let taken = [(); 4].map(|()| replay.start(call));
    assert_eq!(taken, [true, true, false, false]);
    assert!(replay.start(Call { time: Duration::from_secs(9), ..call }));
    let outcomes = replay.finish();
    assert_eq!((outcomes.calls.total(), outcomes.skipped, outcomes.most_in_flight), (3, 2, 2));
}

#[test]
fn a_recording_of_centuries_overflows_nothing() {
    let mut replay = Replay::new(&policies(), OPTIONS);
    let call = |time| Call { time, duration: Duration::from_nanos(u64::MAX), key: 0, outcome: Some(Outcome::Failure) };
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(u64::MAX)] {
        assert!(replay.start(call(time)));
    }
    assert_eq!(replay.finish().calls.failed, 3);
}

fn limited_to(max_open_share: Option<f64>) -> Policy {
    Policy { name: "limited".into(), config: Config::default(), had_jitter: false, max_open_share }
}

/// What the breakers of each policy did in an incident.
fn replayed(incident: Incident, seed: u64, policies: &[Policy]) -> Outcomes {
    let mut replay = Replay::new(policies, Options { max_in_flight: usize::MAX, ..OPTIONS });
    for call in incident.record(seed).calls {
        assert!(replay.start(call));
    }
    replay.finish()
}

/// The most breakers that were not closed at the same time.
fn most_cut_off(outcomes: &Outcomes, policy: usize) -> usize {
    let outages = &outcomes.policies[policy].1.outages;
    let at = |time: Duration| {
        let is_out = |outage: &&super::journal::Outage| outage.from <= time && outage.to.is_none_or(|to| to > time);
        outages.iter().filter(is_out).count()
    };
    outages.iter().map(|outage| at(outage.from)).max().unwrap_or(0)
}

#[test]
fn a_limit_keeps_most_of_ten_hosts_when_the_own_network_is_down() {
    for seed in 1..=5 {
        let policies = [limited_to(None), limited_to(Some(0.3)), limited_to(Some(1.0))];
        let outcomes = replayed(Incident::OwnNetwork, seed, &policies);
        let of = |policy: usize| &outcomes.policies[policy].1;
        assert_eq!([0, 1, 2].map(|policy| most_cut_off(&outcomes, policy)), [10, 3, 10], "seed {seed}");
        let suppressed = [0, 1, 2].map(|policy| of(policy).suppressed_openings());
        assert!(suppressed[0] == 0 && suppressed[1] >= 7 && suppressed[2] == 0, "seed {seed}: {suppressed:?}");
        assert_eq!(of(1).suppressed.keys().copied().collect::<Vec<_>>(), ["error_threshold"]);
        assert!(of(1).refused.total() < of(0).refused.total(), "seed {seed}");
    }
}

#[test]
fn a_limit_that_is_never_met_changes_nothing() {
    for incident in [Incident::OneBadHost, Incident::HardDown, Incident::Flapping] {
        let outcomes = replayed(incident, 1, &[limited_to(None), limited_to(Some(0.3))]);
        let [free, limited] = [0, 1].map(|policy| &outcomes.policies[policy].1);
        assert!(free.openings > 0);
        assert_eq!((limited.openings, limited.suppressed_openings()), (free.openings, 0));
        assert_eq!((limited.refused, &limited.causes), (free.refused, &free.causes));
        assert_eq!(deeds(&outcomes, 1, 0), deeds(&outcomes, 0, 0));
    }
}
