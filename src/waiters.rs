use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[cfg(not(target_family = "wasm"))]
use event_listener::Listener;
use event_listener::{Event, EventListener};

use crate::panics::contain;
use crate::sync::thread_local;

/// Those who wait for something to happen.
///
/// `Event` calls wakers while it holds the lock of its list, and the drop of a waiting task takes that lock. So the
/// wakers that it is given only put the tasks' own wakers in a queue of this thread, and a thread that called `Event` runs
/// the queue once it has returned. No code of a user's runs under the lock.
pub(crate) struct Waiters(Event);

impl Waiters {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Waiters(Event::new())
        }
    }

    /// Joins them. `announce` touches the word, by a read-modify-write; what happens to the word after that ends the wait.
    pub(crate) fn listen(&self, announce: impl FnOnce()) -> Waiting {
        let listener = self.0.listen();
        // Either the next look at the word sees a swap, or a thread that makes the swap sees the listener.
        announce();
        Waiting { listener, _wakes_others: WakeQueued, waker: None }
    }

    /// Whether there are any. A thread that has swapped the word and finds none has nobody to wake: a thread that joins them
    /// later sees that swap.
    #[inline]
    pub(crate) fn are_there(&self) -> bool {
        self.0.total_listeners() > 0
    }

    /// Wakes until at least `waiters` of them are woken.
    pub(crate) fn notify(&self, waiters: usize) {
        self.0.notify(waiters);
        wake_queued();
    }

    /// Wakes `waiters` of those that are not woken yet.
    pub(crate) fn notify_additional(&self, waiters: usize) {
        self.0.notify_additional(waiters);
        wake_queued();
    }
}

/// One of them: await it, or block on it.
///
/// The fields are dropped in this order: a listener that was notified passes that on, then the next in line is woken.
/// The waker may be the last one of its task.
pub(crate) struct Waiting {
    listener: EventListener,
    _wakes_others: WakeQueued,
    waker: Option<Arc<Queueing>>,
}

#[cfg(not(target_family = "wasm"))]
impl Waiting {
    pub(crate) fn wait(self) {
        self.listener.wait();
    }

    /// Whether it was woken before the deadline; `None` is no deadline.
    #[cfg(not(loom))]
    pub(crate) fn wait_until(self, deadline: Option<std::time::Instant>) -> bool {
        let Some(deadline) = deadline else {
            self.wait();
            return true;
        };
        self.listener.wait_deadline(deadline).is_some()
    }

    /// In a model time stands still, and no deadline comes.
    #[cfg(loom)]
    pub(crate) fn wait_until(self, _deadline: Option<std::time::Instant>) -> bool {
        self.wait();
        true
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Waiting { listener, waker, .. } = self.get_mut();
        let queueing = match waker {
            Some(known) if known.0.will_wake(cx.waker()) => known.clone(),
            _ => Arc::new(Queueing(cx.waker().clone())),
        };
        // Kept until the listener has let go of it: the last waker of a task may drop that task.
        let former = waker.replace(queueing.clone());
        let poll = Pin::new(listener).poll(&mut Context::from_waker(&Waker::from(queueing)));
        drop(former);
        wake_queued();
        poll
    }
}

/// A task's waker, to be called where no lock is held.
struct Queueing(Waker);

impl Queueing {
    /// Wakes the task. A panic stops here: it would leave those who come after asleep.
    fn wake_now(self: Arc<Self>) {
        contain(move || self.0.wake_by_ref());
    }
}

impl Wake for Queueing {
    fn wake(self: Arc<Self>) {
        if QUEUED.try_with(|queued| queued.push(self.clone())).is_err() {
            // On some systems a thread that ends loses its values, whatever they are.
            self.wake_now();
        }
    }
}

/// The wakers that `Event` has called on this thread, and that have not run yet.
struct Queued {
    /// Without a destructor, so that it is there until the thread is gone. It owns no memory while it is empty.
    wakers: ManuallyDrop<RefCell<VecDeque<Arc<Queueing>>>>,
    /// How many runs of the queue there are, one within the other.
    depth: Cell<u32>,
}

thread_local! {
    static QUEUED: Queued = const {
        Queued { wakers: ManuallyDrop::new(RefCell::new(VecDeque::new())), depth: Cell::new(0) }
    };
}

impl Queued {
    /// A waker may use a breaker, which wakes others, whose wakers do the same. Each of these runs the queue itself, for
    /// its waker may then wait for one of those; but only so deep, since the stack is finite.
    const DEEPEST: u32 = 16;

    fn push(&self, waker: Arc<Queueing>) {
        self.wakers.borrow_mut().push_back(waker);
    }

    fn next(&self) -> Option<Arc<Queueing>> {
        let mut wakers = self.wakers.borrow_mut();
        let next = wakers.pop_front()?;
        if wakers.is_empty() {
            *wakers = VecDeque::new();
        }
        Some(next)
    }

    /// Whether there is something to run here, and not left to the run that this one is within.
    fn begin(&self) -> bool {
        let begins = !self.wakers.borrow().is_empty() && self.depth.get() < Self::DEEPEST;
        if begins {
            self.depth.set(self.depth.get() + 1);
        }
        begins
    }

    fn end(&self) {
        self.depth.set(self.depth.get() - 1);
    }
}

/// Runs the wakers that are queued on this thread. To be called after each use of `Event` that may call wakers, with
/// no lock held.
fn wake_queued() {
    if !matches!(QUEUED.try_with(Queued::begin), Ok(true)) {
        return;
    }
    while let Ok(Some(waker)) = QUEUED.try_with(Queued::next) {
        waker.wake_now();
    }
    let _ = QUEUED.try_with(Queued::end);
}

/// Runs them when it is dropped.
struct WakeQueued;

impl Drop for WakeQueued {
    fn drop(&mut self) {
        wake_queued();
    }
}
