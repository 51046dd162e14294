use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tripcoil::Transition;

/// How many transitions wait for the console's next sample. Beyond that the oldest is dropped.
const LONGEST: usize = 4096;

/// Passes transitions with their causes and counts from the breakers to the console.
///
/// The console samples every breaker once a second, and observes those that you add with
/// [`Console::breaker`](crate::Console::breaker). Without a journal, it detects that the state of a registry's breaker has
/// changed, but not why. Pass [`observer`](Self::observer) to the builder of a breaker, and the journal to
/// [`Console::journal`](crate::Console::journal).
///
/// Clones share the same journal. At most 4096 transitions wait for the next sample. If more arrive, the oldest are
/// dropped, and the console shows these changes without their cause.
///
/// ```
/// use std::sync::Arc;
/// use tripcoil::{CircuitBreaker, Registry};
/// use tripcoil_console::{Console, Journal};
///
/// let journal = Journal::new();
/// let payments = CircuitBreaker::builder("payments").on_transition(journal.observer()).build()?;
/// let template = CircuitBreaker::builder("hosts").on_transition(journal.observer_of("hosts"));
/// let hosts: Registry<String> = Registry::builder(template).build()?;
/// let console = Console::new().breaker(Arc::new(payments)).registry(Arc::new(hosts)).journal(&journal);
/// # Ok::<(), tripcoil::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<VecDeque<Entry>>>);

/// A transition, and where it came from.
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) registry: Option<Arc<str>>,
    pub(crate) transition: Transition,
}

impl Journal {
    /// Creates an empty journal.
    #[must_use]
    pub fn new() -> Self {
        Journal::default()
    }

    /// Returns an observer for [`Builder::on_transition`](tripcoil::Builder::on_transition) of a breaker outside any
    /// registry.
    ///
    /// The observer holds a lock for the duration of a push. It does not allocate once the journal has grown.
    pub fn observer(&self) -> impl Fn(&Transition) + Send + Sync + 'static {
        self.observe(None)
    }

    /// Returns an observer for the template of the registry with this name.
    pub fn observer_of(&self, registry: &str) -> impl Fn(&Transition) + Send + Sync + 'static {
        self.observe(Some(registry.into()))
    }

    fn observe(&self, registry: Option<Arc<str>>) -> impl Fn(&Transition) + Send + Sync + 'static {
        let journal = self.clone();
        move |transition| {
            let entry = Entry { at: SystemTime::now(), registry: registry.clone(), transition: transition.clone() };
            journal.push(entry);
        }
    }

    fn push(&self, entry: Entry) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if waiting.len() == LONGEST { waiting.pop_front() } else { None };
        waiting.push_back(entry);
        drop(waiting);
        drop(oldest);
    }

    pub(crate) fn take(&self) -> VecDeque<Entry> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tripcoil::CircuitBreaker;

    use super::*;

    #[test]
    fn a_journal_that_nobody_reads_keeps_the_newest_transitions_only() {
        let journal = Journal::new();
        let breaker = CircuitBreaker::builder("flapping").on_transition(journal.observer_of("hosts")).build().unwrap();
        for _ in 0..LONGEST {
            breaker.force_open();
            breaker.reset();
        }
        let waiting = journal.take();
        assert_eq!(waiting.len(), LONGEST);
        assert_eq!(waiting.front().unwrap().transition.sequence, LONGEST as u64 + 1);
        assert_eq!(waiting.back().unwrap().registry.as_deref(), Some("hosts"));
        assert!(journal.take().is_empty());
    }
}
