//! Who waits is woken: for every change, once for each slot that comes free, and nobody for nothing.

mod common;

use std::future::{Ready, pending, ready};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use futures_lite::future::block_on;
use tripcoil::clock::ManualClock;
use tripcoil::{Builder, CircuitBreaker, Permit, State};

/// Half-open, and nothing but a slot or a transition ends the wait for it.
fn half_open(settings: impl FnOnce(Builder) -> Builder) -> (CircuitBreaker, ManualClock) {
    let (breaker, clock) = manual(|builder| {
        settings(builder.success_threshold(127).half_open_error_threshold(127).probe_timeout(Duration::MAX))
    });
    breaker.transition_to(State::HalfOpen);
    (breaker, clock)
}

type Free = fn(Permit<'_>);

fn never(_: Duration) -> impl Future<Output = ()> {
    pending()
}

/// A sleep that is over at once, unless there have been too many of them.
fn few(sleeps: usize) -> Ready<()> {
    assert!(sleeps < 100, "the wait does not end");
    ready(())
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match Task::new(future).poll() {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the wait does not end"),
    }
}

async fn in_vain(_: Duration) {
    smol::Timer::after(PATIENCE).await;
    panic!("a slot comes free");
}

/// What ended by its time-out looks once more and may be lucky: that it took long tells a lost wake-up.
fn promptly(run: impl FnOnce()) {
    let started = Instant::now();
    run();
    assert!(started.elapsed() < PATIENCE, "a wake-up was lost");
}

fn woken<F: Future>(tasks: &[Task<F>]) -> usize {
    tasks.iter().filter(|task| task.is_woken()).count()
}

#[test]
fn changed_yields_the_state_after_the_change() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut changed = Task::waiting(breaker.changed());
    assert!(!changed.is_woken());
    breaker.force_open();
    assert!(changed.is_woken());
    assert_eq!(changed.poll(), Poll::Ready(State::ForcedOpen));
}

#[test]
fn changed_counts_from_its_making() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_closed();
    let changed = breaker.changed();
    breaker.force_open();
    assert_eq!(block_on(changed), State::ForcedOpen);
    assert!(Task::new(breaker.changed()).poll().is_pending());
}

#[test]
fn changed_yields_the_last_state_of_several_changes() {
    let (breaker, _clock) = manual(|settings| settings);
    let changed = breaker.changed();
    breaker.force_open();
    breaker.transition_to(State::Closed);
    assert_eq!(changed.wait_timeout(Duration::ZERO), Some(State::Closed));
}

#[test]
fn changed_hears_of_automatic_transitions() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
    let mut changed = Task::waiting(breaker.changed());
    fail(&breaker);
    assert_eq!(changed.poll(), Poll::Ready(State::Open));
    let mut changed = Task::waiting(breaker.changed());
    clock.advance(30 * SECOND);
    assert!(changed.poll().is_pending());
    let probe = admitted(&breaker);
    assert_eq!(changed.poll(), Poll::Ready(State::HalfOpen));
    let mut changed = Task::waiting(breaker.changed());
    probe.success();
    assert_eq!(changed.poll(), Poll::Ready(State::Closed));
}

#[test]
fn changed_sleeps_through_what_is_no_change_of_state() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut changed = Task::waiting(breaker.changed());
    succeed(&breaker);
    fail(&breaker);
    breaker.transition_to(State::Closed);
    breaker.reset();
    assert!(changed.poll().is_pending());
}

#[test]
fn a_change_wakes_all_who_wait_for_it() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut tasks: Vec<_> = (0..5).map(|_| Task::waiting(breaker.changed())).collect();
    breaker.force_open();
    assert_eq!(woken(&tasks), 5);
    assert!(tasks.iter_mut().all(|task| task.poll().is_ready()));
}

#[test]
fn wait_timeout_gives_up_and_says_so() {
    let (breaker, _clock) = manual(|settings| settings);
    assert_eq!(breaker.changed().wait_timeout(Duration::ZERO), None);
    assert_eq!(breaker.changed().wait_timeout(5 * MILLI), None);
    let changed = breaker.changed();
    breaker.force_open();
    assert_eq!(changed.wait_timeout(Duration::ZERO), Some(State::ForcedOpen));
}

#[test]
fn a_blocked_thread_is_woken_by_a_change() {
    let (breaker, _clock) = manual(|settings| settings);
    for timeout in [PATIENCE, Duration::MAX] {
        promptly(|| {
            thread::scope(|scope| {
                let changed = breaker.changed();
                let waiter = scope.spawn(move || changed.wait_timeout(timeout));
                breaker.force_open();
                assert_eq!(waiter.join().unwrap(), Some(State::ForcedOpen));
                breaker.reset();
                let changed = breaker.changed();
                let waiter = scope.spawn(move || changed.wait());
                breaker.force_open();
                assert_eq!(waiter.join().unwrap(), State::ForcedOpen);
                breaker.reset();
            });
        });
    }
}

