//! What the console has seen: every breaker as of the last sample, and the last hour of some.

mod event;
mod order;
mod rules;
mod series;
mod totals;
mod tracked;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use tripcoil::{Cause, Config, Metrics, Name, RegistryMetrics, State};

use crate::clock::millis;
use crate::fleet::{FleetNews, FleetSeen, Look};
use crate::journal::Entry;
pub(crate) use event::{Act, Change, Event, What};
pub(crate) use rules::{Rule, rules};
pub(crate) use series::{BUCKET_MS, SECONDS, Series, Sparkline};
use totals::Totals;
pub(crate) use tracked::{Rates, Tracked};

/// A breaker is idle after this many samples without a call.
const IDLE: u64 = 60;

/// One breaker, as a sample found it.
pub(crate) struct Observation {
    /// 0 for the breakers that are in no registry, then the registries.
    pub(crate) group: usize,
    pub(crate) address: usize,
    /// Its lifetime metrics.
    pub(crate) metrics: Metrics,
    pub(crate) config: Arc<Config>,
}

/// Everything that one sample found.
pub(crate) struct Sample {
    pub(crate) now_ms: u64,
    /// The seconds since the sample before. `None` if the counts are not to be looked at: after an act, between two samples.
    pub(crate) elapsed: Option<f32>,
    pub(crate) observations: Vec<Observation>,
    /// Taken after the observations.
    pub(crate) journal: Vec<Entry>,
    /// The groups that could not be read.
    pub(crate) unreadable: Vec<usize>,
    pub(crate) registries: Vec<Option<RegistryMetrics>>,
    /// For each fleet, what it shows and what has happened to its breakers.
    pub(crate) fleets: Vec<(Look, Vec<FleetNews>)>,
    /// The addresses of the breakers with a timed hold, and when it ends.
    pub(crate) holds: Vec<(usize, u64)>,
}

/// The breakers of a registry, or those that are in none.
pub(crate) struct Group {
    /// `None` for those that are in none.
    pub(crate) registry: Option<Arc<str>>,
    pub(crate) tracked: HashMap<usize, Tracked>,
    pub(crate) sparkline: Sparkline,
    pub(crate) rates: Rates,
    /// Read every few seconds.
    pub(crate) metrics: Option<RegistryMetrics>,
    pub(crate) is_readable: bool,
}

impl Group {
    fn new(registry: Option<Arc<str>>) -> Self {
        Group {
            registry,
            tracked: HashMap::new(),
            sparkline: Sparkline::new(),
            rates: Rates::default(),
            metrics: None,
            is_readable: true,
        }
    }

    /// Where the breaker of each name is. `None` for a name that several have.
    fn addresses(&self) -> HashMap<Name, Option<usize>> {
        let mut addresses = HashMap::with_capacity(self.tracked.len());
        for (address, tracked) in &self.tracked {
            let name = tracked.metrics.name.clone();
            addresses.entry(name).and_modify(|several| *several = None).or_insert(Some(*address));
        }
        addresses
    }

    pub(crate) fn states(&self) -> [usize; 5] {
        let mut states = [0; 5];
        for tracked in self.tracked.values() {
            states[tracked.metrics.state as usize] += 1;
        }
        states
    }
}

pub(crate) struct Recorder {
    pub(crate) groups: Vec<Group>,
    pub(crate) fleets: Vec<FleetSeen>,
    /// Every breaker by group and address, the worst first.
    pub(crate) order: Vec<(usize, usize)>,
    /// The samples that looked at the counts.
    pub(crate) tick: u64,
    pub(crate) now_ms: u64,
    pass: u64,
    numbers: Numbers,
    /// How many series there may be.
    most_series: usize,
    series: usize,
}

#[derive(Default)]
struct Numbers {
    id: u64,
    event: u64,
}

impl Numbers {
    fn id(&mut self) -> u64 {
        self.id += 1;
        self.id
    }

    fn event(&mut self) -> u64 {
        self.event += 1;
        self.event
    }
}

impl Recorder {
    /// The series take at most `history_limit` bytes.
    pub(crate) fn new(
        registries: impl Iterator<Item = Arc<str>>,
        fleets: Vec<FleetSeen>,
        history_limit: usize,
    ) -> Self {
        let groups = std::iter::once(None).chain(registries.map(Some)).map(Group::new).collect();
        Recorder {
            groups,
            fleets,
            order: Vec::new(),
            tick: 0,
            now_ms: 0,
            pass: 0,
            numbers: Numbers::default(),
            most_series: history_limit / Series::BYTES,
            series: 0,
        }
    }

