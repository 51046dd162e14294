use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How traffic comes back after an outage: a growing share of the calls, before the breaker closes.
///
/// Without it, traffic goes from a handful of probes to every call at once when the breaker closes, which can push a
/// dependency that has just come back up over again. Set it with [`Builder::recovery`](crate::Builder::recovery). The guide
/// on [recovery by steps](crate::guide::recovery) explains what happens within a step.
///
/// It is displayed as `0.01, 0.05, 0.25, 0.5 each 30s`, or `ramp 2m`, which is also its text in a
/// [`Config`](crate::Config).
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Recovery};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .recovery(Recovery::steps([0.01, 0.05, 0.25, 0.5]).each(Duration::from_secs(30)))
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    shares: Arc<[f64]>,
    each: Duration,
    /// The whole duration, if this was made by [`ramp`](Self::ramp).
    ramp: Option<Duration>,
}

/// The shares of a [`Recovery`], which still lacks the duration of its steps; made by [`Recovery::steps`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "say how long each step lasts with `each`"]
pub struct RecoverySteps(Arc<[f64]>);

impl RecoverySteps {
    /// How long each step lasts: 10 ms to 1 day.
    #[must_use]
    pub fn each(self, duration: Duration) -> Recovery {
        Recovery { shares: self.0, each: duration, ramp: None }
    }
}

impl Recovery {
    pub(crate) const MOST_STEPS: usize = 32;
    pub(crate) const SHORTEST: Duration = Duration::from_millis(10);
    pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    /// Of a ramp.
    pub(crate) const RAMP_STEPS: u32 = 20;

    /// The share of the calls that each step lets pass: 1 to 32 steps, each share above 0.0 and up to 1.0, none smaller
    /// than the one before it.
    ///
    /// Ranges are checked by [`Builder::build`](crate::Builder::build).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::Recovery;
    ///
    /// let recovery = Recovery::steps([0.1, 0.5]).each(Duration::from_secs(10));
    /// assert_eq!(recovery.to_string(), "0.1, 0.5 each 10s");
    /// ```
    pub fn steps(shares: impl IntoIterator<Item = f64>) -> RecoverySteps {
        RecoverySteps(shares.into_iter().collect())
    }

    /// A share that grows evenly from nothing to every call within `duration`: 200 ms to 20 days.
    ///
    /// It is made of twenty steps of the same length, 2.5 %, 7.5 % and so on up to 97.5 %. Each is judged by itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::Recovery;
    ///
    /// assert_eq!(Recovery::ramp(Duration::from_secs(120)).to_string(), "ramp 120s");
    /// ```
    #[must_use]
    pub fn ramp(duration: Duration) -> Recovery {
        Recovery {
            shares: (0..Self::RAMP_STEPS).map(Self::ramp_share).collect(),
            each: duration / Self::RAMP_STEPS,
            ramp: Some(duration),
        }
    }

    /// The share of the calls that this step of a ramp lets pass.
    pub(crate) fn ramp_share(step: u32) -> f64 {
        (f64::from(step) + 0.5) / f64::from(Self::RAMP_STEPS)
    }

    /// The whole duration of a ramp.
    pub(crate) const fn as_ramp(&self) -> Option<Duration> {
        self.ramp
    }

    pub(crate) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// How long each step lasts.
    pub(crate) const fn duration(&self) -> Duration {
        self.each
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(duration) = self.ramp {
            return write!(f, "ramp {duration:?}");
        }
        for (step, share) in self.shares.iter().enumerate() {
            write!(f, "{}{share:?}", if step == 0 { "" } else { ", " })?;
        }
        write!(f, " each {:?}", self.each)
    }
}
