//! A breaker and the reference, which have to say the same after each operation.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{Cause, CircuitBreaker, Metrics, Outcome, Permit, Recovery, State, Transition, WindowMetrics};

use crate::reference::{Call, Counts, Face, MILLI, Reference, Settings, Step, Steps, Time, Told, Totals};

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the fuzzer does without some")]
pub(crate) enum Operation {
    /// Admits a call and settles it at once.
    Call(Outcome),
    /// So many of them.
    Calls(u8, Outcome),
    Admit,
    /// Admits calls that stay in flight.
    Leave(u8),
    /// Settles a call in flight. The places of those there are go round.
    Settle(usize, Outcome),
    Drop(usize),
    /// Admits so many calls, and drops each at once.
    Lose(u8),
    /// Drops the permit of a call in flight while its thread panics.
    Panic(usize),
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
        if let Some(share) = rates.drop_rate {
            builder = builder.drop_rate(share.rate());
        }
    }
    if let Some(Steps { shares, each }) = &settings.recovery {
        let steps = Recovery::steps(shares.iter().map(|share| share.rate()));
        builder = builder.recovery(steps.each(Duration::from_millis(*each)));
    }
    builder.build().expect("settings that are allowed")
}

/// What is shown of successes in a row. While closed a breaker need not count them.
fn successes(state: State, count: u64) -> u64 {
    if state == State::Closed { 0 } else { count }
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
        successes: successes(transition.from, transition.consecutive_success_count),
        window: transition.window.map(counts),
    }
}

fn counts(window: WindowMetrics) -> Counts {
    Counts {
        calls: window.calls,
        errors: window.errors,
        slow: window.slow_calls,
        hanging: window.hanging_calls,
        dropped: window.dropped_calls,
    }
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
        consecutive_successes: successes(metrics.state, metrics.consecutive_success_count),
        transitions: metrics.transition_count,
        retry_after: metrics.retry_after,
        has_last_error: metrics.last_error.is_some(),
        window: metrics.window.map(counts),
        recovery: metrics.recovery.as_ref().map(|recovery| recovery.step),
    }
}

/// Runs the operations on both, and compares after each. The error says where they differ, and how; the result is how
/// often it opened, and closed, in the ways that the tests ask for.
pub(crate) fn compare(settings: &Settings, start: Time, operations: &[Operation]) -> Result<Openings, String> {
    let clock = ManualClock::new();
    clock.set(Duration::from_nanos(start));
    let told = Arc::default();
    let breaker = build(settings, &clock, &told);
    let reference = Reference::new(settings.clone(), start);
    let mut pair = Pair { breaker: &breaker, reference, clock, now: start, in_flight: Vec::new() };
    let mut openings = [0; 5];
    for (step, operation) in operations.iter().enumerate() {
        pair.perform(*operation)?;
        let at = || format!("after operation {step}, {operation:?}, at {:?}", Duration::from_nanos(pair.now));
        let told_by_breaker = std::mem::take(&mut *told.lock().unwrap());
        let told_by_reference = std::mem::take(&mut pair.reference.told);
        for told in &told_by_reference {
            let is_beside_hanging = told.window.is_some_and(|window| window.hanging > 0);
            openings[0] += usize::from(is_beside_hanging && told.cause == Cause::ErrorRate);
            openings[1] += usize::from(is_beside_hanging && told.cause == Cause::SlowCallRate);
            openings[2] += usize::from(told.from == State::HalfOpen && told.cause == Cause::ErrorRate);
            openings[3] += usize::from(told.cause == Cause::Recovered);
            openings[4] += usize::from(told.cause == Cause::DropRate);
        }
        is_same(&breaker.state(), &pair.reference.state())
            .and_then(|()| is_same(&face(&breaker.metrics()), &pair.reference.face()))
            .and_then(|()| is_same(&told_by_breaker, &told_by_reference))
            .map_err(|difference| format!("{difference}, {}", at()))?;
    }
    Ok(openings)
}

/// While calls hung by the error rate, and by the slow call rate; out of steps of recovery by the error rate; how often such
/// steps held up to the close; and by the drop rate.
pub(crate) type Openings = [usize; 5];

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
    clock: ManualClock,
    now: Time,
    in_flight: Vec<(Permit<'a>, Call)>,
}

impl<'a> Pair<'a> {
    fn perform(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Call(outcome) => self.call(outcome)?,
            Operation::Calls(calls, outcome) => {
                for _ in 0..calls {
                    self.call(outcome)?;
                }
            }
            Operation::Admit => self.leave()?,
            Operation::Leave(calls) => {
                for _ in 0..calls {
                    self.leave()?;
                }
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
            Operation::Lose(calls) => {
                for _ in 0..calls {
                    if let Some((permit, call)) = self.admit()? {
                        drop(permit);
                        self.reference.drop_call(call);
                    }
                }
            }
            Operation::Panic(place) => {
                if let Some((permit, call)) = self.take(place) {
                    let panics = AssertUnwindSafe(move || {
                        let _held = permit;
                        resume_unwind(Box::new(()));
                    });
                    catch_unwind(panics).expect_err("it panics");
                    self.reference.settle(call, Outcome::Failure);
                }
            }
            Operation::StopTiming(place) => {
                if let Some((permit, mut call)) = self.take(place) {
                    self.reference.stop_timing(&mut call);
                    self.in_flight.push((permit.untimed(), call));
                }
            }
            Operation::Advance(time) => self.set_clock(self.now + time),
            Operation::StepBack(back) => self.step_back(back)?,
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

    fn set_clock(&mut self, time: Time) {
        self.now = self.reference.certain_time(time);
        self.clock.set(Duration::from_nanos(self.now));
        self.reference.set_clock(self.now);
    }

    /// Where windows begin anew, a call follows by which the breaker notices it.
    fn step_back(&mut self, back: Time) -> Result<(), String> {
        match self.reference.step_back(back) {
            Some(Step { to, begins_anew: false }) => self.set_clock(to),
            Some(Step { to, begins_anew: true }) => {
                self.now = to;
                self.clock.set(Duration::from_nanos(to));
                self.reference.set_clock_back(to);
                self.call(if back / MILLI % 2 == 0 { Outcome::Failure } else { Outcome::Success })?;
            }
            None => {}
        }
        Ok(())
    }

    fn call(&mut self, outcome: Outcome) -> Result<(), String> {
        if let Some((permit, call)) = self.admit()? {
            permit.record(outcome);
            self.reference.settle(call, outcome);
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        let admitted = self.admit()?;
        self.in_flight.extend(admitted);
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
