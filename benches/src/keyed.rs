//! A call for a key, as users make it. The path `keyed` of `bin/counts.rs` is the same.

use tripcoil::Registry;

use crate::work::{consume, good, good_later, poll};

#[inline]
pub(crate) fn call_sync(registry: &Registry<u64>, key: u64) {
    consume(registry.call_sync(&key, good));
}

#[inline]
pub(crate) fn call(registry: &Registry<u64>, key: u64) {
    consume(poll(registry.call(&key, good_later())));
}
