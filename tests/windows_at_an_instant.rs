//! A window is judged as it was at an instant of the look, in whichever threads' places its calls are counted.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, Clock, Permit, State, Window, WindowMetrics};

type Rule = fn(Builder) -> Builder;

const WINDOWS: [(&str, Rule); 2] = [
    ("calls", |settings| settings.window(Window::calls(1_000))),
    ("time", |settings| settings.window(Window::time(10 * SECOND))),
];

/// Threads that use the breaker between the first and the last ones, so that a look takes its time.
const CROWD: usize = 200;
const ROUNDS: usize = 50;
/// In a round, by all threads together.
const FAILURES: u64 = 60;

/// While a breaker is open by mistake calls are rejected, and threads must not wait for one that has panicked.
fn succeed_if_closed(breaker: &CircuitBreaker) {
    let _ = breaker.try_acquire().map(Permit::success);
}

fn fail_if_closed(breaker: &CircuitBreaker) {
    let _ = breaker.try_acquire().map(Permit::failure);
}

/// How many calls have succeeded and may fail for it, and how many have failed.
#[derive(Default)]
struct Ledger {
    succeeded: AtomicU64,
    failing: AtomicU64,
}

impl Ledger {
    /// Whether one more call may fail, such that at most half of all calls have failed.
    fn takes_a_failure(&self) -> bool {
        let one_more = |failing| (failing < self.succeeded.load(Ordering::SeqCst)).then_some(failing + 1);
        self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// Whether as many calls have failed as have succeeded, nearly.
    fn needs_a_success(&self) -> bool {
        self.succeeded.load(Ordering::SeqCst) <= self.failing.load(Ordering::SeqCst)
    }

    fn is_over(&self) -> bool {
        self.failing.load(Ordering::SeqCst) >= FAILURES
    }
}

/// Two threads fail calls and two succeed, one of each before a crowd of other threads and one after it. Each failure
/// comes after a success of its own, so at most half of the calls have failed at every instant.
fn half_of_the_calls_fail(breaker: &CircuitBreaker) {
    let [begun, all, end] = [2, 5, CROWD + 1].map(Barrier::new);
    let ledger = Ledger::default();
    let succeeding = || {
        while !ledger.is_over() {
            if ledger.needs_a_success() {
                succeed_if_closed(breaker);
                ledger.succeeded.fetch_add(1, Ordering::SeqCst);
            } else {
                thread::yield_now();
            }
        }
    };
    let failing = || {
        while !ledger.is_over() {
            if ledger.takes_a_failure() {
                fail_if_closed(breaker);
            } else {
                thread::yield_now();
            }
        }
    };
    let play = |number: usize| {
        succeed(breaker);
        begun.wait();
        if (2..2 + CROWD).contains(&number) {
            end.wait();
            return;
        }
        for _ in 0..ROUNDS {
            all.wait();
            if number % 2 == 0 {
                succeeding();
            } else {
                failing();
            }
            all.wait();
        }
    };
    let play = &play;
    thread::scope(|scope| {
        for number in 0..CROWD + 4 {
            // The threads use the breaker for the first time in this order.
            scope.spawn(move || play(number));
            begun.wait();
        }
        for _ in 0..ROUNDS {
            breaker.transition_to(State::Closed);
            ledger.succeeded.store(0, Ordering::SeqCst);
            ledger.failing.store(0, Ordering::SeqCst);
            all.wait();
            all.wait();
        }
        end.wait();
    });
}

/// What the window held each time that the breaker opened.
fn openings(recorder: &Recorder) -> Vec<WindowMetrics> {
    recorder.seen().iter().filter(|told| told.to == State::Open).filter_map(|told| told.window).collect()
}

#[test]
fn an_error_rate_above_one_half_is_never_met_while_at_most_half_of_the_calls_have_failed_at_every_instant() {
    for (name, rule) in WINDOWS {
        let recorder = Recorder::default();
        let (breaker, _clock) =
            manual(|settings| rule(settings).error_rate(0.501).minimum_calls(20).on_transition(recorder.observer()));
        half_of_the_calls_fail(&breaker);
        let openings = openings(&recorder);
        assert_eq!(openings, [], "{name}: opened in {} of {ROUNDS} rounds", openings.len());
    }
}

/// Another thread, which acts when it is told to.
struct Other {
    orders: Sender<Order>,
    done: Mutex<Receiver<()>>,
}

enum Order {
    Succeed(usize),
    /// Sets the clock, and succeeds once.
    SucceedAt(Duration),
}

impl Other {
    /// The result is what the other thread has to run.
    fn new(breaker: Arc<CircuitBreaker>, clock: ManualClock) -> (Self, impl FnOnce() + Send) {
        let ((orders, received), (acknowledge, done)) = (channel(), channel());
        let act = move || {
            for order in received {
                match order {
                    Order::Succeed(times) => (0..times).for_each(|_| succeed(&breaker)),
                    Order::SucceedAt(time) => {
                        clock.set(time);
                        succeed(&breaker);
                    }
                }
                acknowledge.send(()).expect("it is waited for");
            }
        };
        (Other { orders, done: Mutex::new(done) }, act)
    }

