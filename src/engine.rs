use std::hash::{BuildHasher, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use event_listener::Event as Waiters;

use crate::cell::{Applied, Cell};
use crate::clock::{Clock, MonotonicClock};
use crate::counters::{Counters, Kind, Totals};
use crate::error::Rejected;
use crate::failures::{Failures, Note};
use crate::machine::{self, Effect, Event, Moment, Order};
use crate::metrics::Metrics;
use crate::name::Name;
use crate::observers::{Observer, Observers};
use crate::outcome::{Dropped, Outcome};
use crate::rules::Rules;
use crate::state::State;
use crate::sync::Mutex;
use crate::transition::{Cause, Transition};
use crate::word::Word;

/// Admits and settles: clock, then cell, then effects.
pub(crate) struct Engine {
    cell: Cell,
    rules: Rules,
    /// `None`: [`MonotonicClock`], which a `const fn` can name and the compiler can inline.
    clock: Option<Box<dyn Clock>>,
    name: Name,
    counters: Counters,
    failures: Failures,
    /// What [`reset`](Self::reset) takes off the counts.
    cleared: Mutex<Cleared>,
    observers: Observers,
    /// Those who wait for a change of state.
    watchers: Waiters,
    /// Those who wait to be admitted.
    queue: Waiters,
}

// The only user code that an engine holds is called where a panic leaves nothing half done: the clock
// before anything is written, the observers behind `catch_unwind`.
impl UnwindSafe for Engine {}
impl RefUnwindSafe for Engine {}

#[derive(Clone, Copy)]
struct Cleared {
    totals: Totals,
    changes: u32,
}

/// What an admitted call has to give back: proof of its admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// The word under which it was admitted.
    word: Word,
    /// When, if that matters.
    admitted: Option<Duration>,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    state: State,
    retry_after: Option<Duration>,
    /// After how long it is worth asking again, whatever the others do.
    pub(crate) ask_again_after: Option<Duration>,
}

