//! Where every atomic and lock of the crate comes from: the standard library and `parking_lot`,
//! or loom's models of them under `--cfg loom`.

#[cfg(not(loom))]
mod imp {
    pub(crate) use parking_lot::Mutex;
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
        pub(crate) fn compare_exchange_weak(
            &self,
            seen: u64,
            next: u64,
            ok: Ordering,
            err: Ordering,
        ) -> Result<u64, u64> {
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
            self.slots.iter().take(self.known.load(Ordering::SeqCst))
        }
    }
}

#[cfg(loom)]
mod imp {
    use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::atomic::{Ordering, fence};
    use std::cell::Cell;

    /// How a model sees the load that begins a compare-and-swap loop.
    ///
    /// Loom remembers one last access for each atomic, so a plain leading load hides interleavings.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// The load of production.
        Plain,
        /// A read-modify-write that changes nothing: every interleaving, but only newest values.
        RmwLoad,
        /// A read-modify-write on another atomic first: a point to switch at, and stale values too.
        Sched,
    }

    std::thread_local! {
        static MODE: Cell<Mode> = const { Cell::new(Mode::Plain) };
    }

    /// Chooses the mode of the models that run on this thread.
    pub fn set_mode(mode: Mode) {
        MODE.set(mode);
    }

    /// An `AtomicU64` that is changed by compare-and-swap loops.
    pub(crate) struct SwapU64 {
        value: AtomicU64,
        /// Touched before each access in [`Mode::Sched`], so that loom may switch threads there.
        turnstile: AtomicU64,
    }

    impl SwapU64 {
        pub(crate) fn new(value: u64) -> Self {
            SwapU64 { value: AtomicU64::new(value), turnstile: AtomicU64::new(0) }
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            self.pass_turnstile();
            self.value.load(order)
        }

        pub(crate) fn load_to_swap(&self, order: Ordering) -> u64 {
            self.pass_turnstile();
            match MODE.get() {
                Mode::RmwLoad => self.value.fetch_or(0, order),
                Mode::Plain | Mode::Sched => self.value.load(order),
            }
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            seen: u64,
            next: u64,
            ok: Ordering,
            err: Ordering,
        ) -> Result<u64, u64> {
            self.pass_turnstile();
            self.value.compare_exchange_weak(seen, next, ok, err)
        }

        fn pass_turnstile(&self) {
            if MODE.get() == Mode::Sched {
                self.turnstile.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// `loom`'s mutex with `parking_lot`'s signature.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// Loom runs all its threads on one, so all share one `T`, which it cannot interleave:
    /// the totals stay on the standard atomics and out of the models.
    pub(crate) struct PerThread<T>(std::sync::OnceLock<T>);

    impl<T: Default> PerThread<T> {
        pub(crate) fn new() -> Self {
            PerThread(std::sync::OnceLock::new())
        }

        pub(crate) fn here(&self) -> &T {
            self.0.get_or_init(T::default)
        }

        pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
            self.0.get().into_iter()
        }
    }
}

use imp::fence;
#[cfg(loom)]
pub use imp::{Mode, set_mode};
pub(crate) use imp::{Mutex, Ordering, PerThread, SwapU64};

/// Atomics that no model looks at: totals and test clocks, where interleavings decide nothing.
pub(crate) mod unmodelled {
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
}

/// Orders what this thread wrote before with what it reads after, for all threads that do the same.
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}

/// A `const fn` in production; loom's atomics cannot be made in one.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])* $vis fn $($rest)*
    };
}
pub(crate) use const_unless_loom;
