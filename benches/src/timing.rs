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
    /// Of batches that the system interrupted; they count only where there are no others.
    interrupted: Vec<f64>,
}

/// Makes so many calls.
type Timed = dyn Fn(u64) -> Batch;

/// How long the calls of a batch took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    took: Duration,
    /// Whether the system interrupted one of two threads, as far as it says so.
    is_interrupted: bool,
}

impl From<Duration> for Batch {
    fn from(took: Duration) -> Self {
        Batch { took, is_interrupted: false }
    }
}

/// The size of a batch is a multiple of this, so that the failures of each share come out even.
const CALLS: u64 = 200;

impl Runner {
    /// Times a lane on one thread, or on two at a time.
    pub(crate) fn new(lane: Lane, threads: u32) -> Self {
        let calls = batch(CALLS, |calls| alone(&lane, calls));
        let timed: Box<Timed> = match threads {
            1 => Box::new(move |calls| alone(&lane, calls).into()),
            _ => Box::new(move |calls| together(&lane, 0, calls)),
        };
        Runner { timed, calls, nanos: Vec::new(), interrupted: Vec::new() }
    }

    /// Times what takes its own time, in batches of a multiple of `least` calls.
    pub(crate) fn with<B: Into<Batch>>(least: u64, timed: impl Fn(u64) -> B + 'static) -> Self {
        let timed = move |calls| timed(calls).into();
        let calls = batch(least, |calls| timed(calls).took);
        Runner { timed: Box::new(timed), calls, nanos: Vec::new(), interrupted: Vec::new() }
    }

    fn run(&mut self) {
        let Batch { took, is_interrupted } = (self.timed)(self.calls);
        let kept = if is_interrupted { &mut self.interrupted } else { &mut self.nanos };
        kept.push(per_call(took, self.calls));
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost::of(if self.is_disturbed() { self.interrupted.clone() } else { self.nanos.clone() })
    }

    /// Whether each of its batches was interrupted, so that its cost says nothing.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.nanos.is_empty()
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

/// What the reader has to know where batches were interrupted all the time.
pub(crate) fn warning(runners: &[Runner]) -> String {
    match runners.iter().filter(|runner| runner.is_disturbed()).count() {
        0 => String::new(),
        count => format!("**{count} figures on 2 threads are worthless: each of their batches was interrupted.**\n"),
    }
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
/// Before that, each thread makes `warm_up` calls: the second thread is new each time, and its first calls take longer.
pub(crate) fn together(lane: &Lane, warm_up: u64, calls: u64) -> Batch {
    // A machine that is busy otherwise does not let two threads run side by side each time, or for a long time not at all.
    let start = Instant::now();
    loop {
        let batch = side_by_side(lane, warm_up, calls);
        if !batch.is_interrupted || start.elapsed() > PATIENCE {
            return batch;
        }
    }
}

fn side_by_side(lane: &Lane, warm_up: u64, calls: u64) -> Batch {
    let ready = AtomicU32::new(0);
    let run = || {
        if warm_up > 0 {
            lane(warm_up);
        }
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
    Batch { took: one.1.max(other.1) - one.0.min(other.0), is_interrupted: one.2 || other.2 }
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
