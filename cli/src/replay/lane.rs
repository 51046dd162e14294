use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, OwnedPermit, Registry, Transition};

use super::journal::Journal;
use super::policy::Policy;
use super::tally::Class;
use crate::call::Call;

/// One policy at work: a breaker for each key, and the permits of the calls in flight.
pub(super) struct Lane {
    policy: Policy,
    clock: ManualClock,
    breakers: Vec<Option<Arc<CircuitBreaker>>>,
    /// Makes the breakers, if their open share is limited.
    registry: Option<Registry<u32>>,
    /// By the slot of the call in flight; `None` if it was refused.
    permits: Vec<Option<OwnedPermit>>,
    journal: Arc<Mutex<Journal>>,
}

impl Lane {
    pub(super) fn new(policy: Policy, clock: ManualClock) -> Self {
        let journal = Arc::new(Mutex::new(Journal::new()));
        let registry = limited(&policy, &clock, &journal);
        Lane { policy, clock, breakers: Vec::new(), registry, permits: Vec::new(), journal }
    }

    /// A call starts now, and has this slot until it ends.
    pub(super) fn start(&mut self, slot: usize, call: &Call, class: Class) {
        if slot >= self.permits.len() {
            self.permits.resize_with(slot + 1, || None);
        }
        self.permits[slot] = self.breaker(call.key).try_acquire_owned().ok();
        if self.permits[slot].is_none() {
            locked(&self.journal).refuse(call.key, call.time, class);
        }
    }

    /// The call with this slot ends now.
    pub(super) fn end(&mut self, slot: usize, call: &Call) {
        if let Some(permit) = self.permits[slot].take() {
            match call.outcome {
                Some(outcome) => permit.record(outcome),
                None => drop(permit),
            }
        }
    }

    /// Ends the replay. No call may be in flight.
    pub(super) fn finish(self, end: Duration) -> (Policy, Journal) {
        drop((self.permits, self.breakers, self.registry)); // Their observers hold the journal.
        let journal = Arc::into_inner(self.journal).expect("the breakers are gone");
        let mut journal = journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        journal.finish(end);
        (self.policy, journal)
    }

    fn breaker(&mut self, key: u32) -> &Arc<CircuitBreaker> {
        let index = key as usize;
        if index >= self.breakers.len() {
            self.breakers.resize(index + 1, None);
        }
        self.breakers[index].get_or_insert_with(|| {
            if let Some(registry) = &self.registry {
                return registry.get(&key);
            }
            let journal = self.journal.clone();
            let builder = self.policy.builder().clock(self.clock.clone());
            let breaker = builder.on_transition(move |change| locked(&journal).change(key, change)).build();
            Arc::new(breaker.expect("a breaker with these settings has been made before"))
        })
    }
}

fn limited(policy: &Policy, clock: &ManualClock, journal: &Arc<Mutex<Journal>>) -> Option<Registry<u32>> {
    let [changes, suppressed] = [(); 2].map(|()| journal.clone());
    let key_of = |change: &Transition| change.name.parse().expect("a breaker is named by its key");
    let template = policy.builder().clock(clock.clone());
    let template = template.on_transition(move |change| locked(&changes).change(key_of(change), change));
    let registry = policy.registry(template)?;
    let registry = registry.on_suppressed_opening(move |opening| locked(&suppressed).suppress(opening.cause));
    Some(registry.build().expect("a registry with these settings has been made before"))
}

fn locked(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}
