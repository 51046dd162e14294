//! The thread that does everything: it brings transitions and messages to the protocol, and batches to the store.

use std::any::Any;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tripcoil::{CircuitBreaker, Config};

use crate::breakers::{Joined, Joins};
use crate::builder::Settings;
use crate::event::{FleetEvent, FleetOrder, OrderError};
use crate::fleet::{BreakerName, Change, Input, Shared};
use crate::protocol::{
    Backoff, Mode, Node, Notice, Op, Pace, Phase, Quorum, Random, StandingOrder, Terms, Told, shown, unescape,
};
use crate::status::{BreakerStatus, Counts, Standing, Status};
use crate::store::{Connection, Listener, Store, StoreError};

/// The shortest and the longest wait before the store is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// The status is no older than this: making it takes as long as there are breakers.
const STALE: Duration = Duration::from_millis(20);
/// How many inputs are taken up before time is looked at again.
const TURN: usize = 256;

pub(crate) struct Worker {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    member: String,
    quorum: Quorum,
    lease: Option<Duration>,
    beat: Duration,
    command_timeout: Duration,
    node: Node,
    joins: Joins,
    connection: Option<Box<dyn Connection>>,
    /// Whether the reader hears everything.
    is_subscribed: bool,
    /// Which reader is the present one.
    reader: Arc<AtomicU64>,
    retry_at: Duration,
    retries: u32,
    random: Random,
    origin: Instant,
    counts: Counts,
    reason: String,
    looks_at: Duration,
    /// Whether something may have happened since the status was made.
    is_stale: bool,
    published_at: Duration,
}

