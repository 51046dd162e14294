//! Conformance checks for implementations of [`Store`].
//!
//! ```
//! use tripcoil_fleet::{Memory, testing};
//!
//! testing::check_store(&Memory::new());
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::protocol::{Answer, Backoff, Message, Model, Op, Phase, Quorum, Random, Reply, StandingOrder, View, escape};
use crate::store::{Connection, Listener, Store};
use crate::worker::unique;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(600);
/// How much the times of two answers to the same operation may differ on a machine that has other things to do.
const TOLERANCE: Duration = Duration::from_secs(5);

/// Runs all checks on a store, in fleets with random names. This takes a few seconds.
///
/// # Panics
///
/// Panics if the store violates the protocol. The message names the failed check.
pub fn check_store(store: &dyn Store) {
    members_live_for_as_long_as_they_beat(&mut fleet(store));
    votes_of_a_quorum_of_live_members_open(&mut fleet(store));
    a_lease_is_granted_when_it_is_due_and_to_one(&mut fleet(store));
    a_refusal_changes_nothing(&mut fleet(store));
    only_the_current_token_renews_and_judges(&mut fleet(store));
    who_failed_last_waits_for_one_lease(&mut fleet(store));
    an_order_beats_everything_and_ends(&mut fleet(store));
    a_seed_counts_only_if_it_is_newer(&mut fleet(store));
    a_snapshot_has_all_that_is_not_closed(&mut fleet(store));
    odd_names_do_not_collide(&mut fleet(store));
    what_changes_is_published_in_order(store);
    fleets_do_not_see_each_other(store);
    for seed in 0..20 {
        it_answers_as_the_model_does(&mut fleet(store), seed);
    }
}

struct Tested {
    connection: Box<dyn Connection>,
    fleet: String,
}

fn fleet(store: &dyn Store) -> Tested {
    let connection = store.connect().expect("the store can be reached");
    Tested { connection, fleet: format!("check {{{:x}}}", unique()) }
}

impl Tested {
    fn run(&mut self, ops: &[Op]) -> Reply {
        let reply = self.connection.run(&self.fleet, "caller+1", ops).expect("the store answers");
        assert_eq!(reply.answers.len(), ops.len(), "there is one answer for each operation");
        reply
    }

    fn ask(&mut self, op: Op) -> (bool, View) {
        let Answer { is_granted, mut views } = self.run(&[op]).answers.remove(0);
        (is_granted, views.pop().expect("the answer shows the breaker"))
    }

    fn show(&mut self, name: &str) -> View {
        self.ask(Op::Show { name: name.to_owned() }).1
    }

    /// Two members that live, one breaker that they have opened, for that long.
    fn open(&mut self, hold: Duration) -> View {
        self.run(&[beat("a+1", LONG), beat("b+1", LONG)]);
        self.run(&[vote("a+1", hold), vote("b+1", hold)]);
        let view = self.show("db");
        assert!(matches!(view.phase, Phase::Open(_)), "two votes of two members open: {view:?}");
        view
    }
}

fn beat(member: &str, ttl: Duration) -> Op {
    Op::Beat { member: member.to_owned(), ttl }
}

fn vote(member: &str, hold: Duration) -> Op {
    let backoff = Backoff { hold, factor: 2.0, max: 10 * hold };
    let (name, member) = ("db".to_owned(), member.to_owned());
    Op::Vote { name, member, ttl: LONG, backoff, quorum: Quorum::share(0.5) }
}

fn lease(member: &str, ttl: Duration) -> Op {
    Op::Lease { name: "db".to_owned(), member: member.to_owned(), ttl }
}

fn verdict(member: &str, token: u64, is_ok: bool) -> Op {
    Op::Verdict { name: "db".to_owned(), member: member.to_owned(), token, is_ok }
}

fn renew(member: &str, token: u64, ttl: Duration) -> Op {
    Op::Renew { name: "db".to_owned(), member: member.to_owned(), token, ttl }
}

fn order(name: &str, is_open: bool, remaining: Option<Duration>) -> Op {
    let order = StandingOrder { is_open, by: "ana".to_owned(), because: "a move".to_owned(), remaining };
    Op::Order { name: name.to_owned(), order }
}

