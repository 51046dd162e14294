//! Settings that change while calls are in flight.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::word::{GATED_BITS, Word};
use crate::outcome::Dropped;
use crate::settings::Settings;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicU32, Ordering};
use crate::window::Windows;

/// The number of the settings in force, and what is timed under them.
///
/// Above the number, 0 for the settings that the breaker was made with, are the bits that say what is timed.
pub(crate) struct CurrentVersion(AtomicU32);

/// The bits of a number.
const NUMBER: u32 = (1 << 28) - 1;
/// There are rate rules.
const WINDOWS: u32 = 1 << 28;
/// Always set, so that a permit takes no room for whether it has been settled.
const SET: NonZeroU32 = NonZeroU32::new(1 << 29).unwrap();
/// Each settlement reads the clock, while closed.
const SETTLEMENTS: u32 = 1 << 30;
/// Each admission does, or is shown to a shadow.
const CALLS: u32 = 1 << 31;
/// Moved down by this, `CALLS` is one of the bits that a word which admits every call does not have.
const TO_WORD: u32 = 30;

const _: () = assert!((CALLS >> TO_WORD) as u64 & GATED_BITS != 0);
const _: () = assert!(((CALLS - 1) >> TO_WORD) as u64 & GATED_BITS == 0);

/// Which settings a call was admitted under: their number, whether they time calls, and whether they have rate rules.
///
/// It has no bit for timed settlements: where these are timed, it is never the same as the bits of [`CurrentVersion`], and no
/// success has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(NonZeroU32);

impl Version {
    /// The version of these settings, in force or not.
    #[inline]
    pub(super) fn of(settings: &CurrentSettings<'_>) -> Self {
        Version(SET | settings.number() | timing(settings.values(), settings.windows()) & !SETTLEMENTS)
    }

    pub(super) const fn number(self) -> u32 {
        self.0.get() & NUMBER
    }
}

/// How many versions before the one with number `now` another one was.
const fn ago(number: u32, now: u32) -> u32 {
    now.wrapping_sub(number) & NUMBER
}

impl CurrentVersion {
    crate::sync::const_unless_loom! {
        pub(super) fn first() -> Self {
            CurrentVersion(AtomicU32::new(SET.get()))
        }
    }

    /// With settings of its own from the start.
    pub(super) fn with(settings: &Settings, windows: Option<&Windows>) -> Self {
        CurrentVersion(AtomicU32::new(SET.get() | timing(settings, windows)))
    }

    #[inline]
    fn bits(&self) -> u32 {
        // Acquire: pairs with the Release below. A thread that sees a number finds settings at least as new.
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn number(&self) -> u32 {
        self.bits() & NUMBER
    }

    /// Whether each settlement reads the clock, by the settings in force.
    #[inline]
    pub(super) fn times_settlements(&self) -> bool {
        self.bits() & SETTLEMENTS != 0
    }

    /// The version of the settings in force.
    #[inline]
    pub(super) fn version(&self) -> Version {
        Version(SET | self.bits() & !SETTLEMENTS)
    }

    /// Whether the settings of `version` are in force, no settlement is timed, and there are no rate rules.
    #[inline]
    pub(super) fn is_plain(&self, version: Version) -> bool {
        self.is_untimed(version) && version.0.get() & WINDOWS == 0
    }

    /// Whether the settings of `version` are in force, and no settlement is timed.
    #[inline]
    pub(super) fn is_untimed(&self, version: Version) -> bool {
        self.bits() == version.0.get()
    }

    /// Whether the settings of `version` are in force, and they are the first ones.
    #[inline]
    pub(super) fn is_first(&self, version: Version) -> bool {
        self.bits() & !SETTLEMENTS == version.0.get() && version.number() == 0
    }

    fn set(&self, number: u32, settings: &Settings, windows: Option<&Windows>, has_shadow: bool) {
        let calls = if has_shadow { CALLS } else { 0 };
        self.0.store(SET.get() | number | timing(settings, windows) | calls, Ordering::Release);
    }

    /// The version of the settings in force, if `word` admits every call and no call has to be timed.
    #[inline]
    pub(super) fn try_admit_fast(&self, word: Word) -> Option<Version> {
        let bits = self.bits();
        let is_gated = (word.bits() | u64::from(bits >> TO_WORD)) & GATED_BITS != 0;
        (!is_gated).then_some(Version(SET | bits & !SETTLEMENTS))
    }
}

fn timing(settings: &Settings, windows: Option<&Windows>) -> u32 {
    let calls = if times_calls(settings, windows) { CALLS } else { 0 };
    let settlements = if windows.is_some_and(Windows::times_settlements) { SETTLEMENTS } else { 0 };
    calls | settlements | if windows.is_some() { WINDOWS } else { 0 }
}

/// Whether each admission reads the clock.
pub(super) fn times_calls(settings: &Settings, windows: Option<&Windows>) -> bool {
    settings.times_calls() || windows.is_some_and(Windows::times_calls)
}

/// Settings that a breaker was given later than when it was made.
pub(super) struct SettingsVersion {
    number: u32,
    settings: Settings,
    windows: Kept,
    /// The number of the version in which the windows began.
    windows_since: u32,
}

/// Where the windows of a version are.
enum Kept {
    /// Those that the breaker was made with. They stay until it is dropped.
    First,
    Own(Option<Arc<Windows>>),
}

/// The settings that an event is judged by.
///
/// A holder keeps them alive; a version that nobody holds is freed when another one is in force.
pub(super) enum CurrentSettings<'a> {
    /// Those that the breaker was made with.
    First {
        settings: &'a Settings,
        windows: Option<&'a Windows>,
    },
    Later {
        version: Arc<SettingsVersion>,
        first: Option<&'a Windows>,
    },
}

