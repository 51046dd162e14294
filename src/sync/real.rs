//! The standard library's atomics and `parking_lot`'s lock.

pub(crate) use super::slots::{Here, Owner, PerThread};
pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicI64 as RingI64, AtomicU64 as RingU64, AtomicU64 as TallyU64};
pub(crate) use std::sync::atomic::{Ordering, fence};

/// An `AtomicU64` that is changed by compare-and-swap loops.
pub(crate) struct SwapU64(std::sync::atomic::AtomicU64);

impl SwapU64 {
    pub(crate) const fn new(value: u64) -> Self {
        SwapU64(std::sync::atomic::AtomicU64::new(value))
    }

    #[inline]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// The load that begins a compare-and-swap loop.
    #[inline]
    pub(crate) fn load_to_swap(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    #[inline]
    pub(crate) fn compare_exchange_weak(&self, seen: u64, next: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(seen, next, ok, err)
    }
}
