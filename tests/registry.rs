//! A breaker for each key: made once, bounded in number, and never lost while it is in use.

mod common;

use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use common::*;
use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Config, Registry, State};

fn registry(capacity: usize) -> Registry<u64> {
    Registry::builder(CircuitBreaker::builder("test")).capacity(capacity).build().unwrap()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not ready"),
    }
}

/// Asks for keys until whatever can be evicted is.
fn crowd_out(registry: &Registry<u64>) {
    for key in 1_000_000..1_010_000 {
        for _ in 0..3 {
            succeed(&registry.get(&key));
        }
    }
}

#[test]
fn a_key_has_one_breaker_and_another_key_another() {
    let hosts: Registry<String> = Registry::new("hosts");
    assert!(hosts.is_empty() && hosts.find("a").is_none());
    fail(&hosts.get("a"));
    succeed(&hosts.get("b"));
    assert_eq!(hosts.len(), 2);
    assert!(Arc::ptr_eq(&hosts.get("a"), &hosts.find("a").unwrap()));
    assert_eq!(hosts.get("a").metrics().total_error_count, 1);
    assert_eq!(hosts.get("b").metrics().total_error_count, 0);
    assert_eq!((hosts.name(), hosts.get("a").name()), ("hosts", "a"));
}

#[test]
fn all_breakers_have_the_settings_of_the_template_and_tell_their_own_names() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = told.clone();
    let template = CircuitBreaker::builder("test")
        .error_threshold(2)
        .on_transition(move |transition| sink.lock().unwrap().push((transition.name.to_string(), transition.sequence)));
    let registry: Registry<u64> = Registry::builder(template).build().unwrap();
    for key in [7, 8] {
        fail(&registry.get(&key));
        assert_eq!(registry.get(&key).state(), State::Closed);
        fail(&registry.get(&key));
        assert_eq!(registry.get(&key).try_acquire().unwrap_err().name(), key.to_string());
    }
    assert_eq!(*told.lock().unwrap(), [("7".to_owned(), 1), ("8".to_owned(), 1)]);
}

#[test]
fn a_name_can_be_made_of_a_key_that_cannot_be_displayed_alike() {
    let names = Registry::builder(CircuitBreaker::builder("test")).name_by(|key: &u64| format!("tenant {key}"));
    assert_eq!(names.build().unwrap().get(&3).name(), "tenant 3");
}

