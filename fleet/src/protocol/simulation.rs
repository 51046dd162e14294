//! A fleet in virtual time, with every fault that a seed can think of.
//!
//! Nodes, breakers and the store's model are the real ones; connections, clocks and traffic are made up. A seed gives
//! the same run again: `FLEET_SEED=17 cargo test -p tripcoil-fleet simulation`. The many seeds of a thorough run are
//! `FLEET_SEEDS=5000 cargo test --release -p tripcoil-fleet simulation`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tripcoil::clock::ManualClock;
use tripcoil::{CircuitBreaker, Observing, OwnedPermit, Recovery, State, Transition};

use super::{Backoff, Mode, Model, Node, Op, Pace, Phase, Quorum, Random, Reply, StandingOrder, Terms, View};
use crate::breakers::{Joined, Joins};

const NAME: &str = "db";
const MS: Duration = Duration::from_millis(1);
const STEP: Duration = Duration::from_millis(10);
const BEAT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3);
const RESET: Duration = Duration::from_secs(2);
const LONGEST_RESET: Duration = Duration::from_secs(6);
const LEASE: Duration = Duration::from_secs(1);
const SLOW_CLOSE: Duration = Duration::from_millis(600);
const COMMAND: Duration = Duration::from_millis(200);
const SLACK: Duration = Duration::from_millis(1200);

/// A batch on its way.
struct Sent {
    ops: Vec<Op>,
    at: Duration,
    /// When the store carries it out; `None` if it has, or never will.
    arrives: Option<Duration>,
    answered: Option<(Duration, Reply)>,
    fails: Duration,
}

struct Sim {
    name: String,
    node: Node,
    joins: Joins,
    breaker: Arc<CircuitBreaker>,
    transitions: Arc<Mutex<VecDeque<Transition>>>,
    _observing: Observing,
    calls: Vec<(Duration, OwnedPermit, bool)>,
    sent: Option<Sent>,
    inbox: Vec<(Duration, Vec<u8>)>,
    reconnects: Duration,
    /// What its own clock shows more than the world's.
    offset: Duration,
    paused_until: Duration,
    is_cut_off: bool,
    is_broken: bool,
    is_dead: bool,
    share: u64,
}

struct World {
    seed: u64,
    random: Random,
    now: Duration,
    clock: ManualClock,
    model: Model,
    members: Vec<Sim>,
    is_store_up: bool,
    is_dependency_up: bool,
    is_lossy: bool,
    last: View,
    /// When each member tripped last, the dead ones too: for a while they count as alive.
    trips: BTreeMap<String, Duration>,
    born: u64,
    openings: u64,
    leases: u64,
}

fn terms(member: &str) -> Terms {
    Terms {
        member: member.to_owned(),
        quorum: Quorum::share(0.5),
        backoff: Backoff { hold: RESET, factor: 1.5, max: LONGEST_RESET },
        lease: LEASE,
        slack: SLACK,
        margin: 100 * MS,
        vote_tail: 2 * BEAT,
    }
}

impl World {
    fn new(seed: u64, members: usize) -> Self {
        let mut world = World {
            seed,
            random: Random::new(seed),
            now: Duration::from_secs(1000),
            clock: ManualClock::new(),
            model: Model::new(),
            members: Vec::new(),
            is_store_up: true,
            is_dependency_up: true,
            is_lossy: false,
            last: View::unknown(NAME, 0),
            trips: BTreeMap::new(),
            born: 0,
            openings: 0,
            leases: 0,
        };
        for _ in 0..members {
            world.be_born();
        }
        world
    }

