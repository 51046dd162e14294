use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use crate::panics::contain;
use crate::state::State;
use crate::sync::unmodelled::{AtomicUsize, Ordering};
use crate::sync::{Mutex, OnceBox};
use crate::transition::Transition;

/// A function that is notified of each change of state.
pub(crate) type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// One that was added to a breaker that stands.
pub(crate) type LateObserver = Arc<dyn Fn(&Transition) + Send + Sync>;

/// An observer that was added by [`observe`](crate::CircuitBreaker::observe), and is notified of changes of state until this
/// is dropped.
#[must_use = "the observer is told of nothing once this is dropped"]
pub struct Observing {
    late: Weak<Late>,
    id: u64,
}

impl Drop for Observing {
    fn drop(&mut self) {
        let Some(late) = self.late.upgrade() else { return };
        let mut added = late.added.lock();
        let place = added.observers.iter().position(|observer| observer.id == self.id);
        let removed = place.map(|place| added.observers.remove(place));
        drop(added);
        late.count.fetch_sub(1, Ordering::SeqCst);
        // Outside of the lock: it is the user's.
        drop(removed);
    }
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observing").finish_non_exhaustive()
    }
}

/// The observers that were added to a breaker that stands.
struct Late {
    /// How many there are, or will be in a moment.
    count: AtomicUsize,
    added: Mutex<Added>,
}

struct Added {
    observers: Vec<LateEntry>,
    next_id: u64,
}

#[derive(Clone)]
struct LateEntry {
    id: u64,
    /// The changes of state that it is not notified of: those before it came.
    after: u64,
    observer: LateObserver,
}

/// Tells the observers of each transition: one at a time, in order, each once, outside every lock.
///
/// Threads may report transitions out of order. A thread that finds the next one in the log, and nobody
/// notifying, notifies of it and all that follow; a report that arrives meanwhile, from another thread or from an
/// observer itself, is left in the log for that thread. A report and a look for the next transition take the
/// same time whatever the backlog.
pub(crate) struct TransitionLog {
    untold: Mutex<Untold>,
    /// Made when the first one is added.
    late: OnceBox<Arc<Late>>,
}

struct Untold {
    /// The transitions that come after those notified of, each in its place; `None` until it is reported.
    reported: VecDeque<Option<Transition>>,
    told: u64,
    /// The rejections before the last transition that was reported.
    rejections: u64,
    /// Those before the last close.
    before_close: u64,
    telling: bool,
    /// How many places of the backlog were looked at.
    #[cfg(test)]
    looks: u64,
}

impl TransitionLog {
    pub(crate) fn new() -> Self {
        let untold = Untold {
            reported: VecDeque::new(),
            told: 0,
            rejections: 0,
            before_close: 0,
            telling: false,
            #[cfg(test)]
            looks: 0,
        };
        TransitionLog { untold: Mutex::new(untold), late: OnceBox::new() }
    }

    /// Whether observers have been added.
    pub(crate) fn has_late(&self) -> bool {
        self.late.get().is_some_and(|late| late.count.load(Ordering::SeqCst) > 0)
    }

    fn late(&self) -> &Arc<Late> {
        self.late.get_or_init(|| {
            let added = Mutex::new(Added { observers: Vec::new(), next_id: 0 });
            Box::new(Arc::new(Late { count: AtomicUsize::new(0), added }))
        })
    }

    /// From here on transitions are reported. Returns whether none were before, but for observers given with the breaker.
    pub(crate) fn begin_late(&self) -> bool {
        self.late().count.fetch_add(1, Ordering::SeqCst) == 0
    }

    /// Adds an observer after [`begin_late`](Self::begin_late). `changes`: the changes of state so far. If nobody has been
    /// notified of those, the `rejections` so far are given.
    pub(crate) fn add_late(&self, observer: LateObserver, changes: u64, rejections: Option<u64>) -> Observing {
        if let Some(rejections) = rejections {
            self.untold.lock().skip_to(changes, rejections);
        }
        let mut added = self.late().added.lock();
        let id = added.next_id;
        added.next_id += 1;
        added.observers.push(LateEntry { id, after: changes, observer });
        drop(added);
        Observing { late: Arc::downgrade(self.late()), id }
    }

    /// Puts a transition in the log, the `changes`th modulo 2³². Its sequence number is filled in here; the
    /// rejections are all that there have been, until those before the last close are taken off.
    pub(crate) fn report(&self, mut transition: Transition, changes: u32) {
        let mut log = self.untold.lock();
        let ahead = log.ahead(changes);
        if ahead > u32::MAX / 2 {
            // It was before the first observer came.
            return;
        }
        transition.sequence = log.told + 1 + u64::from(ahead);
        let place = ahead as usize;
        if place >= log.reported.len() {
            log.reported.resize_with(place + 1, || None);
        }
        log.reported[place] = Some(transition);
    }

    /// Tells what stands in the log, unless someone is telling already.
    pub(crate) fn tell_all(&self, observers: &[Observer]) {
        let mut log = self.untold.lock();
        if log.telling {
            return;
        }
        log.telling = true;
        while let Some(transition) = log.next() {
            drop(log);
            tell(observers, &transition);
            self.tell_late(&transition);
            log = self.untold.lock();
        }
        log.telling = false;
    }

    fn tell_late(&self, transition: &Transition) {
        let Some(late) = self.late.get() else { return };
        let observers = late.added.lock().observers.clone();
        for LateEntry { after, observer, .. } in observers {
            if transition.sequence > after {
                contain(|| observer(transition));
            }
            // The last handle to it, if it has been taken out meanwhile.
            contain(|| drop(observer));
        }
    }
}

