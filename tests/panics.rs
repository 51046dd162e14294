//! A panic goes on, counts as a failure and loses no slot.

mod common;

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Future, IntoFuture, Ready, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;

use common::*;
use futures_lite::future::{block_on, yield_now};
use tripcoil::{CircuitBreaker, Dropped, GuardedBy, Outcome, State};

/// What the tests panic with, to tell it from a panic of any other kind.
#[derive(Debug, PartialEq)]
struct Boom;

fn boom<T>() -> T {
    panic_any(Boom)
}

fn goes_on(call: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(call)).expect_err("the panic goes on");
    assert_eq!(payload.downcast_ref(), Some(&Boom));
}

type Act = fn(&CircuitBreaker);

/// Every way in which a protected call can panic once it has been admitted.
const WAYS: [(&str, Act); 11] = [
    ("sync operation", |breaker| {
        let _ = breaker.call_sync(boom::<Result<(), ()>>);
    }),
    ("sync operation of a wrapped function", |breaker| {
        let _ = breaker.wrap_sync(|()| boom::<Result<(), ()>>())(());
    }),
    ("sync judge", |breaker| {
        let _ = breaker.call_sync_with(|| Ok::<(), ()>(()), |_| boom());
    }),
    ("sync judge of a guarded breaker", |breaker| {
        let _ = breaker.judging(|_: &Result<(), ()>| boom()).call_sync(|| Ok(()));
    }),
    ("sync predicate", |breaker| {
        let _ = breaker.ignoring(|(): &()| boom()).call_sync(|| Err::<(), _>(()));
    }),
    ("first poll", |breaker| {
        let _ = block_on(breaker.call(async { boom::<Result<(), ()>>() }));
    }),
    ("later poll", |breaker| {
        let _ = block_on(breaker.call(async {
            yield_now().await;
            yield_now().await;
            boom::<Result<(), ()>>()
        }));
    }),
    ("async judge", |breaker| {
        let _ = block_on(breaker.call_with(async { Ok::<(), ()>(()) }, |_| boom()));
    }),
    ("async judge of a guarded breaker", |breaker| {
        let _ = block_on(breaker.judging(|_: &Result<(), ()>| boom()).call(async { Ok(()) }));
    }),
    ("async predicate", |breaker| {
        let _ = block_on(breaker.ignoring(|(): &()| boom()).call(async { Err::<(), _>(()) }));
    }),
    ("code between acquiring and settling", |breaker| {
        let permit = admitted(breaker);
        boom::<()>();
        permit.success();
    }),
];

#[test]
fn panic_of_any_kind_goes_on_and_is_a_failure_whatever_dropped_calls_says() {
    for dropped in [Dropped::Ignore, Dropped::Failure, Dropped::FailureAfter(SECOND)] {
        for (name, way) in WAYS {
            let (breaker, _clock) = manual(|settings| settings.error_threshold(2).dropped_calls(dropped));
            goes_on(|| way(&breaker));
            let metrics = breaker.metrics();
            assert_eq!(metrics.total_error_count, 1, "{name}");
            assert_eq!(metrics.total_success_count + metrics.total_dropped_count, 0, "{name}");
            assert_eq!(metrics.active_calls, 0, "{name}");
            assert_eq!(metrics.last_error.unwrap().type_name, "panic", "{name}");
            assert_eq!(consecutive(&breaker), (1, 0), "{name}");
            goes_on(|| way(&breaker));
            assert_eq!(breaker.state(), State::Open, "{name}");
        }
    }
}

#[test]
fn panic_of_any_kind_gives_the_slot_of_a_probe_back() {
    for (name, way) in WAYS {
        let (breaker, _clock) = manual(|settings| settings.half_open_error_threshold(9));
        breaker.transition_to(State::HalfOpen);
        goes_on(|| way(&breaker));
        assert_eq!((breaker.state(), consecutive(&breaker)), (State::HalfOpen, (1, 0)), "{name}");
        drop(admitted(&breaker));
    }
}

#[test]
fn panic_of_any_kind_of_a_probe_reopens() {
    for (name, way) in WAYS {
        let (breaker, _clock) = manual(|settings| settings);
        breaker.transition_to(State::HalfOpen);
        goes_on(|| way(&breaker));
        assert_eq!(breaker.state(), State::Open, "{name}");
    }
}

