//! `CoarseClock` goes with the real time, tick by tick.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::*;
use tripcoil::clock::CoarseClock;
use tripcoil::{CircuitBreaker, Clock, State, Window};

/// Longer than any tick that the docs tell of.
const LONG_TICK: Duration = Duration::from_millis(20);

#[test]
fn it_never_steps_back_and_never_stands_still() {
    let (start, mut last) = (CoarseClock.now(), CoarseClock.now());
    let mut ticks = 0;
    while ticks < 10 {
        let now = CoarseClock.now();
        assert!(now >= last);
        ticks += u32::from(now > last);
        last = now;
    }
    assert!(last > start);
}

#[test]
fn it_is_as_fast_as_the_real_time() {
    let (before, begun, from) = (Instant::now(), CoarseClock.now(), Instant::now());
    thread::sleep(100 * MILLI);
    let (to, ended, after) = (Instant::now(), CoarseClock.now(), Instant::now());
    let shown = ended - begun;
    assert!(shown + LONG_TICK >= to - from, "{shown:?} shown of at least {:?}", to - from);
    assert!(shown <= after - before + LONG_TICK, "{shown:?} shown of at most {:?}", after - before);
}

#[test]
fn threads_that_read_it_in_turn_see_it_go_on() {
    let first = CoarseClock.now();
    let second = thread::spawn(|| CoarseClock.now()).join().unwrap();
    assert!(first <= second && second <= CoarseClock.now());
}

#[test]
fn a_breaker_opens_probes_and_closes_by_it() {
    let settings = CircuitBreaker::builder("test").clock(CoarseClock).reset_timeout(3600 * SECOND);
    let breaker = settings.error_threshold(1).success_threshold(1).build().unwrap();
    fail(&breaker);
    assert!(refused(&breaker).retry_after().is_some_and(|left| left <= 3600 * SECOND));
    breaker.open_for(50 * MILLI);
    while breaker.try_acquire().map(tripcoil::Permit::success).is_err() {
        thread::sleep(MILLI);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_window_of_time_goes_by_it() {
    let settings = CircuitBreaker::builder("test").clock(CoarseClock);
    let breaker = settings.error_rate(1.0).window(Window::time(200 * MILLI)).build().unwrap();
    fail(&breaker);
    while breaker.metrics().window.unwrap().errors > 0 {
        thread::sleep(5 * MILLI);
    }
    assert_eq!(breaker.state(), State::Closed);
}
