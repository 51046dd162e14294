//! Whatever the waker of a waiting task does, nobody else is stuck.

mod common;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, State};

/// A deadlock fails the test instead of holding it up.
fn without_deadlock(run: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let runner = thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        run();
        let _ = done.send(());
    });
    let outcome = is_done.recv_timeout(PATIENCE);
    assert_ne!(outcome, Err(mpsc::RecvTimeoutError::Timeout), "it is stuck");
    runner.unwrap().join().unwrap();
}

type Pinned = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task of an executor that is gone: its waker owns it, and drops it.
struct Doomed(Mutex<Option<Pinned>>);

impl Doomed {
    fn waiting(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let task = Arc::new(Doomed(Mutex::new(None)));
        let mut future: Pinned = Box::pin(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))).is_pending());
        *task.0.lock().unwrap() = Some(future);
        task
    }

    fn is_dropped(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

impl Wake for Doomed {
    fn wake(self: Arc<Self>) {
        let future = self.0.lock().unwrap().take();
        drop(future);
    }
}

/// A waker that does as it is told.
struct Does<F>(F);

impl<F: Fn() + Send + Sync> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

fn polled_with<F: Future>(waker: impl Into<Waker>, future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker.into())).is_pending());
    future
}

fn never(_: Duration) -> impl Future<Output = ()> {
    pending()
}

async fn change(breaker: Arc<CircuitBreaker>) {
    breaker.changed().await;
}

async fn admission(breaker: Arc<CircuitBreaker>) {
    breaker.acquire(never).await.ignore();
}

fn forced_open() -> Arc<CircuitBreaker> {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    Arc::new(breaker)
}

/// Half-open, with every slot taken by the permit.
fn full() -> (Arc<CircuitBreaker>, tripcoil::OwnedPermit) {
    let (breaker, _clock) = manual(|settings| settings.probe_timeout(Duration::MAX));
    breaker.transition_to(State::HalfOpen);
    let breaker = Arc::new(breaker);
    let probe = breaker.try_acquire_owned().unwrap();
    (breaker, probe)
}

/// Resets the breaker while threads and tasks wait beside the one whose waker is tried; all are woken.
fn wakes_all_others(breaker: &Arc<CircuitBreaker>, tried: impl FnOnce()) {
    let before = (Task::waiting(breaker.changed()), Task::waiting(breaker.acquire(never)));
    tried();
    let after = (Task::waiting(breaker.changed()), Task::waiting(breaker.acquire(never)));
    let changed = breaker.changed();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| changed.wait_timeout(PATIENCE));
        let caller = scope.spawn(|| breaker.acquire_blocking(PATIENCE).map(tripcoil::Permit::ignore));
        // They may block by now, or not yet: they are to wake either way.
        (0..1000).for_each(|_| thread::yield_now());
        breaker.reset();
        assert!(watcher.join().unwrap().is_some());
        assert_eq!(caller.join().unwrap(), Ok(()));
    });
    for (watcher, caller) in [before, after] {
        assert!(watcher.is_woken() && caller.is_woken());
    }
}

#[test]
fn waker_that_drops_its_task_holds_up_no_transition_and_no_waiter() {
    without_deadlock(|| {
        for _ in 0..20 {
            let breaker = forced_open();
            let mut tasks = Vec::new();
            wakes_all_others(&breaker, || {
                tasks.push(Doomed::waiting(change(breaker.clone())));
                tasks.push(Doomed::waiting(admission(breaker.clone())));
            });
            assert!(tasks.iter().all(|task| task.is_dropped()));
            breaker.force_open();
            breaker.reset();
        }
    });
}

#[test]
fn waker_that_drops_its_task_passes_the_free_slot_on() {
    without_deadlock(|| {
        let (breaker, probe) = full();
        let doomed = [(); 3].map(|()| Doomed::waiting(admission(breaker.clone())));
        let mut next = Task::waiting(breaker.acquire(never));
        let last = Task::waiting(breaker.acquire(never));
        probe.ignore();
        assert!(doomed.iter().all(|task| task.is_dropped()));
        assert_eq!((next.is_woken(), last.is_woken()), (true, false));
        assert!(next.poll().is_ready());
    });
}