#[test]
fn panic_of_an_earlier_epoch_changes_nothing() {
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1));
    goes_on(|| {
        let _ = breaker.call_sync(|| -> Result<(), ()> {
            breaker.reset();
            boom()
        });
    });
    assert_eq!((breaker.state(), breaker.metrics().total_error_count), (State::Closed, 1));
    assert_eq!(breaker.metrics().last_error, None);
}

#[test]
fn permit_dropped_while_its_thread_unwinds_is_a_failure() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let shared = breaker.clone();
    let unwound = thread::spawn(move || {
        let _borrowed = shared.try_acquire();
        let _owned = shared.try_acquire_owned();
        boom::<()>();
    });
    assert!(unwound.join().is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count, metrics.active_calls), (2, 0, 0));
}

#[test]
fn permit_moved_into_a_thread_that_unwinds_is_a_failure() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let permit = breaker.try_acquire_owned().unwrap();
    let unwound = thread::spawn(move || {
        let _permit = permit;
        boom::<()>();
    });
    assert!(unwound.join().is_err());
    assert_eq!(breaker.metrics().total_error_count, 1);
}

#[test]
fn permit_dropped_after_a_panic_was_caught_is_neutral() {
    let (breaker, _clock) = manual(|settings| settings);
    let permit = admitted(&breaker);
    goes_on(boom);
    drop(permit);
    assert_eq!((breaker.metrics().total_error_count, breaker.metrics().total_dropped_count), (0, 1));
}

#[test]
fn call_that_succeeds_while_its_thread_unwinds_is_a_success() {
    struct CleanUp<'a>(&'a CircuitBreaker);
    impl Drop for CleanUp<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.call_sync(|| Ok::<_, Infallible>(())), Ok(()));
        }
    }
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| {
        let _clean_up = CleanUp(&breaker);
        boom::<()>();
    });
    assert_eq!((breaker.metrics().total_success_count, breaker.metrics().total_error_count), (1, 0));
}

/// Polls each of the tasks once, then panics while it owns them.
fn panic_around<F: Future>(calls: impl IntoIterator<Item = F>) {
    let _tasks: Vec<_> = calls.into_iter().map(Task::waiting).collect();
    boom::<()>();
}

#[test]
fn calls_dropped_by_a_panic_of_the_task_that_joins_them_are_dropped_calls() {
    let hanging = || pending::<Result<(), ()>>();
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| panic_around((0..5).map(|_| breaker.call(hanging()))));
    goes_on(|| panic_around((0..5).map(|_| breaker.call_with(hanging(), |_| Outcome::Failure))));
    goes_on(|| panic_around((0..5).map(|_| hanging().guarded_by(&breaker))));
    let ignoring = breaker.ignoring(|(): &()| false);
    goes_on(|| panic_around((0..5).map(|_| ignoring.call(hanging()))));
    let metrics = breaker.metrics();
    assert_eq!((breaker.state(), metrics.active_calls), (State::Closed, 0));
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count), (0, 20));
    assert_eq!(metrics.last_error, None);

    let (breaker, clock) = manual(|settings| settings.dropped_calls(Dropped::FailureAfter(SECOND)));
    goes_on(|| panic_around([breaker.call(hanging())]));
    goes_on(|| {
        let _late = Task::waiting(breaker.call(hanging()));
        clock.advance(SECOND);
        boom::<()>();
    });
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count), (1, 1));
    assert_eq!(metrics.last_error.unwrap().type_name, "dropped");
}

#[test]
fn of_calls_that_are_joined_only_the_one_that_panics_is_a_failure() {
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| {
        let _healthy = Task::waiting(breaker.call(pending::<Result<(), ()>>()));
        let mut panicking = Task::new(breaker.call(async {
            yield_now().await;
            boom::<Result<(), ()>>()
        }));
        assert!(panicking.poll().is_pending());
        let _other = Task::waiting(breaker.call(pending::<Result<(), ()>>()));
        let _ = panicking.poll();
    });
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_dropped_count, metrics.active_calls), (1, 2, 0));
}

#[test]
fn call_around_a_call_that_panics_is_a_failure_of_both() {
    let [outer, inner] = [(); 2].map(|()| CircuitBreaker::new("test"));
    goes_on(|| {
        let _ = block_on(outer.call(async { inner.call(async { boom::<Result<(), ()>>() }).await }));
    });
    assert_eq!((outer.metrics().total_error_count, inner.metrics().total_error_count), (1, 1));
}