    pub(crate) fn group(&self, registry: Option<&str>) -> Option<usize> {
        self.groups.iter().position(|group| group.registry.as_deref() == registry)
    }

    /// The breakers of this name.
    pub(crate) fn named<'a>(&'a self, group: usize, name: &'a str) -> impl Iterator<Item = &'a Tracked> {
        self.groups[group].tracked.values().filter(move |tracked| *tracked.metrics.name == *name)
    }

    pub(crate) fn merge(&mut self, sample: Sample) {
        self.pass += 1;
        self.now_ms = sample.now_ms;
        if sample.elapsed.is_some() {
            self.tick += 1;
        }
        let mut sums = vec![Totals::default(); self.groups.len()];
        for observation in sample.observations {
            let delta = self.take_in(&observation, sample.elapsed);
            let sum = &mut sums[observation.group];
            sum.successes += delta.calls();
            sum.errors += delta.errors;
            sum.rejected += delta.rejected;
        }
        self.forget(&sample.unreadable);
        self.note_holds(&sample.holds);
        self.read_journal(sample.journal);
        self.read_fleets(sample.fleets);
        self.record_unobserved_changes();
        self.share_series();
        if let Some(elapsed) = sample.elapsed {
            for (group, sum) in self.groups.iter_mut().zip(sums) {
                group.rates = Rates::of(sum.successes, sum.errors, sum.rejected, elapsed);
                group.sparkline.push(group.rates.calls, group.rates.rejected);
            }
            self.end_tick();
        }
        for (group, metrics) in self.groups.iter_mut().skip(1).zip(sample.registries) {
            group.metrics = metrics.or(group.metrics.take());
        }
        self.order = order::worst_first(&self.groups);
    }

    /// Takes over what was seen of one breaker, and returns what it counted since.
    fn take_in(&mut self, observation: &Observation, elapsed: Option<f32>) -> Totals {
        let Observation { group, address, metrics, config } = observation;
        let tracked = &mut self.groups[*group].tracked;
        let seen = Totals::of(metrics);
        let tracked = match tracked.entry(*address) {
            Slot::Occupied(slot) if slot.get().is_of(metrics) => slot.into_mut(),
            slot => {
                // One that comes later was made since the sample before.
                let is_new = self.pass > 1 && *group > 0;
                let base = if is_new { Totals::default() } else { seen };
                let made = Tracked::new(self.numbers.id(), metrics, base, self.now_ms, is_new);
                slot.insert_entry(made).into_mut()
            }
        };
        tracked.pass = self.pass;
        tracked.configured(config);
        tracked.take(metrics, self.now_ms);
        let Some(elapsed) = elapsed else { return Totals::default() };
        let delta = seen.since(&tracked.totals);
        tracked.totals = seen;
        tracked.rates = Rates::of(delta.calls(), delta.errors, delta.rejected, elapsed);
        if !delta.is_zero() {
            tracked.active = self.tick;
        }
        tracked.delta = delta;
        delta
    }

    fn note_holds(&mut self, holds: &[(usize, u64)]) {
        for group in &mut self.groups {
            for tracked in group.tracked.values_mut() {
                tracked.hold_ends_ms = None;
            }
            for (address, ends_ms) in holds {
                if let Some(tracked) = group.tracked.get_mut(address) {
                    tracked.hold_ends_ms = Some(*ends_ms);
                }
            }
        }
    }

    /// Drops what is no longer there.
    fn forget(&mut self, unreadable: &[usize]) {
        for (index, group) in self.groups.iter_mut().enumerate() {
            group.is_readable = !unreadable.contains(&index);
            if group.is_readable {
                group.tracked.retain(|_, tracked| tracked.pass == self.pass);
            }
        }
        let tracked = self.groups.iter().flat_map(|group| group.tracked.values());
        self.series = tracked.filter(|tracked| tracked.series.is_some()).count();
    }

    /// Records the transitions that observers received.
    fn read_journal(&mut self, journal: Vec<Entry>) {
        if journal.is_empty() {
            return;
        }
        let mut known: Vec<Option<HashMap<Name, Option<usize>>>> = vec![None; self.groups.len()];
        for Entry { at, registry, transition } in journal {
            let Some(index) = self.group(registry.as_deref()) else { continue };
            let group = &mut self.groups[index];
            let addresses = known[index].get_or_insert_with(|| group.addresses());
            let Some(address) = addresses.get(&transition.name).copied().flatten() else { continue };
            let Some(tracked) = group.tracked.get_mut(&address) else { continue };
            let number = self.numbers.event();
            self.series += tracked.record_transition(&transition, millis(at), number, self.series < self.most_series);
        }
    }