fn members_live_for_as_long_as_they_beat(fleet: &mut Tested) {
    let first = fleet.run(&[beat("a+1", 100 * MS)]);
    assert_eq!((first.live, first.seq), (1, 0), "one member beats");
    assert_eq!(fleet.run(&[beat("b+1", LONG)]).live, 2, "two members beat");
    thread::sleep(150 * MS);
    let later = fleet.run(&[]);
    assert_eq!(later.live, 1, "a member without a beat is dead");
    assert_eq!(later.run, first.run, "the store has the same name as long as it forgets nothing");
    let left = fleet.run(&[Op::Leave { member: "b+1".to_owned() }]);
    assert_eq!(left.live, 0, "a member that leaves is gone");
    let unknown = fleet.show("db");
    assert_eq!((unknown.phase, unknown.version), (Phase::Closed, 0), "an unknown breaker is closed");
}

fn votes_of_a_quorum_of_live_members_open(fleet: &mut Tested) {
    fleet.run(&[beat("a+1", LONG), beat("b+1", LONG), beat("c+1", 100 * MS)]);
    fleet.run(&[vote("a+1", LONG), vote("a+1", LONG)]);
    assert_eq!(fleet.show("db").votes, 1, "a member has one vote");
    fleet.run(&[vote("nobody+1", LONG)]);
    assert_eq!(fleet.show("db").phase, Phase::Closed, "the vote of who does not live opens nothing");
    fleet.run(&[Op::Retract { name: "db".to_owned(), member: "a+1".to_owned() }, vote("c+1", LONG)]);
    thread::sleep(150 * MS);
    let (_, view) = fleet.ask(vote("a+1", LONG));
    assert_eq!(view.phase, Phase::Closed, "a vote dies with its member, or is taken back");
    let (is_granted, view) = fleet.ask(vote("b+1", LONG));
    assert!(is_granted && matches!(view.phase, Phase::Open(_)), "two votes of two live members open: {view:?}");
    assert!(view.hold == LONG && view.version == 1, "the deciding voter's settings hold: {view:?}");
    let (is_granted, _) = fleet.ask(vote("a+1", LONG));
    assert!(!is_granted, "nobody votes while it is open");
}

fn a_lease_is_granted_when_it_is_due_and_to_one(fleet: &mut Tested) {
    fleet.open(200 * MS);
    assert!(!fleet.ask(lease("a+1", LONG)).0, "no lease before it is due");
    thread::sleep(250 * MS);
    let (is_granted, view) = fleet.ask(lease("a+1", 200 * MS));
    assert!(is_granted && view.token == view.version, "the token is new: {view:?}");
    assert!(matches!(&view.phase, Phase::Probing(_, prober) if prober == "a+1"), "the lease names its holder");
    assert!(!fleet.ask(lease("b+1", LONG)).0, "there is one lease at a time");
    thread::sleep(250 * MS);
    let (is_granted, next) = fleet.ask(lease("b+1", LONG));
    assert!(is_granted && next.token > view.token, "a lease that has ended is another's: {next:?}");
}

fn a_refusal_changes_nothing(fleet: &mut Tested) {
    fleet.open(LONG);
    let before = fleet.show("db");
    let refused = [lease("a+1", LONG), renew("a+1", 1, LONG), verdict("a+1", 1, true), vote("a+1", LONG)];
    for op in refused {
        let (is_granted, view) = fleet.ask(op.clone());
        assert!(!is_granted, "this has to be refused: {op:?}");
        assert!(near(&view, &before), "a refusal prolongs and writes nothing: {op:?}");
    }
    assert_eq!(fleet.run(&[]).seq, before.version, "a refusal is not published");
}