    fn be_born(&mut self) {
        self.born += 1;
        let name = format!("m{}+{}", self.born, self.born);
        let builder = CircuitBreaker::builder(NAME).error_threshold(3).success_threshold(1).reset_timeout(RESET);
        // Some go through steps of their own, also where no fleet tells them to.
        let has_recovery = self.born.is_multiple_of(3);
        let builder = if has_recovery { builder.recovery(Recovery::ramp(2 * SLOW_CLOSE)) } else { builder };
        let breaker = builder.clock(self.clock.clone()).build().unwrap();
        let breaker = Arc::new(breaker);
        let transitions = Arc::new(Mutex::new(VecDeque::new()));
        let sink = transitions.clone();
        let observing = breaker.observe(move |transition| sink.lock().unwrap().push_back(transition.clone()));
        let pace = Pace { beat: BEAT, ttl: TTL, tick: 50 * MS, gather: 50 * MS, announce: 20 * BEAT };
        let mut node = Node::new(name.clone(), pace, self.random.number());
        node.add(NAME, terms(&name));
        let mut joins = Joins::new(SLOW_CLOSE);
        joins.add(NAME, Joined::Shared(Arc::downgrade(&breaker)), None);
        self.members.push(Sim {
            name,
            node,
            joins,
            breaker,
            transitions,
            _observing: observing,
            calls: Vec::new(),
            sent: None,
            inbox: Vec::new(),
            reconnects: self.now,
            offset: self.random.up_to(Duration::from_secs(60)),
            paused_until: Duration::ZERO,
            is_cut_off: false,
            is_broken: false,
            is_dead: false,
            share: 5 + self.random.below(60),
        });
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn latency(&mut self) -> Duration {
        let most = if self.is_lossy { 300 } else { 20 };
        self.random.up_to(most * MS)
    }

    /// The store carries out a batch, and its message goes to everyone.
    fn carry_out(&mut self, caller: &str, ops: &[Op]) -> Reply {
        let now = u64::try_from(self.now.as_millis()).unwrap();
        let (reply, message) = self.model.apply(now, caller, ops);
        if let Some(message) = message {
            for view in &message.views {
                self.check_change(view.clone());
            }
            let bytes = message.encode().into_bytes();
            for index in 0..self.members.len() {
                let copies = if self.is_lossy { self.random.below(3) } else { 1 };
                for _ in 0..copies {
                    let at = self.now + self.latency();
                    if !self.members[index].is_cut_off && self.members[index].node.is_connected() {
                        self.members[index].inbox.push((at, bytes.clone()));
                    }
                }
            }
        }
        reply
    }

    /// Promise 2: whoever opens the fleet has the votes of a quorum, each with an own trip within the vote's life.
    fn check_change(&mut self, view: View) {
        let opens = matches!(view.phase, Phase::Open(_)) && matches!(self.last.phase, Phase::Closed | Phase::Reset);
        if opens && view.generation == 0 {
            self.openings += 1;
            let life = LONGEST_RESET + 2 * BEAT + COMMAND + Duration::from_secs(1);
            let now = self.now;
            let tripped = self.trips.values().filter(|at| now - **at <= life).count();
            assert!(tripped >= 2, "seed {}: opened at {now:?} with {:?}", self.seed, self.trips);
        }
        self.leases += u64::from(matches!(view.phase, Phase::Probing(..)));
        self.last = view;
    }

    fn step(&mut self) {
        self.now += STEP;
        self.clock.set(self.now);
        for index in 0..self.members.len() {
            self.call(index);
            if self.members[index].paused_until <= self.now && !self.members[index].is_dead {
                self.work(index);
            }
        }
        self.check_probers();
    }

    /// The votes that the store has.
    fn votes(&mut self) -> u64 {
        let reply = self.carry_out("operator", &[Op::Show { name: NAME.to_owned() }]);
        reply.answers[0].views[0].votes
    }

    /// Promise 1: at most one member probes, whatever happened to it.
    fn check_probers(&self) {
        let probes = |member: &&Sim| {
            let now = self.now + member.offset;
            let (_, state) = member.node.members().next().unwrap();
            !member.is_dead && matches!(state.mode(), Mode::Probing { until, .. } if now < *until)
        };
        let probing: Vec<_> = self.members.iter().filter(probes).map(|member| &member.name).collect();
        assert!(probing.len() <= 1, "seed {}: at {:?} all of these probe: {probing:?}", self.seed, self.now);
    }

    /// Traffic of one member. It goes on while the worker sleeps.
    fn call(&mut self, index: usize) {
        let now = self.now;
        let works = self.is_dependency_up && !self.members[index].is_broken;
        let begins = self.random.below(100) < self.members[index].share;
        let lasts = self.random.up_to(80 * MS);
        let member = &mut self.members[index];
        if member.is_dead {
            return;
        }
        let (ended, running) = member.calls.drain(..).partition(|(end, ..)| *end <= now);
        member.calls = running;
        let ended: Vec<(Duration, OwnedPermit, bool)> = ended;
        for (_, permit, ok) in ended {
            if ok { permit.success() } else { permit.failure() }
        }
        if begins && let Ok(permit) = member.breaker.try_acquire_owned() {
            member.calls.push((now + lasts, permit, works));
        }
    }

    /// One turn of a member's worker.
    fn work(&mut self, index: usize) {
        let now = self.now;
        self.take_transitions(index);
        let member = &mut self.members[index];
        let own = now + member.offset;
        let (due, later) = member.inbox.drain(..).partition(|(at, _)| *at <= now);
        member.inbox = later;
        let due: Vec<(Duration, Vec<u8>)> = due;
        self.receive(index);
        let member = &mut self.members[index];
        for (_, bytes) in due {
            member.node.message(own, &bytes, &mut member.joins);
        }
        member.node.tick(own, &mut member.joins);
        let _ = member.node.take_told();
        let _ = member.node.take_renews_reader();
        self.send(index);
    }

    fn take_transitions(&mut self, index: usize) {
        let member = &mut self.members[index];
        let own = self.now + member.offset;
        let transitions = std::mem::take(&mut *member.transitions.lock().unwrap());
        for transition in transitions {
            if let Some(local) = member.joins.local(NAME, &transition) {
                if matches!(local, super::Local::Tripped(_) | super::Local::ProbeFailed(_)) {
                    self.trips.insert(member.name.clone(), self.now);
                }
                member.node.local(own, NAME, local, &mut member.joins);
            }
        }
    }

    fn receive(&mut self, index: usize) {
        let now = self.now;
        let Some(mut sent) = self.members[index].sent.take() else { return };
        let is_reachable = self.is_store_up && !self.members[index].is_cut_off;
        if sent.arrives.is_some_and(|at| at <= now) {
            sent.arrives = None;
            if is_reachable {
                let name = self.members[index].name.clone();
                let reply = self.carry_out(&name, &sent.ops);
                let is_lost = self.is_lossy && self.chance(10);
                if !is_lost {
                    sent.answered = Some((now + self.latency(), reply));
                }
            }
        }
        let member = &mut self.members[index];
        let own = now + member.offset;
        match &sent.answered {
            Some((at, reply)) if *at <= now && now < sent.fails => {
                member.node.reply(own, sent.at, &sent.ops, reply.clone(), &mut member.joins);
            }
            _ if now >= sent.fails => {
                member.node.lost(own, &mut member.joins);
                member.inbox.clear();
                member.reconnects = now + self.random.up_to(500 * MS);
            }
            _ => member.sent = Some(sent),
        }
    }

    fn send(&mut self, index: usize) {
        let is_reachable = self.is_store_up && !self.members[index].is_cut_off;
        let arrives = self.now + self.latency();
        let member = &mut self.members[index];
        let own = self.now + member.offset;
        if !member.node.is_connected() && self.now >= member.reconnects {
            if is_reachable {
                member.node.connected(own);
                member.node.tick(own, &mut member.joins);
            } else {
                member.reconnects = self.now + self.random.up_to(500 * MS);
            }
        }
        if member.sent.is_none()
            && let Some(ops) = member.node.next_batch(own)
        {
            let fails = self.now + COMMAND;
            member.sent = Some(Sent { ops, at: own, arrives: Some(arrives), answered: None, fails });
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Something goes wrong, or right again.
    fn disturb(&mut self) {
        let many = self.members.len() as u64;
        let index = usize::try_from(self.random.below(many)).unwrap();
        match self.random.below(12) {
            0 | 1 => self.is_dependency_up = !self.is_dependency_up,
            2 => self.is_store_up = !self.is_store_up,
            3 => self.is_lossy = !self.is_lossy,
            4 => self.members[index].is_cut_off = !self.members[index].is_cut_off,
            5 => self.members[index].is_broken = !self.members[index].is_broken,
            6 => self.members[index].paused_until = self.now + self.random.up_to(Duration::from_secs(8)),
            7 => self.forget(),
            8 => {
                // A process dies, its permits with it, and another one takes its place.
                self.members[index].is_dead = true;
                self.members[index].calls.clear();
                self.members.retain(|member| !member.is_dead);
                self.be_born();
            }
            9 => self.members[index].breaker.force_open(),
            10 => self.members[index].breaker.release(),
            _ => self.members[index].breaker.reset(),
        }
    }

    /// The store restarts, and is empty.
    fn forget(&mut self) {
        self.model = Model::new();
        self.last = View::unknown(NAME, 0);
    }

    /// All is well from here on.
    fn heal(&mut self) {
        self.is_dependency_up = true;
        self.is_store_up = true;
        self.is_lossy = false;
        for member in &mut self.members {
            member.is_cut_off = false;
            member.is_broken = false;
            member.paused_until = Duration::ZERO;
            member.breaker.release();
        }
    }

    fn show(&mut self) -> View {
        let now = u64::try_from(self.now.as_millis()).unwrap();
        let (reply, _) = self.model.apply(now, "observer", &[Op::Show { name: NAME.to_owned() }]);
        reply.answers[0].views[0].clone()
    }

    /// The steps of a slow close count as closed.
    fn states(&self) -> Vec<State> {
        self.members.iter().map(|member| state_of(&member.breaker)).collect()
    }

    /// All breakers are closed, or this says what keeps them.
    fn must_be_closed(&self) {
        for member in &self.members {
            let (_, state) = member.node.members().next().unwrap();
            let is_closed = state_of(&member.breaker) == State::Closed;
            assert!(is_closed, "seed {}: {:?} is {:?}: {state:?}", self.seed, member.name, member.breaker);
        }
    }

    fn order(&mut self, is_open: bool, remaining: Option<Duration>) {
        let order = StandingOrder { is_open, by: "ana".to_owned(), because: String::new(), remaining };
        self.carry_out("operator", &[Op::Order { name: NAME.to_owned(), order }]);
    }
}

fn state_of(breaker: &CircuitBreaker) -> State {
    if breaker.metrics().recovery.is_some() { State::Closed } else { breaker.state() }
}

/// The seeds to run: one, or as many as the environment says.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    match number("FLEET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLEET_SEEDS").unwrap_or(default),
    }
}

/// Promises 1 and 2 at every step, 3, 4 and 5 at the end.
#[test]
fn whatever_happens_all_members_agree_with_the_store_and_close_once_all_is_well() {
    let (mut openings, mut leases) = (0, 0);
    for seed in seeds(40) {
        let mut world = World::new(seed, 3 + usize::try_from(seed % 4).unwrap());
        world.run(Duration::from_secs(3));
        for _ in 0..20 {
            world.disturb();
            let pause = world.random.up_to(Duration::from_secs(5));
            world.run(pause);
        }
        world.heal();
        // A hold's end, a dead prober's lease, the verdict, and one beat to hear of it.
        world.run(LONGEST_RESET + SLACK + 3 * LEASE + 3 * BEAT + TTL);
        let view = world.show();
        assert_eq!(view.phase, Phase::Closed, "seed {seed}: {view:?}");
        world.must_be_closed();
        (openings, leases) = (openings + world.openings, leases + world.leases);
    }
    println!("{openings} openings of the fleet, {leases} leases");
    assert!(openings > 0 && leases > 0, "the simulation shows nothing");
}

/// Promise 5, with the dependency down.
#[test]
fn an_outage_that_lasts_holds_everyone_and_one_member_probes() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 5);
        world.run(3 * BEAT);
        world.is_dependency_up = false;
        world.run(Duration::from_secs(30));
        for _ in 0..100 {
            world.step();
            let open = world.states().iter().filter(|state| **state != State::Closed).count();
            assert_eq!(open, 5, "seed {seed}");
        }
        assert!(world.leases >= 3, "seed {seed}: {} leases", world.leases);
        world.is_dependency_up = true;
        world.run(LONGEST_RESET + 2 * LEASE + BEAT);
        assert!(world.states().iter().all(|state| *state == State::Closed), "seed {seed}: {:?}", world.states());
    }
}

