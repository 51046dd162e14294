//! A registry whose own network is broken keeps calling most of its hosts, if it has a `max_open_share`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, Outcome, Preset, Registry, State};
use tripcoil_cli::incidents::{Incident, Recording};

const HOSTS: u64 = 10;
const SHARE: f64 = 0.3;
/// What `SHARE` allows of `HOSTS`.
const ALLOWED: u64 = 3;

/// What a registry did in an incident.
#[derive(Debug)]
struct Run {
    /// The most hosts that were open or half-open at the same time.
    most_cut_off: u64,
    suppressed: u64,
    /// Suppressed openings by host, as the observer was told.
    suppressed_by_host: BTreeMap<String, u64>,
    /// Good calls that were refused.
    good_refused: u64,
    /// The state that each change led to, with its time and host.
    changes: Vec<(Duration, String, State)>,
}

impl Run {
    /// The hosts that were cut off at some time, in order.
    fn cut_off(&self) -> Vec<&str> {
        let mut hosts: Vec<_> = self.changes.iter().map(|(_, host, _)| host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }
}

/// Puts the calls of a recording through a registry, on virtual time.
fn run(recording: &Recording, config: &Config, max_open_share: Option<f64>) -> Run {
    let clock = ManualClock::new();
    let changes = Arc::new(Mutex::new(Vec::new()));
    let suppressed_by_host = Arc::new(Mutex::new(BTreeMap::new()));

    let noted = changes.clone();
    let template =
        CircuitBreaker::builder("hosts").config(config.clone()).clock(clock.clone()).on_transition(move |change| {
            noted.lock().unwrap().push((change.at, change.name.to_string(), change.to));
        });
    let told = suppressed_by_host.clone();
    let mut registry = Registry::<String>::builder(template).on_suppressed_opening(move |opening| {
        *told.lock().unwrap().entry(opening.name.to_string()).or_insert(0) += 1;
    });
    if let Some(share) = max_open_share {
        registry = registry.max_open_share(share);
    }
    let registry = registry.build().unwrap();

    // Of what happens at one instant, ends come first: their places are below those of all starts.
    let starts = recording.calls.len();
    let mut events: Vec<_> = (recording.calls.iter().enumerate())
        .flat_map(|(index, call)| [(call.end(), index), (call.time, starts + index)])
        .collect();
    events.sort_unstable();

    let mut permits: Vec<_> = recording.calls.iter().map(|_| None).collect();
    let (mut most_cut_off, mut good_refused, mut counted_changes) = (0, 0, 0);
    for (at, place) in events {
        clock.set(at);
        if let Some(index) = place.checked_sub(starts) {
            let call = &recording.calls[index];
            permits[index] = registry.get(&recording.keys[call.key as usize]).try_acquire_owned().ok();
            good_refused += u64::from(permits[index].is_none() && call.outcome == Some(Outcome::Success));
        } else if let Some(permit) = permits[place].take() {
            permit.record(recording.calls[place].outcome.expect("a synthetic call has an outcome"));
        }
        let change_count = changes.lock().unwrap().len();
        if change_count > counted_changes {
            counted_changes = change_count;
            let metrics = registry.metrics();
            most_cut_off = most_cut_off.max(metrics.open + metrics.half_open);
        }
    }

    let suppressed = registry.metrics().suppressed_open_count;
    let changes = changes.lock().unwrap().clone();
    let suppressed_by_host = suppressed_by_host.lock().unwrap().clone();
    Run { most_cut_off, suppressed, suppressed_by_host, good_refused, changes }
}

fn policies() -> impl Iterator<Item = Config> {
    [Config::default()].into_iter().chain(Preset::ALL.map(Preset::config))
}

/// Recordings that differ in traffic, latency, length and in how the calls fail.
fn recordings(incident: Incident) -> Vec<Recording> {
    (1..=5).map(|seed| incident.record(seed)).collect()
}

#[test]
fn without_a_limit_a_broken_network_cuts_off_every_host() {
    for recording in recordings(Incident::OwnNetwork) {
        for config in policies() {
            let run = run(&recording, &config, None);
            assert_eq!(run.most_cut_off, HOSTS, "{config:?}");
            assert_eq!(run.suppressed, 0);
        }
    }
}

#[test]
fn with_a_limit_a_broken_network_cuts_off_that_share_at_most() {
    for recording in recordings(Incident::OwnNetwork) {
        for config in policies() {
            let limited = run(&recording, &config, Some(SHARE));
            assert_eq!(limited.most_cut_off, ALLOWED, "{config:?}");
            assert!(limited.suppressed > 0, "{config:?}");
            assert_eq!(limited.suppressed, limited.suppressed_by_host.values().sum::<u64>());
            // Every host but those that were cut off has met a rule and stayed closed.
            let spared = recording.keys.iter().filter(|host| !limited.cut_off().contains(&host.as_str()));
            for host in spared {
                assert!(limited.suppressed_by_host.contains_key(host), "{host}, {config:?}");
            }
        }
    }
}

#[test]
fn with_a_limit_fewer_good_calls_are_refused_once_the_network_is_back() {
    for recording in recordings(Incident::OwnNetwork) {
        for config in policies() {
            let [limited, unlimited] = [Some(SHARE), None].map(|share| run(&recording, &config, share).good_refused);
            assert!(limited < unlimited, "{limited} of {unlimited}, {config:?}");
        }
    }
}

#[test]
fn a_limit_changes_nothing_for_one_bad_host() {
    for recording in recordings(Incident::OneBadHost) {
        for config in policies() {
            let [limited, unlimited] = [Some(SHARE), None].map(|share| run(&recording, &config, share));
            assert_eq!(limited.changes, unlimited.changes, "{config:?}");
            assert_eq!(limited.cut_off(), ["host-0"], "{config:?}");
            assert_eq!((limited.most_cut_off, limited.suppressed), (1, 0), "{config:?}");
        }
    }
}