fn only_the_current_token_renews_and_judges(fleet: &mut Tested) {
    fleet.open(MS);
    thread::sleep(20 * MS);
    let (_, view) = fleet.ask(lease("a+1", 300 * MS));
    let token = view.token;
    for (member, token) in [("b+1", token), ("a+1", token - 1), ("a+1", token + 1)] {
        assert!(!fleet.ask(renew(member, token, LONG)).0, "only the holder renews");
        assert!(!fleet.ask(verdict(member, token, true)).0, "only the holder judges");
    }
    let (is_granted, view) = fleet.ask(renew("a+1", token, LONG));
    assert!(is_granted && matches!(view.phase, Phase::Probing(left, _) if left > LONG / 2), "it is renewed: {view:?}");
    let (is_granted, view) = fleet.ask(verdict("a+1", token, true));
    assert!(is_granted && view.phase == Phase::Closed, "a good verdict closes: {view:?}");
    assert!(!fleet.ask(verdict("a+1", token, false)).0, "a late verdict changes nothing");
    assert_eq!(fleet.show("db").votes, 0, "a close forgets the votes");
}

fn who_failed_last_waits_for_one_lease(fleet: &mut Tested) {
    fleet.open(100 * MS);
    thread::sleep(120 * MS);
    let (_, view) = fleet.ask(lease("a+1", LONG));
    let (_, view) = fleet.ask(verdict("a+1", view.token, false));
    assert_eq!(view.generation, 1, "a bad verdict opens again");
    assert!(matches!(view.phase, Phase::Open(left) if left > 150 * MS), "for longer: {view:?}");
    thread::sleep(220 * MS);
    assert!(!fleet.ask(lease("a+1", LONG)).0, "who failed last has to wait");
    let (is_granted, view) = fleet.ask(lease("b+1", 50 * MS));
    assert!(is_granted, "the other one need not");
    fleet.ask(verdict("b+1", view.token, false));
    thread::sleep(420 * MS);
    assert!(fleet.ask(lease("a+1", LONG)).0, "then it is the first one's turn again");
}

fn an_order_beats_everything_and_ends(fleet: &mut Tested) {
    fleet.open(MS);
    let (is_granted, view) = fleet.ask(order("db", true, Some(300 * MS)));
    assert!(is_granted && view.phase == Phase::Closed && view.votes == 0, "an order ends what was automatic");
    let standing = view.order.expect("the order stands");
    assert_eq!((standing.is_open, &*standing.by, &*standing.because), (true, "ana", "a move"));
    assert!(standing.remaining.is_some_and(|left| left <= 300 * MS) && view.ordered_at > 0);
    for op in [vote("a+1", MS), lease("b+1", MS)] {
        assert!(!fleet.ask(op.clone()).0, "under an order this is refused: {op:?}");
    }
    thread::sleep(350 * MS);
    let ended = fleet.show("db");
    assert!(ended.order.is_none() && ended.version > view.version, "its end is a change: {ended:?}");
    let (_, view) = fleet.ask(order("db", false, None));
    assert!(view.order.is_some_and(|order| !order.is_open && order.remaining.is_none()), "an order without an end");
    let (is_granted, view) = fleet.ask(Op::Release { name: "db".to_owned() });
    assert!(is_granted && view.order.is_none(), "it is released");
    assert!(!fleet.ask(Op::Release { name: "db".to_owned() }).0, "there is nothing more to release");
    let (_, view) = fleet.ask(Op::Reset { name: "db".to_owned() });
    assert_eq!(view.phase, Phase::Reset, "a reset is told from a close");
}

fn a_seed_counts_only_if_it_is_newer(fleet: &mut Tested) {
    let seed = |ordered_at, order| Op::Seed { name: "db".to_owned(), ordered_at, order };
    let standing = StandingOrder { is_open: true, by: "ana".to_owned(), because: String::new(), remaining: None };
    assert!(fleet.ask(seed(10, Some(standing.clone()))).0, "a store that knows nothing takes it");
    assert!(!fleet.ask(seed(10, None)).0, "the same again is refused");
    assert!(!fleet.ask(seed(9, None)).0, "what is older is refused");
    let view = fleet.show("db");
    assert_eq!((view.ordered_at, view.order.as_ref()), (10, Some(&standing)));
    let (is_granted, view) = fleet.ask(seed(11, None));
    assert!(is_granted && view.order.is_none(), "a later release is taken, too");
}

