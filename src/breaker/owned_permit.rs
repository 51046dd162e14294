use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::CircuitBreaker;
use super::permit::{Bare, Hold, OnDrop, settling};
use crate::engine::Engine;
use crate::engine::last_failure::FailureInfo;
use crate::error::Rejected;
use crate::outcome::Outcome;

/// A [`Permit`](crate::Permit) that keeps its breaker alive and borrows nothing, so that a spawned task or
/// another thread can settle the call.
///
/// If you drop it unsettled, it counts like a dropped [`Permit`](crate::Permit#a-permit-that-is-dropped).
///
/// ```
/// use std::{sync::Arc, thread};
/// use tripcoil::CircuitBreaker;
///
/// let breaker = Arc::new(CircuitBreaker::new("payments"));
/// let permit = breaker.try_acquire_owned()?;
/// thread::spawn(move || permit.success()).join().unwrap();
/// assert_eq!(breaker.metrics().total_success_count, 1);
/// # Ok::<(), tripcoil::Rejected>(())
/// ```
#[must_use = "a dropped permit says nothing about the call; settle it"]
pub struct OwnedPermit {
    hold: Hold<EngineOf<Arc<CircuitBreaker>>, Bare>,
}

/// The engine of the breaker that `B` is a handle to.
pub(crate) struct EngineOf<B>(B);

#[cfg(feature = "registry")]
impl<B> EngineOf<B> {
    pub(crate) fn new(breaker: B) -> Self {
        EngineOf(breaker)
    }
}

impl<B: Deref<Target = CircuitBreaker>> Deref for EngineOf<B> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.0.engine()
    }
}

/// Acquires a permit that keeps a handle to the breaker.
pub(crate) fn acquire<B, D: OnDrop>(breaker: &B) -> Result<Hold<EngineOf<B>, D>, Rejected>
where
    B: Deref<Target = CircuitBreaker> + Clone,
{
    // Held while it clones: if that panics, the ticket unwinds with it.
    let hold = Hold::acquire(breaker.engine())?;
    Ok(hold.kept_by(EngineOf(breaker.clone())))
}

settling!(OwnedPermit);

impl CircuitBreaker {
    /// Like [`try_acquire`](Self::try_acquire), but the permit borrows nothing. See [`OwnedPermit`].
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the breaker is open, forced open, or half-open with all slots taken.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, Rejected> {
        Ok(OwnedPermit { hold: acquire(self)? })
    }
}
