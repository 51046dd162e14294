use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tripcoil::{CircuitBreaker, State};

use super::*;
use crate::journal::Journal;

const START: u64 = 1_700_000_000_000;

/// Breakers, and a recorder that looks at them when it is told to.
struct Watched {
    recorder: Recorder,
    breakers: Vec<CircuitBreaker>,
    journal: Journal,
    now_ms: u64,
    group: usize,
}

impl Watched {
    fn new(names: &[&'static str], history_limit: usize) -> Self {
        let journal = Journal::new();
        let breaker = |name: &&'static str| CircuitBreaker::builder(*name).error_threshold(2).build().unwrap();
        Watched {
            recorder: Recorder::new([Arc::from("hosts")].into_iter(), Vec::new(), history_limit),
            breakers: names.iter().map(breaker).collect(),
            journal,
            now_ms: START,
            group: 1,
        }
    }

    fn with_journal(name: &'static str) -> Self {
        let mut watched = Watched::new(&[], 1 << 20);
        let observer = watched.journal.observer_of("hosts");
        watched
            .breakers
            .push(CircuitBreaker::builder(name).error_threshold(2).on_transition(observer).build().unwrap());
        watched
    }

    /// A second is over.
    fn tick(&mut self) {
        self.now_ms += 1_000;
        let observe = |breaker: &CircuitBreaker| Observation {
            group: self.group,
            address: std::ptr::from_ref(breaker).addr(),
            metrics: breaker.lifetime_metrics(),
            config: Arc::new(breaker.config()),
        };
        let mut observations: Vec<_> = self.breakers.iter().map(observe).collect();
        // A map has no order either.
        observations.reverse();
        let journal = self
            .journal
            .take()
            .into_iter()
            .map(|entry| Entry { at: UNIX_EPOCH + Duration::from_millis(self.now_ms - 100), ..entry });
        self.recorder.merge(Sample {
            now_ms: self.now_ms,
            elapsed: Some(1.0),
            observations,
            journal: journal.collect(),
            unreadable: Vec::new(),
            registries: vec![None],
            fleets: Vec::new(),
            holds: Vec::new(),
        });
    }

    fn of(&self, name: &str) -> &Tracked {
        self.recorder.groups[self.group].tracked.values().find(|tracked| *tracked.metrics.name == *name).unwrap()
    }

    fn changes(&self, name: &str) -> Vec<(State, State, Option<Cause>, u64)> {
        let events = self.of(name).series.as_ref().unwrap().events();
        let change = |event: &Event| match &event.what {
            What::Changed(change) => Some((change.from, change.to, change.cause, change.changes)),
            What::Acted(_) | What::Fleet(_) => None,
        };
        events.filter_map(change).collect()
    }
}

fn fail(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        let _ = breaker.call_sync(|| Err::<(), _>("down"));
    }
}

#[test]
fn what_is_counted_before_the_console_begins_is_no_call_of_the_first_second() {
    let mut watched = Watched::new(&["a"], 1 << 20);
    fail(&watched.breakers[0], 1);
    watched.tick();
    assert_eq!(watched.of("a").rates, Rates::default());
    fail(&watched.breakers[0], 5);
    watched.tick();
    let rates = watched.of("a").rates;
    assert_eq!((rates.calls, rates.errors, rates.rejected), (1.0, 1.0, 4.0));
    assert_eq!(watched.recorder.groups[1].rates, rates);
}

#[test]
fn a_key_that_comes_later_begins_with_its_first_calls() {
    let mut watched = Watched::new(&["a"], 1 << 20);
    watched.tick();
    watched.breakers.push(CircuitBreaker::new("b"));
    // Where the breakers lie may have changed.
    watched.recorder.groups[1].tracked.clear();
    fail(&watched.breakers[1], 3);
    watched.tick();
    assert_eq!(watched.of("b").rates, Rates { calls: 3.0, errors: 3.0, rejected: 0.0 });
    assert!(watched.of("b").since_is_known);
}

#[test]
fn the_state_that_the_console_found_has_an_unknown_age() {
    let mut watched = Watched::new(&["a"], 1 << 20);
    watched.breakers[0].force_open();
    watched.tick();
    assert!(!watched.of("a").since_is_known);
    watched.breakers[0].reset();
    watched.tick();
    assert!(watched.of("a").since_is_known);
    assert_eq!(watched.of("a").since_ms, watched.now_ms);
    assert_eq!(watched.changes("a"), [(State::ForcedOpen, State::Closed, None, 1)]);
}

#[test]
fn changes_between_two_samples_are_one_event_without_a_journal() {
    let mut watched = Watched::new(&["a"], 1 << 20);
    watched.tick();
    watched.breakers[0].force_open();
    watched.breakers[0].reset();
    watched.breakers[0].force_closed();
    watched.tick();
    assert_eq!(watched.changes("a"), [(State::Closed, State::ForcedClosed, None, 3)]);
}

#[test]
fn a_journal_tells_each_change_with_its_cause_and_its_time() {
    let mut watched = Watched::with_journal("a");
    watched.tick();
    fail(&watched.breakers[0], 2);
    watched.breakers[0].transition_to(State::HalfOpen);
    watched.tick();
    let expected = [
        (State::Closed, State::Open, Some(Cause::ErrorThreshold), 1),
        (State::Open, State::HalfOpen, Some(Cause::Manual), 1),
    ];
    assert_eq!(watched.changes("a"), expected);
    assert_eq!(watched.of("a").since_ms, watched.now_ms - 100);
    assert_eq!(watched.of("a").cause, Some(Cause::Manual));
}

