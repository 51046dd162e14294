//! What several of the test files need.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, Clock, ConfigError, Outcome, Permit, Rejected, State, Transition};

pub(crate) const TICK: Duration = Duration::from_nanos(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// For waits that end by a wake-up: long enough to tell a lost one, short enough to fail by.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const STATES: [State; 5] =
    [State::Closed, State::Open, State::HalfOpen, State::ForcedOpen, State::ForcedClosed];

/// A breaker on a clock that moves when it is told to.
pub(crate) fn manual(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, ManualClock) {
    let clock = ManualClock::new();
    let builder = settings(CircuitBreaker::builder("test").clock(clock.clone()));
    (builder.build().expect("the settings are valid"), clock)
}

pub(crate) fn admitted(breaker: &CircuitBreaker) -> Permit<'_> {
    breaker.try_acquire().expect("the call is admitted")
}

pub(crate) fn refused(breaker: &CircuitBreaker) -> Rejected {
    breaker.try_acquire().expect_err("the call is refused")
}

pub(crate) fn succeed(breaker: &CircuitBreaker) {
    admitted(breaker).success();
}

pub(crate) fn fail(breaker: &CircuitBreaker) {
    admitted(breaker).failure();
}

pub(crate) fn ignore(breaker: &CircuitBreaker) {
    admitted(breaker).ignore();
}

pub(crate) fn trip(breaker: &CircuitBreaker, open_for: Duration) {
    admitted(breaker).record(Outcome::Trip { open_for });
}

/// Lets the current cool-down pass, and the probe that comes next fail.
pub(crate) fn fail_a_probe(breaker: &CircuitBreaker, clock: &ManualClock) {
    clock.advance(breaker.metrics().retry_after.expect("the breaker is open"));
    fail(breaker);
}

pub(crate) fn consecutive(breaker: &CircuitBreaker) -> (u64, u64) {
    let metrics = breaker.metrics();
    (metrics.consecutive_error_count, metrics.consecutive_success_count)
}

pub(crate) fn is_open_for(breaker: &CircuitBreaker, wait: Duration) -> bool {
    breaker.state() == State::Open && breaker.metrics().retry_after == Some(wait)
}

/// An observer that keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Transition>>>);

impl Recorder {
    pub(crate) fn observer(&self) -> impl Fn(&Transition) + Send + Sync + 'static {
        let seen = self.0.clone();
        move |transition| seen.lock().unwrap().push(transition.clone())
    }

    pub(crate) fn seen(&self) -> Vec<Transition> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A manual clock that counts how often it is read.
#[derive(Clone, Default)]
pub(crate) struct CountingClock {
    pub(crate) inner: ManualClock,
    reads: Arc<AtomicUsize>,
}

impl CountingClock {
    /// The readings since the last time it was asked.
    pub(crate) fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Duration {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.now()
    }
}

/// A waker that counts how often it wakes.
#[derive(Default)]
pub(crate) struct WakeCounter(AtomicUsize);

impl WakeCounter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand, and whether it has been woken.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    waker: Arc<WakeCounter>,
}

impl<F: Future> Task<F> {
    pub(crate) fn new(future: F) -> Self {
        Task { future: Box::pin(future), waker: WakeCounter::new() }
    }

    /// A task that has been polled and waits.
    pub(crate) fn waiting(future: F) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll().is_pending(), "the future waits");
        task
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.waker = WakeCounter::new();
        let waker = Waker::from(self.waker.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.waker.is_woken()
    }
}

pub(crate) fn build(settings: impl FnOnce(Builder) -> Builder) -> Result<CircuitBreaker, ConfigError> {
    settings(CircuitBreaker::builder("test")).build()
}

pub(crate) fn accepts(settings: impl FnOnce(Builder) -> Builder) {
    if let Err(error) = build(settings) {
        panic!("refused: {error}");
    }
}

pub(crate) fn refuses(setting: &str, value: &str, allowed: &str, settings: impl FnOnce(Builder) -> Builder) {
    let error = build(settings).expect_err(&format!("{setting} of {value} is refused"));
    assert_eq!((error.setting(), error.value(), error.allowed()), (setting, value, allowed));
    assert_eq!(error.to_string(), format!("`{setting}` is {value}, allowed is {allowed}"));
}
