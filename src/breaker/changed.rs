use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::ready;

use crate::engine::Engine;
use crate::state::State;
use crate::waiters::Waiting;

/// Waits for the next change of state. Created by [`CircuitBreaker::changed`](crate::CircuitBreaker::changed).
///
/// Await it, or block on it with [`wait`](Self::wait) or [`wait_timeout`](Self::wait_timeout). A change between
/// its creation and the wait is not lost. It yields the state after the change; if several changes happened in
/// quick succession, the state after the last one.
///
/// # Cancel safety
///
/// You can drop it at any time.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a> {
    engine: &'a Engine,
    /// The changes of state when the wait began.
    seen: u32,
    listener: Option<Waiting>,
}

impl<'a> Changed<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Changed { engine, seen: engine.changes(), listener: None }
    }

    fn state_if_changed(&self) -> Option<State> {
        (self.engine.changes() != self.seen).then(|| self.engine.state())
    }

    /// Blocks the thread until the state changes. It does not exist on WebAssembly.
    ///
    /// ```
    /// use std::thread;
    /// use tripcoil::{CircuitBreaker, State};
    ///
    /// static BREAKER: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let changed = BREAKER.changed();
    /// thread::spawn(|| BREAKER.force_open());
    /// assert_eq!(changed.wait(), State::ForcedOpen);
    /// ```
    #[cfg(not(target_family = "wasm"))]
    #[allow(clippy::must_use_candidate, reason = "it may be the wait alone that is wanted")]
    pub fn wait(self) -> State {
        loop {
            if let Some(state) = self.state_if_changed() {
                return state;
            }
            let listener = self.engine.join_watchers();
            if let Some(state) = self.state_if_changed() {
                return state;
            }
            listener.wait();
        }
    }
}

#[cfg(not(any(loom, target_family = "wasm")))]
impl Changed<'_> {
    /// Blocks the thread until the state changes, for at most `timeout` of real time. It does not exist on
    /// WebAssembly.
    ///
    /// Returns `None` if the time is over first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// assert_eq!(breaker.changed().wait_timeout(Duration::from_millis(5)), None);
    /// ```
    #[allow(clippy::must_use_candidate, reason = "as above")]
    pub fn wait_timeout(self, timeout: std::time::Duration) -> Option<State> {
        let deadline = std::time::Instant::now().checked_add(timeout);
        loop {
            if let Some(state) = self.state_if_changed() {
                return Some(state);
            }
            let listener = self.engine.join_watchers();
            if let Some(state) = self.state_if_changed() {
                return Some(state);
            }
            if !listener.wait_until(deadline) {
                return self.state_if_changed();
            }
        }
    }
}

impl Future for Changed<'_> {
    type Output = State;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<State> {
        loop {
            if let Some(state) = self.state_if_changed() {
                return Poll::Ready(state);
            }
            if let Some(listener) = &mut self.listener {
                ready!(Pin::new(listener).poll(cx));
                self.listener = None;
            } else {
                self.listener = Some(self.engine.join_watchers());
            }
        }
    }
}

impl fmt::Debug for Changed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("state", &self.engine.state()).finish_non_exhaustive()
    }
}
