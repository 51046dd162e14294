use std::time::Duration;

use ::nobreak::{CircuitBreaker, CircuitError, CircuitState};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Lane, bad, consume, each, good, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "nobreak", only_async: false, lane, footprint };

fn lane(path: Path) -> Option<Lane> {
    match path {
        Path::Closed => Some(success(::nobreak::breaker())),
        Path::Failing { one_in: every, last_100: false } => {
            let breaker: &'static CircuitBreaker = Box::leak(Box::new(::nobreak::breaker()));
            Some(one_in(every, || consume(breaker.call(good)), || consume(breaker.call(bad))))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Async => {
            let breaker = ::nobreak::breaker();
            Some(each(move || consume(poll(breaker.call_async(good_later)))))
        }
        _ => None,
    }
}

fn success(breaker: CircuitBreaker) -> Lane {
    each(move || consume(breaker.call(good)))
}

fn rejected() -> Lane {
    let breaker = ::nobreak::builder().with_failure_threshold(1).with_open_duration(AN_HOUR).build();
    assert!(matches!(breaker.call(bad), Err(CircuitError::Failed { .. })));
    assert!(matches!(breaker.call(good), Err(CircuitError::Open)));
    success(breaker)
}

fn probe() -> Lane {
    let breaker = ::nobreak::builder()
        .with_failure_threshold(1)
        .with_success_threshold(1)
        .with_open_duration(Duration::ZERO)
        .build();
    assert!(breaker.call(bad).is_err());
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(breaker.call(good).is_ok());
    assert_eq!(breaker.state(), CircuitState::Closed);
    each(move || {
        consume(breaker.call(bad));
        consume(breaker.call(good));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = ::nobreak::breaker();
        move || consume(breaker.call(good))
    })
}
