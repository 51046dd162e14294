use std::time::Duration;

use crate::outcome::Dropped;
use crate::recovery::Recovery;

/// The settings of a breaker, as [`Config`](crate::Config) gives them and [`build`](crate::Builder::build) has approved them.
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