/// Promise 3: calls go on, and nothing that is refused prolongs the lease of a prober that died.
#[test]
fn a_dead_probers_place_returns_within_one_lease() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 4);
        world.run(3 * BEAT);
        world.is_dependency_up = false;
        world.run(Duration::from_secs(4));
        let mut killed = None;
        while killed.is_none() {
            world.step();
            if let Phase::Probing(_, prober) = world.show().phase {
                let dies = world.members.iter_mut().find(|member| member.name == prober);
                killed = dies.map(|member| member.is_dead = true).map(|()| world.now);
            }
        }
        world.is_dependency_up = true;
        let deadline = killed.unwrap() + 2 * LEASE + LEASE / 2 + COMMAND;
        while world.now < deadline && world.show().phase != Phase::Closed {
            world.step();
        }
        assert_eq!(world.show().phase, Phase::Closed, "seed {seed}: after {:?}", world.now - killed.unwrap());
    }
}

/// Promise 4.
#[test]
fn nobody_is_held_for_longer_than_slack_once_the_store_is_lost() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 4);
        world.run(3 * BEAT);
        world.is_dependency_up = false;
        world.run(Duration::from_secs(12));
        world.is_store_up = false;
        world.is_dependency_up = true;
        world.run(LONGEST_RESET + SLACK + COMMAND + BEAT);
        assert!(world.states().iter().all(|state| *state == State::Closed), "seed {seed}: {:?}", world.states());
        // And when it is back, its stale opening holds nobody for longer than one resync.
        world.is_store_up = true;
        world.run(2 * BEAT + 2 * LEASE);
        assert_eq!(world.show().phase, Phase::Closed, "seed {seed}");
        assert!(world.states().iter().all(|state| *state == State::Closed), "seed {seed}: {:?}", world.states());
    }
}