#[test]
fn no_change_is_lost_between_threads() {
    const CHANGES: usize = 20_000;
    let (breaker, _clock) = manual(|settings| settings);
    let listening = AtomicUsize::new(0);
    promptly(|| {
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                for change in 1..=CHANGES {
                    let changed = breaker.changed();
                    listening.store(change, Ordering::SeqCst);
                    let state = changed.wait_timeout(PATIENCE).expect("the change is heard of");
                    assert_eq!(state == State::ForcedOpen, change % 2 == 0);
                }
            });
            for change in 1..=CHANGES {
                while listening.load(Ordering::SeqCst) < change && !waiter.is_finished() {
                    thread::yield_now();
                }
                // The change is to come at every moment of the other thread's way to sleep.
                (0..change % 64).for_each(|_| std::hint::spin_loop());
                breaker.transition_to(if change % 2 == 0 { State::ForcedOpen } else { State::ForcedClosed });
            }
        });
    });
}

#[test]
fn acquire_is_admitted_at_once_where_a_call_would_be() {
    let (breaker, _clock) = manual(|settings| settings);
    let mut task = Task::new(breaker.acquire(|_| -> Ready<()> { panic!("there is no wait") }));
    assert!(task.poll().is_ready());
    breaker.acquire_blocking(Duration::ZERO).unwrap().success();
}

#[test]
fn acquire_sleeps_for_what_is_left_of_the_cool_down() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(5 * SECOND);
    clock.advance(2 * SECOND);
    let sleeps = Mutex::new(Vec::new());
    let permit = at_once(breaker.acquire(|wait| {
        sleeps.lock().unwrap().push(wait);
        clock.advance(wait);
        few(sleeps.lock().unwrap().len())
    }));
    assert_eq!(*sleeps.lock().unwrap(), [3 * SECOND]);
    assert_eq!(breaker.state(), State::HalfOpen);
    permit.success();
    assert_eq!(breaker.metrics().total_rejected_count, 0);
}

#[test]
fn acquire_sleeps_for_what_is_left_of_the_probe_timeout() {
    let (breaker, clock) = manual(|settings| settings.probe_timeout(5 * SECOND));
    breaker.transition_to(State::HalfOpen);
    let silent = admitted(&breaker);
    clock.advance(2 * SECOND);
    let sleeps = Mutex::new(Vec::new());
    let permit = at_once(breaker.acquire(|wait| {
        sleeps.lock().unwrap().push(wait);
        clock.advance(wait);
        few(sleeps.lock().unwrap().len())
    }));
    assert_eq!(*sleeps.lock().unwrap(), [3 * SECOND]);
    drop((silent, permit));
}

#[test]
fn a_sleep_that_is_over_too_early_is_slept_again() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(5 * SECOND);
    let sleeps = AtomicUsize::new(0);
    let permit = at_once(breaker.acquire(|_| {
        clock.advance(SECOND);
        few(sleeps.fetch_add(1, Ordering::SeqCst))
    }));
    assert_eq!(sleeps.load(Ordering::SeqCst), 5);
    permit.success();
}

#[test]
fn acquire_before_its_first_poll_waits_for_nothing() {
    let (breaker, _clock) = half_open(|settings| settings);
    let acquire = breaker.acquire(never);
    succeed(&breaker);
    drop(acquire);
    assert_eq!(breaker.metrics().active_calls, 0);
}

#[test]
fn a_slot_that_comes_free_wakes_exactly_one_waiter_however_it_came_free() {
    let ways: [(&str, Free); 4] = [
        ("success", |permit| permit.success()),
        ("failure", |permit| permit.failure()),
        ("ignored", |permit| permit.ignore()),
        ("dropped", |permit| drop(permit)),
    ];
    for (name, free) in ways {
        let (breaker, _clock) = half_open(|settings| settings);
        let probe = admitted(&breaker);
        let mut tasks: Vec<_> = (0..4).map(|_| Task::waiting(breaker.acquire(never))).collect();
        assert_eq!(woken(&tasks), 0);
        free(probe);
        assert_eq!(woken(&tasks), 1, "{name}");
        let admitted = tasks.iter_mut().find(|task| task.is_woken()).unwrap().poll();
        assert!(admitted.is_ready(), "{name}");
        assert_eq!(woken(&tasks), 0, "{name}");
    }
}