fn a_snapshot_has_all_that_is_not_closed(fleet: &mut Tested) {
    const MANY: usize = 600;
    let name = |number: usize| format!("db/{number}");
    for batch in (0..MANY).collect::<Vec<_>>().chunks(100) {
        let ops: Vec<_> = batch.iter().map(|number| order(&name(*number), true, None)).collect();
        fleet.run(&ops);
    }
    fleet.run(&[Op::Release { name: name(7) }]);
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let Answer { views, .. } = fleet.run(&[Op::Snapshot { after }]).answers.remove(0);
        let Some(last) = views.last() else { break };
        after = last.version;
        assert!(views.is_sorted_by_key(|view| view.version), "a page is in the order of the changes");
        seen.extend(views.into_iter().map(|view| view.name));
    }
    seen.sort();
    let mut expected: Vec<_> = (0..MANY).filter(|number| *number != 7).map(name).collect();
    expected.sort();
    assert_eq!(seen, expected, "the pages have all that is not closed, once");
}

fn odd_names_do_not_collide(fleet: &mut Tested) {
    let odd = ["a:s", "a:", "a", "a s", "a\ns", "a/s", "%", "%25", "ä", "~", "{x}", "*", "seq", "m", "\u{0}", "a+b"];
    for name in odd {
        fleet.run(&[order(&escape(name), true, None)]);
    }
    let Answer { views, .. } = fleet.run(&[Op::Snapshot { after: 0 }]).answers.remove(0);
    assert_eq!(views.len(), odd.len(), "each name is a breaker of its own");
    assert!(views.iter().zip(odd).all(|(view, name)| view.name == escape(name)), "they come back as they were");
}

struct Heard<'a> {
    sender: Sender<Option<Message>>,
    ends: &'a AtomicBool,
}

impl Listener for Heard<'_> {
    fn subscribed(&mut self) {
        let _ = self.sender.send(None);
    }

    fn message(&mut self, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("a message is as the protocol says");
        let _ = self.sender.send(Some(message));
    }

    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }
}

fn next(heard: &Receiver<Option<Message>>) -> Option<Message> {
    heard.recv_timeout(TOLERANCE).expect("something is heard")
}

fn what_changes_is_published_in_order(store: &dyn Store) {
    let mut tested = fleet(store);
    let (name, ends) = (tested.fleet.clone(), AtomicBool::new(false));
    let (sender, heard) = channel();
    thread::scope(|scope| {
        let mut listener = Heard { sender, ends: &ends };
        scope.spawn(move || store.listen(&name, &mut listener).expect("the store can be heard"));
        assert!(next(&heard).is_none(), "`subscribed` comes first");
        let (_, first) = tested.ask(order("one", true, None));
        let reply = tested.run(&[order("two", true, None), order("three", false, Some(LONG))]);
        tested.run(&[Op::Show { name: "one".to_owned() }]);
        let (_, last) = tested.ask(Op::Release { name: "one".to_owned() });
        let messages: Vec<_> = (0..3).filter_map(|_| next(&heard)).collect();
        ends.store(true, Ordering::Relaxed);
        assert_eq!(messages.len(), 3, "a batch is one message, and what changes nothing is none");
        let spans: Vec<_> = messages.iter().map(|message| (message.before, message.seq)).collect();
        assert_eq!(spans, [(0, 1), (1, 3), (3, 4)], "each message counts the changes");
        assert!(messages.iter().all(|message| message.run == reply.run), "messages name the store as replies do");
        let names = |message: &Message| message.views.iter().map(|view| view.name.clone()).collect::<Vec<_>>();
        let mut both = names(&messages[1]);
        both.sort();
        assert_eq!(both, ["three", "two"], "a message has all that changed");
        assert!(near(&messages[0].views[0], &first) && near(&messages[2].views[0], &last), "as replies show it");
    });
}

fn fleets_do_not_see_each_other(store: &dyn Store) {
    let (mut one, mut other) = (fleet(store), fleet(store));
    one.run(&[beat("a+1", LONG), order("db", true, None)]);
    let reply = other.run(&[Op::Snapshot { after: 0 }]);
    assert_eq!((reply.live, reply.seq, reply.answers[0].views.len()), (0, 0, 0), "fleets are apart");
}

