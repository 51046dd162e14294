use std::collections::HashMap;
use std::sync::Arc;

use crate::cause::Cause;
use crate::metrics::{Metrics, ShadowMetrics, ShadowRejections};
use crate::state::State;

/// The counts that only grow while a breaker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesCounts {
    /// In the order of [`OUTCOMES`].
    pub(super) calls: [u64; 5],
    pub(super) slow: u64,
    pub(super) shadow: ShadowCounts,
}

pub(super) const OUTCOMES: [&str; 5] = ["success", "error", "ignored", "dropped", "rejected"];

/// The counts that only grow while a shadow lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShadowCounts {
    /// In the order of [`OUTCOMES`], without the last.
    pub(super) rejections: [u64; 4],
    /// In the order of [`Cause::ALL`].
    pub(super) transitions: [u64; Cause::ALL.len()],
}

impl ShadowCounts {
    const ZERO: ShadowCounts = ShadowCounts { rejections: [0; 4], transitions: [0; Cause::ALL.len()] };

    fn of(shadow: Option<&ShadowMetrics>) -> Self {
        let Some(ShadowMetrics { rejections, transitions, .. }) = shadow else { return ShadowCounts::ZERO };
        let ShadowRejections { success_count, error_count, ignored_count, dropped_count } = *rejections;
        let mut counts = [0; Cause::ALL.len()];
        for (cause, count) in transitions {
            counts[*cause as usize] = *count;
        }
        ShadowCounts { rejections: [success_count, error_count, ignored_count, dropped_count], transitions: counts }
    }

    /// What came after `before`; everything, if one of the counts has fallen: then it is another shadow that counts.
    fn since(self, before: Self) -> Self {
        let pairs = || self.all().zip(before.all());
        if pairs().any(|(now, before)| now < before) {
            return self;
        }
        let mut grown = pairs().map(|(now, before)| now - before);
        ShadowCounts {
            rejections: std::array::from_fn(|_| grown.next().unwrap_or(0)),
            transitions: std::array::from_fn(|_| grown.next().unwrap_or(0)),
        }
    }

    fn all(self) -> impl Iterator<Item = u64> {
        self.rejections.into_iter().chain(self.transitions)
    }

    fn add(&mut self, more: ShadowCounts) {
        let sums = self.rejections.iter_mut().chain(&mut self.transitions);
        sums.zip(more.all()).for_each(|(sum, more)| *sum += more);
    }
}

impl SeriesCounts {
    pub(super) const ZERO: SeriesCounts = SeriesCounts { calls: [0; 5], slow: 0, shadow: ShadowCounts::ZERO };

    pub(super) fn of(metrics: &Metrics) -> Self {
        SeriesCounts {
            calls: [
                metrics.total_success_count,
                metrics.total_error_count,
                metrics.total_ignored_count,
                metrics.total_dropped_count,
                metrics.total_rejected_count,
            ],
            slow: metrics.total_slow_count,
            shadow: ShadowCounts::of(metrics.shadow.as_deref()),
        }
    }

    /// What came after `before`; everything, if one of the counts has fallen: then it is another breaker that counts.
    pub(super) fn since(self, before: Self) -> Self {
        let pairs = || self.all().zip(before.all());
        if pairs().any(|(now, before)| now < before) {
            return self;
        }
        let mut grown = pairs().map(|(now, before)| now - before);
        SeriesCounts {
            calls: std::array::from_fn(|_| grown.next().unwrap_or(0)),
            slow: grown.next().unwrap_or(0),
            shadow: self.shadow.since(before.shadow),
        }
    }

    fn all(self) -> impl Iterator<Item = u64> {
        self.calls.into_iter().chain([self.slow])
    }

    pub(super) fn add(&mut self, more: SeriesCounts) {
        self.calls.iter_mut().zip(more.calls).for_each(|(sum, more)| *sum += more);
        self.slow += more.slow;
        self.shadow.add(more.shadow);
    }
}

/// What is exported under one name.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: Arc<str>,
    pub(super) counts: SeriesCounts,
    /// How many breakers are in each state, in the order of [`STATES`].
    states: [u64; 5],
    /// Likewise of their shadows; `None` if there never was one.
    shadow_states: Option<[u64; 5]>,
    pub(super) active: u64,
    /// Hanging calls; `None` if there never was a window to count them in.
    pub(super) hanging: Option<u64>,
    transitions: [[u64; 5]; 5],
}