#[test]
fn threads_that_ask_at_the_same_time_get_the_same_breaker() {
    const THREADS: usize = 8;
    let registry = registry(1024);
    let together = Barrier::new(THREADS);
    let found: HashSet<usize> = thread::scope(|scope| {
        let ask = || {
            together.wait();
            (0..100).map(|key| Arc::as_ptr(&registry.get(&key)).addr()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((found.len(), registry.len()), (100, 100));
}

#[test]
fn there_are_as_many_breakers_as_the_capacity_says_and_no_more() {
    for capacity in [1, 2, 33, 100, 1024] {
        let registry = registry(capacity);
        crowd_out(&registry);
        assert_eq!(registry.len(), capacity);
        let metrics = registry.metrics();
        assert_eq!((metrics.closed, metrics.unlisted), (capacity as u64, 0));
        assert_eq!(metrics.evicted_closed, 10_000 - capacity as u64);
    }
}

#[test]
fn a_breaker_that_is_held_or_has_a_call_in_flight_or_is_forced_is_never_evicted() {
    let registry = registry(16);
    let held = registry.get(&1);
    let weakly_held = Arc::downgrade(&registry.get(&2));
    let permit = registry.get(&3).try_acquire_owned().unwrap();
    let keyed = registry.try_acquire(&4).unwrap();
    let future = registry.call(&5, std::future::pending::<Result<(), ()>>());
    let mut future = Box::pin(future);
    assert!(poll(future.as_mut()).is_pending());
    registry.get(&6).force_open();
    registry.get(&7).force_closed();
    crowd_out(&registry);
    assert!(Arc::ptr_eq(&held, &registry.get(&1)));
    assert!(Arc::ptr_eq(&weakly_held.upgrade().unwrap(), &registry.get(&2)));
    permit.failure();
    assert_eq!(registry.find(&3).expect("kept").metrics().total_error_count, 1);
    keyed.failure();
    assert_eq!(registry.find(&4).expect("kept").metrics().total_error_count, 1);
    drop(future);
    assert_eq!(registry.find(&5).expect("kept").metrics().total_dropped_count, 1);
    drop((held, weakly_held));
    crowd_out(&registry);
    assert!([1, 2, 3, 4, 5].iter().all(|key| registry.find(key).is_none()));
    assert_eq!(registry.find(&6).expect("kept").state(), State::ForcedOpen);
    assert_eq!(registry.find(&7).expect("kept").state(), State::ForcedClosed);
}

#[test]
fn closed_breakers_are_evicted_first_then_overdue_ones_then_half_open_then_open_ones() {
    let clock = ManualClock::new();
    let template = CircuitBreaker::builder("test").clock(clock.clone());
    let registry: Registry<u64> = Registry::builder(template).capacity(8).build().unwrap();
    registry.get(&0).open_for(3 * SECOND);
    registry.get(&1).open_for(9 * SECOND);
    registry.get(&2).transition_to(State::HalfOpen);
    registry.get(&3).open_for(2 * SECOND);
    registry.get(&4).open_for(8 * SECOND);
    for key in [5, 6, 7] {
        registry.get(&key);
    }
    clock.advance(5 * SECOND);
    // The first new key finds all of them used, and takes the place of the first that is closed.
    registry.get(&100).force_open();
    assert!(registry.find(&5).is_none());
    // Now one of the closed ones is used.
    registry.get(&6);
    let order = [7, 6, 3, 0, 2, 4, 1];
    for (new, evicted) in (101..).zip(order) {
        assert!(registry.iter().any(|(key, _)| key == evicted), "{evicted}");
        registry.get(&new).force_open();
        assert!(registry.iter().all(|(key, _)| key != evicted), "{evicted}");
        assert_eq!(registry.len(), 8);
    }
    let metrics = registry.metrics();
    assert_eq!((metrics.evicted_closed, metrics.evicted_open, metrics.gone), (3, 5, 8));
    assert_eq!((metrics.forced_open, metrics.unlisted), (8, 0));
}

#[test]
fn a_key_without_room_gets_a_breaker_that_works_and_is_not_listed() {
    let registry = registry(4);
    let held: Vec<_> = (0..4).map(|key| registry.get(&key)).collect();
    let unlisted = registry.get(&9);
    for _ in 0..5 {
        fail(&unlisted);
    }
    assert_eq!((unlisted.state(), unlisted.name()), (State::Open, "9"));
    assert!(registry.find(&9).is_none() && !Arc::ptr_eq(&registry.get(&9), &unlisted));
    assert_eq!(registry.call_sync(&9, || Ok::<_, ()>(7)), Ok(7));
    let metrics = registry.metrics();
    assert_eq!((metrics.unlisted, metrics.gone, registry.len()), (3, 0, 4));
    assert_eq!((metrics.total_error_count, metrics.total_success_count, metrics.transition_count), (5, 1, 1));
    drop((held, unlisted));
    registry.get(&9);
    assert!(registry.find(&9).is_some());
    let metrics = registry.metrics();
    assert_eq!((metrics.unlisted, metrics.evicted_closed, registry.len()), (3, 1, 4));
    assert_eq!((metrics.total_error_count, metrics.total_success_count), (5, 1));
}

/// Calls for `key` until this thread has a handle of its own.
fn earn_a_handle(registry: &Registry<u64>, key: u64) {
    let handles = Arc::strong_count(&registry.get(&key));
    for _ in 0..1_000_000 {
        registry.call_sync(&key, || Ok::<_, ()>(())).unwrap();
        if Arc::strong_count(&registry.get(&key)) > handles {
            return;
        }
    }
    panic!("no handle was earned");
}

#[test]
fn a_breaker_that_a_thread_uses_often_is_evicted_like_any_other() {
    let registry = registry(16);
    earn_a_handle(&registry, 1);
    let former = registry.metrics().total_success_count;
    crowd_out(&registry);
    assert!(registry.find(&1).is_none());
    assert_eq!(registry.metrics().total_success_count, former + 30_000);
    // The thread's own handle is to a breaker that was evicted: the key has another one.
    registry.call_sync(&1, || Err::<(), _>(())).unwrap_err();
    assert_eq!(registry.find(&1).expect("made").metrics().total_error_count, 1);
}

#[test]
fn a_breaker_that_a_thread_uses_often_is_not_evicted_with_a_call_in_flight() {
    let registry = registry(16);
    earn_a_handle(&registry, 1);
    registry
        .call_sync(&1, || {
            crowd_out(&registry);
            Err::<(), _>(())
        })
        .unwrap_err();
    assert_eq!(registry.find(&1).expect("kept").metrics().total_error_count, 1);
    let permit = registry.try_acquire(&1).unwrap();
    crowd_out(&registry);
    thread::scope(|scope| {
        scope.spawn(|| permit.failure());
    });
    assert_eq!(registry.find(&1).expect("kept").metrics().total_error_count, 2);
}

#[test]
fn a_thread_that_ends_lets_go_of_its_handles() {
    let registry = registry(16);
    let breaker = registry.get(&1);
    let handles = Arc::strong_count(&breaker);
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            earn_a_handle(&registry, 1);
            assert_eq!(Arc::strong_count(&breaker), handles + 1);
        });
        // The end of the scope alone does not wait for what the thread drops last.
        user.join().unwrap();
    });
    assert_eq!(Arc::strong_count(&breaker), handles);
}

