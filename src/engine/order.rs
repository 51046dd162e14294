//! What someone outside of the breaker makes of it, if it is still where they saw it.

use std::time::Duration;

use super::Engine;
use crate::machine::cell::Applied;
use crate::machine::step::{self, Effect};
use crate::machine::step_length::StepLength;
use crate::machine::word::Epoch;
use crate::state::State;
use crate::transition::{Order, Revision};

impl Engine {
    pub(crate) fn revision(&self) -> Revision {
        let (word, history, changes) = self.cell.load_with_history();
        Revision { epoch: history.epoch().number_u32(), state: word.state(), sequence: changes }
    }

    pub(crate) fn order(&self, order: Order, only_at: Option<Revision>) -> Result<Revision, Revision> {
        let at = only_at.map(|revision| Epoch::new(revision.epoch.into()));
        let applied = match order {
            Order::Reset => self.reset_by(|settings| self.cell.operate_remotely(at, step::Command::Reset, settings)),
            Order::Hold(open_for) => self.order_at(at, step::Command::OpenFor { now: self.now(), open_for }),
            Order::SlowClose { ramp } => return self.slow_close(at, ramp),
            Order::Probe => self.order_at(at, step::Command::HalfOpen),
            Order::Close => self.order_at(at, step::Command::Close),
            Order::ForceOpen => self.order_at(at, step::Command::ForceOpen),
            Order::ForceClosed => self.order_at(at, step::Command::ForceClosed),
        };
        if applied.effect.begins_epoch() { Ok(revision_after(&applied)) } else { Err(self.revision()) }
    }

    fn slow_close(&self, at: Option<Epoch>, ramp: Duration) -> Result<Revision, Revision> {
        loop {
            let now = self.now();
            let applied = self.cell.slow_close(at, now, StepLength::of_ramp(ramp));
            self.perform(&applied, Some(now));
            if applied.effect.begins_epoch() {
                return Ok(revision_after(&applied));
            }
            let found = self.revision();
            match applied.effect {
                Effect::Counted if found.epoch == applied.epoch.number_u32() => return Ok(found),
                // The breaker was closed, and has changed its state since.
                Effect::Counted => {}
                _ => return Err(found),
            }
        }
    }

    fn order_at(&self, at: Option<Epoch>, order: step::Command) -> Applied {
        let told_at = order.opens_at().or_else(|| self.time_to_tell());
        let applied = self.cell.operate_remotely(at, order, self.settings().values());
        self.perform(&applied, told_at);
        applied
    }

    pub(crate) fn extend_open(&self, at: Revision, open_for: Duration) -> bool {
        let now = self.now();
        let epoch = Epoch::new(at.epoch.into());
        let applied = self.cell.extend(epoch, now, open_for);
        if applied.effect != Effect::Counted {
            // Also if it stays open for longer anyway.
            return applied.epoch == epoch && applied.after.state() == State::Open;
        }
        true
    }

    pub(crate) fn end_force(&self) {
        let now = self.now();
        let applied = self.cell.end_force(now, self.settings().values());
        self.perform(&applied, Some(now));
    }
}

fn revision_after(applied: &Applied) -> Revision {
    let epoch = applied.epoch_after().number_u32();
    Revision { epoch, state: applied.after.state(), sequence: applied.changes }
}