#[test]
fn each_of_several_slots_that_come_free_wakes_another_waiter() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_capacity(3));
    let probes = [admitted(&breaker), admitted(&breaker), admitted(&breaker)];
    let mut tasks: Vec<_> = (0..5).map(|_| Task::waiting(breaker.acquire(never))).collect();
    for (index, probe) in probes.into_iter().enumerate() {
        probe.ignore();
        assert_eq!(woken(&tasks), index + 1);
    }
    let admitted: Vec<_> = tasks
        .iter_mut()
        .filter(|task| task.is_woken())
        .filter_map(|task| match task.poll() {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        })
        .collect();
    assert_eq!(admitted.len(), 3);
}

#[test]
fn slow_start_that_frees_two_slots_wakes_two_waiters() {
    let (breaker, _clock) = half_open(|settings| settings.half_open_max_capacity(3));
    let probe = admitted(&breaker);
    let tasks: Vec<_> = (0..4).map(|_| Task::waiting(breaker.acquire(never))).collect();
    probe.success();
    assert_eq!(woken(&tasks), 2);
}

#[test]
fn a_slot_beyond_the_capacity_that_is_given_back_wakes_nobody() {
    let (breaker, clock) = manual(|settings| settings.probe_timeout(SECOND));
    breaker.transition_to(State::HalfOpen);
    let silent = admitted(&breaker);
    clock.advance(SECOND);
    let other = admitted(&breaker);
    let tasks: Vec<_> = (0..3).map(|_| Task::waiting(breaker.acquire(never))).collect();
    silent.ignore();
    assert_eq!(woken(&tasks), 0);
    other.ignore();
    assert_eq!(woken(&tasks), 1);
}

#[test]
fn dropping_a_woken_waiter_passes_the_wake_up_on() {
    let (breaker, _clock) = half_open(|settings| settings);
    let probe = admitted(&breaker);
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(breaker.acquire(never))).collect();
    probe.ignore();
    for left in [2, 1] {
        let first = tasks.iter().position(Task::is_woken).unwrap();
        drop(tasks.remove(first));
        assert_eq!((tasks.len(), woken(&tasks)), (left, 1));
    }
    assert!(tasks[0].poll().is_ready());
}

#[test]
fn dropping_a_waiter_that_was_not_woken_wakes_nobody() {
    let (breaker, _clock) = half_open(|settings| settings);
    let probe = admitted(&breaker);
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(breaker.acquire(never))).collect();
    tasks.pop();
    assert_eq!(woken(&tasks), 0);
    probe.ignore();
    assert_eq!(woken(&tasks), 1);
}

#[test]
fn a_woken_waiter_that_comes_too_late_waits_again_and_is_woken_again() {
    let (breaker, _clock) = half_open(|settings| settings);
    let probe = admitted(&breaker);
    let mut task = Task::waiting(breaker.acquire(never));
    probe.ignore();
    let faster = admitted(&breaker);
    assert!(task.is_woken());
    assert!(task.poll().is_pending());
    faster.ignore();
    assert!(task.is_woken());
    assert!(task.poll().is_ready());
}

#[test]
fn a_late_outcome_wakes_nobody() {
    let (breaker, _clock) = half_open(|settings| settings);
    let earlier = admitted(&breaker);
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    let tasks: Vec<_> = (0..2).map(|_| Task::waiting(breaker.acquire(never))).collect();
    earlier.success();
    assert_eq!(woken(&tasks), 0);
    probe.ignore();
}

#[test]
fn a_transition_wakes_all_who_wait_to_be_admitted() {
    for from in [State::Open, State::HalfOpen, State::ForcedOpen] {
        for to in [State::Closed, State::ForcedClosed] {
            let (breaker, _clock) = half_open(|settings| settings);
            let probe = admitted(&breaker);
            breaker.transition_to(from);
            let filling = breaker.try_acquire();
            let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(breaker.acquire(never))).collect();
            breaker.transition_to(to);
            assert_eq!(woken(&tasks), 3, "{from} to {to}");
            assert!(tasks.iter_mut().all(|task| task.poll().is_ready()));
            drop((probe, filling));
        }
    }
}

#[test]
fn a_new_half_open_episode_by_hand_lets_waiters_have_its_slots() {
    let (breaker, _clock) = half_open(|settings| settings);
    let silent = admitted(&breaker);
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(breaker.acquire(never))).collect();
    breaker.transition_to(State::HalfOpen);
    let polled: Vec<_> = tasks.iter_mut().filter(|task| task.is_woken()).map(Task::poll).collect();
    assert_eq!(polled.iter().filter(|poll| poll.is_ready()).count(), 1);
    drop(silent);
}