#[test]
fn a_thread_lets_go_of_an_evicted_breaker_when_it_earns_another_handle() {
    let registry = registry(1);
    earn_a_handle(&registry, 1);
    let removed = registry.remove(&1).unwrap();
    // The map frees what it drops in batches.
    crowd_out(&registry);
    assert_eq!(Arc::strong_count(&removed), 2, "this one and the thread's own");
    earn_a_handle(&registry, 2);
    assert_eq!(Arc::strong_count(&removed), 1);
}

#[test]
fn a_call_in_flight_on_a_breaker_that_is_gone_is_in_the_sums() {
    let registry = registry(16);
    let permit = registry.try_acquire(&1).unwrap();
    let unfinished = registry.call_sync(&1, || {
        assert_eq!(registry.metrics().active_calls, 2);
        registry.remove(&1);
        assert_eq!(registry.metrics().active_calls, 2);
        registry.get(&1).force_open();
        Err::<(), _>("late")
    });
    assert!(!unfinished.unwrap_err().is_rejected());
    let metrics = registry.metrics();
    assert_eq!((metrics.total_error_count, metrics.active_calls, metrics.gone), (1, 1, 1));
    permit.success();
    let metrics = registry.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count, metrics.active_calls), (1, 1, 0));
    assert_eq!(registry.find(&1).unwrap().metrics().total_error_count, 0);
}