/// Promise 6.
#[test]
fn an_order_survives_restarts_of_members_and_of_the_store_and_every_automatic_transition() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 4);
        world.run(3 * BEAT);
        world.order(seed % 2 == 0, None);
        let ordered = if seed % 2 == 0 { State::ForcedOpen } else { State::ForcedClosed };
        world.run(BEAT);
        for round in 0..6 {
            match round {
                0 => world.is_dependency_up = false,
                1 => world.forget(),
                2 => {
                    world.members.remove(0);
                    world.be_born();
                }
                3 => {
                    world.is_store_up = false;
                    world.run(5 * BEAT);
                    world.forget();
                    world.is_store_up = true;
                }
                // A local release is undone at the next beat.
                4 => world.members[1].breaker.release(),
                _ => world.is_dependency_up = true,
            }
            world.run(3 * BEAT);
            let states = world.states();
            assert!(states.iter().all(|state| *state == ordered), "seed {seed}, round {round}: {states:?}");
        }
        world.carry_out("operator", &[Op::Release { name: NAME.to_owned() }]);
        world.run(BEAT);
        assert!(world.states().iter().all(|state| *state == State::Closed), "seed {seed}: {:?}", world.states());
    }
}

#[test]
fn an_order_ends_by_the_members_own_clocks() {
    let mut world = World::new(1, 3);
    world.run(3 * BEAT);
    world.order(true, Some(Duration::from_secs(5)));
    world.run(2 * BEAT);
    world.is_store_up = false;
    assert!(world.states().iter().all(|state| *state == State::ForcedOpen));
    world.run(Duration::from_secs(4));
    assert!(world.states().iter().all(|state| *state == State::Closed), "{:?}", world.states());
}

