//! Something that is handed from thread to thread, and that no ordering of its own protects.

#![allow(unsafe_code, reason = "loom checks the accesses of its `UnsafeCell`; that is what a parcel is for")]

use loom::cell::UnsafeCell;

/// A value in a cell. Loom panics at any access that races with another.
#[derive(Debug)]
pub struct Parcel(UnsafeCell<u32>);

// SAFETY: loom runs one thread at a time, and checks every access before it happens.
unsafe impl Sync for Parcel {}

impl Parcel {
    /// Holds 0.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "loom's cells exist in a model only")]
    pub fn new() -> Self {
        Parcel(UnsafeCell::new(0))
    }

    /// Adds one.
    pub fn work_on(&self) {
        // SAFETY: loom has checked that no other access is concurrent with this one.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    /// How often it was worked on.
    #[must_use]
    pub fn look(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }
}
