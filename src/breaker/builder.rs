use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Preset, for_each_setting};
use crate::engine::observers::Observer;
use crate::engine::shared::Shared;
use crate::name::Name;
use crate::outcome::Dropped;
use crate::recovery::Recovery;
use crate::settings::Window;
use crate::transition::Transition;

macro_rules! builder {
    ($($(#[$doc:meta])* $setting:ident($($arg:ident: $type:ty),+): $value:ty = $given:expr;
        $default:literal, $allowed:literal, $text:literal;)+) => {
        /// Builds a [`CircuitBreaker`] with custom settings. Created by [`CircuitBreaker::builder`].
        ///
        /// | setting | default | allowed |
        /// |---|---|---|
        $(#[doc = concat!(
            "| [`", stringify!($setting), "`](Self::", stringify!($setting), ") | ", $default, " | ", $allowed, " |"
        )])+
        /// | [`clock`](Self::clock) | [`MonotonicClock`](crate::clock::MonotonicClock) | |
        /// | [`on_transition`](Self::on_transition) | none | any number |
        ///
        /// The guide explains [each setting](crate::guide::settings) and [which rules to
        /// choose](crate::guide::choosing_rules).
        ///
        /// Durations are rounded up to the next millisecond and saturate; `Duration::MAX` means without end.
        ///
        /// ```
        /// use std::time::Duration;
        /// use tripcoil::CircuitBreaker;
        ///
        /// let breaker = CircuitBreaker::builder("payments")
        ///     .error_threshold(3)
        ///     .reset_timeout(Duration::from_secs(5))
        ///     .reset_backoff(2.0, Duration::from_secs(60))
        ///     .reset_jitter(0.2)
        ///     .half_open_capacity(2)
        ///     .half_open_error_threshold(2)
        ///     .probe_timeout(Duration::from_secs(10))
        ///     .on_transition(|transition| eprintln!("{transition}"))
        ///     .build()?;
        /// # Ok::<(), tripcoil::ConfigError>(())
        /// ```
        #[must_use = "a builder makes nothing until `build` is called"]
        pub struct Builder {
            name: Cow<'static, str>,
            config: Config,
            clock: Option<Box<dyn Clock>>,
            observers: Vec<Observer>,
            shadow: Option<Config>,
            shadow_observers: Vec<Observer>,
            observes_only: bool,
        }

        impl Builder {
            $(
                $(#[$doc])*
                pub fn $setting(mut self, $($arg: $type),+) -> Self {
                    self.config.$setting = Some($given);
                    self
                }
            )+
        }
    };
}

for_each_setting!(builder);

impl CircuitBreaker {
    /// Starts building a breaker with custom settings. [`Builder`] lists them.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> Builder {
        Builder {
            name: name.into(),
            config: Config::default(),
            clock: None,
            observers: Vec::new(),
            shadow: None,
            shadow_observers: Vec::new(),
            observes_only: false,
        }
    }
}

impl Builder {
    /// Applies every setting that `config` contains; the others keep their values.
    ///
    /// Later sources override earlier ones: `config` overrides settings made before this call, and settings
    /// made after it override `config`.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.or(self.config);
        self
    }

    /// The clock that the breaker reads. Default: [`MonotonicClock`](crate::clock::MonotonicClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Adds an observer that is called at each change of state. Default: none. You can add several.
    ///
    /// Observers are called one at a time, once for each transition, in the order of the transitions and of
    /// their registration, outside every lock. They run on a thread that used the breaker, so keep them short.
    /// They may call the breaker; a transition that they cause is reported after the current one. Panics in
    /// observers are caught and affect neither the breaker nor other observers.
    ///
    /// While one thread runs the observers, other threads do not wait. They append their transitions to a
    /// backlog, and the thread that runs the observers continues until the backlog is empty. No transition is
    /// skipped, so the backlog has no bound: if transitions come faster than the observers return, each adds at
    /// most 320 bytes on a 64-bit machine. The backlog shrinks again when the observers catch up. If your
    /// observer may be slow, send the transition to a bounded channel.
    pub fn on_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Tries other settings beside the breaker's own from the start, like [`CircuitBreaker::shadow`] does for a
    /// running breaker. Default: none.
    pub fn shadow(mut self, config: Config) -> Self {
        self.shadow = Some(config);
        self
    }

    /// Adds an observer of the state changes that a shadow would make. Default: none.
    ///
    /// Observers added with [`on_transition`](Self::on_transition) are not called for these, so a shadow
    /// triggers no alerts. Each shadow counts its transitions from 1. Otherwise these observers are like
    /// others.
    pub fn on_shadow_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.shadow_observers.push(Box::new(observer));
        self
    }

    /// Makes the breaker observe only: it rejects no call and shows what it would do. It starts forced closed,
    /// with its own settings as its [shadow](Self::shadow). Use this to roll out a breaker.
    ///
    /// An observer of [`on_transition`](Self::on_transition) is called for the change to
    /// [`State::ForcedClosed`](crate::State::ForcedClosed). To activate the breaker, close it and end the
    /// shadow.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// let breaker = CircuitBreaker::builder("payments").error_threshold(3).observe_only().build()?;
    /// for _ in 0..5 {
    ///     breaker.try_acquire().expect("it rejects no call").failure();
    /// }
    /// let shadow = breaker.metrics().shadow.unwrap();
    /// assert_eq!((shadow.state, shadow.rejected_count), (State::Open, 2));
    ///
    /// breaker.transition_to(State::Closed);
    /// breaker.end_shadow();
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn observe_only(mut self) -> Self {
        self.observes_only = true;
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is out of range or contradicts another one. The error names the setting,
    /// the value and the allowed range. Values are never adjusted silently.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        let (name, shared) = self.shared()?;
        Ok(CircuitBreaker::with(name, Arc::new(shared)))
    }

    pub(crate) fn shared(self) -> Result<(Name, Shared), ConfigError> {
        let settings = self.config.clone().validate()?;
        let shadow = self.shadow.or(self.observes_only.then_some(self.config));
        let shadow = shadow.map(|config| Ok((config.clone(), config.validate()?))).transpose()?;
        let shared = Shared {
            shadow_observers: self.shadow_observers.into(),
            shadow: shadow.map(Box::new),
            observes_only: self.observes_only,
            ..Shared::new(settings, self.clock, self.observers.into())
        };
        Ok((self.name.into(), shared))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("config", &self.config)
            .field("observers", &self.observers.len())
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}
