use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::FleetEvent;
use crate::fleet::{EventObserver, Fleet};
use crate::protocol::{LONGEST_NAME, Quorum, escape};
use crate::store::Store;

/// A builder for a [`Fleet`], created by [`Fleet::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct FleetBuilder {
    name: String,
    store: Option<Arc<dyn Store>>,
    settings: Settings,
    observers: Vec<EventObserver>,
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
}

/// The error returned by [`FleetBuilder::build`]: a setting is out of range or contradicts another setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, allowed is {allowed}")]
#[non_exhaustive]
pub struct BuildError {
    /// The name of the setting.
    pub setting: &'static str,
    /// The value that was given. It is never an address, which may contain a password.
    pub value: String,
    /// The allowed values.
    pub allowed: String,
}

impl BuildError {
    fn new(setting: &'static str, value: impl fmt::Debug, allowed: impl Into<String>) -> Self {
        BuildError { setting, value: format!("{value:?}"), allowed: allowed.into() }
    }
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
    pub fn redis(self, url: &str) -> Result<Self, BuildError> {
        let timeout = self.settings.command_timeout;
        let store = crate::redis::Redis::new(url).map_err(|error| BuildError {
            setting: "redis",
            value: "malformed".to_owned(),
            allowed: error.to_string(),
        })?;
        Ok(self.store(store.command_timeout(timeout)))
    }

    /// Uses this store. Every fleet needs a store.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the display name of this member: 1 to 100 bytes. Default: the process ID.
    ///
    /// The name does not have to be unique, because each start of a member gets its own incarnation.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.settings.instance = Some(instance.into());
        self
    }

    /// Sets how many votes open the fleet. Default: half of the live members that use the breaker, and at least two.
    ///
    /// A share must be above 0 and at most 1, with a minimum of at least 2 votes. A count must be at least 1.
    pub fn quorum(mut self, quorum: Quorum) -> Self {
        self.settings.quorum = quorum;
        self
    }

    /// Sets how often the member sends a heartbeat to the store: 100 ms to 10 minutes. Default: 5 s.
    ///
    /// After a fault, members agree with the store again within one beat plus the command timeout.
    pub fn beat(mut self, beat: Duration) -> Self {
        self.settings.beat = beat;
        self
    }

    /// Sets how long a member may miss its beats before it counts as dead: two beats to one day. Default: three beats.
    ///
    /// Votes of dead members do not count.
    pub fn member_ttl(mut self, ttl: Duration) -> Self {
        self.settings.member_ttl = Some(ttl);
        self
    }

    /// Sets how long the right to probe lasts unless the prober renews it: 100 ms to one hour. Default: the
    /// `probe_timeout` of each breaker, but at least one second.
    ///
    /// If the prober dies, another member may probe after this time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = Some(lease);
        self
    }

    /// Sets how long the store may take to answer: 10 ms to one minute. Default: 500 ms.
    ///
    /// Call this before [`redis`](Self::redis). A store that you pass to [`store`](Self::store) keeps its own timeout.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.settings.command_timeout = timeout;
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
        self.check()?;
        let Some(store) = self.store else {
            return Err(BuildError::new("store", "missing", "`redis(..)` or `store(..)`"));
        };
        Ok(Fleet::start(self.name, store, &self.settings, self.observers))
    }

    fn check(&self) -> Result<(), BuildError> {
        let Settings { instance, quorum, beat, member_ttl, lease, command_timeout } = &self.settings;
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
