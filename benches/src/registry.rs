//! What a breaker takes in a registry, of many.

use std::thread;

use tripcoil::{CircuitBreaker, Registry};

use crate::memory::held_after;

/// How many keys there are.
pub(crate) const KEYS: u64 = 1_000_000;
/// How many breakers there are at most where keys come and go.
pub(crate) const BOUND: usize = 1024;

/// Bytes for each key, the key of eight bytes included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    pub(crate) after_one_thread: f64,
    pub(crate) after_two_threads: f64,
    /// Breakers, and the bytes of the registry as a whole, after all keys were used once in a bounded one, by two
    /// threads at a time.
    pub(crate) churned: (usize, i64),
}

impl Keyed {
    pub(crate) fn measure() -> Self {
        let registry = registry(KEYS.next_power_of_two().try_into().expect("a 64-bit machine"));
        let one = held_after(|| use_all(&registry, 0, 1));
        // This thread, whose slot the breakers have, is still there.
        let two = one + held_after(|| thread::scope(|scope| drop(scope.spawn(|| use_all(&registry, 0, 1)).join())));
        drop(registry);

        let bounded = self::registry(BOUND);
        let churn = held_after(|| {
            thread::scope(|scope| {
                for part in 0..2 {
                    let bounded = &bounded;
                    scope.spawn(move || use_all(bounded, part, 2));
                }
            });
        });
        Keyed { after_one_thread: per_key(one), after_two_threads: per_key(two), churned: (bounded.len(), churn) }
    }
}

fn registry(capacity: usize) -> Registry<u64> {
    Registry::builder(CircuitBreaker::builder("benches")).capacity(capacity).build().expect("allowed settings")
}

fn use_all(registry: &Registry<u64>, first: u64, threads: usize) {
    for key in (first..KEYS).step_by(threads) {
        let _ = registry.get(&key).call_sync(|| Ok::<_, ()>(key));
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_key(bytes: i64) -> f64 {
    bytes as f64 / KEYS as f64
}
