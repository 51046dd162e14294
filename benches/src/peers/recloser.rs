use std::time::Duration;

use ::recloser::{AsyncRecloser, Error, Recloser};

use super::{AN_HOUR, Contender};
use crate::memory::{self, Footprint};
use crate::path::Path;
use crate::work::{Lane, bad, consume, each, good, good_later, one_in, poll};

pub(crate) const CONTENDER: Contender = Contender { name: "recloser", only_async: false, lane, footprint };

fn lane(path: Path) -> Option<Lane> {
    match path {
        // Its default is a rate over the last 100 calls; it has no other rule.
        Path::Closed | Path::Last100 => Some(success(Recloser::default())),
        Path::Last10000 => Some(success(Recloser::custom().closed_len(10_000).build())),
        // Its default is a window of 100 calls.
        Path::Failing { one_in: every, .. } => Some(failing(every)),
        Path::Rejected => Some(rejected()),
        Path::Probe => Some(probe()),
        Path::Async => {
            let breaker = AsyncRecloser::from(Recloser::default());
            Some(each(move || consume(poll(breaker.call(good_later())))))
        }
        _ => None,
    }
}

fn success(breaker: Recloser) -> Lane {
    each(move || consume(breaker.call(good)))
}

fn failing(every: u64) -> Lane {
    // The default of 0.5 would open.
    let breaker: &'static Recloser = Box::leak(Box::new(Recloser::custom().error_rate(0.9).build()));
    one_in(every, || consume(breaker.call(good)), || consume(breaker.call(bad)))
}

fn rejected() -> Lane {
    let breaker = Recloser::custom().closed_len(1).open_wait(AN_HOUR).build();
    for _ in 0..2 {
        assert!(matches!(breaker.call(bad), Err(Error::Inner(_))));
    }
    assert!(matches!(breaker.call(good), Err(Error::Rejected)));
    success(breaker)
}

/// It decides on the call after the one that fills the ring, so the shortest cycle has four calls.
fn probe() -> Lane {
    let breaker = Recloser::custom().closed_len(1).half_open_len(1).open_wait(Duration::ZERO).build();
    each(move || {
        consume(breaker.call(bad));
        consume(breaker.call(bad));
        consume(breaker.call(good));
        consume(breaker.call(good));
    })
}

fn footprint() -> Footprint {
    memory::footprint(|| {
        let breaker = Recloser::default();
        move || consume(breaker.call(good))
    })
}
