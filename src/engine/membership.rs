//! What ties a breaker to the registry that made it.

use crate::sync::unmodelled::{AtomicU32, Ordering};

/// The registry, as its breakers see it.
pub(crate) trait Group: Send + Sync {
    /// A breaker that was made for this registry is being dropped. `breaker` is its [`id`](crate::engine::Engine::id).
    fn dropped(&self, breaker: usize, counts: MemberCounts);
}

/// What a breaker has counted in its lifetime, whatever was reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberCounts {
    pub(crate) active: u64,
    pub(crate) success: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) slow: u64,
    pub(crate) transitions: u64,
}

/// A breaker's place in its registry. Breakers outside of a registry have an unused one.
///
/// Every look-up reads it, and few write it.
pub(crate) struct Membership {
    /// The hash of the key.
    hash: u64,
    /// [`USED`], [`EVICTED`] and the place in the registry's ring.
    bits: AtomicU32,
    /// How many threads have a handle of their own that they reuse.
    own_handles: AtomicU32,
}

/// The breaker has been looked up since the hand of the clock passed it.
const USED: u32 = 1;
/// The breaker is not listed any more, or is about to be taken out.
const EVICTED: u32 = 1 << 1;
const PLACE_SHIFT: u32 = 8;

impl Membership {
    /// The most breakers that a registry can list.
    pub(crate) const PLACES: usize = 1 << (u32::BITS - PLACE_SHIFT);

    /// Of a breaker that is in no registry, or not listed there.
    pub(crate) const fn none() -> Self {
        Membership { hash: 0, bits: AtomicU32::new(EVICTED), own_handles: AtomicU32::new(0) }
    }

    pub(crate) const fn new(hash: u64) -> Self {
        Membership { hash, bits: AtomicU32::new(USED), own_handles: AtomicU32::new(0) }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Marks the breaker as used. Returns `false` if it was evicted.
    ///
    /// It writes only where the mark is missing: a look-up must not write what another thread's look-up reads.
    #[inline]
    pub(crate) fn touch(&self) -> bool {
        let bits = self.bits.load(Ordering::Relaxed);
        if bits & (USED | EVICTED) == USED { true } else { self.touch_first(bits) }
    }

    #[cold]
    fn touch_first(&self, bits: u32) -> bool {
        bits & EVICTED == 0 && self.bits.fetch_or(USED, Ordering::Relaxed) & EVICTED == 0
    }

    /// Clears the mark of use, and returns whether it was set.
    pub(crate) fn take_use(&self) -> bool {
        self.bits.load(Ordering::Relaxed) & USED != 0 && self.bits.fetch_and(!USED, Ordering::Relaxed) & USED != 0
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.bits.load(Ordering::Relaxed) & EVICTED != 0
    }

    pub(crate) fn set_evicted(&self, is_evicted: bool) {
        if is_evicted {
            self.bits.fetch_or(EVICTED, Ordering::Relaxed);
        } else {
            self.bits.fetch_and(!EVICTED, Ordering::Relaxed);
        }
    }

    /// The place in the ring. It is read and written under the ring's lock.
    pub(crate) fn place(&self) -> usize {
        (self.bits.load(Ordering::Relaxed) >> PLACE_SHIFT) as usize
    }

    /// # Panics
    ///
    /// If `place` is not below [`PLACES`](Self::PLACES).
    pub(crate) fn set_place(&self, place: usize) {
        assert!(place < Self::PLACES, "a ring has at most {} places", Self::PLACES);
        #[expect(clippy::cast_possible_truncation, reason = "it was compared with the number of places")]
        let place = (place as u32) << PLACE_SHIFT;
        let marks = (1 << PLACE_SHIFT) - 1;
        let set = |bits: u32| Some(bits & marks | place);
        let _always_some = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set);
    }

    /// Counts one more thread that reuses a handle. The handle exists already: until it is counted, the breaker looks as
    /// if it were held.
    pub(crate) fn add_own_handle(&self) {
        // Release: pairs with the Acquire in `own_handles`. A thread that counts the handle also sees the clone.
        self.own_handles.fetch_add(1, Ordering::Release);
    }

    /// The handle is about to be dropped.
    pub(crate) fn remove_own_handle(&self) {
        self.own_handles.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn own_handles(&self) -> usize {
        // Acquire: pairs with the Release in `add_own_handle`.
        self.own_handles.load(Ordering::Acquire) as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_outside_of_a_registry_is_not_listed() {
        let membership = Membership::none();
        assert!(!membership.touch() && membership.is_evicted());
    }

    #[test]
    fn marks_and_place_leave_each_other_alone() {
        let membership = Membership::new(7);
        for place in [0, 1, Membership::PLACES - 1, 5] {
            membership.set_place(place);
            assert!(membership.take_use() && !membership.take_use());
            assert!(membership.touch());
            membership.set_evicted(true);
            assert!(membership.is_evicted() && !membership.touch());
            membership.set_evicted(false);
            assert!(membership.touch() && !membership.is_evicted());
            assert_eq!((membership.place(), membership.hash()), (place, 7));
        }
    }

    #[test]
    #[should_panic(expected = "a ring has at most 16777216 places")]
    fn a_place_beyond_the_last_is_refused() {
        Membership::new(0).set_place(Membership::PLACES);
    }
}
