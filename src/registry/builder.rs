use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::hooks::{Hooks, RegistryChange};
use super::listed::{DefaultHashBuilder, KnownHash, Map};
use super::open_share::Observer;
use super::ring::EvictionRing;
use super::totals::RegistryTotals;
use super::{NameOf, Registry, share};
use crate::breaker::CircuitBreaker;
use crate::breaker::builder::Builder;
use crate::config::ConfigError;
use crate::engine::membership::Membership;
use crate::engine::open_limit::SuppressedOpening;
use crate::name::Name;
use crate::sync::Mutex;

pub(super) const DEFAULT_CAPACITY: usize = 1024;
const LARGEST: usize = Membership::PLACES;

/// Builds a [`Registry`]. Created by [`Registry::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct RegistryBuilder<K, S = DefaultHashBuilder> {
    pub(super) template: Builder,
    pub(super) capacity: usize,
    pub(super) name_of: NameOf<K>,
    pub(super) hash_builder: S,
    pub(super) max_open_share: Option<f64>,
    pub(super) observers: Vec<Observer>,
    pub(super) hooks: Hooks,
}

impl<K: Eq + Hash + Clone, S: BuildHasher> RegistryBuilder<K, S> {
    /// The maximum number of listed breakers: 1 to 16 777 216. Default: 1024.
    ///
    /// A key beyond that [evicts](Registry#eviction) another one.
    pub fn capacity(mut self, breakers: usize) -> Self {
        self.capacity = breakers;
        self
    }

    /// Hashes the keys with `hash_builder`. Default: [`DefaultHashBuilder`].
    ///
    /// A weak hash is fine as long as it distinguishes keys; for numbers, the number itself will do. It must
    /// not map dozens of keys to the same hash, or the registry's table grows without bound.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use tripcoil::{CircuitBreaker, Registry};
    ///
    /// let hosts: Registry<String, RandomState> =
    ///     Registry::builder(CircuitBreaker::builder("hosts")).hasher(RandomState::new()).build()?;
    /// hosts.call_sync("up.example", || Ok::<_, ()>(())).unwrap();
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn hasher<H: BuildHasher>(self, hash_builder: H) -> RegistryBuilder<K, H> {
        let RegistryBuilder { template, capacity, name_of, hash_builder: _, max_open_share, observers, hooks } = self;
        RegistryBuilder { template, capacity, name_of, hash_builder, max_open_share, observers, hooks }
    }

    /// Limits the share of listed breakers that may be open or half-open by their own rules. Above 0.0, up to
    /// 1.0. One breaker always may. Default: off.
    ///
    /// If many dependencies seem to fail at the same time, the fault is probably on your side, for example a
    /// lost network or an expired certificate. Then it may be better to keep calling. Envoy calls this
    /// `max_ejection_percent`.
    ///
    /// The limit is `max(1, floor(share × breakers))`, with the number of breakers listed at that moment.
    /// Beyond the limit, a rule that is met does not open a closed breaker. The breaker's run of errors and its
    /// window start over, as after a [`reset`](crate::CircuitBreaker::reset) that keeps the totals, and calls
    /// in flight change the totals only.
    /// [`suppressed_open_count`](crate::RegistryMetrics::suppressed_open_count) counts these cases, and
    /// observers added with [`on_suppressed_opening`](Self::on_suppressed_opening) are called.
    ///
    /// An [`Outcome::Trip`](crate::Outcome::Trip), the reopening of a half-open breaker and a manual transition
    /// such as [`open_for`](crate::CircuitBreaker::open_for) are never suppressed. The breakers they open count
    /// towards the limit. Forced breakers and unlisted ones do not.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Registry, State};
    ///
    /// let template = CircuitBreaker::builder("hosts").error_threshold(1);
    /// let hosts: Registry<String> = Registry::builder(template).max_open_share(0.5).build()?;
    /// for host in ["a", "b", "c", "d"] {
    ///     hosts.get(host);
    /// }
    /// for host in ["a", "b", "c"] {
    ///     let _ = hosts.call_sync(host, || Err::<(), _>("no network"));
    /// }
    /// assert_eq!(hosts.get("c").state(), State::Closed);
    /// let metrics = hosts.metrics();
    /// assert_eq!((metrics.open, metrics.suppressed_open_count), (2, 1));
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn max_open_share(mut self, share: f64) -> Self {
        self.max_open_share = Some(share);
        self
    }

