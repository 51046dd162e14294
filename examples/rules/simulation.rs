use std::collections::VecDeque;
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Outcome, Permit, State};

use crate::outage::{Course, Outage};
use crate::rule::Rule;

/// Calls a second.
pub(crate) const RATES: [u32; 4] = [1, 10, 100, 10_000];

/// For how long the dependency is healthy at first, and for how many calls at least: every window is full.
const HEALTHY: (Duration, u32) = (Duration::from_secs(11), 110);
/// For how long a breaker is watched that does not open, once calls of the outage have ended, and for how many
/// calls at least.
const PATIENCE: (Duration, u32) = (Duration::from_secs(20), 200);

/// A breaker's opening in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The failed, slow or hung calls that were let through before.
    pub(crate) calls: u64,
    /// The time since the outage began.
    pub(crate) after: Duration,
}

/// When the breaker opens; `None`: never.
pub(crate) fn opening(rule: &Rule, outage: Outage, rate: u32, seed: u64) -> Option<Opening> {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder(rule.name).clock(clock.clone());
    let breaker = (rule.set)(builder).build().expect("every rule is a valid one");
    let interval = Duration::from_secs(1) / rate;
    let begin = HEALTHY.0.max(interval * HEALTHY.1);
    let end = begin + outage.course(0).takes + PATIENCE.0.max(interval * PATIENCE.1);
    let mut in_flight = VecDeque::new();
    let mut number = 0;
    let mut calls = 0;

    for at in arrivals(interval, seed).take_while(|at| *at < end) {
        while let Some(Call { ends, outcome, permit }) = ended_by(at, &mut in_flight) {
            clock.set(ends);
            permit.record(outcome);
            if breaker.state() != State::Closed {
                return Some(Opening { calls, after: ends - begin });
            }
        }
        clock.set(at);
        let Ok(permit) = breaker.try_acquire() else { return Some(Opening { calls, after: at - begin }) };
        let course = if at < begin { Course::HEALTHY } else { outage.course(number) };
        number += u64::from(at >= begin);
        calls += u64::from(course != Course::HEALTHY);
        in_flight.push_back(Call { ends: at + course.takes, outcome: course.outcome, permit });
    }
    None
}

struct Call<'a> {
    ends: Duration,
    outcome: Outcome,
    permit: Permit<'a>,
}

/// Takes out the next call that ends, if it does so by `time`. No call overtakes another.
fn ended_by<'a>(time: Duration, in_flight: &mut VecDeque<Call<'a>>) -> Option<Call<'a>> {
    in_flight.front().is_some_and(|call| call.ends <= time).then(|| in_flight.pop_front()).flatten()
}

/// One call in each interval, at a random moment of it.
fn arrivals(interval: Duration, seed: u64) -> impl Iterator<Item = Duration> {
    let interval = u64::try_from(interval.as_nanos()).expect("at most a second");
    (0..).map(move |number| Duration::from_nanos(number * interval + scramble(seed ^ scramble(number)) % interval))
}

/// Steele, Lea and Flood's `SplitMix64`.
const fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
