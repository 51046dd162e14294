//! The store in Redis, on a redis-server that the tests start.

mod common;

use std::time::{Duration, Instant};

use common::Server;
use proptest::prelude::*;
use redis::{Connection, Script};
use tripcoil::{CircuitBreaker, State};
use tripcoil_fleet::protocol::{Backoff, Message, Model, Op, Phase, Random, Reply, prefix};
use tripcoil_fleet::{Fleet, FleetEvent, Quorum, Redis, SCRIPT, Store, testing};

#[test]
fn it_is_a_store() {
    let server = Server::start();
    testing::check_store(&Redis::new(&server.url()).unwrap());
}

/// The script with a clock of the test's, which stands in the second argument.
fn with_clock(script: &str) -> Script {
    let real = "    local time = redis.call('TIME')\n    return time[1] * 1000 + math.floor(time[2] / 1000)";
    assert!(script.contains(real), "the script reads its clock in one place");
    Script::new(&script.replace(real, "    return tonumber(table.remove(ARGV, 2))"))
}

fn run(connection: &mut Connection, script: &Script, fleet: &str, now: u64, ops: &[Op]) -> redis::RedisResult<Reply> {
    let mut invocation = script.key(format!("{}seq", prefix(fleet)));
    invocation.arg("caller+1").arg(now);
    for op in ops {
        invocation.arg(op.encode());
    }
    let texts: Vec<String> = invocation.invoke(connection)?;
    Ok(Reply::decode(&texts[0], texts[1..].iter().map(String::as_str)).unwrap())
}

/// What a comparison has compared.
#[derive(Default)]
struct Compared {
    granted: usize,
    published: usize,
}

/// Asks the script and its model the same random questions. Returns the first in which they differ.
fn compare(server: &Server, script: &str, seeds: u64, compared: &mut Compared) -> Result<(), String> {
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let mut listening = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    let script = with_clock(script);
    for seed in 0..seeds {
        let fleet = format!("fleet {seed}");
        let mut messages = listening.as_pubsub();
        messages.subscribe(format!("{}ev", prefix(&fleet))).unwrap();
        messages.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (mut model, mut random, mut tokens) = (Model::new(), Random::new(seed), vec![0]);
        let mut now = 1_000_000;
        for step in 0..80 {
            now += random.below(3) * random.below(700);
            let ops: Vec<_> = (0..=random.below(4))
                .map(|_| testing::random_op(&mut random, &tokens, Duration::from_millis(1500)))
                .collect();
            let at = format!("seed {seed}, step {step}, at {now}: {ops:?}");
            let reply = run(&mut connection, &script, &fleet, now, &ops).map_err(|error| format!("{at}: {error}"))?;
            let (expected, message) = model.apply(now, "caller+1", &ops);
            if reply != expected {
                return Err(format!("{at}: {reply:?} instead of {expected:?}"));
            }
            tokens.extend(reply.answers.iter().flat_map(|answer| &answer.views).map(|view| view.token));
            compared.granted += reply.answers.iter().filter(|answer| answer.is_granted).count();
            if let Some(message) = message {
                let heard = messages.get_message().map_err(|error| format!("{at}: no message: {error}"))?;
                let heard = Message::decode(heard.get_payload_bytes()).unwrap();
                if heard != message {
                    return Err(format!("{at}: published {heard:?} instead of {message:?}"));
                }
                compared.published += 1;
            }
        }
    }
    Ok(())
}

