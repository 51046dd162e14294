//! A small fleet: its members, its store, and all that is on its way between them.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, Simple};
use crate::protocol::member::{Mode, Terms};
use crate::protocol::message::{Phase, Reply, View};
use crate::protocol::model::Model;
use crate::protocol::node::{Node, Pace};
use crate::protocol::op::{Backoff, Op, Quorum};

pub(crate) const NAME: &str = "db";
/// The grain of time, and the longest that a command or a message takes where nothing goes wrong.
pub(crate) const TICK: Duration = Duration::from_millis(500);
const RESET: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);
const COMMAND: Duration = TICK;
/// How long a probe lasts at most.
const PROBE: Duration = LEASE;
/// How long after a trip a vote may open the fleet: a breaker that has not recovered by its own probe may vote again when
/// it connects, a vote lives for the hold and two beats, and it takes its time to reach the store.
const VOTES_LIFE: Duration = Duration::from_secs(1 + 1 + 3 + 1);
/// How long a dead prober may keep its place: its lease, and two ticks until a member asks and is answered.
const PLACE: Duration = Duration::from_millis(1000 + 3 * 500);
/// How long a batch that nobody waits for any more may still arrive.
const STRAYS: Duration = Duration::from_secs(4);

/// A batch on its way to the store, or its reply on the way back.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) sent: Duration,
    /// When it has to have gone on, by the world's clock.
    due: Duration,
    pub(crate) fate: Fate,
}

#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Travels,
    Answered(Reply),
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) node: Node,
    pub(crate) breaker: Breaker,
    is_connected: bool,
    pub(crate) batch: Option<Batch>,
    /// Published messages on their way, and when each has to be heard.
    pub(crate) mail: Vec<(Duration, Vec<u8>)>,
    pub(crate) died: Option<Duration>,
    /// When it last tripped, for the properties only.
    pub(crate) tripped: Option<Duration>,
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) faults: u8,
    pub(crate) deaths: u8,
    pub(crate) forgets: u8,
    pub(crate) ticks: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) store: Arc<Model>,
    pub(crate) members: Vec<Arc<Member>>,
    /// Batches that their senders gave up: whose, and when.
    pub(crate) strays: Vec<(usize, Duration, Vec<Op>)>,
    pub(crate) is_up: bool,
    /// Whether nothing but deaths may go wrong.
    is_reliable: bool,
    pub(crate) budget: Budget,
    /// The promise that was broken.
    pub(crate) broken: Option<&'static str>,
    pub(crate) seen: Seen,
}

/// What has happened, so that the search can show that it reached it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Seen {
    pub(crate) late_verdict: bool,
    pub(crate) refused_lease: bool,
    pub(crate) dead_prober_replaced: bool,
    pub(crate) vote_of_dead: bool,
}

/// Hashes what is written to it. The `Debug` text of a world contains all of its facts, so equal texts mean equal worlds.
struct Hashing<'a, H>(&'a mut H);

impl<H: Hasher> Write for Hashing<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let _ = write!(Hashing(state), "{self:?}");
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

fn terms(member: &str) -> Terms {
    Terms {
        member: member.to_owned(),
        quorum: Quorum::share(0.5),
        backoff: Backoff { hold: RESET, factor: 1.0, max: RESET },
        lease: LEASE,
        slack: LEASE + COMMAND,
        margin: LEASE / 10,
        vote_tail: 2 * BEAT,
    }
}

/// A member's own clock, which has nothing to do with anybody else's.
fn own(index: usize, now: Duration) -> Duration {
    now + Duration::from_secs(60) * u32::try_from(index).unwrap_or(u32::MAX)
}

impl Member {
    fn new(index: usize) -> Self {
        let name = format!("m{index}+1");
        let hour = Duration::from_secs(3600);
        let pace = Pace { beat: BEAT, ttl: TTL, tick: TICK, gather: Duration::ZERO, announce: hour };
        let mut node = Node::new(name.clone(), pace, 0);
        node.add(NAME, terms(&name));
        let breaker = Breaker::new();
        Member { name, node, breaker, is_connected: false, batch: None, mail: Vec::new(), died: None, tripped: None }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.node.members().next().map_or(Mode::Local, |(_, member)| member.mode().clone())
    }

    fn connect(&mut self, now: Duration) {
        self.is_connected = true;
        self.node.connected(now);
    }

