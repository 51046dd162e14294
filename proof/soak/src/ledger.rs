//! What the callers themselves know of their calls.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tripcoil::{CircuitBreaker, State};

use crate::journal::{Tag, now};

/// The breaker's state, and how many changes of state led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) state: State,
    pub(crate) changes: u64,
}

impl Look {
    pub(crate) fn at(breaker: &CircuitBreaker) -> Self {
        let metrics = breaker.metrics();
        Look { state: metrics.state, changes: metrics.transition_count }
    }
}

/// In which state a call was admitted, as far as its caller can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// In this half-open episode, surely.
    Probe(u64),
    /// Surely while closed.
    Closed,
    /// In a state between these changes.
    Somewhere { first: u64, last: u64 },
    /// While open: it should not have been.
    Never,
}

impl Admission {
    /// An admission that came after one look and before another.
    ///
    /// Between them were the states of `before.changes` to `after.changes`. Only closed and half-open ones
    /// admit, and if there was but one such state, the call was admitted in it.
    pub(crate) fn between(before: Look, after: Look) -> Self {
        let states = match after.changes.checked_sub(before.changes) {
            Some(0) => [before, before],
            Some(1) => [before, after],
            _ => return Admission::Somewhere { first: before.changes, last: after.changes },
        };
        let mut admitting = states.into_iter().filter(|look| look.state != State::Open);
        match (admitting.next(), admitting.next()) {
            (None, _) => Admission::Never,
            (Some(one), other) if other.is_none_or(|other| other == one) => match one.state {
                State::HalfOpen => Admission::Probe(one.changes),
                _ => Admission::Closed,
            },
            _ => Admission::Somewhere { first: before.changes, last: after.changes },
        }
    }
}

/// What a caller intends to say of its call once there is a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    ByResult,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Failure,
    Panic,
    Ignored,
    Dropped,
}

/// An admitted call, from within.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) admission: Admission,
    /// After its admission and before its settlement, both.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) ending: Ending,
    /// Whether there was a good answer, whatever became of it.
    pub(crate) answered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: Mutex<Vec<Call>>,
    numbers: AtomicU64,
    rejected: AtomicU64,
}

impl Ledger {
    /// To be made right after the admission that followed the look, within the call.
    pub(crate) fn enter(self: &Arc<Self>, breaker: &CircuitBreaker, before: Look, verdict: Verdict) -> Stay {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let admission = Admission::between(before, Look::at(breaker));
        let call = Call { number, admission, begin: now(), end: 0, ending: Ending::Dropped, answered: false };
        Stay { ledger: Arc::clone(self), call, verdict, finished: false }
    }

    pub(crate) fn note_rejection(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// All that was written since it was last taken: the calls, and how many were rejected.
    pub(crate) fn take(&self) -> (Vec<Call>, u64) {
        let calls = mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        (calls, self.rejected.swap(0, Ordering::Relaxed))
    }
}

/// A call's stay within the protected part. It is dropped before the permit goes back, so that it never
/// claims to be longer than it was.
#[derive(Debug)]
pub(crate) struct Stay {
    ledger: Arc<Ledger>,
    call: Call,
    verdict: Verdict,
    finished: bool,
}

impl Stay {
    pub(crate) fn path(&self) -> String {
        let episode = match self.call.admission {
            Admission::Probe(episode) => Some(episode),
            _ => None,
        };
        Tag { call: self.call.number, episode }.path()
    }

    pub(crate) fn note_answer(&mut self, answered: bool) {
        self.call.answered = answered;
    }

    /// The call has a result now, which its permit is settled by.
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.call.ending = match (self.finished, self.verdict) {
            _ if thread::panicking() => Ending::Panic,
            (false, _) => Ending::Dropped,
            (true, Verdict::Ignored) => Ending::Ignored,
            (true, Verdict::ByResult) if self.call.answered => Ending::Success,
            (true, Verdict::ByResult) => Ending::Failure,
        };
        self.call.end = now();
        self.ledger.calls.lock().unwrap_or_else(PoisonError::into_inner).push(self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(state: State, changes: u64) -> Look {
        Look { state, changes }
    }

    #[test]
    fn an_admission_is_a_probe_only_if_no_other_state_can_have_admitted_it() {
        use State::{Closed, HalfOpen, Open};
        for ((before, after), admission) in [
            ((look(HalfOpen, 2), look(HalfOpen, 2)), Admission::Probe(2)),
            ((look(Open, 1), look(HalfOpen, 2)), Admission::Probe(2)),
            ((look(HalfOpen, 2), look(Open, 3)), Admission::Probe(2)),
            ((look(Closed, 0), look(Closed, 0)), Admission::Closed),
            ((look(Closed, 0), look(Open, 1)), Admission::Closed),
            ((look(HalfOpen, 2), look(Closed, 3)), Admission::Somewhere { first: 2, last: 3 }),
            ((look(Closed, 0), look(HalfOpen, 2)), Admission::Somewhere { first: 0, last: 2 }),
            ((look(Open, 1), look(Open, 3)), Admission::Somewhere { first: 1, last: 3 }),
            ((look(Open, 1), look(Open, 1)), Admission::Never),
        ] {
            assert_eq!(Admission::between(before, after), admission, "{before:?} {after:?}");
        }
    }

    #[test]
    fn a_stay_ends_as_its_call_did() {
        let (ledger, breaker) = (Arc::new(Ledger::default()), CircuitBreaker::new("ledger"));
        let enter = |verdict| ledger.enter(&breaker, Look::at(&breaker), verdict);
        drop(enter(Verdict::ByResult));
        enter(Verdict::ByResult).finish();
        enter(Verdict::Ignored).finish();
        let mut good = enter(Verdict::ByResult);
        good.note_answer(true);
        good.finish();
        let panic = std::panic::catch_unwind(|| {
            let _stay = enter(Verdict::Ignored);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panic.is_err());
        ledger.note_rejection();

        let (calls, rejected) = ledger.take();
        let endings: Vec<_> = calls.iter().map(|call| call.ending).collect();
        assert_eq!(endings, [Ending::Dropped, Ending::Failure, Ending::Ignored, Ending::Success, Ending::Panic]);
        assert_eq!(rejected, 1);
        assert!(ledger.take().0.is_empty());
    }
}