/// The Lua script and its Rust model answer the same, to the millisecond, whatever is asked and whenever.
#[test]
fn the_script_answers_as_its_model_does() {
    let seeds = std::env::var("FLEET_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150);
    let mut compared = Compared::default();
    compare(&Server::start(), SCRIPT, seeds, &mut compared).unwrap();
    println!("{seeds} seeds, {} operations granted, {} messages", compared.granted, compared.published);
    assert!(compared.granted > 0 && compared.published > 0);
}

/// Where hundreds of votes are missing they are not counted each time, and the fleet still opens at the right one.
#[test]
fn the_votes_of_a_large_fleet_are_counted_as_its_model_counts() {
    const MEMBERS: u64 = 600;
    let server = Server::start();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let (script, mut model, mut now) = (with_clock(SCRIPT), Model::new(), 1_000_000);
    let mut random = Random::new(1);
    let mut ask = |now: u64, op: Op| {
        let reply = run(&mut connection, &script, "large", now, std::slice::from_ref(&op)).unwrap();
        let (expected, _) = model.apply(now, "caller+1", &[op]);
        assert_eq!(reply, expected);
        reply
    };
    let (name, ttl) = ("db".to_owned(), Duration::from_secs(3600));
    for number in 0..MEMBERS {
        let member = format!("m{number}+1");
        // Some die under way, and their votes with them.
        let ttl = if number % 5 == 0 { Duration::from_secs(1) } else { ttl };
        ask(now, Op::Beat { member: member.clone(), ttl });
        ask(now, Op::Use { name: name.clone(), member });
    }
    let mut votes = 0;
    for number in 0..MEMBERS {
        now += random.below(8);
        let backoff = Backoff { hold: ttl, factor: 1.0, max: ttl };
        let (name, member, quorum) = (name.clone(), format!("m{number}+1"), Quorum::share(0.5));
        let reply = ask(now, Op::Vote { name, member, ttl, backoff, quorum });
        votes += 1;
        if matches!(reply.answers[0].views[0].phase, Phase::Open(_)) {
            break;
        }
    }
    // Half of the 480 that live, and the votes of the dead that came between.
    assert_eq!(votes, 300);
}

/// Ways to break the script, each of which breaks a promise.
const MUTANTS: [(&str, &str, &str); 14] = [
    ("a verdict needs no token", "and b.w == member and b.t == tonumber(token) end", "end"),
    ("a token is not the newest one's", " and b.t == tonumber(token) end", " end"),
    ("an ended lease is renewed", " or now >= b.u then return false end\n    b.u", " then return false end\n    b.u"),
    (
        "a refused lease prolongs",
        "then return false end\n    change(b)\n    b.f",
        "then b.u = b.u + 1; save(b); return false end\n    change(b)\n    b.f",
    ),
    ("a lease is granted before it is due", "if now < b.u or (waits", "if (waits"),
    ("who failed last may go on", "local waits = last == member and live > 1", "local waits = false"),
    ("a dead prober may go on", "if b.p == 'p' then last = b.w end", ""),
    ("the votes of the dead count", "redis.call('ZINTERCARD', 2, votes, M)", "standing"),
    ("a vote does not expire", "redis.call('ZREMRANGEBYSCORE', votes, '-inf', text(now))", ""),
    ("a share is of all members", "redis.call('ZINTERCARD', 2, P .. b.name .. ':u', M)", "live"),
    ("an order can be voted down", "if is_listed(b) then return false end\n    add_user", "add_user"),
    ("an order does not end", "if b.k and b.e and tonumber(b.e) <= now then", "if false then"),
    ("an older seed counts", "if tonumber(at) <= b.a then return false end", ""),
    ("a change is not published", "if seq > before then", "if seq > before + 1 then"),
];

#[test]
fn each_way_to_break_the_script_is_found() {
    let server = Server::start();
    for (what, original, broken) in MUTANTS {
        assert_eq!(SCRIPT.matches(original).count(), 1, "{what}: the script has changed");
        let mutant = SCRIPT.replace(original, broken);
        let found = compare(&server, &mutant, 300, &mut Compared::default());
        assert!(found.is_err(), "nobody finds that {what}");
    }
}

/// A member of a fleet, whose breaker opens at once.
fn member(store: impl Store, breaker: &std::sync::Arc<CircuitBreaker>) -> Fleet {
    let fleet = Fleet::builder("checkout")
        .store(store)
        .beat(Duration::from_millis(300))
        .lease(Duration::from_millis(500))
        .slow_close(Duration::from_millis(200))
        .build()
        .unwrap();
    fleet.join(breaker);
    fleet
}

fn breaker() -> std::sync::Arc<CircuitBreaker> {
    let builder = CircuitBreaker::builder("db").error_threshold(1).success_threshold(1);
    std::sync::Arc::new(builder.reset_timeout(Duration::from_millis(500)).build().unwrap())
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "this never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The user of the docs, with the keys of one fleet and the commands that the script needs.
const ACL: &str = include_str!("../acl.txt");

#[test]
fn a_user_with_the_fewest_rights_is_enough_and_can_do_nothing_else() {
    let server = Server::start();
    let mut admin = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let rule = ACL.lines().find(|line| line.starts_with("user ")).unwrap();
    let mut words = rule.split_whitespace();
    words.next();
    let set: String = redis::cmd("ACL").arg("SETUSER").arg(words.collect::<Vec<_>>()).query(&mut admin).unwrap();
    assert_eq!(set, "OK");
    let url = format!("redis://fleet:secret@127.0.0.1:{}", server.port);
    let breakers = [breaker(), breaker()];
    let fleets = breakers.each_ref().map(|breaker| member(Redis::new(&url).unwrap(), breaker));
    wait_for("both are connected", || fleets.iter().all(|fleet| fleet.status().members == 2));
    for breaker in &breakers {
        breaker.try_acquire().unwrap().failure();
    }
    wait_for("the fleet is open", || fleets.iter().all(|fleet| !fleet.status().breakers.is_empty()));
    wait_for("it closes again", || {
        for breaker in &breakers {
            let _ = breaker.call_sync(|| Ok::<_, ()>(()));
        }
        breakers.iter().all(|breaker| breaker.state() == State::Closed)
    });
    assert_eq!(fleets[0].status().counts.store_errors, 0);
    // Another fleet's keys, and anything else, are out of reach.
    let other = Fleet::builder("other").redis(&url).unwrap().build().unwrap();
    wait_for("another fleet is refused", || other.status().counts.store_errors > 0);
    assert!(!other.status().is_connected);
    let mut user = redis::Client::open(url).unwrap().get_connection().unwrap();
    for command in [vec!["FLUSHALL"], vec!["KEYS", "*"], vec!["GET", "x"], vec!["SCRIPT", "FLUSH"], vec!["ACL", "LIST"]]
    {
        assert!(redis::cmd(command[0]).arg(&command[1..]).exec(&mut user).is_err(), "{command:?}");
    }
}

/// Two members through an outage, on a server at this address.
fn live_through_an_outage(url: &str) {
    let breakers = [breaker(), breaker()];
    let fleets = breakers.each_ref().map(|breaker| member(Redis::new(url).unwrap(), breaker));
    wait_for("both are connected", || fleets.iter().all(|fleet| fleet.status().members == 2));
    for breaker in &breakers {
        breaker.try_acquire().unwrap().failure();
    }
    wait_for("the fleet is open", || fleets.iter().all(|fleet| !fleet.status().breakers.is_empty()));
    wait_for("it closes again", || {
        for breaker in &breakers {
            let _ = breaker.call_sync(|| Ok::<_, ()>(()));
        }
        breakers.iter().all(|breaker| breaker.state() == State::Closed)
    });
    fleets[0].force_open("db", tripcoil_fleet::By::new("ana")).unwrap();
    wait_for("an order is obeyed", || breakers.iter().all(|breaker| breaker.state() == State::ForcedOpen));
    assert!(fleets.iter().all(|fleet| fleet.status().counts.store_errors == 0));
}

/// Keys of another version of the protocol are left alone, and all keys of this one carry it.
#[test]
fn two_versions_of_the_protocol_share_a_server_without_harm() {
    let server = Server::start();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let others = ["seq", "run", "m", "db:s", "db:v", "n"].map(|key| format!("tripcoil:2:{{checkout}}:{key}"));
    for key in &others {
        redis::cmd("SET").arg(key).arg("of another version").exec(&mut connection).unwrap();
    }
    live_through_an_outage(&server.url());
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let (other, own): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.starts_with("tripcoil:2:"));
    assert_eq!(other.len(), others.len());
    for key in &other {
        let value: String = redis::cmd("GET").arg(key).query(&mut connection).unwrap();
        assert_eq!(value, "of another version");
    }
    assert!(own.len() >= 4 && own.iter().all(|key| key.starts_with(&prefix("checkout"))), "{own:?}");
    assert!(prefix("checkout").starts_with("tripcoil:1:"));
}

/// All that a fleet touches is in one slot, so that a node of a cluster does it.
#[test]
fn a_node_of_a_cluster_is_a_store() {
    let server = Server::start_with(common::free_port(), &["--cluster-enabled", "yes"]);
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    redis::cmd("CLUSTER").arg(&["ADDSLOTSRANGE", "0", "16383"]).exec(&mut connection).unwrap();
    wait_for("the cluster is up", || {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut connection).unwrap();
        info.contains("cluster_state:ok")
    });
    live_through_an_outage(&server.url());
}

