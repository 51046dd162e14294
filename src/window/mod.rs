//! What happened lately: the rate rules, and the windows that they are taken over.

mod count;
mod hung;
mod time;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::WindowMetrics;
use crate::transition::Cause;
use crate::word::Epoch;
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
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(3);
    const SPANS: [Span; 2] = [Span::Calls(10), Span::Time(Duration::from_secs(16))];
    const SLOW: SlowRate = SlowRate { rate: 0.5, duration: Duration::from_millis(80) };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Half of four calls or more, failed or slow.
    fn windows(span: Span, slow: Option<SlowRate>) -> Lately {
        Lately::new(Arc::new(Rates { error_rate: Some(0.5), slow, minimum_calls: 4, span }))
    }

    fn end(windows: &Lately, calls: u64, failed: bool, slow: bool) {
        if failed || slow {
            windows.record(Ended { epoch: EPOCH, calls, now: at(5), failed, slow });
        } else {
            windows.record_success(EPOCH, at(5));
        }
    }

    #[test]
    fn the_windows_take_the_memory_that_their_docs_tell() {
        assert_eq!((count::PLACE, time::RING, hung::RING), (8, 576, 320));
    }

    #[test]
    fn a_share_is_exact_for_every_fraction_of_every_window() {
        for calls in (1..=300).chain([997, 1_000, 4_096, 99_999, 100_000]) {
            for part in (1..=calls).step_by(1 + usize::try_from(calls / 300).expect("small")) {
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let rate = part as f64 / calls as f64;
                assert_eq!(share(rate, calls), part, "{part} of {calls}");
            }
        }
    }

    #[test]
    fn a_share_is_what_the_decimal_says() {
        for percent in 1..=100_u64 {
            let rate: f64 = format!("{}.{:02}", percent / 100, percent % 100).parse().expect("a number");
            for calls in 1..=2_000 {
                assert_eq!(share(rate, calls), (percent * calls).div_ceil(100), "{rate} of {calls}");
            }
        }
        assert_eq!(share(0.1 + 0.2, 10), 3);
        assert_eq!(share(f64::MIN_POSITIVE, 100), 1);
    }

    #[test]
    fn only_what_needs_the_time_asks_for_it() {
        let asks = SPANS.map(|span| {
            [None, Some(SLOW)].map(|slow| {
                let windows = windows(span, slow);
                (windows.times_calls(), windows.times_settlements(), windows.enter(EPOCH, at(5)))
            })
        });
        let [all, settlements, none] = [(true, true, true), (false, true, false), (false, false, false)];
        assert_eq!(asks, [[none, all], [settlements, all]]);
    }

    #[test]
    fn a_call_is_slow_from_the_duration_of_the_rule_on() {
        for span in SPANS {
            assert_eq!([79, 80, 81].map(|took| windows(span, Some(SLOW)).is_slow(at(took))), [false, true, true]);
            assert!(!windows(span, None).is_slow(Duration::MAX));
        }
    }

    #[test]
    fn a_rate_is_met_at_its_share_of_no_fewer_calls_than_the_minimum() {
        for span in SPANS {
            for (failed, slow, cause) in
                [(true, false, Cause::ErrorRate), (false, true, Cause::SlowCallRate), (true, true, Cause::ErrorRate)]
            {
                let windows = windows(span, Some(SLOW));
                let mut met = Vec::new();
                for calls in 1..=6 {
                    let is_healthy = [1, 4, 5].contains(&calls);
                    end(&windows, calls, failed && !is_healthy, slow && !is_healthy);
                    met.push(windows.met(EPOCH, at(5), || calls));
                }
                // 1 of 2 and 2 of 3 are too few calls, 2 of 5 too small a share.
                assert_eq!(met, [None, None, None, Some(cause), None, Some(cause)], "{span:?}");
                assert_eq!(windows.met(EPOCH.next(), at(5), || 6), None);
                let [errors, slow] = [failed, slow].map(|is| 3 * u64::from(is));
                assert_eq!(windows.metrics(EPOCH, at(5), || 6), WindowMetrics::new(6, errors, slow));
            }
        }
    }

    #[test]
    fn calls_that_hang_are_slow_calls_until_they_leave() {
        for span in SPANS {
            let windows = windows(span, Some(SLOW));
            end(&windows, 1, false, false);
            end(&windows, 2, false, true);
            (0..3).for_each(|_| assert!(windows.enter(EPOCH, at(5))));
            assert!(!windows.is_look_due(EPOCH, at(9)) && windows.is_look_due(EPOCH, at(10)));
            assert_eq!(windows.met_by_hanging(EPOCH, at(89), || 2), None);
            assert_eq!(windows.metrics(EPOCH, at(89), || 2), WindowMetrics::new(2, 0, 1));
            assert_eq!(windows.met_by_hanging(EPOCH, at(90), || 2), Some(Cause::SlowCallRate));
            assert_eq!(windows.metrics(EPOCH, at(90), || 2), WindowMetrics::new(5, 0, 4));
            (0..3).for_each(|_| windows.leave(EPOCH, at(5)));
            assert_eq!(windows.metrics(EPOCH, at(90), || 2), WindowMetrics::new(2, 0, 1));
        }
    }

    #[test]
    fn calls_that_hang_and_calls_that_ended_slowly_meet_the_rate_together() {
        for span in SPANS {
            for (ended, hanging) in [(2, 2), (1, 2), (3, 1), (0, 4), (0, 3), (1, 1), (2, 1), (0, 1)] {
                let windows = windows(span, Some(SLOW));
                (1..=4).for_each(|calls| end(&windows, calls, false, calls <= ended));
                (0..hanging).for_each(|_| assert!(windows.enter(EPOCH, at(5))));
                let is_half = 2 * (ended + hanging) >= 4 + hanging;
                let met = windows.met_by_hanging(EPOCH, at(90), || 4);
                assert_eq!(met, is_half.then_some(Cause::SlowCallRate), "{span:?} {ended} {hanging}");
            }
        }
    }

    #[test]
    fn without_calls_that_hang_no_rule_is_met_by_them() {
        for span in SPANS {
            let windows = windows(span, Some(SLOW));
            (1..=4).for_each(|calls| end(&windows, calls, true, true));
            assert_eq!(windows.met(EPOCH, at(90), || 4), Some(Cause::ErrorRate));
            assert_eq!(windows.met_by_hanging(EPOCH, at(90), || 4), None);
        }
    }

    #[test]
    fn windows_that_begin_in_the_midst_of_an_epoch_hold_what_ends_from_then_on() {
        for span in SPANS {
            let windows = windows(span, None).beginning(EPOCH, 100);
            end(&windows, 100, true, false);
            assert_eq!(windows.metrics(EPOCH, at(5), || 100), WindowMetrics::new(0, 0, 0));
            for calls in 101..=104 {
                end(&windows, calls, true, false);
            }
            assert_eq!(windows.metrics(EPOCH, at(5), || 104), WindowMetrics::new(4, 4, 0));
            assert_eq!(windows.met(EPOCH, at(5), || 104), Some(Cause::ErrorRate));
        }
        let windows = windows(Span::Calls(10), None).beginning(EPOCH, 100);
        end(&windows, 101, true, false);
        assert_eq!(windows.metrics(EPOCH, at(5), || 110), WindowMetrics::new(10, 1, 0));
        assert_eq!(windows.metrics(EPOCH, at(5), || 111), WindowMetrics::new(10, 0, 0));
        assert_eq!(windows.metrics(EPOCH.next(), at(5), || 7), WindowMetrics::new(7, 0, 0));
    }
}
