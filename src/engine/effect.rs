use std::time::Duration;

use super::observers::{LateObserver, Observing};
use super::shared::Shared;
use super::{Engine, low_half};
use crate::machine::cell::Applied;
use crate::machine::step::{self, Effect};
use crate::panics::contain;
use crate::state::State;
use crate::transition::{Cause, Transition};

impl Engine {
    /// The time, if an event that may change the state has to be reported to observers.
    ///
    /// It is read before the event: a clock that panics must not swallow a transition, for the observers would
    /// wait for its number forever.
    pub(super) fn time_to_tell(&self) -> Option<Duration> {
        self.is_observed().then(|| self.now())
    }

    /// Whether there are observers, given with the breaker or later.
    fn is_observed(&self) -> bool {
        !self.observers().is_empty() || self.has_late_observers()
    }

    /// Whether there are observers that were added later. A thread that has swapped the word and sees none has none to
    /// notify: for an observer that is added after that, the swap is in the past.
    #[inline]
    fn has_late_observers(&self) -> bool {
        self.cold.get().is_some_and(|cold| cold.log.has_late())
    }

    /// Whether anything has to be notified of a new epoch.
    #[inline]
    fn is_watched(&self) -> bool {
        let is_watched_from_the_start = self.shared.as_deref().is_some_and(Shared::is_watched);
        is_watched_from_the_start || self.has_late_observers() || self.watchers.are_there() || self.queue.are_there()
    }

    /// Performs what remains to be done after the swap. `at` is the time of the swap, if the clock was read.
    #[expect(clippy::inline_always, reason = "mostly there is nothing to do")]
    #[inline(always)]
    pub(super) fn perform(&self, applied: &Applied, at: Option<Duration>) {
        match applied.effect {
            Effect::Free | Effect::BeginRound if self.queue.are_there() => self.wake_for(applied),
            Effect::Begin(cause) if self.is_watched() => self.tell(applied, cause, at),
            _ => {}
        }
    }

    #[cold]
    fn wake_for(&self, applied: &Applied) {
        let slots = step::freed(applied.before, applied.after, self.settings().values());
        if slots > 0 {
            self.queue.notify_additional(slots as usize);
        }
    }

    /// Tells everyone that a new epoch has begun.
    #[cold]
    fn tell(&self, applied: &Applied, cause: Cause, at: Option<Duration>) {
        let has_changed = !applied.before.has_state_of(applied.after);
        #[cfg(feature = "registry")]
        if has_changed {
            self.follow_limit();
        }
        let log = (has_changed && self.is_observed()).then(|| &self.cold().log);
        if let Some(log) = log {
            let transition = self.transition(applied, cause, at.unwrap_or_else(|| self.time_or_none()));
            log.report(transition, low_half(applied.changes));
        }
        if has_changed && self.watchers.are_there() {
            self.watchers.notify(usize::MAX);
        }
        if self.queue.are_there() {
            self.queue.notify(usize::MAX);
        }
        if let Some(log) = log {
            log.tell_all(self.observers());
        }
    }

    #[cold]
    fn transition(&self, applied: &Applied, cause: Cause, at: Duration) -> Transition {
        let Applied { before, after, counted, epoch, .. } = *applied;
        let (errors, successes) = step::counts(counted);
        let settings = self.settings();
        let window = match before.state() {
            State::Closed => settings.windows().map(|windows| self.window_metrics(windows, epoch, at)),
            State::HalfOpen if before.is_recovering() => Some(self.window_of_step(before, at, &settings)),
            _ => None,
        };
        Transition {
            name: self.name.clone(),
            from: before.state(),
            to: after.state(),
            cause,
            sequence: 0,
            at,
            open_for: (after.state() == State::Open).then(|| self.cell.time_left(after, at)),
            consecutive_error_count: errors,
            consecutive_success_count: successes,
            rejected_count: self.totals().rejections(),
            window,
            epoch: applied.epoch_after().number_u32(),
        }
    }

    /// The time, for an observer that came after the event. A clock that panics must not swallow the transition.
    fn time_or_none(&self) -> Duration {
        let mut now = Duration::ZERO;
        contain(|| now = self.now());
        now
    }

    /// Adds an observer, which is notified of the transitions from now on.
    pub(crate) fn observe(&self, observer: LateObserver) -> Observing {
        let cold = self.cold();
        let is_first = cold.log.begin_late();
        // Either the word that is read next is already that of a swap, or the thread that makes the swap sees the observer.
        self.cell.announce();
        let (_, _, changes) = self.cell.load_with_history();
        let is_alone = is_first && self.observers().is_empty();
        let observing = cold.log.add_late(observer, changes, is_alone.then(|| self.totals().rejections()));
        // Transitions that other threads have reported meanwhile.
        cold.log.tell_all(self.observers());
        observing
    }
}
