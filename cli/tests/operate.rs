//! The commands for a running program, against a real console.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::Value;
use tripcoil::{CircuitBreaker, Registry, State};
use tripcoil_console::{Access, Action, Audit, Console, Journal, Serving};

const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}evil\u{9b}31m\r\n";
const PATIENCE: Duration = Duration::from_secs(30);

struct Program {
    payments: Arc<CircuitBreaker>,
    hosts: Arc<Registry<String>>,
    audit: Arc<Mutex<Vec<Audit>>>,
    serving: Serving,
}

impl Program {
    fn start(access: Access) -> Program {
        Program::at("127.0.0.1:0", access)
    }

    fn at(address: &str, access: Access) -> Program {
        let journal = Journal::new();
        let breaker = |name: &str| {
            let builder = CircuitBreaker::builder(name.to_owned()).error_threshold(2).on_transition(journal.observer());
            Arc::new(builder.build().unwrap())
        };
        let payments = breaker("payments");
        let template = CircuitBreaker::builder("hosts").on_transition(journal.observer_of("hosts"));
        let hosts: Arc<Registry<String>> = Arc::new(Registry::builder(template).capacity(4096).build().unwrap());
        for key in ["db-1", "db-2", "payments"] {
            hosts.get(key);
        }
        let audit = Arc::new(Mutex::new(Vec::new()));
        let audited = audit.clone();
        let console = Console::new().breaker(payments.clone()).breaker(breaker("mail")).breaker(breaker(HOSTILE));
        let serving = console
            .registry(hosts.clone())
            .journal(&journal)
            .access(move |_| access.clone())
            .on_audit(move |attempt: &Audit| audited.lock().unwrap().push(attempt.clone()))
            .serve(address)
            .unwrap();
        Program { payments, hosts, audit, serving }
    }

    fn full() -> Program {
        Program::start(Access::Full { actor: "ana".into() })
    }

    fn run(&self, args: &[&str]) -> Output {
        command(args).env("TRIPCOIL_CONSOLE", self.serving.url()).output().unwrap()
    }

    fn acts(&self) -> Vec<String> {
        self.audit.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tripcoil"));
    command.args(args).env_remove("TRIPCOIL_CONSOLE").env_remove("TRIPCOIL_CONSOLE_TOKEN").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Its standard output, which is all of it: it succeeded.
fn done(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

fn fails(output: &Output, code: i32, part: &str) {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(part), "`{part}` is not in: {errors}");
    assert!(is_harmless(errors), "{errors:?}");
}

/// Whether nothing in it acts on a terminal.
fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}'))
}

/// Ends a process that the test has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn status_lists_the_worst_first_and_filters() {
    let program = Program::full();
    program.payments.force_open();
    done(&program.run(&["hold", "closed", "db-1", "--because", "test"]));
    let all = program.run(&["status"]);
    let all = done(&all);
    assert!(is_harmless(all), "{all:?}");
    let lines: Vec<_> = all.lines().collect();
    assert!(lines[0].starts_with("STATE"), "{all}");
    assert!(lines[1].starts_with("forced open    payments"), "{all}");
    assert!(lines[2].starts_with("forced closed  db-1") && lines[2].contains("hosts"), "{all}");
    assert!(all.contains("\\u{1b}[2J\\u{1b}]0;owned\\u{7}\\u{202e}evil\\u{9b}31m\\r\\n"), "{all}");
    assert_eq!(*lines.last().unwrap(), "6 breakers: 1 forced open, 1 forced closed, 4 closed");

    let rows = |args: &[&str]| {
        let output = program.run(args);
        let table: Vec<_> =
            done(&output).lines().skip(1).take_while(|line| !line.is_empty()).map(str::to_owned).collect();
        table.len()
    };
    assert_eq!(rows(&["status", "PAY"]), 2);
    assert_eq!(rows(&["status", "--state", "forced_open,forced_closed"]), 2);
    assert_eq!(rows(&["status", "--registry", "hosts"]), 3);
    assert_eq!(rows(&["status", "--limit", "4"]), 4);
    let nothing = program.run(&["status", "nothing"]);
    assert_eq!(done(&nothing), "6 breakers: 1 forced open, 1 forced closed, 4 closed; none matches\n");
    fails(&program.run(&["status", "--state", "ajar"]), 2, "half_open");
    fails(&program.run(&["status", "--watch"]), 2, "--watch needs a terminal");
}

