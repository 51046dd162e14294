//! Makes calls for an instruction counter to watch; `check-counts` runs it.
//!
//! `counts PATH N` makes N calls on a path, `counts` lists the paths.

use std::env;
use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tripcoil::clock::CoarseClock;
use tripcoil::{CircuitBreaker, Clock, Recovery, Registry, State, Window};

type Run = fn(u64);

const PATHS: [(&str, Run); 27] = [
    ("nothing", nothing),
    ("sync", sync),
    ("second-thread", second_thread),
    ("shared-stripe", shared_stripe),
    ("async", with_a_future),
    ("permit", permit),
    ("last-100", last_100),
    ("last-10000", last_10_000),
    ("last-10s", last_10_seconds),
    ("alternating", alternating),
    ("alternating-last-100", alternating_last_100),
    ("rejected", rejected),
    ("cycle", cycle),
    ("in-a-step", in_a_step),
    ("rejected-by-a-step", rejected_by_a_step),
    ("metrics", metrics),
    ("alternating-64-threads", alternating_after_threads),
    ("alternating-last-100-64-threads", alternating_last_100_after_threads),
    ("metrics-64-threads", metrics_after_threads),
    ("keyed", keyed),
    ("clock-reading", clock_reading),
    ("elapsed-reading", elapsed_reading),
    ("last-10s-with-it", last_10_seconds_by_the_clock),
    ("rejected-with-it", rejected_by_the_clock),
    ("coarse-reading", coarse_reading),
    ("last-10s-coarse-with-it", last_10_seconds_by_the_coarse_clock),
    ("rejected-coarse-with-it", rejected_by_the_coarse_clock),
];

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [path, calls] = words.as_slice() else {
        for (path, _) in PATHS {
            println!("{path}");
        }
        return Ok(());
    };
    let (_, run) = PATHS.iter().find(|(name, _)| name == path).ok_or("no such path")?;
    run(calls.parse()?);
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a call that could fail")]
#[inline]
fn good() -> Result<u32, u32> {
    Ok(black_box(7))
}

#[inline]
fn bad() -> Result<u32, u32> {
    Err(black_box(7))
}

/// The library's own instructions repeat everywhere, those of the operating system's clock do not.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Duration {
        black_box(Duration::from_secs(7))
    }
}

fn over(window: Window) -> CircuitBreaker {
    CircuitBreaker::builder("counts").error_rate(0.9).window(window).build().expect("allowed settings")
}

fn nothing(calls: u64) {
    for _ in 0..calls {
        let _ = black_box(good());
    }
}

fn succeed(calls: u64, breaker: &CircuitBreaker) {
    for _ in 0..calls {
        let _ = black_box(breaker.call_sync(good));
    }
}

fn alternate(calls: u64, breaker: &CircuitBreaker) {
    for _ in 0..calls / 2 {
        let _ = black_box(breaker.call_sync(good));
        let _ = black_box(breaker.call_sync(bad));
    }
}

fn sync(calls: u64) {
    succeed(calls, &CircuitBreaker::new("counts"));
}

/// By another thread than the one that used the breaker first.
fn second_thread(calls: u64) {
    let breaker = CircuitBreaker::new("counts");
    succeed(1, &breaker);
    thread::scope(|scope| {
        scope.spawn(|| succeed(calls, &breaker));
    });
}

/// By a thread that shares a stripe: more threads than there are stripes to earn have used the breaker often.
fn shared_stripe(calls: u64) {
    let breaker = CircuitBreaker::new("counts");
    while_others_own_the_stripes(&breaker, || succeed(calls, &breaker));
}

/// The first stripe, the second one, and those of the largest table.
const STRIPES: usize = 34;
/// Far more calls in quick succession than it takes to earn a stripe.
const OFTEN: u64 = 8_192;

/// Runs a closure on a thread that cannot earn a stripe, while the owners of all stripes are alive.
fn while_others_own_the_stripes(breaker: &CircuitBreaker, then: impl FnOnce() + Send) {
    let [used, over] = [2, STRIPES + 1].map(Barrier::new);
    thread::scope(|scope| {
        for _ in 0..STRIPES {
            scope.spawn(|| {
                succeed(OFTEN, breaker);
                used.wait();
                over.wait();
            });
            used.wait();
        }
        scope.spawn(then).join().expect("no call panics");
        over.wait();
    });
}

fn with_a_future(calls: u64) {
    let breaker = CircuitBreaker::new("counts");
    for _ in 0..calls {
        let mut call = pin!(breaker.call(async { good() }));
        let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            unreachable!("it never waits");
        };
        let _ = black_box(result);
    }
}

fn permit(calls: u64) {
    let breaker = CircuitBreaker::new("counts");
    for _ in 0..calls {
        breaker.try_acquire().expect("closed").success();
    }
}

