use std::collections::HashMap;
use std::sync::Arc;

use crate::metrics::Metrics;
use crate::state::State;

/// The counts that only grow while a breaker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// In the order of [`OUTCOMES`].
    pub(super) calls: [u64; 5],
    pub(super) slow: u64,
}

pub(super) const OUTCOMES: [&str; 5] = ["success", "error", "ignored", "dropped", "rejected"];

impl Counts {
    pub(super) const ZERO: Counts = Counts { calls: [0; 5], slow: 0 };

    pub(super) fn of(metrics: &Metrics) -> Self {
        Counts {
            calls: [
                metrics.total_success_count,
                metrics.total_error_count,
                metrics.total_ignored_count,
                metrics.total_dropped_count,
                metrics.total_rejected_count,
            ],
            slow: metrics.total_slow_count,
        }
    }

    /// What came after `before`; everything, if one of the counts has fallen: then it is another breaker that counts.
    pub(super) fn since(self, before: Self) -> Self {
        let pairs = || self.all().zip(before.all());
        if pairs().any(|(now, before)| now < before) {
            return self;
        }
        let mut grown = pairs().map(|(now, before)| now - before);
        Counts { calls: std::array::from_fn(|_| grown.next().unwrap_or(0)), slow: grown.next().unwrap_or(0) }
    }

    fn all(self) -> impl Iterator<Item = u64> {
        self.calls.into_iter().chain([self.slow])
    }

    pub(super) fn add(&mut self, more: Counts) {
        self.calls.iter_mut().zip(more.calls).for_each(|(sum, more)| *sum += more);
        self.slow += more.slow;
    }
}

/// What is exported under one name.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: Arc<str>,
    pub(super) counts: Counts,
    /// How many breakers are in each state, in the order of [`STATES`].
    states: [u64; 5],
    pub(super) active: u64,
    transitions: [[u64; 5]; 5],
}

const STATES: [State; 5] = [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];

fn index(state: State) -> usize {
    state as usize
}

impl Series {
    pub(super) fn enter(&mut self, state: State, active: u64) {
        self.states[index(state)] += 1;
        self.active += active;
    }

    pub(super) fn count_transition(&mut self, from: State, to: State) {
        self.transitions[index(from)][index(to)] += 1;
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (State, u64)> {
        STATES.into_iter().zip(self.states)
    }

    /// The transitions that a breaker makes by itself, and those that there have been.
    pub(super) fn transitions(&self) -> impl Iterator<Item = (State, State, u64)> {
        use State::{Closed, HalfOpen, Open};

        let pairs = STATES.into_iter().flat_map(|from| STATES.map(|to| (from, to)));
        pairs.filter_map(|(from, to)| {
            let count = self.transitions[index(from)][index(to)];
            let is_usual = matches!((from, to), (Closed | HalfOpen, Open) | (Open, HalfOpen) | (HalfOpen, Closed));
            (is_usual || count > 0).then_some((from, to, count))
        })
    }
}

/// The series, each of which has its name for good.
pub(super) struct SeriesTable {
    series: Vec<Series>,
    places: HashMap<Arc<str>, usize>,
    max_names: usize,
    other: Option<usize>,
}

impl SeriesTable {
    const OTHER: &str = "other";

    pub(super) fn new(max_names: usize) -> Self {
        SeriesTable { series: Vec::new(), places: HashMap::new(), max_names, other: None }
    }

    pub(super) fn series_of(&mut self, name: &str) -> &mut Series {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => self.find_a_place(name),
        };
        &mut self.series[place]
    }

    fn find_a_place(&mut self, name: &str) -> usize {
        if self.places.len() < self.max_names && name != Self::OTHER {
            let place = self.make(name);
            self.places.insert(self.series[place].name.clone(), place);
            return place;
        }
        let place = self.other.unwrap_or_else(|| self.make(Self::OTHER));
        self.other = Some(place);
        place
    }

    fn make(&mut self, name: &str) -> usize {
        let name = Arc::from(name);
        self.series.push(Series { name, counts: Counts::ZERO, states: [0; 5], active: 0, transitions: [[0; 5]; 5] });
        self.series.len() - 1
    }

    pub(super) fn all(&self) -> &[Series] {
        &self.series
    }

    /// Takes out what holds for one moment only.
    pub(super) fn clear_gauges(&mut self) {
        for series in &mut self.series {
            (series.states, series.active) = ([0; 5], 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_in_the_order_of_their_numbers() {
        assert!(STATES.into_iter().map(index).eq(0..5));
    }

    #[test]
    fn counts_that_fell_are_those_of_another_breaker() {
        let counts = |calls, slow| Counts { calls, slow };
        let before = counts([5, 4, 3, 2, 1], 9);
        assert_eq!(before.since(Counts::ZERO), before);
        assert_eq!(before.since(before), Counts::ZERO);
        assert_eq!(counts([6, 4, 3, 2, 8], 10).since(before), counts([1, 0, 0, 0, 7], 1));
        assert_eq!(counts([6, 4, 3, 2, 0], 9).since(before), counts([6, 4, 3, 2, 0], 9));
        assert_eq!(counts([6, 5, 4, 3, 2], 8).since(before), counts([6, 5, 4, 3, 2], 8));
    }
}
