use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::CircuitBreaker;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, for_each_setting};
use crate::engine::observers::Observer;
use crate::engine::shared::Terms;
use crate::name::Name;
use crate::outcome::Dropped;
use crate::transition::Transition;
use crate::window::Window;

macro_rules! builder {
    ($($(#[$doc:meta])* $setting:ident($($arg:ident: $type:ty),+): $value:ty = $given:expr;
        $default:literal, $allowed:literal, $text:literal;)+) => {
        /// Makes a [`CircuitBreaker`] with settings of its own; made by [`CircuitBreaker::builder`].
        ///
        /// | setting | default | allowed |
        /// |---|---|---|
        $(#[doc = concat!(
            "| [`", stringify!($setting), "`](Self::", stringify!($setting), ") | ", $default, " | ", $allowed, " |"
        )])+
        /// | [`clock`](Self::clock) | [`MonotonicClock`](crate::clock::MonotonicClock) | |
        /// | [`on_transition`](Self::on_transition) | none | any number |
        ///
        /// Which rules to set, and what each lets through: [choosing rules](crate::choosing_rules).
        ///
        /// Durations count to the millisecond, rounded up, and saturate; `Duration::MAX` is as good as for ever.
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
    /// Begins a breaker with settings of its own, which [`Builder`] lists.
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
    /// Takes over every setting that `config` gives; the others stay as they are.
    ///
    /// What is given last counts: settings before this are defaults that `config` may change, settings after it are fixed.
    /// [`Config`] shows it.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config.or(self.config);
        self
    }

    /// Where the breaker gets the time from. Default: [`MonotonicClock`](crate::clock::MonotonicClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Adds an observer, which is told of each change of state. Default: none.
    ///
    /// Observers are called one at a time, in the order of the transitions and of their registration, each
    /// transition exactly once, outside every lock. They run on a thread that used the breaker, so they
    /// should be quick; they may call the breaker, and a transition that they cause is told after this one.
    /// A panic in one is caught: it harms neither the breaker nor the other observers.
    ///
    /// While a thread runs the observers, other threads do not wait for it: they put their transitions in a backlog,
    /// and the thread that runs the observers goes on until the backlog is empty. No transition is left out, so the
    /// backlog has no bound: if transitions come faster than the observers return, it grows by each of them, by at most
    /// 320 bytes on a 64-bit machine, and shrinks when the observers have caught up. An observer that may be slow should
    /// hand the transition to a channel of your own, which can drop what is too much.
    pub fn on_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Tries another policy beside the breaker's own, from the start: as [`CircuitBreaker::shadow`] does for a breaker
    /// at work. Default: none.
    pub fn shadow(mut self, config: Config) -> Self {
        self.shadow = Some(config);
        self
    }

    /// Adds an observer of the changes of state that a shadow would make. Default: none.
    ///
    /// The observers of [`on_transition`](Self::on_transition) are not called for them, so a shadow pages nobody. Each
    /// shadow counts its transitions from 1. What holds for other observers holds for these.
    pub fn on_shadow_transition(mut self, observer: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.shadow_observers.push(Box::new(observer));
        self
    }

    /// Makes a breaker that rejects no call and shows what it would do: it begins forced closed, with its own settings
    /// as its [shadow](Self::shadow). Use it to roll a breaker out.
    ///
    /// An observer of [`on_transition`](Self::on_transition) is called for the change to [`State::ForcedClosed`](crate::State::ForcedClosed). To
    /// put the breaker to work, close it and end the shadow.
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

    /// Makes the breaker.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is out of its range or contradicts another; it names the setting, the
    /// value and what is allowed. Nothing is adjusted in silence.
    pub fn build(self) -> Result<CircuitBreaker, ConfigError> {
        let (name, terms) = self.terms()?;
        Ok(CircuitBreaker::with(name, Arc::new(terms)))
    }

    pub(crate) fn terms(self) -> Result<(Name, Terms), ConfigError> {
        let settings = self.config.clone().approve()?;
        let shadow = self.shadow.or(self.observes_only.then_some(self.config));
        let shadow = shadow.map(|config| Ok((config.clone(), config.approve()?))).transpose()?;
        let terms = Terms {
            shadow_observers: self.shadow_observers.into(),
            shadow: shadow.map(Box::new),
            observes_only: self.observes_only,
            ..Terms::new(settings, self.clock, self.observers.into())
        };
        Ok((self.name.into(), terms))
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
