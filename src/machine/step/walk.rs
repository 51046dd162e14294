//! Walks over every word that small rules can reach.

use std::collections::{HashSet, VecDeque};

use super::*;
use crate::machine::word::EPOCH;

/// Time stands here; what passes is taken off the deadlines instead, so that the walk has an end.
const NOW: u64 = 1_000;
/// The epoch of every word of the walk.
const HERE: Epoch = Epoch::new(1);
const EARLIER: Epoch = Epoch::new(0);
const TICK: Duration = Duration::from_millis(1);

/// A place in the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    word: Word,
    reopenings: u32,
    /// The calls of a half-open epoch that have not been settled, by the walk's own count.
    probes: u64,
}

struct Walk {
    rules: Rules,
    /// Up to how many probes the silence of the others lets one more in.
    most_probes: u64,
}

fn now() -> Duration {
    Duration::from_millis(NOW)
}

/// The same word in the epoch of the walk.
fn moved_here(word: Word) -> Word {
    Word::from_bits(EPOCH.set(word.bits(), HERE.number()))
}

impl Walk {
    fn events(&self, place: Place) -> Vec<Event> {
        let moment = Moment { now: now(), draw: 0.0 };
        let mut events = vec![
            Event::Admit { now: now(), past_silence: false },
            Event::Operate(Order::Close),
            Event::Operate(Order::Open(moment)),
            Event::Operate(Order::OpenFor { now: now(), open_for: TICK }),
            Event::Operate(Order::HalfOpen),
            Event::Operate(Order::ForceOpen),
            Event::Operate(Order::ForceClosed),
            Event::Operate(Order::Reset),
        ];
        let mut settle = |epoch| {
            events.extend([
                Event::Success { epoch },
                Event::Failure { epoch, met: None, moment: None },
                Event::Failure { epoch, met: None, moment: Some(moment) },
                Event::Trip { epoch, now: now(), open_for: TICK },
                Event::Release { epoch },
            ]);
        };
        settle(EARLIER);
        if place.probes > 0 || place.word.admits_all() {
            settle(HERE);
        }
        if place.probes > 0 && place.probes < self.most_probes {
            events.push(Event::Admit { now: now(), past_silence: true });
        }
        events
    }

    /// Where `event` leads, after a check that it may lead there.
    fn go(&self, from: Place, event: Event) -> Place {
        let Step { next, effect } = step(from.word, from.reopenings, event, &self.rules);
        let begins = matches!(effect, Effect::Begin { .. });
        assert_eq!(next.epoch(), if begins { HERE.next() } else { HERE }, "{from:?} {event:?}");
        self.check_counts(next);
        self.check_effect(from, event, next, effect);
        let probes = match (event, effect) {
            (Event::Admit { .. }, Effect::Begin { .. }) => 1,
            (_, Effect::Begin { .. }) => 0,
            (Event::Admit { .. }, Effect::Admit) if next.state() == State::HalfOpen => from.probes + 1,
            (_, Effect::Free(_)) => from.probes - 1,
            _ => from.probes,
        };
        assert_eq!(next.in_flight_if_half_open(), probes, "{from:?} {event:?}");
        let reopenings = match (from.word.state(), next.state()) {
            (_, State::Closed | State::ForcedClosed) => 0,
            (State::HalfOpen, State::Open) => (from.reopenings + 1).min(3),
            _ => from.reopenings,
        };
        Place { word: moved_here(next), reopenings, probes }
    }

    fn check_counts(&self, word: Word) {
        let rules = &self.rules;
        match word.state() {
            State::Closed => assert!(rules.error_threshold.is_some_and(|most| word.errors() < u64::from(most))),
            State::HalfOpen => {
                assert!(word.successes() < u64::from(rules.success_threshold), "{word:?}");
                assert!(word.probe_errors() < u64::from(rules.half_open_error_threshold), "{word:?}");
                assert!(word.raise() <= u64::from(rules.half_open_max_capacity - rules.half_open_capacity), "{word:?}");
            }
            State::Open => {
                let longest = Duration::from_millis(NOW) + rules.backoff_max;
                assert!(word.deadline() <= Millis::not_before(longest), "{word:?}");
            }
            State::ForcedOpen | State::ForcedClosed => assert_eq!(word.bits() >> EPOCH.end(), 0, "{word:?}"),
        }
    }

