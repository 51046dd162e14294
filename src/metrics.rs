#[cfg(feature = "serde")]
mod serde;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cause::Cause;
use crate::name::Name;
use crate::state::State;

/// A snapshot of a breaker's counts.
///
/// Taking a snapshot changes nothing. A call that ends at the same time may be in some counts and not yet in
/// others; each count by itself is exact. Totals start at zero when the breaker is created or
/// [`reset`](crate::CircuitBreaker::reset). Every settled call is in exactly one of success, error, ignored and
/// dropped.
///
/// ```
/// use tripcoil::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new("payments");
/// breaker.call_sync(|| Ok::<_, ()>(())).unwrap();
/// let metrics = breaker.metrics();
/// assert_eq!((metrics.total_success_count, metrics.total_error_count), (1, 0));
/// assert_eq!(metrics.active_calls, 0);
/// ```
///
/// With the feature `serde` you can serialize it, for example for a status page: each field under its name, the
/// state as its text, times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// The breaker's name.
    pub name: Name,
    /// The current state.
    pub state: State,
    /// Calls admitted and not yet settled. `reset` does not change this count.
    pub active_calls: u64,
    /// Calls that succeeded.
    pub total_success_count: u64,
    /// Calls that failed, panicked or tripped the breaker, and dropped calls that count as failures.
    pub total_error_count: u64,
    /// Calls whose outcome was ignored.
    pub total_ignored_count: u64,
    /// Dropped calls that count as neutral.
    pub total_dropped_count: u64,
    /// Rejected calls.
    pub total_rejected_count: u64,
    /// Slow calls. Each is also a success or an error.
    pub total_slow_count: u64,
    /// While closed: failures since the last success. While half-open: failed probes. Otherwise 0.
    pub consecutive_error_count: u64,
    /// While half-open: successful probes since the last failed probe. Otherwise 0.
    pub consecutive_success_count: u64,
    /// Changes of state.
    pub transition_count: u64,
    /// While open: how long the breaker stays open; zero once the next call would be a probe. Otherwise `None`.
    pub retry_after: Option<Duration>,
    /// The last call that counted as a failure.
    pub last_error: Option<LastError>,
    /// The window of the rate rules, if there are any. Empty unless the breaker is closed. Within the steps of its
    /// [`recovery`](Self::recovery) it is what the step has seen, also without rate rules.
    pub window: Option<WindowMetrics>,
    /// What other settings would do, if there is a [`shadow`](crate::CircuitBreaker::shadow).
    pub shadow: Option<Box<ShadowMetrics>>,
    /// Where it is within the steps of its [`recovery`](crate::Builder::recovery). `None` unless it is half-open and its
    /// probes have succeeded.
    ///
    /// The step is the one that a call has found last: no timer moves it, so it may be over.
    pub recovery: Option<Box<RecoveryStep>>,
}

/// What a [shadow](crate::CircuitBreaker::shadow) would have done since it began.
///
/// ```
/// use tripcoil::{Cause, CircuitBreaker, Config, State};
///
/// let breaker = CircuitBreaker::new("payments");
/// let mut config = Config::default();
/// config.error_threshold = Some(Some(2));
/// breaker.shadow(config)?;
/// for _ in 0..4 {
///     breaker.try_acquire().unwrap().failure();
/// }
/// let shadow = breaker.metrics().shadow.unwrap();
/// assert_eq!((breaker.state(), shadow.state), (State::Closed, State::Open));
/// assert_eq!(shadow.transitions, [(Cause::ErrorThreshold, 1)]);
/// assert_eq!(shadow.rejections.error_count, 2); // it would have rejected two calls that failed
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowMetrics {
    /// The state of the shadow.
    pub state: State,
    /// While it would be open: how long it would stay open.
    pub retry_after: Option<Duration>,
    /// Calls that the shadow has judged: those that the breaker admitted.
    pub seen_calls: u64,
    /// Calls that the shadow has not judged, because the breaker rejected them.
    pub unseen_calls: u64,
    /// State changes that it would have made, by cause. Causes without any are omitted.
    pub transitions: Vec<(Cause, u64)>,
    /// Calls that it would have rejected, in flight or ended.
    pub rejected_count: u64,
    /// How those calls ended.
    pub rejections: ShadowRejections,
    /// The window of its rate rules, if there are any. Empty unless it would be closed.
    pub window: Option<WindowMetrics>,
}

impl ShadowMetrics {
    /// The share of all calls that the shadow has judged, from 0.0 to 1.0; 1.0 if there were none.
    ///
    /// With a low coverage the metrics say little, because a shadow does not judge rejected calls.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let asked = self.seen_calls + self.unseen_calls;
        if asked == 0 { 1.0 } else { share(self.seen_calls, asked) }
    }
}

