use std::time::Duration;

use tripcoil::Outcome;

/// One recorded call.
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
    /// When it started, since an origin that all calls of a recording share.
    pub time: Duration,
    /// How long it took.
    pub duration: Duration,
    /// What it called, an index into the recording's keys.
    pub key: u32,
    /// How it ended; `None` if it was dropped without an outcome.
    pub outcome: Option<Outcome>,
}

impl Call {
    /// When it ended, saturating.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.time.saturating_add(self.duration)
    }
}

/// A time in which something was wrong with what one key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The key.
    pub key: u32,
    /// When it began.
    pub from: Duration,
    /// When it was over; `None` if the recording ends before.
    pub to: Option<Duration>,
}
