use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::Mutex;
use tripcoil::{CircuitBreaker, ObservingRegistry, Registry, RegistryChange, Transition};

use crate::breakers::Joined;
use crate::builder::{FleetBuilder, Settings};
use crate::event::{By, FleetEvent, FleetOrder, OrderError};
use crate::handle::FleetHandle;
use crate::protocol::{Op, View, escape, is_name, registry_name, shown, unescape};
use crate::status::Status;
use crate::store::Store;
use crate::worker::{Worker, unique};

/// A member of a fleet, which shares the state of this process's breakers with other processes.
///
/// A member does all its work on two dedicated threads, and calls never wait for it. See the [crate](crate) docs for an
/// overview of fleets.
///
/// ```
/// use std::sync::Arc;
/// use tripcoil::CircuitBreaker;
/// use tripcoil_fleet::{By, Fleet, Memory, Quorum};
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
///
/// let fleet = Fleet::builder("checkout")
///     .store(Memory::new())
///     .instance("pod-7")
///     .quorum(Quorum::share(0.5).at_least(2))
///     .build()?;
/// fleet.join(&PAYMENTS);
/// fleet.on_event(|event| eprintln!("{event}"));
/// # while !fleet.status().is_connected { std::thread::yield_now(); }
/// fleet.force_open("payments", By::new("ana").because("migration"))?;
/// assert_eq!(fleet.orders()[0].by, "ana");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Dropping
///
/// Dropping the `Fleet` leaves the fleet and ends its threads within the command timeout. The breakers then work on
/// their own. If the fleet was holding a breaker open, the breaker stays open for the rest of that time. An
/// operator's order stays in force until you [release](CircuitBreaker::release) the breaker in this process.
pub struct Fleet {
    pub(crate) handle: FleetHandle,
    /// Says so when a thread has ended.
    ended: Mutex<Receiver<()>>,
    worker: ThreadId,
}

/// What the member's threads, its observers and its owner share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) inbox: SyncSender<Input>,
    /// Breakers that come and go, to be taken up by the worker.
    pub(crate) changes: Mutex<Vec<Change>>,
    pub(crate) registries: Mutex<Vec<ObservingRegistry>>,
    pub(crate) status: Mutex<Arc<Status>>,
    /// The escaped names of the breakers that have joined.
    pub(crate) joined: Mutex<HashSet<String>>,
    pub(crate) observers: Mutex<Vec<EventObserver>>,
    pub(crate) dropped: AtomicU64,
    pub(crate) has_ended: AtomicBool,
}

pub(crate) type EventObserver = Arc<dyn Fn(&FleetEvent) + Send + Sync>;

/// What the worker has to look at.
pub(crate) enum Input {
    /// Something is in `changes`, or it is over.
    Wake,
    Transition(Arc<str>, Transition),
    Message(Vec<u8>),
    Subscribed,
    Unsubscribed(String),
    Order(Op, SyncSender<Result<bool, OrderError>>),
}

/// A breaker that comes, under its escaped name, or goes.
pub(crate) enum Change {
    Join(String, Joined),
    Leave(String, Weak<CircuitBreaker>),
    Refused(String, &'static str),
}

/// How many transitions, messages and orders may wait for the worker.
const BACKLOG: usize = 4096;
/// How many breakers may come or go before the worker takes that up.
const CHANGES: usize = 1 << 16;

impl Fleet {
    /// Returns a builder for a member of the fleet `name`. The name is a namespace in the store: members with the
    /// same name form a fleet.
    pub fn builder(name: impl Into<String>) -> FleetBuilder {
        FleetBuilder::new(name.into())
    }

    pub(crate) fn start(
        name: String,
        store: Arc<dyn Store>,
        settings: &Settings,
        observers: Vec<EventObserver>,
    ) -> Self {
        let instance = settings.instance.clone().unwrap_or_else(|| std::process::id().to_string());
        let member = format!("{}+{:016x}", escape(&instance), unique());
        let (sender, inbox) = sync_channel(BACKLOG);
        let status = Status { member: member.clone(), quorum: settings.quorum, ..Status::default() };
        let shared = Arc::new(Shared {
            name,
            inbox: sender,
            changes: Mutex::new(Vec::new()),
            registries: Mutex::new(Vec::new()),
            status: Mutex::new(Arc::new(status)),
            joined: Mutex::default(),
            observers: Mutex::new(observers),
            dropped: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        });
        let worker = Worker::new(shared.clone(), store, settings, member);
        let (says_so, ended) = sync_channel(1);
        let name = format!("fleet {}", shared.name.chars().take(9).collect::<String>());
        let spawned = thread::Builder::new().name(name.replace('\0', "")).spawn(move || {
            worker.run(&inbox);
            drop(inbox);
            let _ = says_so.send(());
        });
        // As `thread::spawn`: a process that can start no thread is beyond help.
        let worker = spawned.expect("the system has a thread left").thread().id();
        let handle = FleetHandle { shared, timeout: settings.command_timeout };
        Fleet { handle, ended: Mutex::new(ended), worker }
    }