const STATES: [State; 5] = [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];

fn index(state: State) -> usize {
    state as usize
}

impl Series {
    pub(super) fn enter(&mut self, state: State, shadow: Option<State>, active: u64, hanging: Option<u64>) {
        self.states[index(state)] += 1;
        self.active += active;
        if let Some(hanging) = hanging {
            *self.hanging.get_or_insert(0) += hanging;
        }
        if let Some(shadow) = shadow {
            self.shadow_states.get_or_insert([0; 5])[index(shadow)] += 1;
        }
    }

    pub(super) fn count_transition(&mut self, from: State, to: State) {
        self.transitions[index(from)][index(to)] += 1;
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (State, u64)> {
        STATES.into_iter().zip(self.states)
    }

    /// In how many shadows of this name each state holds; nothing if there never was one.
    pub(super) fn shadow_states(&self) -> impl Iterator<Item = (State, u64)> {
        self.shadow_states.into_iter().flat_map(|states| STATES.into_iter().zip(states))
    }

    /// How calls ended that the shadows would have rejected; nothing if there never was one.
    pub(super) fn shadow_rejections(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.shadow_states.map(|_| self.counts.shadow.rejections);
        counts.into_iter().flat_map(|counts| OUTCOMES.into_iter().zip(counts))
    }

    /// The transitions that the shadows would have made, by their cause.
    pub(super) fn shadow_transitions(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.counts.shadow.transitions).filter(|(_, count)| *count > 0)
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

/// The name of all names beyond the maximum.
const OTHER: &str = "other";

/// The series. Their names do not change.
pub(super) struct SeriesTable<S = Series> {
    series: Vec<S>,
    places: HashMap<Arc<str>, usize>,
    max_names: usize,
    other: Option<usize>,
}

impl<S: From<Arc<str>>> SeriesTable<S> {
    pub(super) fn new(max_names: usize) -> Self {
        SeriesTable { series: Vec::new(), places: HashMap::new(), max_names, other: None }
    }

    pub(super) fn series_of(&mut self, name: &str) -> &mut S {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => self.find_a_place(name),
        };
        &mut self.series[place]
    }

    fn find_a_place(&mut self, name: &str) -> usize {
        if self.places.len() < self.max_names && name != OTHER {
            let name: Arc<str> = Arc::from(name);
            let place = self.make(name.clone());
            self.places.insert(name, place);
            return place;
        }
        let place = self.other.unwrap_or_else(|| self.make(OTHER.into()));
        self.other = Some(place);
        place
    }

    fn make(&mut self, name: Arc<str>) -> usize {
        self.series.push(S::from(name));
        self.series.len() - 1
    }

    pub(super) fn all(&self) -> &[S] {
        &self.series
    }

    pub(super) fn all_mut(&mut self) -> &mut [S] {
        &mut self.series
    }
}

impl From<Arc<str>> for Series {
    fn from(name: Arc<str>) -> Self {
        Series {
            name,
            counts: SeriesCounts::ZERO,
            states: [0; 5],
            shadow_states: None,
            active: 0,
            hanging: None,
            transitions: [[0; 5]; 5],
        }
    }
}

impl SeriesTable {
    /// Takes out what holds for one moment only.
    pub(super) fn clear_gauges(&mut self) {
        for series in self.all_mut() {
            (series.states, series.active) = ([0; 5], 0);
            series.shadow_states = series.shadow_states.map(|_| [0; 5]);
            series.hanging = series.hanging.map(|_| 0);
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
        let counts = |calls, slow| SeriesCounts { calls, slow, ..SeriesCounts::ZERO };
        let before = counts([5, 4, 3, 2, 1], 9);
        assert_eq!(before.since(SeriesCounts::ZERO), before);
        assert_eq!(before.since(before), SeriesCounts::ZERO);
        assert_eq!(counts([6, 4, 3, 2, 8], 10).since(before), counts([1, 0, 0, 0, 7], 1));
        assert_eq!(counts([6, 4, 3, 2, 0], 9).since(before), counts([6, 4, 3, 2, 0], 9));
        assert_eq!(counts([6, 5, 4, 3, 2], 8).since(before), counts([6, 5, 4, 3, 2], 8));
    }
}
