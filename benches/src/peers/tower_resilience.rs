use std::hint::black_box;
use std::time::Duration;

use ::tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitBreakerLayer, CircuitState, DefaultClassifier,
    SlidingWindowType,
};
use tower::{Layer, Service, service_fn};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Failure, Lane, bad, consume, good, poll};

pub(crate) const CONTENDER: Contender =
    Contender { name: "tower-resilience-circuitbreaker", only_async: true, lane, footprint };

type Settings = CircuitBreakerConfigBuilder<DefaultClassifier>;

/// Calls with `true` fail.
trait Protected:
    Service<bool, Response = u32, Error = CircuitBreakerError<Failure>, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Protected for S where
    S: Service<bool, Response = u32, Error = CircuitBreakerError<Failure>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

fn lane(path: Path) -> Option<Lane> {
    match path {
        Path::Closed | Path::Async => Some(calls(protected(settings()), &[false])),
        Path::Last100 => Some(calls(protected(settings().sliding_window_size(100)), &[false])),
        Path::Last10000 => Some(calls(protected(settings().sliding_window_size(10_000)), &[false])),
        Path::Last10Seconds => Some(over_time()),
        // Its default is a window of 100 calls.
        Path::Failing { one_in, .. } => {
            let service = protected(settings().failure_rate_threshold(0.9));
            Some(Box::new(move |count| {
                let mut service = service.clone();
                for at in 1..=count {
                    consume(call(&mut service, at % one_in == 0));
                }
            }))
        }
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Metrics => {
            let (_layer, handle) = settings().build_with_handle().expect("allowed settings");
            Some(crate::work::each(move || {
                black_box(poll(handle.metrics()));
            }))
        }
        _ => None,
    }
}

fn settings() -> Settings {
    CircuitBreakerLayer::builder()
}

fn protected(settings: Settings) -> impl Protected {
    let layer = settings.build().expect("allowed settings");
    layer.layer(service_fn(|fail| async move { if fail { bad() } else { good() } }))
}

fn call(service: &mut impl Protected, fail: bool) -> Result<u32, CircuitBreakerError<Failure>> {
    poll(async {
        std::future::poll_fn(|context| service.poll_ready(context)).await?;
        service.call(fail).await
    })
}

/// Makes these calls over and over. As servers do, it clones the service for each task; here, for each batch.
fn calls(service: impl Protected, failing: &'static [bool]) -> Lane {
    Box::new(move |count| {
        let mut service = service.clone();
        for _ in 0..count {
            for &fail in failing {
                consume(call(&mut service, fail));
            }
        }
    })
}

/// It looks at each call of the window on each call. So as to measure it at all, there are never more than
/// 1000 in it.
fn over_time() -> Lane {
    Box::new(|count| {
        let mut left = count;
        while left > 0 {
            let now = left.min(1_000);
            left -= now;
            let window = settings()
                .sliding_window_type(SlidingWindowType::TimeBased)
                .sliding_window_duration(Duration::from_secs(10));
            let mut service = protected(window);
            for _ in 0..now {
                consume(call(&mut service, false));
            }
        }
    })
}

fn rejected() -> Lane {
    let mut service = protected(settings().consecutive_failures(1).wait_duration_in_open(AN_HOUR));
    assert!(matches!(call(&mut service, true), Err(CircuitBreakerError::Inner(_))));
    assert!(matches!(call(&mut service, false), Err(CircuitBreakerError::OpenCircuit)));
    calls(service, &[false])
}

fn probe() -> Lane {
    let settings = settings().consecutive_failures(1).wait_duration_in_open(Duration::ZERO);
    let (layer, handle) = settings.build_with_handle().expect("allowed settings");
    let mut service = layer.layer(service_fn(|fail| async move { if fail { bad() } else { good() } }));
    assert!(call(&mut service, true).is_err());
    assert_eq!(handle.state(), CircuitState::Open);
    assert!(call(&mut service, false).is_ok());
    assert_eq!(handle.state(), CircuitState::Closed);
    calls(service, &[true, false])
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let service = protected(settings());
        move || consume(call(&mut service.clone(), false))
    })
}
