//! The same promises hold on every async runtime, on plain threads, and on both at once.

mod common;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use futures_lite::future::{self, yield_now};
use tripcoil::{CircuitBreaker, Error, Outcome, State};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the suite needs of a runtime.
trait Runtime {
    fn block_on(future: impl Future<Output = ()>);
    /// Starts a task; the future that comes back ends with it, and panics if it does.
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed;
    fn sleep(time: Duration) -> Boxed;
}

struct TokioCurrentThread;
struct TokioMultiThread;
struct AsyncStd;
struct Smol;
struct Bare;

fn spawn_on_tokio(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
    let task = tokio::spawn(future);
    Box::pin(async { task.await.unwrap() })
}

impl Runtime for TokioCurrentThread {
    fn block_on(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future);
    }
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
        spawn_on_tokio(future)
    }
    fn sleep(time: Duration) -> Boxed {
        Box::pin(tokio::time::sleep(time))
    }
}

impl Runtime for TokioMultiThread {
    fn block_on(future: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap().block_on(future);
    }
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
        spawn_on_tokio(future)
    }
    fn sleep(time: Duration) -> Boxed {
        Box::pin(tokio::time::sleep(time))
    }
}

impl Runtime for AsyncStd {
    fn block_on(future: impl Future<Output = ()>) {
        async_std::task::block_on(future);
    }
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
        Box::pin(async_std::task::spawn(future))
    }
    fn sleep(time: Duration) -> Boxed {
        Box::pin(async_std::task::sleep(time))
    }
}

impl Runtime for Smol {
    fn block_on(future: impl Future<Output = ()>) {
        smol::block_on(future);
    }
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
        Box::pin(smol::spawn(future))
    }
    fn sleep(time: Duration) -> Boxed {
        Box::pin(async move {
            smol::Timer::after(time).await;
        })
    }
}

impl Runtime for Bare {
    fn block_on(future: impl Future<Output = ()>) {
        future::block_on(future);
    }
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Boxed {
        let (ended, has_ended) = smol::channel::bounded(1);
        thread::spawn(move || {
            future::block_on(future);
            ended.send_blocking(()).unwrap();
        });
        Box::pin(async move { has_ended.recv().await.unwrap() })
    }
    fn sleep(time: Duration) -> Boxed {
        Smol::sleep(time)
    }
}

async fn all<R: Runtime, F: Future<Output = ()> + Send + 'static>(tasks: usize, make: impl Fn(usize) -> F) {
    let started: Vec<_> = (0..tasks).map(|task| R::spawn(make(task))).collect();
    for task in started {
        task.await;
    }
}

async fn in_vain<R: Runtime>() {
    R::sleep(PATIENCE).await;
    panic!("the wait does not end");
}

async fn an_outage_opens_the_breaker_and_its_end_closes_it<R: Runtime>() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(3));
    let call = async |result: Result<u32, &'static str>| {
        let operation = async {
            yield_now().await;
            result
        };
        breaker.call(operation).await
    };
    assert_eq!(call(Ok(7)).await, Ok(7));
    for _ in 0..3 {
        assert_eq!(call(Err("down")).await, Err(Error::Inner("down")));
    }
    let rejected = call(Ok(7)).await.unwrap_err();
    assert_eq!((rejected.is_rejected(), rejected.retry_after()), (true, Some(30 * SECOND)));
    clock.advance(30 * SECOND);
    assert_eq!(call(Ok(7)).await, Ok(7));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(call(Ok(7)).await, Ok(7));
    assert_eq!(breaker.state(), State::Closed);
}

async fn a_cancelled_call_gives_its_slot_back<R: Runtime>() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    let hanging = async { drop(breaker.call(pending::<Result<(), ()>>()).await) };
    future::or(hanging, async {
        R::sleep(MILLI).await;
        refused(&breaker);
    })
    .await;
    assert_eq!((breaker.metrics().total_dropped_count, breaker.metrics().active_calls), (1, 0));
    drop(admitted(&breaker));
}

async fn a_change_wakes_a_task_that_waits<R: Runtime>() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    for _ in 0..20 {
        let changed = breaker.changed();
        let shared = breaker.clone();
        let moving = R::spawn(async move { shared.force_open() });
        let heard = async { assert_eq!(changed.await, State::ForcedOpen) };
        future::or(heard, in_vain::<R>()).await;
        moving.await;
        breaker.reset();
    }
}

