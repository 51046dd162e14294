use std::hint::black_box;
use std::time::Duration;

use ::breaker::{BackoffStrategy, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError, State};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Lane, bad_later, consume, each, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "breaker", only_async: true, lane, footprint };

fn lane(path: Path) -> Option<Lane> {
    match path {
        Path::Closed | Path::Async => Some(success(standard())),
        Path::Last100 => Some(success(over(100))),
        Path::Last10000 => Some(success(over(10_000))),
        Path::Failing { one_in: every, last_100 } => {
            let config = CircuitBreakerConfig::builder().failure_rate_threshold(0.9);
            let config = if last_100 { config.sliding_window_size(100) } else { config };
            let breaker = CircuitBreaker::new(config.build());
            let other = breaker.clone();
            Some(one_in(
                every,
                move || consume(poll(breaker.call(good_later))),
                move || consume(poll(other.call(bad_later))),
            ))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Permit => {
            let breaker = standard();
            Some(each(move || {
                assert!(!breaker.is_open());
                breaker.record_success();
            }))
        }
        Path::Metrics => {
            let breaker = standard();
            Some(each(move || {
                black_box(breaker.metrics());
            }))
        }
        _ => None,
    }
}

fn standard() -> CircuitBreaker {
    CircuitBreaker::new(CircuitBreakerConfig::standard())
}

fn over(calls: u32) -> CircuitBreaker {
    let config = CircuitBreakerConfig::builder().failure_rate_threshold(0.5).sliding_window_size(calls).build();
    CircuitBreaker::new(config)
}

fn success(breaker: CircuitBreaker) -> Lane {
    each(move || consume(poll(breaker.call(good_later))))
}

fn rejected() -> Lane {
    let breaker = CircuitBreaker::new(CircuitBreakerConfig::builder().wait_duration(AN_HOUR).build());
    breaker.trip();
    assert!(matches!(poll(breaker.call(good_later)), Err(CircuitBreakerError::CircuitOpen)));
    success(breaker)
}

fn probe() -> Lane {
    let config = CircuitBreakerConfig::builder()
        .consecutive_failures(1)
        .success_threshold(1)
        .backoff(BackoffStrategy::Fixed(Duration::ZERO))
        .build();
    let breaker = CircuitBreaker::new(config);
    assert!(matches!(poll(breaker.call(bad_later)), Err(CircuitBreakerError::Failure(_))));
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(poll(breaker.call(good_later)).is_ok());
    assert_eq!(breaker.state(), State::Closed);
    each(move || {
        consume(poll(breaker.call(bad_later)));
        consume(poll(breaker.call(good_later)));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = standard();
        move || consume(poll(breaker.call(good_later)))
    })
}
