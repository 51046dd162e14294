//! The counts of a breaker are exact once its calls have ended, and never absurd before, whatever happens at once.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, Dropped, Metrics, Outcome, OwnedPermit, State, Window};

const THREADS: usize = 64;

/// Calls by how they ended.
#[derive(Default)]
struct Ended {
    success: AtomicU64,
    error: AtomicU64,
    ignored: AtomicU64,
    dropped: AtomicU64,
}

impl Ended {
    fn counts(&self) -> [u64; 4] {
        [&self.success, &self.error, &self.ignored, &self.dropped].map(|count| count.load(SeqCst))
    }
}

fn counts(metrics: &Metrics) -> [u64; 4] {
    [metrics.total_success_count, metrics.total_error_count, metrics.total_ignored_count, metrics.total_dropped_count]
}

fn sum(counts: [u64; 4]) -> u64 {
    counts.iter().sum()
}

struct Fire {
    breaker: Arc<CircuitBreaker>,
    clock: ManualClock,
    begun: AtomicU64,
    rejected: AtomicU64,
    ended: Ended,
    is_over: AtomicBool,
}

/// Kinds of settings; every other one has the rates of the one before.
fn settings(number: u32) -> Config {
    let mut config = Config::default();
    config.error_threshold = Some(Some(1_000_000));
    config.reset_timeout = Some(Duration::from_millis((1 + number % 2).into()));
    let window = [Window::calls(100), Window::time(16 * MILLI), Window::calls(1), Window::time(YEAR)];
    match number / 2 % 6 {
        0 => {}
        kind @ 1..=4 => {
            config.error_rate = (kind != 2).then_some(0.9);
            config.slow_call_rate = (kind != 3).then_some(0.9);
            config.slow_call_duration = (kind != 3).then_some(8 * MILLI);
            config.window = Some(window[(number / 12 % 4) as usize]);
        }
        _ => config.dropped_calls = Some(Dropped::FailureAfter(YEAR)),
    }
    config
}

impl Fire {
    fn new() -> Self {
        let (breaker, clock) = manual(|builder| builder.config(settings(0)));
        Fire {
            breaker: Arc::new(breaker),
            clock,
            begun: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            ended: Ended::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn begin(&self) -> Option<OwnedPermit> {
        self.begun.fetch_add(1, SeqCst);
        let permit = self.breaker.try_acquire_owned().ok();
        if permit.is_none() {
            let rejected = self.rejected.fetch_add(1, SeqCst);
            // Else nearly all calls would be rejected.
            if rejected % 4 == 0 {
                self.breaker.transition_to(State::Closed);
            }
        }
        permit
    }

    fn end(&self, permit: OwnedPermit, how: usize) {
        let ended = match how % 40 {
            0..=16 => {
                permit.success();
                &self.ended.success
            }
            17..=24 => {
                permit.failure();
                &self.ended.error
            }
            25 => {
                permit.record(Outcome::Trip { open_for: MILLI });
                &self.ended.error
            }
            26..=32 => {
                permit.ignore();
                &self.ended.ignored
            }
            _ => {
                drop(permit.untimed());
                &self.ended.dropped
            }
        };
        ended.fetch_add(1, SeqCst);
    }

    /// What an onlooker may see at any moment.
    fn look(&self, before: &mut [u64; 4]) {
        let ended = self.ended.counts();
        let metrics = self.breaker.metrics();
        let (begun, seen) = (self.begun.load(SeqCst), counts(&metrics));
        for (number, seen) in seen.iter().enumerate() {
            assert!(*seen >= before[number].max(ended[number]), "{before:?}, {ended:?}, {metrics:?}");
        }
        assert!(sum(seen) <= begun, "{begun} calls, {metrics:?}");
        assert!(metrics.active_calls <= begun - sum(ended), "{begun} calls, {ended:?} ended, {metrics:?}");
        *before = seen;
    }

    fn operate(&self) {
        for number in 0.. {
            if self.is_over.load(SeqCst) {
                break;
            }
            self.breaker.reconfigure(settings(number)).expect("the settings are valid");
            self.clock.advance(Duration::from_micros(700));
            match number % 16 {
                3 => self.breaker.transition_to(State::HalfOpen),
                5 => self.breaker.force_closed(),
                7 => self.clock.set(self.clock_now().saturating_sub(MILLI)),
                9 => self.clock.set(Duration::MAX),
                10 => self.clock.set(SECOND),
                15 => self.breaker.open_for(MILLI),
                _ => self.breaker.transition_to(State::Closed),
            }
            thread::yield_now();
        }
    }

    fn clock_now(&self) -> Duration {
        tripcoil::Clock::now(&self.clock)
    }

    /// Calls of a thread; every third one is ended by whoever comes next.
    fn call(&self, thread: usize, calls: usize, left: &Mutex<Vec<OwnedPermit>>) {
        for call in 0..calls {
            let Some(permit) = self.begin() else { continue };
            if (thread + call) % 3 == 0 {
                let other = {
                    let mut left = left.lock().unwrap();
                    left.push(permit);
                    let index = call % left.len();
                    left.swap_remove(index)
                };
                self.end(other, thread + call);
            } else {
                self.end(permit, thread / 3 + call);
            }
        }
    }

    fn check(&self) {
        let metrics = self.breaker.metrics();
        assert_eq!((counts(&metrics), metrics.active_calls), (self.ended.counts(), 0));
        assert_eq!(metrics.total_rejected_count, self.rejected.load(SeqCst));
        assert_eq!(sum(counts(&metrics)) + metrics.total_rejected_count, self.begun.load(SeqCst));
    }
}

#[test]
fn every_call_of_many_threads_is_counted_once_while_operators_settings_and_the_clock_go_mad() {
    const CALLS: usize = 300;

    let fire = Fire::new();
    thread::scope(|scope| {
        let onlookers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut before = [0; 4];
                while !fire.is_over.load(SeqCst) {
                    fire.look(&mut before);
                    thread::yield_now();
                }
            })
        });
        let operator = scope.spawn(|| fire.operate());
        let left = Mutex::new(Vec::new());
        // Of short-lived threads, whose numbers others get while some still count.
        for _generation in 0..4 {
            let left = &left;
            let fire = &fire;
            thread::scope(|scope| {
                for thread in 0..THREADS / 2 {
                    scope.spawn(move || fire.call(thread, CALLS / (1 + thread % 4), left));
                }
            });
        }
        left.into_inner().unwrap().into_iter().for_each(|permit| fire.end(permit, 0));
        fire.is_over.store(true, SeqCst);
        operator.join().unwrap();
        for onlooker in onlookers {
            onlooker.join().expect("what it sees makes sense");
        }
    });
    fire.check();
}