    /// One turn of its worker.
    fn work(&mut self, now: Duration, world: Duration) {
        for local in std::mem::take(&mut self.breaker.queue) {
            self.node.local(now, NAME, local, &mut self.breaker);
        }
        self.node.tick(now, &mut self.breaker);
        let _ = (self.node.take_told(), self.node.take_renews_reader());
        if self.batch.is_none()
            && let Some(ops) = self.node.next_batch(now)
        {
            self.batch = Some(Batch { ops, sent: now, due: world, fate: Fate::Travels });
        }
    }
}

impl World {
    pub(crate) fn new(members: usize, budget: Budget) -> Self {
        let mut world = World {
            now: Duration::from_secs(1000),
            store: Arc::default(),
            members: (0..members).map(|index| Arc::new(Member::new(index))).collect(),
            strays: Vec::new(),
            is_up: false,
            is_reliable: budget.faults == 0 && budget.forgets == 0,
            budget,
            broken: None,
            seen: Seen::default(),
        };
        for index in 0..members {
            let now = own(index, world.now);
            let member = world.member(index);
            member.breaker.pass(now);
            member.connect(now);
            world.work(index);
        }
        world
    }

    /// A fleet that two members have just opened, and all know it.
    pub(crate) fn opened(members: usize, budget: Budget) -> Self {
        let mut world = World::new(members, budget);
        let is_held = |member: &Arc<Member>| matches!(member.mode(), Mode::Held { .. });
        let mut trips = 0;
        while !world.members.iter().all(is_held) {
            let busy = (0..members).find(|index| world.members[*index].batch.is_some());
            let hears = (0..members).find(|index| !world.members[*index].mail.is_empty());
            match (busy, hears) {
                (Some(index), _) => world.deliver(index),
                (None, Some(index)) => world.hear(index, 0, false),
                (None, None) if trips < 2 => {
                    world.trip(trips);
                    trips += 1;
                }
                (None, None) => world.tick(None),
            }
        }
        world
    }

