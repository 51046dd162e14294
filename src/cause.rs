use std::fmt;

/// The cause of a transition.
///
/// ```
/// use tripcoil::Cause;
///
/// assert_eq!(Cause::ErrorThreshold.to_string(), "error_threshold");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// `error_threshold` consecutive calls failed.
    ErrorThreshold,
    /// At least `error_rate` of the window's calls failed.
    ErrorRate,
    /// At least `slow_call_rate` of the window's calls were slow or hung.
    SlowCallRate,
    /// At least `drop_rate` of the window's calls were dropped.
    DropRate,
    /// A call ended in [`Outcome::Trip`](crate::Outcome::Trip).
    Tripped,
    /// `half_open_error_threshold` probes failed.
    ProbeFailed,
    /// `success_threshold` consecutive probes succeeded.
    SuccessThreshold,
    /// The last step of the [`recovery`](crate::Builder::recovery) held.
    Recovered,
    /// A call came after the reset timeout.
    ResetTimeout,
    /// A manual transition.
    Manual,
    /// [`reset`](crate::CircuitBreaker::reset) was called.
    Reset,
    /// [`reconfigure`](crate::CircuitBreaker::reconfigure) gave [`enabled`](crate::Builder::enabled) as false.
    Disabled,
    /// [`reconfigure`](crate::CircuitBreaker::reconfigure) gave [`enabled`](crate::Builder::enabled) as true again.
    Enabled,
    /// [`order`](crate::CircuitBreaker::order) was called: something outside of the process decided.
    Remote,
}

impl Cause {
    /// Each cause, at the place of its number.
    pub(crate) const ALL: [Cause; 14] = [
        Cause::ErrorThreshold,
        Cause::ErrorRate,
        Cause::SlowCallRate,
        Cause::DropRate,
        Cause::Tripped,
        Cause::ProbeFailed,
        Cause::SuccessThreshold,
        Cause::Recovered,
        Cause::ResetTimeout,
        Cause::Manual,
        Cause::Reset,
        Cause::Disabled,
        Cause::Enabled,
        Cause::Remote,
    ];

    /// The cause's name in `snake_case`, as [`Display`](fmt::Display) prints it.
    ///
    /// ```
    /// assert_eq!(tripcoil::Cause::Manual.as_str(), "manual");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::ErrorThreshold => "error_threshold",
            Cause::ErrorRate => "error_rate",
            Cause::SlowCallRate => "slow_call_rate",
            Cause::DropRate => "drop_rate",
            Cause::Tripped => "tripped",
            Cause::ProbeFailed => "probe_failed",
            Cause::SuccessThreshold => "success_threshold",
            Cause::Recovered => "recovered",
            Cause::ResetTimeout => "reset_timeout",
            Cause::Manual => "manual",
            Cause::Reset => "reset",
            Cause::Disabled => "disabled",
            Cause::Enabled => "enabled",
            Cause::Remote => "remote",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_listed_at_its_number() {
        assert!(Cause::ALL.into_iter().map(|cause| cause as usize).eq(0..Cause::ALL.len()));
        // A match over all of them: a new cause does not compile until it is counted here.
        let last = |cause| match cause {
            Cause::ErrorThreshold
            | Cause::ErrorRate
            | Cause::SlowCallRate
            | Cause::DropRate
            | Cause::Tripped
            | Cause::ProbeFailed
            | Cause::SuccessThreshold
            | Cause::Recovered
            | Cause::ResetTimeout
            | Cause::Manual
            | Cause::Reset
            | Cause::Disabled
            | Cause::Enabled
            | Cause::Remote => 13,
        };
        assert_eq!(Cause::ALL.len(), last(Cause::Remote) + 1);
    }
}
