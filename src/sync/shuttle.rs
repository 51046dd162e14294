//! Shuttle's models of them: a schedule may switch threads at each access. It knows no weak ordering.

pub(super) use shuttle::sync::atomic::AtomicU64;
pub(crate) use shuttle::sync::atomic::{Ordering, fence};
pub(crate) use shuttle::thread_local;

/// An `AtomicU64` that is changed by compare-and-swap loops.
pub(crate) struct SwapU64(AtomicU64);

impl SwapU64 {
    pub(crate) const fn new(value: u64) -> Self {
        SwapU64(AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn load_to_swap(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_or(value, order)
    }

    pub(crate) fn compare_exchange_weak(&self, seen: u64, next: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(seen, next, ok, err)
    }
}

/// `shuttle`'s mutex with `parking_lot`'s signature.
#[derive(Debug)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Every access is a point to switch at.
pub(super) const fn loops_begin_with_a_swap() -> bool {
    false
}

pub(super) fn this_thread() -> impl std::fmt::Debug {
    shuttle::thread::current().id()
}
