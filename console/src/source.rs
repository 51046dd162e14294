use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use tripcoil::{CircuitBreaker, Config, ConfigError, Registry, RegistryMetrics};

use crate::fleet::FleetSource;

/// Something that outlives the console: a reference to a `static`, a reference to a `static` [`LazyLock`], or an
/// [`Arc`].
pub trait Shared<T>: private::Sealed + Send + Sync + 'static {
    /// The shared type.
    fn shared(&self) -> &T;
}

mod private {
    use std::sync::Arc;

    pub trait Sealed {}
    impl<T> Sealed for &'static T {}
    impl<T> Sealed for Arc<T> {}
}

impl<T: Send + Sync> Shared<T> for &'static T {
    fn shared(&self) -> &T {
        self
    }
}

impl<T: Send + Sync> Shared<T> for &'static LazyLock<T> {
    fn shared(&self) -> &T {
        self
    }
}

impl<T: Send + Sync + 'static> Shared<T> for Arc<T> {
    fn shared(&self) -> &T {
        self
    }
}

/// What the console shows, in the order in which it was added.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) breakers: Vec<Box<dyn Shared<CircuitBreaker>>>,
    pub(crate) registries: Vec<Box<dyn Group>>,
    pub(crate) fleets: Vec<Arc<dyn FleetSource>>,
}

/// A registry, whatever its keys are.
///
/// All of it can panic, where hashing, comparing or cloning a key does.
pub(crate) trait Group: Send + Sync {
    fn name(&self) -> &str;
    fn for_each(&self, visit: &mut dyn FnMut(&CircuitBreaker));
    fn named(&self, name: &str) -> Vec<Arc<CircuitBreaker>>;
    fn metrics(&self) -> RegistryMetrics;
    fn config(&self) -> Config;
    fn reconfigure(&self, config: Config) -> Result<(), ConfigError>;
}

/// A registry and how it is held.
pub(crate) struct Held<R, K, S> {
    registry: R,
    keys: std::marker::PhantomData<fn() -> (K, S)>,
}

impl<R, K, S> Held<R, K, S> {
    pub(crate) fn new(registry: R) -> Self {
        Held { registry, keys: std::marker::PhantomData }
    }
}

impl<R, K, S> Group for Held<R, K, S>
where
    R: Shared<Registry<K, S>>,
    K: Eq + Hash + Clone + 'static,
    S: BuildHasher + 'static,
{
    fn name(&self) -> &str {
        self.registry.shared().name()
    }

    fn for_each(&self, visit: &mut dyn FnMut(&CircuitBreaker)) {
        for (_, breaker) in self.registry.shared().iter() {
            visit(&breaker);
        }
    }

    fn named(&self, name: &str) -> Vec<Arc<CircuitBreaker>> {
        let listed = self.registry.shared().iter();
        listed.map(|(_, breaker)| breaker).filter(|breaker| breaker.name() == name).collect()
    }

    fn metrics(&self) -> RegistryMetrics {
        self.registry.shared().metrics()
    }

    fn config(&self) -> Config {
        self.registry.shared().config()
    }

    fn reconfigure(&self, config: Config) -> Result<(), ConfigError> {
        self.registry.shared().reconfigure(config)
    }
}

/// The breaker that a request is about.
pub(crate) enum Target<'a> {
    /// With its place among the breakers that are in no registry.
    Standing(usize, &'a CircuitBreaker),
    /// It is not evicted while this is held.
    Listed(Arc<CircuitBreaker>),
}

impl Deref for Target<'_> {
    type Target = CircuitBreaker;

    fn deref(&self) -> &CircuitBreaker {
        match self {
            Target::Standing(_, breaker) => breaker,
            Target::Listed(breaker) => breaker,
        }
    }
}

/// Why there is no one breaker that a request is about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    None,
    /// Several have this name.
    Several(usize),
    Panicked,
}

impl Sources {
    pub(crate) fn registry(&self, name: &str) -> Result<&dyn Group, NotFound> {
        let mut named = self.registries.iter().filter(|registry| registry.name() == name);
        match (named.next(), named.count()) {
            (None, _) => Err(NotFound::None),
            (Some(registry), 0) => Ok(&**registry),
            (Some(_), more) => Err(NotFound::Several(more + 1)),
        }
    }

    /// The fleet that a breaker has joined.
    pub(crate) fn fleet_of(&self, registry: Option<&str>, name: &str) -> Option<&dyn FleetSource> {
        self.fleets.iter().find(|fleet| fleet.has_joined(registry, name)).map(|fleet| &**fleet)
    }

    pub(crate) fn find(&self, registry: Option<&str>, name: &str) -> Result<Target<'_>, NotFound> {
        let mut found: Vec<_> = match registry {
            None => {
                let standing = self.breakers.iter().map(|breaker| (**breaker).shared()).enumerate();
                let named = standing.filter(|(_, breaker)| breaker.name() == name);
                named.map(|(index, breaker)| Target::Standing(index, breaker)).collect()
            }
            Some(registry) => {
                let registry = self.registry(registry)?;
                let listed = catch_unwind(AssertUnwindSafe(|| registry.named(name)));
                listed.map_err(|_| NotFound::Panicked)?.into_iter().map(Target::Listed).collect()
            }
        };
        match found.len() {
            0 => Err(NotFound::None),
            1 => Ok(found.swap_remove(0)),
            several => Err(NotFound::Several(several)),
        }
    }
}
