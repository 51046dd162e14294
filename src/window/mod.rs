//! What happened lately: the rate rules, and the windows that they are taken over.

mod count;
mod hung;
mod time;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::word::Epoch;
use crate::metrics::WindowMetrics;
use crate::transition::Cause;
use count::CountWindow;
use hung::Hung;
use time::TimeWindow;

/// How many slices a thread's ring is cut into. Loom sees the smallest ring that turns: each slice is atomics more.
const PLACES: usize = if cfg!(loom) { 2 } else { 16 };
const SLICES: u64 = PLACES as u64;

/// What the rate rules are taken over.
///
/// The default is the last 100 calls.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Window};
///
/// let breaker = CircuitBreaker::builder("payments")
///     .error_rate(0.5)
///     .window(Window::time(Duration::from_secs(10)))
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub(crate) Span);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Calls(u32),
    Time(Duration),
}

impl Window {
    /// The last `calls` calls that succeeded or failed: 1 to 1 000 000.
    ///
    /// Its memory does not grow with the threads. Each of the two rates takes 512 bytes, and 8 bytes for each
    /// failure or slow call that it may have to remember: `rate * calls`, or `minimum_calls` if that is more.
    /// Without an error rate the errors, which the metrics show all the same, take 8 bytes for each of `calls`.
    #[must_use]
    pub const fn calls(calls: u32) -> Self {
        Window(Span::Calls(calls))
    }

    /// The calls that ended within the last `time`: 16 ms to 365 days.
    ///
    /// It rolls in sixteen slices, counted from the first call of a closed episode. A call older than the
    /// window is out, one younger than the window less one slice is in. It takes 640 bytes for each thread
    /// that settles calls, and half a KiB for the breaker.
    #[must_use]
    pub const fn time(time: Duration) -> Self {
        Window(Span::Time(time))
    }
}

/// `100 calls` or `10s`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Span::Calls(calls) => write!(f, "{calls} calls"),
            Span::Time(time) => write!(f, "{time:?}"),
        }
    }
}

/// The rate rules of a breaker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) error_rate: Option<f64>,
    pub(crate) slow: Option<SlowRate>,
    pub(crate) minimum_calls: u64,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SlowRate {
    pub(crate) rate: f64,
    pub(crate) duration: Duration,
}

/// The fewest of `calls` that are at least the share `rate` of them.
///
/// The rate is the nearest binary fraction of what was meant, 0.7 a little less than seven tenths; four units
/// in the last place make up for that and for the product's rounding.
pub(crate) fn share(rate: f64, calls: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "a window holds far less than 2^52 calls")]
    let exact = rate * calls as f64 * (1.0 - 4.0 * f64::EPSILON);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to `calls`")]
    let least = exact.ceil() as u64;
    least.max(1)
}

/// How a call that is in the window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) epoch: Epoch,
    /// The epoch's calls so far, this one included.
    pub(crate) calls: u64,
    /// Read only by rules that need time.
    pub(crate) now: Duration,
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// The windows of a breaker with rate rules.
pub(crate) struct Lately {
    rates: Arc<Rates>,
    past: Past,
    hung: Option<Hung>,
    /// The epoch in which the windows began, and how many calls of it had been settled before.
    begun: Option<(Epoch, u64)>,
}

enum Past {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Lately {
    pub(crate) fn new(rates: Arc<Rates>) -> Self {
        let past = match rates.span {
            Span::Calls(calls) => Past::Count(CountWindow::new(calls, &rates)),
            Span::Time(time) => Past::Time(TimeWindow::new(time)),
        };
        let hung = rates.slow.map(|slow| Hung::new(slow.duration));
        Lately { rates, past, hung, begun: None }
    }

    /// Windows that begin in the midst of `epoch`, when so many of its calls have been settled.
    pub(crate) fn beginning(self, epoch: Epoch, settled: u64) -> Self {
        Lately { begun: Some((epoch, settled)), ..self }
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Of the `settled` calls of `epoch`, those since the windows began.
    fn since_begun(&self, epoch: Epoch, settled: u64) -> u64 {
        match self.begun {
            Some((first, before)) if first == epoch => settled.saturating_sub(before),
            _ => settled,
        }
    }

    /// Whether admissions have to be timed.
    pub(crate) const fn times_calls(&self) -> bool {
        self.hung.is_some()
    }

    /// Whether settlements have to be timed, those of healthy calls included.
    pub(crate) const fn times_settlements(&self) -> bool {
        self.hung.is_some() || matches!(self.past, Past::Time(_))
    }

    /// Whether a call that took this long was slow.
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        self.rates.slow.is_some_and(|slow| took >= slow.duration)
    }

