//! Forced states of this process that end by themselves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tripcoil::{CircuitBreaker, Revision};

use crate::source::{Sources, Target};

/// How many timed holds there may be at the same time.
pub(crate) const MOST: usize = 1_000;

/// A breaker that is forced until a time.
pub(crate) struct Hold {
    breaker: Held,
    /// Identifies the forced state that this hold ends. It must not end a later one.
    revision: Revision,
    ends: Instant,
    pub(crate) ends_ms: u64,
    pub(crate) registry: Option<String>,
    pub(crate) name: String,
    pub(crate) actor: String,
    pub(crate) reason: String,
}

enum Held {
    /// One of the breakers that are in no registry.
    Standing(usize),
    Listed(Arc<CircuitBreaker>),
}

impl Hold {
    fn breaker<'a>(&'a self, sources: &'a Sources) -> &'a CircuitBreaker {
        match &self.breaker {
            Held::Standing(index) => (*sources.breakers[*index]).shared(),
            Held::Listed(breaker) => breaker,
        }
    }

    fn stands(&self, sources: &Sources) -> bool {
        self.breaker(sources).revision() == self.revision
    }

    /// Releases the breaker, as an operator would, unless something else has moved it.
    fn end(&self, sources: &Sources) -> bool {
        let stands = self.stands(sources);
        if stands {
            self.breaker(sources).release();
        }
        stands
    }

    pub(crate) fn address(&self, sources: &Sources) -> usize {
        std::ptr::from_ref(self.breaker(sources)).addr()
    }
}

/// What an operator asks for.
pub(crate) struct Terms<'a> {
    pub(crate) registry: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) lasts: Duration,
    pub(crate) now_ms: u64,
}

#[derive(Default)]
pub(crate) struct Holds(Mutex<Vec<Hold>>);

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn are_full(&self) -> bool {
        self.lock().len() >= MOST
    }

    /// Notes that the forced state of a breaker ends after a time.
    pub(crate) fn add(&self, target: &Target<'_>, terms: &Terms<'_>) {
        let Some(ends) = Instant::now().checked_add(terms.lasts) else { return };
        let breaker = match target {
            Target::Standing(index, _) => Held::Standing(*index),
            Target::Listed(breaker) => Held::Listed(breaker.clone()),
        };
        self.lock().push(Hold {
            breaker,
            revision: target.revision(),
            ends,
            ends_ms: terms.now_ms.saturating_add(u64::try_from(terms.lasts.as_millis()).unwrap_or(u64::MAX)),
            registry: terms.registry.map(str::to_owned),
            name: terms.name.to_owned(),
            actor: terms.actor.to_owned(),
            reason: terms.reason.to_owned(),
        });
    }

    /// Ends the holds whose time is over and returns them. Forgets those that something else has ended.
    pub(crate) fn end_due(&self, sources: &Sources) -> Vec<Hold> {
        let now = Instant::now();
        let mut holds = self.lock();
        holds.retain(|hold| hold.stands(sources));
        let due: Vec<_> = holds.extract_if(.., |hold| hold.ends <= now).collect();
        drop(holds);
        due.into_iter().filter(|hold| hold.end(sources)).collect()
    }

    /// The addresses of the held breakers, and when their holds end.
    pub(crate) fn ends(&self, sources: &Sources) -> Vec<(usize, u64)> {
        self.lock().iter().map(|hold| (hold.address(sources), hold.ends_ms)).collect()
    }

    /// Ends all holds: without the console, they would never end.
    pub(crate) fn end_all(&self, sources: &Sources) {
        for hold in self.lock().drain(..) {
            hold.end(sources);
        }
    }
}
