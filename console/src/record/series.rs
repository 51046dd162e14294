//! What one breaker did in the last hour.

use std::collections::VecDeque;

use tripcoil::State;

use super::event::{Event, What};
use super::totals::Totals;

/// How many seconds the sparklines show.
pub(crate) const SECONDS: usize = 60;
/// The milliseconds of one bucket of the hour.
pub(crate) const BUCKET_MS: u64 = 15_000;
/// The buckets of one hour.
pub(crate) const BUCKETS: usize = 240;
/// How many events are kept for each breaker.
pub(crate) const EVENTS: usize = 48;

/// The calls of 15 seconds, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) successes: u32,
    pub(crate) errors: u32,
    /// Ignored and dropped calls.
    pub(crate) neutral: u32,
    pub(crate) rejected: u32,
}

impl Bucket {
    fn add(&mut self, delta: &Totals) {
        for (count, more) in [
            (&mut self.successes, delta.successes),
            (&mut self.errors, delta.errors),
            (&mut self.neutral, delta.ignored + delta.dropped),
            (&mut self.rejected, delta.rejected),
        ] {
            *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }
}

/// The calls and the rejections of the last minute, a second each, the oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Sparkline {
    points: [(f32, f32); SECONDS],
    next: usize,
}

impl Sparkline {
    pub(crate) const fn new() -> Self {
        Sparkline { points: [(0.0, 0.0); SECONDS], next: 0 }
    }

    pub(crate) fn push(&mut self, calls: f32, rejected: f32) {
        self.points[self.next] = (calls, rejected);
        self.next = (self.next + 1) % SECONDS;
    }

    pub(crate) fn points(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        let (newer, older) = self.points.split_at(self.next);
        older.iter().chain(newer).copied()
    }
}

/// The last hour of one breaker.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) sparkline: Sparkline,
    buckets: Box<[Bucket]>,
    /// The number of the newest bucket, counted since 1970.
    newest: u64,
    /// When the history begins.
    pub(crate) since_ms: u64,
    pub(crate) first_state: State,
    events: VecDeque<Event>,
}

impl Series {
    /// The most bytes that one takes, texts of operators aside, which are at most 600 bytes each.
    pub(crate) const BYTES: usize = size_of::<Self>() + BUCKETS * size_of::<Bucket>() + EVENTS * size_of::<Event>();

    pub(crate) fn new(now_ms: u64, state: State) -> Self {
        Series {
            sparkline: Sparkline::new(),
            buckets: vec![Bucket::default(); BUCKETS].into(),
            newest: now_ms / BUCKET_MS,
            since_ms: now_ms,
            first_state: state,
            events: VecDeque::new(),
        }
    }