#[test]
fn no_call_is_lost_from_the_sums_while_threads_evict_each_others_keys() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 30_000;
    let registry = registry(20);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let registry = &registry;
            scope.spawn(move || {
                let mut state = thread + 1;
                for call in 0..CALLS {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Some keys often, many seldom.
                    let key = if call % 2 == 0 { (state >> 60) % 4 } else { state >> 54 };
                    let outcome = match state >> 62 {
                        0 => registry.call_sync(&key, || Err::<(), _>(())).is_err(),
                        1 => registry.try_acquire(&key).map(tripcoil::KeyedPermit::ignore).is_err(),
                        2 => registry.get(&key).call_sync(|| Ok::<_, ()>(())).is_err(),
                        _ => registry.call_sync(&key, || Ok::<_, ()>(())).is_err(),
                    };
                    std::hint::black_box(outcome);
                }
            });
        }
    });
    let metrics = registry.metrics();
    let outcomes = metrics.total_success_count + metrics.total_error_count + metrics.total_ignored_count;
    assert_eq!(outcomes + metrics.total_rejected_count, THREADS * CALLS);
    assert_eq!((metrics.active_calls, registry.len()), (0, 20));
    assert!(metrics.gone > 1_000 && metrics.total_error_count > 0, "{metrics:?}");
}

#[test]
fn no_key_has_two_listed_breakers_while_threads_evict() {
    let registry = registry(32);
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let registry = &registry;
            scope.spawn(move || {
                for round in 0..20_000 {
                    let key = round * 7 % 50 + thread % 2;
                    let held = registry.get(&key);
                    registry.get(&(1_000 + round * 4 + thread));
                    // As long as it is held, it stays the breaker of its key.
                    assert!(Arc::ptr_eq(&held, &registry.get(&key)));
                    assert!(Arc::ptr_eq(&held, &registry.find(&key).expect("held")));
                }
            });
        }
    });
    let metrics = registry.metrics();
    assert_eq!((metrics.unlisted, registry.len()), (0, 32));
    let keys: HashSet<_> = registry.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), 32);
}

#[test]
fn a_breaker_that_was_found_stays_listed_while_others_are_about_to_evict_it() {
    const ROUNDS: u64 = 200_000;
    // Each new key finds at most one other breaker to evict.
    let registry = registry(2);
    let found = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (registry, found) = (&registry, &found);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let new = registry.get(&(2 + round * 2 + thread));
                    drop(new);
                }
            });
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let Some(held) = registry.find(&thread) else {
                        registry.get(&thread);
                        continue;
                    };
                    found.fetch_add(1, Ordering::Relaxed);
                    let again = registry.find(&thread).expect("it is held");
                    assert!(Arc::ptr_eq(&held, &again));
                }
            });
        }
    });
    assert!(found.into_inner() > 0);
}

/// Hashes a number to its lowest bits, moved up.
#[derive(Clone)]
struct Weak {
    bits: u32,
    shift: u32,
}

struct WeakHasher(Weak, u64);

impl std::hash::BuildHasher for Weak {
    type Hasher = WeakHasher;

    fn build_hasher(&self) -> WeakHasher {
        WeakHasher(self.clone(), 0)
    }
}

impl std::hash::Hasher for WeakHasher {
    fn finish(&self) -> u64 {
        self.1
    }

    fn write(&mut self, bytes: &[u8]) {
        let number = u64::from_ne_bytes(bytes.try_into().unwrap());
        self.1 = (number & ((1 << self.0.bits) - 1)) << self.0.shift;
    }
}

#[test]
fn keys_of_equal_or_weak_hashes_are_told_apart() {
    // Three bits: each hash is that of five listed keys. The others differ in their highest or lowest bits only.
    for (bits, shift) in [(3, 0), (32, 0), (32, 32), (16, 20)] {
        let builder = Registry::builder(CircuitBreaker::builder("test")).capacity(40);
        let registry: Registry<u64, Weak> = builder.hasher(Weak { bits, shift }).build().unwrap();
        for key in 0..100 {
            for _ in 0..=key {
                registry.call_sync(&key, || Ok::<_, ()>(())).unwrap();
            }
        }
        assert_eq!(registry.len(), 40);
        for (key, breaker) in registry.iter() {
            assert_eq!(breaker.metrics().total_success_count, key + 1);
            assert_eq!(breaker.name(), key.to_string());
        }
        assert_eq!(registry.metrics().total_success_count, 5_050);
    }
}

