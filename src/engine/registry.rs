//! What a registry asks of its breakers.

use std::ptr;
use std::time::Duration;

use super::Engine;
use super::membership::{Group, MemberCounts};
use super::totals::Sums;
use crate::state::State;

impl Engine {
    /// A number that no other breaker has as long as this one lives.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// The registry that the breaker was made for.
    pub(crate) fn group(&self) -> Option<&dyn Group> {
        self.shared.as_deref()?.group.as_deref()
    }

    /// When an open breaker lets a probe through, by its clock. It may be up to a millisecond late.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let word = self.cell.load();
        (word.state() == State::Open).then(|| Duration::from_nanos(word.deadline().nanos()))
    }

    /// What was counted since the breaker was made. This never reads the clock.
    pub(crate) fn counts(&self) -> MemberCounts {
        let Sums { active, success, error, ignored, dropped, rejected, slow } = self.sums();
        MemberCounts { active, success, error, ignored, dropped, rejected, slow, transitions: self.changes().into() }
    }
}
