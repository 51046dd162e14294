use std::collections::HashMap;
#[cfg(feature = "registry")]
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Weak};

#[cfg(feature = "registry")]
use super::registry_series::RegistrySeries;
use super::series::{SeriesCounts, SeriesTable};
use crate::breaker::CircuitBreaker;
use crate::metrics::Metrics;
#[cfg(feature = "registry")]
use crate::registry::{Registry, RegistryEvents};
use crate::state::State;

/// Hands out the name and a snapshot of each breaker.
type Walk = dyn Fn(&mut dyn FnMut(&str, &Metrics)) + Send + Sync;

/// Where breakers are found, and what they had counted when they were looked at last.
pub(super) struct Source {
    breakers: Breakers,
    seen: HashMap<Box<str>, SeriesCounts>,
    #[cfg(feature = "registry")]
    seen_events: RegistryEvents,
}

enum Breakers {
    Static(&'static CircuitBreaker),
    Shared(Weak<CircuitBreaker>),
    Each(Box<Walk>),
    #[cfg(feature = "registry")]
    Registry(Weak<dyn Listing>),
    #[cfg(feature = "registry")]
    StaticRegistry(&'static dyn Listing),
}

/// A registry, whatever its keys.
#[cfg(feature = "registry")]
trait Listing: Send + Sync {
    fn look(&self) -> Vec<Sight>;
    fn look_at_registry(&self) -> RegistrySight;
}

/// The counts of a registry itself.
#[cfg(feature = "registry")]
struct RegistrySight {
    name: Box<str>,
    breakers: u64,
    events: RegistryEvents,
}

#[cfg(feature = "registry")]
impl<K, S> Listing for Registry<K, S>
where
    K: Eq + Hash + Clone + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn look(&self) -> Vec<Sight> {
        self.iter().map(|(_, breaker)| Sight::of(&breaker)).collect()
    }

    fn look_at_registry(&self) -> RegistrySight {
        RegistrySight { name: self.name().into(), breakers: self.len() as u64, events: self.events() }
    }
}

/// What was seen of one breaker.
pub(super) struct Sight {
    name: Box<str>,
    counts: SeriesCounts,
    state: State,
    shadow: Option<State>,
    active: u64,
    hanging: Option<u64>,
}

impl Sight {
    fn new(name: &str, metrics: &Metrics) -> Self {
        Sight {
            name: name.into(),
            counts: SeriesCounts::of(metrics),
            state: metrics.state,
            shadow: metrics.shadow.as_deref().map(|shadow| shadow.state),
            active: metrics.active_calls,
            hanging: metrics.window.map(|window| window.hanging_calls),
        }
    }

    fn of(breaker: &CircuitBreaker) -> Self {
        Sight::new(breaker.name(), &breaker.lifetime_metrics())
    }
}

impl Source {
    fn new(breakers: Breakers) -> Self {
        Source {
            breakers,
            seen: HashMap::new(),
            #[cfg(feature = "registry")]
            seen_events: RegistryEvents::default(),
        }
    }

    pub(super) fn lasting(breaker: &'static CircuitBreaker) -> Self {
        Source::new(Breakers::Static(breaker))
    }

    pub(super) fn shared(breaker: &Arc<CircuitBreaker>) -> Self {
        Source::new(Breakers::Shared(Arc::downgrade(breaker)))
    }

    pub(super) fn each(walk: impl Fn(&mut dyn FnMut(&str, &Metrics)) + Send + Sync + 'static) -> Self {
        Source::new(Breakers::Each(Box::new(walk)))
    }

    #[cfg(feature = "registry")]
    pub(super) fn registry<K, S>(registry: &Arc<Registry<K, S>>) -> Self
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        let registry = Arc::downgrade(registry);
        Source::new(Breakers::Registry(registry))
    }

    #[cfg(feature = "registry")]
    pub(super) fn static_registry<K, S>(registry: &'static Registry<K, S>) -> Self
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        Source::new(Breakers::StaticRegistry(registry))
    }

    pub(super) fn is_same(&self, other: &Source) -> bool {
        match (&self.breakers, &other.breakers) {
            (Breakers::Static(this), Breakers::Static(that)) => std::ptr::eq(*this, *that),
            (Breakers::Shared(this), Breakers::Shared(that)) => this.ptr_eq(that),
            #[cfg(feature = "registry")]
            (Breakers::Registry(this), Breakers::Registry(that)) => std::ptr::addr_eq(this.as_ptr(), that.as_ptr()),
            #[cfg(feature = "registry")]
            (Breakers::StaticRegistry(this), Breakers::StaticRegistry(that)) => std::ptr::addr_eq(*this, *that),
            _ => false,
        }
    }

    /// Whether there may still be something to see.
    pub(super) fn lasts(&self) -> bool {
        match &self.breakers {
            Breakers::Shared(breaker) => breaker.strong_count() > 0,
            Breakers::Static(_) | Breakers::Each(_) => true,
            #[cfg(feature = "registry")]
            Breakers::Registry(registry) => registry.strong_count() > 0,
            #[cfg(feature = "registry")]
            Breakers::StaticRegistry(_) => true,
        }
    }

    /// Looks at the breakers, which is all that calls a user's code, and changes nothing.
    pub(super) fn look(&self) -> Vec<Sight> {
        match &self.breakers {
            Breakers::Static(breaker) => vec![Sight::of(breaker)],
            Breakers::Shared(breaker) => breaker.upgrade().iter().map(|breaker| Sight::of(breaker)).collect(),
            Breakers::Each(walk) => {
                let mut sights = Vec::new();
                walk(&mut |name, metrics| sights.push(Sight::new(name, metrics)));
                sights
            }
            #[cfg(feature = "registry")]
            Breakers::Registry(registry) => registry.upgrade().map(|registry| registry.look()).unwrap_or_default(),
            #[cfg(feature = "registry")]
            Breakers::StaticRegistry(registry) => registry.look(),
        }
    }

    /// Enters what was seen, and what has been counted since the look before.
    pub(super) fn enter(&mut self, sights: Vec<Sight>, table: &mut SeriesTable) {
        let mut seen: HashMap<Box<str>, SeriesCounts> = HashMap::with_capacity(sights.len());
        for Sight { name, counts, state, shadow, active, hanging } in sights {
            table.series_of(&name).enter(state, shadow, active, hanging);
            seen.entry(name).or_insert(SeriesCounts::ZERO).add(counts);
        }
        for (name, counts) in &seen {
            let before = self.seen.get(name).copied().unwrap_or(SeriesCounts::ZERO);
            table.series_of(name).counts.add(counts.since(before));
        }
        self.seen = seen;
    }

    /// Enters the counts of the registry itself, if the source is one.
    #[cfg(feature = "registry")]
    pub(super) fn enter_registry(&mut self, table: &mut SeriesTable<RegistrySeries>) {
        let sight = match &self.breakers {
            Breakers::Registry(registry) => registry.upgrade().map(|registry| registry.look_at_registry()),
            Breakers::StaticRegistry(registry) => Some(registry.look_at_registry()),
            Breakers::Static(_) | Breakers::Shared(_) | Breakers::Each(_) => None,
        };
        let Some(RegistrySight { name, breakers, events }) = sight else { return };
        table.series_of(&name).enter(breakers, events, self.seen_events);
        self.seen_events = events;
    }
}
