use std::hint::black_box;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use ::seatbelt::breaker::{Breaker, BreakerId, BreakerLayer, HalfOpenMode};
use ::seatbelt::typestates::Set;
use ::seatbelt::{RecoveryInfo, ResilienceContext};
use layered::{Execute, Layer, Service};
use tick::Clock;
use tick::runtime::InactiveClock;

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Failure, Lane, bad, consume, each, good, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "seatbelt", only_async: true, lane, footprint };

type Answer = Result<u32, Failure>;
type Settings = BreakerLayer<bool, Answer, Set, Set>;

fn lane(path: Path) -> Option<Lane> {
    match path {
        // Its default is a rate over the last 30 s; it has no other rule.
        Path::Closed | Path::Async => Some(success(protected(settings()))),
        Path::Last10Seconds => Some(success(protected(settings().sampling_duration(Duration::from_secs(10))))),
        Path::Failing { one_in: every, last_100: false } => {
            let one = protected(settings().failure_threshold(0.9));
            let other = one.clone();
            Some(one_in(every, move || consume(poll(one.execute(false))), move || consume(poll(other.execute(true)))))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Keyed => Some(success(protected(settings().breaker_id(|_| BreakerId::from(black_box(7_u64)))))),
        _ => None,
    }
}

fn clock() -> Clock {
    let (clock, driver) = InactiveClock::default().activate(Waker::noop().clone());
    // Nothing here waits for a timer; but without its driver the clock would be dead.
    mem::forget(driver);
    clock
}

fn settings() -> Settings {
    Breaker::layer("bench", &ResilienceContext::new(clock()))
        .recovery_with(|answer: &Answer, _| if answer.is_ok() { RecoveryInfo::never() } else { RecoveryInfo::retry() })
        .rejected_input_error(|_, _| Failure(Failure::REJECTED))
}

/// Calls with `true` fail.
#[expect(clippy::needless_pass_by_value, reason = "reads better where settings are made")]
fn protected(settings: Settings) -> impl Service<bool, Out = Answer> + Clone + 'static {
    settings.layer(Execute::new(|fail| async move { if fail { bad() } else { good() } }))
}

fn success(service: impl Service<bool, Out = Answer> + 'static) -> Lane {
    each(move || consume(poll(service.execute(false))))
}

fn rejected() -> Lane {
    let service = protected(settings().min_throughput(1).break_duration(AN_HOUR));
    assert!(poll(service.execute(true)).is_err_and(|failure| failure.0 != Failure::REJECTED));
    assert!(poll(service.execute(false)).is_err_and(|failure| failure.0 == Failure::REJECTED));
    success(service)
}

fn probe() -> Lane {
    let quick = settings().min_throughput(1).break_duration(Duration::ZERO).half_open_mode(HalfOpenMode::quick());
    let service = protected(quick);
    assert!(poll(service.execute(true)).is_err_and(|failure| failure.0 != Failure::REJECTED));
    assert!(poll(service.execute(false)).is_ok());
    each(move || {
        consume(poll(service.execute(true)));
        consume(poll(service.execute(false)));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let service = protected(settings());
        move || consume(poll(service.execute(false)))
    })
}
