//! One breaker for each host, tenant or model.

mod builder;
mod metrics;

use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::hash::{Hash, RandomState};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, UnitWeighter};

use crate::breaker::CircuitBreaker;
use crate::builder::Builder;
use crate::clock::Clock;
use crate::config::{Approved, Config, ConfigError};
use crate::metrics::Metrics;
use crate::name::Name;
use crate::state::State;
use crate::sync::{Mutex, full_fence};
use crate::terms::Terms;

use builder::DEFAULT_CAPACITY;
pub use builder::RegistryBuilder;
pub use metrics::RegistryMetrics;

/// A breaker for each key, made on the key's first use, all with the same settings.
///
/// ```
/// use tripcoil::{CircuitBreaker, Registry, State};
///
/// let hosts: Registry<String> = Registry::builder(CircuitBreaker::builder("hosts").error_threshold(3)).build()?;
///
/// for _ in 0..3 {
///     let _ = hosts.get("down.example").call_sync(|| Err::<(), _>("no answer"));
/// }
/// hosts.get("up.example").call_sync(|| Ok::<_, &str>(())).unwrap();
///
/// assert_eq!(hosts.get("down.example").state(), State::Open);
/// assert_eq!(hosts.get("up.example").state(), State::Closed);
/// assert_eq!(hosts.metrics().open, 1);
/// assert_eq!(hosts.worst(1)[0].name, "down.example");
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
///
/// A look-up takes the lock of one part of the registry, for reading, and hands out an [`Arc`]. Who makes many calls
/// for one key keeps it. Names are keys as they are displayed, unless [`name_by`](RegistryBuilder::name_by) says else;
/// observers and rejections tell them.
///
/// # Eviction
///
/// A registry holds about so many breakers as its [`capacity`](RegistryBuilder::capacity) says. A key beyond that takes
/// the place of one that has not been used lately; many keys that are used but once do not crowd out those that are used
/// again and again. A key whose breaker was evicted gets a new one, which is closed and has counted nothing. **Never evicted** is a breaker that
///
/// - is not closed, or is forced closed: what it knows would be lost,
/// - is held by someone, which a call in flight does: there are no two breakers for one key, unless one was
///   [removed](Self::remove).
///
/// Where all are of that kind, the registry grows beyond its capacity rather than lose one, and a new key then costs a
/// walk over those of its part. As they close and are let go, later new keys bring it back. An open breaker closes only
/// by probes: keys that are never asked for again while open stay, until [`retain`](Self::retain) or
/// [`remove`](Self::remove) takes them out.
///
/// # Export
///
/// With the feature `metrics` or `opentelemetry` a `Roster` takes them all, and gives a bounded number of names series of
/// their own:
///
/// ```
/// # #[cfg(feature = "metrics")] {
/// use std::sync::Arc;
/// use tripcoil::{Registry, Roster};
///
/// let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
/// let roster = Roster::with_max_names(100);
/// let listed = hosts.clone();
/// roster.add_each(move |hand_out| {
///     for (_, breaker) in listed.iter() {
///         hand_out(breaker.name(), &breaker.lifetime_metrics());
///     }
/// });
/// # }
/// ```
pub struct Registry<K> {
    cache: Cache<K, Arc<CircuitBreaker>, UnitWeighter, RandomState, Keeper>,
    name: Name,
    /// What the next breaker is made with.
    terms: Mutex<Arc<Terms>>,
    /// For terms to come; those that there are have it too.
    clock: Option<Arc<dyn Clock>>,
    /// Held by who changes them.
    changing: Mutex<()>,
    name_of: NameOf<K>,
    /// What the breakers counted that are no longer here.
    gone: Arc<Mutex<RegistryMetrics>>,
}

type NameOf<K> = Box<dyn Fn(&K) -> Name + Send + Sync>;

/// Says what is not to be evicted, and keeps the counts of what is.
#[derive(Clone)]
struct Keeper {
    gone: Arc<Mutex<RegistryMetrics>>,
}

impl<K> Lifecycle<K, Arc<CircuitBreaker>> for Keeper {
    /// Dropped after the part's lock is let go.
    type RequestState = Vec<(K, Arc<CircuitBreaker>)>;

    fn is_pinned(&self, _: &K, breaker: &Arc<CircuitBreaker>) -> bool {
        // The part is locked for writing, so nobody is given a handle meanwhile; and where there is none, nobody makes
        // another, nor calls, nor moves the state.
        if Arc::weak_count(breaker) > 0 || Arc::strong_count(breaker) > 1 {
            return true;
        }
        // Who saw the last handle dropped sees by this what was done through it.
        full_fence();
        breaker.state() != State::Closed
    }

