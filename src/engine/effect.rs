use std::time::Duration;

use super::Engine;
use crate::cell::Applied;
use crate::machine::Effect;
use crate::state::State;
use crate::transition::{Cause, Transition};

impl Engine {
    /// Does what is left to do once the new word stands. `now`: if the clock has been read.
    pub(super) fn perform(&self, applied: &Applied, now: Option<Duration>) {
        match applied.effect {
            Effect::Free(slots) if slots > 0 => {
                self.queue.notify_additional(slots as usize);
            }
            Effect::Begin { cause, errors, successes } => {
                let has_changed = applied.before.state() != applied.after.state();
                if has_changed {
                    self.watchers.notify(usize::MAX);
                }
                self.queue.notify(usize::MAX);
                if has_changed && !self.observers.is_empty() {
                    let at = now.unwrap_or_else(|| self.now());
                    let transition = self.transition(applied, cause, errors, successes, at);
                    self.observers.report(transition, applied.changes);
                }
            }
            _ => {}
        }
    }

    fn transition(&self, applied: &Applied, cause: Cause, errors: u64, successes: u64, at: Duration) -> Transition {
        let Applied { before, after, .. } = *applied;
        let epoch = before.epoch();
        let lately = self.lately.as_ref().filter(|_| before.state() == State::Closed);
        Transition {
            name: self.name.clone(),
            from: before.state(),
            to: after.state(),
            cause,
            sequence: 0,
            at,
            open_for: (after.state() == State::Open).then(|| self.cell.time_left(after, at)),
            consecutive_error_count: errors,
            consecutive_success_count: self.successes_in_a_row(before, errors, successes),
            window: lately.map(|lately| lately.metrics(epoch, at, || self.counters.calls_in(epoch))),
        }
    }
}
