//! All breakers of one member, and its connection: what to send, and what follows from what comes back.
//!
//! As pure as [`member`](super::member): the driver brings the time, replies and messages, and takes batches away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::member::{Action, Event, Local, Member, Mode, Notice, Sight, Terms};
use super::message::{Answer, Message, Reply, View};
use super::op::{Op, PAGE};
use super::random::Random;

/// The breakers themselves, which the driver has.
pub(crate) trait Breakers {
    /// What the breaker shows; `None` if it is gone.
    fn sight(&mut self, name: &str) -> Option<Sight>;
    /// Does it, unless the breaker has moved since the last sight. Returns whether it was done.
    fn perform(&mut self, name: &str, action: Action) -> bool;
    /// Whether it has been called, ever.
    fn is_used(&self, name: &str) -> bool;
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    StoreLost,
    StoreBack { has_forgotten: bool },
    Breaker(String, Notice),
}

#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// How often the member beats, and for how long a beat keeps it alive.
    pub(crate) beat: Duration,
    pub(crate) ttl: Duration,
    /// How often time is looked at while something is held or waits.
    pub(crate) tick: Duration,
    /// Operations that are in no hurry are gathered for so long.
    pub(crate) gather: Duration,
    /// How often a member says again which breakers it uses.
    pub(crate) announce: Duration,
}

/// The most operations of one batch: the store does nothing else meanwhile.
const BATCH: usize = 128;
/// The most breakers that are remembered and not this member's own.
const OTHERS: usize = 4096;

#[derive(Clone, Debug)]
struct Entry {
    member: Member,
    /// Whether the store has been told that the breaker is used here.
    is_announced: bool,
    /// Whether the next view is the first one since the connection stands.
    is_joining: bool,
    /// Whether the store is to be asked for it.
    is_asked_for: bool,
}

/// A walk through the breakers that are not closed.
#[derive(Clone, Debug)]
struct Walk {
    /// At the first page: what is not named has been closed by then.
    version: Option<u64>,
    seen: BTreeSet<String>,
    /// Whether the connection is new, or the store.
    is_join: bool,
}

/// All breakers of one member.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Node {
    member: String,
    pace: Pace,
    random: Random,
    breakers: BTreeMap<String, Entry>,
    /// Breakers of other members that are not closed.
    others: BTreeMap<String, View>,
    outbox: VecDeque<Op>,
    told: Vec<Told>,
    walk: Option<Walk>,
    is_connected: bool,
    run: Option<String>,
    /// Whether the store knew less when it was last heard of than before, and its state has not been taken over since.
    has_forgotten: bool,
    /// The largest `seq` that any reply or message has named.
    seq: u64,
    /// Up to where the reader has heard everything.
    heard: u64,
    /// `seq` at the last beat.
    at_beat: u64,
    live: u64,
    beats_at: Duration,
    announces_at: Duration,
    sends_at: Duration,
    renews_reader: bool,
    /// Whether there may be breakers that the store is to be asked for.
    asks: bool,
    malformed: u64,
}

impl Node {
    pub(crate) fn new(member: String, pace: Pace, seed: u64) -> Self {
        Node {
            member,
            pace,
            random: Random::new(seed),
            breakers: BTreeMap::new(),
            others: BTreeMap::new(),
            outbox: VecDeque::new(),
            told: Vec::new(),
            walk: None,
            is_connected: false,
            run: None,
            has_forgotten: false,
            seq: 0,
            heard: 0,
            at_beat: 0,
            live: 0,
            beats_at: Duration::ZERO,
            announces_at: Duration::ZERO,
            sends_at: Duration::ZERO,
            renews_reader: false,
            asks: false,
            malformed: 0,
        }
    }

    /// Adds a breaker. Returns `false` if there is one of that name.
    pub(crate) fn add(&mut self, name: &str, terms: Terms) -> bool {
        if self.breakers.contains_key(name) {
            return false;
        }
        let random = Random::new(self.random.number());
        let mut member = Member::new(name, terms, random);
        member.set_live(self.live);
        self.breakers.insert(
            name.to_owned(),
            Entry { member, is_announced: false, is_joining: true, is_asked_for: self.is_connected },
        );
        self.asks |= self.is_connected;
        true
    }