    /// Returns a handle that reads and operates this member, for a console or another part of your program.
    #[must_use]
    pub fn handle(&self) -> FleetHandle {
        self.handle.clone()
    }

    /// Adds a breaker to the fleet, under its own name. The fleet treats breakers with the same name as one.
    ///
    /// Pass a `&'static CircuitBreaker`, a `&'static LazyLock<CircuitBreaker>` or an `Arc`. The fleet does not keep
    /// the `Arc` alive.
    ///
    /// A breaker cannot join if another breaker with its name has joined this member, or if its escaped name is
    /// longer than 512 bytes. The fleet then reports [`FleetEvent::NotJoined`], and the breaker works on its own.
    pub fn join(&self, breaker: impl Into<Joining>) {
        let Joining(breaker) = breaker.into();
        let Some(name) = breaker.with(|breaker| breaker.name().to_owned()) else { return };
        self.handle.shared.change(joining(&name, escape(&name), breaker));
    }

    /// Adds all breakers of a registry to the fleet, under the name `registry/key`. Breakers that the registry
    /// creates later join as well. A breaker leaves when the registry evicts it.
    ///
    /// ```
    /// use std::sync::LazyLock;
    /// use tripcoil::Registry;
    /// use tripcoil_fleet::{Fleet, Memory};
    ///
    /// static HOSTS: LazyLock<Registry<String>> = LazyLock::new(|| Registry::new("hosts"));
    ///
    /// let fleet = Fleet::builder("checkout").store(Memory::new()).build()?;
    /// fleet.join_registry(&HOSTS);
    /// # Ok::<(), tripcoil_fleet::BuildError>(())
    /// ```
    pub fn join_registry<K, S>(&self, registry: &Registry<K, S>)
    where
        K: Eq + std::hash::Hash + Clone,
        S: std::hash::BuildHasher,
    {
        let registrys: Arc<str> = registry.name().into();
        let (shared, name) = (Arc::downgrade(&self.handle.shared), registrys.clone());
        let observing = registry.observe(move |change| {
            let Some(shared) = shared.upgrade() else { return };
            match change {
                RegistryChange::Made(breaker) => shared.change(joining_key(&name, breaker)),
                RegistryChange::Evicted(breaker) => {
                    let breaker_name = registry_name(&name, breaker.name());
                    shared.change(Change::Leave(breaker_name, Arc::downgrade(breaker)));
                }
                _ => {}
            }
        });
        self.handle.shared.registries.lock().push(observing);
        for (_, breaker) in registry.iter() {
            self.handle.shared.change(joining_key(&registrys, &breaker));
        }
    }

    /// Returns the status of this member: whether the store is connected, and which breakers the fleet controls and
    /// why.
    ///
    /// This method does not wait. The status may be up to 20 ms old.
    #[must_use]
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Returns the orders that this member knows, including orders for breakers that have not joined here.
    #[must_use]
    pub fn orders(&self) -> Vec<FleetOrder> {
        self.handle.orders()
    }

    /// Adds an observer for all future events. To observe events from the start, use [`FleetBuilder::on_event`].
    ///
    /// The fleet's thread calls observers one at a time and in order, and waits for each. If your observer may be
    /// slow, send the event to a channel. Panics in observers are caught.
    pub fn on_event(&self, observer: impl Fn(&FleetEvent) + Send + Sync + 'static) {
        self.handle.on_event(observer);
    }

    /// Forces a breaker open in all current and future members, until you release it or the order expires.
    ///
    /// The order overrides all automatic transitions. The store and each member keep a copy, so the order survives
    /// the loss of the store. If an operator forces the breaker in one member, that force takes precedence there.
    ///
    /// This method blocks until the store answers, for at most two command timeouts. Do not call it from an observer
    /// of the fleet.
    ///
    /// # Errors
    ///
    /// Returns an [`OrderError`] if the store cannot be reached or does not answer, or if a text or a time is out of
    /// range.
    pub fn force_open(&self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.handle.force_open(breaker, by)
    }

    /// Forces a breaker closed in all members. Otherwise it behaves like [`force_open`](Self::force_open).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open).
    pub fn force_closed(&self, breaker: impl Into<BreakerName>, by: By) -> Result<(), OrderError> {
        self.handle.force_closed(breaker, by)
    }

    /// Ends an order. The breaker closes in all members that applied it. If the order held it open, it closes by a
    /// [slow close](crate::FleetBuilder::slow_close).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open), and [`OrderError::NoOrder`] if the breaker has no
    /// order.
    pub fn release(&self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        self.handle.release(breaker)
    }

