use std::time::Duration;

use tripcoil::Outcome;

use super::random::Random;
use super::{LENGTH, Recording};
use crate::call::{Call, Trouble};

/// A service and its traffic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// Calls a second, over all hosts.
    pub(super) rate: u64,
    /// The median of its latency.
    pub(super) latency: Duration,
    /// Failing calls of 1000 on a good day.
    failing: u64,
}

/// What a service does with the calls of a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// Failing calls of 1000.
    pub(super) failing: u64,
    /// How long the others take, in the median.
    pub(super) answer: Duration,
    /// How long a failing one takes, in the median.
    pub(super) fault: Duration,
    /// Whether these times vary from call to call.
    pub(super) spread: bool,
}

impl Health {
    /// Connections are refused.
    pub(super) const DOWN: Health =
        Health { failing: 1000, answer: Duration::ZERO, fault: Duration::from_millis(1), spread: true };
}

/// A health that holds for a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) health: Health,
}

impl Service {
    pub(super) fn draw(random: &mut Random) -> Self {
        Service {
            rate: random.pick(&[2, 5, 10, 20, 50, 100]),
            latency: random.duration(Duration::from_millis(5)..=Duration::from_millis(80)),
            failing: random.within(0..=5),
        }
    }

    pub(super) fn healthy(&self) -> Health {
        Health { failing: self.failing, answer: self.latency, fault: self.latency, spread: true }
    }

    /// One host, which has one trouble.
    pub(super) fn one_phase(self, from: Duration, length: Duration, health: Health, random: Random) -> Recording {
        let phase = Phase { from, to: from + length, health };
        let trouble = Trouble { key: 0, from, to: Some(phase.to) };
        Recording::new(self.calls(1, |_| vec![phase], random), 1, vec![trouble])
    }

    /// The calls to each of `hosts`, which is healthy where it has no phase.
    pub(super) fn calls(&self, hosts: u32, phases: impl Fn(u32) -> Vec<Phase>, mut random: Random) -> Vec<Call> {
        // So that each host has some traffic.
        let rate = self.rate.max(2 * u64::from(hosts));
        let mut calls = Vec::new();
        for key in 0..hosts {
            let phases = phases(key);
            for time in arrivals(rate, hosts, &mut random) {
                let phase = phases.iter().find(|phase| (phase.from..phase.to).contains(&time));
                let health = phase.map_or_else(|| self.healthy(), |phase| phase.health);
                calls.push(health.call(time, key, &mut random));
            }
        }
        calls
    }
}

impl Health {
    fn call(&self, time: Duration, key: u32, random: &mut Random) -> Call {
        let fails = random.permille(self.failing);
        let median = if fails { self.fault } else { self.answer };
        let duration = if self.spread { spread(median, random) } else { median };
        let outcome = Some(if fails { Outcome::Failure } else { Outcome::Success });
        Call { time, duration, key, outcome }
    }
}

/// When calls come to one of `hosts`: one in each interval, at a random moment of it.
pub(super) fn arrivals(rate: u64, hosts: u32, random: &mut Random) -> Vec<Duration> {
    let interval = Duration::from_secs(u64::from(hosts)) / u32::try_from(rate).expect("thousands at most");
    let times = (0..).map(|number| interval * number).take_while(|time| *time < LENGTH);
    times.map(|time| (time + random.duration(Duration::ZERO..=interval)).min(LENGTH)).collect()
}

/// A duration with this median and a long tail: one in a hundred takes four times as long or longer.
pub(super) fn spread(median: Duration, random: &mut Random) -> Duration {
    const QUANTILES: [u64; 11] = [500, 620, 710, 800, 890, 1000, 1120, 1280, 1500, 1900, 4000];
    let place = random.below(10_000);
    let low = QUANTILES[usize::try_from(place / 1000).expect("below 10")];
    let high = QUANTILES[usize::try_from(place / 1000 + 1).expect("at most 10")];
    let mut permille = low + (high - low) * (place % 1000) / 1000;
    if place >= 9_950 {
        permille *= 2;
    }
    Duration::from_micros(u64::try_from(median.as_micros()).expect("seconds at most") * permille / 1000)
}
