use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::protocol::{Model, Op, Reply};
use crate::store::{Connection, Listener, Store, StoreError};

/// An in-process store, for tests and for several pools in one process.
///
/// Clones are handles to the same store. To test outages, you can take the store down and bring it back.
///
/// ```
/// use tripcoil_fleet::{Fleet, Memory};
///
/// let store = Memory::new();
/// let one = Fleet::builder("checkout").store(store.clone()).build()?;
/// let other = Fleet::builder("checkout").store(store).build()?;
/// # Ok::<(), tripcoil_fleet::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// When the store was made, by the monotonic clock and by the calendar.
    origin: (Instant, Duration),
    fleets: BTreeMap<String, Shared>,
    is_down: bool,
}

#[derive(Debug, Default)]
struct Shared {
    model: Model,
    listeners: Vec<SyncSender<Vec<u8>>>,
}

/// A listener that is behind by more than this misses messages, as it may anywhere.
const BACKLOG: usize = 1024;
const POLL: Duration = Duration::from_millis(50);

impl Memory {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        let calendar = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let origin = (Instant::now(), calendar);
        Memory(Arc::new(Mutex::new(Inner { origin, fleets: BTreeMap::new(), is_down: false })))
    }

    /// Makes the store unreachable until you call [`come_back`](Self::come_back).
    ///
    /// ```
    /// let store = tripcoil_fleet::Memory::new();
    /// store.go_down();
    /// store.come_back();
    /// ```
    pub fn go_down(&self) {
        let mut inner = self.0.lock();
        inner.is_down = true;
        for shared in inner.fleets.values_mut() {
            shared.listeners.clear();
        }
    }

    /// Makes the store reachable again.
    pub fn come_back(&self) {
        self.0.lock().is_down = false;
    }

    /// Clears the store, as if it had restarted empty.
    pub fn forget(&self) {
        for shared in self.0.lock().fleets.values_mut() {
            shared.model = Model::new();
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

impl Inner {
    fn fleet(&mut self, fleet: &str) -> Result<&mut Shared, StoreError> {
        if self.is_down {
            return Err(StoreError::new("the store in memory is down"));
        }
        Ok(self.fleets.entry(fleet.to_owned()).or_default())
    }

    fn now(&self) -> u64 {
        let (made, calendar) = self.origin;
        u64::try_from((calendar + made.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Store for Memory {
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        if self.0.lock().is_down {
            return Err(StoreError::new("the store in memory is down"));
        }
        Ok(Box::new(self.clone()))
    }

    fn listen(&self, fleet: &str, listener: &mut dyn Listener) -> Result<(), StoreError> {
        let (sender, messages) = sync_channel(BACKLOG);
        self.0.lock().fleet(fleet)?.listeners.push(sender);
        listener.subscribed();
        hear(&messages, listener)
    }
}

fn hear(messages: &Receiver<Vec<u8>>, listener: &mut dyn Listener) -> Result<(), StoreError> {
    while listener.goes_on() {
        match messages.recv_timeout(POLL) {
            Ok(bytes) => listener.message(&bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(StoreError::new("the store in memory has gone down")),
        }
    }
    Ok(())
}

impl Connection for Memory {
    fn run(&mut self, fleet: &str, caller: &str, ops: &[Op]) -> Result<Reply, StoreError> {
        let mut inner = self.0.lock();
        let now = inner.now();
        let shared = inner.fleet(fleet)?;
        let (reply, message) = shared.model.apply(now, caller, ops);
        if let Some(message) = message {
            let bytes = message.encode().into_bytes();
            shared.listeners.retain(|listener| match listener.try_send(bytes.clone()) {
                Ok(()) | Err(TrySendError::Full(_)) => true,
                Err(TrySendError::Disconnected(_)) => false,
            });
        }
        Ok(reply)
    }
}
