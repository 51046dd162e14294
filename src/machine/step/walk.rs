//! Walks over every word that small rules can reach.

use std::collections::{HashSet, VecDeque};

use super::*;
use crate::machine::recovery::Plan;
use crate::recovery::Recovery;

/// Time stands here; what passes is taken off the deadlines instead, so that the walk has an end.
const NOW: u64 = 1_000;
/// The epoch of every word of the walk.
const HERE: Epoch = Epoch::new(2);
/// That of the rounds before this one, once there are any.
const ROUND_BEFORE: Epoch = Epoch::new(1);
const EARLIER: Epoch = Epoch::new(0);
const TICK: Duration = Duration::from_millis(1);

/// A place in the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct WalkPlace {
    word: Word,
    reopenings: u32,
    /// The calls of a half-open epoch that have not been settled, by the walk's own count.
    probes: u64,
    /// Those of the rounds before it.
    silent: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    Admit {
        is_silent: bool,
    },
    Success(Epoch),
    Failure(Epoch, Option<Duration>),
    Trip(Epoch),
    Release(Epoch),
    Operate(Command),
    SlowClose,
    /// The time of the step of recovery is over.
    StepOver,
    /// The step held.
    Hold,
    /// The calls of the step have met a rate rule.
    Relapse,
}

struct Walk {
    settings: Settings,
    /// So many probes may be silent at the same time.
    most_silent: u64,
}

fn now() -> Duration {
    Duration::from_millis(NOW)
}

/// The same word in the epoch of the walk, without the count of returns, so that the walk has an end.
fn moved_here(word: Word) -> Word {
    match word.state() {
        State::Closed => Word::closed(HERE).with_errors(word.errors()),
        State::Open => Word::open(HERE, word.deadline()),
        State::ForcedOpen => Word::forced_open(HERE),
        State::ForcedClosed => Word::forced_closed(HERE),
        State::HalfOpen if word.is_recovering() => {
            let begun = Word::recovering(HERE).with_step(word.step());
            let at_step = word.step_length().map_or(begun, |length| begun.with_step_length(length));
            if word.is_step_over() { at_step.with_step_over() } else { at_step }
        }
        State::HalfOpen => {
            let begun = Word::half_open(HERE);
            let begun = if word.is_continued() { begun.next_round(HERE).without_probe() } else { begun };
            let probing = (0..word.in_flight()).fold(begun, |word, _| word.with_probe());
            probing.with_successes(word.successes()).with_probe_errors(word.probe_errors()).with_raise(word.raise())
        }
    }
}

impl WalkPlace {
    fn context(&self) -> Context {
        let word = self.word;
        let is_continued = word.state() == State::HalfOpen && !word.is_recovering() && word.is_continued();
        let first_round = if is_continued { ROUND_BEFORE } else { HERE };
        Context { epoch: HERE, first_round, reopenings: self.reopenings }
    }
}

impl Walk {
    fn events(&self, place: WalkPlace) -> Vec<Event> {
        let mut events = vec![
            Event::Admit { is_silent: false },
            Event::Operate(Command::Close),
            Event::Operate(Command::Open { now: now(), draw: 0.0 }),
            Event::Operate(Command::OpenFor { now: now(), open_for: TICK }),
            Event::Operate(Command::HalfOpen),
            Event::Operate(Command::ForceOpen),
            Event::Operate(Command::ForceClosed),
            Event::Operate(Command::Reset),
            Event::SlowClose,
        ];
        let mut settle = |epoch| {
            events.extend([
                Event::Success(epoch),
                Event::Failure(epoch, None),
                Event::Failure(epoch, Some(now())),
                Event::Trip(epoch),
                Event::Release(epoch),
            ]);
        };
        settle(EARLIER);
        if place.silent > 0 {
            settle(ROUND_BEFORE);
        }
        if place.probes > 0 || place.word.admits_all() {
            settle(HERE);
        }
        if place.word.is_recovering() {
            // Its calls that succeed or fail are settled by the steps.
            events.extend([Event::Trip(HERE), Event::Release(HERE), Event::Relapse]);
            events.push(if place.word.is_step_over() { Event::Hold } else { Event::StepOver });
        }
        if place.probes > 0 && place.silent + place.probes <= self.most_silent {
            events.push(Event::Admit { is_silent: true });
        }
        events
    }

