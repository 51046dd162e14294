use std::ops::AddAssign;
use std::time::Duration;

use serde::Serialize;
use tripcoil::Outcome;

use crate::call::Call;

/// How a recorded call counts in the report. It is the same for every policy, whatever that calls slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Good,
    /// It did not fail, and took too long.
    Slow,
    Failed,
    Ignored,
    Dropped,
}

impl Class {
    pub(super) fn of(call: &Call, slow: Duration) -> Self {
        match call.outcome {
            Some(Outcome::Failure | Outcome::Trip { .. }) => Class::Failed,
            _ if call.duration >= slow => Class::Slow,
            Some(Outcome::Success) => Class::Good,
            Some(Outcome::Ignored) => Class::Ignored,
            None => Class::Dropped,
        }
    }

    pub(super) const fn is_bad(self) -> bool {
        matches!(self, Class::Slow | Class::Failed)
    }
}

/// Calls by how they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) good: u64,
    pub(super) slow: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) dropped: u64,
}

impl Tally {
    pub(super) const fn bad(&self) -> u64 {
        self.slow + self.failed
    }

    pub(super) const fn total(&self) -> u64 {
        self.good + self.bad() + self.ignored + self.dropped
    }
}

impl AddAssign<Class> for Tally {
    fn add_assign(&mut self, class: Class) {
        *match class {
            Class::Good => &mut self.good,
            Class::Slow => &mut self.slow,
            Class::Failed => &mut self.failed,
            Class::Ignored => &mut self.ignored,
            Class::Dropped => &mut self.dropped,
        } += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.good += other.good;
        self.slow += other.slow;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.dropped += other.dropped;
    }
}
