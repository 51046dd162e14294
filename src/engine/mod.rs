//! Admits and settles: clock, then window, then cell, then effects.

mod admit;
mod effect;
mod settle;

use std::hash::{BuildHasher, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::cell::Cell;
use crate::clock::{Clock, MonotonicClock};
use crate::counters::{Counters, Slot, Totals};
use crate::failures::Failures;
use crate::machine::{self, Event, Moment, Order};
use crate::metrics::{Metrics, WindowMetrics};
use crate::name::Name;
use crate::observers::{Observer, Observers};
use crate::rules::Rules;
use crate::state::State;
use crate::sync::Mutex;
use crate::waiters::Waiters;
use crate::window::Lately;
use crate::word::Word;

pub(crate) use admit::Ticket;

/// All of a breaker but its public face.
pub(crate) struct Engine {
    cell: Cell,
    /// Whether each admission reads the clock.
    times_calls: bool,
    /// Whether each settlement does.
    times_settlements: bool,
    counters: Counters,
    rules: Rules,
    lately: Option<Box<Lately>>,
    /// `None`: [`MonotonicClock`], which a `const fn` can name and the compiler can inline.
    clock: Option<Box<dyn Clock>>,
    name: Name,
    failures: Failures,
    /// What [`reset`](Self::reset) takes off the counts.
    cleared: Mutex<Option<Box<Cleared>>>,
    observers: Option<Box<Observers>>,
    /// Those who wait for a change of state.
    watchers: Waiters,
    /// Those who wait to be admitted.
    queue: Waiters,
}

// The only user code that an engine holds is called where a panic leaves nothing half done: the clock
// before the word is swapped, the observers behind `catch_unwind`.
impl UnwindSafe for Engine {}
impl RefUnwindSafe for Engine {}

#[derive(Clone, Copy)]
struct Cleared {
    totals: Totals,
    changes: u32,
}

impl Cleared {
    const NOTHING: Cleared = Cleared { totals: Totals::ZERO, changes: 0 };
}

/// What a breaker is made of.
pub(crate) struct Parts {
    pub(crate) name: Name,
    pub(crate) rules: Rules,
    pub(crate) lately: Option<Box<Lately>>,
    pub(crate) clock: Option<Box<dyn Clock>>,
    pub(crate) observers: Vec<Observer>,
}

impl Engine {
    crate::sync::const_unless_loom! {
        /// An engine with the default rules.
        pub(crate) fn new(name: Name) -> Self {
            Engine {
                cell: Cell::new(),
                times_calls: false,
                times_settlements: false,
                counters: Counters::new(),
                rules: Rules::DEFAULT,
                lately: None,
                clock: None,
                name,
                failures: Failures::new(),
                cleared: Mutex::new(None),
                observers: None,
                watchers: Waiters::new(),
                queue: Waiters::new(),
            }
        }
    }

    pub(crate) fn with(parts: Parts) -> Self {
        let Parts { name, rules, lately, clock, observers } = parts;
        let times_windows = lately.as_ref().is_some_and(|lately| lately.times_calls());
        Engine {
            times_calls: rules.times_calls() || times_windows,
            times_settlements: lately.as_ref().is_some_and(|lately| lately.times_settlements()),
            rules,
            lately,
            clock,
            observers: (!observers.is_empty()).then(|| Box::new(Observers::new(observers))),
            ..Engine::new(name)
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn state(&self) -> State {
        self.cell.load().state()
    }

    /// Changes of state so far, modulo 2³².
    pub(crate) fn changes(&self) -> u32 {
        self.cell.load_with_history().1.changes()
    }

    pub(crate) fn watchers(&self) -> &Waiters {
        &self.watchers
    }

    pub(crate) fn queue(&self) -> &Waiters {
        &self.queue
    }

    /// This thread's totals.
    #[inline]
    pub(crate) fn slot(&self) -> &Slot {
        self.counters.here()
    }

    fn now(&self) -> Duration {
        match &self.clock {
            None => MonotonicClock.now(),
            Some(clock) => clock.now(),
        }
    }

    fn moment_at(&self, now: Duration) -> Moment {
        Moment { now, draw: if self.rules.jitter == 0.0 { 0.0 } else { draw() } }
    }

    pub(crate) fn transition_to(&self, state: State) {
        self.operate(match state {
            State::Closed => Order::Close,
            State::Open => Order::Open(self.moment_at(self.now())),
            State::HalfOpen => Order::HalfOpen,
            State::ForcedOpen => Order::ForceOpen,
            State::ForcedClosed => Order::ForceClosed,
        });
    }

    pub(crate) fn open_for(&self, open_for: Duration) {
        self.operate(Order::OpenFor { now: self.now(), open_for });
    }

    fn operate(&self, order: Order) {
        let event = Event::Operate(order);
        let at = event.opens_at().or_else(|| self.time_to_tell());
        let applied = self.cell.apply(event, &self.rules);
        self.perform(&applied, at);
    }

    pub(crate) fn reset(&self) {
        let at = self.time_to_tell();
        // Locked first, so that of two resets the later one is also the one that is remembered.
        let mut cleared = self.cleared.lock();
        let applied = self.cell.apply(Event::Operate(Order::Reset), &self.rules);
        *cleared = Some(Box::new(Cleared { totals: self.counters.totals(), changes: applied.changes }));
        self.failures.clear();
        drop(cleared);
        self.perform(&applied, at);
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.snapshot(|cleared| cleared)
    }

    /// The metrics as if nothing had ever been reset.
    pub(crate) fn lifetime_metrics(&self) -> Metrics {
        self.snapshot(|_| Cleared::NOTHING)
    }

    /// `taken_off` tells what of the cleared counts is left out.
    fn snapshot(&self, taken_off: impl FnOnce(Cleared) -> Cleared) -> Metrics {
        // What was cleared comes first: whatever is read after it is at least as new.
        let cleared = self.cleared.lock().as_deref().copied().unwrap_or(Cleared::NOTHING);
        let (word, history) = self.cell.load_with_history();
        let cleared = taken_off(cleared);
        let (state, epoch) = (word.state(), word.epoch());
        let totals = self.counters.totals().since(cleared.totals);
        let (errors, successes) = machine::counts(word);
        Metrics {
            name: self.name.clone(),
            state,
            active_calls: totals.active,
            total_success_count: totals.success,
            total_error_count: totals.error,
            total_ignored_count: totals.ignored,
            total_dropped_count: totals.dropped,
            total_rejected_count: totals.rejected,
            total_slow_count: totals.slow,
            consecutive_error_count: errors,
            consecutive_success_count: self.successes_in_a_row(word, errors, successes),
            transition_count: u64::from(history.changes().wrapping_sub(cleared.changes)),
            retry_after: (state == State::Open).then(|| self.cell.time_left(word, self.now())),
            last_error: self.failures.last(),
            window: self.lately.as_ref().map(|lately| match state {
                State::Closed => lately.metrics(epoch, self.time_of(lately), || self.counters.calls_in(epoch)),
                _ => WindowMetrics::default(),
            }),
        }
    }

    /// The time, if the windows need it.
    fn time_of(&self, lately: &Lately) -> Duration {
        if lately.times_settlements() { self.now() } else { Duration::ZERO }
    }

    /// While closed the word counts no successes, so that they need not write to it.
    fn successes_in_a_row(&self, word: Word, errors: u64, successes: u64) -> u64 {
        if word.state() == State::Closed && errors == 0 {
            self.counters.run_of_successes(word.epoch())
        } else {
            successes
        }
    }
}

/// A random number from 0 to 1: the seeds of the standard library's hash maps are random and each differs.
fn draw() -> f64 {
    let bits = RandomState::new().hash_one(());
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}
