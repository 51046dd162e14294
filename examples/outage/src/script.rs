//! What happens to the server, and when.

use std::fmt;
use std::time::Duration;

use crate::client::PATIENCE;

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Fast, with good answers.
    Healthy,
    /// Slow, with bad answers.
    Failing,
    /// Not listening.
    Down,
    /// Weak: a crowd slows it down.
    Recovering,
    /// Healthy again, and not by its own strength.
    Helped,
}

impl Condition {
    /// Anything but healthy.
    #[must_use]
    pub const fn is_sick(self) -> bool {
        matches!(self, Condition::Failing | Condition::Down | Condition::Recovering)
    }

    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Condition::Healthy => "healthy",
            Condition::Failing => "failing slowly",
            Condition::Down => "refusing connections",
            Condition::Recovering => "recovering",
            Condition::Helped => "healthy, with help",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One stage of the script: what the server turns into, and until when at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the server turns into.
    pub condition: Condition,
    /// Since the start.
    pub until: Duration,
}

/// The server outlives the run, for calls that are still under way.
const LAST_CALLS: Duration = Duration::from_millis(100).saturating_add(PATIENCE);

/// The outage, in percent of the run. A server that has not recovered by itself at 85 % gets help.
#[must_use]
pub fn stages(length: Duration) -> [Stage; 5] {
    let stage = |condition, percent| Stage { condition, until: length * percent / 100 };
    [
        stage(Condition::Healthy, 15),
        stage(Condition::Failing, 35),
        stage(Condition::Down, 50),
        stage(Condition::Recovering, 85),
        Stage { condition: Condition::Helped, until: length + LAST_CALLS },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_fill_the_run_in_order() {
        let stages = stages(Duration::from_secs(20));
        assert!(stages.windows(2).all(|pair| pair[0].until < pair[1].until));
        assert!(stages[4].until > Duration::from_secs(20) + PATIENCE);
    }
}