#[test]
fn keyed_calls_count_as_those_of_a_breaker() {
    let hosts: Registry<String> = Registry::new("hosts");
    assert_eq!(hosts.call_sync("a", || Ok::<_, ()>(7)), Ok(7));
    let judge = |_: &Result<u16, ()>| tripcoil::Outcome::Failure;
    assert_eq!(hosts.call_sync_with("a", || Ok(503), judge), Ok(503));
    assert_eq!(ready(hosts.call("a", async { Ok::<_, ()>(8) })), Ok(8));
    assert_eq!(ready(hosts.call_with("a", async { Ok(502) }, judge)), Ok(502));
    let judged = hosts.judging(judge);
    assert_eq!(judged.call_sync("a", || Ok(503)), Ok(503));
    assert_eq!(ready(judged.clone().call("a", async { Ok(503) })), Ok(503));
    let ignoring = hosts.ignoring(|error: &&str| *error == "not found");
    assert!(ignoring.call_sync("a", || Err::<(), _>("not found")).is_err());
    assert!(ready(ignoring.call("a", async { Err::<(), _>("down") })).is_err());
    assert_eq!(format!("{ignoring:?}"), r#"GuardedRegistry { registry: Registry { name: "hosts", .. }, .. }"#);
    hosts.try_acquire("a").unwrap().ignore();
    drop(hosts.try_acquire("a").unwrap());
    drop(hosts.call("a", async { Ok::<_, ()>(8) }));
    let metrics = hosts.get("a").metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count), (2, 5));
    assert_eq!((metrics.total_ignored_count, metrics.total_dropped_count, metrics.active_calls), (2, 1, 0));
    hosts.get("a").force_open();
    assert!(hosts.call_sync("a", || Ok::<_, ()>(())).unwrap_err().is_rejected());
    assert!(ready(hosts.call("a", async { Ok::<_, ()>(()) })).unwrap_err().is_rejected());
    assert_eq!(hosts.try_acquire("a").unwrap_err().name(), "a");
    assert_eq!(hosts.get("a").metrics().total_rejected_count, 3);
}

#[test]
fn a_keyed_call_that_waits_can_go_to_another_thread() {
    let registry = registry(16);
    for often in [false, true] {
        if often {
            earn_a_handle(&registry, 1);
        }
        let before = registry.get(&1).metrics().total_error_count;
        let mut is_first = true;
        let op = std::future::poll_fn(move |_| {
            if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(Err::<(), _>("late")) }
        });
        let mut call = Box::pin(registry.call(&1, op));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(registry.get(&1).metrics().active_calls, 1);
        let result = thread::scope(|scope| scope.spawn(move || poll(call.as_mut())).join().unwrap());
        assert_eq!(result, Poll::Ready(Err(tripcoil::Error::Inner("late"))));
        let metrics = registry.get(&1).metrics();
        assert_eq!((metrics.total_error_count, metrics.active_calls), (before + 1, 0));
    }
}

#[test]
fn a_panic_in_a_keyed_call_is_a_failure() {
    let registry = registry(16);
    let panics = || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = registry.call_sync(&1, || -> Result<(), ()> { panic!("by design") });
        }))
    };
    assert!(panics().is_err());
    let polls = || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ready(registry.call(&1, async { if true { panic!("by design") } else { Ok::<(), ()>(()) } }))
        }))
    };
    assert!(polls().is_err());
    let metrics = registry.get(&1).metrics();
    assert_eq!((metrics.total_error_count, metrics.active_calls), (2, 0));
}

#[test]
#[should_panic(expected = "`KeyedCall` was polled after it had finished")]
fn a_keyed_call_that_has_finished_panics_when_polled_again() {
    let registry = registry(16);
    let mut call = Box::pin(registry.call(&1, async { Ok::<(), ()>(()) }));
    assert!(poll(call.as_mut()).is_ready());
    let _ = poll(call.as_mut());
}

