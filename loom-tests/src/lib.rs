//! What the loom models of tripcoil have in common. The models are in `tests/`, one file per protocol.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom -C debug-assertions" cargo test --release -p loom-tests --target-dir target-loom
//! loom-tests/explore            # runs them too, and writes their executions to the table of docs/proof.md
//! loom-tests/explore 5          # with up to 5 preemptions instead of 3; `none` is no bound
//! loom-tests/mutants/run        # breaks the library, and expects one model of each file to turn red
//! loom-tests/mutants/run --all  # every mutant, against all models that it has to turn red
//! ```

#![cfg(loom)]
#![allow(clippy::similar_names, reason = "a model runs in modes")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use loom::thread::{self, JoinHandle};
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, loom_mode};

pub mod diary;
pub mod parcel;
pub mod windows;

pub use diary::Diary;

pub use loom_mode::Mode::{self, Plain, RmwLoad, Sched};

/// Both ways to see what [`Plain`] hides.
pub const BOTH: [Mode; 2] = [RmwLoad, Sched];

/// How often threads are preempted in one execution, unless `LOOM_MAX_PREEMPTIONS` says else: a number, or `none`.
const PREEMPTIONS: usize = 3;

/// Runs `model` in every execution that loom finds, once for each of `modes`.
///
/// # Panics
///
/// If a run of the model does, if what the runs returned is not exactly `outcomes`, or if there was but
/// one execution.
pub fn explore<T, const N: usize>(
    modes: &[Mode],
    outcomes: [T; N],
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) where
    T: Ord + Debug + Send + 'static,
{
    explore_to_depth(preemptions(), modes, outcomes, model);
}

/// As [`explore`], with one preemption less, or two if that is more: for models that would take minutes. With a single
/// one they would miss what their mutants do.
///
/// # Panics
///
/// As [`explore`].
pub fn explore_crowded<T, const N: usize>(
    modes: &[Mode],
    outcomes: [T; N],
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) where
    T: Ord + Debug + Send + 'static,
{
    explore_to_depth(preemptions().map(|most| most.min((most - 1).max(2))), modes, outcomes, model);
}

/// As [`explore`], without preemptions: every stale value, of threads that run one after the other. For models that
/// would take minutes with a single one.
///
/// # Panics
///
/// As [`explore`].
pub fn explore_stale<T, const N: usize>(
    modes: &[Mode],
    outcomes: [T; N],
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) where
    T: Ord + Debug + Send + 'static,
{
    explore_to_depth(preemptions().map(|_| 0), modes, outcomes, model);
}

fn preemptions() -> Option<usize> {
    match std::env::var("LOOM_MAX_PREEMPTIONS").as_deref() {
        Ok("none") => None,
        Ok(number) => Some(number.parse().expect("LOOM_MAX_PREEMPTIONS is a number, or `none`")),
        Err(_) => Some(PREEMPTIONS),
    }
}

fn explore_to_depth<T, const N: usize>(
    preemptions: Option<usize>,
    modes: &[Mode],
    outcomes: [T; N],
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) where
    T: Ord + Debug + Send + 'static,
{
    let mut expected: Vec<_> = outcomes.into();
    expected.sort();
    for &mode in modes {
        loom_mode::set_mode(mode);
        let started = Instant::now();
        let (found, executions) = run(preemptions, mode, model);
        let bound = preemptions.map_or("none".to_owned(), |most| most.to_string());
        let (name, outcomes, seconds) = (model_name(), found.len(), started.elapsed().as_secs_f64());
        println!("explored: {name} {mode:?} bound {bound}: {executions} executions {outcomes} outcomes {seconds:.1} s");
        assert!(executions > 1, "{mode:?}: only one execution was explored");
        assert!(found.keys().eq(&expected), "{mode:?}: found {found:#?}, expected {expected:#?}");
    }
}

fn model_name() -> String {
    std::thread::current().name().unwrap_or("model").to_owned()
}

std::thread_local! {
    /// Of the model that this thread runs: loom switches between its threads on this one.
    static EXECUTION: Cell<Option<(Mode, usize)>> = const { Cell::new(None) };
}

/// Tells at the first panic of a model in which execution it came, before loom unwinds: a deadlock aborts then.
fn tell_what_fails() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some((mode, executions)) = EXECUTION.take() {
                println!("failed: {} {mode:?} in execution {executions}", model_name());
            }
            hook(panic);
        }));
    });
}

fn run<T: Ord + Send + 'static>(
    preemptions: Option<usize>,
    mode: Mode,
    model: impl Fn() -> T + Copy + Send + Sync + 'static,
) -> (BTreeMap<T, usize>, usize) {
    let found = Arc::new(Mutex::new(BTreeMap::new()));
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = preemptions;
    tell_what_fails();
    builder.check({
        let (found, executions) = (found.clone(), executions.clone());
        move || {
            let before = executions.fetch_add(1, Ordering::Relaxed);
            EXECUTION.set(Some((mode, before + 1)));
            let outcome = model();
            *found.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_insert(0) += 1;
        }
    });
    EXECUTION.set(None);
    let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    (found, executions.load(Ordering::Relaxed))
}

/// A breaker that is `reset_timeout` = 1 s and opens with its first failure; change what the model needs.
pub fn builder() -> (Builder, ManualClock) {
    let clock = ManualClock::new();
    let builder = CircuitBreaker::builder("model")
        .error_threshold(1)
        .success_threshold(1)
        .reset_timeout(SECOND)
        .clock(clock.clone());
    (builder, clock)
}

/// The time unit of the models.
pub const SECOND: Duration = Duration::from_secs(1);

/// Makes a breaker that the threads of a model share.
///
/// Loom does not see this `Arc`, so the model itself has to be the last to drop it, after it has joined them.
///
/// # Panics
///
/// If the settings are refused.
#[must_use]
pub fn shared(builder: Builder) -> Arc<CircuitBreaker> {
    Arc::new(builder.build().expect("the settings of a model are right"))
}

/// Runs `act` on the breaker in a thread of its own.
pub fn beside<T: 'static>(
    breaker: &Arc<CircuitBreaker>,
    act: impl FnOnce(&Arc<CircuitBreaker>) -> T + 'static,
) -> JoinHandle<T> {
    let breaker = breaker.clone();
    thread::spawn(move || act(&breaker))
}

/// What the threads return, which are joined in this order.
///
/// # Panics
///
/// If one of the threads has.
#[allow(clippy::must_use_candidate, reason = "it may be the wait alone that is wanted")]
pub fn joined<T, const N: usize>(threads: [JoinHandle<T>; N]) -> [T; N] {
    threads.map(|thread| thread.join().expect("a thread of a model does not panic"))
}

/// Counts how many threads are in the same place at once. Loom does not see it.
#[derive(Debug, Default)]
pub struct Crowd {
    here: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    /// One more is here.
    pub fn enter(&self) {
        let here = self.here.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(here, Ordering::SeqCst);
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