/// The same random operations, of which none has to do with short times, get the same answers.
fn it_answers_as_the_model_does(fleet: &mut Tested, seed: u64) {
    let (mut model, mut random, mut tokens) = (Model::new(), Random::new(seed), vec![0]);
    for step in 0..60 {
        let ops: Vec<_> = (0..=random.below(3)).map(|_| random_op(&mut random, &tokens, LONG)).collect();
        let answer = fleet.run(&ops);
        let (expected, _) = model.apply(1_000_000, "caller+1", &ops);
        let at = format!("seed {seed}, step {step}: {ops:?}");
        assert_eq!((answer.seq, answer.live, &answer.run), (expected.seq, expected.live, &expected.run), "{at}");
        for (answer, expected) in answer.answers.iter().zip(&expected.answers) {
            assert_eq!(answer.is_granted, expected.is_granted, "{at}");
            assert_eq!(answer.views.len(), expected.views.len(), "{at}");
            for (view, expected) in answer.views.iter().zip(&expected.views) {
                assert!(near(view, expected), "{at}: {view:?} instead of {expected:?}");
                tokens.push(view.token);
            }
        }
    }
}

/// Some operation on one of a few breakers, by one of a few members, with times of up to `longest`.
#[doc(hidden)]
#[must_use]
pub fn random_op(random: &mut Random, tokens: &[u64], longest: Duration) -> Op {
    let mut below = |bound: u64| usize::try_from(random.below(bound)).unwrap_or(0);
    let member = ["a+1", "b+1", "c+1", "d+1"][below(4)].to_owned();
    let name = ["db", "hosts/up", "hosts%2Fup"][below(3)].to_owned();
    let token = tokens[tokens.len() - 1 - below(tokens.len().min(4) as u64)];
    let time = longest - longest.mul_f64([0.0, 0.1, 0.2][below(3)]);
    let none = if longest == LONG { Duration::ZERO } else { time };
    match below(17) {
        0 | 1 => beat(&member, time),
        2 => Op::Leave { member },
        3 => Op::Use { name, member },
        4 => Op::Unuse { name, member },
        5..=7 => {
            let quorum = [Quorum::share(0.5), Quorum::count(1), Quorum::share(1.0)][below(3)];
            let backoff = Backoff { hold: none, factor: [1.0, 1.7, 2.5][below(3)], max: 3 * none };
            Op::Vote { name, member, ttl: time, backoff, quorum }
        }
        8 => Op::Retract { name, member },
        9 | 10 => Op::Lease { name, member, ttl: none },
        11 => Op::Renew { name, member, token, ttl: time },
        12 => Op::Verdict { name, member, token, is_ok: below(2) == 0 },
        13 => order(&name, below(2) == 0, [None, Some(time)][below(2)]),
        14 => {
            [Op::Release { name: name.clone() }, Op::Reset { name: name.clone() }, Op::Show { name }][below(3)].clone()
        }
        15 => {
            let order =
                StandingOrder { is_open: true, by: "bo".to_owned(), because: String::new(), remaining: Some(time) };
            Op::Seed { name, ordered_at: below(5) as u64, order: [None, Some(order)][below(2)].clone() }
        }
        _ => Op::Snapshot { after: below(9) as u64 },
    }
}

/// Whether two views say the same, but for the times that go by meanwhile.
fn near(one: &View, other: &View) -> bool {
    fn without_times(view: &View) -> (View, Duration, Duration) {
        let mut view = view.clone();
        let taken = |left: &mut Duration| std::mem::take(left);
        let phase = match &mut view.phase {
            Phase::Open(left) | Phase::Probing(left, _) => taken(left),
            Phase::Closed | Phase::Reset => Duration::ZERO,
        };
        let order = view.order.as_mut().and_then(|order| order.remaining.as_mut()).map_or(Duration::ZERO, taken);
        // It is a time of the store's own clock, or that of a seed.
        view.ordered_at = if view.ordered_at < 1000 { view.ordered_at } else { 1000 };
        (view, phase, order)
    }
    let ((one, phase, order), (other, phase_too, order_too)) = (without_times(one), without_times(other));
    one == other && phase.abs_diff(phase_too) < TOLERANCE && order.abs_diff(order_too) < TOLERANCE
}
