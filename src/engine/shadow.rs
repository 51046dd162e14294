//! A second policy that is judged on the same calls and rejects none of them.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::admit::Ticket;
use super::last_failure::FailureInfo;
use super::observers::Observer;
use super::shared::Shared;
use super::{Cold, Engine};
use crate::clock::Clock;
use crate::config::{Config, ValidSettings};
use crate::metrics::{ShadowMetrics, ShadowRejections};
use crate::outcome::Outcome;
use crate::panics::contain;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicU64, Ordering};
use crate::transition::Cause;

/// The shadow of a breaker, and the calls in flight that this one or an earlier one has seen.
pub(super) struct Shadows(Mutex<ShadowsState>);

struct ShadowsState {
    current: Option<Arc<Shadow>>,
    calls: Calls,
}

struct Shadow {
    /// Decides what the policy would do. It shares nothing with the breaker but the clock.
    engine: Engine,
    config: Config,
    transitions: Arc<ByCause>,
    rejections: Rejections,
    /// How many calls the breaker had rejected when the shadow began.
    rejected_before: u64,
}

/// The clock of a breaker.
struct ClockOf(Arc<Shared>);

impl Clock for ClockOf {
    fn now(&self) -> Duration {
        self.0.now()
    }
}

/// Transitions of a shadow by their cause.
struct ByCause([AtomicU64; Cause::ALL.len()]);

/// How the calls ended that a shadow would have rejected.
#[derive(Default)]
struct Rejections {
    success: AtomicU64,
    error: AtomicU64,
    ignored: AtomicU64,
    dropped: AtomicU64,
}

/// One call in flight that a shadow sees.
struct Entry {
    /// The breaker's own ticket.
    ticket: Ticket,
    call: ShadowCall,
}

/// What a shadow makes of a call.
#[derive(Clone)]
pub(super) struct ShadowCall {
    shadow: Arc<Shadow>,
    /// `None` if the shadow would have rejected the call.
    ticket: Option<Ticket>,
}

impl Shadow {
    fn new(breaker: &Engine, config: Config, validated: ValidSettings) -> Self {
        let transitions = Arc::new(ByCause([const { AtomicU64::new(0) }; Cause::ALL.len()]));
        let counted = transitions.clone();
        let mut observers: Vec<Observer> = vec![Box::new(move |transition| counted.count(transition.cause))];
        let shared = breaker.shared.as_deref();
        if let Some(own) = shared.map(|shared| shared.shadow_observers.clone()).filter(|own| !own.is_empty()) {
            observers.push(Box::new(move |transition| {
                for observer in &*own {
                    contain(|| observer(transition));
                }
            }));
        }
        let own_clock = breaker.shared.clone().filter(|shared| shared.has_own_clock());
        let clock = own_clock.map(|shared| Box::new(ClockOf(shared)) as Box<dyn Clock>);
        let shared = Shared::new(validated, clock, observers.into());
        Shadow {
            engine: Engine::with(breaker.name.clone(), Arc::new(shared)),
            config,
            transitions,
            rejections: Rejections::default(),
            rejected_before: breaker.totals().rejections(),
        }
    }

    fn metrics(&self, rejected: u64) -> ShadowMetrics {
        let metrics = self.engine.metrics();
        let settled = metrics.total_success_count
            + metrics.total_error_count
            + metrics.total_ignored_count
            + metrics.total_dropped_count;
        ShadowMetrics {
            state: metrics.state,
            retry_after: metrics.retry_after,
            seen_calls: settled + metrics.active_calls + metrics.total_rejected_count,
            unseen_calls: rejected.saturating_sub(self.rejected_before),
            transitions: self.transitions.counts(),
            rejected_count: metrics.total_rejected_count,
            rejections: self.rejections.counts(),
            window: metrics.window,
        }
    }
}