#[test]
fn json_is_the_answer_of_the_console() {
    let program = Program::full();
    done(&program.run(&["hold", "open", "payments", "--no-registry", "--because", "x"]));
    let output = program.run(&["status", "--json", "--limit", "2"]);
    let json = done(&output);
    assert!(is_harmless(json));
    let value: Value = serde_json::from_str(json).unwrap();
    assert_eq!(value["matched"], 6);
    assert_eq!(value["breakers"].as_array().unwrap().len(), 2);
    assert_eq!(value["breakers"][0]["name"], "payments");
    let output = program.run(&["status", "--json", "evil"]);
    let value: Value = serde_json::from_str(done(&output)).unwrap();
    assert_eq!(value["breakers"][0]["name"], HOSTILE);
}

#[test]
fn thousands_of_breakers_are_read_in_pages() {
    let program = Program::full();
    for key in 0..2_300 {
        program.hosts.get(&format!("key-{key}"));
    }
    // The console looks once a second.
    let begun = Instant::now();
    loop {
        let output = program.run(&["status", "--json", "--limit", "100000", "key-"]);
        let value: Value = serde_json::from_str(done(&output)).unwrap();
        let names: std::collections::HashSet<_> =
            value["breakers"].as_array().unwrap().iter().map(|row| row["name"].to_string()).collect();
        if names.len() == 2_300 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{} of 2300", names.len());
    }
    let output = program.run(&["hold", "open", "--matching", "key-22*", "--because", "bad shelf", "--yes"]);
    assert_eq!(done(&output).lines().count(), 111);
    assert_eq!(program.hosts.get("key-2299").state(), State::ForcedOpen);
    assert_eq!(program.hosts.get("key-23").state(), State::Closed);
}

#[test]
fn breakers_are_held_released_and_reset() {
    let program = Program::full();
    let held = program.run(&["hold", "open", "mail", "--because", "  provider is down "]);
    assert_eq!(done(&held), "mail: closed -> forced open\n");
    assert_eq!(done(&program.run(&["release", "mail", "--because", "it is back"])), "mail: forced open -> closed\n");
    assert_eq!(done(&program.run(&["reset", "mail", "--because", "tried it"])), "mail: stays closed\n");
    assert_eq!(done(&program.run(&["reset", "mail", "--because", "again"])), "mail: stays closed\n");
    fails(&program.run(&["release", "mail", "--because", "again"]), 7, "only a forced state can be released");
    assert_eq!(
        program.acts(),
        [
            "ana: force_open `mail` because \"provider is down\": done",
            "ana: release `mail` because \"it is back\": done",
            "ana: reset `mail` because \"tried it\": done",
            "ana: reset `mail` because \"again\": done",
            "ana: release `mail` because \"again\": refused, the breaker is closed, and only a forced state can be released",
        ]
    );
}

