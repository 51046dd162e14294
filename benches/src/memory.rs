//! What a breaker takes, and what a call allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::mem::size_of_val;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;

use crate::work::Lane;

/// The system's allocator. It counts when it is told to, so that it does not slow down the timed calls that
/// allocate.
struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(size: usize, sign: i64) {
    if ON.load(Ordering::Relaxed) {
        LIVE.fetch_add(sign * i64::try_from(size).unwrap_or(i64::MAX), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(u64::from(sign > 0), Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
// SAFETY: the system's allocator does the work, with the very layouts that came in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What one breaker takes, in bytes: itself, and what it holds on the heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) itself: i64,
    pub(crate) fresh: i64,
    pub(crate) after_one_thread: i64,
    pub(crate) after_eight_threads: i64,
}

impl Footprint {
    pub(crate) fn total(self, heap: i64) -> i64 {
        self.itself + heap
    }
}

const THREADS: usize = 8;
const CALLS: usize = 100;

fn live() -> i64 {
    LIVE.load(Ordering::Relaxed)
}

fn repeat(call: &impl Fn()) {
    for _ in 0..CALLS {
        call();
    }
}

/// Measures a breaker that makes a call when it is called.
///
/// Each thread has made calls through another breaker before, so that what it holds once for all breakers is
/// not counted.
pub(crate) fn footprint<C: Fn() + Send + Sync>(make: impl Fn() -> C) -> Footprint {
    let earlier = make();
    repeat(&earlier);
    ON.store(true, Ordering::Relaxed);

    let before = live();
    let breaker = make();
    let fresh = live() - before;
    repeat(&breaker);
    let after_one_thread = live() - before;
    let itself = i64::try_from(size_of_val(&breaker)).expect("small");

    // Once is not enough: a table that all breakers share may grow at the first contention.
    let after_eight_threads = (0..3).map(|_| after_eight_threads(&earlier, &make)).min().expect("three");

    ON.store(false, Ordering::Relaxed);
    Footprint { itself, fresh, after_one_thread, after_eight_threads }
}

/// The bytes on the heap that `work` leaves behind.
pub(crate) fn held_after(work: impl FnOnce()) -> i64 {
    ON.store(true, Ordering::Relaxed);
    let before = live();
    work();
    let held = live() - before;
    ON.store(false, Ordering::Relaxed);
    held
}

/// The heap that a breaker holds after use by eight threads at a time.
fn after_eight_threads<C: Fn() + Send + Sync>(earlier: &C, make: impl Fn() -> C) -> i64 {
    let barrier = Barrier::new(THREADS + 1);
    let shared = OnceLock::new();
    thread::scope(|scope| {
        let user = || {
            repeat(earlier);
            barrier.wait();
            barrier.wait();
            repeat(shared.get().expect("made between the barriers"));
            barrier.wait();
            barrier.wait();
        };
        let users = [(); THREADS].map(|()| scope.spawn(user));
        barrier.wait();
        let before = live();
        let _ = shared.set(make());
        barrier.wait();
        barrier.wait();
        let after = live() - before;
        barrier.wait();
        // The scope's end does not wait for what a thread frees when it ends.
        for user in users {
            user.join().expect("no call panics");
        }
        after
    })
}

/// How often a call allocates, after the first ones.
pub(crate) fn allocations(lane: &Lane) -> f64 {
    const CALLS: u32 = 1_000;
    lane(u64::from(CALLS));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    lane(u64::from(CALLS));
    ON.store(false, Ordering::Relaxed);
    let count = u32::try_from(ALLOCATIONS.load(Ordering::Relaxed) - before).expect("few");
    f64::from(count) / f64::from(CALLS)
}