#[test]
fn the_first_probe_after_the_cool_down_lets_waiters_have_the_other_slots() {
    let (breaker, clock) = manual(|settings| settings.half_open_capacity(3));
    breaker.open_for(SECOND);
    let mut tasks: Vec<_> = (0..5).map(|_| Task::waiting(breaker.acquire(never))).collect();
    clock.advance(SECOND);
    let probe = admitted(&breaker);
    let polled: Vec<_> = tasks.iter_mut().filter(|task| task.is_woken()).map(Task::poll).collect();
    assert_eq!(polled.iter().filter(|poll| poll.is_ready()).count(), 2);
    drop(probe);
}

#[test]
fn acquire_blocking_gives_up_after_its_time_with_one_rejection() {
    let (breaker, _clock) = half_open(|settings| settings);
    let probe = admitted(&breaker);
    for timeout in [Duration::ZERO, 5 * MILLI] {
        let started = Instant::now();
        let rejected = breaker.acquire_blocking(timeout).unwrap_err();
        assert!(started.elapsed() >= timeout);
        assert_eq!(rejected.state(), State::HalfOpen);
    }
    breaker.open_for(5 * SECOND);
    let rejected = breaker.acquire_blocking(MILLI).unwrap_err();
    assert_eq!((rejected.state(), rejected.retry_after()), (State::Open, Some(5 * SECOND)));
    assert_eq!(breaker.metrics().total_rejected_count, 3);
    drop(probe);
}

#[test]
fn acquire_blocking_is_admitted_when_the_cool_down_is_over() {
    let breaker = CircuitBreaker::new("test");
    let started = Instant::now();
    breaker.open_for(20 * MILLI);
    for timeout in [PATIENCE, Duration::MAX] {
        breaker.acquire_blocking(timeout).unwrap().ignore();
    }
    assert!(started.elapsed() >= 20 * MILLI);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.metrics().total_rejected_count, 0);
}

#[test]
fn acquire_blocking_is_admitted_in_place_of_a_silent_probe() {
    let breaker = CircuitBreaker::builder("test").probe_timeout(20 * MILLI).build().unwrap();
    breaker.transition_to(State::HalfOpen);
    let silent = admitted(&breaker);
    breaker.acquire_blocking(PATIENCE).unwrap().ignore();
    drop(silent);
}

#[test]
fn acquire_blocking_is_woken_by_an_operator() {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.force_open();
    promptly(|| {
        thread::scope(|scope| {
            let waiters: Vec<_> =
                (0..3).map(|_| scope.spawn(|| breaker.acquire_blocking(PATIENCE).map(Permit::success))).collect();
            breaker.force_closed();
            for waiter in waiters {
                waiter.join().unwrap().unwrap();
            }
        });
    });
}

#[test]
fn every_blocked_thread_gets_its_turn_on_one_slot() {
    const THREADS: usize = 4;
    const TURNS: usize = 300;
    let (breaker, _clock) = half_open(|settings| settings);
    let held = AtomicUsize::new(0);
    promptly(|| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..TURNS {
                        let probe = breaker.acquire_blocking(PATIENCE).expect("a slot comes free");
                        assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        held.fetch_sub(1, Ordering::SeqCst);
                        probe.ignore();
                    }
                });
            }
        });
    });
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_ignored_count, metrics.total_rejected_count), ((THREADS * TURNS) as u64, 0));
}

#[test]
fn threads_and_tasks_wait_in_the_same_queue() {
    const TURNS: usize = 200;
    let (breaker, _clock) = half_open(|settings| settings);
    promptly(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..TURNS).for_each(|_| breaker.acquire_blocking(PATIENCE).unwrap().ignore()));
                scope.spawn(|| {
                    block_on(async {
                        for _ in 0..TURNS {
                            breaker.acquire(in_vain).await.ignore();
                        }
                    });
                });
            }
        });
    });
    assert_eq!(breaker.metrics().total_ignored_count, 4 * TURNS as u64);
}

#[test]
fn a_sleep_that_is_shorter_than_it_was_asked_for_is_slept_again_as_often_as_it_takes() {
    let breaker = CircuitBreaker::new("test");
    breaker.open_for(Duration::from_millis(300));
    let sleeps = AtomicUsize::new(0);
    let short = |_| {
        sleeps.fetch_add(1, Ordering::Relaxed);
        smol::Timer::after(Duration::from_millis(2))
    };
    block_on(breaker.acquire(short)).success();
    assert!(sleeps.into_inner() > 1);
}