async fn acquire_waits_for_the_end_of_the_cool_down<R: Runtime>() {
    let breaker = CircuitBreaker::new("test");
    let started = Instant::now();
    breaker.open_for(20 * MILLI);
    let patient = async { breaker.acquire(R::sleep).await.success() };
    future::or(patient, in_vain::<R>()).await;
    assert!(started.elapsed() >= 20 * MILLI);
    assert_eq!(breaker.state(), State::HalfOpen);
}

async fn tasks_take_turns_on_the_half_open_slots<R: Runtime>() {
    const TURNS: usize = 50;
    let (breaker, _clock) =
        manual(|settings| settings.half_open_capacity(2).probe_timeout(Duration::MAX).success_threshold(127));
    breaker.transition_to(State::HalfOpen);
    let (breaker, held) = (Arc::new(breaker), Arc::new(AtomicUsize::new(0)));
    all::<R, _>(6, |_| {
        let (breaker, held) = (breaker.clone(), held.clone());
        async move {
            for _ in 0..TURNS {
                let probe = breaker.acquire(|_| in_vain::<R>()).await;
                assert!(held.fetch_add(1, Ordering::SeqCst) < 2);
                yield_now().await;
                held.fetch_sub(1, Ordering::SeqCst);
                probe.ignore();
            }
        }
    })
    .await;
    assert_eq!(breaker.metrics().total_ignored_count, 6 * TURNS as u64);
}

async fn calls_of_many_tasks_are_counted_exactly<R: Runtime>() {
    const CALLS: u64 = 200;
    let (breaker, _clock) = manual(|settings| settings.error_threshold(u32::MAX));
    let breaker = Arc::new(breaker);
    all::<R, _>(5, |_| {
        let breaker = breaker.clone();
        async move {
            for call in 0..CALLS {
                count_one(&breaker, call).await;
            }
        }
    })
    .await;
    assert_counted(&breaker, 5 * CALLS);
}

/// One call, of a kind that follows from its number.
async fn count_one(breaker: &CircuitBreaker, call: u64) {
    let operation = async {
        yield_now().await;
        if call % 4 == 0 { Ok(call) } else { Err(call) }
    };
    match call % 4 {
        0 | 1 => drop(breaker.call(operation).await),
        2 => drop(breaker.ignoring(|_: &u64| true).call(operation).await),
        _ => drop(Task::waiting(breaker.call(operation))),
    }
}

fn assert_counted(breaker: &CircuitBreaker, calls: u64) {
    let metrics = breaker.metrics();
    assert_eq!(metrics.total_success_count, calls / 4);
    assert_eq!(metrics.total_error_count, calls / 4);
    assert_eq!(metrics.total_ignored_count, calls / 4);
    assert_eq!(metrics.total_dropped_count, calls / 4);
    assert_eq!((metrics.total_rejected_count, metrics.active_calls), (0, 0));
}

macro_rules! suite_on {
    ($($module:ident: $runtime:ident;)*) => {
        $(suite_on! { $module $runtime
            an_outage_opens_the_breaker_and_its_end_closes_it
            a_cancelled_call_gives_its_slot_back
            a_change_wakes_a_task_that_waits
            acquire_waits_for_the_end_of_the_cool_down
            tasks_take_turns_on_the_half_open_slots
            calls_of_many_tasks_are_counted_exactly
        })*
    };
    ($module:ident $runtime:ident $($test:ident)*) => {
        mod $module {
            use super::Runtime;
            $(
                #[test]
                fn $test() {
                    super::$runtime::block_on(super::$test::<super::$runtime>());
                }
            )*
        }
    };
}

suite_on! {
    on_tokio_with_one_thread: TokioCurrentThread;
    on_tokio_with_many_threads: TokioMultiThread;
    on_async_std: AsyncStd;
    on_smol: Smol;
    on_a_bare_block_on: Bare;
}

mod on_threads {
    use super::*;

