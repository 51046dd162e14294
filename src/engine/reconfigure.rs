use std::sync::Arc;

use super::settings_version::{Judgement, Settings, Version, Versions};
use super::{Cold, Engine};
use crate::settings::Rules;
use crate::window::{Rates, Windows};

impl Engine {
    /// The settings in force.
    #[inline]
    pub(super) fn settings(&self) -> Settings<'_> {
        if self.current.number() == 0 { self.first_settings() } else { self.later_settings() }
    }

    #[inline]
    pub(super) fn first_settings(&self) -> Settings<'_> {
        const DEFAULT: &Rules = &Rules::DEFAULT;
        let rules = self.terms.as_deref().map_or(DEFAULT, |terms| &terms.rules);
        Settings::First { rules, windows: self.first_windows() }
    }

    #[inline]
    pub(super) fn first_windows(&self) -> Option<&Windows> {
        self.cold.get()?.first_windows.as_deref()
    }

    #[cold]
    fn later_settings(&self) -> Settings<'_> {
        match self.versions().and_then(Versions::newest) {
            Some(version) => Settings::Later { version, first: self.first_windows() },
            None => self.first_settings(),
        }
    }

    fn versions(&self) -> Option<&Versions> {
        self.cold.get().and_then(Cold::versions)
    }

    /// What a call of `version` is judged by at its end. `settings`: those in force.
    pub(super) fn judgement(&self, version: Version, settings: &Settings<'_>) -> Judgement {
        match self.versions() {
            Some(versions) => versions.judgement(version, settings),
            None => Judgement::by(settings),
        }
    }

    pub(crate) fn reconfigure(&self, rules: Rules, rates: Option<&Arc<Rates>>) {
        self.change_settings(rules, rates, false);
    }

    /// As [`reconfigure`](Self::reconfigure). `begins_anew`: with empty windows, even if they are the same ones.
    pub(crate) fn change_settings(&self, rules: Rules, rates: Option<&Arc<Rates>>, begins_anew: bool) {
        let versions = self.cold().versions_or_new();
        let is_idle = self.totals().sums().active == 0;
        let has_changed = versions.change(
            &self.current,
            is_idle,
            || self.first_settings(),
            rules,
            |windows| !begins_anew && windows.map(Windows::rates) == rates.map(|rates| &**rates),
            || rates.map(|rates| self.begin(rates.clone())),
        );
        if has_changed {
            // There may be more room for probes now.
            self.queue.notify(usize::MAX);
        }
    }

    /// Empty windows.
    fn begin(&self, rates: Arc<Rates>) -> Windows {
        let epoch = self.epoch();
        Windows::new(rates).beginning(epoch, self.totals().calls_in(epoch))
    }
}
