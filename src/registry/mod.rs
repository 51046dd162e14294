//! One breaker for each host, tenant or model.

mod builder;
mod call;
mod guarded;
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
use crate::config::{Approved, Config, ConfigError};
use crate::engine::shared::Terms;
use crate::metrics::Metrics;
use crate::name::Name;
use crate::state::State;
use crate::sync::Mutex;

use builder::DEFAULT_CAPACITY;
pub use builder::RegistryBuilder;
pub use call::{KeyedCall, KeyedPermit};
pub use guarded::GuardedRegistry;
use listed::Map;
pub use listed::{DefaultHashBuilder, KeyHasher};
pub use metrics::RegistryMetrics;
pub use own_handle::BreakerHandle;
use ring::Ring;
use totals::Totals;

/// A breaker for each key, made on the key's first use, all with the same settings.
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
/// | many call sites with one idea of what a failure is | [`ignoring`](Self::ignoring), [`judging`](Self::judging) |
/// | anything else | [`try_acquire`](Self::try_acquire) |
/// | a service of tower | [`tower::RegistryLayer`](crate::tower::RegistryLayer) |
///
/// [`get`](Self::get) hands out the breaker itself, for everything else that a [`CircuitBreaker`] can do.
///
/// A look-up of a key that is listed takes no lock and writes nothing that another thread's look-up reads. A thread that
/// calls for one key more than 640 times a second keeps a handle of its own to that breaker, for up to 64 breakers, so that
/// threads which call for the same key do not slow each other down. Such a handle takes 152 bytes and keeps an evicted
/// breaker's memory until the thread earns another handle or ends.
///
/// A breaker is named as its key is displayed, unless [`name_by`](RegistryBuilder::name_by) is given. Observers and
/// rejections carry that name.
///
/// # Eviction
///
/// A registry lists at most [`capacity`](RegistryBuilder::capacity) breakers. A new key beyond that looks at the next 16
/// listed breakers, one after the other in a ring, and evicts the first of this order:
///
/// 1. closed, and not used since the ring was there last; then any other closed one
/// 2. open past its deadline, longest first; then half-open
/// 3. open, nearest deadline first
///
/// These are **never evicted**: a breaker that an operator has forced open or forced closed, one with calls in flight, and one that
/// [`get`](Self::get) or [`find`](Self::find) has handed out and that is still held.
///
/// If all 16 are of that kind, the new key gets a breaker that is not listed. It works, and so does everything that holds
/// it, but the next use of the key makes another one. [`unlisted`](RegistryMetrics::unlisted) counts them. So a registry
/// whose handles are kept by its users, or whose breakers are forced, needs a capacity well above their number.
///
/// A key whose breaker was evicted gets a new one, which is closed and has counted nothing.
/// [`evicted_closed`](RegistryMetrics::evicted_closed) and [`evicted_open`](RegistryMetrics::evicted_open) count what was
/// lost. Its memory is freed when the threads that were in a look-up have gone on. A call that begins at the very moment of the eviction ends on the evicted breaker. Its outcome is in the
/// [`metrics`](Self::metrics) of the registry like any other.
///
/// # Export
///
/// With the feature `metrics` or `opentelemetry` an `Exporter` takes them all, and gives a bounded number of names series of
/// their own:
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
    ring: Mutex<Ring>,
    capacity: usize,
    name: Name,
    /// What the next breaker is made with.
    terms: Mutex<Arc<Terms>>,
    /// For terms to come; those that there are have it too.
    clock: Option<Arc<dyn Clock>>,
    /// Held by who changes them.
    changing: Mutex<()>,
    name_of: NameOf<K>,
    totals: Arc<Totals>,
}

type NameOf<K> = Box<dyn Fn(&K) -> Name + Send + Sync>;

impl<K: Eq + Hash + Clone + Display> Registry<K> {
    /// At most 1024 breakers with the default settings.
    ///
    /// # Panics
    ///
    /// Never: the defaults are in their ranges.
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
    /// Begins a registry whose breakers have the settings of `template`, and which has its name.
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
        }
    }
}

impl<K: Eq + Hash + Clone, S: BuildHasher> Registry<K, S> {
    /// The name of the registry itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The breaker of `key`, which is made if there is none. Threads that ask at the same time get the same one.
    ///
    /// The breaker is not evicted as long as the handle is held. To make a call, [`call`](Self::call) and its siblings are
    /// faster: threads that clone and drop one `Arc` slow each other down.
    ///
    /// `&str` finds the breaker of a `String`. For keys that are `Arc<str>` use [`find`](Self::find) first where
    /// there is only a `&str` at hand.
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

    /// The breaker of `key`, if there is one.
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

    /// The settings of the breakers that are made from now on, as [`CircuitBreaker::config`] has them.
    #[must_use]
    pub fn config(&self) -> Config {
        let terms = self.terms();
        Config::of(&terms.rules, terms.rates.as_deref())
    }

    fn terms(&self) -> Arc<Terms> {
        self.terms.lock().clone()
    }

    /// Gives every listed breaker new settings, as [`CircuitBreaker::reconfigure`] does, and those that will be made.
    ///
    /// A listed breaker takes the memory that is told there. One that is made later takes no more than before.
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
    /// As [`CircuitBreaker::reconfigure`]. Nothing changes then.
    pub fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        let Approved { rules, rates } = config.approve()?;
        let rates = rates.map(Arc::new);
        let changing = self.changing.lock();
        let terms = self.terms().with(rules.clone(), rates.clone(), share(self.clock.as_ref()));
        // First: what is made from now on and not seen below has them.
        *self.terms.lock() = Arc::new(terms);
        self.for_each(|breaker| breaker.engine().reconfigure(rules.clone(), rates.as_ref()));
        drop(changing);
        Ok(())
    }

    /// Takes out the breaker of `key`, whatever its state. Those who hold it may go on using it, but the next
    /// [`get`](Self::get) makes another.
    ///
    /// What it counts, before and after, stays in the [`metrics`](Self::metrics) of the registry.
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

    /// Takes out every breaker that `keeps` does not keep, as [`remove`](Self::remove) does.
    ///
    /// `keeps` is called outside of locks and may use the registry. A breaker that is made meanwhile may be kept unseen.
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

    /// How many breakers are listed. While threads add and evict, this may lag behind them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether no breaker is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Every key and its breaker, in no order. What is made or taken out meanwhile may be among them or not.
    ///
    /// Only the breaker that is handed out last is held, and so not evicted. The list of keys is made at once.
    pub fn iter(&self) -> impl Iterator<Item = (K, Arc<CircuitBreaker>)> + '_ {
        let keys: Vec<_> = self.listed.pin().keys().map(|listed| listed.key.clone()).collect();
        keys.into_iter().filter_map(|key| self.peek(&key).map(|breaker| (key, breaker)))
    }

    /// The breakers by their states, and the sums of their counts.
    ///
    /// It looks at every breaker, so it is made for a scrape. A key that is not listed waits meanwhile; all others do not.
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

    /// The metrics of the `most` breakers that are worst off: first those that are not closed, then those with the longest
    /// runs of errors, then those with the most errors in all.
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
