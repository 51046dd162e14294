use super::last_failure::LastFailure;
use super::observers::TransitionLog;
use super::settings_version::Versions;
use super::shadow::Shadows;
use super::totals::Sums;
use crate::machine::coarse_deadline::CoarseDeadline;
use crate::machine::word::Epoch;
use crate::sync::unmodelled::{AtomicU64, Ordering};
use crate::sync::{CountBox, Mutex, OnceBox};
use crate::window::Windows;
use crate::window::steps::StepWindow;

/// What a healthy breaker without rate rules does without, in a box that is made when it is first needed.
pub(super) struct Cold {
    /// If there are rate rules; then this is made with the breaker.
    pub(super) first_windows: Option<Box<Windows>>,
    pub(super) last_failure: LastFailure,
    /// What a reset takes off the counts.
    pub(super) cleared: Mutex<Option<Box<Cleared>>>,
    /// The transitions that the observers have not been notified of yet.
    pub(super) log: TransitionLog,
    /// Until when an open breaker surely rejects.
    pub(super) coarse_deadline: CoarseDeadline,
    versions: OnceBox<Versions>,
    shadows: OnceBox<Shadows>,
    /// The epoch that began when the breaker was disabled, if `enabled` has forced it closed. Written under the lock of
    /// `cleared`.
    disabled: AtomicU64,
    steps: CountBox<StepWindow>,
    /// Slow calls. They have taken so long that a count that all threads share costs them nothing.
    slow: AtomicU64,
}

#[derive(Clone, Copy)]
pub(super) struct Cleared {
    pub(super) totals: Sums,
    pub(super) changes: u64,
}

impl Cleared {
    pub(super) const NOTHING: Cleared = Cleared { totals: Sums::ZERO, changes: 0 };
}

/// What the setting `enabled` has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disabled {
    /// The epoch that began with it.
    pub(super) since: Epoch,
    /// Whether the breaker had been forced open before.
    pub(super) reopens: bool,
}

impl Disabled {
    const NOT: u64 = u64::MAX;
    const REOPENS: u64 = 1 << 63;

    /// From the start.
    pub(super) const FIRST: Disabled = Disabled { since: Epoch::new(0), reopens: false };

    fn bits(disabled: Option<Disabled>) -> u64 {
        disabled
            .map_or(Self::NOT, |Disabled { since, reopens }| since.number() | if reopens { Self::REOPENS } else { 0 })
    }

    fn from_bits(bits: u64) -> Option<Disabled> {
        let since = Epoch::new(bits & !Self::REOPENS);
        (bits != Self::NOT).then_some(Disabled { since, reopens: bits & Self::REOPENS != 0 })
    }
}

impl Cold {
    /// `disabled`: whether the breaker is so from the start.
    pub(super) fn new(first_windows: Option<Box<Windows>>, disabled: Option<Disabled>) -> Self {
        Cold {
            first_windows,
            last_failure: LastFailure::new(),
            cleared: Mutex::new(None),
            log: TransitionLog::new(),
            coarse_deadline: CoarseDeadline::new(),
            versions: OnceBox::new(),
            shadows: OnceBox::new(),
            disabled: AtomicU64::new(Disabled::bits(disabled)),
            steps: CountBox::new(),
            slow: AtomicU64::new(0),
        }
    }

    pub(super) fn disabled(&self) -> Option<Disabled> {
        Disabled::from_bits(self.disabled.load(Ordering::Relaxed))
    }

    pub(super) fn set_disabled(&self, disabled: Option<Disabled>) {
        self.disabled.store(Disabled::bits(disabled), Ordering::Relaxed);
    }

    pub(super) fn count_slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn slow_calls(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// The settings that the breaker was given after the first, if it was given any.
    pub(super) fn versions(&self) -> Option<&Versions> {
        self.versions.get()
    }

    /// What its shadows see, if the breaker has ever had one.
    pub(super) fn shadows(&self) -> Option<&Shadows> {
        self.shadows.get()
    }

    pub(super) fn shadows_or_new(&self) -> &Shadows {
        self.shadows.get_or_init(|| Box::new(Shadows::new()))
    }

    /// What calls within the steps of recovery are counted in, made when it is first needed.
    pub(super) fn steps_or_new(&self) -> &StepWindow {
        self.steps.get_or_init(|| Box::new(StepWindow::new()))
    }

    pub(super) fn versions_or_new(&self) -> &Versions {
        self.versions.get_or_init(|| Box::new(Versions::new()))
    }
}
