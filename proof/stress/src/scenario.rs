//! What the threads do, and what has to hold when they have done it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::future;
use parking_lot::Mutex;
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, Dropped, Error, Outcome, OwnedPermit, State, Window};

use crate::team::{at_once, keep};

/// A scenario by its name. It returns how many operations there were.
pub(crate) type Scenario = (&'static str, fn() -> u64);

pub(crate) const ALL: [Scenario; 7] = [
    ("calls that succeed, fail, panic and are dropped", calls),
    ("the error rate of the last calls", last_calls),
    ("the error rate over time", over_time),
    ("slow calls, and calls that hang", slow_calls),
    ("permits that are settled by another thread", moved_permits),
    ("probes, never more than the capacity", probes),
    ("waiters, observers and operators", waiters),
];

const MILLI: Duration = Duration::from_millis(1);
const ROUNDS: u64 = 30_000;

/// A breaker, its clock, and what the threads count.
pub(crate) struct Shared {
    breaker: Arc<CircuitBreaker>,
    clock: ManualClock,
    /// Calls that ended in success, error, neither, and those that were rejected.
    counts: [AtomicU64; 4],
    /// Probes in flight now, and the most that ever were.
    here: AtomicUsize,
    most: AtomicUsize,
    left: [Mutex<Option<OwnedPermit>>; 8],
}

const SUCCESS: usize = 0;
const ERROR: usize = 1;
const NEITHER: usize = 2;
const REJECTED: usize = 3;

fn shared(settings: impl FnOnce(Builder) -> Builder) -> &'static Shared {
    let clock = ManualClock::new();
    let builder = settings(CircuitBreaker::builder("stress").clock(clock.clone()));
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        breaker: Arc::new(builder.build().expect("the settings are allowed")),
        clock,
        counts: Default::default(),
        here: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        left: Default::default(),
    }));
    keep(shared);
    shared
}

/// The first use of the breaker by a thread: it takes a slot for itself.
fn greet(shared: &'static Shared) {
    let _ = shared.breaker.metrics();
    shared.count(shared.breaker.call_sync(|| Ok::<_, ()>(())).map_or_else(|_| REJECTED, |()| SUCCESS));
}

impl Shared {
    fn count(&self, kind: usize) {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
    }

    /// The totals are what the threads have counted, and no call is in flight.
    fn check(&self) {
        let metrics = self.breaker.metrics();
        let [success, error, neither, rejected] =
            [SUCCESS, ERROR, NEITHER, REJECTED].map(|kind| self.counts[kind].load(Ordering::Relaxed));
        assert_eq!(metrics.active_calls, 0, "{metrics:?}");
        assert_eq!((metrics.total_success_count, metrics.total_error_count), (success, error), "{metrics:?}");
        assert_eq!(metrics.total_ignored_count + metrics.total_dropped_count, neither, "{metrics:?}");
        assert_eq!(metrics.total_rejected_count, rejected, "{metrics:?}");
    }

    /// One call, which ends as `fate` says.
    fn call(&self, fate: u64) {
        let breaker = &self.breaker;
        let judge = |result: &Result<(), ()>| if result.is_ok() { Outcome::Success } else { Outcome::Failure };
        let kind = match fate % 10 {
            0..=3 => kind_of(&breaker.call_sync(|| Ok(()))),
            4 => kind_of(&breaker.call_sync(|| Err(()))),
            5 => kind_of(&future::block_on(breaker.call(async { Err(()) }))),
            6 => kind_of(&breaker.call_sync_with(|| Ok(()), judge)),
            7 => {
                let call = || breaker.call_sync(|| -> Result<(), ()> { resume_unwind(Box::new(())) });
                catch_unwind(AssertUnwindSafe(call)).as_ref().map_or(ERROR, kind_of)
            }
            8 => {
                let polled = future::block_on(future::poll_once(breaker.call(future::pending::<Result<(), ()>>())));
                polled.as_ref().map_or(NEITHER, kind_of)
            }
            _ => breaker.try_acquire().map_or(REJECTED, |permit| {
                permit.ignore();
                NEITHER
            }),
        };
        self.count(kind);
    }