#[test]
fn a_name_that_panics_leaves_nothing_behind() {
    let registry = Registry::builder(CircuitBreaker::builder("test")).name_by(|key: &u64| {
        assert!(*key != 1, "by design");
        key.to_string()
    });
    let registry = registry.build().unwrap();
    let get = |key| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| registry.get(&key)));
    assert!(get(1).is_err() && get(1).is_err() && get(2).is_ok());
    assert_eq!(registry.len(), 1);
}

#[test]
fn a_function_that_names_or_keeps_may_use_the_registry() {
    let registry: Arc<std::sync::OnceLock<Registry<u64>>> = Arc::default();
    let within = registry.clone();
    let built = Registry::builder(CircuitBreaker::builder("test")).name_by(move |key: &u64| match key {
        0 => "zero".to_owned(),
        _ => format!("{} + 1", within.get().unwrap().get(&(key - 1)).name()),
    });
    let registry = registry.get_or_init(|| built.build().unwrap());
    assert_eq!(registry.get(&3).name(), "zero + 1 + 1 + 1");
    registry.retain(|key, _| registry.find(key).is_some() && registry.get(&9).try_acquire().is_ok() && *key > 1);
    assert!(registry.find(&0).is_none() && registry.find(&3).is_some());
}

#[test]
fn a_breaker_that_is_held_and_opens_under_churn_is_found_open_by_everyone() {
    const KEYS: u64 = 50;
    let registry = registry(256);
    let (done, held) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for churner in 1..=2_u64 {
            let (registry, done) = (&registry, &done);
            scope.spawn(move || {
                let mut key = churner << 32;
                while done.load(Ordering::Relaxed) < 2 {
                    succeed(&registry.get(&key));
                    key += 1;
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for key in 0..KEYS {
                    held.lock().unwrap().push(registry.get(&key));
                    for _ in 0..5 {
                        // The look-up and the call are two steps, between which the handle is held.
                        let breaker = registry.get(&key);
                        if let Ok(permit) = breaker.try_acquire() {
                            thread::yield_now();
                            permit.record(tripcoil::Outcome::Trip { open_for: SECOND * 3_600 });
                        }
                    }
                    assert_eq!(registry.get(&key).state(), State::Open, "key {key}");
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert!((0..KEYS).all(|key| registry.find(&key).expect("kept").state() == State::Open));
    assert_eq!(registry.metrics().open, KEYS);
}

#[test]
fn the_sums_are_exact_whatever_was_evicted_removed_or_reset() {
    let registry = registry(16);
    for key in 0..1_000 {
        succeed(&registry.get(&key));
        fail(&registry.get(&key));
    }
    registry.get(&5).force_open();
    assert!(registry.get(&5).try_acquire().is_err());
    registry.get(&6).reset();
    assert!(registry.remove(&6).is_some() && registry.remove(&6).is_none());
    let metrics = registry.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count), (1_000, 1_000));
    assert_eq!((metrics.forced_open, metrics.open, metrics.half_open, metrics.forced_closed), (1, 0, 0, 0));
    assert_eq!((metrics.total_rejected_count, metrics.transition_count), (1, 1));
    assert_eq!(metrics.closed + metrics.forced_open, registry.len() as u64);
    registry.retain(|_, _| false);
    let metrics = registry.metrics();
    assert_eq!((metrics.closed, metrics.total_success_count, metrics.total_rejected_count), (0, 1_000, 1));
}

#[test]
fn the_sums_never_go_down_while_breakers_come_and_go() {
    let registry = registry(16);
    let is_done = AtomicUsize::new(0);
    thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for key in 0..30_000 {
                succeed(&registry.get(&key));
            }
            is_done.store(1, Ordering::Release);
        });
        let mut last = 0;
        while is_done.load(Ordering::Acquire) == 0 {
            let sum = registry.metrics().total_success_count;
            assert!(sum >= last, "{sum} after {last}");
            last = sum;
        }
        churn.join().unwrap();
    });
    assert_eq!(registry.metrics().total_success_count, 30_000);
}