    fn member(&mut self, index: usize) -> &mut Member {
        Arc::make_mut(&mut self.members[index])
    }

    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX)
    }

    /// What the store says of the breaker, without a change.
    pub(crate) fn view(&self) -> View {
        show(&mut Model::clone(&self.store), self.millis())
    }

    fn work(&mut self, index: usize) {
        let now = own(index, self.now);
        let world = self.now;
        self.member(index).work(now, world);
    }

    /// Time goes on. Nobody may have waited for longer than a command may take.
    pub(crate) fn tick(&mut self, paused: Option<usize>) {
        self.now += TICK;
        let now = self.now;
        self.strays.retain(|(_, since, _)| now <= *since + STRAYS);
        for index in 0..self.members.len() {
            if self.members[index].died.is_some() {
                continue;
            }
            let own = own(index, now);
            let member = self.member(index);
            member.breaker.pass(own);
            if paused == Some(index) {
                continue;
            }
            if !member.is_connected {
                member.connect(own);
            }
            if member.batch.as_ref().is_some_and(|batch| matches!(batch.fate, Fate::Lost)) {
                member.batch = None;
                member.mail.clear();
                member.is_connected = false;
                member.node.lost(own, &mut member.breaker);
            }
            member.work(own, now);
        }
        self.check_place();
    }

    /// Promise 3, where nothing else goes wrong: members die, and calls go on.
    fn check_place(&mut self) {
        let view = self.view();
        let keeps = |member: &Arc<Member>| {
            view.is_probed_by(&member.name) && member.died.is_some_and(|at| self.now > at + PLACE)
        };
        if self.is_reliable && self.members.iter().any(keeps) {
            self.broken = Some(PLACE_RETURNS);
        }
    }

    /// Whether everything has arrived that has to before time goes on.
    pub(crate) fn may_tick(&self) -> bool {
        let now = self.now;
        let is_late = |index: usize, member: &Member| {
            let is_lost = |batch: &Batch| matches!(batch.fate, Fate::Lost);
            matches!(member.breaker.state, Simple::HalfOpen(since) if own(index, now) >= since + PROBE)
                || member.batch.as_ref().is_some_and(|batch| !is_lost(batch) && batch.due <= now)
                || member.mail.iter().any(|(due, _)| *due <= now)
        };
        let mut living = self.members.iter().enumerate().filter(|(_, member)| member.died.is_none());
        !living.any(|(index, member)| is_late(index, member))
    }

    /// The batch, or its reply, takes a tick longer.
    pub(crate) fn delay(&mut self, index: usize) {
        let due = self.now + TICK;
        if let Some(batch) = &mut self.member(index).batch {
            batch.due = due;
        }
    }

    pub(crate) fn delay_mail(&mut self, index: usize, mail: usize) {
        let due = self.now + TICK;
        self.member(index).mail[mail].0 = due;
    }

    /// Whether a batch or a reply is on its way, and has not been delayed before.
    pub(crate) fn travels(&self, index: usize) -> bool {
        self.members[index].batch.as_ref().is_some_and(|batch| !matches!(batch.fate, Fate::Lost))
    }

    pub(crate) fn may_delay(&self, index: usize) -> bool {
        self.travels(index)
            && self.members[index].batch.as_ref().is_some_and(|batch| own(index, batch.due) == batch.sent)
    }

    /// The store carries a batch out, and publishes what changed.
    pub(crate) fn carry_out(&mut self, index: usize, ops: &[Op]) -> Reply {
        let now = self.millis();
        let caller = self.members[index].name.clone();
        self.check(&caller, ops);
        let (reply, message) = Arc::make_mut(&mut self.store).apply(now, &caller, ops);
        if let Some(message) = message {
            let bytes = message.encode().into_bytes();
            let due = self.now;
            for member in &mut self.members {
                if member.died.is_none() && member.is_connected {
                    Arc::make_mut(member).mail.push((due, bytes.clone()));
                }
            }
        }
        reply
    }

    /// Promises 2, 3 and 8, operation by operation on a copy of the store.
    fn check(&mut self, caller: &str, ops: &[Op]) {
        let (now, mut store) = (self.millis(), Model::clone(&self.store));
        for op in ops {
            let before = show(&mut store, now);
            let (reply, _) = store.apply(now, caller, std::slice::from_ref(op));
            let is_granted = reply.answers[0].is_granted;
            let after = show(&mut store, now);
            if let Op::Vote { member, .. } = op {
                self.check_vote(member);
            }
            match op {
                Op::Vote { .. } if is_open(&after) && !is_open(&before) => self.check_votes(),
                Op::Vote { .. } => self.seen.vote_of_dead |= self.has_vote_of_dead(&after),
                Op::Verdict { member, token, .. } | Op::Renew { member, token, .. }
                    if !before.is_probed_by(member) || before.token != *token =>
                {
                    self.seen.late_verdict |= matches!(op, Op::Verdict { .. });
                    if after != before {
                        self.broken = Some(LATE);
                    }
                }
                Op::Lease { .. } | Op::Renew { .. } if !is_granted => {
                    self.seen.refused_lease = true;
                    if after != before {
                        self.broken = Some(REFUSED);
                    }
                }
                Op::Lease { .. } => {
                    let is_of_dead = |member: &Arc<Member>| member.died.is_some() && before.is_probed_by(&member.name);
                    self.seen.dead_prober_replaced |= self.members.iter().any(is_of_dead);
                }
                _ => {}
            }
        }
    }

    fn has_vote_of_dead(&self, view: &View) -> bool {
        let lives = self.members.iter().filter(|member| member.died.is_none_or(|at| at + TTL > self.now)).count();
        view.votes > 1 || lives < self.members.len() && view.votes > 0
    }

    /// Promise 2: nobody votes because of what others have seen.
    fn check_vote(&mut self, voter: &str) {
        let now = self.now;
        let has_tripped =
            |member: &Arc<Member>| member.name == voter && member.tripped.is_some_and(|at| now <= at + VOTES_LIFE);
        if !self.members.iter().any(has_tripped) {
            self.broken = Some(QUORUM);
        }
    }

    /// Promise 2: two live members at least have tripped within the life of a vote.
    fn check_votes(&mut self) {
        let now = self.now;
        // A member that has died lives until the end of its last beat, which was sent at its death at the latest.
        let lives = |member: &Member| member.died.is_none_or(|at| now <= at + TTL);
        let has_tripped = |member: &Member| member.tripped.is_some_and(|at| now <= at + VOTES_LIFE);
        let voters = self.members.iter().filter(|member| lives(member) && has_tripped(member)).count();
        if voters < 2 {
            self.broken = Some(QUORUM);
        }
    }

    /// Promise 1.
    pub(crate) fn probers(&self) -> usize {
        let probes = |(index, member): &(usize, &Arc<Member>)| {
            let until = match member.mode() {
                Mode::Probing { until, .. } => until,
                _ => Duration::ZERO,
            };
            member.died.is_none() && own(*index, self.now) < until
        };
        self.members.iter().enumerate().filter(probes).count()
    }

    pub(crate) fn trip(&mut self, index: usize) {
        let now = self.now;
        let member = self.member(index);
        member.breaker.trip(RESET);
        member.tripped = Some(now);
        self.work(index);
    }

    pub(crate) fn end_probe(&mut self, index: usize) {
        let (is_up, now) = (self.is_up, self.now);
        let member = self.member(index);
        member.breaker.end_probe(is_up, RESET);
        if !is_up {
            member.tripped = Some(now);
        }
        self.work(index);
    }

    /// The batch reaches the store.
    pub(crate) fn arrive(&mut self, index: usize) {
        let Some(mut batch) = self.member(index).batch.take() else { return };
        if matches!(batch.fate, Fate::Travels) {
            let reply = self.carry_out(index, &batch.ops);
            batch.fate = Fate::Answered(reply);
        }
        self.member(index).batch = Some(batch);
    }

    /// The batch reaches the store, and its reply the member.
    pub(crate) fn deliver(&mut self, index: usize) {
        self.arrive(index);
        let now = own(index, self.now);
        let member = self.member(index);
        if let Some(Batch { ops, sent, fate: Fate::Answered(reply), .. }) = member.batch.take() {
            member.node.reply(now, sent, &ops, reply, &mut member.breaker);
        }
        self.work(index);
    }

    /// The batch or its reply is lost. If `strays`, the batch arrives later, when nobody waits for it.
    pub(crate) fn lose(&mut self, index: usize, strays: bool) {
        let now = self.now;
        let Some(batch) = &mut self.member(index).batch else { return };
        batch.fate = Fate::Lost;
        let ops = batch.ops.clone();
        if strays {
            self.strays.push((index, now, ops));
        }
    }

    pub(crate) fn deliver_stray(&mut self, stray: usize) {
        let (index, _, ops) = self.strays.remove(stray);
        self.carry_out(index, &ops);
    }

    pub(crate) fn hear(&mut self, index: usize, mail: usize, again: bool) {
        let now = own(index, self.now);
        let member = self.member(index);
        let (due, bytes) = member.mail.remove(mail);
        member.node.message(now, &bytes, &mut member.breaker);
        if again {
            member.mail.push((due, bytes));
        }
        self.work(index);
    }

    pub(crate) fn miss(&mut self, index: usize, mail: usize) {
        self.member(index).mail.remove(mail);
    }

    pub(crate) fn die(&mut self, index: usize) {
        let now = self.now;
        let member = self.member(index);
        member.died = Some(now);
        member.batch = None;
        member.mail.clear();
    }

    pub(crate) fn forget(&mut self) {
        self.store = Arc::default();
    }

    pub(crate) fn may_stray(&self, index: usize) -> bool {
        let batch = self.members[index].batch.as_ref();
        batch.is_some_and(|batch| {
            matches!(batch.fate, Fate::Travels) && !batch.ops.iter().any(|op| matches!(op, Op::Vote { .. }))
        })
    }

    pub(crate) fn is_half_open(&self, index: usize) -> bool {
        matches!(self.members[index].breaker.state, Simple::HalfOpen(_))
    }

    pub(crate) fn is_closed(&self, index: usize) -> bool {
        self.members[index].breaker.state == Simple::Closed
    }
}

pub(crate) const QUORUM: &str = "2: an opening has the votes of a quorum of live members, each with a trip of its own";
pub(crate) const PLACE_RETURNS: &str = "3: a dead prober's place returns within one lease, while calls go on";
pub(crate) const REFUSED: &str = "3: nothing that is refused prolongs or writes anything";
pub(crate) const LATE: &str = "8: a late verdict of an earlier token changes nothing";

fn show(store: &mut Model, now: u64) -> View {
    let (mut reply, _) = store.apply(now, "observer+1", &[Op::Show { name: NAME.to_owned() }]);
    reply.answers.remove(0).views.remove(0)
}

pub(crate) fn is_open(view: &View) -> bool {
    matches!(view.phase, Phase::Open(_) | Phase::Probing(..))
}