impl ByCause {
    fn count(&self, cause: Cause) {
        self.0[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> Vec<(Cause, u64)> {
        let counts = Cause::ALL.into_iter().zip(&self.0).map(|(cause, count)| (cause, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

impl Rejections {
    fn count(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &self.success,
            Outcome::Failure | Outcome::Trip { .. } => &self.error,
            Outcome::Ignored => &self.ignored,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> ShadowRejections {
        let [success_count, error_count, ignored_count, dropped_count] =
            [&self.success, &self.error, &self.ignored, &self.dropped].map(|count| count.load(Ordering::Relaxed));
        ShadowRejections { success_count, error_count, ignored_count, dropped_count }
    }
}

// The clock and the error type's destructor are a user's, and may panic. The breaker has settled the call by then.
impl ShadowCall {
    pub(super) fn settle(self, outcome: Outcome, info: &FailureInfo) {
        match self.ticket {
            Some(ticket) => contain(|| self.shadow.engine.settle(ticket, outcome, info)),
            None => self.shadow.rejections.count(outcome),
        }
    }

    pub(super) fn abandon(self, has_panicked: bool) {
        match self.ticket {
            Some(ticket) => contain(|| self.shadow.engine.abandon(ticket, || has_panicked)),
            None if has_panicked => self.shadow.rejections.count(Outcome::Failure),
            None => _ = self.shadow.rejections.dropped.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Shadows {
    #[cold]
    fn admit_contained(&self, ticket: Ticket) -> Ticket {
        let mut shown = ticket;
        contain(|| shown = self.admit(ticket));
        shown
    }

    pub(super) fn new() -> Self {
        Shadows(Mutex::new(ShadowsState { current: None, calls: Calls::default() }))
    }

    /// Shows the shadow a call that the breaker has admitted, and returns what stands for its ticket from now on.
    fn admit(&self, ticket: Ticket) -> Ticket {
        let Some(shadow) = self.0.lock().current.clone() else { return ticket };
        let admitted = shadow.engine.admit_or_reject(shadow.engine.own_stripe()).ok();
        let entry = Entry { ticket, call: ShadowCall { shadow, ticket: admitted } };
        ticket.kept_by_shadow(self.0.lock().calls.insert(entry))
    }
}

impl Engine {
    /// Begins to judge `config` on the calls that are admitted from now on.
    pub(crate) fn begin_shadow(&self, config: Config, validated: ValidSettings) {
        let shadow = Arc::new(Shadow::new(self, config, validated));
        let cold = self.cold();
        let former = cold.shadows_or_new().0.lock().current.replace(shadow);
        self.follow_shadow();
        drop(former);
    }

    /// Has every call shown to the shadow as long as there is one.
    fn follow_shadow(&self) {
        let has_shadow = || self.shadows().is_some_and(|shadows| shadows.0.lock().current.is_some());
        self.cold().versions_or_new().set_shadowed(&self.current, || self.first_settings(), has_shadow);
    }

    /// Ends the shadow, and returns its settings and what it has found. Calls in flight are still settled in it.
    pub(crate) fn end_shadow(&self) -> Option<(Config, ShadowMetrics)> {
        let shadow = self.shadows()?.0.lock().current.take()?;
        self.follow_shadow();
        Some((shadow.config.clone(), shadow.metrics(self.totals().rejections())))
    }

    pub(super) fn shadow_metrics(&self) -> Option<Box<ShadowMetrics>> {
        let shadow = self.shadows()?.0.lock().current.clone()?;
        Some(Box::new(shadow.metrics(self.totals().rejections())))
    }

    #[inline]
    pub(super) fn shadows(&self) -> Option<&Shadows> {
        self.cold.get().and_then(Cold::shadows)
    }

    /// Shows the shadow, if there is one, a call that has been admitted. The clock that it reads is a user's and may
    /// panic; the call has its permit all the same.
    #[inline]
    pub(super) fn show_admission(&self, ticket: Ticket) -> Ticket {
        match self.shadows() {
            Some(shadows) => shadows.admit_contained(ticket),
            None => ticket,
        }
    }

    /// The breaker's own ticket of a call that is about to end, and what the shadow makes of the call.
    #[inline]
    pub(super) fn recall(&self, ticket: Ticket) -> (Ticket, Option<ShadowCall>) {
        let entry = ticket.number_in_shadow().and_then(|number| self.shadows()?.0.lock().calls.take(number));
        entry.map_or((ticket, None), |entry| (entry.ticket, Some(entry.call)))
    }

    /// Changes how a call in flight is timed, by the breaker and by its shadow.
    pub(super) fn change_timing(&self, ticket: &mut Ticket, change: impl Fn(&Engine, &mut Ticket)) {
        let Some((number, shadows)) = ticket.number_in_shadow().zip(self.shadows()) else {
            return change(self, ticket);
        };
        let found = shadows.0.lock().calls.by_number.get(&number).map(|entry| (entry.ticket, entry.call.clone()));
        let Some((mut own, mut call)) = found else { return };
        change(self, &mut own);
        if let Some(seen) = &mut call.ticket {
            contain(|| change(&call.shadow.engine, seen));
        }
        if let Some(entry) = shadows.0.lock().calls.by_number.get_mut(&number) {
            (entry.ticket, entry.call.ticket) = (own, call.ticket);
        }
    }
}

/// When a table is empty, it is freed if it has room for more calls in flight than this.
const KEPT_CALLS: usize = 64;

/// The calls in flight that shadows see, by number. They take memory for as many calls as were in flight at the same
/// time. When none is left, a large table is freed; a small one stays for the next calls.
#[derive(Default)]
struct Calls {
    by_number: HashMap<NonZeroU64, Entry>,
    /// How many there have been.
    seen: u64,
}

impl Calls {
    fn insert(&mut self, entry: Entry) -> NonZeroU64 {
        let number = NonZeroU64::MIN.saturating_add(self.seen);
        self.seen += 1;
        self.by_number.insert(number, entry);
        number
    }

    fn take(&mut self, number: NonZeroU64) -> Option<Entry> {
        let entry = self.by_number.remove(&number);
        if self.by_number.is_empty() && self.by_number.capacity() > KEPT_CALLS {
            self.by_number = HashMap::new();
        }
        entry
    }
}