#[test]
fn a_name_means_one_breaker() {
    let program = Program::full();
    let hold = |more: &[&str]| program.run(&[&["hold", "closed", "--because", "x", "payments"], more].concat());
    fails(&hold(&[]), 7, "2 breakers are named `payments`: payments");
    assert_eq!(program.payments.state(), State::Closed);
    assert_eq!(done(&hold(&["--no-registry"])), "payments: closed -> forced closed\n");
    assert_eq!(done(&hold(&["--registry", "hosts"])), "payments (registry hosts): closed -> forced closed\n");
    fails(&program.run(&["reset", "paymen", "--because", "x"]), 6, "no breaker is named `paymen`");
    fails(&program.run(&["reset", "db-*", "--because", "x"]), 6, "no breaker is named `db-*`");
    fails(&program.run(&["reset", "--matching", "zz*", "--because", "x", "--yes"]), 6, "no breaker is like `zz*`");
    fails(&program.run(&["reset", "\u{1b}[2J", "--because", "x"]), 6, "no breaker is named `\\u{1b}[2J`");
    let hostile = program.run(&["hold", "open", HOSTILE, "--because", "odd name"]);
    assert!(is_harmless(done(&hostile)));
    assert!(done(&hostile).ends_with(": closed -> forced open\n"));
    fails(&program.run(&["reset", "mail"]), 2, "--because");
    fails(&program.run(&["reset", "mail", "--because", " "]), 2, "a reason is needed");
    fails(&program.run(&["reset", "mail", "--because", &"x".repeat(501)]), 2, "allowed are 500");
    fails(&program.run(&["reset", "--because", "x"]), 2, "NAME");
}

#[test]
fn several_breakers_need_a_confirmation() {
    let program = Program::full();
    for many in [&["mail", "db-1"][..], &["--matching", "db-*"], &["--matching", "*", "--registry", "hosts"]] {
        fails(&program.run(&[&["hold", "open", "--because", "x"], many].concat()), 8, "--yes");
    }
    assert!(program.acts().is_empty());
    let both = program.run(&["hold", "open", "db-2", "mail", "db-2", "--because", "x", "--yes"]);
    assert_eq!(done(&both), "db-2 (registry hosts): closed -> forced open\nmail: closed -> forced open\n");
    let released = program.run(&["release", "--matching", "*", "--because", "x", "--yes"]);
    assert_eq!(done(&released), "mail: forced open -> closed\ndb-2 (registry hosts): forced open -> closed\n");
    assert_eq!(
        done(&program.run(&["release", "--matching", "*", "--because", "x", "--yes"])),
        "none of them is held\n"
    );
}

#[test]
fn what_was_left_as_it_is_is_named() {
    static ONE: CircuitBreaker = CircuitBreaker::new("twin");
    static OTHER: CircuitBreaker = CircuitBreaker::new("twin");
    static ALONE: CircuitBreaker = CircuitBreaker::new("alone");
    let console = Console::new().breaker(&ONE).breaker(&OTHER).breaker(&ALONE);
    let serving = console.access(|_| Access::Full { actor: "ana".into() }).serve("127.0.0.1:0").unwrap();
    let args = ["hold", "open", "--matching", "*", "--because", "x", "--yes", "--console", &serving.url()];
    let output = command(&args).output().unwrap();
    assert_eq!(text(&output.stdout), "alone: closed -> forced open\n");
    fails(&output, 1, "error: twin: 2 have this name");
    fails(&output, 1, "error: 2 of 3 breakers were left as they are");
    serving.stop();
}

#[test]
fn access_decides() {
    let read_only = Program::start(Access::ReadOnly);
    fails(&read_only.run(&["reset", "mail", "--because", "x"]), 5, "read-only");
    assert!(done(&read_only.run(&["status"])).contains("mail"));
    assert!(done(&read_only.run(&["doctor"])).contains("you may look, and change nothing"));
    let some = Program::start(Access::Some { actor: "ben".into(), actions: vec![Action::Release] });
    fails(&some.run(&["reset", "mail", "--because", "x"]), 5, "you may not reset: allowed are release");
    let forbidden = Program::start(Access::Forbidden);
    for args in [&["status"][..], &["events"], &["doctor"], &["reset", "mail", "--because", "x"]] {
        fails(&forbidden.run(args), 5, "you may not see this console");
    }
}