impl CurrentSettings<'_> {
    #[inline]
    pub(super) fn values(&self) -> &Settings {
        match self {
            CurrentSettings::First { settings, .. } => settings,
            CurrentSettings::Later { version, .. } => &version.settings,
        }
    }

    #[inline]
    pub(super) fn windows(&self) -> Option<&Windows> {
        match self {
            CurrentSettings::First { windows, .. } => *windows,
            CurrentSettings::Later { version, first } => match &version.windows {
                Kept::First => *first,
                Kept::Own(windows) => windows.as_deref(),
            },
        }
    }

    fn number(&self) -> u32 {
        match self {
            CurrentSettings::First { .. } => 0,
            CurrentSettings::Later { version, .. } => version.number,
        }
    }

    fn windows_since(&self) -> u32 {
        match self {
            CurrentSettings::First { .. } => 0,
            CurrentSettings::Later { version, .. } => version.windows_since,
        }
    }
}

/// What a call is judged by at its end: the settings that it was admitted under, as far as they matter then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judgement {
    number: u32,
    pub(super) slow_call_duration: Option<Duration>,
    pub(super) dropped_calls: Dropped,
    windows_since: u32,
    /// Whether the windows in force are those that the call was counted in.
    pub(super) are_windows_the_same: bool,
}

impl Judgement {
    pub(super) fn by(settings: &CurrentSettings<'_>) -> Self {
        Judgement {
            number: settings.number(),
            slow_call_duration: settings.windows().and_then(Windows::slow_call_duration),
            dropped_calls: settings.values().dropped_calls,
            windows_since: settings.windows_since(),
            are_windows_the_same: true,
        }
    }
}

/// How many former versions a call in flight is still judged by.
const REMEMBERED: usize = 1_024;

/// The later settings of a breaker.
pub(super) struct Versions(Mutex<VersionsState>);

struct VersionsState {
    newest: Option<Arc<SettingsVersion>>,
    /// What calls that were admitted under former versions are judged by, the latest last.
    former: VecDeque<Judgement>,
    /// Whether each call is shown to a shadow.
    has_shadow: bool,
}

impl Versions {
    pub(super) fn new() -> Self {
        Versions(Mutex::new(VersionsState { newest: None, former: VecDeque::new(), has_shadow: false }))
    }

    /// The newest version, if there is a later one than the first.
    pub(super) fn newest(&self) -> Option<Arc<SettingsVersion>> {
        self.0.lock().newest.clone()
    }

    /// What a call of `version` is judged by. `settings`: those in force.
    pub(super) fn judgement(&self, version: Version, settings: &CurrentSettings<'_>) -> Judgement {
        let now = Judgement::by(settings);
        if version.number() == now.number {
            return now;
        }
        let state = self.0.lock();
        let former = state.former.iter().rev().find(|former| former.number == version.number());
        // Told by its number alone where the version is forgotten: a call that is not taken out of its windows would hang
        // there forever.
        let is_since = ago(version.number(), now.number) <= ago(now.windows_since, now.number);
        let are_windows_the_same = former.map_or(is_since, |former| former.windows_since == now.windows_since);
        Judgement { are_windows_the_same, ..*former.unwrap_or(&now) }
    }

