//! The standard library's atomics and `parking_lot`'s lock.

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

/// One `T` for each thread, made on the thread's first use. Only that thread writes to it.
pub(crate) struct PerThread<T: Send> {
    slots: thread_local::ThreadLocal<T>,
    /// At least the number of slots in use: bounds a walk, which would else try 63 buckets.
    known: std::sync::atomic::AtomicUsize,
}

impl<T: Send + Sync + Default> PerThread<T> {
    pub(crate) const fn new() -> Self {
        PerThread { slots: thread_local::ThreadLocal::new(), known: std::sync::atomic::AtomicUsize::new(0) }
    }

    /// This thread's own `T`.
    #[inline]
    pub(crate) fn here(&self) -> &T {
        match self.slots.get() {
            Some(slot) => slot,
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> &T {
        // SeqCst: a walk that follows a fence must not miss a slot that was written before one.
        self.known.fetch_add(1, Ordering::SeqCst);
        self.slots.get_or_default()
    }

    /// Every thread's `T`, those of threads that have ended among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let (mut slots, mut seen) = (self.slots.iter(), 0);
        std::iter::from_fn(move || {
            // Asked at each step: a slot that is made during the walk must not take the turn of another.
            if seen >= self.known.load(Ordering::SeqCst) {
                return None;
            }
            seen += 1;
            slots.next()
        })
    }
}