    fn settle(&self, permit: OwnedPermit, fate: u64) {
        match fate % 4 {
            0 => permit.success(),
            1 => permit.failure(),
            2 => permit.ignore(),
            _ => drop(permit),
        }
        self.count([SUCCESS, ERROR, NEITHER, NEITHER][usize::try_from(fate % 4).expect("small")]);
    }
}

fn kind_of(result: &Result<(), Error<()>>) -> usize {
    match result {
        Ok(()) => SUCCESS,
        Err(Error::Inner(())) => ERROR,
        Err(Error::Rejected(_)) => REJECTED,
    }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn of(thread: usize) -> Self {
        Dice(thread as u64 + 1)
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 29) % below
    }
}

/// Every thread calls, and moves the clock on now and then; the breaker opens and closes by itself.
fn call_and_tick(shared: &'static Shared, thread: usize) -> u64 {
    let mut dice = Dice::of(thread);
    for round in 0..ROUNDS {
        shared.call(dice.draw(10));
        if round % 8 == 0 {
            shared.clock.advance(MILLI);
        }
        if round % 64 == 0 {
            let metrics = shared.breaker.metrics();
            let _ = (metrics.window, shared.breaker.state());
        }
    }
    ROUNDS
}

fn run_calls(settings: impl FnOnce(Builder) -> Builder) -> u64 {
    let shared = shared(|builder| settings(builder.reset_timeout(4 * MILLI).half_open_capacity(2)));
    let operations = at_once(shared, greet, call_and_tick);
    shared.check();
    assert!(shared.breaker.metrics().transition_count > 0, "it never opened");
    operations
}

fn calls() -> u64 {
    run_calls(|builder| builder.error_threshold(3))
}

fn last_calls() -> u64 {
    run_calls(|builder| builder.error_rate(0.3).window(Window::calls(40)))
}

fn over_time() -> u64 {
    run_calls(|builder| builder.error_rate(0.3).window(Window::time(40 * MILLI)))
}

fn slow_calls() -> u64 {
    let shared = shared(|builder| {
        builder
            .slow_call_rate(0.2)
            .slow_call_duration(8 * MILLI)
            .window(Window::calls(40))
            .dropped_calls(Dropped::FailureAfter(100_000 * MILLI))
            .reset_timeout(4 * MILLI)
    });
    let operations = at_once(shared, greet, |shared, thread| {
        let mut dice = Dice::of(thread);
        let mut hanging = Vec::new();
        for round in 0..ROUNDS {
            shared.call(dice.draw(10));
            if round % 4 == 0 {
                shared.clock.advance(MILLI);
            }
            match shared.breaker.try_acquire_owned() {
                Ok(permit) if round % 2 == 0 => hanging.push(permit),
                Ok(permit) => shared.settle(permit, dice.draw(4)),
                Err(_) => shared.count(REJECTED),
            }
            if hanging.len() > 12 {
                let place = usize::try_from(dice.draw(hanging.len() as u64)).expect("small");
                let permit = hanging.swap_remove(place);
                shared.settle(if round % 8 == 0 { permit.untimed() } else { permit }, dice.draw(4));
            }
        }
        for permit in hanging {
            shared.settle(permit, dice.draw(4));
        }
        2 * ROUNDS
    });
    shared.check();
    let metrics = shared.breaker.metrics();
    assert!(metrics.total_slow_count > 0 && metrics.transition_count > 0, "{metrics:?}");
    operations
}

