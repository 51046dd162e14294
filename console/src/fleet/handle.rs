use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tripcoil_fleet::{BreakerName, By, FleetEvent, FleetHandle, OrderError};

use super::{FleetAct, FleetError, FleetNews, FleetNote, FleetSource, Look, LookOrder, Place, Standing};
use crate::access::Action;
use crate::clock::{millis, now_ms};

/// How many events wait for the console's next sample. Beyond that the oldest is dropped.
const LONGEST: usize = 1024;

/// A member of a fleet, by its handle.
pub(crate) struct Member {
    handle: FleetHandle,
    waiting: Arc<Mutex<VecDeque<FleetNews>>>,
}

impl Member {
    pub(crate) fn new(handle: FleetHandle) -> Self {
        let waiting: Arc<Mutex<VecDeque<FleetNews>>> = Arc::default();
        // The fleet keeps the observer until it ends, and the console may be dropped before.
        let queue = Arc::downgrade(&waiting);
        handle.on_event(move |event| {
            let (Some(queue), Some(news)) = (queue.upgrade(), news(event)) else { return };
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() == LONGEST {
                queue.pop_front();
            }
            queue.push_back(news);
        });
        Member { handle, waiting }
    }
}

impl FleetSource for Member {
    fn name(&self) -> &str {
        self.handle.name()
    }

    fn look(&self) -> Look {
        let status = self.handle.status();
        let orders = self.handle.orders().into_iter().map(|order| {
            let seen = LookOrder {
                is_open: order.is_open,
                by: order.by,
                because: order.because,
                at_ms: millis(order.at),
                remaining: order.remaining,
            };
            (place(&order.id), seen)
        });
        let breakers = status.breakers.into_iter().map(|breaker| {
            let standing = Standing {
                kind: breaker.standing.as_str(),
                votes: breaker.votes,
                prober: breaker.prober,
                generation: breaker.generation,
                fleets_hold_ms: u64::try_from(breaker.fleets_hold.as_millis()).unwrap_or(u64::MAX),
                own_hold_ms: u64::try_from(breaker.own_hold.as_millis()).unwrap_or(u64::MAX),
            };
            (place(&breaker.id), standing)
        });
        Look {
            is_connected: status.is_connected,
            store_error: status.store_error,
            member: status.member,
            members: status.members,
            behind: status.behind,
            joined: status.joined,
            quorum: status.quorum.to_string(),
            votes_needed: status.quorum.votes_of(status.members),
            breakers: breakers.collect(),
            orders: orders.collect(),
        }
    }

    fn has_joined(&self, registry: Option<&str>, name: &str) -> bool {
        self.handle.has_joined(named(registry, name))
    }

    fn perform(&self, act: &FleetAct<'_>) -> Result<(), FleetError> {
        let FleetAct { action, registry, name, actor, reason, lasts } = *act;
        let name = named(registry, name);
        let by = By::new(actor).because(reason);
        let by = match lasts {
            Some(lasts) => by.for_(lasts),
            None => by,
        };
        let done = match action {
            Action::ForceOpen => self.handle.force_open(name, by),
            Action::ForceClosed => self.handle.force_closed(name, by),
            Action::Release => self.handle.release(name),
            Action::Reset => self.handle.reset(name),
            Action::Reconfigure => {
                let error = "a fleet does not share settings: reconfigure each process";
                return Err(FleetError::Invalid(error.into()));
            }
        };
        done.map_err(|error| match error {
            OrderError::OutOfRange { .. } => FleetError::Invalid(error.to_string()),
            OrderError::NoOrder(_) => FleetError::NoOrder("the fleet has no order for this breaker".into()),
            error => FleetError::Unreachable(error.to_string()),
        })
    }

    fn take_events(&self) -> Vec<FleetNews> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

fn named(registry: Option<&str>, name: &str) -> BreakerName {
    match registry {
        Some(registry) => (registry, name).into(),
        None => name.into(),
    }
}

fn place(name: &BreakerName) -> Place {
    (name.registry(), name.breaker())
}

/// What an event says about one breaker.
fn news(event: &FleetEvent) -> Option<FleetNews> {
    let (kind, breaker) = match event {
        FleetEvent::Voted { breaker } => ("voted", breaker),
        FleetEvent::OpenedByFleet { breaker, .. } => ("opened", breaker),
        FleetEvent::ClosedByFleet { breaker } => ("closed", breaker),
        FleetEvent::Elected { breaker, .. } => ("elected", breaker),
        FleetEvent::Verdict { breaker, .. } => ("verdict", breaker),
        FleetEvent::OrderTaken(order) => ("order_taken", &order.breaker),
        FleetEvent::OrderEnded { breaker } => ("order_ended", breaker),
        FleetEvent::OrderOverridden { breaker } => ("order_overridden", breaker),
        _ => return None,
    };
    let note = Arc::new(FleetNote { kind, text: event.to_string() });
    Some(FleetNews { at_ms: now_ms(), breaker: breaker.clone(), note })
}