#[test]
fn a_look_at_all_breakers_keeps_no_new_key_from_being_listed() {
    let clock = CountingClock::default();
    let template = CircuitBreaker::builder("test").clock(clock.clone());
    let registry: Arc<Registry<u64>> = Arc::new(Registry::builder(template).capacity(100).build().unwrap());
    for key in 0..100 {
        registry.get(&key);
    }
    for (new, (_, breaker)) in (1_000..).zip(registry.iter()) {
        drop(registry.get(&new));
        assert!(registry.find(&new).is_some_and(|found| !Arc::ptr_eq(&found, &breaker)));
    }
    // The clock is the user's, and asks for new keys while the worst breakers are looked for.
    for (_, breaker) in registry.iter() {
        breaker.open_for(SECOND);
    }
    *clock.0.lock().unwrap() = Some((registry.clone(), 2_000));
    assert_eq!(registry.worst(10).len(), 10);
    let asked = clock.0.lock().unwrap().take().unwrap().1;
    assert!(asked > 2_000, "the metrics of an open breaker read the clock");
    assert_eq!((registry.metrics().unlisted, registry.len()), (0, 100));
}

type Asking = Option<(Arc<Registry<u64>>, u64)>;

/// A clock that asks for a new key at each reading.
#[derive(Clone, Default)]
struct CountingClock(Arc<Mutex<Asking>>);

impl tripcoil::Clock for CountingClock {
    fn now(&self) -> std::time::Duration {
        let asking = self.0.lock().unwrap().take();
        if let Some((registry, new)) = asking {
            registry.get(&new);
            *self.0.lock().unwrap() = Some((registry, new + 1));
        }
        SECOND
    }
}

#[test]
fn the_worst_come_first() {
    let registry: Registry<String> =
        Registry::builder(CircuitBreaker::builder("test").error_threshold(10)).build().unwrap();
    for (key, failures) in [("fine", 0), ("shaky", 2), ("bad", 7), ("worse", 8)] {
        succeed(&registry.get(key));
        for _ in 0..failures {
            fail(&registry.get(key));
        }
    }
    registry.get("off").force_open();
    registry.get("through").force_closed();
    let names: Vec<_> = registry.worst(4).into_iter().map(|metrics| metrics.name.to_string()).collect();
    assert_eq!(names, ["off", "worse", "bad", "shaky"]);
    assert_eq!(registry.worst(100).len(), 6);
}

#[test]
fn a_removed_breaker_stays_valid_for_those_who_hold_it() {
    let registry = registry(16);
    let held = registry.get(&1);
    held.force_open();
    assert!(Arc::ptr_eq(&registry.remove(&1).unwrap(), &held));
    assert_eq!((held.state(), registry.get(&1).state()), (State::ForcedOpen, State::Closed));
}

#[test]
fn the_capacity_is_held_to_its_range() {
    for (capacity, text) in [(0, "0"), (1 << 25, "33554432")] {
        let refused = Registry::<u64>::builder(CircuitBreaker::builder("test")).capacity(capacity).build();
        assert_eq!(refused.unwrap_err().to_string(), format!("`capacity` is {text}, allowed is 1 to 16777216"));
    }
    let refused = Registry::<u64>::builder(CircuitBreaker::builder("test").success_threshold(0)).build();
    assert_eq!(refused.unwrap_err().setting(), "success_threshold");
}

#[test]
fn a_registry_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Registry::<String>::new("test"));
}

fn opening_after(errors: u32) -> Config {
    let mut config = Config::default();
    config.error_threshold = Some(Some(errors));
    config
}