fn tell(observers: &[Observer], transition: &Transition) {
    for observer in observers {
        contain(|| observer(transition));
    }
}

impl Untold {
    /// The room for reports that is kept while there are none.
    const KEPT: usize = 8;

    /// The first observer has come. It is not notified of what happened before.
    fn skip_to(&mut self, changes: u64, rejections: u64) {
        if changes <= self.told {
            return;
        }
        let told = usize::try_from(changes - self.told).unwrap_or(usize::MAX).min(self.reported.len());
        self.reported.drain(..told);
        self.told = changes;
        self.rejections = self.rejections.max(rejections);
        self.before_close = self.rejections;
    }

    /// How many transitions come between the last one that was notified of and this one.
    fn ahead(&self, changes: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the distance is taken modulo 2³²")]
        let told = self.told as u32;
        changes.wrapping_sub(told).wrapping_sub(1)
    }

    /// Takes the transition that comes after those notified of, if it has been reported.
    fn next(&mut self) -> Option<Transition> {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let mut next = self.reported.front_mut()?.take()?;
        self.reported.pop_front();
        if self.reported.is_empty() {
            self.reported.shrink_to(Self::KEPT);
        }
        self.told += 1;
        // Of two threads that report, the one with the later transition may have counted first.
        self.rejections = next.rejected_count.max(self.rejections);
        next.rejected_count = self.rejections - self.before_close;
        if next.to == State::Closed {
            self.before_close = self.rejections;
        }
        Some(next)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::transition::Cause;
    use std::sync::Arc;
    use std::time::Duration;

    fn transition() -> Transition {
        Transition {
            name: Name::new("test"),
            from: State::Closed,
            to: State::Open,
            cause: Cause::Manual,
            sequence: 0,
            at: Duration::ZERO,
            open_for: None,
            consecutive_error_count: 0,
            consecutive_success_count: 0,
            rejected_count: 0,
            window: None,
            epoch: 0,
        }
    }

    fn recording() -> (Vec<Observer>, Arc<Mutex<Vec<u64>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        (vec![Box::new(move |transition| sink.lock().push(transition.sequence))], seen)
    }

    #[test]
    fn transitions_reported_out_of_order_are_told_in_order_and_once() {
        let (log, (observers, seen)) = (TransitionLog::new(), recording());
        for changes in [3, 2, 5, 1] {
            log.report(transition(), changes);
            log.tell_all(&observers);
        }
        assert_eq!(*seen.lock(), [1, 2, 3]);
        log.report(transition(), 4);
        assert_eq!(*seen.lock(), [1, 2, 3]);
        log.tell_all(&observers);
        assert_eq!(*seen.lock(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_long_backlog_is_told_in_order_with_few_looks_at_each_transition() {
        const TRANSITIONS: u32 = 160_000;
        const STEP: u32 = 7919; // Has no divisor in common with the number of transitions.
        let (log, (observers, seen)) = (TransitionLog::new(), recording());
        for report in 1..=TRANSITIONS {
            // The first one comes last.
            log.report(transition(), report * STEP % TRANSITIONS + 1);
            log.tell_all(&observers);
        }
        assert!(seen.lock().iter().copied().eq(1..=TRANSITIONS.into()));
        let untold = log.untold.lock();
        assert!(untold.looks <= 2 * u64::from(TRANSITIONS) + 1, "{} looks", untold.looks);
        assert!(untold.reported.capacity() <= Untold::KEPT, "a backlog that is gone takes no memory");
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_transition_in_the_backlog_takes_as_much_as_the_docs_of_on_transition_say() {
        // The room for the backlog doubles as it grows.
        assert!(2 * size_of::<Option<Transition>>() <= 320);
    }

    #[test]
    fn a_sequence_goes_on_where_the_count_of_changes_wraps() {
        let (log, (observers, seen)) = (TransitionLog::new(), recording());
        log.untold.lock().told = u64::from(u32::MAX) - 1;
        for changes in [0, u32::MAX, 1] {
            log.report(transition(), changes);
        }
        log.tell_all(&observers);
        assert_eq!(*seen.lock(), [0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_0001]);
    }

    #[test]
    fn rejections_are_told_from_one_close_to_the_next_whatever_the_order_of_the_reports() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let observers: Vec<Observer> = vec![Box::new(move |transition| sink.lock().push(transition.rejected_count))];
        let log = TransitionLog::new();
        let states = [State::HalfOpen, State::Open, State::Closed, State::Open, State::HalfOpen];
        for (changes, rejections) in [(1, 3), (3, 7), (2, 8), (4, 9), (5, 12)] {
            let to = states[changes as usize - 1];
            log.report(Transition { to, rejected_count: rejections, ..transition() }, changes);
            log.tell_all(&observers);
        }
        assert_eq!(*told.lock(), [3, 8, 8, 1, 4]);
    }

    #[test]
    fn a_panic_that_panics_when_dropped_stops_nobody() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let seen = Arc::new(Mutex::new(0));
        let sink = seen.clone();
        let observers: Vec<Observer> =
            vec![Box::new(|_| std::panic::panic_any(Bomb)), Box::new(move |_| *sink.lock() += 1)];
        let log = TransitionLog::new();
        log.report(transition(), 1);
        log.report(transition(), 2);
        log.tell_all(&observers);
        assert_eq!(*seen.lock(), 2);
    }
}
