//! Looks for an order of the operations of a round that explains what was seen.
//!
//! That is: the operations one by one on the plain reference, in an order in which none comes before one that had
//! ended when it began, give the same answers; and the same state, run, totals and transitions at the end.
//!
//! What is not promised is not compared: totals and the last error if there was a `reset`, which clears them after its
//! change of state, and the successes since the last error while closed, which a breaker need not count.

use std::collections::HashSet;

use tripcoil::{State, Transition};

use crate::reference::{Call, Reference, Told};
use crate::round::{Answer, Entry, Operation, Record};

/// The numbers of the operations in an order that explains the record, if there is one.
pub(crate) fn explanation(record: &Record) -> Option<Vec<usize>> {
    let mut search = Search { record, order: Vec::new(), refuted: HashSet::new() };
    let start = Reference::new(record.settings.clone(), 0);
    search.goes_on(0, &start, &[]).then_some(search.order)
}

struct Search<'a> {
    record: &'a Record,
    order: Vec<usize>,
    /// Sets of operations and what the reference is after them, from where no way leads to the end.
    refuted: HashSet<(u32, String)>,
}

impl Search<'_> {
    /// Whether the operations that are not in the set `done` can follow.
    fn goes_on(&mut self, done: u32, reference: &Reference, calls: &[(usize, Call)]) -> bool {
        let entries = &self.record.entries;
        let left = || entries.iter().enumerate().filter(|(place, _)| done & 1 << place == 0);
        let Some(first_end) = left().map(|(_, entry)| entry.ended).min() else { return self.ends_in(reference) };
        let place_of = || (done, format!("{reference:?} {calls:?}"));
        if !self.refuted.is_empty() && self.refuted.contains(&place_of()) {
            return false;
        }
        let candidates: Vec<_> = left().filter(|(_, entry)| entry.begun < first_end).collect();
        for (place, entry) in candidates {
            let (mut reference, mut calls) = (reference.clone(), calls.to_vec());
            reference.set_clock(entry.time);
            if answer(&mut reference, &mut calls, entry) != entry.answer {
                continue;
            }
            self.order.push(entry.number);
            if self.goes_on(done | 1 << place, &reference, &calls) {
                return true;
            }
            self.order.pop();
        }
        self.refuted.insert(place_of());
        false
    }

    fn ends_in(&self, reference: &Reference) -> bool {
        let Record { metrics, told, entries, .. } = self.record;
        let mut reference = reference.clone();
        reference.set_clock(self.record.time);
        let face = reference.face();
        let was_reset = entries.iter().any(|entry| entry.operation == Operation::Reset);
        let totals = [
            (metrics.total_success_count, face.totals.success),
            (metrics.total_error_count, face.totals.error),
            (metrics.total_ignored_count, face.totals.ignored),
            (metrics.total_dropped_count, face.totals.dropped),
            (metrics.total_rejected_count, face.totals.rejected),
        ];
        metrics.state == face.state
            && metrics.active_calls == face.active as u64
            && metrics.transition_count == face.transitions
            && metrics.retry_after == face.retry_after
            && metrics.consecutive_error_count == face.consecutive_errors
            && (metrics.state == State::Closed || metrics.consecutive_success_count == face.consecutive_successes)
            && (was_reset || totals.iter().all(|(seen, meant)| seen == meant))
            && (was_reset || metrics.last_error.is_some() == face.has_last_error)
            && told.len() == reference.told.len()
            && told.iter().zip(&reference.told).all(|(seen, meant)| is_told_as(seen, meant))
    }
}

fn is_told_as(seen: &Transition, meant: &Told) -> bool {
    let counts_successes = seen.from != State::Closed;
    (seen.from, seen.to, seen.cause, seen.sequence) == (meant.from, meant.to, meant.cause, meant.sequence)
        && (seen.at, seen.open_for) == (meant.at, meant.open_for)
        && seen.consecutive_error_count == meant.errors
        && (!counts_successes || seen.consecutive_success_count == meant.successes)
}

/// What the reference says to the operation.
fn answer(reference: &mut Reference, calls: &mut Vec<(usize, Call)>, entry: &Entry) -> Answer {
    let mut call_of = |number| {
        let place = calls.iter().position(|(of, _)| *of == number);
        place.map(|place| calls.swap_remove(place).1)
    };
    match entry.operation {
        Operation::Admit => match reference.admit() {
            Ok(call) => {
                calls.push((entry.number, call));
                return Answer::Admitted;
            }
            Err(retry_after) => return Answer::Rejected(reference.state(), retry_after),
        },
        // The call is there: its admission ended before this began.
        Operation::Settle(number, outcome) => {
            if let Some(call) = call_of(number) {
                reference.settle(call, outcome);
            }
        }
        Operation::Drop(number) => {
            if let Some(call) = call_of(number) {
                reference.drop_call(call);
            }
        }
        Operation::Look => return Answer::State(reference.state()),
        Operation::TransitionTo(state) => reference.transition_to(state),
        Operation::OpenFor(cool_down) => reference.order_open_for(cool_down),
        Operation::Reset => reference.reset(),
    }
    Answer::Done
}
