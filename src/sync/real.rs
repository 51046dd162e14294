//! The standard library's atomics and `parking_lot`'s lock.

/// A box for counts, which is made when it is first needed.
pub(crate) use super::OnceBox as CountBox;
pub(crate) use super::numbers::{taken_thread_number, thread_number, thread_number_or_take};
pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{Ordering, fence};
pub(crate) use std::thread_local;
pub(crate) use {SwapU64 as RingU64, SwapU64 as TallyU64};

/// An `AtomicU64` that is changed by compare-and-swap loops, among others.
#[derive(Debug)]
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
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    #[inline]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }

    #[inline]
    pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_max(value, order)
    }

    #[inline]
    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_or(value, order)
    }

    #[inline]
    pub(crate) fn compare_exchange_weak(&self, seen: u64, next: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(seen, next, ok, err)
    }
}