#[test]
fn new_settings_reach_the_breakers_that_are_here_and_those_that_come() {
    let registry = registry(16);
    fail(&registry.get(&1));
    registry.reconfigure(opening_after(2)).unwrap();
    fail(&registry.get(&1));
    assert_eq!(registry.get(&1).state(), State::Open, "its first error still counts");
    fail(&registry.get(&2));
    assert_eq!(registry.get(&2).state(), State::Closed);
    fail(&registry.get(&2));
    assert_eq!(registry.get(&2).state(), State::Open);
}

#[test]
fn settings_that_make_no_sense_change_nothing() {
    let registry = registry(16);
    registry.reconfigure(opening_after(1)).unwrap();
    let error = registry.reconfigure(opening_after(0)).unwrap_err();
    assert_eq!(error.setting(), "error_threshold");
    fail(&registry.get(&1));
    assert_eq!(registry.get(&1).state(), State::Open);
}

#[test]
fn observers_and_clock_stay_when_settings_change() {
    let recorder = Recorder::default();
    let clock = ManualClock::new();
    let template = CircuitBreaker::builder("test").clock(clock.clone()).on_transition(recorder.observer());
    let registry: Registry<u64> = Registry::builder(template).build().unwrap();
    registry.reconfigure(opening_after(1)).unwrap();
    clock.advance(7 * SECOND);
    fail(&registry.get(&5));
    assert_eq!(recorder.seen()[0].at, 7 * SECOND);
}

#[test]
fn a_breaker_that_is_made_while_settings_change_has_the_last_ones() {
    let (is_made, is_changed) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let waits = (is_made.clone(), is_changed.clone());
    let registry = Registry::builder(CircuitBreaker::builder("test"))
        .name_by(move |key: &u64| {
            waits.0.wait();
            waits.1.wait();
            key.to_string()
        })
        .build()
        .unwrap();
    thread::scope(|scope| {
        let maker = scope.spawn(|| registry.get(&1));
        is_made.wait();
        for errors in [3, 1] {
            registry.reconfigure(opening_after(errors)).unwrap();
        }
        is_changed.wait();
        fail(&maker.join().unwrap());
    });
    assert_eq!(registry.get(&1).state(), State::Open);
}

#[test]
fn observers_are_told_of_the_breakers_that_are_made_and_of_those_that_go() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let gone = Arc::new(Mutex::new(Vec::new()));
    let (made_sink, gone_sink) = (made.clone(), gone.clone());
    let registry: Registry<u64> = Registry::builder(CircuitBreaker::builder("test"))
        .capacity(2)
        .on_make(move |breaker| made_sink.lock().unwrap().push(breaker.name().to_owned()))
        .on_evict(move |breaker| gone_sink.lock().unwrap().push(breaker.name().to_owned()))
        .build()
        .unwrap();
    for key in [1, 2, 1] {
        registry.get(&key);
    }
    assert_eq!(*made.lock().unwrap(), ["1", "2"]);
    registry.remove(&1);
    assert_eq!(*gone.lock().unwrap(), ["1"]);
    for key in [3, 4] {
        registry.get(&key);
    }
    assert_eq!(*made.lock().unwrap(), ["1", "2", "3", "4"]);
    assert_eq!(gone.lock().unwrap().len(), 2, "one had to go for the last one");
}

#[test]
fn an_observer_of_a_registry_may_use_it_and_hears_nothing_once_it_is_dropped() {
    let registry: Arc<Registry<u64>> = Arc::new(registry(8));
    let (count, inner) = (Arc::new(AtomicUsize::new(0)), registry.clone());
    let sink = count.clone();
    let observing = registry.observe(move |_| {
        sink.fetch_add(1, Ordering::Relaxed);
        inner.get(&7);
        panic!("and may panic");
    });
    registry.get(&1);
    assert_eq!((count.load(Ordering::Relaxed), registry.len()), (2, 2));
    drop(observing);
    registry.get(&2);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}
