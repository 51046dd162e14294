//! Synthetic incidents: recorded calls of a service that goes wrong in one of eleven ways.
//!
//! One seed gives the same calls on every platform, as all of it is integer arithmetic. The calls are what a client without
//! a circuit breaker would have recorded.
//!
//! ```
//! use tripcoil_cli::incidents::Incident;
//!
//! let recording = Incident::HardDown.record(1);
//! assert_eq!(recording, Incident::HardDown.record(1));
//! assert_eq!(recording.troubles.len(), 1);
//! ```

mod random;
mod service;
mod storm;

use std::fmt;
use std::time::Duration;

use crate::call::{Call, Trouble};
use random::Random;
use service::{Health, Phase, Service};

/// How long a recording is.
pub const LENGTH: Duration = Duration::from_secs(600);

/// The hosts of the incidents that have several.
const HOSTS: u32 = 10;

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incident {
    /// Between 30 % and 80 % of the calls fail, for one to four minutes.
    BrownOut,
    /// Every call fails at once, for one to five minutes.
    HardDown,
    /// Every call succeeds after two to eight seconds, for one to four minutes.
    Slow,
    /// No call is answered for one to four minutes; the client abandons each call after ten seconds.
    Hang,
    /// Alternates for two to five minutes: down for 5 to 20 seconds, up for 5 to 20 seconds.
    Flapping,
    /// One of ten hosts is down for one to five minutes.
    OneBadHost,
    /// Every call fails for one to four seconds while a new version starts.
    DeployBlip,
    /// Traffic exceeds the capacity; clients retry calls that time out up to three times.
    RetryStorm,
    /// 1 % to 4 % of the calls fail, all the time. A breaker should not open.
    RareErrors,
    /// Down for one to two minutes, then back with a tenth of its capacity, which grows back over one to two minutes.
    WeakRecovery,
    /// The caller's own network is broken: every call to each of ten hosts fails, for 30 to 120 seconds.
    OwnNetwork,
}

