use std::fmt;
use std::hash::{Hash, RandomState};
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, UnitWeighter};

use super::{Keeper, NameOf, Registry, RegistryMetrics, share};
use crate::builder::Builder;
use crate::config::ConfigError;
use crate::name::Name;
use crate::sync::Mutex;

pub(super) const DEFAULT_CAPACITY: usize = 1024;
const LARGEST: usize = 1 << 24;

/// Makes a [`Registry`]; made by [`Registry::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct RegistryBuilder<K> {
    pub(super) template: Builder,
    pub(super) capacity: usize,
    pub(super) name_of: NameOf<K>,
}

impl<K: Eq + Hash + Clone> RegistryBuilder<K> {
    /// How many breakers there are at most, but for those that are [never evicted](Registry#eviction): 1 to 16 777 216.
    /// Default: 1024.
    ///
    /// Each of the registry's parts, at most four for each core, evicts by itself, from its share of the capacity rounded
    /// up. So a few less than the capacity may be all, where keys fall unevenly.
    pub fn capacity(mut self, breakers: usize) -> Self {
        self.capacity = breakers;
        self
    }

    /// How a breaker is named. Default: as its key is displayed.
    ///
    /// A name that shares the key's text takes no memory for it:
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

    /// Makes the registry.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the capacity or a setting of the template is out of its range.
    ///
    /// # Panics
    ///
    /// Never: the cache is given all that it asks for.
    pub fn build(self) -> Result<Registry<K>, ConfigError> {
        if !(1..=LARGEST).contains(&self.capacity) {
            let allowed = format!("1 to {LARGEST}");
            return Err(ConfigError::new("capacity", self.capacity, allowed));
        }
        let (name, mut terms) = self.template.terms()?;
        let clock = terms.clock.take().map(Arc::from);
        terms.clock = share(clock.as_ref());
        let gone = Arc::new(Mutex::new(RegistryMetrics::none(name.clone())));
        let options = OptionsBuilder::new()
            .weight_capacity(self.capacity as u64)
            .estimated_items_capacity(self.capacity)
            // Half for those that have come back again, half for the new ones: these have some time to do so.
            .hot_allocation(0.5)
            // Keys that were evicted are not remembered: each would take as much as one that is here.
            .ghost_allocation(0.0)
            .build()
            .expect("both capacities are set");
        let keeper = Keeper { gone: gone.clone() };
        let cache = Cache::with_options(options, UnitWeighter, RandomState::new(), keeper);
        let terms = Mutex::new(Arc::new(terms));
        Ok(Registry { cache, name, terms, clock, changing: Mutex::new(()), name_of: self.name_of, gone })
    }
}

impl<K> fmt::Debug for RegistryBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("template", &self.template)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
