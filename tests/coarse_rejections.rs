//! With the default clock a coarse one rejects long before the deadline, and the fine one decides near it.

use std::time::{Duration, Instant};

use tripcoil::{CircuitBreaker, Rejected, State};

const MILLI: Duration = Duration::from_millis(1);

fn wait_of(rejected: &Rejected) -> Duration {
    rejected.retry_after().expect("the breaker is open")
}

#[test]
fn nobody_is_told_to_wait_for_longer_than_the_opening_or_for_less_than_is_left() {
    for opening in [60_000 * MILLI, 200 * MILLI, 35 * MILLI] {
        let breaker = CircuitBreaker::new("test");
        let before = Instant::now();
        breaker.open_for(opening);
        let after = Instant::now();
        while after.elapsed() < opening.min(100 * MILLI) / 2 {
            let (answer, answered) = (breaker.try_acquire(), Instant::now());
            let Err(rejected) = answer else { panic!("admitted {:?} after the opening", before.elapsed()) };
            let wait = wait_of(&rejected);
            assert!(wait <= opening + MILLI, "{wait:?} of {opening:?}");
            // The opening began after `before`, and the answer was given before `answered`.
            assert!(answered + wait >= before + opening, "{wait:?} is too short");
        }
    }
}

#[test]
fn nobody_is_admitted_before_the_deadline_and_everybody_may_be_after_it() {
    for opening in [1, 15, 29, 31, 45, 80] {
        let breaker = CircuitBreaker::new("test");
        for _ in 0..3 {
            let before = Instant::now();
            breaker.open_for(opening * MILLI);
            let after = Instant::now();
            loop {
                let asked = Instant::now();
                match breaker.try_acquire() {
                    Ok(probe) => {
                        assert!(Instant::now() >= before + opening * MILLI, "admitted too early");
                        probe.success();
                        break;
                    }
                    Err(_) => assert!(asked <= after + (opening + 1) * MILLI, "rejected after the deadline"),
                }
            }
            assert_eq!(breaker.state(), State::HalfOpen);
        }
    }
}

#[test]
fn an_opening_is_not_taken_for_the_one_before_it() {
    let breaker = CircuitBreaker::new("test");
    for _ in 0..100 {
        breaker.open_for(3_600_000 * MILLI);
        assert!(wait_of(&breaker.try_acquire().unwrap_err()) > 3_500_000 * MILLI);
        breaker.open_for(MILLI);
        let opened = Instant::now();
        while opened.elapsed() <= 3 * MILLI {}
        assert!(breaker.try_acquire().is_ok());
    }
}

#[test]
fn an_extended_opening_is_not_taken_for_what_it_was_before() {
    for more in [8, 16, 1_000, 1 << 20] {
        let breaker = CircuitBreaker::new("test");
        breaker.open_for(60_000 * MILLI);
        assert!(wait_of(&breaker.try_acquire().unwrap_err()) <= 60_000 * MILLI);
        let before = Instant::now();
        assert!(breaker.extend_open(breaker.revision(), (60_000 + more) * MILLI));
        for _ in 0..3 {
            let (rejected, answered) = (breaker.try_acquire().unwrap_err(), Instant::now());
            assert!(answered + wait_of(&rejected) >= before + (60_000 + more) * MILLI, "by {more} ms");
        }
    }
}