    /// Moves on to the bucket of now. A clock that steps back goes on filling the newest one.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        let now = now_ms / BUCKET_MS;
        let skipped = now.saturating_sub(self.newest);
        if skipped >= BUCKETS as u64 {
            self.buckets.fill(Bucket::default());
        } else {
            for number in self.newest + 1..=now {
                self.buckets[place(number)] = Bucket::default();
            }
        }
        self.newest = self.newest.max(now);
    }

    pub(crate) fn add(&mut self, delta: &Totals) {
        self.buckets[place(self.newest)].add(delta);
    }

    /// The buckets of the last hour with their beginnings in milliseconds since 1970, the oldest first, without those of
    /// before the history began.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, Bucket)> + '_ {
        let first = (self.newest + 1).saturating_sub(BUCKETS as u64).max(self.since_ms / BUCKET_MS);
        (first..=self.newest).map(|number| (number * BUCKET_MS, self.buckets[place(number)]))
    }

    /// In the order in which they were recorded, the oldest first.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }

    pub(crate) fn events_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Event> {
        self.events.iter_mut()
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.make_room();
        }
        self.events.push_back(event);
    }

    /// Drops the least informative events. An outage of hours consists of failed probes: without them, its beginning is
    /// kept, and the states in between are still right.
    fn make_room(&mut self) {
        let Some((opened, failed)) = self.oldest_failed_probe() else {
            let of_fleet = self.events.iter().position(|event| matches!(event.what, What::Fleet(_)));
            self.events.remove(of_fleet.unwrap_or(0));
            return;
        };
        self.events.remove(failed);
        if opened != failed {
            self.events.remove(opened);
        }
    }

    /// The places of its two changes, which are one and the same if both lay between two samples.
    fn oldest_failed_probe(&self) -> Option<(usize, usize)> {
        let change = |(place, event): (usize, &Event)| match &event.what {
            What::Changed(change) => Some((place, change.from, change.to)),
            What::Acted(_) | What::Fleet(_) => None,
        };
        let mut began = None;
        for (place, from, to) in self.events.iter().enumerate().filter_map(change) {
            match (from, to, began) {
                (State::Open, State::Open, _) => return Some((place, place)),
                (State::HalfOpen, State::Open, Some(began)) => return Some((began, place)),
                (State::Open, State::HalfOpen, _) => began = Some(place),
                _ => began = None,
            }
        }
        None
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is below BUCKETS")]
const fn place(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::super::event::Change;
    use super::*;

    const START: u64 = 1_700_000_000_000 / BUCKET_MS * BUCKET_MS;

    fn one_error() -> Totals {
        Totals { errors: 1, ..Totals::default() }
    }

    #[test]
    fn an_hour_is_kept_and_not_a_bucket_more() {
        let mut series = Series::new(START, State::Closed);
        for number in 0..BUCKETS as u64 + 10 {
            series.advance(START + number * BUCKET_MS);
            series.add(&one_error());
        }
        let buckets: Vec<_> = series.buckets().collect();
        assert_eq!(buckets.len(), BUCKETS);
        assert_eq!(buckets[0].0, START + 10 * BUCKET_MS);
        assert!(buckets.iter().all(|(_, bucket)| bucket.errors == 1));
    }

    #[test]
    fn what_nobody_counted_is_zero_however_long_it_was() {
        for skipped in [1, 2, BUCKETS as u64 - 1, BUCKETS as u64, BUCKETS as u64 + 1, 1 << 40] {
            let mut series = Series::new(START, State::Closed);
            series.add(&one_error());
            series.advance(START + skipped * BUCKET_MS);
            let errors: u32 = series.buckets().map(|(_, bucket)| bucket.errors).sum();
            assert_eq!(errors, u32::from(skipped < BUCKETS as u64), "after {skipped} buckets");
        }
    }

    #[test]
    fn a_wall_clock_that_steps_back_loses_nothing() {
        let mut series = Series::new(START, State::Closed);
        series.add(&one_error());
        series.advance(START - 3_600_000);
        series.add(&one_error());
        assert_eq!(series.buckets().last(), Some((START, Bucket { errors: 2, ..Bucket::default() })));
    }

    fn changed(number: u64, from: State, to: State) -> Event {
        let change = Change { from, to, cause: None, sequence: number, changes: 1, counts: None };
        Event { number, at_ms: START + number, what: What::Changed(change) }
    }

    fn shown(series: &Series) -> Vec<(State, State)> {
        let change = |event: &Event| match &event.what {
            What::Changed(change) => Some((change.from, change.to)),
            What::Acted(_) | What::Fleet(_) => None,
        };
        series.events().filter_map(change).collect()
    }

    #[test]
    fn a_long_outage_keeps_its_beginning_and_its_newest_probes() {
        use State::{Closed, HalfOpen, Open};
        for are_seen_apart in [true, false] {
            let mut series = Series::new(START, Closed);
            series.push_event(changed(0, Closed, Open));
            for probe in 1..=1000 {
                if are_seen_apart {
                    series.push_event(changed(2 * probe, Open, HalfOpen));
                    series.push_event(changed(2 * probe + 1, HalfOpen, Open));
                } else {
                    series.push_event(changed(2 * probe + 1, Open, Open));
                }
            }
            series.push_event(changed(5000, Open, HalfOpen));
            series.push_event(changed(5001, HalfOpen, Closed));
            let shown = shown(&series);
            assert_eq!(shown[0], (Closed, Open));
            assert!(shown.len() >= EVENTS - 1 && shown.len() <= EVENTS, "{}", shown.len());
            assert!(
                shown.windows(2).all(|pair| pair[0].1 == pair[1].0),
                "each state follows from the one before: {shown:?}"
            );
            let numbers: Vec<_> = series.events().map(|event| event.number).collect();
            assert!(numbers.is_sorted() && numbers[1] > 1900, "{numbers:?}");
        }
    }

    #[test]
    fn without_failed_probes_the_oldest_event_goes() {
        use State::{Closed, HalfOpen, Open};
        let mut series = Series::new(START, Closed);
        for round in 0..100 {
            for (place, (from, to)) in [(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed)].into_iter().enumerate() {
                series.push_event(changed(3 * round + place as u64, from, to));
            }
        }
        let numbers: Vec<_> = series.events().map(|event| event.number).collect();
        assert_eq!(numbers, (300 - EVENTS as u64..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_sparkline_is_a_minute_with_the_newest_second_last() {
        let mut sparkline = Sparkline::new();
        for second in 0_u8..100 {
            sparkline.push(f32::from(second), 0.0);
        }
        let points: Vec<_> = sparkline.points().map(|(calls, _)| calls).collect();
        assert_eq!((points.len(), points[0], points[SECONDS - 1]), (SECONDS, 40.0, 99.0));
    }

    #[test]
    fn a_series_is_as_large_as_the_documentation_says() {
        const { assert!(Series::BYTES <= 8 * 1024) };
        println!("{} bytes", Series::BYTES);
    }
}
