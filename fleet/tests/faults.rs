//! The eight promises of a fleet, on a redis-server and with processes that are killed, stopped and cut off.
//!
//! Each member is a process: this program, started again with `FLEET_MEMBER` set. What they protect is a server in here,
//! which sees who calls it, in which state, and at the same time as whom.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Server, free_port, send};
use tripcoil::clock::MonotonicClock;
use tripcoil::{CircuitBreaker, Clock, State};
use tripcoil_fleet::protocol::{Op, Phase, View};
use tripcoil_fleet::{By, Fleet, FleetEvent, Redis, Store};

const MS: Duration = Duration::from_millis(1);
const RESET: Duration = Duration::from_millis(800);
const BEAT: Duration = Duration::from_millis(500);
const LEASE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("FLEET_MEMBER") {
        be_a_member(&name);
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 8] = [
        ("promise_1_at_most_one_member_probes_whatever_is_killed_or_paused", one_prober),
        ("promise_2_no_opening_without_a_quorum", no_opening_without_a_quorum),
        ("promise_3_a_dead_probers_place_returns", a_dead_probers_place_returns),
        ("promise_4_nobody_is_held_when_the_store_is_lost", nobody_is_held),
        ("promise_5_all_agree_after_the_store_was_stopped", all_agree),
        ("promise_6_an_order_survives_members_and_an_empty_restart", an_order_survives),
        ("promise_7_the_loss_of_the_store_gives_the_local_breaker", the_local_breaker),
        ("promise_8_a_late_verdict_changes_nothing", a_late_verdict),
    ];
    // As the harness has it: parts of names; options are for others.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = false;
    for (name, test) in tests {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let begun = Instant::now();
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, begun.elapsed().as_secs_f64());
        failed |= !passed;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A clock that is far off: nobody else's has to agree with it.
struct Off(Duration);

impl Clock for Off {
    fn now(&self) -> Duration {
        MonotonicClock.now() + self.0
    }
}

/// The process of one member: it calls the server that the environment names, and says what happens.
fn be_a_member(name: &str) {
    let var = |name| std::env::var(name).unwrap();
    let offset = Off(Duration::from_secs(var("FLEET_OFFSET").parse().unwrap()));
    let builder = CircuitBreaker::builder("db").error_threshold(3).success_threshold(1).clock(offset);
    let breaker = Arc::new(builder.reset_timeout(RESET).build().unwrap());
    let fleet = Fleet::builder("faults")
        .beat(BEAT)
        .lease(LEASE)
        .command_timeout(200 * MS)
        .slow_close(500 * MS)
        .redis(&var("FLEET_REDIS"))
        .unwrap()
        .instance(name)
        .on_event(|event| match event {
            FleetEvent::StoreLost { .. } => println!("lost"),
            FleetEvent::StoreBack { .. } => println!("back"),
            FleetEvent::Elected { .. } => println!("elected"),
            _ => {}
        })
        .build()
        .unwrap();
    fleet.join(&breaker);
    let dependency = var("FLEET_SERVER");
    let is_broken = std::env::var("FLEET_BROKEN").is_ok();
    let mut known = None;
    loop {
        let state = state_of(&breaker);
        if known != Some(state) {
            println!("state {state}");
            known = Some(state);
        }
        let _ = breaker.call_sync(|| {
            // The prober may be the only one that sees half-open: what it says is what the breaker is during the call.
            let state = state_of(&breaker);
            if is_broken { Err(std::io::Error::other("broken")) } else { call(&dependency, name, state) }
        });
        thread::sleep(3 * MS);
    }
}

/// The steps of a slow close count as closed.
fn state_of(breaker: &CircuitBreaker) -> State {
    if breaker.metrics().recovery.is_some() { State::Closed } else { breaker.state() }
}

fn call(dependency: &str, name: &str, state: State) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(dependency)?;
    stream.set_read_timeout(Some(500 * MS))?;
    stream.write_all(format!("{name} {state}\n").as_bytes())?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer[0] == b'+' { Ok(()) } else { Err(std::io::Error::other("down")) }
}

/// What the members protect.
struct Dependency {
    port: u16,
    is_up: AtomicBool,
    /// Calls by half-open breakers in flight, by member.
    probes: Mutex<BTreeMap<String, usize>>,
    /// The most members that probed at the same time.
    most_probers: AtomicU64,
    calls: AtomicU64,
    has_ended: AtomicBool,
}

