//! A few operations of a few threads on one breaker, and what they saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Clock, Dropped, Metrics, Outcome, OwnedPermit, Rejected, State, Transition};

use crate::reference::{MILLI, Settings, Time};

/// What a thread does. A call is known by the number of the operation that asked for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operation {
    Admit,
    /// Skipped if the call was not admitted, or is settled already.
    Settle(usize, Outcome),
    Drop(usize),
    Look,
    TransitionTo(State),
    OpenFor(Duration),
    Reset,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Done,
    Admitted,
    Rejected(State, Option<Duration>),
    State(State),
}

/// An operation that was performed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Of the operation.
    pub(crate) number: usize,
    pub(crate) operation: Operation,
    pub(crate) answer: Answer,
    /// The time by the breaker's clock, which stands still while operations overlap.
    pub(crate) time: Time,
    /// The places of its beginning and its end in the one order of all beginnings and ends.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

/// What has to happen in a phase: at this time, these operations of each thread, with their numbers.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) time: Time,
    pub(crate) threads: Vec<Vec<(usize, Operation)>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    /// One after the other; nothing of the next begins before all of one has ended.
    pub(crate) phases: Vec<Phase>,
}

/// All that a round has shown.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) settings: Settings,
    pub(crate) entries: Vec<Entry>,
    /// At the end.
    pub(crate) time: Time,
    pub(crate) told: Vec<Transition>,
    pub(crate) metrics: Metrics,
}

impl Plan {
    /// A round for this many threads. `draw(n)` is a random number below `n`.
    pub(crate) fn new(threads: usize, draw: &mut impl FnMut(usize) -> usize) -> Self {
        let half_open_capacity = 1 + u32::try_from(draw(4) / 3).expect("small");
        let settings = Settings {
            error_threshold: Some(1 + u32::try_from(draw(3)).expect("small")),
            rates: None,
            reset_timeout: 10,
            backoff_factor: 2.0,
            backoff_max: 25,
            success_threshold: 1 + u32::try_from(draw(2)).expect("small"),
            half_open_error_threshold: 1 + u32::try_from(draw(2)).expect("small"),
            half_open_capacity,
            half_open_max_capacity: half_open_capacity + u32::try_from(draw(2)).expect("small"),
            // In half of the rounds probes fall silent from one phase to the next.
            probe_timeout: [10, 1_000][draw(2)],
            recovery: None,
            dropped_calls: [Dropped::Ignore, Dropped::Failure][draw(2)],
        };
        let mut numbers = 0;
        let mut asked = Vec::new();
        let mut time = 0;
        // A third of the rounds begin with a probe, which is silent when the next phase begins if the times are so.
        let mut beginning = vec![Operation::TransitionTo(State::HalfOpen), Operation::Admit];
        if draw(3) > 0 {
            beginning.clear();
        }
        // First one thread by itself, to bring the breaker somewhere; then all of them, twice.
        let phases = [(1, 2), (threads, 2), (threads, 2)].map(|(threads, most)| {
            time += [0, 10, 15, 20][draw(4)] * MILLI;
            let earlier = asked.clone();
            let threads = (0..threads).map(|_| {
                let mut known = earlier.clone();
                let given = std::mem::take(&mut beginning);
                let drawn = draw(most + 1) + usize::from(given.is_empty());
                let operations = given.into_iter().map(Some).chain((0..drawn).map(|_| None)).map(|given| {
                    let number = numbers;
                    numbers += 1;
                    let operation = given.unwrap_or_else(|| operation(&known, draw));
                    if operation == Operation::Admit {
                        known.push(number);
                        asked.push(number);
                    }
                    (number, operation)
                });
                operations.collect()
            });
            Phase { time, threads: threads.collect() }
        });
        Plan { settings, phases: phases.into() }
    }

    pub(crate) fn operations(&self) -> usize {
        self.phases.iter().flat_map(|phase| &phase.threads).map(Vec::len).sum()
    }
}

fn operation(known: &[usize], draw: &mut impl FnMut(usize) -> usize) -> Operation {
    let states = [State::Closed, State::Open, State::HalfOpen, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];
    let outcomes = [
        Outcome::Success,
        Outcome::Success,
        Outcome::Failure,
        Outcome::Failure,
        Outcome::Ignored,
        Outcome::Trip { open_for: Duration::from_millis(10) },
    ];
    match draw(16) {
        0 | 1 => Operation::TransitionTo(states[draw(states.len())]),
        2 => [Operation::Reset, Operation::OpenFor(Duration::from_millis(10))][draw(2)],
        3 => Operation::Look,
        4..=9 if !known.is_empty() => Operation::Settle(known[draw(known.len())], outcomes[draw(outcomes.len())]),
        10 if !known.is_empty() => Operation::Drop(known[draw(known.len())]),
        _ => Operation::Admit,
    }
}

