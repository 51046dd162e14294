use std::hint::black_box;
use std::time::Duration;

use ::circuitbreaker_rs::{BreakerError, CircuitBreaker, DefaultPolicy, State};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Failure, Lane, bad, consume, each, good, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "circuitbreaker-rs", only_async: false, lane, footprint };

type Breaker = CircuitBreaker<DefaultPolicy, Failure>;

fn lane(path: Path) -> Option<Lane> {
    match path {
        Path::Closed => Some(success(defaults())),
        Path::Failing { one_in: every, last_100: false } => {
            let breaker = Breaker::builder().failure_threshold(0.9).build();
            let other = breaker.clone();
            Some(one_in(every, move || consume(breaker.call(good)), move || consume(other.call(bad))))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Async => {
            let breaker = defaults();
            Some(each(move || consume(poll(breaker.call_async(good_later)))))
        }
        Path::Metrics => {
            let breaker = defaults();
            Some(each(move || {
                black_box((breaker.current_state(), breaker.error_rate()));
            }))
        }
        // Its rate is over all calls so far; its `FixedWindow` is fed by no breaker.
        _ => None,
    }
}

fn defaults() -> Breaker {
    Breaker::builder().build()
}

fn success(breaker: Breaker) -> Lane {
    each(move || consume(breaker.call(good)))
}

fn rejected() -> Lane {
    let breaker = Breaker::builder().cooldown(AN_HOUR).build();
    assert!(breaker.force_open());
    assert!(matches!(breaker.call(good), Err(BreakerError::Open)));
    success(breaker)
}

fn probe() -> Lane {
    let breaker = Breaker::builder().consecutive_failures(1).consecutive_successes(1).cooldown(Duration::ZERO).build();
    assert!(matches!(breaker.call(bad), Err(BreakerError::Operation(_))));
    assert_eq!(breaker.current_state(), State::Open);
    assert!(breaker.call(good).is_ok());
    assert_eq!(breaker.current_state(), State::Closed);
    each(move || {
        consume(breaker.call(bad));
        consume(breaker.call(good));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = defaults();
        move || consume(breaker.call(good))
    })
}
