use super::totals::Sums;
use crate::failures::Failures;
use crate::generations::Generations;
use crate::observers::Log;
use crate::sync::unmodelled::{AtomicU64, Ordering};
use crate::sync::{Mutex, OnceBox};
use crate::window::Windows;

/// What a healthy breaker without rate rules does without, in a box that is made when it is first needed.
pub(crate) struct Cold {
    /// If there are rate rules; then this is made with the breaker.
    pub(crate) lately: Option<Box<Windows>>,
    pub(crate) failures: Failures,
    /// What a reset takes off the counts.
    pub(crate) cleared: Mutex<Option<Box<Cleared>>>,
    /// What the observers have not been told yet.
    pub(crate) log: Log,
    /// The settings that the breaker was given after the first.
    pub(crate) later: OnceBox<Generations>,
    /// Slow calls. They have taken so long that a count that all threads share costs them nothing.
    slow: AtomicU64,
}

#[derive(Clone, Copy)]
pub(crate) struct Cleared {
    pub(crate) totals: Sums,
    pub(crate) changes: u32,
}

impl Cleared {
    pub(crate) const NOTHING: Cleared = Cleared { totals: Sums::ZERO, changes: 0 };
}

impl Cold {
    pub(crate) fn new() -> Self {
        Cold {
            lately: None,
            failures: Failures::new(),
            cleared: Mutex::new(None),
            log: Log::new(),
            later: OnceBox::new(),
            slow: AtomicU64::new(0),
        }
    }

    pub(crate) fn count_slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn slow_calls(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }
}