    fn on_evict(&self, evicted: &mut Self::RequestState, key: K, breaker: Arc<CircuitBreaker>) {
        self.gone.lock().add_gone(&breaker.lifetime_metrics());
        evicted.push((key, breaker));
    }
}

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
    /// tenants.get(&7).call_sync(|| Ok::<_, ()>(())).unwrap();
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
        RegistryBuilder { template, capacity: DEFAULT_CAPACITY, name_of }
    }

    /// The name of the registry itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The breaker of `key`, which is made if there is none. Of threads that ask at the same time one makes it.
    ///
    /// `&str` finds the breaker of a `String`. For keys that are `Arc<str>` use [`find`](Self::find) first where
    /// there is only a `&str` at hand.
    pub fn get<Q>(&self, key: &Q) -> Arc<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut terms = None;
        let made = self.cache.get_or_insert_with(key, || {
            let terms = terms.insert(self.terms());
            let name = (self.name_of)(&key.to_owned());
            Ok::<_, std::convert::Infallible>(Arc::new(CircuitBreaker::with(name, terms.clone())))
        });
        let breaker = match made {
            Ok(breaker) => breaker,
            Err(never) => match never {},
        };
        if let Some(terms) = terms {
            self.catch_up(&breaker, terms);
        }
        breaker
    }

    fn terms(&self) -> Arc<Terms> {
        self.terms.lock().clone()
    }

    /// Brings a breaker up to date that was made with `terms`, and was not here yet when those were changed.
    fn catch_up(&self, breaker: &CircuitBreaker, mut terms: Arc<Terms>) {
        loop {
            let newest = self.terms();
            if Arc::ptr_eq(&newest, &terms) {
                return;
            }
            breaker.engine().reconfigure(newest.rules.clone(), newest.rates.as_ref());
            terms = newest;
        }
    }

    /// Gives every breaker new settings, those that are here as
    /// [`CircuitBreaker::reconfigure`] does, and those that will be made.
    ///
    /// A breaker that is here takes the memory that is told there; one that is made later takes no more than before.
    ///
    /// ```
    /// use tripcoil::{Config, Registry, State};
    ///
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// hosts.get("a");
    ///
    /// let mut config = Config::default();
    /// config.error_threshold = Some(Some(1));
    /// hosts.reconfigure(config)?;
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
        for (_, breaker) in self.iter() {
            breaker.engine().reconfigure(rules.clone(), rates.as_ref());
        }
        drop(changing);
        Ok(())
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
        self.cache.get(key)
    }

    /// Takes out the breaker of `key`, whatever its state. Those who hold it may go on using it, but the next
    /// [`get`](Self::get) makes another.
    ///
    /// What it has counted so far stays in the [`metrics`](Self::metrics) of the registry.
    pub fn remove<Q>(&self, key: &Q) -> Option<Arc<CircuitBreaker>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (_, breaker) = self.cache.remove(key)?;
        self.gone.lock().add_gone(&breaker.lifetime_metrics());
        Some(breaker)
    }

    /// Takes out every breaker that `keeps` does not keep, as [`remove`](Self::remove) does.
    ///
    /// Each part is locked while it is looked through: `keeps` must not use the registry.
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
        self.cache.retain(|key, breaker| {
            let is_kept = keeps(key, breaker);
            if !is_kept {
                self.gone.lock().add_gone(&breaker.lifetime_metrics());
            }
            is_kept
        });
    }

    /// How many breakers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there is no breaker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Every key and its breaker, in no order. What is made or taken out meanwhile may be among them or not.
    ///
    /// The breaker that is held at the moment is not evicted.
    pub fn iter(&self) -> impl Iterator<Item = (K, Arc<CircuitBreaker>)> + '_ {
        self.cache.iter()
    }

    /// The breakers by their states, and the sums of their counts.
    ///
    /// It looks at every breaker, so it is made for a scrape, for whose time none of them is evicted.
    #[must_use]
    pub fn metrics(&self) -> RegistryMetrics {
        // All are held before those that are gone are looked at: each is among these or those, and not among both.
        let held: Vec<_> = self.iter().map(|(_, breaker)| breaker).collect();
        let mut sums = self.gone.lock().clone();
        for breaker in held {
            sums.add(&breaker.lifetime_metrics());
        }
        sums
    }

    /// The metrics of the `most` breakers that are worst off: first those that are not closed, then those with the longest
    /// runs of errors, then those with the most errors in all.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<Metrics> {
        let mut all: Vec<_> = self.iter().map(|(_, breaker)| breaker.metrics()).collect();
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

impl<K> fmt::Debug for Registry<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("name", &self.name).finish_non_exhaustive()
    }
}

fn badness(metrics: &Metrics) -> (bool, u64, u64) {
    let rejects = !matches!(metrics.state, State::Closed | State::ForcedClosed);
    (rejects, metrics.consecutive_error_count, metrics.total_error_count)
}
