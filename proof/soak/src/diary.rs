//! What the observer was told.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tripcoil::{Builder, State, Transition};

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) sequence: u64,
    pub(crate) from: State,
    pub(crate) to: State,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<Turn>>>);

impl Diary {
    pub(crate) fn kept_by(&self, builder: Builder) -> Builder {
        let turns = Arc::clone(&self.0);
        builder.on_transition(move |&Transition { sequence, from, to, .. }| {
            turns.lock().unwrap_or_else(PoisonError::into_inner).push(Turn { sequence, from, to });
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a state was entered after the first `turns`.
    pub(crate) fn entered_since(&self, turns: usize, state: State) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[turns..].iter().any(|turn| turn.to == state)
    }

    /// What was told since it was last taken.
    pub(crate) fn take(&self) -> Vec<Turn> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether `turns` follow one another without a gap, after `last`, and each is one that a breaker makes by itself.
pub(crate) fn check(last: Turn, turns: &[Turn]) -> Result<Turn, String> {
    turns.iter().try_fold(last, |last, &turn| {
        let follows = turn.sequence == last.sequence + 1 && turn.from == last.to;
        let legal = matches!(
            (turn.from, turn.to),
            (State::Closed | State::HalfOpen, State::Open)
                | (State::Open, State::HalfOpen)
                | (State::HalfOpen, State::Closed)
        );
        if follows && legal { Ok(turn) } else { Err(format!("the observer was told of {turn:?} after {last:?}")) }
    })
}

/// What a breaker that is new has behind it.
pub(crate) const BIRTH: Turn = Turn { sequence: 0, from: State::Closed, to: State::Closed };

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(sequence: u64, from: State, to: State) -> Turn {
        Turn { sequence, from, to }
    }

    #[test]
    fn a_gap_a_repetition_and_a_jump_are_seen() {
        use State::{Closed, HalfOpen, Open};
        let whole = [turn(1, Closed, Open), turn(2, Open, HalfOpen), turn(3, HalfOpen, Closed)];
        assert_eq!(check(BIRTH, &whole), Ok(whole[2]));
        assert!(check(BIRTH, &[whole[0], whole[2]]).is_err());
        assert!(check(BIRTH, &[whole[0], whole[0]]).is_err());
        assert!(check(BIRTH, &[whole[0], turn(2, Closed, Open)]).is_err());
        assert!(check(BIRTH, &[whole[0], turn(2, Open, Closed)]).is_err());
    }
}
