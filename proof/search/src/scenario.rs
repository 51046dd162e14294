//! What the threads do.

use std::time::Duration;

use crate::ghost::{Ghost, Mode, START};
use crate::history::History;
use crate::rules::Rules;
use crate::state::State;
use crate::threads::{End, Nature, Sight, Task, World};
use crate::word::{EPOCH, Epoch, Word};

/// Threads with their tasks, a breaker, and what has to have been seen for the search to say anything.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) nature: Nature,
    pub(crate) start: World,
    pub(crate) wanted: &'static [Sight],
}

const MILLI: Duration = Duration::from_millis(1);

fn rules() -> Rules {
    Rules {
        error_threshold: Some(2),
        success_threshold: 2,
        half_open_error_threshold: 1,
        half_open_capacity: 1,
        half_open_max_capacity: 2,
        reset_timeout: MILLI,
        backoff_factor: 2.0,
        backoff_max: 4 * MILLI,
        probe_timeout: 2 * MILLI,
        ..Rules::DEFAULT
    }
}

/// A breaker in its last epoch but one before the numbers wrap.
fn before_the_epochs_wrap(state: State, whims: u8) -> World {
    let epoch = Epoch::new(EPOCH.max() - 1);
    let (word, mode) = match state {
        State::HalfOpen => {
            let mode = Mode::HalfOpen { in_flight: 0, successes: 0, errors: 0, raise: 0 };
            (Word::half_open(epoch), mode)
        }
        _ => (Word::closed(epoch), START.mode),
    };
    // Tag and epoch lie in the same bits in both, and nothing else has happened yet.
    World::new(word, History::from_bits(word.bits()), whims, Ghost { mode, ..START })
}

const ANY: &[End] = &[End::Success, End::Failure, End::Trip, End::Release];
const PLAIN: &[End] = &[End::Success, End::Failure];
const RACES: &[Sight] = &["a swap that failed", "a swap that failed for no reason", "a late call"];

/// The scenarios; `is_long`: with more rounds, which takes minutes and gigabytes.
pub(crate) fn all(is_long: bool) -> Vec<Scenario> {
    let closed = |whims| World::new(Word::INITIAL, History::INITIAL, whims, START);
    let whims = u8::from(is_long);
    let calls = if is_long {
        [&[Task::Call(ANY); 2][..], &[Task::Call(PLAIN); 2], &[Task::Call(PLAIN)]]
    } else {
        [&[Task::Call(ANY); 2][..], &[Task::Call(PLAIN)], &[Task::Call(PLAIN)]]
    };
    vec![
        Scenario {
            name: "three callers, from closed",
            nature: Nature { rules: rules(), tasks: calls, most_time: 1 },
            start: closed(1),
            wanted: RACES,
        },
        Scenario {
            name: "two callers and an operator that forces and resets",
            nature: Nature {
                rules: Rules { error_threshold: Some(1), ..rules() },
                tasks: [
                    &[Task::Call(ANY); 2],
                    &[Task::Call(PLAIN)],
                    &[Task::Order(State::ForcedOpen, false), Task::Order(State::Closed, true)],
                ],
                most_time: if is_long { 2 } else { 1 },
            },
            start: closed(1),
            wanted: &["a swap that failed", "a late call", "a history that another brought up to date"],
        },
        Scenario {
            name: "probes, one of which hangs, with two timeouts",
            nature: Nature {
                rules: rules(),
                tasks: [
                    &[Task::Hang],
                    if is_long { &[Task::Call(ANY)] } else { &[Task::Call(PLAIN)] },
                    &[Task::Call(PLAIN)],
                ],
                most_time: 4,
            },
            start: World::new(
                Word::half_open(Epoch::new(0)),
                History::from_bits(Word::half_open(Epoch::new(0)).bits()),
                whims,
                Ghost { mode: Mode::HalfOpen { in_flight: 0, successes: 0, errors: 0, raise: 0 }, ..START },
            ),
            wanted: &["a probe past a silence", "a place of a silent probe that another took", "a swap that failed"],
        },
        Scenario {
            name: "two operators and a caller while the epochs wrap",
            nature: Nature {
                rules: rules(),
                tasks: [
                    &[Task::Order(State::HalfOpen, false), Task::Order(State::Open, false)],
                    &[Task::Order(State::ForcedClosed, false), Task::Order(State::Closed, false)],
                    if is_long { &[Task::Call(ANY); 2] } else { &[Task::Call(ANY)] },
                ],
                most_time: 1,
            },
            start: before_the_epochs_wrap(State::Closed, whims),
            wanted: &["a word that was no longer the newest", "a late call"],
        },
        Scenario {
            name: "three probes while the epochs wrap",
            nature: Nature {
                rules: Rules { success_threshold: 1, half_open_capacity: 2, ..rules() },
                tasks: [
                    if is_long { &[Task::Call(PLAIN); 2] } else { &[Task::Call(PLAIN)] },
                    &[Task::Call(PLAIN)],
                    &[Task::Call(ANY)],
                ],
                most_time: 1,
            },
            start: before_the_epochs_wrap(State::HalfOpen, 1),
            wanted: RACES,
        },
    ]
}
