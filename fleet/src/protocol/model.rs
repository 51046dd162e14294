//! The reference implementation of a store.
//!
//! It is a pure value: it does no I/O, and the caller passes the time. [`Memory`](crate::Memory) is a model behind a
//! lock. The simulation uses it in virtual time, and the tests compare the Lua script of Redis with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::{Answer, Message, Phase, Reply, StandingOrder, View};
use super::op::{Backoff, Op, PAGE, Quorum};
use super::text::millis;

/// Where more votes than this are missing, they are counted again when half of these have come, or after this time in
/// milliseconds: a count takes as long as the fleet is large.
const FEW: u64 = 64;
const COUNTED: u64 = 1000;

/// The state of one fleet in a store. Times are in milliseconds by the store's clock.
#[derive(Clone, Debug, Default)]
pub struct Model {
    seq: u64,
    run: Option<String>,
    /// Each live member's expiry.
    members: BTreeMap<String, u64>,
    breakers: BTreeMap<String, Breaker>,
    changed: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Breaker {
    version: u64,
    state: State,
    generation: u64,
    token: u64,
    /// Who failed last, or let a lease expire.
    last: Option<String>,
    backoff: Option<Backoff>,
    order: Option<Order>,
    ordered_at: u64,
    /// Each vote's expiry.
    votes: BTreeMap<String, u64>,
    users: BTreeSet<String>,
    /// With how many votes they are to be counted next, and when they were counted last.
    next_count: u64,
    counted: u64,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Closed,
    Reset,
    Open {
        until: u64,
    },
    Probing {
        until: u64,
        prober: String,
    },
}

#[derive(Clone, Debug)]
struct Order {
    is_open: bool,
    by: String,
    because: String,
    end: Option<u64>,
}

impl Breaker {
    /// Whether it belongs into a snapshot.
    fn is_listed(&self) -> bool {
        self.order.is_some() || matches!(self.state, State::Open { .. } | State::Probing { .. })
    }

    fn close(&mut self, state: State) {
        self.state = state;
        self.generation = 0;
        self.last = None;
        self.backoff = None;
        self.votes.clear();
        (self.next_count, self.counted) = (0, 0);
    }

    /// Votes that have not expired, those of the dead among them.
    fn standing_votes(&self, now: u64) -> u64 {
        self.votes.values().filter(|expiry| **expiry > now).count() as u64
    }

    fn view(&self, name: &str, now: u64) -> View {
        let left = |until: u64| Duration::from_millis(until.saturating_sub(now));
        View {
            name: name.to_owned(),
            version: self.version,
            phase: match &self.state {
                State::Closed => Phase::Closed,
                State::Reset => Phase::Reset,
                State::Open { until } => Phase::Open(left(*until)),
                State::Probing { until, prober } => Phase::Probing(left(*until), prober.clone()),
            },
            generation: self.generation,
            token: self.token,
            votes: self.standing_votes(now),
            hold: self.backoff.map_or(Duration::ZERO, |backoff| backoff.hold),
            ordered_at: self.ordered_at,
            order: self.order.as_ref().map(|order| StandingOrder {
                is_open: order.is_open,
                by: order.by.clone(),
                because: order.because.clone(),
                remaining: order.end.map(left),
            }),
        }
    }
}

impl Model {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Executes a batch at the time `now`, for the member `caller`. Returns the reply and the message to publish.
    pub fn apply(&mut self, now: u64, caller: &str, ops: &[Op]) -> (Reply, Option<Message>) {
        let run = self.run.get_or_insert_with(|| caller.to_owned()).clone();
        let before = self.seq;
        self.members.retain(|_, expiry| *expiry > now);
        let answers = ops.iter().map(|op| self.carry_out(now, op)).collect();
        let changed = std::mem::take(&mut self.changed);
        let message = (!changed.is_empty()).then(|| Message {
            run: run.clone(),
            before,
            seq: self.seq,
            views: changed.iter().map(|name| self.view(name, now)).collect(),
        });
        (Reply { seq: self.seq, run, live: self.members.len() as u64, answers }, message)
    }

