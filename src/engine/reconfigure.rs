use std::sync::Arc;

use super::cold::Disabled;
#[cfg(feature = "registry")]
use super::first_disabled;
use super::settings_version::{CurrentSettings, Judgement, Version, Versions};
use super::{Cold, Engine};
use crate::machine::cell::Applied;
use crate::machine::step::Command;
use crate::settings::Rates;
use crate::settings::Settings;
use crate::state::State;
use crate::window::Windows;

impl Engine {
    /// The settings in force.
    #[inline]
    pub(super) fn settings(&self) -> CurrentSettings<'_> {
        if self.current.number() == 0 { self.first_settings() } else { self.later_settings() }
    }

    #[inline]
    pub(super) fn first_settings(&self) -> CurrentSettings<'_> {
        const DEFAULT: &Settings = &Settings::DEFAULT;
        let settings = self.shared.as_deref().map_or(DEFAULT, |shared| &shared.settings);
        CurrentSettings::First { settings, windows: self.first_windows() }
    }

    #[inline]
    pub(super) fn first_windows(&self) -> Option<&Windows> {
        self.cold.get()?.first_windows.as_deref()
    }

    #[cold]
    fn later_settings(&self) -> CurrentSettings<'_> {
        match self.versions().and_then(Versions::newest) {
            Some(version) => CurrentSettings::Later { version, first: self.first_windows() },
            None => self.first_settings(),
        }
    }

    fn versions(&self) -> Option<&Versions> {
        self.cold.get().and_then(Cold::versions)
    }

    /// What a call of `version` is judged by at its end. `settings`: those in force.
    pub(super) fn judgement(&self, version: Version, settings: &CurrentSettings<'_>) -> Judgement {
        match self.versions() {
            Some(versions) => versions.judgement(version, settings),
            None => Judgement::by(settings),
        }
    }

    /// The rules in force, and the rates.
    pub(crate) fn with_settings<T>(&self, look: impl FnOnce(&Settings, Option<&Rates>) -> T) -> T {
        let settings = self.settings();
        look(settings.values(), settings.windows().map(Windows::rates))
    }

    pub(crate) fn reconfigure(&self, settings: Settings, rates: Option<&Arc<Rates>>) {
        self.change_settings(settings, rates, false);
    }

    /// As [`reconfigure`](Self::reconfigure). `begins_anew`: with empty windows, even if they are the same ones.
    pub(crate) fn change_settings(&self, settings: Settings, rates: Option<&Arc<Rates>>, begins_anew: bool) {
        let at = self.time_to_tell();
        let cold = self.cold();
        // Changes of the settings and resets take turns: where a reset leads to depends on the settings.
        let turn = cold.cleared.lock();
        let was_enabled = self.settings().values().enabled;
        let is_enabled = settings.enabled;
        let versions = cold.versions_or_new();
        let is_idle = self.totals().sums().active == 0;
        let has_changed = versions.change(
            &self.current,
            is_idle,
            || self.first_settings(),
            settings,
            |windows| !begins_anew && windows.map(Windows::rates) == rates.map(|rates| &**rates),
            || rates.map(|rates| self.begin(rates.clone())),
        );
        let switched = self.switch(was_enabled, is_enabled);
        drop(turn);
        if has_changed {
            // There may be more room for probes now.
            self.queue.notify(usize::MAX);
        }
        if let Some(applied) = switched {
            self.perform(&applied, at);
        }
    }

    /// Does what the setting `enabled` asks for.
    fn switch(&self, was_enabled: bool, is_enabled: bool) -> Option<Applied> {
        let (cold, settings) = (self.cold(), self.settings());
        if !is_enabled {
            let applied = self.cell.operate(Command::Disable { overrules: was_enabled }, settings.values());
            if applied.effect.begins_epoch() {
                let reopens = applied.before.state() == State::ForcedOpen;
                cold.set_disabled(Some(Disabled { since: applied.epoch_after(), reopens }));
            }
            return Some(applied);
        }
        let Disabled { since, reopens } = cold.disabled()?;
        cold.set_disabled(None);
        Some(self.cell.operate(Command::Enable { since, reopens }, settings.values()))
    }

    /// Whether an operator has forced a state, rather than the setting `enabled`.
    #[cfg(feature = "registry")]
    pub(crate) fn is_forced_by_hand(&self) -> bool {
        let first = || self.shared.as_deref().and_then(|shared| first_disabled(&shared.settings));
        let disabled = self.cold.get().map_or_else(first, Cold::disabled);
        match self.state() {
            State::ForcedOpen => true,
            State::ForcedClosed => disabled.is_none_or(|disabled| disabled.since != self.epoch()),
            State::Closed | State::Open | State::HalfOpen => false,
        }
    }

    /// Empty windows.
    fn begin(&self, rates: Arc<Rates>) -> Windows {
        let epoch = self.epoch();
        Windows::new(rates).beginning(epoch, self.totals().calls_in(epoch))
    }
}
