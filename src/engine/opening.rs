//! Where a rule opens a breaker, unless its registry has too many open ones.

use std::time::Duration;

#[cfg(feature = "registry")]
use super::open_limit::{OpenLimit, SuppressedOpening};
use super::{Engine, draw_for};
use crate::machine::cell::Applied;
#[cfg(feature = "registry")]
use crate::machine::step::{self, Effect};
use crate::machine::word::Epoch;
use crate::settings::Settings;
#[cfg(feature = "registry")]
use crate::state::State;
use crate::transition::Cause;

impl Engine {
    /// Applies a failure, as [`Cell::fail`](crate::machine::cell::Cell::fail) does.
    #[inline]
    pub(super) fn open_by_failure(
        &self,
        epoch: Epoch,
        tripped_by: Option<Cause>,
        now: Option<Duration>,
        settings: &Settings,
    ) -> Applied {
        #[cfg(feature = "registry")]
        if let (Some(limit), Some(now)) = (self.open_limit(), now) {
            return self.fail_within(limit, epoch, tripped_by, now, settings);
        }
        self.cell.fail(epoch, tripped_by, now, draw_for(settings), settings)
    }

    /// Applies a rate rule that was met without a failure, as
    /// [`Cell::trip_by_rate`](crate::machine::cell::Cell::trip_by_rate) does.
    pub(super) fn open_by_rate(&self, epoch: Epoch, cause: Cause, now: Duration, settings: &Settings) -> Applied {
        #[cfg(feature = "registry")]
        if let Some(limit) = self.open_limit() {
            if !limit.reserve(self.id()) {
                let errors = self.cell.load().errors();
                return self.suppress(limit, epoch, cause, errors, now);
            }
            let applied = self.cell.trip_by_rate(epoch, cause, now, draw_for(settings), settings);
            limit.release(self.id(), &|| self.state());
            return applied;
        }
        self.cell.trip_by_rate(epoch, cause, now, draw_for(settings), settings)
    }
}

#[cfg(feature = "registry")]
impl Engine {
    fn open_limit(&self) -> Option<&dyn OpenLimit> {
        self.shared.as_deref()?.open_limit.as_deref()
    }

    /// Tells the registry of a change of state.
    pub(super) fn follow_limit(&self) {
        if let Some(limit) = self.open_limit() {
            limit.follow(self.id(), &|| self.state());
        }
    }

    #[inline(never)]
    fn fail_within(
        &self,
        limit: &dyn OpenLimit,
        epoch: Epoch,
        tripped_by: Option<Cause>,
        now: Duration,
        settings: &Settings,
    ) -> Applied {
        let fail_at = |now| self.cell.fail(epoch, tripped_by, now, draw_for(settings), settings);
        // Without the time the failure is counted, or found to be one that opens.
        let found = fail_at(None);
        if found.effect != Effect::NeedsClock {
            return found;
        }
        if found.before.state() != State::Closed {
            return fail_at(Some(now));
        }
        if limit.reserve(self.id()) {
            let applied = fail_at(Some(now));
            limit.release(self.id(), &|| self.state());
            return applied;
        }
        let cause = step::opening_cause(found.before, tripped_by, settings).unwrap_or(Cause::ErrorThreshold);
        self.suppress(limit, epoch, cause, found.before.errors() + 1, now)
    }

    /// Starts run and window over, in place of an opening.
    fn suppress(&self, limit: &dyn OpenLimit, epoch: Epoch, cause: Cause, errors: u64, now: Duration) -> Applied {
        let settings = self.settings();
        let window = settings.windows().map(|windows| self.window_metrics(windows, epoch, now));
        let applied = self.cell.restart(epoch, cause);
        if matches!(applied.effect, Effect::Begin(_)) {
            let name = self.name.clone();
            limit.suppressed(&SuppressedOpening { name, cause, at: now, consecutive_error_count: errors, window });
        }
        applied
    }
}
