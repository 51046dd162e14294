//! How a breaker is found, and made where there is none.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use super::Registry;
use super::hooks::RegistryChange;
use super::listed::{ByBreaker, ByKey, Listed};
use super::own_handle::{LocalHandle, local_handle};
use super::ring::{EvictionRing, SAMPLE};
use super::totals::Departure;
use crate::breaker::CircuitBreaker;
use crate::engine::membership::Membership;
use crate::engine::shared::Shared;
use crate::name::Name;
use crate::sync::full_fence;

impl<K: Eq + Hash + Clone, S: BuildHasher> Registry<K, S> {
    /// The hash of a key, with its bits spread for the map, which takes the lowest ones as they are.
    #[inline]
    pub(super) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.hash_builder.hash_one(key)) * ODD;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
        let mixed = product as u64 ^ (product >> 64) as u64;
        mixed
    }

    pub(super) fn find_hashed<Q>(&self, key: &Q, hash: u64) -> Option<Arc<CircuitBreaker>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            let breaker = self.listed.pin().get_key_value(&ByKey { hash, key })?.0.breaker.clone();
            // Pairs with the fence in `EvictionRing::evict`: either the mark is seen here, or the handle there.
            full_fence();
            if breaker.membership().touch() {
                return Some(breaker);
            }
            // It is being taken out, or was not free after all. That is known when the lock is let go.
            drop(self.ring.lock());
        }
    }

    /// The breaker of `key` if there is one, without a mark of use.
    pub(super) fn peek(&self, key: &K) -> Option<Arc<CircuitBreaker>> {
        let hash = self.hash(key);
        let breaker = self.listed.pin().get_key_value(&ByKey { hash, key })?.0.breaker.clone();
        // As in `find_hashed`.
        full_fence();
        Some(breaker).filter(|breaker| !breaker.membership().is_evicted())
    }

    /// Does something with each listed breaker, a few of which are held at a time: one that is held is not evicted. A breaker
    /// that moves in the ring meanwhile may have its turn twice.
    pub(super) fn for_each(&self, mut act: impl FnMut(&CircuitBreaker)) {
        // They are next to each other: a new key has to find others, too.
        const HELD: usize = SAMPLE / 2;
        // From the last place down: what is taken out is replaced by the last one, which has had its turn.
        let mut end = usize::MAX;
        while end > 0 {
            let ring = self.ring.lock();
            end = end.min(ring.len());
            let start = end.saturating_sub(HELD);
            let held = ring.breakers()[start..end].to_vec();
            drop(ring);
            for breaker in held {
                act(&breaker);
            }
            end = start;
        }
    }

    /// A handle for one call on this thread. It takes no lock unless the breaker has to be made.
    // Out of line: where all of it is inlined into a future's poll, the future itself is not, and goes through memory.
    #[inline(never)]
    pub(super) fn local<Q>(&self, key: &Q) -> LocalHandle
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        let listed = self.listed.pin();
        if let Some((Listed { breaker, .. }, ())) = listed.get_key_value(&ByKey { hash, key }) {
            if breaker.membership().touch() {
                return local_handle(breaker);
            }
        }
        drop(listed);
        LocalHandle::EngineOf(self.get_hashed(key, hash))
    }

    #[cold]
    pub(super) fn get_hashed<Q>(&self, key: &Q, hash: u64) -> Arc<CircuitBreaker>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        loop {
            if let Some(breaker) = self.find_hashed(key, hash).or_else(|| self.make(key.to_owned(), hash)) {
                return breaker;
            }
        }
    }

    /// Makes the breaker of a key that is not listed. Returns `None` if another thread was faster.
    fn make(&self, key: K, hash: u64) -> Option<Arc<CircuitBreaker>> {
        let shared = self.shared();
        let name = (self.name_of)(&key);
        let now = shared.now();
        let breaker = Arc::new(CircuitBreaker::member(name.clone(), shared.clone(), Membership::new(hash)));
        // From before it is in the ring until it is in the map, it has one handle more than an idle breaker.
        let listed = Listed { key, breaker: breaker.clone() };
        if !self.make_room(&breaker, now) {
            return Some(self.unlisted(name, shared));
        }
        let is_listed = self.listed.pin().try_insert(listed, ()).is_ok();
        if is_listed {
            self.catch_up(&breaker, shared);
            self.hooks.tell(RegistryChange::Made(&breaker));
            return Some(breaker);
        }
        breaker.membership().set_evicted(true);
        let mut ring = self.ring.lock();
        let taken = ring.contains(&breaker).then(|| ring.take(&breaker));
        self.totals.set_listed(ring.len());
        drop(ring);
        drop(taken);
        None
    }

    /// Gives `breaker` a place in the ring. Returns `false` if all are taken.
    fn make_room(&self, breaker: &Arc<CircuitBreaker>, now: Duration) -> bool {
        let mut ring = self.ring.lock();
        if ring.len() < self.capacity {
            ring.push(breaker.clone());
            self.totals.set_listed(ring.len());
            return true;
        }
        let Some(evicted) = ring.evict(now) else { return false };
        self.totals.depart(&evicted, Departure::Evicted(evicted.state()));
        let former = ring.replace(&evicted, breaker.clone());
        self.unlist(ring, &evicted);
        self.hooks.tell(RegistryChange::Evicted(&evicted));
        drop(former);
        true
    }

    /// Takes a breaker out of the map, under the lock of the ring, and lets go of `lock`.
    fn unlist(&self, lock: impl DerefMut<Target = EvictionRing>, breaker: &CircuitBreaker) {
        // From after the wait for the lock, so that a waiting thread does not keep others from freeing memory; until after
        // the lock, so that nothing of the user's is dropped under it.
        let listed = self.listed.pin();
        listed.remove(&ByBreaker(breaker));
        drop(lock);
        drop(listed);
    }

    fn unlisted(&self, name: Name, shared: Arc<Shared>) -> Arc<CircuitBreaker> {
        let breaker = Arc::new(CircuitBreaker::member(name, shared.clone(), Membership::none()));
        self.totals.depart(&breaker, Departure::Unlisted);
        self.catch_up(&breaker, shared);
        breaker
    }

    /// Brings a breaker up to date that was made with `terms`, and was not here yet when those were changed.
    fn catch_up(&self, breaker: &CircuitBreaker, mut shared: Arc<Shared>) {
        loop {
            let newest = self.shared();
            if Arc::ptr_eq(&newest, &shared) {
                return;
            }
            breaker.engine().reconfigure(newest.settings.clone(), newest.rates.as_ref());
            shared = newest;
        }
    }

    /// Returns `false` if it is not listed.
    pub(super) fn take_out(&self, breaker: &Arc<CircuitBreaker>) -> bool {
        let mut ring = self.ring.lock();
        if !ring.contains(breaker) {
            return false;
        }
        breaker.membership().set_evicted(true);
        self.totals.depart(breaker, Departure::Removed);
        let taken = ring.take(breaker);
        self.totals.set_listed(ring.len());
        self.unlist(ring, breaker);
        self.hooks.tell(RegistryChange::Evicted(breaker));
        drop(taken);
        true
    }
}
