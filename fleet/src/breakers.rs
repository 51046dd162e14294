//! The breakers themselves, as the protocol moves them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tripcoil::{Cause, CircuitBreaker, Observing, Order, Revision, State, Transition};

use crate::protocol::{Action, Breakers, Local, Sight};

/// A breaker that has joined: a `static`, or one that somebody else owns.
#[derive(Clone, Debug)]
pub(crate) enum Joined {
    Static(&'static CircuitBreaker),
    Shared(Weak<CircuitBreaker>),
}

impl Joined {
    /// Looks at the breaker, if it is still there.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&CircuitBreaker) -> R) -> Option<R> {
        match self {
            Joined::Static(breaker) => Some(look(breaker)),
            Joined::Shared(breaker) => breaker.upgrade().map(|breaker| look(&breaker)),
        }
    }

    pub(crate) fn is_same(&self, other: &Arc<CircuitBreaker>) -> bool {
        matches!(self, Joined::Shared(breaker) if breaker.as_ptr() == Arc::as_ptr(other))
    }
}

#[derive(Debug)]
struct Entry {
    breaker: Joined,
    /// Where the breaker was when the protocol last saw it.
    seen: Option<Revision>,
    /// Where the last order of the fleet brought it.
    ordered: Option<Revision>,
    /// Ends with this.
    _observing: Option<Observing>,
}

/// All breakers of a member, by their escaped names.
#[derive(Debug)]
pub(crate) struct Joins {
    entries: BTreeMap<String, Entry>,
    /// How long a slow close takes.
    slow_close: Duration,
}

impl Joins {
    pub(crate) fn new(slow_close: Duration) -> Self {
        Joins { entries: BTreeMap::new(), slow_close }
    }

    pub(crate) fn add(&mut self, name: &str, breaker: Joined, observing: Option<Observing>) {
        let entry = Entry { breaker, seen: None, ordered: None, _observing: observing };
        self.entries.insert(name.to_owned(), entry);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Joined> {
        self.entries.get(name).map(|entry| &entry.breaker)
    }

    /// Names of breakers that are gone.
    pub(crate) fn gone(&self) -> Vec<String> {
        let is_gone = |entry: &Entry| entry.breaker.with(|_| ()).is_none();
        self.entries.iter().filter(|(_, entry)| is_gone(entry)).map(|(name, _)| name.clone()).collect()
    }

    /// What a transition of the breaker is to the protocol; `None` if the protocol made it itself, or if a later order of
    /// its own has made it void.
    pub(crate) fn local(&self, name: &str, transition: &Transition) -> Option<Local> {
        let entry = self.entries.get(name)?;
        let local = local(transition)?;
        let is_operators = matches!(local, Local::Forced | Local::Moved);
        let is_void = entry.ordered.is_some_and(|ordered| transition.revision().is_before(ordered));
        (is_operators || !is_void).then_some(local)
    }
}

fn local(transition: &Transition) -> Option<Local> {
    let is_operators = matches!(transition.cause, Cause::Manual | Cause::Reset | Cause::Disabled | Cause::Enabled);
    let open_for = transition.open_for.unwrap_or_default();
    match (transition.cause, transition.from, transition.to) {
        (Cause::Remote, ..) => None,
        (_, _, State::ForcedOpen | State::ForcedClosed) if is_operators => Some(Local::Forced),
        _ if is_operators => Some(Local::Moved),
        (_, State::HalfOpen, State::Open) => Some(Local::ProbeFailed(open_for)),
        (_, _, State::Open) => Some(Local::Tripped(open_for)),
        (_, State::HalfOpen, State::Closed) => Some(Local::Recovered),
        (_, _, State::HalfOpen) => Some(Local::SelfProbe),
        _ => None,
    }
}

impl Breakers for Joins {
    fn sight(&mut self, name: &str) -> Option<Sight> {
        let entry = self.entries.get_mut(name)?;
        let (revision, metrics) = entry.breaker.with(|breaker| (breaker.revision(), breaker.lifetime_metrics()))?;
        entry.seen = Some(revision);
        let (rejected, active) = (metrics.total_rejected_count, metrics.active_calls);
        let is_closing = revision.state() == State::HalfOpen && metrics.recovery.is_some();
        let state = if is_closing { State::Closed } else { revision.state() };
        Some(Sight { state, rejected, active })
    }

    fn perform(&mut self, name: &str, action: Action) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return true };
        let (seen, ordered) = (entry.seen, entry.ordered);
        let slow_close = Order::SlowClose { ramp: self.slow_close };
        let done = entry.breaker.with(|breaker| match action {
            Action::Hold(hold) => breaker.order(Order::Hold(hold), seen).map(Some),
            Action::Extend(hold) => {
                // If it has moved meanwhile, that is about to be heard of.
                let _is_open = seen.is_some_and(|at| breaker.extend_open(at, hold));
                Ok(None)
            }
            Action::Probe => breaker.order(Order::Probe, seen).map(Some),
            Action::SlowClose => breaker.order(slow_close, seen).map(Some),
            Action::Force { is_open: true } => breaker.order(Order::ForceOpen, seen).map(Some),
            Action::Force { is_open: false } => breaker.order(Order::ForceClosed, seen).map(Some),
            // If an operator has touched it since, it stays as it is.
            Action::Release => match ordered {
                Some(at) => breaker.order(slow_close, Some(at)).map_or(Ok(None), |after| Ok(Some(after))),
                None => Ok(None),
            },
            Action::Reset => breaker.order(Order::Reset, seen).map(Some),
        });
        match done {
            None | Some(Ok(None)) => true,
            Some(Ok(Some(after))) => {
                (entry.seen, entry.ordered) = (Some(after), Some(after));
                true
            }
            Some(Err(_)) => false,
        }
    }

    fn is_used(&self, name: &str) -> bool {
        let is_used = |breaker: &CircuitBreaker| {
            let metrics = breaker.lifetime_metrics();
            let ended = metrics.total_success_count + metrics.total_error_count + metrics.total_ignored_count;
            ended + metrics.total_dropped_count + metrics.total_rejected_count + metrics.active_calls > 0
        };
        self.get(name).and_then(|breaker| breaker.with(is_used)).unwrap_or(false)
    }
}