/// A number that no other call gives, in any process.
pub(crate) fn unique() -> u64 {
    RandomState::new().hash_one((SystemTime::now(), std::process::id(), thread::current().id()))
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, store: Arc<dyn Store>, settings: &Settings, member: String) -> Self {
        let pace = Pace {
            beat: settings.beat,
            ttl: settings.member_ttl.unwrap_or(3 * settings.beat),
            tick: Duration::from_millis(50),
            gather: Duration::from_millis(50),
            announce: Duration::from_secs(24 * 3600),
        };
        Worker {
            shared,
            store,
            quorum: settings.quorum,
            lease: settings.lease,
            beat: settings.beat,
            command_timeout: settings.command_timeout,
            node: Node::new(member.clone(), pace, unique()),
            member,
            joins: Joins::new(settings.slow_close),
            connection: None,
            is_subscribed: false,
            reader: Arc::new(AtomicU64::new(0)),
            retry_at: Duration::ZERO,
            retries: 0,
            random: Random::new(unique()),
            origin: Instant::now(),
            counts: Counts::default(),
            reason: String::new(),
            looks_at: Duration::ZERO,
            is_stale: false,
            published_at: Duration::ZERO,
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Input>) {
        self.start_reader();
        while !self.shared.has_ended.load(Ordering::Acquire) {
            self.turn(inbox);
        }
        self.take_changes();
        if let Some(connection) = &mut self.connection {
            let ops = self.node.farewell();
            let _ = contain(|| connection.run(&self.shared.name, &self.member, &ops));
        }
        self.shared.joined.lock().clear();
        let last = Status { is_connected: false, ..Status::clone(&self.shared.status.lock()) };
        *self.shared.status.lock() = Arc::new(last);
    }

    /// Waits for something to happen, and does what follows from it.
    fn turn(&mut self, inbox: &Receiver<Input>) {
        let now = self.now();
        let mut wakes_at = self.node.wakes_at(now).min(self.looks_at);
        if self.is_stale {
            wakes_at = wakes_at.min(self.published_at + STALE);
        }
        if self.is_subscribed && self.connection.is_none() {
            wakes_at = wakes_at.min(self.retry_at);
        }
        match inbox.recv_timeout(wakes_at.saturating_sub(now)) {
            Ok(input) => self.take(input),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for input in inbox.try_iter().take(TURN) {
            self.take(input);
        }
        self.take_changes();
        self.connect();
        let now = self.now();
        self.node.tick(now, &mut self.joins);
        while let Some(ops) = self.node.next_batch(self.now()) {
            let _granted = self.exchange(&ops);
        }
        if self.node.take_renews_reader() {
            self.reader.fetch_add(1, Ordering::AcqRel);
        }
        if now >= self.looks_at {
            self.looks_at = now + self.beat;
            for name in self.joins.gone() {
                self.leave(&name);
            }
        }
        self.is_stale = true;
        let told = self.node.take_told();
        self.count(&told);
        if now >= self.published_at + STALE || !told.is_empty() {
            self.publish();
        }
        self.tell(told);
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        match input {
            Input::Wake => {}
            Input::Transition(name, transition) => {
                let Some(local) = self.joins.local(&name, &transition) else { return };
                // The breaker may have been given other settings.
                let terms = self.joins.get(&name).and_then(|breaker| breaker.with(|breaker| self.terms(breaker)));
                if let (Some(terms), Some(member)) = (terms, self.node.member_mut(&name)) {
                    member.set_terms(terms);
                }
                self.node.local(now, &name, local, &mut self.joins);
            }
            Input::Message(bytes) => {
                self.counts.messages += 1;
                self.counts.message_bytes += bytes.len() as u64;
                self.node.message(now, &bytes, &mut self.joins);
            }
            Input::Subscribed => {
                self.is_subscribed = true;
                self.node.resync();
            }
            Input::Unsubscribed(reason) => {
                self.is_subscribed = false;
                self.lose(reason);
            }
            Input::Order(op, sender) => {
                let answer = self.order(op);
                let _ = sender.try_send(answer);
            }
        }
    }

    fn order(&mut self, op: Op) -> Result<bool, OrderError> {
        if self.connection.is_none() {
            return Err(OrderError::NotConnected);
        }
        let granted = self.exchange(&[op]);
        self.publish();
        granted.ok_or_else(|| OrderError::NoAnswer(self.reason.clone()))
    }

    /// Breakers that came or went.
    fn take_changes(&mut self) {
        let changes = std::mem::take(&mut *self.shared.changes.lock());
        for change in changes {
            match change {
                Change::Join(name, breaker) => self.join(&name, breaker),
                Change::Leave(name, breaker) => {
                    let is_same = |joined: &Joined| breaker.upgrade().is_none_or(|breaker| joined.is_same(&breaker));
                    if self.joins.get(&name).is_some_and(is_same) {
                        self.leave(&name);
                    }
                }
                Change::Refused(breaker, reason) => self.emit(&FleetEvent::NotJoined { breaker, reason }),
            }
        }
    }

    fn join(&mut self, name: &str, breaker: Joined) {
        let is_gone = |joined: &Joined| joined.with(|_| ()).is_none();
        match self.joins.get(name) {
            Some(joined) if is_gone(joined) => self.leave(name),
            Some(Joined::Shared(known)) if matches!(&breaker, Joined::Shared(new) if new.ptr_eq(known)) => return,
            Some(_) => {
                let reason = "another breaker of its name has joined";
                return self.emit(&FleetEvent::NotJoined { breaker: shown(name), reason });
            }
            None => {}
        }
        let key: Arc<str> = name.into();
        let shared = Arc::downgrade(&self.shared);
        let observing = breaker.with(|breaker| {
            let observing = breaker.observe(move |transition| {
                if let Some(shared) = shared.upgrade() {
                    shared.saw(&key, transition);
                }
            });
            (observing, self.terms(breaker))
        });
        let Some((observing, terms)) = observing else { return };
        self.shared.joined.lock().insert(name.to_owned());
        self.joins.add(name, breaker, Some(observing));
        self.node.add(name, terms);
    }

    fn leave(&mut self, name: &str) {
        self.shared.joined.lock().remove(name);
        self.node.remove(name);
        self.joins.remove(name);
    }

    fn terms(&self, breaker: &CircuitBreaker) -> Terms {
        const DEFAULT_RESET: Duration = Duration::from_secs(30);
        let Config { reset_timeout, reset_backoff, probe_timeout, .. } = breaker.config();
        let hold = reset_timeout.unwrap_or(DEFAULT_RESET);
        let (factor, max) = reset_backoff.unwrap_or((1.0, hold));
        let lease = self.lease.unwrap_or_else(|| probe_timeout.unwrap_or(hold).clamp(SECOND, HOUR));
        Terms {
            member: self.member.clone(),
            quorum: self.quorum,
            backoff: Backoff { hold, factor, max },
            lease,
            slack: lease + self.command_timeout,
            margin: lease / 10,
            vote_tail: 2 * self.beat,
        }
    }

    fn connect(&mut self) {
        if self.connection.is_some() || !self.is_subscribed || self.now() < self.retry_at {
            return;
        }
        let store = &self.store;
        match contain(|| store.connect()) {
            Ok(connection) => {
                self.connection = Some(connection);
                let now = self.now();
                self.node.connected(now);
            }
            Err(error) => self.lose(error.to_string()),
        }
    }

    /// Sends a batch. Returns whether its first operation was granted; `None` if the store is lost.
    fn exchange(&mut self, ops: &[Op]) -> Option<bool> {
        let connection = self.connection.as_mut()?;
        let sent = self.origin.elapsed();
        self.counts.batches += 1;
        self.counts.operations += ops.len() as u64;
        let (fleet, member) = (&self.shared.name, &self.member);
        match contain(|| connection.run(fleet, member, ops)) {
            Ok(reply) if reply.answers.len() == ops.len() => {
                self.retries = 0;
                let is_granted = reply.answers.first().is_some_and(|answer| answer.is_granted);
                let now = self.now();
                self.node.reply(now, sent, ops, reply, &mut self.joins);
                Some(is_granted)
            }
            Ok(_) => {
                self.node.count_malformed();
                self.lose("the store answered more or fewer operations than it was sent".to_owned());
                None
            }
            Err(error) => {
                self.lose(error.to_string());
                None
            }
        }
    }

    /// The store cannot be reached: local at once, and again in a while.
    fn lose(&mut self, reason: String) {
        self.counts.store_errors += 1;
        self.reason = reason;
        self.connection = None;
        let now = self.now();
        self.retry_at = now + wait(self.retries, &mut self.random);
        self.retries = self.retries.saturating_add(1);
        self.node.lost(now, &mut self.joins);
    }

    fn start_reader(&self) {
        let (shared, store) = (self.shared.clone(), self.store.clone());
        let (generation, mut random) = (self.reader.clone(), Random::new(unique()));
        let spawned = thread::Builder::new().name("fleet reader".to_owned()).spawn(move || {
            let mut retries = 0;
            while !shared.has_ended.load(Ordering::Acquire) {
                let of = generation.load(Ordering::Acquire);
                let mut reader = Reader { shared: &shared, generation: &generation, of, has_subscribed: false };
                if let Err(error) = contain(|| store.listen(&shared.name, &mut reader)) {
                    retries = if reader.has_subscribed { 0 } else { retries + 1 };
                    shared.must_hear(Input::Unsubscribed(error.to_string()));
                    sleep(&shared, wait(retries, &mut random));
                }
            }
        });
        // As `thread::spawn` does.
        drop(spawned.expect("the system has a thread left"));
    }

    fn count(&mut self, told: &[Told]) {
        for told in told {
            self.counts.votes += u64::from(matches!(told, Told::Breaker(_, Notice::Voted)));
            self.counts.elections += u64::from(matches!(told, Told::Breaker(_, Notice::Elected { .. })));
        }
    }

    /// Tells people what has happened.
    fn tell(&self, told: Vec<Told>) {
        for told in told {
            let event = match told {
                Told::StoreLost => FleetEvent::StoreLost { reason: self.reason.clone() },
                Told::StoreBack { has_forgotten } => FleetEvent::StoreBack { has_forgotten },
                Told::Breaker(name, notice) => self.event(&name, notice),
            };
            self.emit(&event);
        }
    }

    fn event(&self, name: &str, notice: Notice) -> FleetEvent {
        let breaker = shown(name);
        match notice {
            Notice::Voted => FleetEvent::Voted { breaker },
            Notice::Opened { remaining, generation } => FleetEvent::OpenedByFleet { breaker, remaining, generation },
            Notice::Closed => FleetEvent::ClosedByFleet { breaker },
            Notice::Elected { token } => FleetEvent::Elected { breaker, token },
            Notice::Verdict { token, is_ok } => FleetEvent::Verdict { breaker, token, is_ok },
            Notice::OrderTaken(order) => {
                let members = self.node.members().find(|(known, _)| *known == name);
                let at = members.map_or(0, |(_, member)| member.view().ordered_at);
                FleetEvent::OrderTaken(listed(name, &order, at))
            }
            Notice::OrderEnded => FleetEvent::OrderEnded { breaker },
            Notice::OrderOverridden => FleetEvent::OrderOverridden { breaker },
        }
    }

    fn emit(&self, event: &FleetEvent) {
        #[cfg(feature = "tracing")]
        trace(&self.shared.name, event);
        let observers = self.shared.observers.lock().clone();
        for observer in observers {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(event))) {
                discard(panic);
            }
        }
    }

    /// Makes the status that people are shown.
    fn publish(&mut self) {
        let now = self.now();
        (self.is_stale, self.published_at) = (false, now);
        let mut orders = BTreeMap::new();
        for view in self.node.others() {
            if let Some(order) = &view.order {
                orders.insert(view.name.clone(), listed(&view.name, order, view.ordered_at));
            }
        }
        let (mut breakers, mut joined) = (Vec::new(), 0);
        for (name, member) in self.node.members() {
            joined += 1;
            let order = member.order_left(now).map(|order| listed(name, &order, member.view().ordered_at));
            if let Some(order) = &order {
                orders.insert(name.to_owned(), order.clone());
            }
            let standing = match member.mode() {
                _ if member.is_forced() => Standing::ForcedHere,
                Mode::Local if member.view().votes == 0 && !member.is_voting() => continue,
                Mode::Local => Standing::Local,
                Mode::Held { .. } => Standing::Held,
                Mode::Probing { .. } => Standing::Probing,
                Mode::Ordered { .. } => Standing::Ordered,
            };
            breakers.push(BreakerStatus {
                name: shown(name),
                id: BreakerName::of_escaped(name),
                standing,
                votes: member.view().votes,
                is_voting: member.is_voting(),
                prober: prober(&member.view().phase),
                generation: member.view().generation,
                fleets_hold: member.view().hold,
                own_hold: member.terms().backoff.hold,
                order,
            });
        }
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let status = Status {
            is_connected: self.node.is_in_step(),
            member: self.member.clone(),
            store_error: (!self.node.is_in_step() && !self.reason.is_empty()).then(|| self.reason.clone()),
            quorum: self.quorum,
            members: self.node.live(),
            behind: self.node.behind(),
            joined,
            breakers,
            counts: Counts { malformed: self.node.malformed(), dropped, ..self.counts },
            orders: orders.into_values().collect(),
        };
        *self.shared.status.lock() = Arc::new(status);
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The instance name of a prober: its member name without the part that makes it unique.
fn prober(phase: &Phase) -> Option<String> {
    let Phase::Probing(_, member) = phase else { return None };
    let instance = member.rsplit_once('+').map_or(&**member, |(instance, _)| instance);
    Some(unescape(instance).unwrap_or_else(|| instance.to_owned()))
}

fn listed(name: &str, order: &StandingOrder, ordered_at: u64) -> FleetOrder {
    let StandingOrder { is_open, by, because, remaining } = order.clone();
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(ordered_at);
    FleetOrder { breaker: shown(name), id: BreakerName::of_escaped(name), is_open, by, because, at, remaining }
}

/// A store that panics is one that cannot be reached.
fn contain<T>(ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(result) => result,
        Err(panic) => {
            discard(panic);
            Err(StoreError::new("the store panicked"))
        }
    }
}

