//! What a registry takes, counted by the allocator; `cargo run --release -p benches -- --registry` shows it for a million
//! keys.

mod common;

use std::sync::Arc;
use std::thread;

use allocation_counter::measure;
use common::*;
use tripcoil::{CircuitBreaker, Registry, State};

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

/// What a breaker and its name take by themselves, with the counts of their handles.
fn breaker_named(letters: usize) -> f64 {
    const COUNTS: usize = 2 * size_of::<usize>();
    let name = (COUNTS + letters).next_multiple_of(size_of::<usize>());
    as_f64(COUNTS + size_of::<CircuitBreaker>() + name)
}

fn as_f64(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap())
}

#[test]
fn a_registry_takes_at_most_60_bytes_for_each_key_beside_breaker_name_and_key() {
    let registry = registry(1 << 18);
    let bytes = per_key(held_after(|key| succeed(&registry.get(&key))));
    assert_eq!(registry.len() as u64, KEYS);
    let own = bytes - breaker_named(6) - as_f64(size_of::<u64>());
    println!("{KEYS} keys, used by one thread: {bytes:.0} bytes for each, {own:.0} of them the registry's own");
    assert!(own <= 60.0, "{own}");

    let use_again = || held_after(|key| registry.call_sync(&key, || Ok::<_, ()>(())).unwrap());
    let more = thread::scope(|scope| per_key(scope.spawn(use_again).join().unwrap()));
    println!("and used by a second one: {more:.0} bytes more");
    assert!(more < 129.0, "{more}");
}

#[test]
fn a_key_that_many_threads_use_now_and_then_takes_nothing_of_the_registry() {
    const THREADS: usize = 64;
    const EACH: usize = 3;
    let registry = registry(16);
    let handles = Arc::strong_count(&registry.get(&1));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    registry.call_sync(&1, || Ok::<_, ()>(())).unwrap();
                }
            });
        }
    });
    let breaker = registry.get(&1);
    assert_eq!(breaker.metrics().total_success_count, (THREADS * EACH) as u64);
    assert_eq!(Arc::strong_count(&breaker), handles);
}

#[test]
fn a_key_that_shares_its_text_with_the_name_has_it_once() {
    let hosts: Registry<Arc<str>> =
        Registry::builder(CircuitBreaker::builder("test")).capacity(1 << 18).name_by(Arc::clone).build().unwrap();
    let bytes = held_after(|key| succeed(&hosts.get(&Arc::from(format!("{key:020}.example")))));
    println!("{KEYS} keys of 28 letters: {:.0} bytes for each", per_key(bytes));
    // A second handle to the text, which the name has already.
    assert!(per_key(bytes) <= breaker_named(28) + as_f64(size_of::<Arc<str>>()) + 60.0, "{bytes}");
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
    assert_eq!(registry.len(), 1_024);
    assert!(bytes <= 1_100 * (256 + 8 + 128), "{bytes}");
}

/// Whoever picks the keys, host names say, must not fill the memory.
#[test]
fn a_million_keys_that_all_open_take_the_memory_of_a_thousand_and_cost_the_same_from_first_to_last() {
    const CAPACITY: usize = 1_000;
    const CHUNK: u64 = 100_000;
    let registry = registry(CAPACITY);
    let open = |key| registry.get(&key).transition_to(State::Open);
    let warm_up = measure(|| (0..CHUNK).for_each(open));
    let chunks: Vec<_> = (1..10).map(|chunk| measure(|| (chunk * CHUNK..(chunk + 1) * CHUNK).for_each(open))).collect();
    let (first, last) = (chunks[0], chunks[chunks.len() - 1]);
    println!(
        "{CAPACITY} breakers: {} bytes, {} allocations for each new key",
        warm_up.bytes_current,
        last.count_total / CHUNK
    );

    let metrics = registry.metrics();
    assert_eq!((metrics.open, registry.len()), (CAPACITY as u64, CAPACITY));
    assert_eq!((metrics.evicted_open, metrics.evicted_closed, metrics.unlisted), (10 * CHUNK - CAPACITY as u64, 0, 0));
    assert_eq!(metrics.transition_count, 10 * CHUNK);

    let bytes = warm_up.bytes_current + chunks.iter().map(|chunk| chunk.bytes_current).sum::<i64>();
    assert!(bytes <= 600 * i64::try_from(CAPACITY).unwrap(), "{bytes}");
    let peak = chunks.iter().map(|chunk| chunk.bytes_max).max().unwrap();
    assert!(peak <= 300_000, "{peak} bytes more than before a chunk");
    // What allocates no more and looks at no more than 16 breakers costs no more.
    assert!(last.count_total.abs_diff(first.count_total) <= CHUNK / 100, "{first:?} {last:?}");
    assert!(last.bytes_total.abs_diff(first.bytes_total) <= first.bytes_total / 20, "{first:?} {last:?}");
}
