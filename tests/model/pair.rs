//! A breaker and the reference, which have to say the same after each operation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Metrics, Outcome, Permit, State, Transition, WindowMetrics};

use crate::reference::{Call, Counts, Face, Reference, Settings, Time, Told, Totals};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// Admits a call and settles it at once.
    Call(Outcome),
    Admit,
    /// Settles a call in flight: of those there are, the one at this place, counted round.
    Settle(usize, Outcome),
    Drop(usize),
    StopTiming(usize),
    Advance(Time),
    StepBack(Time),
    TransitionTo(State),
    OpenFor(Duration),
    Reset,
}

fn build(settings: &Settings, clock: &ManualClock, told: &Arc<Mutex<Vec<Told>>>) -> CircuitBreaker {
    let told = told.clone();
    let mut builder = CircuitBreaker::builder("model")
        .error_threshold(settings.error_threshold)
        .reset_timeout(Duration::from_millis(settings.reset_timeout))
        .reset_backoff(settings.backoff_factor, Duration::from_millis(settings.backoff_max))
        .success_threshold(settings.success_threshold)
        .half_open_error_threshold(settings.half_open_error_threshold)
        .half_open_capacity(settings.half_open_capacity)
        .half_open_max_capacity(settings.half_open_max_capacity)
        .probe_timeout(Duration::from_millis(settings.probe_timeout))
        .dropped_calls(settings.dropped_calls)
        .clock(clock.clone())
        .on_transition(move |transition| told.lock().unwrap().push(what_is_told(transition)));
    if let Some(rates) = &settings.rates {
        builder = builder.window(rates.span.window()).minimum_calls(rates.minimum_calls);
        if let Some(share) = rates.error_rate {
            builder = builder.error_rate(share.rate());
        }
        if let Some((share, millis)) = rates.slow {
            builder = builder.slow_call_rate(share.rate()).slow_call_duration(Duration::from_millis(millis));
        }
    }
    builder.build().expect("settings that are allowed")
}

fn what_is_told(transition: &Transition) -> Told {
    Told {
        from: transition.from,
        to: transition.to,
        cause: transition.cause,
        sequence: transition.sequence,
        at: transition.at,
        open_for: transition.open_for,
        errors: transition.consecutive_error_count,
        successes: transition.consecutive_success_count,
        window: transition.window.map(counts),
    }
}

fn counts(window: WindowMetrics) -> Counts {
    Counts { calls: window.calls, errors: window.errors, slow: window.slow_calls }
}

fn face(metrics: &Metrics) -> Face {
    Face {
        state: metrics.state,
        active: usize::try_from(metrics.active_calls).expect("few calls"),
        totals: Totals {
            success: metrics.total_success_count,
            error: metrics.total_error_count,
            ignored: metrics.total_ignored_count,
            dropped: metrics.total_dropped_count,
            rejected: metrics.total_rejected_count,
            slow: metrics.total_slow_count,
        },
        consecutive_errors: metrics.consecutive_error_count,
        consecutive_successes: metrics.consecutive_success_count,
        transitions: metrics.transition_count,
        retry_after: metrics.retry_after,
        has_last_error: metrics.last_error.is_some(),
        window: metrics.window.map(counts),
    }
}

/// Runs the operations on both, and compares after each. The error tells where they differ, and how.
pub(crate) fn compare(settings: &Settings, start: Time, operations: &[Operation]) -> Result<(), String> {
    let clock = ManualClock::new();
    clock.set(Duration::from_nanos(start));
    let told = Arc::default();
    let breaker = build(settings, &clock, &told);
    let mut pair =
        Pair { breaker: &breaker, reference: Reference::new(settings.clone(), start), in_flight: Vec::new() };
    let mut now = start;
    for (step, operation) in operations.iter().enumerate() {
        match *operation {
            Operation::Advance(time) => now += time,
            Operation::StepBack(time) => now = now.saturating_sub(time),
            _ => {}
        }
        clock.set(Duration::from_nanos(now));
        pair.reference.set_clock(now);
        pair.perform(*operation)?;
        let at = || format!("after operation {step}, {operation:?}, at {:?}", Duration::from_nanos(now));
        let told_by_breaker = std::mem::take(&mut *told.lock().unwrap());
        let told_by_reference = std::mem::take(&mut pair.reference.told);
        is_same(&breaker.state(), &pair.reference.state())
            .and_then(|()| is_same(&face(&breaker.metrics()), &pair.reference.face()))
            .and_then(|()| is_same(&told_by_breaker, &told_by_reference))
            .map_err(|difference| format!("{difference}, {}", at()))?;
    }
    Ok(())
}

fn is_same<T: PartialEq + std::fmt::Debug>(breaker: &T, reference: &T) -> Result<(), String> {
    if breaker == reference {
        Ok(())
    } else {
        Err(format!("the breaker says {breaker:?}, the reference {reference:?}"))
    }
}

struct Pair<'a> {
    breaker: &'a CircuitBreaker,
    reference: Reference,
    in_flight: Vec<(Permit<'a>, Call)>,
}

impl<'a> Pair<'a> {
    fn perform(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Call(outcome) => {
                if let Some((permit, call)) = self.admit()? {
                    permit.record(outcome);
                    self.reference.settle(call, outcome);
                }
            }
            Operation::Admit => {
                let admitted = self.admit()?;
                self.in_flight.extend(admitted);
            }
            Operation::Settle(place, outcome) => {
                if let Some((permit, call)) = self.take(place) {
                    permit.record(outcome);
                    self.reference.settle(call, outcome);
                }
            }
            Operation::Drop(place) => {
                if let Some((permit, call)) = self.take(place) {
                    drop(permit);
                    self.reference.drop_call(call);
                }
            }
            Operation::StopTiming(place) => {
                if let Some((permit, mut call)) = self.take(place) {
                    self.reference.stop_timing(&mut call);
                    self.in_flight.push((permit.untimed(), call));
                }
            }
            Operation::Advance(_) | Operation::StepBack(_) => {}
            Operation::TransitionTo(state) => {
                self.breaker.transition_to(state);
                self.reference.transition_to(state);
            }
            Operation::OpenFor(cool_down) => {
                self.breaker.open_for(cool_down);
                self.reference.order_open_for(cool_down);
            }
            Operation::Reset => {
                self.breaker.reset();
                self.reference.reset();
            }
        }
        Ok(())
    }

    fn admit(&mut self) -> Result<Option<(Permit<'a>, Call)>, String> {
        match (self.breaker.try_acquire(), self.reference.admit()) {
            (Ok(permit), Ok(call)) => Ok(Some((permit, call))),
            (Err(rejected), Err(retry_after)) => {
                is_same(&rejected.state(), &self.reference.state())?;
                is_same(&rejected.retry_after(), &retry_after)?;
                Ok(None)
            }
            (breaker, reference) => Err(format!("the breaker says {breaker:?}, the reference {reference:?}")),
        }
    }

    fn take(&mut self, place: usize) -> Option<(Permit<'a>, Call)> {
        let place = place.checked_rem(self.in_flight.len())?;
        Some(self.in_flight.swap_remove(place))
    }
}