/// Each thread leaves its permits for the others, and settles theirs.
fn moved_permits() -> u64 {
    let shared = shared(|builder| {
        builder.error_threshold(6).slow_call_rate(0.9).slow_call_duration(20 * MILLI).reset_timeout(4 * MILLI)
    });
    let operations = at_once(shared, greet, |shared, thread| {
        let mut dice = Dice::of(thread);
        for round in 0..ROUNDS {
            let place = &shared.left[usize::try_from(dice.draw(8)).expect("small")];
            let permit = if let Ok(permit) = shared.breaker.try_acquire_owned() {
                place.lock().replace(permit)
            } else {
                shared.count(REJECTED);
                place.lock().take()
            };
            if let Some(permit) = permit {
                shared.settle(permit, dice.draw(4));
            }
            if round % 16 == 0 {
                shared.clock.advance(MILLI);
            }
        }
        ROUNDS
    });
    for place in &shared.left {
        if let Some(permit) = place.lock().take() {
            shared.settle(permit, 0);
        }
    }
    shared.check();
    operations
}

fn probes() -> u64 {
    let shared = shared(|builder| builder.half_open_capacity(2).success_threshold(127).half_open_error_threshold(127));
    shared.breaker.transition_to(State::HalfOpen);
    let operations = at_once(
        shared,
        |shared| shared.call(9),
        |shared, thread| {
            let mut dice = Dice::of(thread);
            for _ in 0..ROUNDS {
                let Ok(permit) = shared.breaker.try_acquire_owned() else {
                    shared.count(REJECTED);
                    continue;
                };
                let here = shared.here.fetch_add(1, Ordering::SeqCst) + 1;
                shared.most.fetch_max(here, Ordering::SeqCst);
                shared.here.fetch_sub(1, Ordering::SeqCst);
                // It neither closes nor opens.
                shared.settle(permit, 2 + dice.draw(2));
            }
            ROUNDS
        },
    );
    shared.check();
    assert_eq!(shared.breaker.state(), State::HalfOpen);
    assert!(shared.most.load(Ordering::SeqCst) <= 2, "{} probes at once", shared.most.load(Ordering::SeqCst));
    operations
}

/// Two threads wait, blocked and in a task; two move the breaker, so that each wait ends.
fn waiters() -> u64 {
    let told = Arc::new(AtomicU64::new(0));
    let shared = shared(|builder| {
        let told = told.clone();
        builder.half_open_capacity(1).on_transition(move |transition| {
            let before = told.swap(transition.sequence, Ordering::Relaxed);
            assert_eq!(before + 1, transition.sequence, "out of order");
        })
    });
    let operations = at_once(shared, greet, |shared, thread| {
        let mut dice = Dice::of(thread);
        let rounds = ROUNDS / 20;
        for _ in 0..rounds {
            match thread {
                0 => match shared.breaker.acquire_blocking(Duration::from_millis(2)) {
                    Ok(permit) => {
                        permit.success();
                        shared.count(SUCCESS);
                    }
                    Err(_) => shared.count(REJECTED),
                },
                1 => {
                    let acquire = shared.breaker.acquire(|_| future::yield_now());
                    if let Some(permit) = future::block_on(future::poll_once(acquire)) {
                        permit.ignore();
                        shared.count(NEITHER);
                    }
                    let _ = shared.breaker.changed().wait_timeout(Duration::from_micros(50));
                }
                2 => {
                    let states = [State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed, State::Closed];
                    shared.breaker.transition_to(states[usize::try_from(dice.draw(5)).expect("small")]);
                }
                _ => match dice.draw(3) {
                    0 => shared.breaker.open_for(MILLI),
                    1 => shared.breaker.transition_to(State::Closed),
                    _ => shared.call(dice.draw(10)),
                },
            }
        }
        shared.breaker.transition_to(State::Closed);
        rounds
    });
    shared.check();
    assert_eq!(told.load(Ordering::Relaxed), shared.breaker.metrics().transition_count);
    shared.breaker.reset();
    assert_eq!(shared.breaker.metrics().total_success_count, 0);
    operations
}