    fn check_effect(&self, from: Place, event: Event, next: Word, effect: Effect) {
        let is_order = matches!(event, Event::Operate(_));
        let is_forced = matches!(from.word.state(), State::ForcedOpen | State::ForcedClosed);
        assert!(is_order || !is_forced || next == from.word, "{from:?} {event:?} left a forced state");
        match effect {
            Effect::RefuseOpen | Effect::RefuseFull | Effect::RefuseForced | Effect::Late | Effect::ReadClock => {
                assert_eq!(next, from.word, "{event:?} {effect:?}");
            }
            Effect::Admit if next.state() == State::HalfOpen => {
                let past_silence = matches!(event, Event::Admit { past_silence: true, .. });
                let most = u64::from(self.rules.half_open_max_capacity);
                assert!(past_silence || next.in_flight() <= most, "{from:?} {event:?}");
            }
            Effect::Free(freed) => {
                let more = free_slots(next, &self.rules) - free_slots(from.word, &self.rules);
                assert_eq!(freed, more, "{from:?} {event:?}");
            }
            _ => {}
        }
    }

    /// A millisecond later.
    fn tick(place: Place) -> Place {
        if place.word.state() != State::Open {
            return place;
        }
        let deadline = place.word.deadline().bits();
        Place { word: Word::open(HERE, Millis::from_bits(deadline.saturating_sub(1).max(NOW))), ..place }
    }

    /// Every place that can be reached from `start`.
    fn explore(&self, start: Place) -> HashSet<Place> {
        let mut found = HashSet::from([start]);
        let mut queue = VecDeque::from([start]);
        while let Some(place) = queue.pop_front() {
            let ahead = self.events(place).into_iter().map(|event| self.go(place, event));
            for next in ahead.chain([Self::tick(place)]) {
                if found.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        found
    }

    /// Lets the dependency be well until the breaker is closed. `silent`: the probes that are in flight
    /// never answer.
    fn recover(&self, mut place: Place, silent: bool) {
        let mut unanswered = if silent { place.probes } else { 0 };
        let enough = 4 * place.probes + 4 * u64::from(self.rules.success_threshold) + 8;
        for _ in 0..enough {
            if place.word.admits_all() {
                break;
            }
            if place.word.state() == State::Open {
                place.word = Word::open(HERE, Millis::from_bits(NOW));
                unanswered = 0;
            }
            if place.probes > unanswered {
                place = self.go(place, Event::Success { epoch: HERE });
            } else {
                place = self.go(place, Event::Admit { now: now(), past_silence: silent });
            }
        }
        assert_eq!(place.word.state(), State::Closed, "{place:?}");
    }
}

impl Word {
    fn in_flight_if_half_open(self) -> u64 {
        if self.state() == State::HalfOpen { self.in_flight() } else { 0 }
    }
}

const START: Place = Place { word: Word::closed(HERE), reopenings: 0, probes: 0 };

fn small_rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for (half_open_capacity, half_open_max_capacity) in [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3)] {
        for thresholds in 0..8_u32 {
            all.push(Rules {
                error_threshold: Some(1 + (thresholds & 1)),
                success_threshold: 1 + (thresholds >> 1 & 1),
                half_open_error_threshold: 1 + (thresholds >> 2),
                half_open_capacity,
                half_open_max_capacity,
                reset_timeout: 2 * TICK,
                backoff_factor: 2.0,
                backoff_max: 5 * TICK,
                ..Rules::DEFAULT
            });
        }
    }
    all
}

fn recover_from_each(walk: &Walk, places: HashSet<Place>) {
    for place in places {
        match place.word.state() {
            State::ForcedOpen | State::ForcedClosed => {
                let ordered = walk.go(place, Event::Operate(Order::Close));
                assert_eq!(ordered.word, Word::closed(HERE));
            }
            _ => {
                walk.recover(place, false);
                if place.probes < 4_000 {
                    walk.recover(place, true);
                }
            }
        }
    }
}

#[test]
fn every_word_that_small_rules_reach_is_legal_and_leads_back_to_closed() {
    let (mut states, mut explored) = (HashSet::new(), 0);
    for rules in small_rules() {
        let most_probes = u64::from(rules.half_open_max_capacity) + 2;
        let walk = Walk { rules, most_probes };
        let places = walk.explore(START);
        states.extend(places.iter().map(|place| place.word.state()));
        explored += places.len();
        assert!(places.iter().any(|place| place.probes == most_probes));
        assert!(places.iter().any(|place| place.reopenings == 3));
        recover_from_each(&walk, places);
    }
    assert_eq!(states.len(), 5);
    println!("explored: {explored} places, under {} rules", small_rules().len());
}

#[test]
fn probes_that_never_answer_fill_the_word_and_overflow_nothing() {
    let rules = Rules {
        error_threshold: Some(1),
        success_threshold: 2,
        half_open_max_capacity: 2,
        reset_timeout: 2 * TICK,
        backoff_max: 2 * TICK,
        ..Rules::DEFAULT
    };
    let walk = Walk { rules, most_probes: u64::MAX };
    let places = walk.explore(START);
    assert_eq!(places.iter().map(|place| place.probes).max(), Some(4_095));
    println!("explored: {} places", places.len());
    for place in places.into_iter().filter(|place| place.probes >= 4_090) {
        walk.recover(place, false);
    }
}