    /// Puts other settings in force. `begin` makes windows for them that are empty; the present ones stay where their
    /// rates are the same. `is_idle`: no call is in flight. Returns whether anything has changed.
    pub(super) fn change<'a>(
        &self,
        current: &CurrentVersion,
        is_idle: bool,
        first: impl FnOnce() -> CurrentSettings<'a>,
        new: Settings,
        is_same_window: impl FnOnce(Option<&Windows>) -> bool,
        begin: impl FnOnce() -> Option<Windows>,
    ) -> bool {
        let mut state = self.0.lock();
        let settings = state.settings(first());
        let is_same_window = is_same_window(settings.windows());
        if is_same_window && *settings.values() == new {
            return false;
        }
        // 0 is the number of the first settings alone.
        let number = (settings.number() + 1) & NUMBER;
        let number = if number == 0 { 1 } else { number };
        let (windows, windows_since) = match &settings {
            _ if !is_same_window => (Kept::Own(begin().map(Arc::new)), number),
            CurrentSettings::First { .. } => (Kept::First, 0),
            CurrentSettings::Later { version, .. } => (version.windows.clone(), version.windows_since),
        };
        if is_idle {
            // A call that was admitted since then was admitted under the version that is former from now on.
            state.former = VecDeque::new();
        } else if state.former.len() == REMEMBERED {
            state.former.pop_front();
        }
        state.former.push_back(Judgement::by(&settings));
        let version = Arc::new(SettingsVersion { number, settings: new, windows, windows_since });
        state.newest = Some(version.clone());
        let (CurrentSettings::First { windows: first, .. } | CurrentSettings::Later { first, .. }) = settings;
        let settings = CurrentSettings::Later { version, first };
        current.set(number, settings.values(), settings.windows(), state.has_shadow);
        true
    }

    /// From now on each call is shown to a shadow, or none is. `has_shadow` is asked under the lock, so that of two
    /// threads that begin and end shadows the last one finds how it is.
    pub(super) fn set_shadowed<'a>(
        &self,
        current: &CurrentVersion,
        first: impl FnOnce() -> CurrentSettings<'a>,
        has_shadow: impl FnOnce() -> bool,
    ) {
        let mut state = self.0.lock();
        state.has_shadow = has_shadow();
        let settings = state.settings(first());
        current.set(settings.number(), settings.values(), settings.windows(), state.has_shadow);
    }
}

