use std::sync::Arc;
use std::time::Duration;

use tripcoil::{Cause, State, Transition, WindowMetrics};

use crate::access::Action;
use crate::audit::Scope;
use crate::fleet::FleetNote;

/// What happened to a breaker.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Rises by one with each event of the console. What is corrected later gets a new number.
    pub(crate) number: u64,
    /// Milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Changed(Change),
    Acted(Arc<Act>),
    /// What the breaker's fleet says.
    Fleet(Arc<FleetNote>),
}

/// A change of state, or several that lay between two samples.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) from: State,
    pub(crate) to: State,
    /// `None` where only the change itself was seen.
    pub(crate) cause: Option<Cause>,
    /// The sequence number of the last change.
    pub(crate) sequence: u64,
    /// How many changes they were.
    pub(crate) changes: u64,
    /// The counts that an observer received.
    pub(crate) counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) errors: u32,
    pub(crate) successes: u32,
    pub(crate) rejected: u64,
    pub(crate) window: Option<(u32, u32, u32)>,
}

impl Change {
    pub(crate) fn observed(transition: &Transition) -> Self {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let window = |window: WindowMetrics| (narrow(window.calls), narrow(window.errors), narrow(window.slow_calls));
        Change {
            from: transition.from,
            to: transition.to,
            cause: Some(transition.cause),
            sequence: transition.sequence,
            changes: 1,
            counts: Some(Counts {
                errors: narrow(transition.consecutive_error_count),
                successes: narrow(transition.consecutive_success_count),
                rejected: transition.rejected_count,
                window: transition.window.map(window),
            }),
        }
    }
}

/// What an operator did through the console.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) actor: String,
    pub(crate) action: Action,
    pub(crate) scope: Scope,
    pub(crate) lasts: Option<Duration>,
    pub(crate) reason: String,
}
