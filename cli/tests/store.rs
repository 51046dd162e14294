//! The commands for a fleet, over its store: a redis-server of the test's own. `.ci/run cli` runs them:
//! `cargo test -p tripcoil-cli --features redis-tests --test store`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;
use tripcoil::{CircuitBreaker, Registry, State};
use tripcoil_fleet::{BreakerName, Fleet, Quorum, Redis, Standing};

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "s3cret-s3cret";

/// Listens on a free port of the loopback interface and works in a temporary folder. Dropping it stops the server.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(more: &[&str]) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("tripcoil-cli-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir".as_ref(), folder.as_os_str()])
            .args(more)
            .stdout(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!(
                "redis-server cannot be started ({error}); install it, for instance by `apt-get install redis-server`"
            )
        });
        let server = Server { child, port, folder };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn member(&self) -> Member {
        let fleet = Fleet::builder("checkout").redis(&self.url()).unwrap().quorum(Quorum::count(2));
        let fleet = fleet.beat(Duration::from_millis(200)).build().unwrap();
        let builder = CircuitBreaker::builder("payments").error_threshold(1).reset_timeout(Duration::from_secs(60));
        let payments = Arc::new(builder.build().unwrap());
        let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
        fleet.join(&payments);
        fleet.join_registry(&hosts);
        hosts.get("db-1").try_acquire().unwrap().success();
        payments.try_acquire().unwrap().success();
        Member { fleet, payments, hosts }
    }

    fn members(&self) -> [Member; 2] {
        let members = [self.member(), self.member()];
        wait_for("both are connected", || members.iter().all(|member| member.fleet.status().members == 2));
        let store = Redis::new(&self.url()).unwrap();
        let names = [BreakerName::from("payments"), BreakerName::from(("hosts", "db-1"))];
        let are_known = || names.iter().all(|name| store.users("checkout", name.clone()) == Ok(2));
        wait_for("it is known who calls what", are_known);
        members
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tripcoil"));
        command.args(args).env_remove("TRIPCOIL_CONSOLE").env("TRIPCOIL_STORE", self.url()).env("USER", "ana");
        command.env("TRIPCOIL_FLEET", "checkout").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Member {
    fleet: Fleet,
    payments: Arc<CircuitBreaker>,
    hosts: Arc<Registry<String>>,
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "this never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn done(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

fn fails(output: &Output, code: i32, part: &str) {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(part), "`{part}` is not in: {errors}");
    assert!(!errors.contains(PASSWORD), "{errors}");
}

#[test]
fn status_shows_what_the_fleet_holds() {
    let server = Server::start(&[]);
    let members = server.members();
    assert_eq!(done(&server.run(&["status"])), "fleet checkout: 2 members; all closed\n");
    for member in &members {
        member.payments.try_acquire().unwrap().failure();
    }
    wait_for("the fleet opens", || done(&server.run(&["status"])).contains("payments"));
    let table = server.run(&["status"]);
    let table = done(&table);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("STATE  BREAKER") && !lines[0].contains("CALLS"), "{table}");
    assert!(lines[1].starts_with("open   payments") && lines[1].contains("retries in"), "{table}");
    assert!(table.ends_with("fleet checkout: 2 members; 1 breaker: 1 open\n"), "{table}");

    let hold = ["hold", "closed", "db-1", "--registry", "hosts", "--because", "moving", "--for", "30m", "--yes"];
    let forced = server.run(&hold);
    assert!(done(&forced).starts_with("db-1 (registry hosts): forced closed for "), "{forced:?}");
    let json: Value = serde_json::from_str(done(&server.run(&["status", "--json"]))).unwrap();
    assert_eq!((&json["fleet"], &json["members"], &json["matched"]), (&"checkout".into(), &2.into(), &2.into()));
    let [open, forced] = &json["breakers"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!((&open["name"], &open["state"]), (&"payments".into(), &"open".into()));
    assert_eq!((&forced["registry"], &forced["state"]), (&"hosts".into(), &"forced_closed".into()));
    assert_eq!((&forced["order"]["by"], &forced["order"]["because"]), (&"ana".into(), &"moving".into()));
    assert!(forced["order"]["ends_in_ms"].as_u64().unwrap() > 1_700_000, "{json}");
    let filtered = server.run(&["status", "--state", "forced_closed"]);
    assert!(done(&filtered).contains("ends in") && !done(&filtered).contains("payments"), "{filtered:?}");
}

#[test]
fn holds_reach_every_member_and_are_released() {
    let server = Server::start(&[]);
    let members = server.members();
    let all_are = |state: State| members.iter().all(|member| member.payments.state() == state);
    // Two processes are many.
    fails(&server.run(&["hold", "open", "payments", "--because", "moving"]), 8, "--yes");
    assert!(all_are(State::Closed));
    let output = server.run(&["hold", "open", "payments", "--because", "moving", "--by", "ben", "--yes"]);
    assert_eq!(done(&output), "payments: forced open until released (ben: moving)\n");
    wait_for("all are held", || all_are(State::ForcedOpen));
    fails(&server.run(&["release", "db-1", "--registry", "hosts", "--because", "x", "--yes"]), 7, "no order stands");
    let released = server.run(&["release", "payments", "--because", "moved", "--yes"]);
    assert!(done(&released).starts_with("payments: closed"), "{released:?}");
    wait_for("all are released", || members.iter().all(|member| member.payments.state() != State::ForcedOpen));
    done(&server.run(&["reset", "payments", "--because", "no ramp", "--yes"]));
    wait_for("all are closed", || all_are(State::Closed));
    for member in &members {
        member.payments.try_acquire().unwrap().failure();
    }
    // Otherwise a vote that is on its way could complete the quorum after the reset.
    let is_held = |member: &Member| member.fleet.status().breakers.iter().any(|one| one.standing == Standing::Held);
    wait_for("the fleet holds all", || members.iter().all(is_held));
    done(&server.run(&["reset", "payments", "--because", "repaired", "--yes"]));
    wait_for("all are reset", || all_are(State::Closed));

    let try_hold = |name: &str, more: &[&str]| {
        let args = [&["hold", "open", name, "--because", "x"], more].concat();
        server.run(&args)
    };
    done(&try_hold("payments", &["--yes", "--for", "2s"]));
    wait_for("all are held", || all_are(State::ForcedOpen));
    let is_free = |member: &Member| member.payments.state() != State::ForcedOpen && member.fleet.orders().is_empty();
    wait_for("it ends by itself", || members.iter().all(is_free));
    fails(&try_hold("paymets", &[]), 6, "no member of the fleet `checkout` has called a breaker named `paymets`");
    fails(&try_hold("payments", &["--for", "721h"]), 2, "1s to 720h");
    fails(&try_hold("payments", &["--yes", "--by", &"x".repeat(101)]), 2, "1 to 100 bytes");
    let many = server.run(&["release", "--matching", "*", "--because", "x", "--yes"]);
    fails(&many, 6, "no breaker that is not closed");
    assert!(members.iter().all(|member| member.hosts.get("db-1").state() == State::Closed));
}

#[test]
fn events_are_followed_and_a_store_that_restarts_is_picked_up_again() {
    let mut server = Server::start(&[]);
    fails(&server.run(&["events"]), 2, "--follow");
    let mut child =
        server.command(&["events", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, lines) = channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let act = |server: &Server| drop(server.run(&["hold", "open", "payments", "--because", "moving", "--yes"]));
    let next = |server: &Server| {
        let begun = Instant::now();
        loop {
            // It subscribes at some time.
            act(server);
            match lines.recv_timeout(Duration::from_millis(300)) {
                Ok(line) => return line,
                Err(_) => assert!(begun.elapsed() < PATIENCE, "nothing was printed"),
            }
        }
    };
    let line = next(&server);
    assert!(line.contains("  payments  forced open until released (ana: moving)"), "{line}");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    fails(&server.run(&["status"]), 4, "the fleet's store");
    server.child = Command::new("redis-server")
        .args(["--port", &server.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--dir".as_ref(), server.folder.as_os_str()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let line = next(&server);
    assert!(line.contains("payments  forced open"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_doctor_finds_what_is_wrong_with_a_store() {
    let server = Server::start(&["--requirepass", PASSWORD]);
    let url = format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port);
    let doctor = |url: &str| server.command(&["doctor"]).env("TRIPCOIL_STORE", url).output().unwrap();
    fails(&doctor(&server.url()), 5, "the fleet's store");
    fails(&doctor(&format!("redis://:{PASSWORD}x@127.0.0.1:{}", server.port)), 5, "invalid username");
    fails(&doctor(&format!("redis://:{PASSWORD}@127.0.0.1:nonsense")), 2, "--store");
    let alone = doctor(&url);
    fails(&alone, 1, "1 check found a problem");
    let found = text(&alone.stdout);
    for line in [
        "ok      store       redis ",
        "ok      access      the user may do all that a fleet needs",
        "ok      script      the fleet's script runs",
        "ok      versions    only members with protocol 1",
        "ok      clocks      the store and this machine agree",
        "ok      eviction    the store evicts nothing",
        "problem members     0 members are alive in the fleet checkout",
    ] {
        assert!(found.contains(line), "`{line}` is not in: {found}");
    }
    let ask = |args: &[&str]| {
        let asked =
            Command::new("redis-cli").args(["-p", &server.port.to_string(), "-a", PASSWORD]).args(args).output();
        let asked = asked.expect("redis-cli comes with redis-server's tools: `apt-get install redis-tools`");
        assert!(!text(&asked.stdout).contains("ERR"), "{args:?}: {asked:?}");
        text(&asked.stdout).to_owned()
    };
    // It leaves nothing behind but the name of the store's state.
    assert_eq!(ask(&["KEYS", "*"]).trim(), "tripcoil:1:{checkout}:run");
    ask(&["CONFIG", "SET", "maxmemory", "100mb"]);
    ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    ask(&["SET", "tripcoil:2:{checkout}:seq", "7"]);
    let found = doctor(&url);
    fails(&found, 1, "3 checks found a problem");
    let found = text(&found.stdout);
    assert!(found.contains("problem eviction    maxmemory-policy allkeys-lru loses orders"), "{found}");
    assert!(found.contains("problem versions    members with protocol 2 are a fleet of their own"), "{found}");

    // The user of the fleet's page, and one who may too little.
    let acl = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../fleet/acl.txt")).unwrap();
    let rules = acl.lines().find(|line| line.starts_with("user fleet")).unwrap();
    let rules: Vec<_> = ["ACL", "SETUSER"].into_iter().chain(rules.split(' ').skip(1)).collect();
    ask(&rules);
    let url = format!("redis://fleet:secret@127.0.0.1:{}", server.port);
    let found = doctor(&url);
    let found = text(&found.stdout);
    assert!(found.contains("ok      access"), "{found}");
    assert!(found.contains("ok      eviction    the user may not read maxmemory-policy"), "{found}");
    ask(&["ACL", "SETUSER", "fleet", "-zadd", "-publish"]);
    let found = doctor(&url);
    assert!(text(&found.stdout).contains("problem access      the user may not use ZADD, PUBLISH"), "{found:?}");
    ask(&["ACL", "SETUSER", "fleet", "-evalsha"]);
    let found = doctor(&url);
    assert!(text(&found.stdout).contains("problem script"), "{found:?}");
}

#[test]
fn a_source_is_named_once() {
    let server = Server::start(&[]);
    let both = server.command(&["status"]).env("TRIPCOIL_CONSOLE", "http://127.0.0.1:1").output().unwrap();
    fails(&both, 2, "one too many");
    fails(&server.command(&["status"]).env_remove("TRIPCOIL_FLEET").output().unwrap(), 2, "which fleet");
    fails(&server.command(&["status"]).env_remove("TRIPCOIL_STORE").output().unwrap(), 2, "where is the store");
    let mut flags = server.command(&["status", "--fleet", "other", "--store", &server.url()]);
    let other = flags.env_remove("TRIPCOIL_FLEET").env_remove("TRIPCOIL_STORE").output().unwrap();
    assert_eq!(done(&other), "fleet other: 0 members; all closed\n");
}

#[test]
fn the_table_is_live_on_a_terminal() {
    let server = Server::start(&[]);
    let pty = native_pty_system().openpty(PtySize { rows: 12, cols: 90, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tripcoil"));
    command.args(["status", "--watch", "--fleet", "checkout", "--store", &server.url()]);
    command.env_remove("TRIPCOIL_CONSOLE");
    command.env("TERM", "xterm-256color");
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().unwrap();
    let (sender, bytes) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut screen = vt100::Parser::new(12, 90, 0);
    let mut until = |part: &str| {
        let begun = Instant::now();
        while !screen.screen().contents().contains(part) {
            assert!(begun.elapsed() < PATIENCE, "`{part}` is not in:\n{}", screen.screen().contents());
            if let Ok(bytes) = bytes.recv_timeout(Duration::from_millis(100)) {
                screen.process(&bytes);
            }
        }
    };
    until("fleet checkout: 0 members; all closed");
    done(&server.run(&["hold", "open", "payments", "--because", "moving", "--yes"]));
    until("ana: moving");
    pty.master.take_writer().unwrap().write_all(b"q").unwrap();
    assert!(child.wait().unwrap().success());
}
