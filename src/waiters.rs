use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[cfg(not(target_family = "wasm"))]
use event_listener::Listener;
use event_listener::{Event, EventListener};

use crate::panics::contain;

/// Those who wait for something to happen.
pub(crate) struct Waiters(Event);

impl Waiters {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Waiters(Event::new())
        }
    }

    /// Joins them. What happens from now on ends the wait.
    pub(crate) fn listen(&self) -> Waiting {
        Waiting { listener: self.0.listen(), waker: None }
    }

    /// Sees to it that at least so many of them are woken.
    pub(crate) fn notify(&self, waiters: usize) {
        self.0.notify(waiters);
    }

    /// Wakes so many of those who are not woken yet.
    pub(crate) fn notify_additional(&self, waiters: usize) {
        self.0.notify_additional(waiters);
    }
}

/// One of them: await it, or block on it.
pub(crate) struct Waiting {
    listener: EventListener,
    waker: Option<Arc<Contained>>,
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
        let Waiting { listener, waker } = self.get_mut();
        let known = waker.take().filter(|known| known.0.will_wake(cx.waker()));
        let contained = known.unwrap_or_else(|| Arc::new(Contained(cx.waker().clone())));
        *waker = Some(contained.clone());
        Pin::new(listener).poll(&mut Context::from_waker(&Waker::from(contained)))
    }
}

/// A task's waker, whose panic stops here: out of the midst of a notification it would leave the others asleep,
/// and the list of those who wait in disorder.
struct Contained(Waker);

impl Wake for Contained {
    fn wake(self: Arc<Self>) {
        contain(move || self.0.wake_by_ref());
    }

    fn wake_by_ref(self: &Arc<Self>) {
        contain(|| self.0.wake_by_ref());
    }
}