/// Drops what someone panicked with, which may panic in turn.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}

/// Backoff with full jitter: a thousand members that lost the same store do not come back at the same moment.
fn wait(retries: u32, random: &mut Random) -> Duration {
    let (shortest, longest) = RETRY;
    random.up_to(shortest.saturating_mul(1 << retries.min(10)).min(longest))
}

fn sleep(shared: &Shared, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end && !shared.has_ended.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(50).min(time));
    }
}

struct Reader<'a> {
    shared: &'a Shared,
    generation: &'a AtomicU64,
    of: u64,
    has_subscribed: bool,
}

impl Listener for Reader<'_> {
    fn subscribed(&mut self) {
        self.has_subscribed = true;
        self.shared.must_hear(Input::Subscribed);
    }

    fn message(&mut self, bytes: &[u8]) {
        // One that finds no room is missed, and the next one shows the gap.
        self.shared.offer(Input::Message(bytes.to_vec()));
    }

    fn goes_on(&self) -> bool {
        let is_current = self.generation.load(Ordering::Acquire) == self.of;
        is_current && !self.shared.has_ended.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Waits for room: only a reader does, which can.
    fn must_hear(&self, input: Input) {
        let mut input = Some(input);
        while let Some(next) = input.take() {
            match self.inbox.try_send(next) {
                Ok(()) | Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return,
                Err(std::sync::mpsc::TrySendError::Full(_)) if self.has_ended.load(Ordering::Acquire) => return,
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    input = Some(back);
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}

#[cfg(feature = "tracing")]
fn trace(fleet: &str, event: &FleetEvent) {
    match event {
        FleetEvent::StoreLost { .. } | FleetEvent::NotJoined { .. } => {
            tracing::warn!(target: "tripcoil::fleet", fleet, "{event}");
        }
        _ => tracing::info!(target: "tripcoil::fleet", fleet, "{event}"),
    }
}
