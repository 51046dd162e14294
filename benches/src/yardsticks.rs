//! What the machine itself takes.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tripcoil::Clock;
use tripcoil::clock::CoarseClock;

use crate::work::{Lane, consume, each, good, good_later, poll};

/// A cost that everyone knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yardstick {
    Closure,
    Future,
    Load,
    FetchAdd,
    CompareExchange,
    Clock,
    Elapsed,
    CoarseClock,
    Lock,
}

impl Yardstick {
    pub(crate) const ALL: [Yardstick; 9] = [
        Yardstick::Closure,
        Yardstick::Future,
        Yardstick::Load,
        Yardstick::FetchAdd,
        Yardstick::CompareExchange,
        Yardstick::Clock,
        Yardstick::Elapsed,
        Yardstick::CoarseClock,
        Yardstick::Lock,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Yardstick::Closure => "the bare closure",
            Yardstick::Future => "polling the bare future",
            Yardstick::Load => "one atomic load",
            Yardstick::FetchAdd => "one `fetch_add`",
            Yardstick::CompareExchange => "one load and compare-and-swap",
            Yardstick::Clock => "`Instant::now`",
            Yardstick::Elapsed => "`Instant::elapsed`, the time since an origin",
            Yardstick::CoarseClock => "the system's coarse clock",
            Yardstick::Lock => "locking and unlocking a `parking_lot::Mutex`",
        }
    }

    pub(crate) fn lane(self) -> Lane {
        let word = AtomicU64::new(0);
        match self {
            Yardstick::Closure => each(|| consume(good())),
            Yardstick::Future => each(|| consume(poll(good_later()))),
            Yardstick::Load => each(move || {
                black_box(word.load(Ordering::Acquire));
            }),
            Yardstick::FetchAdd => each(move || {
                black_box(word.fetch_add(1, Ordering::AcqRel));
            }),
            Yardstick::CompareExchange => each(move || {
                let now = word.load(Ordering::Acquire);
                let _ = black_box(word.compare_exchange(now, now + 1, Ordering::AcqRel, Ordering::Acquire));
            }),
            Yardstick::Clock => each(|| {
                black_box(Instant::now());
            }),
            Yardstick::Elapsed => {
                let origin = Instant::now();
                each(move || {
                    black_box(origin.elapsed());
                })
            }
            Yardstick::CoarseClock => each(|| {
                black_box(CoarseClock.now());
            }),
            Yardstick::Lock => {
                let number = Mutex::new(0_u64);
                each(move || *black_box(&number).lock() += 1)
            }
        }
    }
}