fn last_100(calls: u64) {
    succeed(calls, &over(Window::calls(100)));
}

fn last_10_000(calls: u64) {
    succeed(calls, &over(Window::calls(10_000)));
}

fn last_10_seconds_by(calls: u64, clock: impl Clock) {
    let settings = CircuitBreaker::builder("counts").error_rate(0.9).window(Window::time(Duration::from_secs(10)));
    succeed(calls, &settings.clock(clock).build().expect("allowed settings"));
}

fn last_10_seconds(calls: u64) {
    last_10_seconds_by(calls, Stopped);
}

fn last_10_seconds_by_the_coarse_clock(calls: u64) {
    last_10_seconds_by(calls, CoarseClock);
}

fn last_10_seconds_by_the_clock(calls: u64) {
    succeed(calls, &over(Window::time(Duration::from_secs(10))));
}

fn alternating(calls: u64) {
    alternate(calls, &CircuitBreaker::new("counts"));
}

fn alternating_last_100(calls: u64) {
    alternate(calls, &over(Window::calls(100)));
}

const THREADS: usize = 64;

/// Runs a closure while other threads, which have used the breaker one after the other, are alive.
fn after_threads(breaker: &CircuitBreaker, then: impl FnOnce(&CircuitBreaker)) {
    succeed(3, breaker);
    let [used, over] = [2, THREADS + 1].map(Barrier::new);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                succeed(3, breaker);
                used.wait();
                over.wait();
            });
            used.wait();
        }
        then(breaker);
        over.wait();
    });
}

fn alternating_after_threads(calls: u64) {
    after_threads(&CircuitBreaker::new("counts"), |breaker| alternate(calls, breaker));
}

fn alternating_last_100_after_threads(calls: u64) {
    after_threads(&over(Window::calls(100)), |breaker| alternate(calls, breaker));
}

fn metrics_after_threads(calls: u64) {
    after_threads(&CircuitBreaker::new("counts"), |breaker| {
        for _ in 0..calls {
            black_box(breaker.metrics());
        }
    });
}

fn keyed(calls: u64) {
    let registry: Registry<u64> = Registry::new("counts");
    for _ in 0..calls {
        let _ = black_box(registry.call_sync(&black_box(7), good));
    }
}

fn reject(calls: u64, breaker: &CircuitBreaker) {
    breaker.open_for(Duration::from_hours(1));
    succeed(calls, breaker);
}

fn rejected(calls: u64) {
    reject(calls, &CircuitBreaker::builder("counts").clock(Stopped).build().expect("allowed settings"));
}

fn rejected_by_the_coarse_clock(calls: u64) {
    reject(calls, &CircuitBreaker::builder("counts").clock(CoarseClock).build().expect("allowed settings"));
}

fn rejected_by_the_clock(calls: u64) {
    reject(calls, &CircuitBreaker::new("counts"));
}

/// A clock that goes on by a second with each reading.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A failure that opens, and a probe that closes.
fn cycle(calls: u64) {
    let settings = CircuitBreaker::builder("counts").error_threshold(1).success_threshold(1);
    let settings = settings.reset_timeout(Duration::from_millis(1)).clock(Ticking(AtomicU64::new(0)));
    let breaker = settings.build().expect("allowed settings");
    for _ in 0..calls {
        let _ = black_box(breaker.call_sync(bad));
        let _ = black_box(breaker.call_sync(good));
    }
}

/// At the first step of recovery, which lets this share of the calls pass.
fn recovering(share: f64) -> CircuitBreaker {
    let recovery = Recovery::steps([share]).each(Duration::from_secs(90));
    let settings = CircuitBreaker::builder("counts").success_threshold(1).recovery(recovery).clock(Stopped);
    let breaker = settings.build().expect("allowed settings");
    breaker.transition_to(State::HalfOpen);
    breaker.call_sync(good).expect("a probe");
    breaker
}

fn in_a_step(calls: u64) {
    succeed(calls, &recovering(1.0));
}

fn rejected_by_a_step(calls: u64) {
    let breaker = recovering(f64::MIN_POSITIVE);
    for _ in 0..calls {
        let _ = black_box(breaker.call_sync(good));
    }
}

fn clock_reading(calls: u64) {
    for _ in 0..calls {
        black_box(Instant::now());
    }
}

fn elapsed_reading(calls: u64) {
    let origin = Instant::now();
    for _ in 0..calls {
        black_box(origin.elapsed());
    }
}

fn coarse_reading(calls: u64) {
    for _ in 0..calls {
        black_box(CoarseClock.now());
    }
}

fn metrics(calls: u64) {
    let breaker = CircuitBreaker::new("counts");
    succeed(1, &breaker);
    for _ in 0..calls {
        black_box(breaker.metrics());
    }
}
