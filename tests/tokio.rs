//! `TokioClock` goes by tokio's time: paused, advanced or running, and the real one outside of a runtime.

mod common;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use tokio::time::{self, Instant};
use tripcoil::clock::{ManualClock, MonotonicClock, TokioClock};
use tripcoil::{CircuitBreaker, Clock, Dropped, State, Window};

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("test").clock(TokioClock).reset_timeout(30 * SECOND).build().unwrap()
}

/// Runs `test` on a runtime whose time is paused.
fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

#[tokio::test(start_paused = true)]
async fn paused_time_keeps_a_breaker_open_until_it_is_advanced() {
    let breaker = breaker();
    for _ in 0..5 {
        fail(&breaker);
    }
    assert!(is_open_for(&breaker, 30 * SECOND));
    time::advance(30 * SECOND - MILLI).await;
    assert!(is_open_for(&breaker, MILLI));
    refused(&breaker);
    time::advance(MILLI).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[tokio::test]
async fn time_that_is_paused_later_stands_still_from_then_on() {
    let breaker = breaker();
    time::pause();
    breaker.open_for(SECOND);
    let left = breaker.metrics().retry_after;
    thread::sleep(5 * MILLI);
    assert_eq!(breaker.metrics().retry_after, left);
    time::advance(SECOND).await;
    succeed(&breaker);
}

#[tokio::test(start_paused = true)]
async fn acquire_waits_in_paused_time() {
    let breaker = breaker();
    let begun = Instant::now();
    breaker.open_for(3600 * SECOND);
    breaker.acquire(time::sleep).await.success();
    assert!((3600 * SECOND..3601 * SECOND).contains(&begun.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_and_a_slow_call_go_by_paused_time() {
    let breaker = CircuitBreaker::builder("test")
        .clock(TokioClock)
        .slow_call_rate(0.5)
        .slow_call_duration(2 * SECOND)
        .window(Window::time(16 * SECOND))
        .build()
        .unwrap();
    let slow = async {
        time::sleep(2 * SECOND).await;
        Ok::<_, ()>(())
    };
    breaker.call(slow).await.unwrap();
    assert_eq!(breaker.metrics().total_slow_count, 1);
    assert_eq!(breaker.metrics().window.unwrap().slow_calls, 1);
    time::advance(17 * SECOND).await;
    assert_eq!(breaker.metrics().window.unwrap().slow_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_outside_of_the_call_counts_by_how_long_it_took() {
    let dropped = Dropped::FailureAfter(2 * SECOND);
    let breaker = CircuitBreaker::builder("test").clock(TokioClock).dropped_calls(dropped).build().unwrap();
    for (limit, errors) in [(SECOND, 0), (2 * SECOND, 1)] {
        let _ = time::timeout(limit, breaker.call(std::future::pending::<Result<(), ()>>())).await;
        assert_eq!(breaker.metrics().total_error_count, errors);
    }
}

#[test]
fn outside_of_a_runtime_it_is_the_real_time() {
    let between = |clock: &dyn Clock| {
        let earlier = clock.now();
        thread::sleep(20 * MILLI);
        clock.now() - earlier
    };
    assert!(between(&TokioClock) >= 20 * MILLI);

    let breaker = breaker();
    breaker.open_for(10 * MILLI);
    let real = MonotonicClock.now();
    let probe = breaker.acquire_blocking(PATIENCE).expect("the time is over soon");
    assert!(MonotonicClock.now() - real < PATIENCE);
    probe.success();
}

#[test]
fn a_runtime_without_timers_has_the_real_time_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let breaker = breaker();
        breaker.open_for(10 * MILLI);
        thread::sleep(12 * MILLI);
        succeed(&breaker);
    });
}

#[test]
fn a_clock_that_one_test_has_advanced_stands_still_for_none_after_it() {
    static BREAKER: LazyLock<CircuitBreaker> = LazyLock::new(breaker);
    paused(async {
        time::advance(YEAR).await;
        BREAKER.open_for(SECOND);
        time::advance(SECOND).await;
        succeed(&BREAKER);
    });
    paused(async {
        BREAKER.open_for(SECOND);
        assert!(is_open_for(&BREAKER, SECOND));
        time::advance(SECOND).await;
        succeed(&BREAKER);
    });
}

#[test]
fn a_runtime_that_was_paused_before_the_first_reading_has_a_time_that_moves() {
    paused(async {
        // Real time goes on while the paused one stands, so the breaker is younger than its runtime's time.
        thread::sleep(20 * MILLI);
        let _first_reading = MonotonicClock.now();
        let earlier = TokioClock.now();
        time::advance(MILLI).await;
        assert_eq!(TokioClock.now() - earlier, MILLI);
    });
}

#[test]
fn a_thread_without_the_runtime_does_no_harm() {
    let (breaker, half) = (breaker(), Duration::from_secs(15));
    paused(async {
        breaker.open_for(30 * SECOND);
        time::advance(half).await;
        thread::scope(|scope| scope.spawn(|| refused(&breaker)).join().unwrap());
        time::advance(half).await;
        succeed(&breaker);
    });
}

/// Counts the sleeps of tokio that it hands out.
fn counted(sleeps: &AtomicU32) -> impl Fn(Duration) -> time::Sleep {
    |wait| {
        sleeps.fetch_add(1, Ordering::Relaxed);
        time::sleep(wait)
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "give the breaker the clock that `sleep` goes by")]
async fn a_wait_under_paused_time_with_the_default_clock_fails_with_words() {
    let breaker = CircuitBreaker::new("test");
    breaker.open_for(Duration::from_secs(30));
    let sleeps = AtomicU32::new(0);
    let sleep = |wait| {
        assert!(sleeps.fetch_add(1, Ordering::Relaxed) < 2_000, "it spins");
        time::sleep(wait)
    };
    breaker.acquire(sleep).await.success();
}

#[tokio::test(start_paused = true)]
async fn a_wait_under_paused_time_with_the_clock_of_tokio_takes_one_sleep() {
    let breaker = CircuitBreaker::builder("test").clock(TokioClock).build().unwrap();
    breaker.open_for(Duration::from_secs(30));
    let sleeps = AtomicU32::new(0);
    breaker.acquire(counted(&sleeps)).await.success();
    assert!(sleeps.into_inner() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_under_paused_time_with_a_manual_clock_goes_on_and_ends_when_that_is_moved() {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("test").clock(clock.clone()).build().unwrap();
    breaker.open_for(Duration::from_secs(5));
    let sleeps = AtomicU32::new(0);
    let day = Duration::from_secs(24 * 3600);
    assert!(time::timeout(day, breaker.acquire(counted(&sleeps))).await.is_err());
    assert!(sleeps.load(Ordering::Relaxed) < 40);
    let move_it = async {
        time::sleep(Duration::from_secs(60)).await;
        clock.advance(Duration::from_secs(5));
    };
    let (permit, ()) = tokio::join!(breaker.acquire(counted(&sleeps)), move_it);
    permit.success();
}