    fn follow(&self, order: Order) {
        self.orders.send(order).expect("the other thread is there");
        self.done.lock().unwrap().recv().expect("the other thread is there");
    }
}

type Armed = (Arc<Other>, Order);

/// A clock that gives its reading late once it is armed: after the other thread has followed an order.
#[derive(Clone, Default)]
struct LateReading {
    clock: ManualClock,
    armed: Arc<Mutex<Option<Armed>>>,
}

impl Clock for LateReading {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        let armed = self.armed.lock().unwrap().take();
        if let Some((other, order)) = armed {
            other.follow(order);
        }
        now
    }
}

#[test]
fn a_slice_that_another_thread_has_left_behind_is_not_judged_without_its_successes() {
    let slice = SECOND;
    let clock = LateReading::default();
    let settings = CircuitBreaker::builder("test").error_rate(0.51).window(Window::time(16 * slice)).minimum_calls(20);
    let breaker = Arc::new(settings.clock(clock.clone()).build().unwrap());
    let (other, act) = Other::new(breaker.clone(), clock.clock.clone());
    let other = Arc::new(other);
    let act = thread::spawn(act);

    // Thirty of either kind in the first slice, and one in each of the others.
    for number in 0..16 {
        clock.clock.set(number * slice);
        let calls = if number == 0 { 30 } else { 1 };
        other.follow(Order::Succeed(calls));
        (0..calls).for_each(|_| fail(&breaker));
    }
    other.follow(Order::Succeed(1));
    let call = admitted(&breaker);
    // This thread reads the clock in the last slice in which the first one is in the window. Before it goes on another
    // thread begins the next slice.
    *clock.armed.lock().unwrap() = Some((other.clone(), Order::SucceedAt(16 * slice)));
    call.failure();
    assert!(clock.armed.lock().unwrap().is_none(), "the clock was read");
    assert_eq!(breaker.state(), State::Closed, "46 of 92 calls failed before, 16 of 33 after");

    drop(other);
    act.join().unwrap();
}

/// Spins, so that the threads are close together, and yields now and then, as they may share a core.
fn await_round(reached: &AtomicU64, round: u64) {
    let mut looks = 0_u32;
    while reached.load(Ordering::SeqCst) < round {
        looks += 1;
        if looks % 1_000 == 0 { thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// In each round another thread begins a new slice at some moment while this one judges the window. A crowd of threads
/// uses the breaker for the first time between the two; `is_first` is whether the other comes before it. The result is
/// how often the breaker opened.
fn openings_while_the_window_rolls(rounds: u32, is_first: bool) -> u32 {
    let slice = SECOND;
    let settings = |settings: Builder| settings.error_rate(0.51).window(Window::time(16 * slice)).minimum_calls(12);
    let (breaker, clock) = manual(settings);
    let [ready, go, rolled] = [(); 3].map(|()| AtomicU64::new(0));
    let [begun, turn, end] = [2, 2, CROWD + 1].map(Barrier::new);
    let roll = || {
        succeed(&breaker);
        begun.wait();
        for round in 1..=u64::from(rounds) {
            for calls in [10, 1] {
                turn.wait();
                (0..calls).for_each(|_| succeed_if_closed(&breaker));
                turn.wait();
            }
            ready.store(round, Ordering::SeqCst);
            await_round(&go, round);
            (0..round % 64 * 60).for_each(|_| std::hint::spin_loop());
            clock.advance(slice);
            succeed_if_closed(&breaker);
            rolled.store(round, Ordering::SeqCst);
        }
    };
    let roll = &roll;
    let mut opened = 0;
    thread::scope(|scope| {
        let first = || {
            scope.spawn(roll);
            begun.wait();
        };
        let others = || {
            for _ in 0..CROWD {
                scope.spawn(|| {
                    succeed(&breaker);
                    begun.wait();
                    end.wait();
                });
                begun.wait();
            }
        };
        if is_first {
            first();
            others();
            succeed(&breaker);
        } else {
            succeed(&breaker);
            others();
            first();
        }
        for round in 1..=rounds {
            clock.advance(100 * slice);
            breaker.transition_to(State::Closed);
            // Ten successes and ten failures in the first slice.
            turn.wait();
            turn.wait();
            (0..10).for_each(|_| fail_if_closed(&breaker));
            // One success and one failure in the last slice that is in a window with the first.
            clock.advance(15 * slice);
            turn.wait();
            turn.wait();
            let call = breaker.try_acquire();
            await_round(&ready, round.into());
            go.store(round.into(), Ordering::SeqCst);
            let _ = call.map(Permit::failure);
            // 11 of 22 calls have failed, and 1 of 3 once the window has rolled.
            opened += u32::from(breaker.state() == State::Open);
            await_round(&rolled, round.into());
        }
        end.wait();
    });
    opened
}

#[test]
fn a_window_that_rolls_while_it_is_judged_is_not_judged_without_successes_that_were_in_it() {
    let opened = [true, false].map(|is_first| openings_while_the_window_rolls(600, is_first));
    assert_eq!(opened, [0, 0], "of 600 rounds each");
}