impl Engine {
    crate::sync::const_unless_loom! {
        pub(crate) fn new(name: Name, rules: Rules, clock: Option<Box<dyn Clock>>, observers: Vec<Observer>) -> Self {
            Engine {
                cell: Cell::new(),
                rules,
                clock,
                name,
                counters: Counters::new(),
                failures: Failures::new(),
                cleared: Mutex::new(Cleared { totals: Totals::ZERO, changes: 0 }),
                observers: Observers::new(observers),
                watchers: Waiters::new(),
                queue: Waiters::new(),
            }
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

    fn now(&self) -> Duration {
        match &self.clock {
            None => MonotonicClock.now(),
            Some(clock) => clock.now(),
        }
    }

    fn moment(&self) -> Moment {
        let draw = if self.rules.jitter == 0.0 { 0.0 } else { draw() };
        Moment { now: self.now(), draw }
    }

    /// Admits a call or says why not.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Ticket, Refusal> {
        let word = self.cell.load();
        if word.admits_all() && !self.rules.times_calls() {
            self.counters.here().count_admission();
            return Ok(Ticket { word, admitted: None });
        }
        self.admit_by_clock(word)
    }

    #[cold]
    fn admit_by_clock(&self, word: Word) -> Result<Ticket, Refusal> {
        if word.state() == State::ForcedOpen {
            return Err(Refusal::FORCED);
        }
        let now = self.now();
        let applied = self.cell.admit(now, &self.rules);
        if let Some(refusal) = self.refusal(&applied, now) {
            return Err(refusal);
        }
        self.counters.here().count_admission();
        self.perform(&applied, Some(now));
        Ok(Ticket { word: applied.after, admitted: self.rules.times_calls().then_some(now) })
    }

    fn refusal(&self, applied: &Applied, now: Duration) -> Option<Refusal> {
        match applied.effect {
            Effect::RefuseOpen => {
                let left = Some(self.cell.time_left(applied.after, now));
                Some(Refusal { state: State::Open, retry_after: left, ask_again_after: left })
            }
            Effect::RefuseFull => {
                let overdue_at = self.cell.overdue_at(applied.after.epoch(), &self.rules);
                let left = overdue_at.map(|overdue_at| overdue_at.left(now));
                Some(Refusal { state: State::HalfOpen, retry_after: None, ask_again_after: left })
            }
            Effect::RefuseForced => Some(Refusal::FORCED),
            _ => None,
        }
    }

    /// Counts a rejection and makes it presentable.
    pub(crate) fn reject(&self, refusal: Refusal) -> Rejected {
        self.counters.here().count_rejection();
        Rejected::new(self.name.clone(), refusal.state, refusal.retry_after)
    }

    /// Settles a call as `outcome` says.
    #[inline]
    pub(crate) fn settle(&self, ticket: Ticket, outcome: Outcome, note: Note) {
        match outcome {
            Outcome::Success => self.succeed(ticket),
            Outcome::Failure => self.fail(ticket, note),
            Outcome::Ignored => self.release(ticket, Kind::Ignored),
            Outcome::Trip { open_for } => self.trip(ticket, open_for, note),
        }
    }

    /// Settles a call that ended without an outcome.
    #[cold]
    pub(crate) fn abandon(&self, ticket: Ticket) {
        if std::thread::panicking() {
            return self.fail(ticket, Note::PANIC);
        }
        let failed = match self.rules.dropped_calls {
            Dropped::Ignore => false,
            Dropped::Failure => true,
            Dropped::FailureAfter(limit) => {
                ticket.admitted.is_some_and(|admitted| self.now().saturating_sub(admitted) >= limit)
            }
        };
        if failed { self.fail(ticket, Note::DROPPED) } else { self.release(ticket, Kind::Dropped) }
    }

    #[inline]
    fn succeed(&self, ticket: Ticket) {
        let epoch = ticket.word.epoch();
        if ticket.word.is_quiet() && self.cell.is_still(ticket.word) {
            self.counters.here().count_success(epoch);
        } else {
            self.succeed_noisily(ticket);
        }
    }

    /// A success that changes the word, or belongs to another.
    #[cold]
    fn succeed_noisily(&self, ticket: Ticket) {
        let applied = self.cell.apply(Event::Success { epoch: ticket.word.epoch() }, &self.rules);
        self.count(ticket, &applied, Kind::Success);
        self.perform(&applied, None);
    }

    #[cold]
    fn release(&self, ticket: Ticket, kind: Kind) {
        let applied = self.cell.apply(Event::Release { epoch: ticket.word.epoch() }, &self.rules);
        self.count(ticket, &applied, kind);
        self.perform(&applied, None);
    }

    #[cold]
    fn fail(&self, ticket: Ticket, note: Note) {
        let epoch = ticket.word.epoch();
        let mut applied = self.cell.apply(Event::Failure { epoch, moment: None }, &self.rules);
        let mut now = None;
        if applied.effect == Effect::ReadClock {
            let moment = self.moment();
            now = Some(moment.now);
            applied = self.cell.apply(Event::Failure { epoch, moment: Some(moment) }, &self.rules);
        }
        self.count_failure(ticket, &applied, note, now);
        self.perform(&applied, now);
    }

    #[cold]
    fn trip(&self, ticket: Ticket, open_for: Duration, note: Note) {
        let now = self.now();
        let event = Event::Trip { epoch: ticket.word.epoch(), now, open_for };
        let applied = self.cell.apply(event, &self.rules);
        self.count_failure(ticket, &applied, note, Some(now));
        self.perform(&applied, Some(now));
    }

    fn count_failure(&self, ticket: Ticket, applied: &Applied, note: Note, now: Option<Duration>) {
        self.count(ticket, applied, Kind::Error);
        if applied.effect != Effect::Late {
            self.failures.record(note, now);
        }
    }

    fn count(&self, ticket: Ticket, applied: &Applied, kind: Kind) {
        if applied.effect == Effect::Late {
            self.counters.count_late(kind);
        } else {
            self.counters.count_settled(kind, ticket.word.epoch());
        }
    }

    /// Does what is left to do once the new word stands.
    fn perform(&self, applied: &Applied, now: Option<Duration>) {
        match applied.effect {
            Effect::Free(slots) if slots > 0 => {
                self.queue.notify_additional(slots as usize);
            }
            Effect::Begin { cause, errors, successes } => {
                let has_changed = applied.before.state() != applied.after.state();
                if has_changed {
                    self.watchers.notify(usize::MAX);
                }
                self.queue.notify(usize::MAX);
                if has_changed && !self.observers.is_empty() {
                    let at = now.unwrap_or_else(|| self.now());
                    self.observers.report(self.transition(applied, cause, errors, successes, at), applied.changes);
                }
            }
            _ => {}
        }
    }

    fn transition(&self, applied: &Applied, cause: Cause, errors: u64, successes: u64, at: Duration) -> Transition {
        let Applied { before, after, .. } = *applied;
        Transition {
            name: self.name.clone(),
            from: before.state(),
            to: after.state(),
            cause,
            sequence: 0,
            at,
            open_for: (after.state() == State::Open).then(|| self.cell.time_left(after, at)),
            consecutive_error_count: errors,
            consecutive_success_count: self.successes_in_a_row(before, errors, successes),
        }
    }

    /// While closed the word counts no successes, so that they need not write to it.
    fn successes_in_a_row(&self, word: Word, errors: u64, successes: u64) -> u64 {
        if word.state() == State::Closed && errors == 0 {
            self.counters.run_of_successes(word.epoch())
        } else {
            successes
        }
    }

    pub(crate) fn transition_to(&self, state: State) {
        self.operate(match state {
            State::Closed => Order::Close,
            State::Open => Order::Open(self.moment()),
            State::HalfOpen => Order::HalfOpen,
            State::ForcedOpen => Order::ForceOpen,
            State::ForcedClosed => Order::ForceClosed,
        });
    }

    pub(crate) fn open_for(&self, open_for: Duration) {
        self.operate(Order::OpenFor { now: self.now(), open_for });
    }

    fn operate(&self, order: Order) {
        let applied = self.cell.apply(Event::Operate(order), &self.rules);
        self.perform(&applied, None);
    }

    pub(crate) fn reset(&self) {
        let applied = self.cell.apply(Event::Operate(Order::Reset), &self.rules);
        let mut cleared = self.cleared.lock();
        cleared.totals = self.counters.totals();
        // What a later reset has already taken off stays off.
        if applied.changes.wrapping_sub(cleared.changes) <= u32::MAX / 2 {
            cleared.changes = applied.changes;
        }
        drop(cleared);
        self.failures.clear();
        self.perform(&applied, None);
    }

    pub(crate) fn metrics(&self) -> Metrics {
        // First, so that a reset that comes meanwhile cannot take off more than there is.
        let cleared = *self.cleared.lock();
        let (word, history) = self.cell.load_with_history();
        let state = word.state();
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
        }
    }
}

impl Refusal {
    const FORCED: Refusal = Refusal { state: State::ForcedOpen, retry_after: None, ask_again_after: None };
}

/// A random number from 0 to 1: the seeds of the standard library's hash maps are random and each differs.
fn draw() -> f64 {
    let bits = RandomState::new().hash_one(());
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}
