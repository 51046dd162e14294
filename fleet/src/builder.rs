use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{FleetConfig, Origins};
use crate::event::FleetEvent;
use crate::fleet::{EventObserver, Fleet};
use crate::protocol::{LONGEST_NAME, Quorum, escape};
use crate::store::Store;

/// A builder for a [`Fleet`], created by [`Fleet::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct FleetBuilder {
    name: String,
    store: Option<Source>,
    settings: Settings,
    observers: Vec<EventObserver>,
}

/// Where the store is.
enum Source {
    #[cfg(feature = "redis")]
    Redis(Box<crate::redis::Redis>),
    Store(Arc<dyn Store>),
}

impl Source {
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "a store of the user's keeps its own"))]
    fn into_store(self, timeout: Duration) -> Arc<dyn Store> {
        match self {
            #[cfg(feature = "redis")]
            Source::Redis(redis) => Arc::new(redis.command_timeout(timeout)),
            Source::Store(store) => store,
        }
    }
}

/// All that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) instance: Option<String>,
    pub(crate) quorum: Quorum,
    pub(crate) beat: Duration,
    pub(crate) member_ttl: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) command_timeout: Duration,
    pub(crate) slow_close: Duration,
    /// The names of settings where they were read, if they differ.
    pub(crate) origins: Origins,
}

/// The error returned by [`FleetBuilder::build`] and by the functions that read a [`FleetConfig`]: a setting is unknown, out
/// of range or contradicts another setting.
///
/// ```
/// use std::time::Duration;
/// use tripcoil_fleet::{Fleet, Memory};
///
/// let error = Fleet::builder("checkout").store(Memory::new()).beat(Duration::from_secs(3600)).build().unwrap_err();
/// assert_eq!(error.to_string(), "`beat` is 3600s, allowed is 100ms to 600s");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildError {
    /// The name of the setting. For an unknown setting, the suggested one; empty if none is similar.
    pub setting: &'static str,
    /// The value that was given. It is never an address, which may contain a password. For an unknown setting, the name as
    /// written.
    pub value: String,
    /// The allowed values. For an unknown setting, the suggested name; empty if none is similar.
    pub allowed: String,
    /// The name of the setting where it was read, if it differs: a variable or a field.
    called: Option<String>,
    is_unknown: bool,
}

impl BuildError {
    pub(crate) fn new(setting: &'static str, value: impl fmt::Debug, allowed: impl Into<String>) -> Self {
        let (value, allowed) = (format!("{value:?}"), allowed.into());
        BuildError { setting, value, allowed, called: None, is_unknown: false }
    }

    /// `called` is unknown; `nearest`, if there is one, was probably meant. `name` maps a setting to its name in the source
    /// that `called` was read from.
    pub(crate) fn unknown(called: &str, nearest: Option<&'static str>, name: impl FnOnce(&str) -> String) -> Self {
        BuildError {
            setting: nearest.unwrap_or_default(),
            value: called.to_owned(),
            allowed: nearest.map(name).unwrap_or_default(),
            called: Some(called.to_owned()),
            is_unknown: true,
        }
    }

