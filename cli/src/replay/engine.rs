use std::time::Duration;

use tripcoil::clock::ManualClock;

use super::journal::Journal;
use super::lane::Lane;
use super::policy::Policy;
use super::queue::TimeQueue;
use super::tally::{Class, Tally};
use super::timeline::Timeline;
use super::trouble::TroubleFinder;
use crate::call::{Call, Trouble};

/// Puts recorded calls through policies, on virtual time.
///
/// A call asks for a permit when it starts and settles it when it ends. Of what happens at one instant, ends come before
/// starts, and otherwise what came first in the recording comes first.
pub(super) struct Replay {
    lanes: Vec<Lane>,
    clock: ManualClock,
    in_flight: TimeQueue<Slot>,
    free: Vec<usize>,
    options: Options,
    origin: Option<Duration>,
    now: Duration,
    most_in_flight: usize,
    skipped: u64,
    longest_silence: Duration,
    calls: Tally,
    traffic: Timeline<Tally>,
    troubles: TroubleFinder,
}

/// A call in flight; the number is its place in the lanes.
struct Slot(usize, Call);

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// A call that takes this long is slow, in the report.
    pub(super) slow: Duration,
    /// Calls beyond these are skipped.
    pub(super) max_in_flight: usize,
}

/// What came of it. All times are since `origin`.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) origin: Duration,
    /// When the last call ended.
    pub(super) end: Duration,
    pub(super) calls: Tally,
    pub(super) most_in_flight: usize,
    /// Calls that there was no room for.
    pub(super) skipped: u64,
    pub(super) longest_silence: Duration,
    pub(super) traffic: Timeline<Tally>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) unkept_troubles: u64,
    pub(super) policies: Vec<(Policy, Journal)>,
}

impl Replay {
    pub(super) fn new(policies: &[Policy], options: Options) -> Self {
        let clock = ManualClock::new();
        Replay {
            lanes: policies.iter().map(|policy| Lane::new(policy.clone(), clock.clone())).collect(),
            clock,
            in_flight: TimeQueue::new(),
            free: Vec::new(),
            options,
            origin: None,
            now: Duration::ZERO,
            most_in_flight: 0,
            skipped: 0,
            longest_silence: Duration::ZERO,
            calls: Tally::default(),
            traffic: Timeline::new(),
            troubles: TroubleFinder::new(),
        }
    }

    /// Takes the next call. It must not start before the one that was given last. False if it was skipped, because too
    /// many calls are in flight.
    pub(super) fn start(&mut self, call: Call) -> bool {
        let origin = *self.origin.get_or_insert(call.time);
        let call = Call { time: call.time.saturating_sub(origin), ..call };
        let begun = self.now;
        self.end_due(call.time);
        self.longest_silence = self.longest_silence.max(call.time.saturating_sub(begun));
        self.move_to(call.time);
        if self.in_flight.len() == self.options.max_in_flight {
            self.skipped += 1;
            return false;
        }
        let class = Class::of(&call, self.options.slow);
        self.calls += class;
        *self.traffic.at(call.time) += class;
        self.troubles.note(call.key, call.time, class);
        let slot = self.free.pop().unwrap_or(self.in_flight.len());
        self.in_flight.push(call.end(), Slot(slot, call));
        self.most_in_flight = self.most_in_flight.max(self.in_flight.len());
        for lane in &mut self.lanes {
            lane.start(slot, &call, class);
        }
        true
    }

    /// Lets the calls in flight end.
    pub(super) fn finish(mut self) -> Outcomes {
        while let Some((time, slot)) = self.in_flight.pop() {
            self.end(time, &slot);
        }
        let (troubles, unkept_troubles) = self.troubles.finish();
        Outcomes {
            origin: self.origin.unwrap_or_default(),
            end: self.now,
            calls: self.calls,
            most_in_flight: self.most_in_flight,
            skipped: self.skipped,
            longest_silence: self.longest_silence,
            traffic: self.traffic,
            troubles,
            unkept_troubles,
            policies: self.lanes.into_iter().map(|lane| lane.finish(self.now)).collect(),
        }
    }

    fn end_due(&mut self, time: Duration) {
        while let Some((end, slot)) = self.in_flight.pop_due(time) {
            self.end(end, &slot);
        }
    }

    fn end(&mut self, time: Duration, Slot(slot, call): &Slot) {
        self.move_to(time);
        self.free.push(*slot);
        for lane in &mut self.lanes {
            lane.end(*slot, call);
        }
    }

    fn move_to(&mut self, time: Duration) {
        self.now = time;
        self.clock.set(time);
    }
}
