//! What grows with threads and with keys, and by how much.

pub(crate) mod chart;
mod keys;
mod table;
mod threads;

use std::sync::Arc;

use crate::crowd::Crowd;
use crate::timing::{self, Cost, Rounds, Runner};
use crate::work::{consume, each, good, good_later, poll};
use crate::yardsticks::Yardstick;

pub(crate) use keys::KeyUse;
pub(crate) use table::tables;
pub(crate) use threads::{Bytes, Held, Use};

/// How many threads have used a breaker.
pub(crate) const THREADS: [usize; 5] = [1, 16, 64, 256, MOST_THREADS];
pub(crate) const MOST_THREADS: usize = 1024;
/// How many keys a registry has.
pub(crate) const KEYS: [u64; 3] = [1, 1_000, MOST_KEYS];
pub(crate) const MOST_KEYS: u64 = 100_000;
/// How many open ones a new key is measured beside, apart from [`KEYS`].
pub(crate) const OPEN: u64 = 128_000;

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    FetchAdd,
    /// A call through a breaker that one thread uses; of a closure, and of a future.
    CallSync,
    Call,
    /// By a breaker that this number of threads has used.
    Threads(usize, Use),
    /// A success, by a thread that shares a stripe.
    SharedStripe,
    /// By a registry with this number of keys.
    Keys(u64, KeyUse),
}

/// Everything that was measured, in rounds of its own.
pub(crate) struct Growth {
    pub(crate) rounds: u32,
    pub(crate) warning: String,
    costs: Vec<(Row, Cost)>,
    pub(crate) bytes: Bytes,
    /// Of registries with this number of keys: for each key used by one thread, and by four.
    key_bytes: Vec<(u64, [f64; 2])>,
}

impl Growth {
    pub(crate) fn measure(rounds: Rounds) -> Self {
        let crowd = Arc::new(Crowd::new(MOST_THREADS));
        let bytes = Bytes::measure(&crowd);
        let key_bytes = KEYS.map(|keys| (keys, keys::bytes(keys, &crowd))).into();

        let breaker = || tripcoil::CircuitBreaker::new("scale");
        let (sync, future) = (breaker(), breaker());
        let mut runners = vec![
            (Row::FetchAdd, Runner::new(Yardstick::FetchAdd.lane(), 1)),
            (Row::CallSync, Runner::new(each(move || consume(sync.call_sync(good))), 1)),
            (Row::Call, Runner::new(each(move || consume(poll(future.call(good_later())))), 1)),
        ];
        runners.push((Row::SharedStripe, threads::shared_stripe(&crowd)));
        let used = THREADS.map(|threads| threads::Used::new(threads, &crowd));
        for used in &used {
            runners.extend(used.runners(&crowd).map(|(which, runner)| (Row::Threads(used.threads, which), runner)));
        }
        for keys in KEYS {
            runners.extend(keys::runners(keys).map(|(which, runner)| (Row::Keys(keys, which), runner)));
        }
        runners.push((Row::Keys(OPEN, KeyUse::NewBesideOpen), keys::beside_open(OPEN)));

        let (rows, mut runners): (Vec<_>, Vec<_>) = runners.into_iter().unzip();
        let rounds = timing::rounds(&mut runners, rounds);
        for used in used {
            used.check();
        }
        let costs = rows.into_iter().zip(runners.iter().map(Runner::cost)).collect();
        let warning = timing::warning(&runners);
        Growth { rounds, warning, costs, bytes, key_bytes }
    }

    fn cost(&self, row: Row) -> Cost {
        self.costs.iter().find(|one| one.0 == row).expect("every row is measured").1
    }

    /// The minimum, but the median where two threads are at it.
    pub(crate) fn figure(&self, row: Row) -> f64 {
        let threads = if matches!(row, Row::Keys(_, KeyUse::CallSyncBy2 | KeyUse::CallBy2)) { 2 } else { 1 };
        self.cost(row).figure(threads)
    }

    pub(crate) fn bytes_per_key(&self, keys: u64) -> [f64; 2] {
        self.key_bytes.iter().find(|one| one.0 == keys).expect("every size is measured").1
    }
}