impl Dependency {
    fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dependency = Arc::new(Dependency {
            port: listener.local_addr().unwrap().port(),
            is_up: AtomicBool::new(true),
            probes: Mutex::new(BTreeMap::new()),
            most_probers: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        });
        let server = dependency.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if server.has_ended.load(Ordering::Relaxed) {
                    break;
                }
                let (server, stream) = (server.clone(), stream.unwrap());
                thread::spawn(move || server.serve(stream));
            }
        });
        dependency
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut line = String::new();
        if BufReader::new(&stream).read_line(&mut line).is_err() {
            return;
        }
        let Some((name, state)) = line.trim().split_once(' ') else { return };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let probes = state == "half_open";
        if probes {
            let mut probing = self.probes.lock().unwrap();
            *probing.entry(name.to_owned()).or_default() += 1;
            self.most_probers.fetch_max(probing.len() as u64, Ordering::Relaxed);
        }
        thread::sleep(if probes { 60 * MS } else { 2 * MS });
        if probes {
            let mut probing = self.probes.lock().unwrap();
            let many = probing.get_mut(name).unwrap();
            *many -= 1;
            if *many == 0 {
                probing.remove(name);
            }
        }
        let _ = stream.write_all(if self.is_up.load(Ordering::Relaxed) { b"+" } else { b"-" });
    }

    fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }
}

struct Member {
    child: Child,
    name: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Member {
    fn state(&self) -> String {
        let said = self.said.lock().unwrap();
        said.iter().rev().find_map(|line| line.strip_prefix("state ").map(str::to_owned)).unwrap_or_default()
    }

    fn said(&self, what: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|line| *line == what).count()
    }

    fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server, a dependency, and members.
struct World {
    redis: Option<Server>,
    redis_port: u16,
    dependency: Arc<Dependency>,
    members: Vec<Member>,
    born: u64,
}

impl Drop for World {
    fn drop(&mut self) {
        self.dependency.has_ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.dependency.port));
    }
}

impl World {
    fn start(members: usize) -> Self {
        let redis = Server::start();
        let (redis_port, dependency) = (redis.port, Dependency::start());
        let mut world = World { redis: Some(redis), redis_port, dependency, members: Vec::new(), born: 0 };
        for _ in 0..members {
            world.be_born(redis_port, false);
        }
        world.wait_for("all are connected", |world| world.members.iter().all(|member| member.said("back") > 0));
        // A member says at a beat that it uses the breaker.
        thread::sleep(2 * BEAT);
        world
    }

