use std::time::Duration;

use ::failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use ::failsafe::{CircuitBreaker, Config, Error, FailurePolicy, StateMachine, backoff};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Lane, bad, consume, each, good, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "failsafe", only_async: false, lane, footprint };

fn lane(path: Path) -> Option<Lane> {
    match path {
        Path::Closed => Some(success(after(5, Duration::from_secs(30)))),
        Path::Last10Seconds => {
            let backoff = backoff::constant(Duration::from_secs(30));
            let policy = success_rate_over_time_window(0.5, 20, Duration::from_secs(10), backoff);
            Some(success(Config::new().failure_policy(policy).build()))
        }
        Path::Failing { one_in: every, last_100: false } => {
            let breaker = after(5, Duration::from_secs(30));
            let other = breaker.clone();
            Some(one_in(
                every,
                move || consume(CircuitBreaker::call(&breaker, good)),
                move || consume(CircuitBreaker::call(&other, bad)),
            ))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Async => {
            let breaker = after(5, Duration::from_secs(30));
            Some(each(move || consume(poll(::failsafe::futures::CircuitBreaker::call(&breaker, good_later())))))
        }
        Path::Permit => {
            let breaker = after(5, Duration::from_secs(30));
            Some(each(move || {
                assert!(breaker.is_call_permitted());
                breaker.on_success();
            }))
        }
        _ => None,
    }
}

/// The cheaper of its policies, as its documentation sets it up.
fn after(failures: u32, wait: Duration) -> StateMachine<impl FailurePolicy + Send + Sync + 'static, ()> {
    Config::new().failure_policy(consecutive_failures(failures, backoff::constant(wait))).build()
}

fn success(breaker: StateMachine<impl FailurePolicy + Send + Sync + 'static, ()>) -> Lane {
    each(move || consume(CircuitBreaker::call(&breaker, good)))
}

fn rejected() -> Lane {
    let breaker = after(1, AN_HOUR);
    assert!(matches!(CircuitBreaker::call(&breaker, bad), Err(Error::Inner(_))));
    assert!(matches!(CircuitBreaker::call(&breaker, good), Err(Error::Rejected)));
    success(breaker)
}

fn probe() -> Lane {
    let breaker = after(1, Duration::ZERO);
    assert!(matches!(CircuitBreaker::call(&breaker, bad), Err(Error::Inner(_))));
    assert!(CircuitBreaker::call(&breaker, good).is_ok());
    each(move || {
        consume(CircuitBreaker::call(&breaker, bad));
        consume(CircuitBreaker::call(&breaker, good));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = after(5, Duration::from_secs(30));
        move || consume(CircuitBreaker::call(&breaker, good))
    })
}