    /// Where `event` leads, after a check that it may lead there.
    fn go(&self, from: WalkPlace, event: Event) -> WalkPlace {
        let (word, context, settings) = (from.word, from.context(), &self.settings);
        let stay = |next| Step::within(next, Effect::Counted);
        let steps = Plan::of(word, settings.recovery.as_ref()).count();
        let Step { next, effect, .. } = match event {
            Event::StepOver => stay(word.with_step_over()),
            Event::Hold if (word.step() as usize) + 1 < steps => stay(word.with_step(word.step() + 1)),
            Event::Hold => conclude(word, context, word),
            Event::Relapse => relapse(word, context, word, Cause::ErrorRate, now(), 0.0, settings),
            Event::Admit { is_silent } => admit(word, HERE, now(), is_silent, settings),
            Event::Success(call) => succeed(word, context, call, settings),
            Event::Failure(call, now) => fail(word, context, call, None, now, 0.0, settings),
            Event::Trip(call) => trip(word, context, call, now(), TICK),
            Event::Release(call) => release(word, context, call),
            Event::Operate(order) => operate(word, context, order, settings),
            Event::SlowClose => slow_close(word, context, StepLength::of_ramp(TICK)),
        };
        assert!(next.is_of(if effect.begins_epoch() { HERE.next() } else { HERE }), "{from:?} {event:?}");
        self.check_counts(next);
        self.check_effect(from, event, next, effect);
        let settles = match event {
            Event::Success(call) | Event::Failure(call, _) | Event::Release(call) => Some(call),
            _ => None,
        };
        let (probes, silent) = match (event, effect) {
            (_, Effect::BeginRound) => (1, from.silent + from.probes),
            (Event::Admit { .. }, Effect::Begin(_)) => (1, 0),
            (_, _) if word.is_recovering() => (0, 0),
            (_, Effect::Begin(_)) => (0, 0),
            (Event::Admit { .. }, Effect::Admit) if next.state() == State::HalfOpen => (from.probes + 1, from.silent),
            (_, Effect::Free | Effect::Counted) if settles == Some(ROUND_BEFORE) => (from.probes, from.silent - 1),
            (_, Effect::Free) => (from.probes - 1, from.silent),
            _ => (from.probes, from.silent),
        };
        assert_eq!(next.in_flight_if_half_open(), probes, "{from:?} {event:?}");
        let reopenings = match (from.word.state(), next.state()) {
            (_, State::Closed | State::ForcedClosed) => 0,
            (State::HalfOpen, State::Open) => (from.reopenings + 1).min(3),
            _ => from.reopenings,
        };
        WalkPlace { word: moved_here(next), reopenings, probes, silent }
    }

    fn check_counts(&self, word: Word) {
        let settings = &self.settings;
        match word.state() {
            State::Closed => assert!(settings.error_threshold.is_some_and(|most| word.errors() < u64::from(most))),
            State::HalfOpen if word.is_recovering() => {
                let steps = Plan::of(word, settings.recovery.as_ref()).count();
                assert!((word.step() as usize) < steps, "{word:?}");
            }
            State::HalfOpen => {
                assert!(word.in_flight() <= u64::from(settings.half_open_max_capacity), "{word:?}");
                assert!(word.successes() < u64::from(settings.success_threshold), "{word:?}");
                assert!(word.probe_errors() < u64::from(settings.half_open_error_threshold), "{word:?}");
                assert!(
                    word.raise() <= u64::from(settings.half_open_max_capacity - settings.half_open_capacity),
                    "{word:?}"
                );
            }
            State::Open => {
                let longest = Duration::from_millis(NOW) + settings.backoff_max;
                assert!(word.deadline() <= Millis::not_before(longest), "{word:?}");
            }
            State::ForcedOpen | State::ForcedClosed => {
                assert_eq!(word.bits() >> crate::machine::word::EPOCH.end(), 0, "{word:?}");
            }
        }
    }

    fn check_effect(&self, from: WalkPlace, event: Event, next: Word, effect: Effect) {
        let is_order = matches!(event, Event::Operate(_) | Event::SlowClose);
        let is_forced = matches!(from.word.state(), State::ForcedOpen | State::ForcedClosed);
        assert!(is_order || !is_forced || next == from.word, "{from:?} {event:?} left a forced state");
        match effect {
            Effect::RejectOpen
            | Effect::RejectFull
            | Effect::RejectForced
            | Effect::AskSteps
            | Effect::Late
            | Effect::NeedsClock => {
                assert_eq!(next, from.word, "{event:?} {effect:?}");
            }
            Effect::Free => {
                let freed = freed(from.word, next, &self.settings);
                let more = free_slots(next, &self.settings) - free_slots(from.word, &self.settings);
                assert_eq!(freed, more, "{from:?} {event:?}");
                let is_evidence = matches!(event, Event::Success(ROUND_BEFORE) | Event::Failure(ROUND_BEFORE, _));
                assert!(!is_evidence || (freed, next.raise()) == (0, from.word.raise()), "{from:?} {event:?}");
            }
            Effect::BeginRound => {
                assert!(is_full(from.word, &self.settings), "{from:?} {event:?}");
                assert_eq!(freed(from.word, next, &self.settings), self.settings.half_open_capacity - 1);
            }
            _ => {}
        }
    }

    /// A millisecond later.
    fn tick(place: WalkPlace) -> WalkPlace {
        if place.word.state() != State::Open {
            return place;
        }
        let deadline = place.word.deadline().bits();
        WalkPlace { word: Word::open(HERE, Millis::from_bits(deadline.saturating_sub(1).max(NOW))), ..place }
    }

