use tripcoil::Metrics;

/// What a breaker has counted since it was made. None of it ever falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) successes: u64,
    pub(crate) errors: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
}

impl Totals {
    /// From [`lifetime_metrics`](tripcoil::CircuitBreaker::lifetime_metrics).
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Totals {
            successes: metrics.total_success_count,
            errors: metrics.total_error_count,
            ignored: metrics.total_ignored_count,
            dropped: metrics.total_dropped_count,
            rejected: metrics.total_rejected_count,
        }
    }

    pub(crate) fn since(&self, former: &Totals) -> Totals {
        Totals {
            successes: self.successes.saturating_sub(former.successes),
            errors: self.errors.saturating_sub(former.errors),
            ignored: self.ignored.saturating_sub(former.ignored),
            dropped: self.dropped.saturating_sub(former.dropped),
            rejected: self.rejected.saturating_sub(former.rejected),
        }
    }

    /// Calls that were admitted and have ended.
    pub(crate) fn calls(&self) -> u64 {
        self.successes + self.errors + self.ignored + self.dropped
    }

    pub(crate) fn is_zero(&self) -> bool {
        *self == Totals::default()
    }
}
