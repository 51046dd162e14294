//! What the threads do.

use std::time::Duration;

use crate::ghost::{Ghost, Mode, START};
use crate::machine::history::History;
use crate::machine::word::{EPOCH, Epoch, Word};
use crate::settings::Settings;
use crate::state::State;
use crate::threads::{End, Nature, Sight, Task, World};

/// Threads with their tasks, a breaker, and what has to have been seen for the search to say anything.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) nature: Nature,
    pub(crate) start: World,
    pub(crate) wanted: &'static [Sight],
}

const MILLI: Duration = Duration::from_millis(1);

fn settings() -> Settings {
    Settings {
        error_threshold: Some(2),
        success_threshold: 2,
        half_open_error_threshold: 1,
        half_open_capacity: 1,
        half_open_max_capacity: 2,
        reset_timeout: MILLI,
        backoff_factor: 2.0,
        backoff_max: 4 * MILLI,
        probe_timeout: 2 * MILLI,
        ..Settings::DEFAULT
    }
}

/// The last epoch but one before the numbers wrap.
fn last_but_one() -> Epoch {
    Epoch::new(EPOCH.max() - 1)
}

fn closed_in(epoch: Epoch, whims: u8) -> World {
    let word = Word::closed(epoch);
    World::new(word, history_of(word), whims, START)
}

/// As an operator left it who found it closed.
fn half_open_in(epoch: Epoch, whims: u8) -> World {
    let before = Word::closed(Epoch::new(epoch.number() + EPOCH.max()));
    let mode = Mode::HalfOpen { in_flight: 0, successes: 0, errors: 0, raise: 0 };
    World::new(Word::half_open(epoch), history_of(before), whims, Ghost { mode, changes: 1, ..START })
}

/// Tag and epoch of a closed word lie in the same bits in both, and nothing else has happened yet.
fn history_of(closed: Word) -> History {
    History::from_bits(closed.bits())
}

const ANY: &[End] = &[End::Success, End::Failure, End::Trip, End::Release];
const PLAIN: &[End] = &[End::Success, End::Failure];
const RACES: &[Sight] = &["a swap that failed", "a swap that failed for no reason", "a late call"];

/// The scenarios; `is_long`: with more rounds, which takes minutes and gigabytes.
pub(crate) fn all(is_long: bool) -> Vec<Scenario> {
    [calls(is_long), silences(is_long), wraps(is_long)].into_iter().flatten().collect()
}

fn calls(is_long: bool) -> Vec<Scenario> {
    let calls = if is_long {
        [&[Task::Call(ANY); 2][..], &[Task::Call(PLAIN); 2], &[Task::Call(PLAIN)]]
    } else {
        [&[Task::Call(ANY); 2][..], &[Task::Call(PLAIN)], &[Task::Call(PLAIN)]]
    };
    vec![
        Scenario {
            name: "three callers, from closed",
            nature: Nature { settings: settings(), tasks: calls, most_time: 1 },
            start: closed_in(Epoch::new(0), 1),
            wanted: RACES,
        },
        Scenario {
            name: "two callers and an operator that forces and resets",
            nature: Nature {
                settings: Settings { error_threshold: Some(1), ..settings() },
                tasks: [
                    &[Task::Call(ANY); 2],
                    &[Task::Call(PLAIN)],
                    &[Task::Command(State::ForcedOpen, false), Task::Command(State::Closed, true)],
                ],
                most_time: if is_long { 2 } else { 1 },
            },
            start: closed_in(Epoch::new(0), 1),
            wanted: &["a swap that failed", "a late call", "a history that another brought up to date"],
        },
    ]
}

fn silences(is_long: bool) -> Vec<Scenario> {
    let whims = u8::from(is_long);
    vec![
        Scenario {
            name: "probes, one of which hangs, with two timeouts",
            nature: Nature {
                settings: settings(),
                tasks: [
                    &[Task::Hang],
                    if is_long { &[Task::Call(ANY)] } else { &[Task::Call(PLAIN)] },
                    &[Task::Call(PLAIN)],
                ],
                most_time: if is_long { 4 } else { 3 },
            },
            start: half_open_in(Epoch::new(0), whims),
            wanted: &["a round after a silence", "a swap that failed", "an answer of an earlier round"],
        },
        Scenario {
            name: "a probe that falls silent and answers, while two would begin the next round",
            nature: Nature {
                settings: Settings { half_open_max_capacity: 1, ..settings() },
                tasks: [
                    &[Task::Call(&[End::Release])],
                    &[Task::Call(&[End::Release, End::Failure])],
                    &[Task::Call(&[End::Release])],
                ],
                most_time: if is_long { 4 } else { 2 },
            },
            start: half_open_in(Epoch::new(0), whims),
            wanted: &[
                "a round after a silence",
                "a round that another was faster than",
                "an answer of an earlier round",
            ],
        },
        Scenario {
            name: "probes that fall silent, round after round, while the epochs wrap",
            nature: Nature {
                settings: Settings {
                    half_open_max_capacity: 1,
                    success_threshold: 3,
                    probe_timeout: MILLI,
                    ..settings()
                },
                tasks: [
                    &[Task::Call(PLAIN)],
                    if is_long { &[Task::Call(ANY), Task::Hang] } else { &[Task::Call(&[End::Success, End::Release])] },
                    if is_long { &[Task::Hang, Task::Call(&[End::Success])] } else { &[Task::Hang, Task::Hang] },
                ],
                most_time: 3,
            },
            start: half_open_in(last_but_one(), 0),
            wanted: &["a third round", "an answer of an earlier round", "a stamp for a word that no longer stands"],
        },
        Scenario {
            name: "a silence, while an operator begins other episodes",
            nature: Nature {
                settings: Settings { half_open_max_capacity: 1, probe_timeout: MILLI, ..settings() },
                tasks: [
                    &[Task::Call(PLAIN)],
                    &[Task::Call(PLAIN)],
                    &[Task::Command(State::HalfOpen, false), Task::Command(State::HalfOpen, false)],
                ],
                most_time: if is_long { 3 } else { 2 },
            },
            start: half_open_in(Epoch::new(0), whims),
            wanted: &["a round after a silence", "a first round of a word that no longer stands", "a late call"],
        },
    ]
}

fn wraps(is_long: bool) -> Vec<Scenario> {
    let whims = u8::from(is_long);
    vec![
        Scenario {
            name: "two operators and a caller while the epochs wrap",
            nature: Nature {
                settings: settings(),
                tasks: [
                    &[Task::Command(State::HalfOpen, false), Task::Command(State::Open, false)],
                    &[Task::Command(State::ForcedClosed, false), Task::Command(State::Closed, false)],
                    if is_long { &[Task::Call(ANY); 2] } else { &[Task::Call(ANY)] },
                ],
                most_time: 1,
            },
            start: closed_in(last_but_one(), whims),
            wanted: &["a word that was no longer the newest", "a late call"],
        },
        Scenario {
            name: "three probes while the epochs wrap",
            nature: Nature {
                settings: Settings { success_threshold: 1, half_open_capacity: 2, ..settings() },
                tasks: [
                    if is_long { &[Task::Call(PLAIN); 2] } else { &[Task::Call(PLAIN)] },
                    &[Task::Call(PLAIN)],
                    &[Task::Call(ANY)],
                ],
                most_time: 1,
            },
            start: half_open_in(last_but_one(), 1),
            wanted: RACES,
        },
    ]
}