/// How the calls ended that a [shadow](ShadowMetrics) would have rejected.
///
/// Errors are rejections that would have been right. Successes are calls that these settings would have lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowRejections {
    /// Calls that succeeded.
    pub success_count: u64,
    /// Calls that failed, panicked, or tripped the breaker.
    pub error_count: u64,
    /// Calls whose outcome was ignored.
    pub ignored_count: u64,
    /// Calls that were dropped without an outcome.
    pub dropped_count: u64,
}

/// A step of a [`Recovery`](crate::Recovery), as [`Metrics::recovery`] shows it.
///
/// It is displayed as `step 2 of 4`.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Recovery, State};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .success_threshold(1)
///     .recovery(Recovery::steps([0.25, 0.5]).each(Duration::from_secs(30)))
///     .build()?;
/// breaker.transition_to(State::HalfOpen);
/// breaker.try_acquire().unwrap().success();
/// let step = breaker.metrics().recovery.unwrap();
/// assert_eq!((step.step, step.steps, step.share()), (1, 2, 0.25));
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryStep {
    /// The step, counted from 1.
    pub step: u32,
    /// How many steps there are.
    pub steps: u32,
    /// The bits of the share.
    share: u64,
}

impl RecoveryStep {
    /// `step` is counted from 0.
    pub(crate) fn new(step: u32, steps: usize, share: f64) -> Self {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        RecoveryStep { step: step + 1, steps, share: share.to_bits() }
    }

    /// The share of the calls that the step lets pass, from 0.0 to 1.0.
    #[must_use]
    pub const fn share(&self) -> f64 {
        f64::from_bits(self.share)
    }
}

impl fmt::Display for RecoveryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of {}", self.step, self.steps)
    }
}

/// A snapshot of the window that rate rules are evaluated over.
///
/// ```
/// use tripcoil::{CircuitBreaker, Window};
///
/// let breaker = CircuitBreaker::builder("payments").error_rate(0.5).window(Window::calls(50)).build()?;
/// breaker.try_acquire().unwrap().success();
/// breaker.try_acquire().unwrap().failure();
/// let window = breaker.metrics().window.unwrap();
/// assert_eq!((window.calls, window.errors), (2, 1));
/// assert_eq!(window.error_rate(), 0.5);
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowMetrics {
    /// Settled calls that succeeded or failed.
    pub calls: u64,
    /// Settled calls that failed.
    pub errors: u64,
    /// Settled calls that took at least the `slow_call_duration`.
    pub slow_calls: u64,
    /// Calls that hang: they have been in flight for at least the `slow_call_duration`, to the accuracy of an
    /// eighth of it. They are not included in [`calls`](Self::calls).
    pub hanging_calls: u64,
    /// Calls that were dropped and count neither as a success nor as a failure, if a
    /// [`drop_rate`](crate::Builder::drop_rate) is set; otherwise 0. In a window of N calls, those among the
    /// latest N calls that were settled or dropped. They are not included in [`calls`](Self::calls).
    pub dropped_calls: u64,
}

impl WindowMetrics {
    pub(crate) const fn new(calls: u64, errors: u64, slow_calls: u64, hanging_calls: u64) -> Self {
        WindowMetrics { calls, errors, slow_calls, hanging_calls, dropped_calls: 0 }
    }

    pub(crate) const fn with_drops(self, dropped_calls: u64) -> Self {
        WindowMetrics { dropped_calls, ..self }
    }

    /// The share of the settled calls that failed, from 0.0 to 1.0; 0.0 if there are none.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        share(self.errors, self.calls)
    }

    /// The share of the settled and hanging calls that were slow or hang, from 0.0 to 1.0; 0.0 if there are none.
    #[must_use]
    pub fn slow_call_rate(&self) -> f64 {
        share(self.slow_calls + self.hanging_calls, self.calls + self.hanging_calls)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn share(part: u64, calls: u64) -> f64 {
    if calls == 0 { 0.0 } else { part as f64 / calls as f64 }
}

/// Information about the last failure.
///
/// ```
/// use tripcoil::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new("payments");
/// let _ = breaker.call_sync(|| "x".parse::<u32>());
/// assert!(breaker.metrics().last_error.unwrap().type_name.ends_with("ParseIntError"));
///
/// breaker.try_acquire().unwrap().failure_because("no answer");
/// assert_eq!(breaker.metrics().last_error.unwrap().message.as_deref(), Some("no answer"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastError {
    /// The type of the error, or of the value that was judged a failure. It is `"panic"` for a panic,
    /// `"dropped"` for a dropped call, and `"failure"` for a permit that was settled without an error.
    pub type_name: &'static str,
    /// When it happened, by the breaker's [`Clock`](crate::Clock), since the clock's origin. `None` if the
    /// clock was not read: it is read for a failure that changes the state, and for one with a message.
    pub at: Option<Duration>,
    /// How long before the snapshot that was, by the same clock, for example for a page that says "3 minutes
    /// ago".
    pub ago: Option<Duration>,
    /// The message passed to [`Permit::failure_because`](crate::Permit::failure_because), or the text of the
    /// error if [`WithMessages`](crate::WithMessages) is the judge.
    pub message: Option<Arc<str>>,
}