#[test]
fn a_journal_that_comes_late_corrects_what_a_sample_has_seen() {
    let mut watched = Watched::with_journal("a");
    watched.tick();
    fail(&watched.breakers[0], 2);
    let late = watched.journal.take();
    watched.tick();
    assert_eq!(watched.changes("a"), [(State::Closed, State::Open, None, 1)]);
    let seen = watched.of("a").series.as_ref().unwrap().events().last().unwrap().number;

    for entry in late {
        watched.journal.observer_of("hosts")(&entry.transition);
    }
    watched.tick();
    assert_eq!(watched.changes("a"), [(State::Closed, State::Open, Some(Cause::ErrorThreshold), 1)]);
    assert_eq!(watched.of("a").cause, Some(Cause::ErrorThreshold));
    // So that it is sent to those who have the first one.
    assert!(watched.of("a").series.as_ref().unwrap().events().last().unwrap().number > seen);
}

#[test]
fn a_journal_says_nothing_of_a_name_that_two_breakers_have() {
    let mut watched = Watched::with_journal("twin");
    watched.breakers.push(CircuitBreaker::builder("twin").error_threshold(2).build().unwrap());
    watched.tick();
    fail(&watched.breakers[0], 2);
    watched.tick();
    let mut seen: Vec<_> =
        watched.recorder.named(1, "twin").map(|twin| (twin.metrics.state.as_str(), twin.cause)).collect();
    seen.sort_unstable_by_key(|(state, _)| *state);
    assert_eq!(seen, [("closed", None), ("open", None)]);
}

#[test]
fn history_is_bounded_and_goes_to_those_that_are_not_closed() {
    let names = ["a", "b", "c", "d"];
    let mut watched = Watched::new(&names, 2 * Series::BYTES);
    watched.tick();
    let with_history = |watched: &Watched| -> Vec<&str> {
        names.into_iter().filter(|name| watched.of(name).series.is_some()).collect()
    };
    assert!(with_history(&watched).is_empty(), "idle breakers need none");
    for breaker in &watched.breakers[..3] {
        fail(breaker, 1);
    }
    watched.tick();
    assert_eq!(with_history(&watched).len(), 2);

    // One that opens takes the place of a closed one.
    watched.breakers[3].force_open();
    watched.tick();
    assert_eq!(with_history(&watched).len(), 2);
    assert!(with_history(&watched).contains(&"d"));

    // What is idle for a minute makes room for what is in use.
    for _ in 0..=IDLE + 1 {
        watched.tick();
    }
    let idle: Vec<_> = (0..3).filter(|place| watched.of(names[*place]).series.is_none()).collect();
    fail(&watched.breakers[idle[0]], 1);
    watched.tick();
    assert!(with_history(&watched).contains(&names[idle[0]]));
    assert_eq!(with_history(&watched).len(), 2);
}

#[test]
fn no_history_is_kept_where_none_is_allowed() {
    let mut watched = Watched::new(&["a"], 0);
    watched.tick();
    watched.breakers[0].force_open();
    watched.tick();
    watched.tick();
    assert!(watched.of("a").series.is_none());
    assert_eq!(watched.of("a").metrics.state, State::ForcedOpen);
}

#[test]
fn the_worst_come_first() {
    let names = ["calm", "held", "half", "near", "open", "busy"];
    let mut watched = Watched::new(&names, 1 << 20);
    watched.tick();
    let [_, held, half, near, open, busy] = &watched.breakers[..] else { panic!() };
    held.force_open();
    half.transition_to(State::HalfOpen);
    fail(near, 1);
    fail(open, 2);
    fail(busy, 40);
    watched.tick();
    let group = &watched.recorder.groups[1];
    let order: Vec<_> =
        watched.recorder.order.iter().map(|(_, address)| &*group.tracked[address].metrics.name).collect();
    assert_eq!(order, ["busy", "open", "half", "held", "near", "calm"]);
}

#[test]
fn a_breaker_that_is_gone_is_forgotten_and_an_unreadable_registry_keeps_what_was_seen() {
    let mut watched = Watched::new(&["a", "b"], 1 << 20);
    watched.tick();
    fail(&watched.breakers[0], 1);
    watched.tick();
    let sample = |unreadable| Sample {
        now_ms: START,
        elapsed: Some(1.0),
        observations: Vec::new(),
        journal: Vec::new(),
        unreadable,
        registries: vec![None],
        fleets: Vec::new(),
        holds: Vec::new(),
    };
    watched.recorder.merge(sample(vec![1]));
    watched.recorder.merge(sample(vec![1]));
    let errors: u32 = watched.of("a").series.as_ref().unwrap().buckets().map(|(_, bucket)| bucket.errors).sum();
    assert_eq!((errors, watched.of("a").rates), (1, Rates::default()), "nothing is counted twice");
    assert_eq!(watched.recorder.groups[1].tracked.len(), 2);
    assert!(!watched.recorder.groups[1].is_readable);
    watched.recorder.merge(sample(Vec::new()));
    assert!(watched.recorder.groups[1].tracked.is_empty());
    assert!(watched.recorder.order.is_empty());
}

#[test]
fn another_breaker_at_the_same_address_is_another_one() {
    let mut watched = Watched::new(&["a"], 1 << 20);
    fail(&watched.breakers[0], 2);
    watched.tick();
    let first = watched.of("a").id;
    watched.breakers[0] = CircuitBreaker::new("a");
    fail(&watched.breakers[0], 1);
    watched.tick();
    assert_ne!(watched.of("a").id, first);
    assert_eq!(watched.of("a").rates, Rates { calls: 1.0, errors: 1.0, rejected: 0.0 });
}
