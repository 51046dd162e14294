use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "registry")]
use super::membership::Group;
use super::observers::Observer;
#[cfg(feature = "registry")]
use super::open_limit::OpenLimit;
use crate::clock::{Clock, MonotonicClock};
use crate::config::{Config, ValidSettings};
use crate::settings::Rates;
use crate::settings::Settings;
use crate::window::Windows;

/// Everything that a breaker is built with, except its name. Breakers with the same settings share it.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) rates: Option<Arc<Rates>>,
    /// `None`: [`MonotonicClock`].
    pub(crate) clock: Option<Box<dyn Clock>>,
    pub(crate) observers: Arc<[Observer]>,
    /// Those that are notified of what a shadow would do.
    pub(crate) shadow_observers: Arc<[Observer]>,
    /// The policy that is on trial from the start.
    pub(crate) shadow: Option<Box<(Config, ValidSettings)>>,
    /// Whether the breaker begins forced closed.
    pub(crate) observes_only: bool,
    /// The registry that the breaker was made for.
    #[cfg(feature = "registry")]
    pub(crate) group: Option<Arc<dyn Group>>,
    /// Whether it may open by its own rules, if the registry limits that.
    #[cfg(feature = "registry")]
    pub(crate) open_limit: Option<Arc<dyn OpenLimit>>,
}

impl Shared {
    pub(crate) fn new(settings: ValidSettings, clock: Option<Box<dyn Clock>>, observers: Arc<[Observer]>) -> Self {
        Shared {
            settings: settings.settings,
            rates: settings.rates.map(Arc::new),
            clock,
            observers,
            shadow_observers: Arc::new([]),
            shadow: None,
            observes_only: false,
            #[cfg(feature = "registry")]
            group: None,
            #[cfg(feature = "registry")]
            open_limit: None,
        }
    }

    /// Whether the clock is another one than [`MonotonicClock`].
    #[inline]
    pub(crate) fn has_own_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// Whether every change of state has to be reported, by the settings that the breaker was built with.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        #[cfg(feature = "registry")]
        if self.open_limit.is_some() {
            return true;
        }
        !self.observers.is_empty()
    }

    pub(crate) fn now(&self) -> Duration {
        match &self.clock {
            None => MonotonicClock.now(),
            Some(clock) => clock.now(),
        }
    }

    /// With other settings. `clock` is the same one.
    #[cfg(feature = "registry")]
    pub(crate) fn with(&self, settings: Settings, rates: Option<Arc<Rates>>, clock: Option<Box<dyn Clock>>) -> Self {
        Shared {
            settings,
            rates,
            clock,
            observers: self.observers.clone(),
            shadow_observers: self.shadow_observers.clone(),
            shadow: self.shadow.clone(),
            observes_only: self.observes_only,
            group: self.group.clone(),
            open_limit: self.open_limit.clone(),
        }
    }

    /// The windows of one more breaker, if there are rate rules.
    pub(crate) fn new_windows(&self) -> Option<Box<Windows>> {
        self.rates.as_ref().map(|rates| Box::new(Windows::new(rates.clone())))
    }
}
