//! Breakers that many threads have used.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tripcoil::{Builder, CircuitBreaker, State, Window};

use crate::crowd::Crowd;
use crate::memory::held_after;
use crate::timing::{Runner, alone};
use crate::work::{Lane, bad, consume, each, good};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A success while closed, by the thread that came last.
    Success,
    /// A failure by the thread that came first, under the default rule. After each fourth one comes a success, whose
    /// time is in the figure.
    Failure,
    /// The same with an error rate over the last 100 calls.
    FailureLast100,
    /// The same with rates of errors and of slow calls over 10 s.
    FailureLast10Seconds,
    Metrics,
}

/// Each thread uses a breaker so often.
const CALLS: usize = 3;

/// Lives as long as the program, as a `static` would.
type Breaker = &'static CircuitBreaker;

fn default_rule() -> Breaker {
    Box::leak(Box::new(CircuitBreaker::new("scale")))
}

fn with_error_rate(window: Window, more: impl FnOnce(Builder) -> Builder) -> Breaker {
    let settings = more(CircuitBreaker::builder("scale").error_rate(0.9).window(window));
    Box::leak(Box::new(settings.build().expect("allowed settings")))
}

fn last_100() -> Breaker {
    with_error_rate(Window::calls(100), |settings| settings)
}

fn last_10_seconds() -> Breaker {
    with_error_rate(Window::time(Duration::from_secs(10)), |settings| {
        settings.slow_call_rate(0.9).slow_call_duration(Duration::from_secs(1))
    })
}

fn use_it(breaker: &CircuitBreaker) {
    for _ in 0..CALLS {
        consume(breaker.call_sync(good));
    }
}

/// One breaker for each use, which a given number of live threads has used: this one first, then members of a crowd.
pub(super) struct Used {
    pub(super) threads: usize,
    breakers: [(Use, Breaker); 5],
}

impl Used {
    pub(super) fn new(threads: usize, crowd: &Crowd) -> Self {
        let breakers = [
            (Use::Success, default_rule()),
            (Use::Failure, default_rule()),
            (Use::FailureLast100, last_100()),
            (Use::FailureLast10Seconds, last_10_seconds()),
            (Use::Metrics, default_rule()),
        ];
        let each = move || breakers.iter().for_each(|one| use_it(one.1));
        each();
        crowd.one_by_one(threads - 1, each);
        Used { threads, breakers }
    }

    pub(super) fn runners(&self, crowd: &Arc<Crowd>) -> impl Iterator<Item = (Use, Runner)> {
        self.breakers.into_iter().map(|(which, breaker)| {
            let runner = match which {
                Use::Success if self.threads > 1 => {
                    let (crowd, last, lane) = (Arc::clone(crowd), self.threads - 2, Arc::new(success(breaker)));
                    Runner::with(200, move |calls| crowd.time(last, &lane, calls))
                }
                Use::Success => Runner::new(success(breaker), 1),
                Use::Metrics => {
                    let lane = each(|| {
                        black_box(breaker.metrics());
                    });
                    Runner::with(2, move |calls| alone(&lane, calls))
                }
                Use::Failure | Use::FailureLast100 | Use::FailureLast10Seconds => {
                    let lane = failures(breaker);
                    Runner::with(4, move |calls| alone(&lane, calls))
                }
            };
            (which, runner)
        })
    }

    /// Nothing of what was timed was a rejection.
    pub(super) fn check(self) {
        for (which, breaker) in self.breakers {
            assert_eq!(breaker.state(), State::Closed, "{which:?} after {} threads", self.threads);
        }
    }
}

/// The first stripe, the second one, and those of the largest table.
const STRIPES: usize = 34;
/// Far more calls in quick succession than it takes to earn a stripe.
const OFTEN: u32 = 8_192;

/// Successes by the last member of the crowd, which shares a stripe: the first members have earned all that there are.
pub(super) fn shared_stripe(crowd: &Arc<Crowd>) -> Runner {
    let breaker = default_rule();
    crowd.one_by_one(STRIPES, move || (0..OFTEN).for_each(|_| consume(breaker.call_sync(good))));
    let (crowd, last, lane) = (Arc::clone(crowd), super::MOST_THREADS - 1, Arc::new(success(breaker)));
    Runner::with(200, move |calls| crowd.time(last, &lane, calls))
}

fn success(breaker: Breaker) -> Lane {
    each(move || consume(breaker.call_sync(good)))
}

/// So many failures, and a success after each fourth one: nine failures in ten calls would open it, and so would five
/// in a row.
fn failures(breaker: Breaker) -> Lane {
    Box::new(move |failures| {
        for _ in 0..failures / 4 {
            for _ in 0..4 {
                consume(breaker.call_sync(bad));
            }
            consume(breaker.call_sync(good));
        }
    })
}

/// What a breaker takes, itself and on the heap, by how many threads have used it.
pub(crate) struct Bytes {
    pub(crate) held: Vec<(usize, Held)>,
    /// After the use by [`Bytes::SMALL`] threads, and heavy use by [`Bytes::BUSY`] of them.
    pub(crate) after_heavy_use: Held,
}

/// Bytes under the default rule, and with rates of errors and of slow calls over 10 s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) default_rule: i64,
    pub(crate) time_and_slow: i64,
}

impl Bytes {
    /// As many as a pool of blocking threads has.
    pub(crate) const SMALL: usize = 512;
    pub(crate) const SIZES: [usize; 6] = [1, 16, 64, 256, Bytes::SMALL, super::MOST_THREADS];
    pub(crate) const BUSY: usize = 8;
    pub(crate) const BUSY_CALLS: u32 = 250_000;

    pub(super) fn measure(crowd: &Crowd) -> Self {
        // What a thread holds once for all breakers is not counted.
        let earlier = [default_rule(), last_10_seconds()];
        let warm_up = move || earlier.iter().for_each(|breaker| use_it(breaker));
        warm_up();
        crowd.one_by_one(super::MOST_THREADS, warm_up);

        let both = |of: &dyn Fn(fn() -> Breaker) -> i64| Held {
            default_rule: of(default_rule),
            time_and_slow: of(last_10_seconds),
        };
        let held = |threads| {
            both(&|make| {
                held_after(|| {
                    used_together(make, threads, crowd);
                })
            })
        };
        let after_heavy_use = both(&|make| {
            held_after(|| {
                let breaker = used_together(make, Bytes::SMALL, crowd);
                crowd.together(Bytes::BUSY, move || use_heavily(breaker));
            })
        });
        Bytes { held: Bytes::SIZES.map(|threads| (threads, held(threads))).into(), after_heavy_use }
    }

    pub(crate) fn after(&self, threads: usize) -> Held {
        self.held.iter().find(|one| one.0 == threads).expect("every size is measured").1
    }
}

/// A new breaker, after use by this thread and then by the others at a time.
fn used_together(make: fn() -> Breaker, threads: usize, crowd: &Crowd) -> Breaker {
    let breaker = make();
    use_it(breaker);
    crowd.together(threads - 1, move || use_it(breaker));
    breaker
}

/// One call in a thousand fails.
fn use_heavily(breaker: Breaker) {
    for call in 0..Bytes::BUSY_CALLS {
        consume(if call % 1_000 == 0 { breaker.call_sync(bad) } else { breaker.call_sync(good) });
    }
}