#[test]
fn credentials_reach_the_console_and_are_not_printed() {
    let console = Console::new().access(|request| {
        // Of `ana:s3cret` and of a token.
        match request.headers.get("authorization").and_then(|value| value.to_str().ok()) {
            Some("Basic YW5hOnMzY3JldA==") => Access::Full { actor: "ana".into() },
            Some("Bearer t0ken") => Access::Full { actor: "robot".into() },
            _ => Access::Forbidden,
        }
    });
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = format!("http://ana:s3cret@{}/", serving.local_addr());
    let output = command(&["doctor", "--console", &url]).output().unwrap();
    assert!(done(&output).contains("you are ana"), "{}", done(&output));
    assert!(done(&output).contains("http://***@127.0.0.1") && !done(&output).contains("s3cret"), "{}", done(&output));
    let output = command(&["doctor", "--console", &url]).env("TRIPCOIL_CONSOLE_TOKEN", "t0ken").output().unwrap();
    assert!(done(&output).contains("you are robot"), "{}", done(&output));
    serving.stop();

    for wrong in [url.as_str(), "http://ana:s3cret@127.0.0.1:1/", "ftp://ana:s3cret@h/", "http://ana:s3cret@h:99999/"] {
        let output = command(&["status"]).env("TRIPCOIL_CONSOLE", wrong).output().unwrap();
        assert!(!text(&output.stderr).contains("s3cret"), "{}", text(&output.stderr));
        assert_ne!(output.status.code(), Some(0));
    }
    let help = command(&["status", "--help"]).env("TRIPCOIL_CONSOLE", &url).output().unwrap();
    assert!(done(&help).contains("TRIPCOIL_CONSOLE") && !done(&help).contains("s3cret"));
    assert!(done(&help).contains("Exit codes:"));
}

#[test]
fn what_is_no_console_is_named() {
    fails(&command(&["status"]).output().unwrap(), 2, "Give --console, or --fleet and --store");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(&command(&["status", "--console", &format!("http://{free}")]).output().unwrap(), 4, "cannot be reached");
    let program = Program::full();
    let url = program.serving.url() + "elsewhere";
    assert_ne!(command(&["status", "--console", &url]).output().unwrap().status.code(), Some(0));
    for (answer, part) in [
        ("200 OK\r\ncontent-length: 2\r\n\r\n{}", "does not answer as a console"),
        ("200 OK\r\ncontent-length: 5\r\n\r\n<htm>", "the answer is no JSON"),
        ("200 OK\r\ncontent-length: 100\r\n\r\n{", "cannot be reached"),
        (
            "302 Found\r\nlocation: http://sso.example/?secret=1\r\ncontent-length: 0\r\n\r\n",
            "redirects to http://sso.example/\n",
        ),
        ("404 Not Found\r\ncontent-length: 0\r\n\r\n", "there is no console at this path"),
        ("500 Oops\r\ncontent-length: 27\r\n\r\n{\"error\": \"\u{1b}[2J\\u001b[2J!\"}", "answers 500"),
        ("nonsense", "cannot be reached"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            write!(stream, "HTTP/1.1 {answer}").unwrap();
        });
        fails(&command(&["status", "--console", &url]).output().unwrap(), 4, part);
        server.join().unwrap();
    }
}