    /// Sets the name of the setting where it was read.
    pub(crate) fn called(self, name: &str) -> Self {
        BuildError { called: Some(name.to_owned()), ..self }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BuildError { value, allowed, .. } = self;
        let called = self.called.as_deref().unwrap_or(self.setting);
        match self.is_unknown {
            true if allowed.is_empty() => write!(f, "unknown setting `{called}`"),
            true => write!(f, "unknown setting `{called}`; did you mean `{allowed}`?"),
            false => write!(f, "`{called}` is {value}, allowed is {allowed}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// The store at an address, which no error shows.
#[cfg(feature = "redis")]
pub(crate) fn redis_at(url: &str) -> Result<crate::redis::Redis, BuildError> {
    crate::redis::Redis::new(url)
        .map_err(|error| BuildError::new("redis", format_args!("malformed"), error.to_string()))
}

impl FleetBuilder {
    pub(crate) fn new(name: String) -> Self {
        let settings = Settings {
            instance: None,
            quorum: Quorum::default(),
            beat: Duration::from_secs(5),
            member_ttl: None,
            lease: None,
            command_timeout: Duration::from_millis(500),
            slow_close: Duration::from_secs(30),
            origins: Origins::new(),
        };
        FleetBuilder { name, store: None, settings, observers: Vec::new() }
    }

    /// Uses the Redis or Valkey server at this address as the store. [`Redis::new`](crate::Redis::new) documents the
    /// format.
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] if the address is invalid. The error does not show the address, which may contain a
    /// password.
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub fn redis(mut self, url: &str) -> Result<Self, BuildError> {
        self.store = Some(Source::Redis(Box::new(redis_at(url)?)));
        Ok(self)
    }

    /// Uses this store. Every fleet needs a store.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Source::Store(Arc::new(store)));
        self
    }

    /// Applies all settings that are set in `config`. They override earlier calls, and later calls override them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil_fleet::{Fleet, FleetConfig, Memory};
    ///
    /// let fleet = Fleet::builder("checkout")
    ///     .beat(Duration::from_secs(2)) // overridden by CHECKOUT_FLEET_BEAT
    ///     .store(Memory::new()) // overridden by CHECKOUT_FLEET_REDIS
    ///     .config(FleetConfig::from_env("CHECKOUT_FLEET_")?)
    ///     .build()?;
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    pub fn config(mut self, config: FleetConfig) -> Self {
        #[cfg(feature = "redis")]
        if let Some(redis) = config.redis.clone() {
            self.store = Some(Source::Redis(Box::new(redis)));
        }
        config.over(&mut self.settings);
        self
    }

    /// Sets the display name of this member: 1 to 100 bytes. Default: the process ID.
    ///
    /// The name does not have to be unique, because each start of a member gets its own incarnation.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.settings.instance = Some(instance.into());
        self.settings.origins.remove("instance");
        self
    }

    /// Sets how many votes open the fleet. Default: half of the live members that use the breaker, and at least two.
    ///
    /// A share must be above 0 and at most 1, with a minimum of at least 2 votes. A count must be at least 1.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.settings.quorum = quorum;
        self.settings.origins.remove("quorum");
        self
    }

    /// Sets how often the member sends a heartbeat to the store: 100 ms to 10 minutes. Default: 5 s.
    ///
    /// After a fault, members agree with the store again within one beat plus the command timeout.
    pub fn beat(mut self, beat: Duration) -> Self {
        self.settings.beat = beat;
        self.settings.origins.remove("beat");
        self
    }

    /// Sets how long a member may miss its beats before it counts as dead: two beats to one day. Default: three beats.
    ///
    /// Votes of dead members do not count.
    pub fn member_ttl(mut self, ttl: Duration) -> Self {
        self.settings.member_ttl = Some(ttl);
        self.settings.origins.remove("member_ttl");
        self
    }