#[test]
fn a_local_force_beats_the_fleet_until_it_is_released() {
    let mut world = World::new(1, 3);
    world.run(3 * BEAT);
    world.members[0].breaker.force_closed();
    world.order(true, None);
    world.run(2 * BEAT);
    assert_eq!(world.states(), [State::ForcedClosed, State::ForcedOpen, State::ForcedOpen]);
    world.members[0].breaker.release();
    world.run(BEAT);
    assert_eq!(world.states(), [State::ForcedOpen; 3]);
}

#[test]
fn a_reset_for_all_closes_all() {
    let mut world = World::new(1, 3);
    world.run(3 * BEAT);
    world.is_dependency_up = false;
    world.run(Duration::from_secs(5));
    world.is_dependency_up = true;
    world.carry_out("operator", &[Op::Reset { name: NAME.to_owned() }]);
    world.run(BEAT / 2);
    assert_eq!(world.states(), [State::Closed; 3]);
    assert_eq!(world.members[0].breaker.metrics().total_error_count, 0);
}

/// A vote that is on its way while the fleet is reset is taken back.
#[test]
fn no_vote_from_before_a_reset_stands_after_it() {
    let mut late_votes = 0;
    for seed in seeds(20) {
        let mut world = World::new(seed, 3);
        world.run(3 * BEAT);
        for member in &mut world.members[1..] {
            member.share = 0;
        }
        world.is_dependency_up = false;
        let deadline = world.now + Duration::from_secs(60);
        while !world.members[0].node.members().next().unwrap().1.is_voting() {
            world.step();
            assert!(world.now < deadline, "seed {seed}");
        }
        let is_on_its_way = world.votes() == 0;
        late_votes += u64::from(is_on_its_way);
        world.members[0].share = 0;
        world.carry_out("operator", &[Op::Reset { name: NAME.to_owned() }]);
        world.run(BEAT);
        assert_eq!(world.states(), [State::Closed; 3], "seed {seed}");
        assert_eq!(world.votes(), 0, "seed {seed}");
    }
    assert!(late_votes > 0, "no vote was on its way");
}

