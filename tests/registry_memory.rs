//! What a registry takes, counted by the allocator; `cargo run --release -p benches -- --registry` shows it for a million
//! keys.

mod common;

use std::sync::Arc;
use std::thread;

use allocation_counter::measure;
use common::*;
use tripcoil::{CircuitBreaker, Registry};

const KEYS: u64 = 125_000;

fn registry(capacity: usize) -> Registry<u64> {
    Registry::builder(CircuitBreaker::builder("test")).capacity(capacity).build().unwrap()
}

/// The bytes that stay when this thread has used each key once.
fn held_after(use_it: impl Fn(u64)) -> i64 {
    measure(|| (0..KEYS).for_each(use_it)).bytes_current
}

fn per_key(bytes: i64) -> f64 {
    f64::from(i32::try_from(bytes).unwrap()) / f64::from(i32::try_from(KEYS).unwrap())
}

#[test]
fn a_breaker_in_a_registry_takes_at_most_256_bytes_and_its_key() {
    let registry = registry(1 << 18);
    let bytes = per_key(held_after(|key| succeed(&registry.get(&key))));
    assert_eq!(registry.len() as u64, KEYS);
    println!("{KEYS} keys, used by one thread: {bytes:.0} bytes for each, its key and its name included");
    // A key of eight bytes, and a name of up to six letters.
    assert!(bytes <= 256.0 + 8.0 + 6.0, "{bytes}");

    let use_again = || held_after(|key| succeed(&registry.get(&key)));
    let more = thread::scope(|scope| per_key(scope.spawn(use_again).join().unwrap()));
    println!("and used by a second one: {more:.0} bytes more");
    assert!((127.0..129.0).contains(&more), "{more}");
}

#[test]
fn a_key_that_shares_its_text_with_the_name_has_it_once() {
    let hosts: Registry<Arc<str>> =
        Registry::builder(CircuitBreaker::builder("test")).capacity(1 << 18).name_by(Arc::clone).build().unwrap();
    let bytes = held_after(|key| succeed(&hosts.get(&Arc::from(format!("{key:020}.example")))));
    println!("{KEYS} keys of 28 letters: {:.0} bytes for each", per_key(bytes));
    let key = size_of::<Arc<str>>() + 2 * size_of::<usize>() + 28;
    assert!(per_key(bytes) <= 256.0 + f64::from(u32::try_from(key).unwrap()), "{bytes}");
}

#[test]
fn a_registry_through_which_two_threads_send_a_million_keys_stays_flat() {
    const KEYS: u64 = 1_000_000;
    let registry = registry(1024);
    let bytes: i64 = thread::scope(|scope| {
        let use_half = |half: u64| {
            let registry = &registry;
            move || measure(|| (half..KEYS).step_by(2).for_each(|key| succeed(&registry.get(&key)))).bytes_current
        };
        let threads = [0, 1].map(|half| scope.spawn(use_half(half)));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{} breakers after {KEYS} keys of two threads: {bytes} bytes", registry.len());
    assert!(registry.len() <= 1_100, "{}", registry.len());
    assert!(bytes <= 1_100 * (256 + 8 + 128), "{bytes}");
}