/// A clock that takes its time, as admissions and trips in the middle of which it is read then do.
struct Slow {
    clock: ManualClock,
    pause: fn(),
}

impl Clock for Slow {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        (self.pause)();
        now
    }
}

/// A breaker on which the operations of a plan are performed.
pub(crate) struct Stage {
    settings: Settings,
    breaker: Arc<CircuitBreaker>,
    clock: ManualClock,
    /// The calls in flight, by the numbers of their admissions.
    calls: Vec<Mutex<Option<OwnedPermit>>>,
    told: Arc<Mutex<Vec<Transition>>>,
    stamps: AtomicU64,
    /// Lets other threads run in the middle of an operation.
    pause: fn(),
}

impl Stage {
    pub(crate) fn new(plan: &Plan, pause: fn()) -> Self {
        let (clock, told) = (ManualClock::new(), Arc::new(Mutex::new(Vec::new())));
        let settings = plan.settings.clone();
        let builder = CircuitBreaker::builder("linear")
            .error_threshold(settings.error_threshold)
            .reset_timeout(Duration::from_millis(settings.reset_timeout))
            .reset_backoff(settings.backoff_factor, Duration::from_millis(settings.backoff_max))
            .success_threshold(settings.success_threshold)
            .half_open_error_threshold(settings.half_open_error_threshold)
            .half_open_capacity(settings.half_open_capacity)
            .half_open_max_capacity(settings.half_open_max_capacity)
            .probe_timeout(Duration::from_millis(settings.probe_timeout))
            .dropped_calls(settings.dropped_calls)
            .clock(Slow { clock: clock.clone(), pause })
            .on_transition({
                let told = told.clone();
                move |transition| told.lock().unwrap().push(transition.clone())
            });
        let breaker = Arc::new(builder.build().expect("the settings are allowed"));
        let calls = (0..plan.operations()).map(|_| Mutex::new(None)).collect();
        Stage { settings, breaker, clock, calls, told, stamps: AtomicU64::new(0), pause }
    }

    pub(crate) fn set_clock(&self, time: Time) {
        self.clock.set(Duration::from_nanos(time));
    }

    /// Performs an operation; `None` if there was nothing to perform it on.
    pub(crate) fn perform(&self, number: usize, operation: Operation, time: Time) -> Option<Entry> {
        let call = match operation {
            Operation::Settle(call, _) | Operation::Drop(call) => Some(self.calls[call].lock().unwrap().take()?),
            _ => None,
        };
        let begun = self.stamp();
        (self.pause)();
        let result = self.do_it(operation, call);
        let ended = self.stamp();
        let answer = match result {
            Err(answer) => answer,
            Ok(Ok(permit)) => {
                *self.calls[number].lock().unwrap() = Some(permit);
                Answer::Admitted
            }
            Ok(Err(rejected)) => Answer::Rejected(rejected.state(), rejected.retry_after()),
        };
        Some(Entry { number, operation, answer, time, begun, ended })
    }

    fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    fn do_it(&self, operation: Operation, call: Option<OwnedPermit>) -> Result<Result<OwnedPermit, Rejected>, Answer> {
        match (operation, call) {
            (Operation::Admit, _) => return Ok(self.breaker.try_acquire_owned()),
            (Operation::Settle(_, outcome), Some(call)) => call.record(outcome),
            (Operation::Settle(..) | Operation::Drop(_), call) => drop(call),
            (Operation::Look, _) => return Err(Answer::State(self.breaker.state())),
            (Operation::TransitionTo(state), _) => self.breaker.transition_to(state),
            (Operation::OpenFor(cool_down), _) => self.breaker.open_for(cool_down),
            (Operation::Reset, _) => self.breaker.reset(),
        }
        Err(Answer::Done)
    }

    /// The record of the round, once all its operations have ended.
    pub(crate) fn record(&self, entries: Vec<Entry>) -> Record {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let time = u64::try_from(self.clock.now().as_nanos()).expect("it began at zero");
        Record { settings: self.settings.clone(), entries, time, told, metrics: self.breaker.metrics() }
    }
}
