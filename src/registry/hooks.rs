//! Who is notified of the breakers that a registry makes and evicts.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::breaker::CircuitBreaker;
use crate::panics::contain;
use crate::sync::Mutex;

/// A change of what a registry lists.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RegistryChange<'a> {
    /// A breaker was made, and is listed.
    Made(&'a Arc<CircuitBreaker>),
    /// A breaker is no longer listed: it was evicted, or removed.
    Evicted(&'a Arc<CircuitBreaker>),
}

type Hook = Arc<dyn Fn(RegistryChange<'_>) + Send + Sync>;

/// Those who are told. An empty list takes no lock but its own, once for each breaker that is made or evicted.
pub(super) struct Hooks(Arc<Mutex<Listed>>);

struct Listed {
    hooks: Vec<(u64, Hook)>,
    next_id: u64,
}

impl Hooks {
    pub(super) fn new() -> Self {
        Hooks(Arc::new(Mutex::new(Listed { hooks: Vec::new(), next_id: 0 })))
    }

    /// Adds one permanently. Returns its number.
    pub(super) fn add(&self, hook: impl Fn(RegistryChange<'_>) + Send + Sync + 'static) -> u64 {
        let mut listed = self.0.lock();
        let id = listed.next_id;
        listed.next_id += 1;
        listed.hooks.push((id, Arc::new(hook)));
        id
    }

    /// Adds one until the handle is dropped.
    pub(super) fn observe(&self, hook: impl Fn(RegistryChange<'_>) + Send + Sync + 'static) -> ObservingRegistry {
        ObservingRegistry { id: self.add(hook), listed: Arc::downgrade(&self.0) }
    }

    /// To be called with no lock held.
    pub(super) fn tell(&self, change: RegistryChange<'_>) {
        let hooks = self.0.lock().hooks.clone();
        for (_, hook) in hooks {
            contain(|| hook(change));
            contain(|| drop(hook));
        }
    }
}

/// An observer of a registry, which is notified of its changes until this is dropped.
#[must_use = "the observer is told of nothing once this is dropped"]
pub struct ObservingRegistry {
    listed: Weak<Mutex<Listed>>,
    id: u64,
}

impl Drop for ObservingRegistry {
    fn drop(&mut self) {
        let Some(listed) = self.listed.upgrade() else { return };
        let mut listed = listed.lock();
        let place = listed.hooks.iter().position(|(id, _)| *id == self.id);
        let removed = place.map(|place| listed.hooks.remove(place));
        drop(listed);
        // Outside of the lock: it is the user's.
        drop(removed);
    }
}

impl fmt::Debug for ObservingRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservingRegistry").finish_non_exhaustive()
    }
}