    /// Adds an observer that is called when a rule was met without opening its breaker. Default: none.
    ///
    /// Observers are called outside every lock, in the order in which you added them, by the thread whose call
    /// met the rule. Several threads may call an observer at the same time. Panics in observers are caught.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Registry};
    ///
    /// let hosts: Registry<String> = Registry::builder(CircuitBreaker::builder("hosts"))
    ///     .max_open_share(0.1)
    ///     .on_suppressed_opening(|opening| eprintln!("{opening}"))
    ///     .build()?;
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn on_suppressed_opening(mut self, observer: impl Fn(&SuppressedOpening) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Adds an observer, which is notified of each breaker that is made and listed. Default: none.
    ///
    /// Observers are called outside of locks, in the order in which they were added, by the thread that asked for the key.
    /// Threads may call one at the same time. A panic in one is caught. A breaker whose `Arc` is kept is not
    /// [evicted](Registry#eviction); keep a [`Weak`](std::sync::Weak) instead.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Registry};
    ///
    /// let hosts: Registry<String> = Registry::builder(CircuitBreaker::builder("hosts"))
    ///     .on_make(|breaker| println!("{} is new", breaker.name()))
    ///     .on_evict(|breaker| println!("{} is gone", breaker.name()))
    ///     .build()?;
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn on_make(self, observer: impl Fn(&Arc<CircuitBreaker>) + Send + Sync + 'static) -> Self {
        let hook = move |change: RegistryChange<'_>| {
            if let RegistryChange::Made(breaker) = change {
                observer(breaker);
            }
        };
        let _number = self.hooks.add(hook);
        self
    }

    /// Adds an observer, which is notified of each breaker that is no longer listed, because another one took its place or it
    /// was removed. Default: none. The rest is as for [`on_make`](Self::on_make).
    pub fn on_evict(self, observer: impl Fn(&Arc<CircuitBreaker>) + Send + Sync + 'static) -> Self {
        let hook = move |change: RegistryChange<'_>| {
            if let RegistryChange::Evicted(breaker) = change {
                observer(breaker);
            }
        };
        let _number = self.hooks.add(hook);
        self
    }

    /// Derives a breaker's name from its key. Default: the key's `Display` text.
    ///
    /// If several threads use a new key at the same time, each may call `name_of`. Only one result is used.
    ///
    /// A name that shares the key's text takes no extra memory:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tripcoil::{CircuitBreaker, Registry};
    ///
    /// let hosts: Registry<Arc<str>> =
    ///     Registry::builder(CircuitBreaker::builder("hosts")).name_by(Arc::clone).build()?;
    /// assert_eq!(hosts.get(&Arc::from("up.example")).name(), "up.example");
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    pub fn name_by<N: Into<Name>>(mut self, name_of: impl Fn(&K) -> N + Send + Sync + 'static) -> Self {
        self.name_of = Box::new(move |key| name_of(key).into());
        self
    }

    /// Builds the registry.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the capacity, the share or a setting of the template is out of range.
    pub fn build(self) -> Result<Registry<K, S>, ConfigError> {
        if !(1..=LARGEST).contains(&self.capacity) {
            let allowed = format!("1 to {LARGEST}");
            return Err(ConfigError::new("capacity", self.capacity, allowed));
        }
        let is_allowed = |share: f64| share > 0.0 && share <= 1.0;
        if let Some(share) = self.max_open_share.filter(|share| !is_allowed(*share)) {
            return Err(ConfigError::new("max_open_share", share, "above 0.0, up to 1.0"));
        }
        let (name, mut shared) = self.template.shared()?;
        let clock = shared.clock.take().map(Arc::from);
        shared.clock = share(clock.as_ref());
        let totals = Arc::new(RegistryTotals::new(self.max_open_share, self.observers));
        shared.group = Some(totals.clone());
        if self.max_open_share.is_some() {
            shared.open_limit = Some(totals.clone());
        }
        Ok(Registry {
            listed: Map::with_hasher(KnownHash),
            hash_builder: self.hash_builder,
            ring: Mutex::new(EvictionRing::new()),
            capacity: self.capacity,
            name,
            shared: Mutex::new(Arc::new(shared)),
            clock,
            changing: Mutex::new(()),
            name_of: self.name_of,
            totals,
            hooks: self.hooks,
        })
    }
}

impl<K, S> fmt::Debug for RegistryBuilder<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("template", &self.template)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
