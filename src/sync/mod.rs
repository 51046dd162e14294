//! Where every atomic and lock of the crate comes from: the standard library and `parking_lot`,
//! or loom's models of them under `--cfg loom`.

#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod numbers;
#[cfg(not(loom))]
mod real;
#[cfg(not(loom))]
mod slots;

#[cfg(loom)]
use model as imp;
#[cfg(not(loom))]
use real as imp;

use imp::fence;
pub(crate) use imp::{Here, Mutex, Ordering, Owner, PerThread, RingI64, RingU64, SwapU64, TallyU64};
#[cfg(loom)]
pub use imp::{Mode, model_rings, model_tallies, set_mode};
pub(crate) use once_cell::race::OnceBox;

/// Atomics that no model looks at: test clocks and cold data, where interleavings decide nothing.
pub(crate) mod unmodelled {
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
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
