//! What a breaker takes as more threads use it, counted by the allocator. `docs/design.md` and the docs of `Window` name
//! these figures.

#![cfg(target_pointer_width = "64")]

mod common;

use std::thread;

use allocation_counter::measure;
use common::*;
use tripcoil::{CircuitBreaker, Window};

/// What a second thread brings, what its first failure or burst of calls brings, and the stripe that it earns.
const SHARED: i64 = 40;
const RARE: i64 = 80;
const SECOND_STRIPE: i64 = 88;
/// What every table takes, each of its links, and each of its places.
const TABLE: i64 = 16;
const LINK: i64 = 8;
const PLACE: i64 = 128;

/// The bytes that stay of what another thread does. It has used a breaker before.
fn held_by_another_thread(use_it: impl FnOnce() + Send) -> i64 {
    let measured = || {
        succeed(&CircuitBreaker::new("warm-up"));
        measure(use_it).bytes_current
    };
    thread::scope(|scope| scope.spawn(measured).join().expect("it does not panic"))
}

/// So many calls in quick succession that the thread earns a stripe, even where it is interrupted now and then.
fn be_busy(breaker: &CircuitBreaker) {
    (0..50_000).for_each(|_| succeed(breaker));
}

fn places() -> i64 {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    i64::try_from(cores.next_power_of_two().min(32)).expect("it is small")
}

#[test]
fn stripes_take_the_bytes_that_the_design_names() {
    let breaker = CircuitBreaker::new("test");
    assert_eq!(measure(|| succeed(&breaker)).bytes_current, 0);
    assert_eq!(held_by_another_thread(|| succeed(&breaker)), SHARED);
    // Numbers are given out again, so the threads have to run at the same time.
    let second = || {
        assert_eq!(measure(|| be_busy(&breaker)).bytes_current, RARE + SECOND_STRIPE);
        let third = held_by_another_thread(|| be_busy(&breaker));
        assert_eq!(third, TABLE + places() * LINK + PLACE);
    };
    thread::scope(|scope| scope.spawn(second).join().expect("the figures hold"));
}

#[test]
fn many_threads_that_call_now_and_then_take_no_more_than_two() {
    let breaker = CircuitBreaker::new("test");
    succeed(&breaker);
    let held = |threads: usize| {
        let bytes = (0..threads).map(|_| held_by_another_thread(|| (0..3).for_each(|_| succeed(&breaker))));
        bytes.sum::<i64>()
    };
    assert_eq!((held(1), held(100)), (SHARED, 0));
}

#[test]
fn a_window_of_time_takes_the_bytes_that_its_docs_name() {
    let (breaker, _clock) =
        manual(|settings| settings.error_rate(1.0).window(Window::time(10 * SECOND)).minimum_calls(1_000));
    fail(&CircuitBreaker::new("warm-up"));
    assert_eq!(measure(|| succeed(&breaker)).bytes_current, 152);
    assert_eq!(measure(|| fail(&breaker)).bytes_current, 136);
    assert_eq!(measure(|| fail(&breaker)).bytes_current, 0);
}

#[test]
fn a_slow_rule_takes_the_bytes_that_its_docs_name() {
    let (breaker, clock) = manual(|settings| {
        settings.slow_call_rate(1.0).slow_call_duration(SECOND).window(Window::time(10 * SECOND)).minimum_calls(1_000)
    });
    let mut permit = None;
    assert_eq!(measure(|| permit = Some(admitted(&breaker))).bytes_current, 152);
    clock.advance(2 * SECOND);
    // A slow success: the ring of the calls, and that of the slow ones.
    assert_eq!(measure(|| permit.take().expect("it is there").success()).bytes_current, 152 + 136);
}
