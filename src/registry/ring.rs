//! Which breaker makes room for a new key.

use std::cmp::Reverse;
use std::hint::black_box;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::CircuitBreaker;
use crate::state::State;
use crate::sync::full_fence;

/// How many breakers a new key looks at.
pub(super) const SAMPLE: usize = 16;

/// Who holds an idle breaker: the ring and the map.
const OWN_HANDLES: usize = 2;

/// All listed breakers, and the hand of the clock that goes round them.
pub(super) struct EvictionRing {
    breakers: Vec<Arc<CircuitBreaker>>,
    hand: usize,
}

/// In this order, breakers are evicted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Closed, and not used since the hand passed it last.
    Unused,
    Closed,
    /// Open past its deadline, longest first.
    Overdue(Reverse<Duration>),
    HalfOpen,
    /// Open; the one with the nearest deadline first.
    Open(Duration),
}

impl EvictionRing {
    pub(super) const fn new() -> Self {
        EvictionRing { breakers: Vec::new(), hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.breakers.len()
    }

    pub(super) fn breakers(&self) -> &[Arc<CircuitBreaker>] {
        &self.breakers
    }

    pub(super) fn contains(&self, breaker: &CircuitBreaker) -> bool {
        self.breakers.get(breaker.membership().place()).is_some_and(|found| ptr::eq(&raw const **found, breaker))
    }

    pub(super) fn push(&mut self, breaker: Arc<CircuitBreaker>) {
        breaker.membership().set_place(self.breakers.len());
        self.breakers.push(breaker);
    }

    /// Takes out a breaker that is here.
    pub(super) fn take(&mut self, breaker: &CircuitBreaker) -> Arc<CircuitBreaker> {
        let place = breaker.membership().place();
        let taken = self.breakers.swap_remove(place);
        if let Some(moved) = self.breakers.get(place) {
            moved.membership().set_place(place);
        }
        taken
    }

    /// Puts `breaker` in the place of one that is here.
    pub(super) fn replace(&mut self, evicted: &CircuitBreaker, breaker: Arc<CircuitBreaker>) -> Arc<CircuitBreaker> {
        let place = evicted.membership().place();
        breaker.membership().set_place(place);
        std::mem::replace(&mut self.breakers[place], breaker)
    }

    /// Chooses a breaker to evict from a sample, and marks it as evicted. `now` is the time of the breakers' clock.
    pub(super) fn evict(&mut self, now: Duration) -> Option<Arc<CircuitBreaker>> {
        let mut sample = [None; SAMPLE];
        // Cold breakers are fetched from memory at the same time this way, and not one after the other.
        black_box(self.next_places().fold(0, |sum, place| sum ^ Arc::strong_count(&self.breakers[place])));
        for (candidate, place) in sample.iter_mut().zip(self.next_places()) {
            *candidate = rank(&self.breakers[place], now).map(|rank| (rank, place));
            if matches!(candidate, Some((Rank::Unused, _))) && claim(&self.breakers[place]) {
                self.hand = place + 1;
                return Some(self.breakers[place].clone());
            }
            self.hand = place + 1;
        }
        // The best of them is free, but for a rare race: no need to sort.
        loop {
            let best = sample.iter_mut().filter(|candidate| candidate.is_some()).min()?;
            let (_, place) = best.take()?;
            if claim(&self.breakers[place]) {
                return Some(self.breakers[place].clone());
            }
        }
    }

    /// The places of a sample, from the hand on.
    fn next_places(&self) -> impl Iterator<Item = usize> + use<> {
        let (hand, len) = (self.hand, self.breakers.len());
        (0..SAMPLE.min(len)).map(move |step| (hand + step) % len)
    }
}

/// `None`: it must not be evicted.
fn rank(breaker: &Arc<CircuitBreaker>, now: Duration) -> Option<Rank> {
    let state = breaker.state();
    if breaker.engine().is_forced_by_hand() || !is_idle(breaker) {
        return None;
    }
    Some(match breaker.engine().deadline() {
        Some(deadline) if deadline <= now => Rank::Overdue(Reverse(now - deadline)),
        Some(deadline) => Rank::Open(deadline),
        None if !matches!(state, State::Closed | State::ForcedClosed) => Rank::HalfOpen,
        None if breaker.membership().take_use() => Rank::Closed,
        None => Rank::Unused,
    })
}

/// Marks a breaker as evicted, unless it is in use by now.
fn claim(breaker: &Arc<CircuitBreaker>) -> bool {
    let membership = breaker.membership();
    membership.set_evicted(true);
    // Pairs with the fence in `Registry::find`: either the mark is seen there, or the handle here.
    full_fence();
    let is_free = is_idle(breaker) && !breaker.engine().is_forced_by_hand();
    if !is_free {
        membership.set_evicted(false);
    }
    is_free
}

/// Whether nobody holds a handle and no call is in flight.
fn is_idle(breaker: &Arc<CircuitBreaker>) -> bool {
    let own_before = breaker.membership().own_handles();
    let handles = Arc::strong_count(breaker);
    if Arc::weak_count(breaker) > 0 {
        return false;
    }
    if own_before == 0 {
        return handles <= OWN_HANDLES;
    }
    // A thread's own handle is no use by itself. One that was dropped between the two looks must not make up for a
    // handle that somebody holds.
    full_fence();
    let own = own_before.min(breaker.membership().own_handles());
    handles <= OWN_HANDLES + own && breaker.engine().counts().active == 0
}