    /// Closes a breaker in all connected members, clears its counts there, and ends its order.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`force_open`](Self::force_open).
    pub fn reset(&self, breaker: impl Into<BreakerName>) -> Result<(), OrderError> {
        self.handle.reset(breaker)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.handle.shared.registries.lock().clear();
        self.handle.shared.has_ended.store(true, Ordering::Release);
        let _ = self.handle.shared.inbox.try_send(Input::Wake);
        // An observer on the fleet's own thread would wait for itself.
        if thread::current().id() != self.worker {
            // A store that hangs is left behind.
            let _ = self.ended.lock().recv_timeout(3 * self.handle.timeout + Duration::from_secs(1));
        }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.handle.shared.status.lock().clone();
        f.debug_struct("Fleet")
            .field("name", &self.handle.shared.name)
            .field("member", &status.member)
            .field("is_connected", &status.is_connected)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn change(&self, change: Change) {
        let mut changes = self.changes.lock();
        if changes.len() < CHANGES {
            changes.push(change);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(changes);
        // If there is no room, the worker is awake anyway.
        let _ = self.inbox.try_send(Input::Wake);
    }

    /// Hands a transition to the worker, or counts that there was no room for it. It never waits: a call is behind it.
    pub(crate) fn saw(&self, name: &Arc<str>, transition: &Transition) {
        self.offer(Input::Transition(name.clone(), transition.clone()));
    }

    pub(crate) fn offer(&self, input: Input) {
        if self.inbox.try_send(input).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn joining_key(registry: &str, breaker: &Arc<CircuitBreaker>) -> Change {
    let name = registry_name(registry, breaker.name());
    joining(breaker.name(), name, Joined::Shared(Arc::downgrade(breaker)))
}

fn joining(text: &str, name: String, breaker: Joined) -> Change {
    if is_name(&name) {
        return Change::Join(name, breaker);
    }
    Change::Refused(text.to_owned(), "its name is empty, or longer than 512 bytes once escaped")
}

/// A breaker that can [join](Fleet::join) a fleet.
#[derive(Debug)]
pub struct Joining(Joined);

impl From<&'static CircuitBreaker> for Joining {
    fn from(breaker: &'static CircuitBreaker) -> Self {
        Joining(Joined::Static(breaker))
    }
}

impl From<&'static LazyLock<CircuitBreaker>> for Joining {
    fn from(breaker: &'static LazyLock<CircuitBreaker>) -> Self {
        Joining(Joined::Static(breaker))
    }
}

impl From<&Arc<CircuitBreaker>> for Joining {
    fn from(breaker: &Arc<CircuitBreaker>) -> Self {
        Joining(Joined::Shared(Arc::downgrade(breaker)))
    }
}

/// The name of a breaker in a fleet: a string, or the name of a registry and a key.
///
/// ```
/// use tripcoil_fleet::BreakerName;
///
/// let single = BreakerName::from("payments");
/// let of_a_registry = BreakerName::from(("hosts", "down.example"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BreakerName(String);

impl BreakerName {
    pub(crate) fn of_escaped(name: &str) -> Self {
        BreakerName(name.to_owned())
    }

    pub(crate) fn as_escaped(&self) -> &str {
        &self.0
    }

    /// Returns the name of the registry, if this is the name of a registry's breaker.
    ///
    /// ```
    /// use tripcoil_fleet::BreakerName;
    ///
    /// let name = BreakerName::from(("hosts", "down.example"));
    /// assert_eq!(name.registry().as_deref(), Some("hosts"));
    /// assert_eq!(name.breaker(), "down.example");
    /// ```
    #[must_use]
    pub fn registry(&self) -> Option<String> {
        self.0.split_once('/').map(|(registry, _)| readable(registry))
    }

    /// Returns the name of the breaker. For a breaker of a registry, this is the key.
    #[must_use]
    pub fn breaker(&self) -> String {
        readable(self.0.split_once('/').map_or(&*self.0, |(_, key)| key))
    }

    pub(crate) fn checked(self) -> Result<String, OrderError> {
        if is_name(&self.0) {
            return Ok(self.0);
        }
        let value = format!("of {} bytes once escaped", self.0.len());
        Err(OrderError::OutOfRange { what: "the name of a breaker", value, allowed: "1 to 512 bytes once escaped" })
    }
}

impl View {
    /// Returns the breaker's name, with its registry and its key as separate parts.
    #[must_use]
    pub fn breaker(&self) -> BreakerName {
        BreakerName::of_escaped(&self.name)
    }
}

fn readable(part: &str) -> String {
    unescape(part).unwrap_or_else(|| part.to_owned())
}

/// The name, or the registry's name, a slash and the key.
impl fmt::Display for BreakerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl From<&str> for BreakerName {
    fn from(name: &str) -> Self {
        BreakerName(escape(name))
    }
}

impl From<String> for BreakerName {
    fn from(name: String) -> Self {
        BreakerName(escape(&name))
    }
}

impl From<(&str, &str)> for BreakerName {
    fn from((registry, key): (&str, &str)) -> Self {
        BreakerName(registry_name(registry, key))
    }
}
