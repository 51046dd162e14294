//! Whether rejections at one breaker cost the calls of another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::path::Path;
use crate::peers::Contender;
use crate::timing::{Cost, alone, batch, per_call};
use crate::work::Lane;

/// What a healthy breaker's calls cost while others are rejected.
pub(crate) struct Weather {
    pub(crate) when: &'static str,
    pub(crate) cost: Cost,
    /// Rejections a second, in millions.
    pub(crate) rejections: f64,
}

/// Times one healthy breaker before, during and after a storm of rejections at another one.
pub(crate) fn storm(contender: Contender, each: Duration) -> Vec<Weather> {
    let lane = |path| (contender.lane)(path).expect("every contender has it");
    let (healthy, open) = (lane(Path::Closed), lane(Path::Rejected));
    let phases = [
        ("before", 0, each / 4),
        ("1 thread being rejected", 1, each),
        ("between", 0, each / 4),
        ("2 threads being rejected", 2, each),
        ("after", 0, each / 4),
    ];
    let weather = phases.map(|(when, threads, time)| {
        let (cost, rejections) = beside(&healthy, &open, threads, time);
        Weather { when, cost, rejections }
    });
    weather.into()
}

fn beside(healthy: &Lane, open: &Lane, threads: u32, time: Duration) -> (Cost, f64) {
    let calls = batch(64, |calls| alone(healthy, calls));
    let over = AtomicBool::new(false);
    let rejections = AtomicU64::new(0);
    let mut nanos = Vec::new();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    open(1_000);
                    rejections.fetch_add(1_000, Ordering::Relaxed);
                }
            });
        }
        while start.elapsed() < time {
            nanos.push(per_call(alone(healthy, calls), calls));
        }
        over.store(true, Ordering::Relaxed);
    });
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let rate = rejections.into_inner() as f64 / start.elapsed().as_secs_f64() / 1e6;
    (Cost::of(nanos), rate)
}