/// Promise 7: without a store, a breaker does at each moment what one does that is in no fleet.
#[test]
fn without_a_store_a_breaker_is_exactly_the_local_one() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 2);
        world.is_store_up = false;
        let alone = world.members[1].breaker.clone();
        world.members[1].is_dead = true;
        world.members[0].share = 0;
        for step in 0..3000 {
            if step % 300 == 0 {
                world.is_dependency_up = !world.is_dependency_up;
            }
            world.step();
            let ok = world.is_dependency_up;
            // The same call, at the same moment, on both.
            let pair = [world.members[0].breaker.clone(), alone.clone()];
            for breaker in pair {
                if let Ok(permit) = breaker.try_acquire() {
                    if ok { permit.success() } else { permit.failure() }
                }
            }
            assert_eq!(world.members[0].breaker.state(), alone.state(), "seed {seed}, step {step}");
        }
        assert!(alone.metrics().transition_count > 5);
    }
}

/// A reply that is late must not make a lease longer than it is to the store.
#[test]
fn two_members_never_probe_at_once_on_a_slow_network() {
    let mut leases = 0;
    for seed in seeds(20) {
        let mut world = World::new(seed, 4);
        world.run(3 * BEAT);
        world.is_dependency_up = false;
        world.run(Duration::from_secs(4));
        world.is_lossy = true;
        for _ in 0..6000 {
            // Who probes has no calls, so that its lease ends by itself, and the others want to probe.
            for member in &mut world.members {
                let probes = matches!(member.node.members().next().unwrap().1.mode(), Mode::Probing { .. });
                member.share = if probes { 0 } else { 20 };
            }
            world.step();
        }
        leases += world.leases;
    }
    assert!(leases > 0, "the simulation shows nothing");
}

/// Who is held open because of others must not vote for that later.
#[test]
fn what_others_have_seen_does_not_become_a_vote() {
    for seed in seeds(10) {
        let mut world = World::new(seed, 5);
        world.run(3 * BEAT);
        for member in &mut world.members[2..] {
            member.share = 0;
        }
        for member in &mut world.members[..2] {
            member.share = 80;
        }
        for member in &mut world.members {
            member.node.member_mut(NAME).unwrap().set_terms(Terms { quorum: Quorum::count(2), ..terms(&member.name) });
        }
        world.is_dependency_up = false;
        let deadline = world.now + Duration::from_secs(5);
        while world.states().contains(&State::Closed) {
            world.step();
            assert!(world.now < deadline, "seed {seed}: {:?}", world.states());
        }
        // The store is lost and forgets, and is back while the breakers are still open.
        for member in &mut world.members {
            member.share = 0;
        }
        world.is_store_up = false;
        world.run(BEAT + 2 * COMMAND);
        world.forget();
        world.is_store_up = true;
        world.run(2 * BEAT);
        let view = world.show();
        assert_eq!((view.votes, view.phase), (0, Phase::Closed), "seed {seed}");
    }
}
