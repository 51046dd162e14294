use std::time::Duration;

use tripcoil::Outcome;

/// A recorded call.
///
/// ```
/// use std::time::Duration;
/// use tripcoil_cli::Call;
///
/// let call = Call {
///     time: Duration::from_secs(3),
///     duration: Duration::from_millis(40),
///     key: 0,
///     outcome: Some(tripcoil::Outcome::Success),
/// };
/// assert_eq!(call.end(), Duration::from_millis(3040));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When the call started, relative to an origin that all calls of a recording share.
    pub time: Duration,
    /// How long the call took.
    pub duration: Duration,
    /// What was called, as an index into the recording's keys.
    pub key: u32,
    /// How the call ended. `None` if it was dropped without an outcome.
    pub outcome: Option<Outcome>,
}

impl Call {
    /// Returns when the call ended, saturating.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.time.saturating_add(self.duration)
    }
}

/// A period in which the dependency behind a key had a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The key.
    pub key: u32,
    /// When the trouble began.
    pub from: Duration,
    /// When the trouble ended. `None` if the recording ends first.
    pub to: Option<Duration>,
}