    /// Whether it is time to look for calls that hang. Once a slice, so that it is not done at each admission.
    pub(crate) fn is_look_due(&self, epoch: Epoch, now: Duration) -> bool {
        self.hung.as_ref().is_some_and(|hung| hung.is_due(epoch, now))
    }

    /// A call of `epoch` is admitted. Returns whether it is seen if it hangs.
    pub(crate) fn enter(&self, epoch: Epoch, now: Duration) -> bool {
        self.hung.as_ref().is_some_and(|hung| hung.enter(epoch, now))
    }

    /// A call of `epoch`, which still is, was entered at `admitted` and is no longer in flight, or no longer timed.
    pub(crate) fn leave(&self, epoch: Epoch, admitted: Duration) {
        if let Some(hung) = &self.hung {
            hung.leave(epoch, admitted);
        }
    }

    /// Records a success that was not slow. It can meet no rule.
    #[inline]
    pub(crate) fn record_success(&self, epoch: Epoch, now: Duration) {
        if let Past::Time(window) = &self.past {
            window.record_success(epoch, now);
        }
    }

    /// Records a failure or a slow call.
    pub(crate) fn record(&self, ended: Ended) {
        let ended = Ended { calls: self.since_begun(ended.epoch, ended.calls), ..ended };
        if ended.calls == 0 {
            return; // It ended just before the windows began.
        }
        match &self.past {
            Past::Count(window) => window.record(ended),
            Past::Time(window) => window.record(ended),
        }
    }

    /// Which rule is met now that calls hang, if any do.
    pub(crate) fn met_by_hanging(&self, epoch: Epoch, now: Duration, settled: impl FnOnce() -> u64) -> Option<Cause> {
        let hang = self.hung.as_ref().is_some_and(|hung| hung.look(epoch, now) > 0);
        if hang { self.met(epoch, now, settled) } else { None }
    }

    /// Which rule is met at this moment. `settled` tells how many calls of `epoch` have been.
    pub(crate) fn met(&self, epoch: Epoch, now: Duration, settled: impl FnOnce() -> u64) -> Option<Cause> {
        let hung = || self.overdue(epoch, now);
        match &self.past {
            Past::Count(window) => window.look(epoch, hung, || self.since_begun(epoch, settled())).met(&self.rates),
            Past::Time(window) => window.tally(epoch, now).with_hung(hung()).met(&self.rates),
        }
    }

    /// The window at this moment.
    pub(crate) fn metrics(&self, epoch: Epoch, now: Duration, settled: impl FnOnce() -> u64) -> WindowMetrics {
        let hung = || self.overdue(epoch, now);
        let Tally { calls, errors, slow } = match &self.past {
            Past::Count(window) => window.look(epoch, hung, || self.since_begun(epoch, settled())).tally(),
            Past::Time(window) => window.tally(epoch, now).with_hung(hung()),
        };
        WindowMetrics::new(calls, errors, slow)
    }

    fn overdue(&self, epoch: Epoch, now: Duration) -> u64 {
        self.hung.as_ref().map_or(0, |hung| hung.overdue(epoch, now))
    }
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    calls: u64,
    errors: u64,
    slow: u64,
}

impl Tally {
    /// Calls that hang are slow calls.
    fn with_hung(self, hung: u64) -> Self {
        Tally { calls: self.calls + hung, slow: self.slow + hung, ..self }
    }

    fn met(self, rates: &Rates) -> Option<Cause> {
        rates.met(self.calls, |least| self.errors >= least, |least| self.slow >= least)
    }
}

impl Rates {
    /// Which rule is met over `calls`, where the functions tell whether there are at least so many errors,
    /// and so many slow calls, among them.
    fn met(&self, calls: u64, errors: impl FnOnce(u64) -> bool, slow: impl FnOnce(u64) -> bool) -> Option<Cause> {
        if calls < self.minimum_calls {
            None
        } else if self.error_rate.is_some_and(|rate| errors(share(rate, calls))) {
            Some(Cause::ErrorRate)
        } else if self.slow.is_some_and(|rate| slow(share(rate.rate, calls))) {
            Some(Cause::SlowCallRate)
        } else {
            None
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
