use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use tripcoil::{Cause, State, Transition};

use super::tally::{Class, Tally};
use super::timeline::Timeline;

/// What the breakers of one policy did.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) openings: u64,
    pub(super) causes: BTreeMap<&'static str, u64>,
    /// Openings after a failed probe.
    pub(super) reopenings: u64,
    pub(super) recoveries: u64,
    pub(super) flaps: u64,
    /// Openings that did not happen because too many breakers were open, by cause.
    pub(super) suppressed: BTreeMap<&'static str, u64>,
    pub(super) refused: Tally,
    /// Of each key in turn, in the order of time.
    pub(super) outages: Vec<Outage>,
    /// Openings that there was no room for in `outages`.
    pub(super) unkept: u64,
    pub(super) timeline: Timeline<Cell>,
    keys: Vec<KeyState>,
    not_closed: NotClosed,
}

/// A breaker was not closed: from an opening to the next close.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    pub(super) key: u32,
    pub(super) from: Duration,
    pub(super) to: Option<Duration>,
    pub(super) cause: Cause,
    pub(super) reopenings: u64,
    pub(super) refused: Tally,
}

/// One stretch of the picture's time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    /// For how many seconds breakers were open and half-open, summed over the keys.
    pub(super) open: f64,
    pub(super) half_open: f64,
    pub(super) refused: Tally,
}

impl AddAssign for Cell {
    fn add_assign(&mut self, other: Self) {
        self.open += other.open;
        self.half_open += other.half_open;
        self.refused += other.refused;
    }
}

/// The most outages that are kept.
const MOST: usize = 100_000;

/// A breaker that opens again so soon after it has closed flaps.
pub(super) const FLAP: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Default)]
struct KeyState {
    /// The index of its outage, if that was kept.
    outage: Option<usize>,
    closed_at: Option<Duration>,
}

/// How many breakers are open and half-open by now.
#[derive(Debug, Default)]
struct NotClosed {
    open: u32,
    half_open: u32,
    since: Duration,
}

impl Journal {
    pub(super) fn new() -> Self {
        Journal {
            openings: 0,
            causes: BTreeMap::new(),
            reopenings: 0,
            recoveries: 0,
            flaps: 0,
            suppressed: BTreeMap::new(),
            refused: Tally::default(),
            outages: Vec::new(),
            unkept: 0,
            timeline: Timeline::new(),
            keys: Vec::new(),
            not_closed: NotClosed::default(),
        }
    }

    /// Notes a change of state of the breaker of a key.
    pub(super) fn change(&mut self, key: u32, change: &Transition) {
        self.follow(change.at);
        for (state, step) in [(change.from, -1), (change.to, 1)] {
            match state {
                State::Open => self.not_closed.open = self.not_closed.open.saturating_add_signed(step),
                State::HalfOpen => self.not_closed.half_open = self.not_closed.half_open.saturating_add_signed(step),
                _ => {}
            }
        }
        match (change.from, change.to) {
            (State::Closed, State::Open) => self.open(key, change),
            (_, State::Open) => {
                self.reopenings += 1;
                if let Some(outage) = self.outage(key) {
                    outage.reopenings += 1;
                }
            }
            (_, State::Closed) => {
                self.recoveries += 1;
                if let Some(outage) = self.outage(key) {
                    outage.to = Some(change.at);
                }
                *self.key(key) = KeyState { outage: None, closed_at: Some(change.at) };
            }
            _ => {}
        }
    }

    /// Notes that a rule was met but opened no breaker, because too many breakers were open.
    pub(super) fn suppress(&mut self, cause: Cause) {
        *self.suppressed.entry(cause.as_str()).or_default() += 1;
    }

    pub(super) fn suppressed_openings(&self) -> u64 {
        self.suppressed.values().sum()
    }

    /// Notes that a call was refused.
    pub(super) fn refuse(&mut self, key: u32, time: Duration, class: Class) {
        self.refused += class;
        self.timeline.at(time).refused += class;
        if let Some(outage) = self.outage(key) {
            outage.refused += class;
        }
    }

    /// Ends the record.
    pub(super) fn finish(&mut self, end: Duration) {
        self.follow(end);
        self.outages.sort_by_key(|outage| (outage.key, outage.from));
    }

    fn open(&mut self, key: u32, change: &Transition) {
        self.openings += 1;
        *self.causes.entry(change.cause.as_str()).or_default() += 1;
        if self.key(key).closed_at.is_some_and(|closed_at| change.at - closed_at <= FLAP) {
            self.flaps += 1;
        }
        if self.outages.len() == MOST {
            self.unkept += 1;
            return;
        }
        self.key(key).outage = Some(self.outages.len());
        let Transition { at: from, cause, .. } = *change;
        self.outages.push(Outage { key, from, to: None, cause, reopenings: 0, refused: Tally::default() });
    }

    /// Draws the states up to this time.
    fn follow(&mut self, time: Duration) {
        let NotClosed { open, half_open, since } = self.not_closed;
        if open + half_open > 0 {
            self.timeline.spread(since, time, |cell, seconds| {
                cell.open += f64::from(open) * seconds;
                cell.half_open += f64::from(half_open) * seconds;
            });
        }
        self.not_closed.since = time;
    }

    fn key(&mut self, key: u32) -> &mut KeyState {
        let index = key as usize;
        if index >= self.keys.len() {
            self.keys.resize(index + 1, KeyState::default());
        }
        &mut self.keys[index]
    }

    fn outage(&mut self, key: u32) -> Option<&mut Outage> {
        let index = self.key(key).outage?;
        self.outages.get_mut(index)
    }
}