    /// Takes over what the fleets show, and records what has happened to their breakers.
    fn read_fleets(&mut self, fleets: Vec<(Look, Vec<FleetNews>)>) {
        for (index, (look, news)) in fleets.into_iter().enumerate() {
            self.fleets[index].take(look, self.now_ms);
            for news in news {
                self.record_news(index, &news);
            }
        }
    }

    fn record_news(&mut self, fleet: usize, news: &FleetNews) {
        let fleet = &self.fleets[fleet];
        for group in &mut self.groups {
            let registry = group.registry.clone();
            let Some(name) = news.name_in(registry.as_deref()) else { continue };
            if !fleet.source.has_joined(registry.as_deref(), name) {
                continue;
            }
            for tracked in group.tracked.values_mut().filter(|tracked| *tracked.metrics.name == *name) {
                let number = self.numbers.event();
                let event = Event { number, at_ms: news.at_ms, what: What::Fleet(news.note.clone()) };
                self.series += tracked.push(event, self.series < self.most_series);
            }
        }
    }

    /// Records the changes of state that no observer received.
    fn record_unobserved_changes(&mut self) {
        for tracked in self.groups.iter_mut().flat_map(|group| group.tracked.values_mut()) {
            if tracked.metrics.transition_count > tracked.sequence {
                let number = self.numbers.event();
                self.series += tracked.record_unobserved(self.now_ms, number, self.series < self.most_series);
            }
        }
    }

    /// Gives the history to those that need it most: those that are not closed, and those that are in use.
    fn share_series(&mut self) {
        let mut wanting: Vec<(usize, usize, bool)> = Vec::new();
        let mut spare: Vec<(bool, u64, usize, usize)> = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for (address, tracked) in &group.tracked {
                let is_closed = tracked.metrics.state == State::Closed;
                let is_idle = tracked.active + IDLE < self.tick;
                if tracked.series.is_none() {
                    if !is_closed || !tracked.delta.is_zero() || index == 0 {
                        wanting.push((index, *address, is_closed));
                    }
                } else if is_closed {
                    spare.push((!is_idle, tracked.active, index, *address));
                }
            }
        }
        if wanting.is_empty() {
            return;
        }
        // Those that are not closed come first.
        wanting.sort_unstable_by_key(|(group, address, is_closed)| (*is_closed, *group, *address));
        if self.series + wanting.len() > self.most_series {
            spare.sort_unstable_by(|one, other| other.cmp(one));
        }
        for (group, address, is_closed) in wanting {
            if self.series >= self.most_series {
                // One in use is taken from only for one that is not closed.
                let Some((is_used, _, from, idle)) = spare.pop() else { break };
                if is_used && is_closed {
                    break;
                }
                if let Some(tracked) = self.groups[from].tracked.get_mut(&idle) {
                    tracked.series = None;
                    self.series -= 1;
                }
            }
            if let Some(tracked) = self.groups[group].tracked.get_mut(&address) {
                tracked.begin_series(self.now_ms);
                self.series += 1;
            }
        }
    }

    fn end_tick(&mut self) {
        for tracked in self.groups.iter_mut().flat_map(|group| group.tracked.values_mut()) {
            if tracked.pass != self.pass {
                // Of a registry that cannot be read.
                (tracked.delta, tracked.rates) = (Totals::default(), Rates::default());
            }
            let Some(series) = &mut tracked.series else { continue };
            series.advance(self.now_ms);
            series.add(&tracked.delta);
            series.sparkline.push(tracked.rates.calls, tracked.rates.rejected);
        }
    }

    /// Notes what an operator did, before the sample that finds what came of it.
    pub(crate) fn acted(
        &mut self,
        registry: Option<&str>,
        name: &str,
        at_ms: u64,
        act: &Arc<Act>,
        cause: Option<Cause>,
    ) {
        let Some(group) = self.group(registry) else { return };
        for tracked in self.groups[group].tracked.values_mut().filter(|tracked| *tracked.metrics.name == *name) {
            let event = Event { number: self.numbers.event(), at_ms, what: What::Acted(act.clone()) };
            self.series += tracked.push(event, self.series < self.most_series);
            tracked.manual = cause;
        }
    }
}

#[cfg(test)]
mod tests;