    /// Takes a breaker out.
    pub(crate) fn remove(&mut self, name: &str) {
        let Some(entry) = self.breakers.remove(name) else { return };
        if self.is_connected && entry.is_announced {
            let (name, member) = (name.to_owned(), self.member.clone());
            self.outbox.push_back(Op::Retract { name: name.clone(), member: member.clone() });
            self.outbox.push_back(Op::Unuse { name, member });
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.breakers.iter().map(|(name, entry)| (name.as_str(), &entry.member))
    }

    pub(crate) fn member_mut(&mut self, name: &str) -> Option<&mut Member> {
        self.breakers.get_mut(name).map(|entry| &mut entry.member)
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = &View> {
        self.others.values()
    }

    #[cfg(test)]
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Whether the store's state has been taken over since the connection stands.
    pub(crate) fn is_in_step(&self) -> bool {
        self.is_connected && self.walk.as_ref().is_none_or(|walk| !walk.is_join)
    }

    /// Live members, as the store last said.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// Published changes that the reader has not heard of yet.
    pub(crate) fn behind(&self) -> u64 {
        self.seq.saturating_sub(self.heard)
    }

    /// Texts from the store that were ignored.
    pub(crate) fn malformed(&self) -> u64 {
        self.malformed
    }

    pub(crate) fn count_malformed(&mut self) {
        self.malformed += 1;
    }

    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Whether the reader misses messages and should be made anew.
    pub(crate) fn take_renews_reader(&mut self) -> bool {
        std::mem::take(&mut self.renews_reader)
    }

    /// The connection stands, and the reader has subscribed before.
    pub(crate) fn connected(&mut self, now: Duration) {
        self.is_connected = true;
        self.outbox.clear();
        self.asks = false;
        for entry in self.breakers.values_mut() {
            entry.is_asked_for = false;
        }
        self.beats_at = now;
        self.announces_at = now;
        self.sends_at = now;
        self.at_beat = 0;
        self.begin_walk(true);
    }

    /// The store cannot be reached.
    pub(crate) fn lost(&mut self, now: Duration, breakers: &mut dyn Breakers) {
        self.outbox.clear();
        self.walk = None;
        if !std::mem::take(&mut self.is_connected) {
            return;
        }
        self.told.push(Told::StoreLost);
        for name in self.names() {
            self.dispatch(now, &name, Event::Lost, breakers);
        }
    }

    /// The reader has subscribed anew, and may have missed something before.
    pub(crate) fn resync(&mut self) {
        if self.is_connected {
            self.begin_walk(false);
        }
    }

    fn names(&self) -> Vec<String> {
        self.breakers.keys().cloned().collect()
    }

    fn begin_walk(&mut self, is_join: bool) {
        self.outbox.retain(|op| !matches!(op, Op::Snapshot { .. }));
        self.outbox.push_back(Op::Snapshot { after: 0 });
        let is_join = is_join || self.walk.as_ref().is_some_and(|walk| walk.is_join);
        if is_join {
            for entry in self.breakers.values_mut() {
                entry.is_joining = true;
            }
        }
        self.walk = Some(Walk { version: None, seen: BTreeSet::new(), is_join });
    }

    /// The breaker did something by itself.
    pub(crate) fn local(&mut self, now: Duration, name: &str, local: Local, breakers: &mut dyn Breakers) {
        self.dispatch(now, name, Event::Local(local), breakers);
    }

    /// Time has gone by.
    pub(crate) fn tick(&mut self, now: Duration, breakers: &mut dyn Breakers) {
        let busy: Vec<_> =
            self.breakers.iter().filter(|(_, entry)| entry.member.is_busy()).map(|(name, _)| name.clone()).collect();
        for name in busy {
            self.dispatch(now, &name, Event::Tick, breakers);
        }
        if self.is_connected && now >= self.beats_at {
            self.beats_at = now + self.pace.beat;
            self.outbox.push_front(Op::Beat { member: self.member.clone(), ttl: self.pace.ttl });
            self.sends_at = now;
            self.announce(now, breakers);
            let ordered = |entry: &Entry| matches!(entry.member.mode(), Mode::Ordered { .. });
            let ordered: Vec<_> =
                self.breakers.iter().filter(|(_, entry)| ordered(entry)).map(|(name, _)| name.clone()).collect();
            for name in ordered {
                self.dispatch(now, &name, Event::Beat, breakers);
            }
        }
    }

    /// Says which breakers are used here.
    fn announce(&mut self, now: Duration, breakers: &dyn Breakers) {
        if now >= self.announces_at {
            self.announces_at = now + self.pace.announce / 2 + self.random.up_to(self.pace.announce / 2);
            for entry in self.breakers.values_mut() {
                entry.is_announced = false;
            }
        }
        for (name, entry) in &mut self.breakers {
            if !entry.is_announced && breakers.is_used(name) {
                entry.is_announced = true;
                self.outbox.push_back(Op::Use { name: name.clone(), member: self.member.clone() });
            }
        }
    }

    /// When to look at the time again.
    pub(crate) fn wakes_at(&self, now: Duration) -> Duration {
        let mut at = now + self.pace.beat;
        if self.is_connected {
            at = at.min(self.beats_at);
            if !self.outbox.is_empty() || self.asks {
                at = at.min(self.sends_at);
            }
        }
        if self.breakers.values().any(|entry| entry.member.is_busy()) {
            at = at.min(now + self.pace.tick);
        }
        at
    }

    /// Asks for breakers that have joined, a few at a time: one that has left again by then is not asked for.
    fn ask(&mut self) {
        if !self.asks || self.outbox.len() >= BATCH {
            return;
        }
        let room = BATCH - self.outbox.len();
        let asked = self.breakers.iter_mut().filter(|(_, entry)| entry.is_asked_for).take(room);
        let before = self.outbox.len();
        self.outbox.extend(asked.map(|(name, entry)| {
            entry.is_asked_for = false;
            Op::Show { name: name.clone() }
        }));
        self.asks = self.outbox.len() - before == room;
    }

    /// What to send now. The driver has to bring the reply, or the loss, before it asks again.
    pub(crate) fn next_batch(&mut self, now: Duration) -> Option<Vec<Op>> {
        let is_urgent = |op: &Op| matches!(op, Op::Lease { .. } | Op::Renew { .. } | Op::Verdict { .. });
        if !self.is_connected {
            return None;
        }
        self.ask();
        if self.outbox.is_empty() || now < self.sends_at && !self.outbox.iter().any(is_urgent) {
            return None;
        }
        self.sends_at = now + self.pace.gather;
        let many = self.outbox.len().min(BATCH);
        Some(self.outbox.drain(..many).collect())
    }

    /// The store's answer to `ops`, which were sent at the time `sent`.
    pub(crate) fn reply(
        &mut self,
        now: Duration,
        sent: Duration,
        ops: &[Op],
        reply: Reply,
        breakers: &mut dyn Breakers,
    ) {
        let is_other_run = self.run.as_ref().is_some_and(|run| *run != reply.run);
        let has_forgotten = is_other_run || reply.seq < self.seq;
        self.run = Some(reply.run);
        if has_forgotten {
            self.heard = 0;
            self.at_beat = 0;
            self.seq = reply.seq;
            self.others.clear();
            // A first page among these answers is of the store as it is now.
            let has_page = ops.iter().any(|op| matches!(op, Op::Snapshot { after: 0 }));
            self.has_forgotten = true;
            self.begin_walk(true);
            if has_page {
                self.outbox.retain(|op| !matches!(op, Op::Snapshot { .. }));
            }
        }
        self.seq = self.seq.max(reply.seq);
        if self.live != reply.live {
            self.live = reply.live;
            for entry in self.breakers.values_mut() {
                entry.member.set_live(reply.live);
            }
        }
        for (op, answer) in ops.iter().zip(reply.answers) {
            self.answer(now, sent, op, answer, reply.seq, breakers);
        }
    }

    fn answer(
        &mut self,
        now: Duration,
        sent: Duration,
        op: &Op,
        answer: Answer,
        seq: u64,
        breakers: &mut dyn Breakers,
    ) {
        let Answer { is_granted, mut views } = answer;
        match op {
            Op::Beat { .. } => self.check_reader(seq),
            Op::Leave { .. } => {}
            Op::Snapshot { .. } => self.take_page(now, views, seq, breakers),
            Op::Lease { name, .. } | Op::Renew { name, .. } => {
                if let Some(view) = views.pop().filter(|view| view.name == *name) {
                    self.dispatch(now, name, Event::LeaseReply { is_granted, view, sent }, breakers);
                }
            }
            Op::Seed { name, .. } if !is_granted => {
                // An order or a release came since. Its version may be below that of the walk which found nothing.
                if let Some(view) = views.pop().filter(|view| view.name == *name) {
                    self.dispatch(now, name, Event::Joined { view, has_forgotten: true }, breakers);
                }
            }
            _ => {
                for view in views {
                    self.show(now, view, breakers);
                }
            }
        }
    }

    /// A reader that has not heard by now of what was published before the last beat has missed it.
    fn check_reader(&mut self, seq: u64) {
        if self.heard < self.at_beat && self.walk.is_none() {
            self.renews_reader = true;
            self.begin_walk(false);
        }
        self.at_beat = seq;
    }

    fn take_page(&mut self, now: Duration, views: Vec<View>, seq: u64, breakers: &mut dyn Breakers) {
        let Some(walk) = &mut self.walk else { return };
        let version = *walk.version.get_or_insert(seq);
        walk.seen.extend(views.iter().map(|view| view.name.clone()));
        let is_last = views.len() < PAGE;
        let last_version = views.iter().map(|view| view.version).max();
        for view in views {
            self.show(now, view, breakers);
        }
        match last_version {
            Some(after) if !is_last => self.outbox.push_back(Op::Snapshot { after }),
            _ => self.end_walk(now, version, breakers),
        }
    }

    fn end_walk(&mut self, now: Duration, version: u64, breakers: &mut dyn Breakers) {
        let Some(walk) = self.walk.take() else { return };
        self.heard = self.heard.max(version);
        self.others.retain(|name, view| view.version > version || walk.seen.contains(name));
        for name in self.names().into_iter().filter(|name| !walk.seen.contains(name)) {
            let is_joining = self.breakers.get_mut(&name).is_some_and(|entry| std::mem::take(&mut entry.is_joining));
            let event = if is_joining {
                Event::Joined { view: View::unknown(&name, version), has_forgotten: self.has_forgotten }
            } else {
                Event::Absent { version }
            };
            self.dispatch(now, &name, event, breakers);
        }
        if walk.is_join {
            self.told.push(Told::StoreBack { has_forgotten: std::mem::take(&mut self.has_forgotten) });
        }
    }

    /// A view of a breaker has come.
    fn show(&mut self, now: Duration, view: View, breakers: &mut dyn Breakers) {
        let has_forgotten = self.has_forgotten;
        let name = view.name.clone();
        match self.breakers.get_mut(&name) {
            None => self.remember(view),
            Some(entry) => {
                self.others.remove(&name);
                let is_joining = std::mem::take(&mut entry.is_joining);
                let event = if is_joining { Event::Joined { view, has_forgotten } } else { Event::View(view) };
                self.dispatch(now, &name, event, breakers);
            }
        }
    }

    fn remember(&mut self, view: View) {
        use super::message::Phase;
        if self.others.get(&view.name).is_some_and(|known| known.version >= view.version) {
            return;
        }
        if matches!(view.phase, Phase::Closed | Phase::Reset) && view.order.is_none() {
            self.others.remove(&view.name);
        } else if self.others.len() < OTHERS || self.others.contains_key(&view.name) {
            self.others.insert(view.name.clone(), view);
        }
    }

    /// Something was published.
    pub(crate) fn message(&mut self, now: Duration, bytes: &[u8], breakers: &mut dyn Breakers) {
        let Ok(message) = Message::decode(bytes) else {
            self.malformed += 1;
            return;
        };
        if !self.is_connected || self.run.as_ref().is_none_or(|run| *run != message.run) {
            // The next reply tells what has become of the store.
            return;
        }
        if message.before > self.heard && self.walk.is_none() {
            self.begin_walk(false);
        }
        self.heard = self.heard.max(message.seq);
        self.seq = self.seq.max(message.seq);
        for view in message.views {
            // The first view has to be that of a reply, which is not of the past.
            if self.breakers.get(&view.name).is_none_or(|entry| !entry.is_joining) {
                self.show(now, view, breakers);
            }
        }
    }

    /// What to send at the end.
    pub(crate) fn farewell(&mut self) -> Vec<Op> {
        let member = self.member.clone();
        let used = self.breakers.iter().filter(|(_, entry)| entry.is_announced);
        let unused = used.take(BATCH).map(|(name, _)| Op::Unuse { name: name.clone(), member: member.clone() });
        std::iter::once(Op::Leave { member: member.clone() }).chain(unused).collect()
    }

    /// Lets the breaker's state machine have the event, and does what it says.
    fn dispatch(&mut self, now: Duration, name: &str, event: Event, breakers: &mut dyn Breakers) {
        let Some(entry) = self.breakers.get_mut(name) else { return };
        let Some(sight) = breakers.sight(name) else { return };
        let outcome = entry.member.on(now, event, sight);
        for action in outcome.actions {
            if !breakers.perform(name, action) {
                entry.member.on(now, Event::Overtaken, sight);
                break;
            }
        }
        if self.is_connected {
            self.outbox.extend(outcome.ops);
        }
        self.told.extend(outcome.notices.into_iter().map(|notice| Told::Breaker(name.to_owned(), notice)));
    }
}
