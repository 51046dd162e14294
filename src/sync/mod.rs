//! Where every atomic and lock of the crate comes from: the standard library and `parking_lot`,
//! or the models of them of loom and shuttle, under `--cfg loom` and `--cfg shuttle`.

#[cfg(loom)]
mod model;
#[cfg(any(loom, shuttle))]
mod modelled;
#[cfg(not(any(loom, shuttle)))]
mod numbers;
#[cfg(not(any(loom, shuttle)))]
mod real;
#[cfg(shuttle)]
mod shuttle;

#[cfg(loom)]
use model as imp;
#[cfg(not(any(loom, shuttle)))]
use real as imp;
#[cfg(shuttle)]
use shuttle as imp;

use imp::fence;
pub(crate) use imp::{Mutex, Ordering, SwapU64, thread_local};
#[cfg(loom)]
pub use model::{Mode, set_mode};
#[cfg(any(loom, shuttle))]
pub(crate) use modelled::{CountBox, RingU64, TallyU64, taken_thread_number, thread_number, thread_number_or_take};
#[cfg(any(loom, shuttle))]
pub use modelled::{model_rings, model_tallies};
pub(crate) use once_cell::race::OnceBox;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use real::{CountBox, RingU64, TallyU64, taken_thread_number, thread_number, thread_number_or_take};

#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use numbers::with_thread_number;

/// Atomics that no model looks at: test clocks and cold data, where interleavings decide nothing.
pub(crate) mod unmodelled {
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

/// Orders what this thread wrote before with what it reads after, for all threads that do the same.
pub(crate) fn full_fence() {
    fence(Ordering::SeqCst);
}

/// A `const fn` in production; what the models use instead cannot be made in one.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(any(loom, shuttle)))]
        $(#[$meta])* $vis const fn $($rest)*
        #[cfg(any(loom, shuttle))]
        $(#[$meta])* $vis fn $($rest)*
    };
}
pub(crate) use const_unless_loom;
