//! One breaker for each host, tenant or model.

mod builder;
mod call;
mod guarded;
mod hooks;
mod listed;
mod look_up;
mod metrics;
mod open_share;
mod own_handle;
mod ring;
mod totals;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use crate::breaker::CircuitBreaker;
use crate::breaker::builder::Builder;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, ValidSettings};
use crate::engine::shared::Shared;
use crate::metrics::Metrics;
use crate::name::Name;
use crate::state::State;
use crate::sync::Mutex;

use builder::DEFAULT_CAPACITY;
pub use builder::RegistryBuilder;
pub use call::{KeyedCall, KeyedPermit};
pub use guarded::GuardedRegistry;
use hooks::Hooks;
pub use hooks::{ObservingRegistry, RegistryChange};
use listed::Map;
pub use listed::{DefaultHashBuilder, KeyHasher};
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub(crate) use metrics::RegistryEvents;
pub use metrics::RegistryMetrics;
pub use own_handle::BreakerHandle;
use ring::EvictionRing;
use totals::RegistryTotals;

/// One breaker for each key, created on the key's first use, all with the same settings.
///
/// ```
/// use tripcoil::{CircuitBreaker, Registry, State};
///
/// let hosts: Registry<String> = Registry::builder(CircuitBreaker::builder("hosts").error_threshold(3)).build()?;
///
/// for _ in 0..3 {
///     let _ = hosts.call_sync("down.example", || Err::<(), _>("no answer"));
/// }
/// hosts.call_sync("up.example", || Ok::<_, &str>(())).unwrap();
///
/// assert_eq!(hosts.get("down.example").state(), State::Open);
/// assert_eq!(hosts.get("up.example").state(), State::Closed);
/// assert_eq!(hosts.metrics().open, 1);
/// assert_eq!(hosts.worst(1)[0].name, "down.example");
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
///
/// | to protect | use |
/// |---|---|
/// | one future | [`call`](Self::call), [`call_with`](Self::call_with); with a time-out [`call_within`](Self::call_within) |
/// | one closure | [`call_sync`](Self::call_sync), [`call_sync_with`](Self::call_sync_with) |
/// | many call sites with one judge | [`ignoring`](Self::ignoring), [`judging`](Self::judging) |
/// | other code | [`try_acquire`](Self::try_acquire) |
/// | a tower service | [`tower::RegistryLayer`](crate::tower::RegistryLayer) |
///
/// [`get`](Self::get) returns the breaker itself, for everything else that a [`CircuitBreaker`] can do.
///
/// Looking up a listed key takes no lock and writes nothing that another thread's look-up reads. A thread that
/// uses a key more than 640 times a second keeps its own handle to that breaker, for up to 64 breakers, so that
/// threads with the same key do not slow each other down. Such a handle takes 152 bytes. It keeps an evicted
/// breaker's memory until the thread earns another handle or ends.
///
/// A breaker is named by its key's `Display` text, unless you set [`name_by`](RegistryBuilder::name_by).
/// Transitions and rejections carry that name.
///
/// # Eviction
///
/// A registry lists at most [`capacity`](RegistryBuilder::capacity) breakers. A key beyond that samples the
/// next 16 listed breakers in a ring, and evicts the first in this order:
///
/// 1. closed, and not used since the ring's last pass; then any other closed one 2. open past its deadline,
///    longest first; then half-open 3. open, nearest deadline first
///
/// These are **never evicted**: a breaker that was forced open or forced closed manually, one with calls in
/// flight, and one whose handle from [`get`](Self::get) or [`find`](Self::find) is still held.
///
/// If none of the 16 can be evicted, the new key gets a breaker that is not listed. It works for everyone who
/// holds it, but the next use of the key creates another one. [`unlisted`](RegistryMetrics::unlisted) counts
/// these breakers. If you keep handles or force breakers, choose a capacity well above their number.
///
/// A key whose breaker was evicted gets a new one, closed and with all counts at zero.
/// [`evicted_closed`](RegistryMetrics::evicted_closed) and [`evicted_open`](RegistryMetrics::evicted_open)
/// count evictions. The memory is freed once all look-ups in progress have ended. A call that begins at the
/// moment of the eviction ends on the evicted breaker. Its outcome counts in the [`metrics`](Self::metrics) of
/// the registry like any other.
///
/// # Export
///
/// With the feature `metrics` or `opentelemetry`, an `Exporter` exports all breakers, with separate series for
/// a bounded number of names:
///
/// ```
/// # #[cfg(feature = "metrics")] {
/// use std::sync::Arc;
/// use tripcoil::{Exporter, Registry};
///
/// let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
/// let exporter = Exporter::with_max_names(100);
/// exporter.add_registry(&hosts);
/// # }
/// ```
pub struct Registry<K, S = DefaultHashBuilder> {
    /// Who is in it is in `ring` too, but for the moment in which it is added. It is emptied under the lock of `ring`.
    listed: Map<K>,
    hash_builder: S,
    ring: Mutex<EvictionRing>,
    capacity: usize,
    name: Name,
    /// What the next breaker is made with.
    shared: Mutex<Arc<Shared>>,
    /// For terms to come; those that there are have it too.
    clock: Option<Arc<dyn Clock>>,
    /// Held by who changes them.
    changing: Mutex<()>,
    name_of: NameOf<K>,
    totals: Arc<RegistryTotals>,
    hooks: Hooks,
}