    /// Sets how long the right to probe lasts unless the prober renews it: 100 ms to one hour. Default: the
    /// `probe_timeout` of each breaker, but at least one second.
    ///
    /// If the prober dies, another member may probe after this time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = Some(lease);
        self.settings.origins.remove("lease");
        self
    }

    /// Sets how long the store may take to answer: 10 ms to one minute. Default: 500 ms.
    ///
    /// A store that you pass to [`store`](Self::store) keeps its own timeout.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.settings.command_timeout = timeout;
        self.settings.origins.remove("command_timeout");
        self
    }

    /// Sets how long breakers take to close when the fleet closes and when an operator's order ends: 200 ms to one hour, or
    /// zero to close at once. Default: 30 s.
    ///
    /// A successful verdict rests on a few calls of a single member. Without a slow close, all members would send all of
    /// their calls at the same moment. Instead, each breaker lets a growing share of its calls pass, in twenty steps, as
    /// with [`Order::SlowClose`](tripcoil::Order::SlowClose), and opens again if a step fails. With the default, a step
    /// lasts 1.5 s, longer than most calls, and the whole ramp takes as long as the default reset timeout.
    ///
    /// The prober closes by its own probes. All its calls then pass, unless its breaker has a
    /// [`recovery`](tripcoil::Builder::recovery).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil_fleet::{Fleet, Memory};
    ///
    /// let fleet = Fleet::builder("checkout").store(Memory::new()).slow_close(Duration::from_secs(60)).build()?;
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    pub fn slow_close(mut self, ramp: Duration) -> Self {
        self.settings.slow_close = ramp;
        self.settings.origins.remove("slow_close");
        self
    }

    /// Adds an observer for all events from the start. [`Fleet::on_event`] documents how observers are called.
    ///
    /// ```
    /// use tripcoil_fleet::{Fleet, Memory};
    ///
    /// let fleet = Fleet::builder("checkout").store(Memory::new()).on_event(|event| eprintln!("{event}")).build()?;
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&FleetEvent) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Starts the member. This method does not wait for the store, and succeeds even if the store is down.
    ///
    /// # Errors
    ///
    /// Returns a [`BuildError`] if a setting is out of range or contradicts another setting, or if there is no store.
    /// The error names the setting, the value and the allowed range.
    pub fn build(self) -> Result<Fleet, BuildError> {
        self.check().map_err(|error| match self.settings.origins.get(error.setting) {
            Some(called) => error.called(called),
            None => error,
        })?;
        let missing = || BuildError::new("store", format_args!("missing"), "`redis(..)` or `store(..)`");
        let store = self.store.ok_or_else(missing)?.into_store(self.settings.command_timeout);
        Ok(Fleet::start(self.name, store, &self.settings, self.observers))
    }

    fn check(&self) -> Result<(), BuildError> {
        let Settings { instance, quorum, beat, member_ttl, lease, command_timeout, slow_close, .. } = &self.settings;
        // A hash of 17 characters follows upon an instance's name.
        if self.name.is_empty() || escape(&self.name).len() > LONGEST_NAME {
            return Err(BuildError::new("name", &self.name, format!("1 to {LONGEST_NAME} bytes, once escaped")));
        }
        if let Some(instance) = instance.as_ref().filter(|instance| !(1..=100).contains(&instance.len())) {
            return Err(BuildError::new("instance", instance, "1 to 100 bytes"));
        }
        check_quorum(*quorum)?;
        check_range("beat", *beat, Duration::from_millis(100), Duration::from_secs(600))?;
        if let Some(ttl) = member_ttl {
            check_range("member_ttl", *ttl, 2 * *beat, Duration::from_secs(24 * 3600))?;
        }
        if let Some(lease) = lease {
            check_range("lease", *lease, Duration::from_millis(100), Duration::from_secs(3600))?;
        }
        let (shortest, longest) = (Duration::from_millis(200), Duration::from_secs(3600));
        if !slow_close.is_zero() && !(shortest..=longest).contains(slow_close) {
            return Err(BuildError::new("slow_close", slow_close, format!("0ns, or {shortest:?} to {longest:?}")));
        }
        check_range("command_timeout", *command_timeout, Duration::from_millis(10), Duration::from_secs(60))
    }
}

fn check_quorum(quorum: Quorum) -> Result<(), BuildError> {
    let is_allowed = |share: f64| share > 0.0 && share <= 1.0;
    if let Some(share) = quorum.share.filter(|share| !is_allowed(*share)) {
        return Err(BuildError::new("quorum", share, "a share above 0, up to 1"));
    }
    let fewest = if quorum.share.is_some() { 2 } else { 1 };
    if quorum.floor < fewest {
        return Err(BuildError::new("quorum", quorum.floor, format!("at least {fewest} votes")));
    }
    Ok(())
}

fn check_range(setting: &'static str, value: Duration, least: Duration, most: Duration) -> Result<(), BuildError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(BuildError::new(setting, value, format!("{least:?} to {most:?}")))
}

impl fmt::Debug for FleetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetBuilder")
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