    /// Every place that can be reached from `start`.
    fn explore(&self, start: WalkPlace) -> HashSet<WalkPlace> {
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

    /// Lets the dependency be well until the breaker is closed. `are_silent`: the probes that are in flight
    /// never answer.
    fn recover(&self, mut place: WalkPlace, are_silent: bool) {
        let mut unanswered = if are_silent { place.probes } else { 0 };
        // One silence at most: the round that it begins has places that are given back.
        let enough =
            2 * place.probes + 2 * u64::from(self.settings.success_threshold) + 4 + 2 * u64::from(Recovery::RAMP_STEPS);
        for _ in 0..enough {
            if place.word.admits_all() {
                break;
            }
            if place.word.state() == State::Open {
                place.word = Word::open(HERE, Millis::from_bits(NOW));
                unanswered = 0;
            }
            if place.word.is_recovering() {
                unanswered = 0;
                place = self.go(place, if place.word.is_step_over() { Event::Hold } else { Event::StepOver });
            } else if place.probes > unanswered {
                place = self.go(place, Event::Success(HERE));
            } else {
                let is_silent = unanswered > 0 && is_full(place.word, &self.settings);
                place = self.go(place, Event::Admit { is_silent });
                unanswered = if is_silent { 0 } else { unanswered };
            }
        }
        assert_eq!(place.word.state(), State::Closed, "{place:?}");
    }

    /// Lets the dependency answer the silent probes well, and nothing else happen.
    fn hear(&self, mut place: WalkPlace) {
        let lacking = u64::from(self.settings.success_threshold) - place.word.successes();
        if place.silent < lacking {
            return;
        }
        for _ in 0..lacking {
            place = self.go(place, Event::Success(ROUND_BEFORE));
        }
        let is_recovering = self.settings.recovery.is_some();
        assert_eq!((place.word.is_recovering(), place.word.admits_all()), (is_recovering, !is_recovering), "{place:?}");
    }
}

impl Word {
    fn in_flight_if_half_open(self) -> u64 {
        if self.state() == State::HalfOpen && !self.is_recovering() { self.in_flight() } else { 0 }
    }
}

/// Where there is recovery.
const STEPS: usize = 3;

const START: WalkPlace = WalkPlace { word: Word::closed(HERE), reopenings: 0, probes: 0, silent: 0 };

fn small_rules() -> Vec<Settings> {
    let mut all = Vec::new();
    let recovery = || Recovery::steps([0.5; STEPS]).each(TICK);
    for recovery in [None, Some(recovery())] {
        all.extend(small_probe_rules().into_iter().map(|settings| Settings { recovery: recovery.clone(), ..settings }));
    }
    all
}

fn small_probe_rules() -> Vec<Settings> {
    let mut all = Vec::new();
    for (half_open_capacity, half_open_max_capacity) in [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3)] {
        for thresholds in 0..8_u32 {
            all.push(Settings {
                error_threshold: Some(1 + (thresholds & 1)),
                success_threshold: 1 + (thresholds >> 1 & 1),
                half_open_error_threshold: 1 + (thresholds >> 2),
                half_open_capacity,
                half_open_max_capacity,
                reset_timeout: 2 * TICK,
                backoff_factor: 2.0,
                backoff_max: 5 * TICK,
                ..Settings::DEFAULT
            });
        }
    }
    all
}

fn recover_from_each(walk: &Walk, places: HashSet<WalkPlace>) {
    for place in places {
        match place.word.state() {
            State::ForcedOpen | State::ForcedClosed => {
                let ordered = walk.go(place, Event::Operate(Command::Close));
                assert_eq!(ordered.word, Word::closed(HERE));
            }
            _ => {
                walk.recover(place, false);
                walk.recover(place, true);
                if place.silent > 0 {
                    walk.hear(place);
                }
            }
        }
    }
}

#[test]
fn every_word_that_small_rules_reach_is_legal_and_leads_back_to_closed() {
    let (mut states, mut explored, mut most_probes) = (HashSet::new(), 0, 0);
    for settings in small_rules() {
        let most = settings.half_open_max_capacity;
        let walk = Walk { settings, most_silent: 2 * u64::from(most) };
        let places = walk.explore(START);
        states.extend(places.iter().map(|place| place.word.state()));
        explored += places.len();
        most_probes = places.iter().map(|place| place.probes).fold(most_probes, u64::max);
        assert!(places.iter().any(|place| place.silent >= walk.most_silent - 1));
        assert!(places.iter().any(|place| place.reopenings == 3));
        recover_from_each(&walk, places);
    }
    assert_eq!((states.len(), most_probes), (5, 3));
    println!("explored: {explored} places, under {} settings", small_rules().len());
}

#[test]
fn probes_that_never_answer_lock_nothing_however_many_there_are() {
    let settings = Settings { error_threshold: Some(1), half_open_max_capacity: 2, ..Settings::DEFAULT };
    let walk = Walk { settings, most_silent: u64::MAX };
    let mut place = walk.go(START, Event::Operate(Command::HalfOpen));
    for round in 0..10_000 {
        while !is_full(place.word, &walk.settings) {
            place = walk.go(place, Event::Admit { is_silent: false });
        }
        assert_eq!(place.silent, round);
        if round % 1_000 == 0 {
            walk.recover(place, true);
            walk.recover(place, false);
        }
        place = walk.go(place, Event::Admit { is_silent: true });
    }
    walk.hear(place);
}