#[test]
fn doctor_finds_a_clock_that_is_off() {
    let program = Program::full();
    let output = program.run(&["doctor"]);
    let words = done(&output);
    for part in
        ["ok      console", "you are ana, and may force_open", "ok      versions", "agree", "the first came after"]
    {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
    let output = program.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_str(done(&output)).unwrap();
    assert_eq!(report["is_ok"], true);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let body = r#"{"at": 1000000000000, "version": "9.0.0", "matched": 0, "breakers": []}"#;
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = "HTTP/1.1 200 OK\r\ndate: Sun, 09 Sep 2001 01:46:40 GMT\r\nconnection: close\r\n";
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let output = command(&["doctor", "--console", &url]).output().unwrap();
    server.join().unwrap();
    fails(&output, 1, "3 checks found a problem");
    let words = text(&output.stdout);
    for part in ["problem versions    the console has 9.0.0", "behind this machine", "no event stream"] {
        assert!(words.contains(part), "`{part}` is not in: {words}");
    }
}

/// Lines as a process prints them.
fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines() {
            if line.is_err() || sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

fn wait_for(lines: &Receiver<String>, part: &str) -> String {
    let begun = Instant::now();
    let mut seen = Vec::new();
    while begun.elapsed() < PATIENCE {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(_) => {}
        }
    }
    panic!("`{part}` is not in {seen:?}");
}

#[test]
fn events_tell_transitions_and_acts() {
    let program = Program::full();
    for _ in 0..2 {
        let _ = program.payments.call_sync(|| Err::<(), _>("gone"));
    }
    done(&program.run(&["hold", "open", "db-1", "--because", "shelf\nis \u{1b}[31mred"]));
    let output = program.run(&["events", "db-1"]);
    let events: Vec<_> = done(&output).lines().collect();
    assert!(is_harmless(done(&output)));
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        events.iter().any(|line| line.ends_with("db-1 (registry hosts)  force_open by ana: shelf\\nis \\u{1b}[31mred"))
    );
    assert!(events.iter().any(|line| line.ends_with("closed -> forced open (manual)")), "{events:?}");
    let output = program.run(&["events"]);
    assert!(done(&output).contains("payments  closed -> open ("), "{}", done(&output));
    assert_eq!(done(&program.run(&["events", "--last", "1"])).lines().count(), 1);
    let output = program.run(&["events", "--registry", "hosts", "--json", "--last", "1"]);
    let event: Value = serde_json::from_str(done(&output)).unwrap();
    assert_eq!((event["name"].as_str(), event["registry"].as_str()), (Some("db-1"), Some("hosts")));
    fails(&program.run(&["events", "nobody"]), 6, "no breaker is named `nobody`");
}