/// Alternates rules and keeps the slow rule.
#[test]
fn no_call_hangs_once_all_have_ended_on_whatever_threads_under_whatever_settings() {
    let slow = |number: u32| {
        let mut config = Config::default();
        config.slow_call_rate = Some(1.0);
        config.slow_call_duration = Some((1 + number / 3 % 5) * 8 * MILLI);
        config.minimum_calls = Some(1_000_000);
        config.window = Some(Window::time(SECOND));
        config.reset_timeout = Some((1 + number) * SECOND);
        config
    };
    let (breaker, clock) = manual(|settings| settings.config(slow(0)));
    let breaker = Arc::new(breaker);
    let (send, receive) = mpsc::channel::<OwnedPermit>();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = scope.spawn(move || receive.into_iter().for_each(OwnedPermit::success));
        let operator = scope.spawn(|| {
            for number in 1.. {
                if is_over.load(SeqCst) {
                    break;
                }
                breaker.reconfigure(slow(number % 1_000)).expect("the settings are valid");
                clock.advance(MILLI);
                thread::yield_now();
            }
        });
        let begin: Vec<_> = (0..8)
            .map(|thread| {
                let (breaker, send) = (&breaker, send.clone());
                scope.spawn(move || {
                    for call in 0..2_000 {
                        let permit = breaker.try_acquire_owned().expect("closed");
                        if (thread + call) % 5 == 0 {
                            permit.success();
                        } else {
                            send.send(permit).expect("it is there");
                        }
                    }
                })
            })
            .collect();
        drop(send);
        for thread in begin {
            thread.join().expect("no thread panics");
        }
        ends.join().expect("it does not panic");
        is_over.store(true, SeqCst);
        operator.join().expect("it does not panic");
    });
    for _ in 0..64 {
        clock.advance(3 * MILLI);
        let permit = admitted(&breaker);
        let metrics = breaker.metrics();
        assert_eq!((metrics.active_calls, metrics.window.expect("it is there").hanging_calls), (1, 0));
        permit.success();
    }
    // Nothing hides a call that hangs, either.
    let _hung = admitted(&breaker);
    clock.advance(SECOND);
    assert_eq!(breaker.metrics().window.expect("it is there").hanging_calls, 1);
}
