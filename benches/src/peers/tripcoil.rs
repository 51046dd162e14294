use std::hint::black_box;
use std::time::Duration;

use ::tripcoil::clock::{CoarseClock, MonotonicClock};
use ::tripcoil::{CircuitBreaker, Clock, Config, Error, Recovery, Registry, State, Window};

use super::{AN_HOUR, Contender};
use crate::keyed;
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Failure, Lane, bad, consume, each, good, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "tripcoil", only_async: false, lane, footprint };

#[expect(clippy::unnecessary_wraps, reason = "as the others")]
fn lane(path: Path) -> Option<Lane> {
    Some(match path {
        Path::Closed => success(CircuitBreaker::new("bench")),
        Path::Last100 => success(over(Window::calls(100))),
        Path::Last10000 => success(over(Window::calls(10_000))),
        Path::Last10Seconds => success(over(Window::time(Duration::from_secs(10)))),
        Path::Last10SecondsCoarse => {
            let settings =
                CircuitBreaker::builder("bench").error_rate(0.5).window(Window::time(Duration::from_secs(10)));
            success(settings.clock(CoarseClock).build().expect("allowed settings"))
        }
        Path::Failing { one_in: every, last_100 } => failing(every, last_100),
        Path::Rejected => rejected(CircuitBreaker::new("bench")),
        Path::RejectedCoarse => {
            rejected(CircuitBreaker::builder("bench").clock(CoarseClock).build().expect("allowed settings"))
        }
        Path::Probe => probe(),
        Path::Async => {
            let breaker = CircuitBreaker::new("bench");
            each(move || consume(poll(breaker.call(good_later()))))
        }
        Path::Permit => {
            let breaker = CircuitBreaker::new("bench");
            each(move || breaker.try_acquire().expect("closed").success())
        }
        Path::Metrics => {
            let breaker = CircuitBreaker::new("bench");
            consume(breaker.call_sync(good));
            each(move || {
                black_box(breaker.metrics());
            })
        }
        Path::Keyed => {
            let registry = Registry::new("bench");
            each(move || keyed::call_sync(&registry, black_box(7)))
        }
        Path::Shadowed => {
            let breaker = CircuitBreaker::new("bench");
            breaker.shadow(Config::default()).expect("allowed settings");
            success(breaker)
        }
        Path::Recovering => success(recovering()),
    })
}

fn over(window: Window) -> CircuitBreaker {
    CircuitBreaker::builder("bench").error_rate(0.5).window(window).build().expect("allowed settings")
}

/// At its first step of recovery, for longer than a run.
fn recovering() -> CircuitBreaker {
    let recovery = Recovery::steps([1.0]).each(AN_HOUR);
    let settings = CircuitBreaker::builder("bench").success_threshold(1).recovery(recovery);
    let breaker = settings.build().expect("allowed settings");
    breaker.transition_to(State::HalfOpen);
    consume(breaker.call_sync(good));
    assert!(breaker.metrics().recovery.is_some());
    breaker
}

fn success(breaker: CircuitBreaker) -> Lane {
    each(move || consume(breaker.call_sync(good)))
}

fn failing(every: u64, last_100: bool) -> Lane {
    let settings = CircuitBreaker::builder("bench");
    // A rate of 0.5 would open.
    let settings = if last_100 { settings.error_rate(0.9).window(Window::calls(100)) } else { settings };
    let breaker: &'static CircuitBreaker = Box::leak(Box::new(settings.build().expect("allowed settings")));
    let calls = one_in(every, || consume(breaker.call_sync(good)), || consume(breaker.call_sync(bad)));
    Box::new(move |count| {
        calls(count);
        assert_eq!(breaker.state(), State::Closed);
    })
}

fn rejected(breaker: CircuitBreaker) -> Lane {
    breaker.open_for(AN_HOUR);
    assert!(breaker.call_sync(good).is_err_and(|error| error.is_rejected()));
    success(breaker)
}

/// A clock on which the shortest reset timeout, a millisecond, is over in a nanosecond.
struct Hurried;

impl Clock for Hurried {
    fn now(&self) -> Duration {
        MonotonicClock.now() * 1_000_000
    }
}

fn probe() -> Lane {
    let breaker = CircuitBreaker::builder("bench")
        .error_threshold(1)
        .success_threshold(1)
        .reset_timeout(Duration::from_millis(1))
        .clock(Hurried)
        .build()
        .expect("allowed settings");
    assert!(matches!(breaker.call_sync(bad), Err(Error::Inner(Failure(_)))));
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.call_sync(good).is_ok());
    assert_eq!(breaker.state(), State::Closed);
    each(move || {
        consume(breaker.call_sync(bad));
        consume(breaker.call_sync(good));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = CircuitBreaker::new("bench");
        move || consume(breaker.call_sync(good))
    })
}