#[test]
fn followed_events_survive_a_restart_of_the_console() {
    let program = Program::full();
    let address = program.serving.local_addr().to_string();
    for args in [&["events", "--follow"][..], &["events", "mail", "--follow"]] {
        let mut command = command(args);
        let child = command.env("TRIPCOIL_CONSOLE", program.serving.url());
        let mut running = Running(child.stdout(Stdio::piped()).spawn().unwrap());
        let printed = lines(running.0.stdout.take().unwrap());
        // Until it is connected, an act may come too early for it, and is then among the events so far.
        done(&program.run(&["hold", "open", "mail", "--because", "one"]));
        wait_for(&printed, "mail  force_open by ana: one");
        done(&program.run(&["release", "mail", "--because", "two"]));
        wait_for(&printed, "mail  release by ana: two");
        done(&program.run(&["hold", "closed", "mail", "--because", "three", "--for", "1h 30m"]));
        wait_for(&printed, "mail  force_closed by ana, for 90 min: three");
    }
    let mut follow = command(&["events", "--follow"]);
    let child = follow.env("TRIPCOIL_CONSOLE", program.serving.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(child.spawn().unwrap());
    let printed = lines(running.0.stdout.take().unwrap());
    let errors = lines(running.0.stderr.take().unwrap());
    wait_for(&printed, "force_closed by ana, for 90 min: three");
    program.serving.stop();
    wait_for(&errors, "trying again");
    let program = Program::at(&address, Access::Full { actor: "ben".into() });
    wait_for(&errors, "connected again");
    done(&program.run(&["hold", "open", "mail", "--because", "after the restart"]));
    wait_for(&printed, "force_open by ben: after the restart");
}

/// A process on its own terminal.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    /// Everything that it wrote.
    raw: Arc<Mutex<Vec<u8>>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    pair: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    fn run(args: &[&str], url: &str, environment: &[(&str, &str)]) -> Terminal {
        let size = PtySize { rows: 12, cols: 100, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_tripcoil"));
        command.args(args);
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        command.env("TRIPCOIL_CONSOLE", url);
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(12, 100, 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (into, all) = (screen.clone(), raw.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..read]);
                into.lock().unwrap().process(&bytes[..read]);
            }
        });
        Terminal { screen, raw, keys: pair.master.take_writer().unwrap(), child, pair: pair.master }
    }

    fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, part: &str) {
        let begun = Instant::now();
        while !self.contents().contains(part) {
            assert!(begun.elapsed() < PATIENCE, "`{part}` is not on the screen:\n{}", self.contents());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Its exit code.
    fn wait(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.contents());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watched_table_lives_and_puts_the_terminal_back() {
    let program = Program::full();
    let address = program.serving.local_addr().to_string();
    let mut terminal = Terminal::run(&["status", "--watch"], &program.serving.url(), &[]);
    terminal.wait_for("6 breakers: 6 closed");
    assert!(terminal.screen.lock().unwrap().screen().alternate_screen());
    assert!(terminal.screen.lock().unwrap().screen().hide_cursor());
    program.payments.force_open();
    terminal.wait_for("forced open");
    let contents = terminal.contents();
    let lines: Vec<_> = contents.lines().collect();
    assert!(lines[0].starts_with("6 breakers: 1 forced open, 5 closed"), "{contents}");
    assert!(lines[3].starts_with("forced open  payments"), "{contents}");
    assert!(contents.contains("\\u{1b}[2J"), "{contents}");
    assert!(terminal.raw().contains("\u{1b}[35m"), "it has colours");
    assert!(!terminal.raw().contains("\u{1b}]0;owned"), "a name set the title");

    let smaller = PtySize { rows: 6, cols: 40, pixel_width: 0, pixel_height: 0 };
    terminal.screen.lock().unwrap().screen_mut().set_size(6, 40);
    terminal.pair.resize(smaller).unwrap();
    terminal.wait_for("4 more");
    program.serving.stop();
    terminal.wait_for("trying again");
    let restarted = Program::at(&address, Access::ReadOnly);
    terminal.wait_for("6 breakers: 6 closed");
    drop(restarted);
    terminal.press("q");
    assert_eq!(terminal.wait(), 0);
    let begun = Instant::now();
    while terminal.screen.lock().unwrap().screen().alternate_screen() {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!terminal.screen.lock().unwrap().screen().hide_cursor());
}

#[test]
fn a_watch_ends_at_once_with_ctrl_c_and_with_a_signal() {
    let program = Program::full();
    let mut terminal = Terminal::run(&["status", "--watch", "mail"], &program.serving.url(), &[("NO_COLOR", "1")]);
    terminal.wait_for("mail");
    program.run(&["hold", "open", "mail", "--because", "x"]);
    terminal.wait_for("forced open");
    assert!(!terminal.contents().contains("payments"), "{}", terminal.contents());
    assert!(!terminal.raw().contains("\u{1b}[35m"), "NO_COLOR is set");
    terminal.press("\u{3}");
    assert_eq!(terminal.wait(), 0);

    let mut terminal = Terminal::run(&["status", "--watch"], &program.serving.url(), &[]);
    terminal.wait_for("6 breakers");
    let id = terminal.child.process_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(terminal.wait(), 0);
    let begun = Instant::now();
    while terminal.screen.lock().unwrap().screen().alternate_screen() {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_person_is_asked_on_a_terminal() {
    let program = Program::full();
    let hold = ["hold", "open", "--matching", "db-*", "--because", "x"];
    for (answer, code, state) in [("n\r", 8, State::Closed), ("\r", 8, State::Closed), ("y\r", 0, State::ForcedOpen)] {
        let mut terminal = Terminal::run(&hold, &program.serving.url(), &[]);
        terminal.wait_for("Hold open 2 breakers? [y/N]");
        assert!(terminal.contents().contains("  db-1 (registry hosts) is closed"), "{}", terminal.contents());
        terminal.press(answer);
        assert_eq!(terminal.wait(), code);
        assert_eq!(program.hosts.get("db-1").state(), state, "{answer:?}");
    }
    let mut terminal = Terminal::run(&["status"], &program.serving.url(), &[]);
    terminal.wait_for("6 breakers: 2 forced open");
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.raw().contains("\u{1b}[35mforced open"), "{:?}", terminal.raw());
}
