use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::listed::{DefaultHashBuilder, KnownHash, Map};
use super::ring::Ring;
use super::totals::Totals;
use super::{NameOf, Registry, share};
use crate::builder::Builder;
use crate::config::ConfigError;
use crate::membership::Membership;
use crate::name::Name;
use crate::sync::Mutex;

pub(super) const DEFAULT_CAPACITY: usize = 1024;
const LARGEST: usize = Membership::PLACES;

/// Makes a [`Registry`]; made by [`Registry::builder`].
#[must_use = "a builder makes nothing until `build` is called"]
pub struct RegistryBuilder<K, S = DefaultHashBuilder> {
    pub(super) template: Builder,
    pub(super) capacity: usize,
    pub(super) name_of: NameOf<K>,
    pub(super) hash_builder: S,
}

impl<K: Eq + Hash + Clone, S: BuildHasher> RegistryBuilder<K, S> {
    /// The most breakers that are listed: 1 to 16 777 216. Default: 1024.
    ///
    /// A new key beyond that [evicts](Registry#eviction) another one.
    pub fn capacity(mut self, breakers: usize) -> Self {
        self.capacity = breakers;
        self
    }

    /// Hashes the keys with `hash_builder`. Default: [`DefaultHashBuilder`].
    ///
    /// A weak hash is fine as long as it tells keys apart, even the number itself. It must not give one hash to dozens of
    /// keys: the table of the registry would grow without bound.
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
        let RegistryBuilder { template, capacity, name_of, hash_builder: _ } = self;
        RegistryBuilder { template, capacity, name_of, hash_builder }
    }

    /// Names a breaker by its key. Default: as the key is displayed.
    ///
    /// Threads that ask for a new key at the same time may each call `name_of`. A breaker is made of one result only.
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
    pub fn build(self) -> Result<Registry<K, S>, ConfigError> {
        if !(1..=LARGEST).contains(&self.capacity) {
            let allowed = format!("1 to {LARGEST}");
            return Err(ConfigError::new("capacity", self.capacity, allowed));
        }
        let (name, mut terms) = self.template.terms()?;
        let clock = terms.clock.take().map(Arc::from);
        terms.clock = share(clock.as_ref());
        let totals = Arc::new(Totals::new());
        terms.group = Some(totals.clone());
        Ok(Registry {
            listed: Map::with_hasher(KnownHash),
            hash_builder: self.hash_builder,
            ring: Mutex::new(Ring::new()),
            capacity: self.capacity,
            name,
            terms: Mutex::new(Arc::new(terms)),
            clock,
            changing: Mutex::new(()),
            name_of: self.name_of,
            totals,
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
