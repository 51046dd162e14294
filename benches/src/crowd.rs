//! Threads that are alive: each does what it is told, and sleeps in between.

use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::{Arc, Barrier, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::timing::alone;
use crate::work::Lane;

/// A number of threads. What they are told to do, they do in the order of their numbers, or all at a time.
pub(crate) struct Crowd(Vec<Member>);

struct Member {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where a member finds what to do.
struct Desk {
    order: Mutex<Order>,
    changed: Condvar,
}

type Job = Arc<dyn Fn() + Send + Sync>;

enum Order {
    Wait,
    Work(Job),
    Leave,
}

/// A thousand stacks.
const STACK: usize = 128 * 1024;

impl Crowd {
    pub(crate) fn new(members: usize) -> Self {
        Crowd((0..members).map(|_| Member::new()).collect())
    }

    /// The first ones do it, one after the other.
    pub(crate) fn one_by_one(&self, members: usize, job: impl Fn() + Send + Sync + 'static) {
        let job: Job = Arc::new(job);
        for member in &self.0[..members] {
            member.begin(Arc::clone(&job));
            member.finish();
        }
    }

    /// The first ones do it, from a common signal on.
    pub(crate) fn together(&self, members: usize, job: impl Fn() + Send + Sync + 'static) {
        let barrier = Barrier::new(members);
        let job: Job = Arc::new(move || {
            barrier.wait();
            job();
        });
        for member in &self.0[..members] {
            member.begin(Arc::clone(&job));
        }
        for member in &self.0[..members] {
            member.finish();
        }
    }

    /// How long one member takes for `calls` calls.
    pub(crate) fn time(&self, member: usize, lane: &Arc<Lane>, calls: u64) -> Duration {
        let took = Arc::new(Mutex::new(Duration::ZERO));
        let (lane, noted) = (Arc::clone(lane), Arc::clone(&took));
        let member = &self.0[member];
        member.begin(Arc::new(move || *lock(&noted) = alone(&lane, calls)));
        member.finish();
        *lock(&took)
    }
}

impl Member {
    fn new() -> Self {
        let desk = Arc::new(Desk { order: Mutex::new(Order::Wait), changed: Condvar::new() });
        let own = Arc::clone(&desk);
        let thread = Builder::new().stack_size(STACK).spawn(move || own.work()).expect("the system has threads left");
        Member { desk, thread: Some(thread) }
    }

    fn begin(&self, job: Job) {
        self.desk.put(Order::Work(job));
    }

    fn finish(&self) {
        let order = lock(&self.desk.order);
        let is_busy = |order: &mut Order| !matches!(order, Order::Wait);
        drop(self.desk.changed.wait_while(order, is_busy).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.desk.put(Order::Leave);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Desk {
    fn put(&self, order: Order) {
        *lock(&self.order) = order;
        self.changed.notify_all();
    }

    fn work(&self) {
        loop {
            let order = lock(&self.order);
            let is_idle = |order: &mut Order| matches!(order, Order::Wait);
            let order = self.changed.wait_while(order, is_idle).unwrap_or_else(PoisonError::into_inner);
            let job = match &*order {
                Order::Work(job) => Arc::clone(job),
                Order::Wait | Order::Leave => return,
            };
            drop(order);
            // Whoever waits for the job would wait for ever.
            if panic::catch_unwind(AssertUnwindSafe(|| job())).is_err() {
                process::abort();
            }
            drop(job);
            self.put(Order::Wait);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
