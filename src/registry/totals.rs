//! What the breakers of a registry have counted together.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::RegistryMetrics;
use super::listed::DefaultHashBuilder;
use crate::breaker::CircuitBreaker;
use crate::membership::{Counts, Group};
use crate::state::State;
use crate::sync::Mutex;

/// The counts of breakers that are not listed any more, to the last call.
pub(super) struct Totals(Mutex<Departed>);

struct Departed {
    /// What they have counted, but for what those that still live have counted since they were last looked at.
    counts: Counts,
    removed: u64,
    evicted_closed: u64,
    evicted_open: u64,
    unlisted: u64,
    /// Those that somebody still uses.
    living: HashMap<usize, Living, DefaultHashBuilder>,
}

struct Living {
    breaker: Weak<CircuitBreaker>,
    /// What of its counts is in the sum already.
    counted: Counts,
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

impl Totals {
    pub(super) fn new() -> Self {
        Totals(Mutex::new(Departed {
            counts: Counts::default(),
            removed: 0,
            evicted_closed: 0,
            evicted_open: 0,
            unlisted: 0,
            living: HashMap::default(),
        }))
    }

    /// A breaker is no longer listed, or never was.
    pub(super) fn depart(&self, breaker: &Arc<CircuitBreaker>, why: Departure) {
        let counted = breaker.engine().counts();
        let living = Living { breaker: Arc::downgrade(breaker), counted };
        let mut departed = self.0.lock();
        *match why {
            Departure::Evicted(State::Closed) => &mut departed.evicted_closed,
            Departure::Evicted(_) => &mut departed.evicted_open,
            Departure::Removed => &mut departed.removed,
            Departure::Unlisted => &mut departed.unlisted,
        } += 1;
        departed.counts.add(counted);
        departed.living.insert(breaker.engine().id(), living);
    }

    /// Adds all of it to `metrics`. The breakers that are still alive are handed out, to be dropped outside of locks.
    #[must_use]
    pub(super) fn add_to(&self, metrics: &mut RegistryMetrics) -> Vec<Arc<CircuitBreaker>> {
        let mut departed = self.0.lock();
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
        metrics.gone = departed.removed + departed.evicted_closed + departed.evicted_open;
        metrics.add_counts(departed.counts);
        held
    }
}

impl Group for Totals {
    fn dropped(&self, breaker: usize, counts: Counts) {
        let mut departed = self.0.lock();
        let counted = departed.living.remove(&breaker).map_or_else(Counts::default, |living| living.counted);
        departed.counts.add_since(counts, counted);
        // There were many if a thread was interrupted in a look-up while others evicted.
        if departed.living.capacity() > 64 && departed.living.len() < departed.living.capacity() / 8 {
            departed.living.shrink_to_fit();
        }
    }
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.add_since(more, Counts::default());
    }

    /// Adds what was counted from `before` to `now`. Calls in flight are not summed up here.
    fn add_since(&mut self, now: Counts, before: Counts) {
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