    fn carry_out(&mut self, now: u64, op: &Op) -> Answer {
        if let Some(name) = op.name() {
            self.end_order(name, now);
        }
        let is_granted = match op {
            Op::Beat { member, ttl } => {
                self.members.insert(member.clone(), now + millis(*ttl));
                true
            }
            Op::Leave { member } => self.members.remove(member).is_some(),
            Op::Snapshot { after } => return Answer { is_granted: true, views: self.page(*after, now) },
            Op::Use { name, member } => self.add_user(name, member),
            Op::Unuse { name, member } => self.breaker(name).users.remove(member),
            Op::Vote { name, member, ttl, backoff, quorum } => {
                self.vote(now, name, member, now + millis(*ttl), *backoff, *quorum)
            }
            Op::Retract { name, member } => self.breaker(name).votes.remove(member).is_some_and(|expiry| expiry > now),
            Op::Lease { name, member, ttl } => self.lease(now, name, member, millis(*ttl)),
            Op::Renew { name, member, token, ttl } => self.renew(now, name, member, *token, now + millis(*ttl)),
            Op::Verdict { name, member, token, is_ok } => self.verdict(now, name, member, *token, *is_ok),
            Op::Order { name, order } => self.order(now, name, Some(order), now),
            Op::Release { name } => self.breaker(name).order.is_some() && self.order(now, name, None, now),
            Op::Seed { name, ordered_at, order } => {
                *ordered_at > self.breaker(name).ordered_at && self.order(now, name, order.as_ref(), *ordered_at)
            }
            Op::Reset { name } => self.reset(now, name),
            Op::Show { .. } => true,
        };
        Answer { is_granted, views: op.name().map(|name| self.view(name, now)).into_iter().collect() }
    }

    fn breaker(&mut self, name: &str) -> &mut Breaker {
        self.breakers.entry(name.to_owned()).or_default()
    }

    fn view(&self, name: &str, now: u64) -> View {
        match self.breakers.get(name) {
            None => View::unknown(name, 0),
            Some(breaker) => breaker.view(name, now),
        }
    }

    fn page(&mut self, after: u64, now: u64) -> Vec<View> {
        let names = self.listed_after(after);
        for name in &names {
            self.end_order(name, now);
        }
        names.iter().map(|name| self.view(name, now)).collect()
    }

    fn listed_after(&self, after: u64) -> Vec<String> {
        let is_next = |breaker: &Breaker| breaker.is_listed() && breaker.version > after;
        let mut listed: Vec<_> = self.breakers.iter().filter(|(_, breaker)| is_next(breaker)).collect();
        listed.sort_by_key(|(_, breaker)| breaker.version);
        listed.into_iter().take(PAGE).map(|(name, _)| name.clone()).collect()
    }

    /// Gives the breaker a new version, to be published.
    fn change(&mut self, name: &str) -> &mut Breaker {
        self.seq += 1;
        let version = self.seq;
        self.changed.insert(name.to_owned());
        let breaker = self.breaker(name);
        breaker.version = version;
        breaker
    }

    fn end_order(&mut self, name: &str, now: u64) {
        let end = self.breakers.get(name).and_then(|breaker| breaker.order.as_ref()?.end);
        if end.is_some_and(|end| end <= now) {
            self.change(name).order = None;
        }
    }

    fn add_user(&mut self, name: &str, member: &str) -> bool {
        let members = &self.members;
        let users = &mut self.breakers.entry(name.to_owned()).or_default().users;
        if users.len() > 2 * members.len() + 16 {
            users.retain(|user| members.contains_key(user));
        }
        users.insert(member.to_owned())
    }