impl Incident {
    /// All of them.
    pub const ALL: [Incident; 11] = [
        Incident::BrownOut,
        Incident::HardDown,
        Incident::Slow,
        Incident::Hang,
        Incident::Flapping,
        Incident::OneBadHost,
        Incident::DeployBlip,
        Incident::RetryStorm,
        Incident::RareErrors,
        Incident::WeakRecovery,
        Incident::OwnNetwork,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Incident::BrownOut => "brown-out",
            Incident::HardDown => "hard-down",
            Incident::Slow => "slow",
            Incident::Hang => "hang",
            Incident::Flapping => "flapping",
            Incident::OneBadHost => "one-bad-host",
            Incident::DeployBlip => "deploy-blip",
            Incident::RetryStorm => "retry-storm",
            Incident::RareErrors => "rare-errors",
            Incident::WeakRecovery => "weak-recovery",
            Incident::OwnNetwork => "own-network",
        }
    }

    /// The calls to a service in this incident. The seed decides on the traffic, on the latency and on how bad it gets.
    #[must_use]
    pub fn record(self, seed: u64) -> Recording {
        let mut random = Random::new(seed, self as u64 + 1);
        let service = Service::draw(&mut random);
        let begin = random.duration(secs(120)..=secs(180));
        match self {
            Incident::BrownOut => {
                let failing = random.within(300..=800);
                let health = Health { failing, fault: service.latency * 2, ..service.healthy() };
                service.one_phase(begin, random.duration(secs(60)..=secs(240)), health, random)
            }
            Incident::HardDown => service.one_phase(begin, random.duration(secs(60)..=secs(300)), Health::DOWN, random),
            Incident::Slow => {
                let health = Health { answer: random.duration(secs(2)..=secs(8)), ..service.healthy() };
                service.one_phase(begin, random.duration(secs(60)..=secs(240)), health, random)
            }
            Incident::Hang => {
                let health = Health { failing: 1000, fault: secs(10), spread: false, ..service.healthy() };
                service.one_phase(begin, random.duration(secs(60)..=secs(240)), health, random)
            }
            Incident::Flapping => flapping(service, begin, random),
            Incident::OneBadHost => {
                let to = begin + random.duration(secs(60)..=secs(300));
                let bad = Phase { from: begin, to, health: Health::DOWN };
                let troubles = vec![Trouble { key: 0, from: begin, to: Some(to) }];
                let calls = service.calls(HOSTS, |host| if host == 0 { vec![bad] } else { Vec::new() }, random);
                Recording::new(calls, HOSTS, troubles)
            }
            Incident::DeployBlip => service.one_phase(begin, random.duration(secs(1)..=secs(4)), Health::DOWN, random),
            Incident::RetryStorm => storm::record(&service, begin, random),
            Incident::RareErrors => {
                let health = Health { failing: random.within(10..=40), ..service.healthy() };
                let all = Phase { from: Duration::ZERO, to: LENGTH, health };
                Recording::new(service.calls(1, |_| vec![all], random), 1, Vec::new())
            }
            Incident::WeakRecovery => weak_recovery(service, begin, random),
            Incident::OwnNetwork => {
                let to = begin + random.duration(secs(30)..=secs(120));
                // Some of what a broken network does is refused at once, some is waited for in vain.
                let fault = random.pick(&[Duration::from_millis(1), secs(1), secs(3)]);
                let bad = Phase { from: begin, to, health: Health { fault, ..Health::DOWN } };
                let troubles = (0..HOSTS).map(|key| Trouble { key, from: begin, to: Some(to) }).collect();
                Recording::new(service.calls(HOSTS, |_| vec![bad], random), HOSTS, troubles)
            }
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The calls of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recording {
    /// In the order in which they started.
    pub calls: Vec<Call>,
    /// What was called; [`Call::key`] is an index of it.
    pub keys: Vec<String>,
    /// What was wrong, and when.
    pub troubles: Vec<Trouble>,
}

impl Recording {
    fn new(mut calls: Vec<Call>, hosts: u32, troubles: Vec<Trouble>) -> Self {
        calls.sort_by_key(|call| (call.time, call.key));
        let keys = if hosts == 1 { vec!["service".into()] } else { (0..hosts).map(|n| format!("host-{n}")).collect() };
        Recording { calls, keys, troubles }
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn flapping(service: Service, begin: Duration, mut random: Random) -> Recording {
    let end = begin + random.duration(secs(120)..=secs(300));
    let mut phases = Vec::new();
    let mut from = begin;
    while from < end {
        let to = from + random.duration(secs(5)..=secs(20));
        phases.push(Phase { from, to, health: Health::DOWN });
        from = to + random.duration(secs(5)..=secs(20));
    }
    let to = phases.last().map(|phase| phase.to);
    let troubles = vec![Trouble { key: 0, from: begin, to }];
    Recording::new(service.calls(1, |_| phases.clone(), random), 1, troubles)
}

fn weak_recovery(service: Service, begin: Duration, mut random: Random) -> Recording {
    const STEPS: u32 = 30;
    let back = begin + random.duration(secs(60)..=secs(120));
    let step = random.duration(secs(60)..=secs(120)) / STEPS;
    let mut phases = vec![Phase { from: begin, to: back, health: Health::DOWN }];
    for number in 0..STEPS {
        let from = back + step * number;
        let failing = u64::from(STEPS - number) * 900 / u64::from(STEPS);
        // What is beyond its capacity waits for a second before it is refused.
        let health = Health { failing, fault: secs(1), ..service.healthy() };
        phases.push(Phase { from, to: from + step, health });
    }
    // It is well enough once a fifth of the calls fail at most.
    let well = back + step * (STEPS * 7 / 9);
    let troubles = vec![Trouble { key: 0, from: begin, to: Some(well) }];
    Recording::new(service.calls(1, |_| phases.clone(), random), 1, troubles)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tripcoil::Outcome;

    /// FNV-1a over every field of every call.
    fn fingerprint(recording: &Recording) -> u64 {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
        let numbers = recording.calls.iter().flat_map(|call| {
            let failed = u64::from(call.outcome != Some(Outcome::Success));
            [nanos(call.time), nanos(call.duration), call.key.into(), failed]
        });
        numbers
            .flat_map(u64::to_le_bytes)
            .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    }

    #[test]
    fn one_seed_gives_the_same_calls_on_every_platform() {
        let prints: Vec<_> = Incident::ALL.iter().map(|incident| fingerprint(&incident.record(1))).collect();
        assert_eq!(prints, GOLDEN, "{prints:#x?}");
    }

    const GOLDEN: [u64; 11] = [
        0x8320_b04b_d7f5_4b01,
        0x8e82_0a4d_f169_047f,
        0x4315_3f90_0262_a5a7,
        0x6d21_19b3_a559_7c7b,
        0x71c9_046d_a9b9_96b6,
        0xa6b6_476a_276a_cedb,
        0x639d_d1a5_df65_533c,
        0x593f_3e37_ea91_71b3,
        0x7bd5_0004_9498_8e87,
        0xf7ee_988d_9046_109b,
        0x9d1d_d89a_94d7_23de,
    ];

    #[test]
    fn seeds_differ_and_calls_are_in_order_and_within_the_length() {
        for incident in Incident::ALL {
            let recordings = [1, 2].map(|seed| incident.record(seed));
            assert_ne!(recordings[0], recordings[1], "{incident}");
            for recording in recordings {
                assert!(recording.calls.is_sorted_by_key(|call| call.time), "{incident}");
                assert!(recording.calls.len() > 500, "{incident}: {} calls", recording.calls.len());
                assert!(recording.calls.iter().all(|call| (call.key as usize) < recording.keys.len()));
                assert!(
                    recording.troubles.iter().all(|trouble| trouble.to.is_some_and(|to| to < LENGTH)),
                    "{incident}"
                );
            }
        }
    }

    /// The calls in a hundred that failed or took a second, in and outside of the trouble.
    fn shares(recording: &Recording) -> [usize; 2] {
        [true, false].map(|inside| {
            let calls = recording.calls.iter().filter(|call| {
                let holds = |trouble: &Trouble| {
                    trouble.key == call.key && trouble.from <= call.time && trouble.to.is_none_or(|to| call.time < to)
                };
                recording.troubles.iter().any(holds) == inside
            });
            let bad = |call: &&Call| call.outcome != Some(Outcome::Success) || call.duration >= secs(1);
            let (all, bad) = (calls.clone().count(), calls.filter(bad).count());
            100 * bad / all.max(1)
        })
    }

    #[test]
    fn trouble_is_where_the_calls_are_bad() {
        for incident in Incident::ALL {
            for seed in 1..=4 {
                let [inside, outside] = shares(&incident.record(seed));
                assert!(outside < 5, "{incident} {seed}: {outside} outside");
                let least = match incident {
                    Incident::RareErrors => 0,
                    Incident::BrownOut | Incident::Flapping => 20,
                    _ => 50,
                };
                assert!(inside >= least, "{incident} {seed}: {inside} inside");
            }
        }
    }
}
