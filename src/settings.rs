use std::fmt;
use std::time::Duration;

use crate::outcome::Dropped;
use crate::recovery::Recovery;

/// The settings of a breaker, as [`Config`](crate::Config) gives them and [`build`](crate::Builder::build) has validated them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// If not, the breaker is forced closed.
    pub(crate) enabled: bool,
    /// Consecutive failures that open; `None` if another rule has to.
    pub(crate) error_threshold: Option<u32>,
    pub(crate) reset_timeout: Duration,
    pub(crate) backoff_factor: f64,
    pub(crate) backoff_max: Duration,
    pub(crate) jitter: f64,
    pub(crate) success_threshold: u32,
    pub(crate) half_open_error_threshold: u32,
    pub(crate) half_open_capacity: u32,
    pub(crate) half_open_max_capacity: u32,
    pub(crate) probe_timeout: Duration,
    pub(crate) dropped_calls: Dropped,
    pub(crate) recovery: Option<Recovery>,
    /// On fewer calls no step of recovery is judged before its end.
    pub(crate) recovery_minimum_calls: u32,
    pub(crate) given: Given,
}

/// Which of the settings were given whose default follows from other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each of them")]
pub(crate) struct Given {
    pub(crate) error_threshold: bool,
    pub(crate) minimum_calls: bool,
    pub(crate) half_open_max_capacity: bool,
    pub(crate) probe_timeout: bool,
}

impl Given {
    const NOTHING: Given =
        Given { error_threshold: false, minimum_calls: false, half_open_max_capacity: false, probe_timeout: false };
}

impl Settings {
    pub(crate) const DEFAULT: Settings = Settings {
        enabled: true,
        error_threshold: Some(5),
        reset_timeout: Duration::from_secs(30),
        backoff_factor: 1.0,
        backoff_max: Duration::MAX,
        jitter: 0.0,
        success_threshold: 2,
        half_open_error_threshold: 1,
        half_open_capacity: 1,
        half_open_max_capacity: 1,
        probe_timeout: Duration::from_secs(30),
        dropped_calls: Dropped::Ignore,
        given: Given::NOTHING,
        recovery: None,
        recovery_minimum_calls: 20,
    };

    /// Whether a call's duration matters, so that its admission has to read the clock.
    pub(crate) const fn times_calls(&self) -> bool {
        matches!(self.dropped_calls, Dropped::FailureAfter(_))
    }

    /// How long to stay open after `reopenings` openings out of half-open. `draw`, from 0 to 1,
    /// picks the place within the jitter.
    pub(crate) fn cool_down(&self, reopenings: u32, draw: f64) -> Duration {
        if reopenings == 0 && self.jitter == 0.0 {
            return self.reset_timeout.min(self.backoff_max);
        }
        let grown = reopenings > 0 && self.backoff_factor > 1.0;
        let factor = if grown { self.backoff_factor.powf(f64::from(reopenings)) } else { 1.0 };
        stretch(stretch(self.reset_timeout, factor).min(self.backoff_max), 1.0 + self.jitter * draw)
    }
}

/// `wait * factor`, saturating, and never less than `wait`; `factor` is at least 1.
fn stretch(wait: Duration, factor: f64) -> Duration {
    if factor <= 1.0 {
        return wait;
    }
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX).max(wait)
}

/// The window that rates are computed over: a number of calls, or a span of time.
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
    /// The last `calls` calls that succeeded or failed. 1 to 1 000 000.
    ///
    /// Calls that hang are counted separately and displace nothing.
    ///
    /// Its memory does not grow with the threads. Each of the three rates takes 512 bytes, and 8 bytes for each
    /// failure, slow call or drop it may have to remember: `rate * calls`, or `minimum_calls` if that is more.
    /// Without an error rate, the errors still appear in the metrics and take 8 bytes for each of `calls`.
    #[must_use]
    pub const fn calls(calls: u32) -> Self {
        Window(Span::Calls(calls))
    }

    /// The calls that ended within the last `time`. 16 ms to 365 days.
    ///
    /// It slides in sixteen slices, counted from the first call of a closed episode. A call older than the
    /// window is out, and one younger than the window minus one slice is in. If the clock steps back by more
    /// than a slice, the window starts over.
    ///
    /// Its memory does not grow with the threads. Each stripe of the breaker's counts takes 152 bytes, 136 more
    /// once it has recorded an error, and 136 more once it has recorded a slow call. A breaker has at most
    /// three stripes, and one more for each core; the number of cores is rounded up to a power of two, at most
    /// 32. The fourth stripe takes another 272 bytes. With a drop rate, each stripe
    /// that has recorded a drop takes 136 bytes more, and the breaker about 50; the fourth takes another 272.
    #[must_use]
    pub const fn time(time: Duration) -> Self {
        Window(Span::Time(time))
    }
}

/// `100 calls` or `10s`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Span::Calls(1) => f.write_str("1 call"),
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
    pub(crate) drop_rate: Option<f64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings(factor: f64, max: Duration, jitter: f64) -> Settings {
        Settings { reset_timeout: 5 * SECOND, backoff_factor: factor, backoff_max: max, jitter, ..Settings::DEFAULT }
    }

    #[test]
    fn the_cool_down_grows_by_the_factor_up_to_the_maximum() {
        let settings = settings(1.5, 12 * SECOND, 0.0);
        let waits: Vec<_> = (0..5).map(|k| settings.cool_down(k, 0.0).as_secs_f64()).collect();
        assert_eq!(waits, [5.0, 7.5, 11.25, 12.0, 12.0]);
    }

    #[test]
    fn a_huge_factor_saturates() {
        assert_eq!(settings(1e300, Duration::MAX, 1.0).cool_down(9, 1.0), Duration::MAX);
        assert_eq!(settings(f64::MAX, 60 * SECOND, 0.0).cool_down(1023, 0.0), 60 * SECOND);
    }

    #[test]
    fn a_factor_of_one_is_exact_for_every_duration() {
        let mut settings = settings(1.0, Duration::MAX, 0.0);
        settings.reset_timeout = Duration::new(u64::MAX, 999_999_999);
        assert_eq!(settings.cool_down(7, 0.5), settings.reset_timeout);
    }

    #[test]
    fn jitter_lengthens_by_up_to_its_share_and_never_shortens() {
        let settings = settings(2.0, 10 * SECOND, 0.1);
        assert_eq!(settings.cool_down(0, 0.0), 5 * SECOND);
        assert_eq!(settings.cool_down(0, 1.0), Duration::from_millis(5_500));
        assert_eq!(settings.cool_down(4, 1.0), 11 * SECOND);
    }
}