/// A process reads the environment once, so that the member is this program, started again.
#[test]
fn user_and_password_may_come_from_the_environment() {
    if let Ok(url) = std::env::var("FLEET_AUTH_URL") {
        let mut connection = Redis::new(&url).unwrap().connect().unwrap();
        connection.run("checkout", "a+1", &[]).unwrap();
        return;
    }
    let server = Server::start();
    let mut admin = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let user = ["SETUSER", "ana", "on", ">hunter2", "~*", "&*", "+@all"];
    redis::cmd("ACL").arg(&user).exec(&mut admin).unwrap();
    redis::cmd("ACL").arg(&["SETUSER", "default", "off"]).exec(&mut admin).unwrap();
    let connects = |variables: &[(&str, &str)]| {
        let mut program = std::process::Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", "user_and_password_may_come_from_the_environment"]);
        program.env("FLEET_AUTH_URL", server.url()).envs(variables.iter().copied());
        program.output().unwrap().status.success()
    };
    assert!(connects(&[("REDIS_USERNAME", "ana"), ("REDIS_PASSWORD", "hunter2")]));
    assert!(!connects(&[("REDIS_USERNAME", "ana"), ("REDIS_PASSWORD", "wrong")]));
    assert!(!connects(&[]));
}

#[test]
fn no_secret_is_shown() {
    let url = "redis://ana:hunter2@127.0.0.1:1/0";
    let store = Redis::new(url).unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("127.0.0.1") && !shown.contains("hunter2") && !shown.contains("ana"), "{shown}");
    let error = Redis::new("redis://ana:hunter2@:nonsense").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let error = Fleet::builder("checkout").redis("nonsense:hunter2").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let server = Server::start();
    let wrong = Redis::new(&format!("redis://ana:hunter2@127.0.0.1:{}", server.port)).unwrap();
    let error = wrong.connect().err().expect("there is no such user");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn hostile_messages_are_counted_and_change_nothing() {
    let server = Server::start();
    let breaker = breaker();
    let fleet = member(Redis::new(&server.url()).unwrap(), &breaker);
    wait_for("it is connected", || fleet.status().is_connected);
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let run: String = redis::cmd("GET").arg(format!("{}run", prefix("checkout"))).query(&mut connection).unwrap();
    let hostile: [Vec<u8>; 6] = [
        b"nonsense".to_vec(),
        vec![0xFF; 1000],
        format!("{run} 0 1\ndb 99 o 99999999999999999 0 0 ~ 0 0 0 ~ ~ ~ ~").into_bytes(),
        format!("{run} 0 1\n../../db 99 o 1 0 0 ~ 0 0 0 ~ ~ ~ ~").into_bytes(),
        format!("{run} 5 1").into_bytes(),
        format!("{run} 0 1\n{}", "x".repeat(9000)).into_bytes(),
    ];
    for message in &hostile {
        let channel = format!("{}ev", prefix("checkout"));
        let heard: u64 = redis::cmd("PUBLISH").arg(channel).arg(message).query(&mut connection).unwrap();
        assert_eq!(heard, 1);
    }
    wait_for("all are counted", || fleet.status().counts.malformed == hostile.len() as u64);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_server_that_forgot_the_script_is_given_it_again() {
    let server = Server::start();
    let breaker = breaker();
    let fleet = member(Redis::new(&server.url()).unwrap(), &breaker);
    wait_for("it is connected", || fleet.status().is_connected);
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut connection).unwrap();
    let before = fleet.status().counts.batches;
    wait_for("it goes on", || fleet.status().counts.batches > before + 1);
    assert_eq!(fleet.status().counts.store_errors, 0);
}

#[test]
fn a_server_that_is_emptied_under_way_is_noticed() {
    let server = Server::start();
    let breaker = breaker();
    let fleet = member(Redis::new(&server.url()).unwrap(), &breaker);
    let (sender, events) = std::sync::mpsc::channel();
    fleet.on_event(move |event| drop(sender.send(event.clone())));
    wait_for("it is connected", || fleet.status().is_connected);
    fleet.force_open("db", tripcoil_fleet::By::new("ana")).unwrap();
    wait_for("it obeys", || breaker.state() == State::ForcedOpen);
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    wait_for("it says so", || events.try_iter().any(|event| event == FleetEvent::StoreBack { has_forgotten: true }));
    let other = self::breaker();
    let late = member(Redis::new(&server.url()).unwrap(), &other);
    wait_for("the order is there again", || other.state() == State::ForcedOpen);
    assert_eq!(late.orders()[0].by, "ana");
}

proptest! {
    #[test]
    fn whatever_the_store_says_is_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::decode(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = Reply::decode(&text, [&*text]);
    }
}
