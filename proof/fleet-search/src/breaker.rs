//! A breaker as far as a fleet can tell: traffic never stops, and a probe is in flight whenever it is half-open.

use std::time::Duration;

use tripcoil::State;

use crate::protocol::member::{Action, Local, Sight};
use crate::protocol::node::Breakers;

#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    pub(crate) state: Simple,
    /// What it did by itself, and the worker has not seen yet.
    pub(crate) queue: Vec<Local>,
    now: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simple {
    Closed,
    Open(Duration),
    /// Since then.
    HalfOpen(Duration),
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Breaker { state: Simple::Closed, queue: Vec::new(), now: Duration::ZERO }
    }

    pub(crate) fn trip(&mut self, hold: Duration) {
        self.state = Simple::Open(self.now + hold);
        self.queue.push(Local::Tripped(hold));
    }

    pub(crate) fn end_probe(&mut self, is_ok: bool, hold: Duration) {
        if is_ok {
            self.state = Simple::Closed;
            self.queue.push(Local::Recovered);
        } else {
            self.state = Simple::Open(self.now + hold);
            self.queue.push(Local::ProbeFailed(hold));
        }
    }

    pub(crate) fn pass(&mut self, now: Duration) {
        self.now = now;
        if matches!(self.state, Simple::Open(until) if until <= now) {
            self.state = Simple::HalfOpen(now);
            self.queue.push(Local::SelfProbe);
        }
    }
}

impl Breakers for Breaker {
    fn sight(&mut self, _: &str) -> Option<Sight> {
        let state = match self.state {
            Simple::Closed => State::Closed,
            Simple::Open(_) => State::Open,
            Simple::HalfOpen(_) => State::HalfOpen,
        };
        let rejected = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        Some(Sight { state, rejected, active: u64::from(state == State::HalfOpen) })
    }

    fn perform(&mut self, _: &str, action: Action) -> bool {
        self.state = match (action, self.state) {
            (Action::Hold(hold), _) => Simple::Open(self.now + hold),
            (Action::Extend(hold), Simple::Open(until)) => Simple::Open(until.max(self.now + hold)),
            (Action::Extend(_), state) => state,
            (Action::Probe, _) => Simple::HalfOpen(self.now),
            // The steps of a slow close count as closed. Orders are not searched.
            _ => Simple::Closed,
        };
        if !matches!(action, Action::Extend(_)) {
            // An order of the fleet makes void what came before it.
            self.queue.clear();
        }
        true
    }

    fn is_used(&self, _: &str) -> bool {
        true
    }
}
