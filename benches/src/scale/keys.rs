//! Registries of many keys.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tripcoil::{CircuitBreaker, Registry};

use crate::crowd::Crowd;
use crate::keyed;
use crate::memory::held_after;
use crate::timing::{Runner, alone, together};
use crate::work::Lane;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// A success for a key that is there, each of them in its turn; of a closure, and of a future.
    CallSync,
    Call,
    /// The same on two threads at a time.
    CallSyncBy2,
    CallBy2,
    /// A success for a key that is not there, in a registry that is full of closed breakers which nobody uses.
    New,
    /// The same where the breakers are open.
    NewBesideOpen,
}

const AN_HOUR: Duration = Duration::from_hours(1);

fn registry(capacity: u64) -> Registry<u64> {
    let capacity = capacity.try_into().expect("a 64-bit machine");
    Registry::builder(CircuitBreaker::builder("scale")).capacity(capacity).build().expect("allowed settings")
}

fn use_all(registry: &Registry<u64>, keys: u64) {
    for key in 0..keys {
        keyed::call_sync(registry, key);
    }
}

pub(super) fn runners(keys: u64) -> impl Iterator<Item = (KeyUse, Runner)> {
    // Room for all of them, however unevenly they fall into its parts.
    let registry = registry((2 * keys).max(64));
    use_all(&registry, keys);
    let known = Known { registry: Arc::new(registry), keys, cursor: Arc::default() };
    let runners = [
        (KeyUse::CallSync, known.runner(1, keyed::call_sync)),
        (KeyUse::CallSyncBy2, known.runner(2, keyed::call_sync)),
        (KeyUse::Call, known.runner(1, keyed::call)),
        (KeyUse::CallBy2, known.runner(2, keyed::call)),
        (KeyUse::New, beside_closed(keys)),
        (KeyUse::NewBesideOpen, beside_open(keys)),
    ];
    runners.into_iter()
}

/// The size of a batch is a multiple of this: each of a thousand keys has its turn.
const KNOWN: u64 = 2_000;

/// Keys that are there.
struct Known {
    registry: Arc<Registry<u64>>,
    keys: u64,
    /// How many calls there were. All runners share it, so that none finds in the caches what another one has just used.
    cursor: Arc<AtomicU64>,
}

impl Known {
    /// As warm as the caches allow: as many calls come first that are not timed.
    fn runner(&self, threads: u32, call: impl Fn(&Registry<u64>, u64) + Send + Sync + 'static) -> Runner {
        let lane = self.lane(call);
        Runner::with(KNOWN, move |calls| {
            if threads == 1 {
                lane(KNOWN);
                alone(&lane, calls).into()
            } else {
                together(&lane, KNOWN, calls)
            }
        })
    }

    /// Calls for each key in its turn, from one to another that is far away.
    fn lane(&self, call: impl Fn(&Registry<u64>, u64) + Send + Sync + 'static) -> Lane {
        let keys = self.keys;
        // Has no divisor in common with a power of ten, and is about the golden section of the larger numbers of keys.
        let step = if keys < 1_000 { 0 } else { keys / 1_000 * 618 + 1 };
        let (registry, cursor) = (Arc::clone(&self.registry), Arc::clone(&self.cursor));
        Box::new(move |calls| {
            let mut key = cursor.fetch_add(calls, Ordering::Relaxed) * step % keys;
            for _ in 0..calls {
                call(&registry, black_box(key));
                key += step;
                if key >= keys {
                    key -= keys;
                }
            }
        })
    }
}

/// The number of new keys in a batch is a multiple of this.
const NEW: u64 = 16;

fn beside_closed(keys: u64) -> Runner {
    let registry = Arc::new(registry(keys));
    use_all(&registry, keys);
    let next = Cell::new(keys);
    Runner::with(NEW, move |calls| alone(&new_keys(&registry, &next, calls), calls))
}

/// Every key is open when the clock starts. After it stopped, the new ones are opened, and as many of the oldest are taken
/// out as there are too many.
pub(super) fn beside_open(keys: u64) -> Runner {
    let registry = Arc::new(registry(keys));
    for key in 0..keys {
        registry.get(&key).open_for(AN_HOUR);
    }
    let (next, oldest) = (Cell::new(keys), Cell::new(0));
    Runner::with(NEW, move |calls| {
        let first = next.get();
        let took = alone(&new_keys(&registry, &next, calls), calls);
        for key in first..next.get() {
            registry.get(&key).open_for(AN_HOUR);
        }
        while u64::try_from(registry.len()).expect("a 64-bit machine") > keys && oldest.get() < first {
            registry.remove(&oldest.get());
            oldest.set(oldest.get() + 1);
        }
        took
    })
}

/// Calls for the next keys, which were never there.
fn new_keys(registry: &Arc<Registry<u64>>, next: &Cell<u64>, calls: u64) -> Lane {
    let (registry, first) = (Arc::clone(registry), next.get());
    next.set(first + calls);
    Box::new(move |calls| {
        for key in first..first + calls {
            keyed::call_sync(&registry, key);
        }
    })
}

/// What a registry takes for each key of eight bytes, all of it: after use by this thread, and after use by three more.
pub(super) fn bytes(keys: u64, crowd: &Crowd) -> [f64; 2] {
    let mut made = None;
    let one = held_after(|| {
        let registry = Arc::new(registry(keys.next_power_of_two()));
        use_all(&registry, keys);
        made = Some(registry);
    });
    let registry = made.expect("just made");
    let more = held_after(|| {
        let registry = Arc::clone(&registry);
        crowd.one_by_one(3, move || use_all(&registry, keys));
    });
    [one, one + more].map(|bytes| per_key(bytes, keys))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_key(bytes: i64, keys: u64) -> f64 {
    bytes as f64 / keys as f64
}