impl VersionsState {
    /// The settings in force, if `first` are those that the breaker was made with.
    fn settings<'a>(&self, first: CurrentSettings<'a>) -> CurrentSettings<'a> {
        match (&self.newest, &first) {
            (Some(version), CurrentSettings::First { windows, .. }) => {
                CurrentSettings::Later { version: version.clone(), first: *windows }
            }
            _ => first,
        }
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        match self {
            Kept::First => Kept::First,
            Kept::Own(windows) => Kept::Own(windows.clone()),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::machine::millis::Millis;
    use crate::machine::word::{EPOCH, Epoch};
    use crate::settings::{Rates, Span};

    const LAST: Epoch = Epoch::new(EPOCH.max());
    const DEFAULT: &Settings = &Settings::DEFAULT;

    fn first() -> CurrentSettings<'static> {
        CurrentSettings::First { settings: DEFAULT, windows: None }
    }

    fn with_threshold(threshold: u32) -> Settings {
        Settings { success_threshold: threshold, ..Settings::DEFAULT }
    }

    #[test]
    fn a_version_that_nobody_holds_is_freed_and_its_calls_are_judged_by_it_all_the_same() {
        let (versions, current) = (Versions::new(), CurrentVersion::first());
        let mut former = Vec::new();
        for change in 1..=2_000_u32 {
            let dropped_calls = Dropped::FailureAfter(Duration::from_secs(change.into()));
            let settings = Settings { dropped_calls, ..Settings::DEFAULT };
            assert!(versions.change(&current, false, first, settings, |_| true, || None));
            assert_eq!(current.number(), change);
            former.push((current.version(), Arc::downgrade(&versions.newest().expect("there is one"))));
        }
        let newest = versions.newest().expect("there is one");
        let settings = CurrentSettings::Later { version: newest, first: None };
        assert_eq!(former.iter().filter(|(_, version)| version.upgrade().is_some()).count(), 1);
        for (seconds, (version, _)) in (1..).zip(&former) {
            let judged_by = if seconds >= 2_000 - REMEMBERED as u64 { seconds } else { 2_000 };
            let expected = Dropped::FailureAfter(Duration::from_secs(judged_by));
            assert_eq!(versions.judgement(*version, &settings).dropped_calls, expected, "{seconds}");
        }
        assert!(versions.change(&current, true, first, Settings::DEFAULT, |_| true, || None));
        assert_eq!(versions.0.lock().former.len(), 1);
    }

    #[test]
    fn what_does_not_change_makes_no_version() {
        let (versions, current) = (Versions::new(), CurrentVersion::first());
        assert!(!versions.change(&current, false, first, Settings::DEFAULT, |_| true, || None));
        assert!(versions.change(&current, false, first, with_threshold(3), |_| true, || None));
        assert!(!versions.change(&current, false, first, with_threshold(3), |_| true, || None));
        assert_eq!(current.number(), 1);
    }

    #[test]
    fn numbers_come_round_and_leave_out_that_of_the_first_settings() {
        let (versions, current) = (Versions::new(), CurrentVersion::first());
        assert!(versions.change(&current, false, first, with_threshold(3), |_| true, || None));
        let last =
            SettingsVersion { number: NUMBER, settings: with_threshold(4), windows: Kept::First, windows_since: 0 };
        versions.0.lock().newest = Some(Arc::new(last));
        assert!(versions.change(&current, false, first, with_threshold(5), |_| true, || None));
        assert_eq!(current.number(), 1);
    }

    #[test]
    fn every_word_that_admits_all_is_admitted_fast_under_the_settings_in_force() {
        let current = CurrentVersion::first();
        for number in [0, 1, NUMBER] {
            current.set(number, DEFAULT, None, false);
            for word in words() {
                let version = current.try_admit_fast(word);
                assert_eq!(version.is_some(), word.admits_all(), "{word:?}");
                for version in version.into_iter().chain([current.version()]) {
                    assert_eq!((version.number(), current.number()), (number, number));
                }
            }
        }
    }

    #[test]
    fn a_version_is_that_of_its_settings_only() {
        let current = CurrentVersion::first();
        for (then, now) in [(0, 0), (1, 1), (0, 1), (1, 2), (2, 9), (NUMBER - 1, NUMBER)] {
            current.set(then, DEFAULT, None, false);
            let version = current.version();
            current.set(now, DEFAULT, None, false);
            assert_eq!(current.is_untimed(version), then == now);
        }
    }

    #[test]
    fn no_admission_is_fast_where_calls_are_timed() {
        let timed = Settings { dropped_calls: Dropped::FailureAfter(Duration::MAX), ..Settings::DEFAULT };
        let current = CurrentVersion::first();
        current.set(3, &timed, None, false);
        assert!(words().into_iter().all(|word| current.try_admit_fast(word).is_none()));
    }

    #[test]
    fn no_version_is_untimed_where_settlements_are_timed() {
        let rates = Rates {
            error_rate: Some(0.5),
            slow: None,
            drop_rate: None,
            minimum_calls: 1,
            span: Span::Time(Duration::from_secs(1)),
        };
        let current = CurrentVersion::first();
        current.set(3, DEFAULT, Some(&Windows::new(Arc::new(rates))), false);
        let version = current.try_admit_fast(Word::INITIAL).expect("admissions are not timed");
        assert_eq!((version, version.number()), (current.version(), 3));
        assert!(!current.is_untimed(version));
    }

    fn words() -> [Word; 12] {
        let closed = Word::closed(LAST);
        [
            closed,
            closed.with_errors(1),
            closed.with_errors(2),
            closed.with_errors(7),
            closed.with_errors(u64::from(u32::MAX)),
            Word::INITIAL,
            Word::forced_closed(LAST),
            Word::half_open(LAST),
            Word::half_open(LAST).with_successes(1),
            Word::open(LAST, Millis::MAX),
            Word::open(LAST, Millis::from_bits(0)),
            Word::forced_open(LAST),
        ]
    }
}
