//! A breaker can be used for as long as a thread runs, also by what the thread destroys at its end.

mod common;

use std::cell::RefCell;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;

use common::*;
use tripcoil::{CircuitBreaker, Dropped, OwnedPermit, State, Window};

/// Runs a function when its thread ends.
struct AtTheEnd(Option<Box<dyn FnOnce()>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        if let Some(function) = self.0.take() {
            function();
        }
    }
}

// The standard library destroys these in an order of its own, so each test has something in all of them.
thread_local! {
    static ONE: RefCell<Vec<AtTheEnd>> = const { RefCell::new(Vec::new()) };
    static TWO: RefCell<Vec<AtTheEnd>> = const { RefCell::new(Vec::new()) };
    static THREE: RefCell<Vec<AtTheEnd>> = const { RefCell::new(Vec::new()) };
}

fn at_the_end(function: impl FnOnce() + Clone + 'static) {
    for place in [&ONE, &TWO, &THREE] {
        let function = function.clone();
        place.with_borrow_mut(|all| all.push(AtTheEnd(Some(Box::new(function)))));
    }
}

fn in_a_thread(function: impl FnOnce() + Send + 'static) {
    thread::spawn(function).join().expect("a destructor that panics would abort the process");
}

fn counts(breaker: &CircuitBreaker) -> (u64, u64, u64) {
    let metrics = breaker.metrics();
    (metrics.total_success_count, metrics.total_dropped_count, metrics.active_calls)
}

#[test]
fn a_destructor_registered_before_the_thread_s_first_call_may_make_calls() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let shared = breaker.clone();
    in_a_thread(move || {
        let at_end = shared.clone();
        at_the_end(move || succeed(&at_end));
        succeed(&shared);
    });
    assert_eq!(counts(&breaker), (4, 0, 0));
}

#[test]
fn a_destructor_registered_after_the_thread_s_first_call_may_make_calls() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let shared = breaker.clone();
    in_a_thread(move || {
        succeed(&shared);
        at_the_end(move || succeed(&shared));
    });
    assert_eq!(counts(&breaker), (4, 0, 0));
}

#[test]
fn a_destructor_may_make_its_thread_s_first_call() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    for _ in 0..10 {
        let shared = breaker.clone();
        in_a_thread(move || at_the_end(move || succeed(&shared)));
    }
    assert_eq!(counts(&breaker), (30, 0, 0));
}

#[test]
fn a_destructor_may_register_another_that_makes_calls() {
    thread_local!(static LATE: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) });
    thread_local!(static EARLY: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) });
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let shared = breaker.clone();
    in_a_thread(move || {
        succeed(&shared);
        let at_end = move || {
            succeed(&shared);
            LATE.set(Some(AtTheEnd(Some(Box::new(move || succeed(&shared))))));
        };
        EARLY.set(Some(AtTheEnd(Some(Box::new(at_end)))));
    });
    assert_eq!(counts(&breaker), (3, 0, 0));
}

#[test]
fn a_permit_held_until_the_thread_ends_gives_its_slot_back() {
    thread_local!(static HELD: RefCell<Vec<OwnedPermit>> = const { RefCell::new(Vec::new()) });
    for (dropped, expected) in [(Dropped::Ignore, State::HalfOpen), (Dropped::Failure, State::Open)] {
        let breaker = Arc::new(CircuitBreaker::builder("test").dropped_calls(dropped).build().unwrap());
        breaker.transition_to(State::HalfOpen);
        let shared = breaker.clone();
        in_a_thread(move || HELD.with_borrow_mut(|held| held.push(shared.try_acquire_owned().unwrap())));
        assert_eq!(breaker.metrics().active_calls, 0);
        assert_eq!(breaker.state(), expected);
    }
}

#[test]
fn a_destructor_may_use_a_breaker_with_windows() {
    let settings = CircuitBreaker::builder("test").error_rate(0.5).window(Window::time(SECOND * 10));
    let settings = settings.slow_call_rate(0.5).slow_call_duration(SECOND);
    let breaker = Arc::new(settings.build().unwrap());
    let shared = breaker.clone();
    in_a_thread(move || {
        succeed(&shared);
        at_the_end(move || succeed(&shared));
    });
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.window.unwrap().calls), (4, 4));
}

#[test]
fn many_threads_at_a_time_and_one_after_the_other_lose_no_count() {
    const AT_A_TIME: usize = 32;
    let breaker = Arc::new(CircuitBreaker::new("test"));
    for _ in 0..20 {
        let together = Arc::new(Barrier::new(AT_A_TIME));
        let threads: Vec<_> = (0..AT_A_TIME)
            .map(|_| {
                let (breaker, together) = (breaker.clone(), together.clone());
                thread::spawn(move || {
                    together.wait();
                    for _ in 0..100 {
                        succeed(&breaker);
                    }
                    at_the_end(move || succeed(&breaker));
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    assert_eq!(counts(&breaker), (20 * 32 * 103, 0, 0));
}

/// A panic in a destructor would abort the process, with this very test's output.
#[test]
fn a_process_whose_main_thread_ends_with_a_permit_held_ends_well() {
    thread_local!(static HELD: RefCell<Vec<OwnedPermit>> = const { RefCell::new(Vec::new()) });
    if std::env::var_os("TRIPCOIL_ENDS").is_some() {
        let breaker = Arc::new(CircuitBreaker::new("test"));
        HELD.with_borrow_mut(|held| held.push(breaker.try_acquire_owned().unwrap()));
        at_the_end(move || succeed(&breaker));
        return;
    }
    let name = "a_process_whose_main_thread_ends_with_a_permit_held_ends_well";
    let mut again = Command::new(std::env::current_exe().unwrap());
    let ended = again.args(["--exact", name, "--test-threads=1"]).env("TRIPCOIL_ENDS", "1").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
