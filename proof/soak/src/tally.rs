//! The totals, as the callers count them.

use tripcoil::Metrics;

use crate::ledger::{Call, Ending};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) success: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, calls: &[Call], rejected: u64) {
        self.rejected += rejected;
        for call in calls {
            *match call.ending {
                Ending::Success => &mut self.success,
                Ending::Failure | Ending::Panic => &mut self.error,
                Ending::Ignored => &mut self.ignored,
                Ending::Dropped => &mut self.dropped,
            } += 1;
        }
    }

    pub(crate) fn of(metrics: &Metrics) -> Self {
        Tally {
            success: metrics.total_success_count,
            error: metrics.total_error_count,
            ignored: metrics.total_ignored_count,
            dropped: metrics.total_dropped_count,
            rejected: metrics.total_rejected_count,
        }
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.success + self.error + self.ignored + self.dropped
    }
}