    fn be_born(&mut self, port: u16, is_broken: bool) {
        self.born += 1;
        let name = format!("m{}", self.born);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env("FLEET_MEMBER", &name)
            .env("FLEET_REDIS", format!("redis://127.0.0.1:{port}"))
            .env("FLEET_SERVER", format!("127.0.0.1:{}", self.dependency.port))
            .env("FLEET_OFFSET", (60 * self.born).to_string())
            .stdout(Stdio::piped());
        if is_broken {
            command.env("FLEET_BROKEN", "1");
        }
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (sink, stdout) = (said.clone(), child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        self.members.push(Member { child, name, said });
    }

    fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&mut World) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "this never came: {what}; {:?}", self.states());
            thread::sleep(5 * MS);
        }
    }

    fn states(&self) -> Vec<String> {
        self.members.iter().map(Member::state).collect()
    }

    fn all_are(&self, state: &str) -> bool {
        self.states().iter().all(|one| one == state)
    }

    fn store(&self) -> Redis {
        Redis::new(&format!("redis://127.0.0.1:{}", self.redis_port)).unwrap()
    }

    /// What the store says of the breaker.
    fn show(&self, op: Op) -> View {
        let mut connection = self.store().connect().unwrap();
        connection.run("faults", "observer+1", &[op]).unwrap().answers.remove(0).views.remove(0)
    }

    fn view(&self) -> View {
        self.show(Op::Show { name: "db".to_owned() })
    }

    /// Waits for a member to probe, and gives its place.
    fn prober(&mut self) -> usize {
        let mut found = None;
        self.wait_for("somebody probes", |world| {
            if let Phase::Probing(_, prober) = world.view().phase {
                let name = prober.split('+').next().unwrap();
                found = world.members.iter().position(|member| member.name == name);
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// An outage that all have seen.
    fn fall(&mut self) {
        self.dependency.set_up(false);
        self.wait_for("all are open", |world| world.states().iter().all(|state| state != "closed"));
    }

    fn recover(&mut self) {
        self.dependency.set_up(true);
        self.wait_for("all are closed", |world| world.all_are("closed"));
    }

    fn kill_redis(&mut self) {
        self.redis.as_ref().unwrap().signal("KILL");
        self.redis = None;
    }

    fn restart_redis_empty(&mut self) {
        self.redis = Some(Server::start_at(self.redis_port));
    }

    /// A member of this process, for orders.
    fn operator(&mut self) -> Fleet {
        let fleet = Fleet::builder("faults").store(self.store()).beat(BEAT).build().unwrap();
        self.wait_for("the operator is connected", |_| fleet.status().is_connected);
        fleet
    }
}

fn one_prober() {
    let mut world = World::start(4);
    world.fall();
    // Two members may have tripped alone before the fleet was open; from here on there is one prober.
    thread::sleep(RESET);
    world.dependency.most_probers.store(0, Ordering::Relaxed);
    let killed = world.prober();
    world.members.remove(killed);
    world.wait_for("another one is elected", |world| matches!(world.view().phase, Phase::Probing(..)));
    let paused = world.prober();
    world.members[paused].signal("STOP");
    thread::sleep(2 * LEASE);
    world.members[paused].signal("CONT");
    thread::sleep(2 * LEASE);
    let most = world.dependency.most_probers.load(Ordering::Relaxed);
    assert_eq!(most, 1, "that many members probed at the same time");
    world.recover();
}

fn no_opening_without_a_quorum() {
    let mut world = World::start(3);
    let port = world.redis_port;
    world.be_born(port, true);
    world.wait_for("the broken one is open", |world| world.members[3].state() == "open");
    thread::sleep(3 * RESET);
    assert!(world.members[..3].iter().all(|member| member.state() == "closed"), "{:?}", world.states());
    assert_eq!(world.view().phase, Phase::Closed);
    assert_eq!(world.members[0].said("state open"), 0);
    world.be_born(port, true);
    world.be_born(port, true);
    world.wait_for("half of them open all", |world| matches!(world.view().phase, Phase::Open(_) | Phase::Probing(..)));
    world.wait_for("and all hear of it", |world| world.members.iter().all(|member| member.said("state open") > 0));
}

fn a_dead_probers_place_returns() {
    let mut world = World::start(3);
    world.fall();
    let prober = world.prober();
    drop(world.members.remove(prober));
    world.recover();
    assert_eq!(world.view().phase, Phase::Closed);
}

fn nobody_is_held() {
    let mut world = World::start(3);
    world.fall();
    world.kill_redis();
    world.wait_for("the loss is told", |world| world.members.iter().all(|member| member.said("lost") > 0));
    world.recover();
    world.restart_redis_empty();
    world.wait_for("all are back", |world| world.members.iter().all(|member| member.said("back") > 1));
    thread::sleep(2 * BEAT);
    assert!(world.all_are("closed"), "{:?}", world.states());
}

fn all_agree() {
    let mut world = World::start(3);
    world.redis.as_ref().unwrap().signal("STOP");
    world.wait_for("the loss is told", |world| world.members.iter().all(|member| member.said("lost") > 0));
    thread::sleep(BEAT);
    world.redis.as_ref().unwrap().signal("CONT");
    world.wait_for("all are back", |world| world.members.iter().all(|member| member.said("back") > 1));
    world.fall();
    world.wait_for("and open as one", |world| matches!(world.view().phase, Phase::Open(_) | Phase::Probing(..)));
    world.recover();
    world.wait_for("and the store agrees", |world| world.view().phase == Phase::Closed);
}

fn an_order_survives() {
    let mut world = World::start(3);
    let operator = world.operator();
    operator.force_open("db", By::new("ana").because("a move")).unwrap();
    world.wait_for("all obey", |world| world.all_are("forced_open"));
    drop(operator);
    drop(world.members.remove(0));
    let port = world.redis_port;
    world.be_born(port, false);
    world.wait_for("one that is started later obeys", |world| world.all_are("forced_open"));
    world.kill_redis();
    world.wait_for("the loss is told", |world| world.members.iter().all(|member| member.said("lost") > 0));
    assert!(world.all_are("forced_open"), "{:?}", world.states());
    world.restart_redis_empty();
    world.wait_for("the survivors put it back", |world| world.view().order.is_some_and(|order| order.by == "ana"));
    world.be_born(port, false);
    world.wait_for("and one that is started then obeys", |world| world.all_are("forced_open"));
    world.show(Op::Release { name: "db".to_owned() });
    world.wait_for("it is released", |world| world.all_are("closed"));
}

fn the_local_breaker() {
    let mut world = World::start(2);
    // A store that takes connections and never answers.
    let hole = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    world.be_born(hole.local_addr().unwrap().port(), false);
    world.kill_redis();
    world.wait_for("the loss is told", |world| world.members[..2].iter().all(|member| member.said("lost") > 0));
    let before = world.dependency.calls.load(Ordering::Relaxed);
    world.wait_for("calls go on", |world| world.dependency.calls.load(Ordering::Relaxed) > before + 300);
    world.fall();
    world.recover();
    assert!(world.members.iter().all(|member| member.said("state open") > 0), "each has opened by itself");
    assert!(world.members.iter().all(|member| member.said("elected") == 0), "nobody was elected");
}

fn a_late_verdict() {
    let mut world = World::start(3);
    world.fall();
    let stopped = world.prober();
    world.members[stopped].signal("STOP");
    let token = world.view().token;
    let member = match world.view().phase {
        Phase::Probing(_, prober) => prober,
        phase => panic!("it has let go before it was stopped: {phase:?}"),
    };
    world.wait_for("another one has the lease", |world| world.view().token > token);
    world.dependency.set_up(true);
    world.wait_for("it closes", |world| world.view().phase == Phase::Closed);
    let before = world.view().version;
    let late = Op::Verdict { name: "db".to_owned(), member, token, is_ok: false };
    assert_eq!(world.show(late).version, before, "the store refuses it");
    world.members[stopped].signal("CONT");
    world.wait_for("who was stopped hears of it", |world| world.all_are("closed"));
    thread::sleep(2 * BEAT);
    assert_eq!(world.view().version, before);
    assert!(world.all_are("closed"), "{:?}", world.states());
}