    #[test]
    fn an_outage_opens_the_breaker_and_its_end_closes_it() {
        let (breaker, clock) = manual(|settings| settings.error_threshold(3));
        let on_a_thread = |result: Result<u32, &'static str>| {
            thread::scope(|scope| scope.spawn(|| breaker.call_sync(|| result)).join().unwrap())
        };
        assert_eq!(on_a_thread(Ok(7)), Ok(7));
        for _ in 0..3 {
            assert_eq!(on_a_thread(Err("down")), Err(Error::Inner("down")));
        }
        assert_eq!(on_a_thread(Ok(7)).unwrap_err().retry_after(), Some(30 * SECOND));
        clock.advance(30 * SECOND);
        assert_eq!(on_a_thread(Ok(7)), Ok(7));
        assert_eq!(on_a_thread(Ok(7)), Ok(7));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn failures_of_all_threads_open_at_exactly_the_threshold() {
        const THREADS: u64 = 4;
        const EACH: u64 = 250;
        for beyond in [0, 1] {
            let threshold = u32::try_from(THREADS * EACH + beyond).unwrap();
            let (breaker, _clock) = manual(|settings| settings.error_threshold(threshold));
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| (0..EACH).for_each(|_| drop(breaker.call_sync(|| Err::<(), _>(())))));
                }
            });
            let expected = if beyond == 0 { State::Open } else { State::Closed };
            assert_eq!((breaker.state(), breaker.metrics().total_error_count), (expected, THREADS * EACH));
        }
    }

    #[test]
    fn calls_of_many_threads_are_counted_exactly() {
        const CALLS: u64 = 1_000;
        let (breaker, _clock) = manual(|settings| settings.error_threshold(u32::MAX));
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let ignoring = breaker.ignoring(|_: &u64| true);
                    for call in 0..CALLS {
                        match call % 4 {
                            0 => drop(breaker.call_sync(|| Ok::<_, u64>(call))),
                            1 => drop(breaker.call_sync(|| Err::<(), _>(call))),
                            2 => drop(ignoring.call_sync(|| Err::<(), _>(call))),
                            _ => drop(admitted(&breaker)),
                        }
                    }
                });
            }
        });
        assert_counted(&breaker, 5 * CALLS);
    }
}

#[test]
fn tasks_and_threads_share_one_breaker_with_exact_counts() {
    const TASKS: u64 = 4;
    const THREADS: u64 = 2;
    const CALLS: u64 = 400;
    let (breaker, _clock) = manual(|settings| settings.error_threshold(u32::MAX));
    let breaker = Arc::new(breaker);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let breaker = breaker.clone();
            thread::spawn(move || {
                for call in 0..CALLS {
                    match call % 4 {
                        0 => succeed(&breaker),
                        1 => fail(&breaker),
                        2 => breaker.try_acquire_owned().unwrap().ignore(),
                        _ => drop(breaker.try_acquire_owned().unwrap()),
                    }
                }
            })
        })
        .collect();
    TokioMultiThread::block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..TASKS {
            let shared = breaker.clone();
            tasks.push(TokioMultiThread::spawn(async move {
                for call in 0..CALLS {
                    count_one(&shared, call).await;
                }
            }));
        }
        for task in tasks {
            task.await;
        }
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_counted(&breaker, (TASKS + THREADS) * CALLS);
}

#[test]
fn tasks_and_threads_go_through_outages_together_and_every_call_is_accounted_for() {
    const CALLS: u64 = 1_500;
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| settings.error_threshold(3).on_transition(recorder.observer()));
    trip(&breaker, SECOND);
    let (breaker, rejected) = (Arc::new(breaker), Arc::new(AtomicU64::new(0)));
    let outcome = |call: u64| if call % 10 < 6 { Ok(()) } else { Err(()) };
    let count = |rejected: &AtomicU64, result: &Result<(), Error<()>>| {
        let is_rejected = matches!(result, Err(error) if error.is_rejected());
        rejected.fetch_add(u64::from(is_rejected), Ordering::SeqCst);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for call in 0..CALLS {
                count(&rejected, &breaker.call_sync(|| outcome(call)));
                clock.advance(SECOND);
            }
        });
        TokioMultiThread::block_on(async {
            let (breaker, rejected) = (breaker.clone(), rejected.clone());
            let task = TokioMultiThread::spawn(async move {
                for call in 0..CALLS {
                    let operation = async {
                        yield_now().await;
                        outcome(call)
                    };
                    count(
                        &rejected,
                        &breaker
                            .call_with(operation, |result| match result {
                                Ok(()) => Outcome::Success,
                                Err(()) => Outcome::Failure,
                            })
                            .await,
                    );
                }
            });
            task.await;
        });
    });
    let metrics = breaker.metrics();
    assert_eq!(metrics.total_rejected_count, rejected.load(Ordering::SeqCst));
    let settled = metrics.total_success_count + metrics.total_error_count;
    assert_eq!(settled + metrics.total_rejected_count, 1 + 2 * CALLS);
    assert_eq!(metrics.active_calls, 0);
    assert_eq!(recorder.count() as u64, metrics.transition_count);
    assert!(metrics.transition_count > 1);
}
