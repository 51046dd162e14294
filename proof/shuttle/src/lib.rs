//! What the shuttle models of tripcoil have in common. The models are in `tests/`, one file per promise.
//!
//! Shuttle runs the library's own source, by the `shuttle` side of `src/sync`, on threads of its own, which it may
//! switch at each access to an atomic and at each lock. It knows sequential consistency only; weak orderings
//! are loom's business.

#![cfg(shuttle)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, shuttle_mode};

#[path = "../../../loom-tests/src/diary.rs"]
pub mod diary;

pub use diary::Diary;

/// Schedules of each kind for each model, unless `SHUTTLE_SCHEDULES` says else.
const SCHEDULES: usize = 4_000;

/// How often at most a schedule of the kind "PCT" demotes the thread that runs.
const PCT_DEPTHS: [usize; 2] = [2, 4];

/// The time unit of the models.
pub const SECOND: Duration = Duration::from_secs(1);

/// Runs `model` in schedules drawn at random, and in ones drawn as probabilistic concurrency testing does.
///
/// The seed is `SHUTTLE_SEED`, 1 if that is not set. What all runs together returned has to be exactly `outcomes`.
///
/// # Panics
///
/// If a run of the model does, or if it found something else.
pub fn sample<T, const N: usize>(outcomes: [T; N], model: impl Fn() -> T + Copy + Send + Sync + 'static)
where
    T: Ord + Debug + Send + 'static,
{
    shuttle_mode::model_tallies(true);
    shuttle_mode::model_rings(true);
    let schedules = number("SHUTTLE_SCHEDULES").unwrap_or(SCHEDULES);
    let seed = number("SHUTTLE_SEED").unwrap_or(1) as u64;
    let mut found = run("random", RandomScheduler::new_from_seed(seed, schedules), model);
    for depth in PCT_DEPTHS {
        found.extend(run("PCT", PctScheduler::new_from_seed(seed, depth, schedules / PCT_DEPTHS.len()), model));
    }
    expect(&found, outcomes);
}

/// Runs `model` in every schedule there is, but for those that differ in accesses to the totals only. What they returned has to be exactly `outcomes`.
///
/// # Panics
///
/// If a run of the model does, if it found something else, or if there was but one schedule.
pub fn exhaust<T, const N: usize>(outcomes: [T; N], model: impl Fn() -> T + Copy + Send + Sync + 'static)
where
    T: Ord + Debug + Send + 'static,
{
    shuttle_mode::model_tallies(false);
    shuttle_mode::model_rings(false);
    let found = run("every", DfsScheduler::new(None, false), model);
    assert!(found.values().sum::<usize>() > 1, "only one schedule was explored");
    expect(&found, outcomes);
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable}={value}: no number")))
}

fn expect<T: Ord + Debug, const N: usize>(found: &BTreeMap<T, usize>, outcomes: [T; N]) {
    let mut expected = Vec::from(outcomes);
    expected.sort();
    assert!(found.keys().eq(&expected), "found {found:#?}, expected {expected:#?}");
}

fn run<T: Ord + Send + 'static>(
    kind: &str,
    scheduler: impl Scheduler + 'static,
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) -> BTreeMap<T, usize> {
    let started = Instant::now();
    let mut config = Config::new();
    config.stack_size = 0x4_0000;
    config.silence_warnings = true;
    let found = Arc::new(Mutex::new(BTreeMap::new()));
    let sink = found.clone();
    let schedules = Runner::new(scheduler, config).run(move || {
        let outcome = model();
        *sink.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_insert(0) += 1;
    });
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    let (name, outcomes, seconds) = (test_name(), found.len(), started.elapsed().as_secs_f64());
    println!("explored: {name} {kind} {schedules} schedules {outcomes} outcomes {seconds:.1} s");
    found
}

fn test_name() -> String {
    std::thread::current().name().unwrap_or("model").to_owned()
}

/// A breaker that stays open for [`SECOND`] and opens with its first failure; change what the model needs.
pub fn builder() -> (Builder, ManualClock) {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("model")
        .error_threshold(1)
        .success_threshold(1)
        .reset_timeout(SECOND)
        .clock(clock.clone());
    (builder, clock)
}

/// Makes a breaker that the threads of a model share.
///
/// # Panics
///
/// If the settings are refused.
#[must_use]
pub fn shared(builder: Builder) -> Arc<CircuitBreaker> {
    Arc::new(builder.build().expect("the settings of a model are right"))
}

/// Counts how many threads are in the same place at once. Shuttle does not see it.
#[derive(Debug, Default)]
pub struct Crowd {
    here: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    /// One more is here; others may come before this one goes on.
    pub fn enter(&self) {
        let here = self.here.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(here, Ordering::SeqCst);
        shuttle::thread::yield_now();
    }

    /// One has gone.
    pub fn leave(&self) {
        self.here.fetch_sub(1, Ordering::SeqCst);
    }

    /// The most that were ever here at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Runs `body` on as many threads at once, each with its number, and waits for them.
///
/// # Panics
///
/// If one of them does.
pub fn at_once<T: Send + 'static>(threads: usize, body: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let body = Arc::new(body);
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let body = body.clone();
            shuttle::thread::spawn(move || body(number))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
