//! A call for a key, as users make it.
//!
//! The place to change when a registry makes calls itself: `registry.call_sync(&key, good)` and
//! `registry.call(&key, good_later())`. The path `keyed` of `bin/counts.rs` follows.

use tripcoil::Registry;

use crate::work::{consume, good, good_later, poll};

#[inline]
pub(crate) fn call_sync(registry: &Registry<u64>, key: u64) {
    consume(registry.get(&key).call_sync(good));
}

#[inline]
pub(crate) fn call(registry: &Registry<u64>, key: u64) {
    consume(poll(registry.get(&key).call(good_later())));
}