    fn missing_votes(&self, name: &str, now: u64, quorum: Quorum) -> u64 {
        let breaker = &self.breakers[name];
        let users = breaker.users.iter().filter(|user| self.members.contains_key(*user)).count() as u64;
        let is_live = |(member, expiry): &(&String, &u64)| **expiry > now && self.members.contains_key(*member);
        quorum.votes_of(users).saturating_sub(breaker.votes.iter().filter(is_live).count() as u64)
    }

    fn vote(&mut self, now: u64, name: &str, member: &str, expiry: u64, backoff: Backoff, quorum: Quorum) -> bool {
        if self.breaker(name).is_listed() {
            return false;
        }
        self.add_user(name, member);
        let breaker = self.breaker(name);
        breaker.votes.retain(|_, expiry| *expiry > now);
        breaker.votes.insert(member.to_owned(), expiry);
        let standing = breaker.standing_votes(now);
        if standing < breaker.next_count && now < breaker.counted + COUNTED {
            return true;
        }
        let missing = self.missing_votes(name, now, quorum);
        if missing == 0 {
            let breaker = self.change(name);
            breaker.close(State::Open { until: now + millis(backoff.hold) });
            breaker.backoff = Some(backoff);
        } else {
            let next = if missing > FEW { (standing + missing / 2, now) } else { (0, 0) };
            let breaker = self.breaker(name);
            (breaker.next_count, breaker.counted) = next;
        }
        true
    }

    fn lease(&mut self, now: u64, name: &str, member: &str, ttl: u64) -> bool {
        let is_alone = self.members.len() <= 1;
        let breaker = self.breaker(name);
        let (due, last) = match &breaker.state {
            _ if breaker.order.is_some() => return false,
            State::Closed | State::Reset => return false,
            State::Open { until } => (*until, breaker.last.clone()),
            // It has died, or could not say what it found.
            State::Probing { until, prober } => (*until, Some(prober.clone())),
        };
        let waits = last.as_deref() == Some(member) && !is_alone;
        if now < due || waits && now < due + ttl {
            return false;
        }
        let breaker = self.change(name);
        breaker.last = last;
        breaker.token = breaker.version;
        breaker.state = State::Probing { until: now + ttl, prober: member.to_owned() };
        true
    }

    /// The lease's end, if this token is the current one's.
    fn lease_of(&mut self, name: &str, member: &str, token: u64) -> Option<&mut u64> {
        let breaker = self.breaker(name);
        match &mut breaker.state {
            State::Probing { until, prober } if prober == member && breaker.token == token => Some(until),
            _ => None,
        }
    }

    fn renew(&mut self, now: u64, name: &str, member: &str, token: u64, until: u64) -> bool {
        match self.lease_of(name, member, token) {
            Some(end) if now < *end => {
                *end = until;
                true
            }
            _ => false,
        }
    }

    fn verdict(&mut self, now: u64, name: &str, member: &str, token: u64, is_ok: bool) -> bool {
        if self.lease_of(name, member, token).is_none() {
            return false;
        }
        let breaker = self.change(name);
        if is_ok {
            breaker.close(State::Closed);
            return true;
        }
        breaker.generation += 1;
        let wait = breaker.backoff.map_or(0, |backoff| backoff.after(breaker.generation));
        breaker.state = State::Open { until: now + wait };
        breaker.last = Some(member.to_owned());
        true
    }

    fn order(&mut self, now: u64, name: &str, order: Option<&StandingOrder>, ordered_at: u64) -> bool {
        let breaker = self.change(name);
        breaker.close(State::Closed);
        breaker.ordered_at = ordered_at;
        breaker.order = order.map(|order| Order {
            is_open: order.is_open,
            by: order.by.clone(),
            because: order.because.clone(),
            end: order.remaining.map(|remaining| now + millis(remaining)),
        });
        true
    }

    fn reset(&mut self, now: u64, name: &str) -> bool {
        let breaker = self.change(name);
        if breaker.order.take().is_some() {
            breaker.ordered_at = now;
        }
        breaker.close(State::Reset);
        true
    }
}
