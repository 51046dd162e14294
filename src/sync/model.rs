//! Loom's models of them.

pub(super) use loom::sync::atomic::AtomicU64;
pub(crate) use loom::sync::atomic::{Ordering, fence};
use std::cell::Cell;

/// Loom's macro, which knows no `const`.
macro_rules! loom_thread_local {
    (static $name:ident: $type:ty = const $value:block;) => {
        loom::thread_local! {
            static $name: $type = $value;
        }
    };
}
pub(crate) use loom_thread_local as thread_local;

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

    pub(crate) fn compare_exchange_weak(&self, seen: u64, next: u64, ok: Ordering, err: Ordering) -> Result<u64, u64> {
        self.pass_turnstile();
        self.value.compare_exchange_weak(seen, next, ok, err)
    }

    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.pass_turnstile();
        self.value.fetch_or(value, order)
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

/// Whether loops begin with a read-modify-write.
pub(super) fn loops_begin_with_a_swap() -> bool {
    MODE.get() == Mode::RmwLoad
}

pub(super) fn this_thread() -> impl std::fmt::Debug {
    loom::thread::current().id()
}