type NameOf<K> = Box<dyn Fn(&K) -> Name + Send + Sync>;

impl<K: Eq + Hash + Clone + Display> Registry<K> {
    /// Creates a registry of at most 1024 breakers with the default settings.
    ///
    /// # Panics
    ///
    /// Never, because the defaults are in range.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::Registry;
    ///
    /// let tenants: Registry<u64> = Registry::new("tenants");
    /// tenants.call_sync(&7, || Ok::<_, ()>(())).unwrap();
    /// assert_eq!(tenants.get(&7).name(), "7");
    /// ```
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Registry::builder(CircuitBreaker::builder(name)).build().expect("the defaults are in their ranges")
    }
}

impl<K: Eq + Hash + Clone> Registry<K> {
    /// Starts building a registry. Its breakers get the settings of `template`, and the registry gets its name.
    pub fn builder(template: Builder) -> RegistryBuilder<K>
    where
        K: Display,
    {
        let name_of: NameOf<K> = Box::new(|key| Name::from(Arc::<str>::from(key.to_string())));
        RegistryBuilder {
            template,
            capacity: DEFAULT_CAPACITY,
            name_of,
            hash_builder: DefaultHashBuilder::default(),
            max_open_share: None,
            observers: Vec::new(),
            hooks: Hooks::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, S: BuildHasher> Registry<K, S> {
    /// The name of the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the breaker of `key`, created on the key's first use. Threads that ask at the same time get the
    /// same one.
    ///
    /// The breaker is not evicted while you hold the handle. To make a call, use [`call`](Self::call) and
    /// similar methods, which are faster: threads that clone and drop the same `Arc` slow each other down.
    ///
    /// A `&str` finds the breaker of a `String` key. If your keys are `Arc<str>` and you have only a `&str`,
    /// try [`find`](Self::find) first.
    pub fn get<Q>(&self, key: &Q) -> Arc<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        match self.find_hashed(key, hash) {
            Some(breaker) => breaker,
            None => self.get_hashed(key, hash),
        }
    }

    /// Returns the breaker of `key`, if it is listed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tripcoil::Registry;
    ///
    /// let hosts: Registry<Arc<str>> = Registry::new("hosts");
    /// assert!(hosts.find("up.example").is_none());
    /// hosts.get(&Arc::from("up.example"));
    /// assert!(hosts.find("up.example").is_some());
    /// ```
    pub fn find<Q>(&self, key: &Q) -> Option<Arc<CircuitBreaker>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find_hashed(key, self.hash(key))
    }

    /// Returns the settings of breakers created from now on, like [`CircuitBreaker::config`].
    #[must_use]
    pub fn config(&self) -> Config {
        let shared = self.shared();
        Config::of(&shared.settings, shared.rates.as_deref())
    }

    fn shared(&self) -> Arc<Shared> {
        self.shared.lock().clone()
    }

    /// Replaces the settings of all listed breakers, like [`CircuitBreaker::reconfigure`], and of those created
    /// later.
    ///
    /// A listed breaker takes the memory described there. A breaker created later takes no more than before.
    ///
    /// ```
    /// use tripcoil::{Config, Registry, State};
    ///
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// hosts.get("a");
    ///
    /// hosts.reconfigure(Config::default().error_threshold(1))?;
    /// for host in ["a", "b"] {
    ///     hosts.get(host).try_acquire().unwrap().failure();
    ///     assert_eq!(hosts.get(host).state(), State::Open);
    /// }
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`CircuitBreaker::reconfigure`]. On an error nothing changes.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        let ValidSettings { settings, rates } = config.validate()?;
        let rates = rates.map(Arc::new);
        let changing = self.changing.lock();
        let shared = self.shared().with(settings.clone(), rates.clone(), share(self.clock.as_ref()));
        // First: what is made from now on and not seen below has them.
        *self.shared.lock() = Arc::new(shared);
        self.for_each(|breaker| breaker.engine().reconfigure(settings.clone(), rates.as_ref()));
        drop(changing);
        Ok(())
    }

    /// Removes the breaker of `key`, whatever its state. You can still use handles to it, but the next
    /// [`get`](Self::get) creates another breaker.
    ///
    /// Its counts, from before and after, stay in the [`metrics`](Self::metrics) of the registry.
    pub fn remove<Q>(&self, key: &Q) -> Option<Arc<CircuitBreaker>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        loop {
            let breaker = self.find_hashed(key, hash)?;
            if self.take_out(&breaker) {
                return Some(breaker);
            }
        }
    }

    /// Removes every breaker for which `keeps` returns false, like [`remove`](Self::remove).
    ///
    /// `keeps` is called outside every lock and may use the registry. A breaker that is created at the same
    /// time may be kept without being passed to it.
    ///
    /// ```
    /// use tripcoil::{Registry, State};
    ///
    /// let tenants: Registry<u64> = Registry::new("tenants");
    /// tenants.get(&1).force_open();
    /// tenants.get(&2);
    /// tenants.retain(|_, breaker| breaker.state() == State::ForcedOpen);
    /// assert_eq!(tenants.len(), 1);
    /// ```
    pub fn retain(&self, keeps: impl Fn(&K, &CircuitBreaker) -> bool) {
        for (key, breaker) in self.iter() {
            if !keeps(&key, &breaker) {
                self.take_out(&breaker);
            }
        }
    }

    /// Adds an observer to a registry that stands. It is notified of the breakers that are made and evicted from now on, until
    /// the handle is dropped.
    ///
    /// The rest is as for [`RegistryBuilder::on_make`]. To have those that are listed already, ask for them with
    /// [`iter`](Self::iter) afterwards; one may then be among both.
    ///
    /// ```
    /// use tripcoil::{Registry, RegistryChange};
    ///
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let observing = hosts.observe(|change| match change {
    ///     RegistryChange::Made(breaker) => println!("{} is new", breaker.name()),
    ///     RegistryChange::Evicted(breaker) => println!("{} is gone", breaker.name()),
    ///     _ => {}
    /// });
    /// hosts.get("down.example");
    /// drop(observing);
    /// ```
    pub fn observe(&self, observer: impl Fn(RegistryChange<'_>) + Send + Sync + 'static) -> ObservingRegistry {
        self.hooks.observe(observer)
    }

    /// The number of listed breakers. While other threads add and evict, it may lag behind.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Returns true if no breaker is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Iterates over the keys and their breakers, in no particular order. Breakers that are created or removed
    /// at the same time may be included or not.
    ///
    /// The list of keys is built up front. Only the breaker that was returned last is held, and so not evicted.
    pub fn iter(&self) -> impl Iterator<Item = (K, Arc<CircuitBreaker>)> + '_ {
        let keys: Vec<_> = self.listed.pin().keys().map(|listed| listed.key.clone()).collect();
        keys.into_iter().filter_map(|key| self.peek(&key).map(|breaker| (key, breaker)))
    }

    /// Returns the breakers by state, and the sums of their counts.
    ///
    /// It reads every breaker, so use it for a scrape, not for each call. Meanwhile calls of unlisted keys
    /// wait; others do not.
    #[must_use]
    pub fn metrics(&self) -> RegistryMetrics {
        let mut metrics = RegistryMetrics::none(self.name.clone());
        // Under the lock each breaker is either listed or departed. Nothing in here is the user's. Handles would keep all of
        // them from being evicted.
        let ring = self.ring.lock();
        for breaker in ring.breakers() {
            metrics.add(breaker.state(), breaker.engine().counts());
        }
        let departed = self.totals.add_to(&mut metrics);
        drop(ring);
        drop(departed);
        metrics
    }

    /// Returns the counts of the registry itself, without reading its breakers.
    #[cfg(any(feature = "metrics", feature = "opentelemetry"))]
    pub(crate) fn events(&self) -> RegistryEvents {
        self.totals.events()
    }

    /// Returns the metrics of the `most` breakers in the worst state: first those that are not closed, then
    /// those with the longest runs of errors, then those with the most errors in total.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<Metrics> {
        let mut all = HashMap::new();
        self.for_each(|breaker| drop(all.insert(breaker.engine().id(), breaker.metrics())));
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by(|one, other| {
            badness(other).cmp(&badness(one)).then_with(|| one.name.as_ref().cmp(other.name.as_ref()))
        });
        all.truncate(most);
        all
    }
}

/// A handle to the clock, as terms hold it.
fn share(clock: Option<&Arc<dyn Clock>>) -> Option<Box<dyn Clock>> {
    clock.map(|clock| Box::new(clock.clone()) as Box<dyn Clock>)
}

impl<K, S> fmt::Debug for Registry<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("name", &self.name).finish_non_exhaustive()
    }
}

fn badness(metrics: &Metrics) -> (bool, u64, u64) {
    let rejects = !matches!(metrics.state, State::Closed | State::ForcedClosed);
    (rejects, metrics.consecutive_error_count, metrics.total_error_count)
}