#[test]
fn panic_of_a_call_made_and_caught_while_its_thread_unwinds_is_a_failure() {
    struct CleanUp<'a>(&'a CircuitBreaker);
    impl Drop for CleanUp<'_> {
        fn drop(&mut self) {
            goes_on(|| drop(self.0.call_sync(boom::<Result<(), ()>>)));
            goes_on(|| drop(block_on(self.0.call(async { boom::<Result<(), ()>>() }))));
            drop(Task::waiting(self.0.call(pending::<Result<(), ()>>())));
        }
    }
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| {
        let _clean_up = CleanUp(&breaker);
        boom::<()>();
    });
    assert_eq!((breaker.metrics().total_error_count, breaker.metrics().total_dropped_count), (2, 1));
}

#[test]
fn future_whose_destructor_panics_is_a_dropped_call() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            boom::<()>();
        }
    }
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| {
        let fragile = Fragile;
        drop(Task::waiting(breaker.call(async {
            pending::<()>().await;
            drop(fragile);
            Ok::<(), ()>(())
        })));
    });
    assert_eq!((breaker.metrics().total_error_count, breaker.metrics().total_dropped_count), (0, 1));
}

#[test]
fn panic_while_a_future_is_made_is_no_call() {
    struct Unmakeable;
    impl IntoFuture for Unmakeable {
        type Output = Result<(), ()>;
        type IntoFuture = Ready<Result<(), ()>>;
        fn into_future(self) -> Self::IntoFuture {
            boom()
        }
    }
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| drop(breaker.call(Unmakeable)));
    goes_on(|| drop(breaker.wrap(|()| boom::<Ready<Result<(), ()>>>())(())));
    assert_eq!((breaker.metrics().total_error_count, breaker.metrics().active_calls), (0, 0));
}

#[test]
fn future_that_is_polled_after_it_has_finished_panics_and_counts_once() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut call = pin!(breaker.call(async { Ok::<(), ()>(()) }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_ready());
    assert!(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context).is_ready())).is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count, metrics.active_calls), (1, 0, 0));
}

#[test]
fn task_that_panics_is_a_failure() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let shared = breaker.clone();
    runtime.block_on(async move {
        let task = tokio::spawn(async move { shared.call(async { boom::<Result<(), ()>>() }).await });
        assert!(task.await.unwrap_err().is_panic());
    });
    assert_eq!((breaker.metrics().total_error_count, breaker.metrics().active_calls), (1, 0));
}

#[test]
fn trip_before_a_panic_stands() {
    let (breaker, _clock) = manual(|settings| settings);
    goes_on(|| {
        admitted(&breaker).record(Outcome::Trip { open_for: 7 * SECOND });
        boom::<()>();
    });
    assert!(is_open_for(&breaker, 7 * SECOND));
}

#[test]
fn message_that_panics_loses_no_slot() {
    struct Message;
    impl From<Message> for Cow<'static, str> {
        fn from(_: Message) -> Self {
            boom()
        }
    }
    let (breaker, _clock) = manual(|settings| settings);
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    goes_on(|| probe.failure_because(Message));
    assert_eq!((breaker.state(), breaker.metrics().active_calls), (State::Open, 0));
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        boom::<()>();
    }
}

fn wait_with_a_bomb<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Bomb)))).is_pending());
    future
}

#[test]
fn waker_that_panics_keeps_nobody_asleep_and_no_observer_untold() {
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| settings.on_transition(recorder.observer()));
    breaker.force_open();
    for round in 2..5 {
        let _watching = wait_with_a_bomb(breaker.changed());
        let _queueing = wait_with_a_bomb(breaker.acquire(|_| pending::<()>()));
        let watcher = Task::waiting(breaker.changed());
        let queued = Task::waiting(breaker.acquire(|_| pending::<()>()));
        breaker.transition_to(if round % 2 == 0 { State::Open } else { State::ForcedOpen });
        assert!(watcher.is_woken() && queued.is_woken());
        assert_eq!(recorder.count(), round);
    }
}

#[test]
fn waker_that_panics_at_a_slot_that_comes_free_harms_no_probe() {
    let (breaker, _clock) = manual(|settings| settings.half_open_capacity(2).success_threshold(9));
    breaker.transition_to(State::HalfOpen);
    let probes = [admitted(&breaker), admitted(&breaker)];
    let first = wait_with_a_bomb(breaker.acquire(|_| pending::<()>()));
    let second = Task::waiting(breaker.acquire(|_| pending::<()>()));
    let [one, other] = probes;
    one.success();
    drop(first);
    other.success();
    assert!(second.is_woken());
    assert_eq!(breaker.metrics().active_calls, 0);
}