#[test]
fn waiter_that_gives_up_beside_wakers_that_drop_their_tasks_passes_the_free_slot_on() {
    without_deadlock(|| {
        let (breaker, probe) = full();
        let first = Task::waiting(breaker.acquire(never));
        let doomed = Doomed::waiting(admission(breaker.clone()));
        let next = Task::waiting(breaker.acquire(never));
        probe.ignore();
        assert!(first.is_woken() && !doomed.is_dropped());
        drop(first);
        assert!(doomed.is_dropped() && next.is_woken());
    });
}

#[test]
fn many_wakers_that_drop_their_tasks_one_after_the_other_need_little_stack() {
    const TASKS: usize = 10_000;
    without_deadlock(|| {
        let (breaker, probe) = full();
        let doomed: Vec<_> = (0..TASKS).map(|_| Doomed::waiting(admission(breaker.clone()))).collect();
        let next = Task::waiting(breaker.acquire(never));
        probe.ignore();
        assert!(doomed.iter().all(|task| task.is_dropped()));
        assert!(next.is_woken());
    });
}

#[test]
fn last_waker_of_another_task_that_a_poll_lets_go_of_may_drop_that_task() {
    /// A task that lives as long as its waker.
    struct Owned(#[allow(dead_code, reason = "it is there to be dropped")] Mutex<Option<Pinned>>);
    impl Wake for Owned {
        fn wake(self: Arc<Self>) {}
    }
    without_deadlock(|| {
        let breaker = forced_open();
        let other = Arc::new(Owned(Mutex::new(Some(polled_with(WakeCounter::new(), change(breaker.clone()))))));
        let mut moved = polled_with(other, breaker.changed());
        let counter = WakeCounter::new();
        let waker = Waker::from(counter.clone());
        assert_eq!(moved.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        breaker.reset();
        assert!(counter.is_woken());
    });
}

#[test]
fn waker_that_uses_its_breaker_holds_up_no_transition_and_no_waiter() {
    without_deadlock(|| {
        let breaker = forced_open();
        let (shared, count) = (breaker.clone(), Arc::new(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::new(Does({
            let count = count.clone();
            move || {
                count.fetch_add(1, Ordering::SeqCst);
                shared.reset();
                let again = Task::waiting(shared.changed());
                shared.force_open();
                assert!(again.is_woken());
                shared.reset();
                drop(shared.try_acquire());
            }
        })));
        let mut tasks = Vec::new();
        wakes_all_others(&breaker, || tasks.push(polled_with(waker, breaker.changed())));
        assert_eq!((count.load(Ordering::SeqCst), breaker.state()), (1, State::Closed));
    });
}

#[test]
fn waker_that_waits_for_a_thread_that_waits_beside_it_gets_it() {
    without_deadlock(|| {
        let breaker = forced_open();
        let (sender, receiver) = mpsc::channel();
        let receiver = Mutex::new(receiver);
        let waker = Waker::from(Arc::new(Does(move || receiver.lock().unwrap().recv_timeout(PATIENCE).unwrap())));
        let _task = polled_with(waker, breaker.changed());
        let changed = breaker.changed();
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(changed.wait(), State::Closed);
                sender.send(()).unwrap();
            });
            (0..1000).for_each(|_| thread::yield_now());
            breaker.reset();
        });
    });
}

#[test]
fn waker_that_panics_holds_up_no_transition_and_no_waiter() {
    without_deadlock(|| {
        let breaker = forced_open();
        let mut tasks = Vec::new();
        wakes_all_others(&breaker, || {
            let waker = Waker::from(Arc::new(Does(|| panic!("boom"))));
            tasks.push(polled_with(waker, breaker.changed()));
        });
    });
}

#[test]
fn breaker_that_moves_when_a_thread_ends_wakes_its_waiters() {
    struct AtTheEnd(Arc<CircuitBreaker>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.reset();
        }
    }
    thread_local! {
        static LAST: std::cell::OnceCell<AtTheEnd> = const { std::cell::OnceCell::new() };
    }
    without_deadlock(|| {
        let breaker = forced_open();
        let doomed = Doomed::waiting(change(breaker.clone()));
        let watcher = Task::waiting(breaker.changed());
        let shared = breaker.clone();
        thread::spawn(move || {
            LAST.with(|last| assert!(last.set(AtTheEnd(shared.clone())).is_ok()));
            // So the values of the library's own, if it has any, are gone before.
            shared.force_closed();
            shared.force_open();
        })
        .join()
        .unwrap();
        assert_eq!(breaker.state(), State::Closed);
        assert!(doomed.is_dropped() && watcher.is_woken());
    });
}
