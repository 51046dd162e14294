//! Who takes how long.

use std::fs;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::work::Lane;

/// How long a batch takes, about: long against a clock reading, short against a time slice.
const BATCH: Duration = Duration::from_micros(100);

/// How long a batch on two threads is repeated that is interrupted.
const PATIENCE: Duration = Duration::from_millis(10);

/// The nanoseconds of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) minimum: f64,
    pub(crate) median: f64,
}

impl Cost {
    pub(crate) fn of(mut nanos: Vec<f64>) -> Self {
        nanos.sort_by(f64::total_cmp);
        Cost { minimum: nanos[0], median: nanos[nanos.len() / 2] }
    }

    /// The one that tells contenders apart: on one thread what else the machine does can only add to the least,
    /// while two threads take the least time when the machine keeps them out of each other's way.
    pub(crate) fn figure(self, threads: u32) -> f64 {
        if threads == 1 { self.minimum } else { self.median }
    }
}

/// What is timed, round by round.
pub(crate) struct Runner {
    timed: Box<Timed>,
    calls: u64,
    nanos: Vec<f64>,
}

/// Makes so many calls, and returns how long they took.
type Timed = dyn Fn(u64) -> Duration;

/// A batch has a multiple of so many calls, so that the failures of each share come out even.
const CALLS: u64 = 200;

impl Runner {
    /// Times a lane on one thread, or on two at a time.
    pub(crate) fn new(lane: Lane, threads: u32) -> Self {
        let calls = batch(CALLS, |calls| alone(&lane, calls));
        let timed: Box<Timed> = match threads {
            1 => Box::new(move |calls| alone(&lane, calls)),
            _ => Box::new(move |calls| together(&lane, calls)),
        };
        Runner { timed, calls, nanos: Vec::new() }
    }

    /// Times what takes its own time, in batches of a multiple of `least` calls.
    pub(crate) fn with(least: u64, timed: impl Fn(u64) -> Duration + 'static) -> Self {
        let calls = batch(least, &timed);
        Runner { timed: Box::new(timed), calls, nanos: Vec::new() }
    }

    fn run(&mut self) {
        let took = (self.timed)(self.calls);
        self.nanos.push(per_call(took, self.calls));
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost::of(self.nanos.clone())
    }
}

/// How often all take their turn: a number of rounds, or fewer when the time is up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) most: u32,
    pub(crate) time: Duration,
}

impl Rounds {
    /// No fewer, whatever the time.
    const LEAST: u32 = 3;
}

/// Each runs once a round, so that what the machine does otherwise hits all alike. Returns how many rounds there were.
pub(crate) fn rounds(runners: &mut [Runner], rounds: Rounds) -> u32 {
    let start = Instant::now();
    for done in 0..rounds.most {
        if done >= Rounds::LEAST && start.elapsed() > rounds.time {
            return done;
        }
        for runner in &mut *runners {
            runner.run();
        }
    }
    rounds.most
}

#[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
pub(crate) fn per_call(took: Duration, calls: u64) -> f64 {
    took.as_nanos() as f64 / calls as f64
}

pub(crate) fn alone(lane: &Lane, calls: u64) -> Duration {
    let start = Instant::now();
    lane(calls);
    start.elapsed()
}

/// Two threads make so many calls each. From the first one's start to the last one's end: threads that came
/// one after the other would take twice as long.
pub(crate) fn together(lane: &Lane, calls: u64) -> Duration {
    // A machine that is busy otherwise does not let two threads run side by side each time, or for a long time not at all.
    let start = Instant::now();
    loop {
        let (took, interrupted) = side_by_side(lane, calls);
        if !interrupted || start.elapsed() > PATIENCE {
            return took;
        }
    }
}

/// And whether one of them was interrupted.
fn side_by_side(lane: &Lane, calls: u64) -> (Duration, bool) {
    let ready = AtomicU32::new(0);
    let run = || {
        let before = interruptions();
        ready.fetch_add(1, Ordering::AcqRel);
        while ready.load(Ordering::Acquire) < 2 {
            spin_loop();
        }
        let start = Instant::now();
        lane(calls);
        let end = Instant::now();
        (start, end, interruptions() != before)
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(run);
        (run(), other.join().expect("no lane panics"))
    });
    (one.1.max(other.1) - one.0.min(other.0), one.2 || other.2)
}

/// How often this thread had to make room for another one, where the system tells.
fn interruptions() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("nonvoluntary_ctxt_switches"))?;
    line.rsplit('\t').next()?.parse().ok()
}

/// A multiple of `least` calls that takes about as long as a batch should.
pub(crate) fn batch(least: u64, timed: impl Fn(u64) -> Duration) -> u64 {
    let mut calls = least;
    while timed(calls) < BATCH / 2 {
        calls *= 2;
    }
    calls
}
