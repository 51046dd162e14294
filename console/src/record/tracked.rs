use std::sync::Arc;

use tripcoil::{Cause, Config, LastError, Metrics, State, Transition};

use super::event::{Change, Event, What};
use super::rules::Thresholds;
use super::series::Series;
use super::totals::Totals;

/// A second's calls that have ended, those of them that failed, and what was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) calls: f32,
    pub(crate) errors: f32,
    pub(crate) rejected: f32,
}

impl Rates {
    #[expect(clippy::cast_precision_loss, reason = "a rate is for people to read")]
    pub(super) fn of(calls: u64, errors: u64, rejected: u64, elapsed: f32) -> Self {
        let elapsed = elapsed.max(0.001);
        Rates { calls: calls as f32 / elapsed, errors: errors as f32 / elapsed, rejected: rejected as f32 / elapsed }
    }
}

/// One breaker, as of the last sample.
pub(crate) struct Tracked {
    /// Its number in this console.
    pub(crate) id: u64,
    pub(super) pass: u64,
    pub(crate) metrics: Metrics,
    pub(super) totals: Totals,
    pub(super) delta: Totals,
    pub(crate) rates: Rates,
    pub(crate) config: Arc<Config>,
    pub(crate) thresholds: Thresholds,
    /// When it came into its state, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// Whether that is when it was, and not when the console began.
    pub(crate) since_is_known: bool,
    pub(crate) cause: Option<Cause>,
    pub(crate) retry_at_ms: Option<u64>,
    pub(crate) error_seen_ms: Option<u64>,
    /// When an operator's hold ends by itself.
    pub(crate) hold_ends_ms: Option<u64>,
    /// The changes of state that have been recorded, and the state they ended in.
    pub(super) sequence: u64,
    recorded_state: State,
    /// What an operator has just done.
    pub(super) manual: Option<Cause>,
    /// The tick of its last call.
    pub(super) active: u64,
    pub(crate) series: Option<Box<Series>>,
}

/// Whether it is the same error, seen later.
fn is_same_error(one: &LastError, other: &LastError) -> bool {
    (one.type_name, one.at, &one.message) == (other.type_name, other.at, &other.message)
}

impl Tracked {
    pub(super) fn new(id: u64, metrics: &Metrics, totals: Totals, now_ms: u64, is_new: bool) -> Self {
        Tracked {
            id,
            pass: 0,
            metrics: metrics.clone(),
            totals,
            delta: Totals::default(),
            rates: Rates::default(),
            config: Arc::default(),
            thresholds: Thresholds::default(),
            since_ms: now_ms,
            since_is_known: is_new,
            cause: None,
            retry_at_ms: None,
            error_seen_ms: metrics.last_error.as_ref().filter(|_| is_new).map(|_| now_ms),
            hold_ends_ms: None,
            sequence: if is_new { 0 } else { metrics.transition_count },
            recorded_state: if is_new { State::Closed } else { metrics.state },
            manual: None,
            active: 0,
            series: None,
        }
    }

    /// Whether these can be metrics of the same breaker: another one may have come to its address.
    pub(super) fn is_of(&self, metrics: &Metrics) -> bool {
        self.metrics.name == metrics.name && metrics.transition_count >= self.metrics.transition_count
    }

    /// Takes over the settings in force.
    pub(super) fn configured(&mut self, config: &Arc<Config>) {
        if *self.config != **config {
            self.thresholds = Thresholds::of(config);
            self.config = config.clone();
        }
    }

    /// Takes over what a sample found.
    pub(super) fn take(&mut self, metrics: &Metrics, now_ms: u64) {
        self.error_seen_ms = metrics.last_error.as_ref().and_then(|error| {
            let is_known = self.metrics.last_error.as_ref().is_some_and(|known| is_same_error(known, error));
            let by_clock =
                error.ago.map(|ago| now_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)));
            // A time that is computed anew with each sample would flicker.
            self.error_seen_ms.filter(|_| is_known).or(by_clock).or((!is_known).then_some(now_ms))
        });
        self.retry_at_ms = metrics.retry_after.map(|left| {
            let retry_at = now_ms.saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            // It is computed anew from two clocks with each sample, and should not flicker.
            let is_same = |former: &u64| left.is_zero() || former.abs_diff(retry_at) < 500;
            self.retry_at_ms.filter(is_same).unwrap_or(retry_at)
        });
        self.metrics = metrics.clone();
    }

    /// Records what an observer received. Returns how many series were made.
    pub(super) fn record_transition(
        &mut self,
        transition: &Transition,
        at_ms: u64,
        number: u64,
        may_grow: bool,
    ) -> usize {
        let change = Change::observed(transition);
        if change.sequence <= self.sequence {
            self.correct(&change, at_ms, number);
            return 0;
        }
        self.enter(change.to, change.sequence, change.cause, at_ms);
        if change.sequence > self.metrics.transition_count {
            // It was after the sample.
            self.metrics.state = change.to;
            self.metrics.transition_count = change.sequence;
            self.retry_at_ms = transition
                .open_for
                .map(|wait| at_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        }
        self.push(Event { number, at_ms, what: What::Changed(change) }, may_grow)
    }

    /// Fills in what an observer said of a change that a sample had seen before.
    fn correct(&mut self, change: &Change, at_ms: u64, number: u64) {
        if change.sequence == self.sequence {
            (self.cause, self.since_ms) = (change.cause, at_ms);
        }
        let events = self.series.iter_mut().flat_map(|series| series.events_mut());
        for event in events.rev() {
            match &event.what {
                What::Changed(seen) if seen.sequence == change.sequence && seen.counts.is_none() => {
                    let changes = seen.changes;
                    *event = Event { number, at_ms, what: What::Changed(Change { changes, ..change.clone() }) };
                    return;
                }
                _ => {}
            }
        }
    }

    /// Records the changes that no observer received as one event. Returns how many series were made.
    pub(super) fn record_unobserved(&mut self, now_ms: u64, number: u64, may_grow: bool) -> usize {
        let change = Change {
            from: self.recorded_state,
            to: self.metrics.state,
            cause: self.manual.take(),
            sequence: self.metrics.transition_count,
            changes: self.metrics.transition_count - self.sequence,
            counts: None,
        };
        self.enter(change.to, change.sequence, change.cause, now_ms);
        self.push(Event { number, at_ms: now_ms, what: What::Changed(change) }, may_grow)
    }

    fn enter(&mut self, state: State, sequence: u64, cause: Option<Cause>, at_ms: u64) {
        (self.recorded_state, self.sequence, self.cause) = (state, sequence, cause);
        (self.since_ms, self.since_is_known) = (at_ms, true);
    }

    /// Returns how many series were made: 1 if this is the first event and there is room for one more.
    pub(super) fn push(&mut self, event: Event, may_grow: bool) -> usize {
        let is_first = self.series.is_none() && may_grow;
        if is_first {
            let before = match &event.what {
                What::Changed(change) => change.from,
                What::Acted(_) | What::Fleet(_) => self.metrics.state,
            };
            self.series = Some(Box::new(Series::new(event.at_ms, before)));
        }
        if let Some(series) = &mut self.series {
            series.push_event(event);
        }
        usize::from(is_first)
    }

    pub(super) fn begin_series(&mut self, now_ms: u64) {
        self.series = Some(Box::new(Series::new(now_ms, self.metrics.state)));
    }
}
