//! What the breakers of a registry have counted together.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::RegistryMetrics;
use super::listed::DefaultHashBuilder;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
use super::metrics::RegistryEvents;
use super::open_share::{Observer, OpenShare, tell};
use crate::breaker::CircuitBreaker;
use crate::engine::membership::{Group, MemberCounts};
use crate::engine::open_limit::{OpenLimit, SuppressedOpening};
use crate::state::State;
use crate::sync::Mutex;

/// What the breakers share: the counts of those that are not listed any more, to the last call, and which are open if
/// that is limited.
pub(super) struct RegistryTotals {
    departed: Mutex<Departed>,
    observers: Vec<Observer>,
}

struct Departed {
    /// What they have counted, but for what those that still live have counted since they were last looked at.
    counts: MemberCounts,
    removed: u64,
    evicted_closed: u64,
    evicted_open: u64,
    unlisted: u64,
    /// Those that somebody still uses.
    living: HashMap<usize, Living, DefaultHashBuilder>,
    /// If their number is limited.
    open: Option<OpenShare>,
}

struct Living {
    breaker: Weak<CircuitBreaker>,
    /// What of its counts is in the sum already.
    counted: MemberCounts,
}

/// Why a breaker is not listed.
#[derive(Clone, Copy)]
pub(super) enum Departure {
    /// It made room for another one, and was in this state.
    Evicted(State),
    /// It was taken out by hand.
    Removed,
    /// There was no room for it.
    Unlisted,
}

impl RegistryTotals {
    pub(super) fn new(max_open_share: Option<f64>, observers: Vec<Observer>) -> Self {
        let departed = Departed {
            counts: MemberCounts::default(),
            removed: 0,
            evicted_closed: 0,
            evicted_open: 0,
            unlisted: 0,
            living: HashMap::default(),
            open: max_open_share.map(OpenShare::new),
        };
        RegistryTotals { departed: Mutex::new(departed), observers }
    }

    /// Stores the number of listed breakers. Called under the lock of the ring.
    pub(super) fn set_listed(&self, breakers: usize) {
        if let Some(open) = &mut self.departed.lock().open {
            open.set_breakers(breakers);
        }
    }

    /// A breaker is no longer listed, or never was.
    pub(super) fn depart(&self, breaker: &Arc<CircuitBreaker>, why: Departure) {
        let counted = breaker.engine().counts();
        let living = Living { breaker: Arc::downgrade(breaker), counted };
        let mut departed = self.departed.lock();
        *match why {
            Departure::Evicted(State::Closed | State::ForcedClosed) => &mut departed.evicted_closed,
            Departure::Evicted(_) => &mut departed.evicted_open,
            Departure::Removed => &mut departed.removed,
            Departure::Unlisted => &mut departed.unlisted,
        } += 1;
        departed.counts.add(counted);
        departed.living.insert(breaker.engine().id(), living);
        if let Some(open) = &mut departed.open {
            open.forget(breaker.engine().id());
        }
    }

    /// Adds all of it to `metrics`. The breakers that are still alive are handed out, to be dropped outside of locks.
    #[must_use]
    pub(super) fn add_to(&self, metrics: &mut RegistryMetrics) -> Vec<Arc<CircuitBreaker>> {
        let mut departed = self.departed.lock();
        let Departed { counts, living, .. } = &mut *departed;
        let mut held = Vec::with_capacity(living.len());
        counts.active = 0;
        for living in living.values_mut() {
            // If this fails, `dropped` is about to add what is missing.
            let Some(breaker) = living.breaker.upgrade() else { continue };
            let now = breaker.engine().counts();
            counts.active += now.active;
            counts.add_since(now, living.counted);
            living.counted = now;
            held.push(breaker);
        }
        metrics.evicted_closed = departed.evicted_closed;
        metrics.evicted_open = departed.evicted_open;
        metrics.unlisted = departed.unlisted;
        metrics.suppressed_open_count = departed.open.as_ref().map_or(0, OpenShare::suppressed);
        metrics.gone = departed.removed + departed.evicted_closed + departed.evicted_open;
        metrics.add_counts(departed.counts);
        held
    }

    #[cfg(any(feature = "metrics", feature = "opentelemetry"))]
    pub(super) fn events(&self) -> RegistryEvents {
        let departed = self.departed.lock();
        RegistryEvents {
            evicted_closed: departed.evicted_closed,
            evicted_open: departed.evicted_open,
            unlisted: departed.unlisted,
            suppressed_openings: departed.open.as_ref().map_or(0, OpenShare::suppressed),
        }
    }
}

impl Group for RegistryTotals {
    fn dropped(&self, breaker: usize, counts: MemberCounts) {
        let mut departed = self.departed.lock();
        let counted = departed.living.remove(&breaker).map_or_else(MemberCounts::default, |living| living.counted);
        departed.counts.add_since(counts, counted);
        if let Some(open) = &mut departed.open {
            open.forget(breaker);
        }
        // There were many if a thread was interrupted in a look-up while others evicted.
        if departed.living.capacity() > 64 && departed.living.len() < departed.living.capacity() / 8 {
            departed.living.shrink_to_fit();
        }
    }
}

impl OpenLimit for RegistryTotals {
    fn reserve(&self, breaker: usize) -> bool {
        self.departed.lock().open_of(breaker).is_none_or(|open| open.reserve(breaker))
    }

    fn release(&self, breaker: usize, state: &dyn Fn() -> State) {
        if let Some(open) = self.departed.lock().open_of(breaker) {
            open.release(breaker);
            open.follow(breaker, state());
        }
    }

    fn follow(&self, breaker: usize, state: &dyn Fn() -> State) {
        if let Some(open) = self.departed.lock().open_of(breaker) {
            open.follow(breaker, state());
        }
    }

    fn suppressed(&self, opening: &SuppressedOpening) {
        if let Some(open) = &mut self.departed.lock().open {
            open.suppress();
        }
        tell(&self.observers, opening);
    }
}

impl Departed {
    /// The share that `breaker` is part of: a breaker that is not listed is in none.
    fn open_of(&mut self, breaker: usize) -> Option<&mut OpenShare> {
        let is_listed = !self.living.contains_key(&breaker);
        self.open.as_mut().filter(|_| is_listed)
    }
}

impl MemberCounts {
    fn add(&mut self, more: MemberCounts) {
        self.add_since(more, MemberCounts::default());
    }

    /// Adds what was counted from `before` to `now`. Calls in flight are not summed up here.
    fn add_since(&mut self, now: MemberCounts, before: MemberCounts) {
        let add = |sum: &mut u64, now: u64, before: u64| *sum = sum.wrapping_add(now.wrapping_sub(before));
        add(&mut self.success, now.success, before.success);
        add(&mut self.error, now.error, before.error);
        add(&mut self.ignored, now.ignored, before.ignored);
        add(&mut self.dropped, now.dropped, before.dropped);
        add(&mut self.rejected, now.rejected, before.rejected);
        add(&mut self.slow, now.slow, before.slow);
        // A breaker counts them modulo 2³².
        self.transitions += now.transitions.wrapping_sub(before.transitions) & u64::from(u32::MAX);
    }
}
