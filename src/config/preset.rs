use std::fmt;
use std::time::Duration;

use super::Config;
use crate::settings::Window;

/// Settings that go together, chosen by measurement.
///
/// A preset gives the settings that nothing else gives: a setting in code, in a [`Config`] or in the environment overrides
/// it, in whichever order they come. A `reset_timeout` of your own replaces the preset's `reset_backoff` too.
///
/// The presets were chosen on seeds 1 to 50 of eleven synthetic incidents. The [guide to replays](crate::guide::replay) has the
/// tables of seeds 51 to 100 for them, for the defaults and for other rules, and the command that makes them.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Preset};
///
/// let payments = CircuitBreaker::builder("payments").preset(Preset::Responsive).build()?;
/// let reports = CircuitBreaker::builder("reports")
///     .preset(Preset::Tolerant)
///     .slow_call_duration(Duration::from_secs(10))
///     .build()?;
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// Opens when nearly all calls are bad: `error_rate` 0.8, `slow_call_rate` 0.8 with a `slow_call_duration` of 1 s, over
    /// a `window` of 5 s with `minimum_calls` 5. It probes after a `reset_timeout` of 2 s, with a `reset_backoff` of
    /// 1.5 up to 5 s.
    ///
    /// It lets a blip and most of a brown-out pass, and needs more than one call a second.
    Tolerant,
    /// As [`Tolerant`](Self::Tolerant), and opens on an `error_threshold` of 8 besides.
    ///
    /// It works in low traffic too, opens within eight calls when a dependency is down, and opens in a brown-out.
    Responsive,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 2] = [Preset::Tolerant, Preset::Responsive];

    /// The preset's name, as a [`Config`] has it.
    ///
    /// ```
    /// use tripcoil::Preset;
    ///
    /// assert_eq!(Preset::Responsive.as_str(), "responsive");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Preset::Tolerant => "tolerant",
            Preset::Responsive => "responsive",
        }
    }

    /// The settings that it gives.
    ///
    /// ```
    /// use tripcoil::Preset;
    ///
    /// assert_eq!(Preset::Responsive.config().error_threshold, Some(Some(8)));
    /// ```
    #[must_use]
    pub fn config(self) -> Config {
        Config {
            error_threshold: (self == Preset::Responsive).then_some(Some(8)),
            error_rate: Some(0.8),
            slow_call_rate: Some(0.8),
            slow_call_duration: Some(Duration::from_secs(1)),
            window: Some(Window::time(Duration::from_secs(5))),
            minimum_calls: Some(5),
            reset_timeout: Some(Duration::from_secs(2)),
            reset_backoff: Some((1.5, Duration::from_secs(5))),
            ..Config::default()
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Config {
    /// These settings, and those of the preset where this has none.
    pub(super) fn with_preset(self) -> Config {
        let Some(preset) = self.preset else { return self };
        let mut settings = preset.config();
        if self.reset_timeout.is_some() {
            // Its maximum was chosen for its own timeout, and may be below this one.
            settings.reset_backoff = None;
        }
        self.or(settings)
    }
}
