//! What a large fleet costs its redis-server: 10 000 members, of which this program plays the part that a server sees.
//!
//! ```text
//! cargo run --release -p fleet-demo --bin fleet-scale
//! cargo run --release -p fleet-demo --bin fleet-scale -- MEMBERS
//! ```
//!
//! It starts a redis-server of its own and sends what members would send, one after the other, as fast as it answers.
//! CPU and bytes are what the server says of itself; they do not depend on how fast this program is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tripcoil_fleet::protocol::{Backoff, Op, Phase, prefix};
use tripcoil_fleet::{Connection, Quorum, Redis, Store};

const BEAT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(3600);
const FLEET: &str = "scale";
/// Connections that hear what is published; a larger fleet is extrapolated.
const LISTENERS: u32 = 400;
/// Operations of one batch, as a member gathers them.
const BATCH: usize = 128;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server cannot be started, install it: {error}"))?;
        let server = Server(child, port);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err("redis-server does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.1)
    }
}

/// What the server says of itself.
#[derive(Clone, Copy)]
struct Usage {
    cpu: f64,
    received: f64,
    sent: f64,
    memory: f64,
}

fn usage(connection: &mut redis::Connection) -> Result<Usage> {
    let info: String = redis::cmd("INFO").arg("everything").query(connection)?;
    let field = |name: &str| -> f64 {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
    };
    Ok(Usage {
        cpu: field("used_cpu_user") + field("used_cpu_sys"),
        received: field("total_net_input_bytes"),
        sent: field("total_net_output_bytes"),
        memory: field("used_memory"),
    })
}

struct Measured {
    usage: Usage,
    after: Usage,
    took: Duration,
}

impl Measured {
    fn cpu(&self) -> f64 {
        self.after.cpu - self.usage.cpu
    }

    fn row(&self, what: &str, each: u32) {
        let each = f64::from(each);
        println!(
            "{what:44} {:>8.1} us  {:>7.0} B in {:>7.0} B out  {:>8.2} s in all",
            1e6 * self.cpu() / each,
            (self.after.received - self.usage.received) / each,
            (self.after.sent - self.usage.sent) / each,
            self.took.as_secs_f64(),
        );
    }
}

fn measure(admin: &mut redis::Connection, act: impl FnOnce() -> Result<()>) -> Result<Measured> {
    let (before, begun) = (usage(admin)?, Instant::now());
    act()?;
    let took = begun.elapsed();
    Ok(Measured { usage: before, after: usage(admin)?, took })
}

fn member(number: u32) -> String {
    format!("pod-{number}+{number:016x}")
}

fn vote(name: &str, number: u32, quorum: Quorum) -> Op {
    let backoff = Backoff { hold: LONG, factor: 1.0, max: LONG };
    Op::Vote { name: name.to_owned(), member: member(number), ttl: LONG, backoff, quorum }
}

fn main() -> Result<()> {
    let members: u32 = std::env::args().nth(1).map_or(Ok(10_000), |members| members.parse())?;
    let server = Server::start()?;
    let store = Redis::new(&server.url())?.command_timeout(Duration::from_secs(30));
    let mut connection = store.connect()?;
    let mut admin = redis::Client::open(server.url())?.get_connection()?;
    println!("{members} members, on one redis-server; CPU and bytes of the server, each:\n");
    let empty = usage(&mut admin)?;
    let beats = |connection: &mut Box<dyn Connection>| -> Result<()> {
        for number in 0..members {
            let beat = Op::Beat { member: member(number), ttl: LONG };
            connection.run(FLEET, &member(number), &[beat])?;
        }
        Ok(())
    };
    measure(&mut admin, || beats(&mut connection))?.row("first beat of a member", members);
    let rest = measure(&mut admin, || beats(&mut connection))?;
    rest.row("beat of a member at rest", members);
    measure(&mut admin, || {
        for number in 0..members {
            connection.run(FLEET, "x+1", &[Op::Use { name: "db".to_owned(), member: member(number) }])?;
        }
        Ok(())
    })?
    .row("a member says that it uses a breaker", members);
    let memory = (usage(&mut admin)?.memory - empty.memory) / f64::from(members);
    println!("{:44} {memory:>8.0} B", "memory of a member that uses one breaker");
    let votes = opening(&mut connection, &mut admin, members)?;
    storm(&mut connection, &mut admin, members)?;
    let listener = listening(&server, &mut connection, &mut admin)?;
    extrapolate(members, &rest, &votes, listener);
    Ok(())
}

/// All members vote for one breaker, one after the other, until it is open.
fn opening(connection: &mut Box<dyn Connection>, admin: &mut redis::Connection, members: u32) -> Result<(u32, f64)> {
    let mut needed = 0;
    let measured = measure(admin, || {
        for number in 0..members {
            needed += 1;
            let reply = connection.run(FLEET, &member(number), &[vote("db", number, Quorum::share(0.5))])?;
            if matches!(reply.answers[0].views[0].phase, Phase::Open(_)) {
                break;
            }
        }
        Ok(())
    })?;
    measured.row(&format!("a vote, of {needed} that open one breaker"), needed);
    Ok((needed, measured.cpu()))
}

/// A thousand breakers open at once, with a quorum of three; votes come in batches.
fn storm(connection: &mut Box<dyn Connection>, admin: &mut redis::Connection, members: u32) -> Result<()> {
    const BREAKERS: u32 = 1000;
    let names: Vec<_> = (0..BREAKERS).map(|number| format!("host-{number}")).collect();
    let quorum = members.min(3);
    let measured = measure(admin, || {
        for names in names.chunks(BATCH) {
            for number in 0..quorum {
                let votes: Vec<_> = names.iter().map(|name| vote(name, number, Quorum::count(3))).collect();
                connection.run(FLEET, &member(number), &votes)?;
            }
        }
        Ok(())
    })?;
    measured.row("a breaker of 1000 that open by count(3)", BREAKERS);
    Ok(())
}

/// What one more listener costs at each message, in seconds of the server.
fn listening(server: &Server, connection: &mut Box<dyn Connection>, admin: &mut redis::Connection) -> Result<f64> {
    const MESSAGES: u32 = 500;
    let mut publish = |admin: &mut redis::Connection| {
        measure(admin, || {
            for _ in 0..MESSAGES {
                connection.run(FLEET, "x+1", &[Op::Reset { name: "other".to_owned() }])?;
            }
            Ok(())
        })
    };
    let alone = publish(admin)?;
    let mut listeners = Vec::new();
    for _ in 0..LISTENERS {
        let mut stream = TcpStream::connect(("127.0.0.1", server.1))?;
        let channel = format!("{}ev", prefix(FLEET));
        write!(stream, "*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{channel}\r\n", channel.len())?;
        let mut first = [0; 16];
        stream.read_exact(&mut first)?;
        // Nobody reads on: what is published fits into the sockets' buffers.
        listeners.push(stream);
    }
    let heard = publish(admin)?;
    heard.row(&format!("a change that {LISTENERS} connections hear"), MESSAGES);
    Ok((heard.cpu() - alone.cpu()) / f64::from(MESSAGES) / f64::from(LISTENERS))
}

fn extrapolate(members: u32, rest: &Measured, (needed, votes): &(u32, f64), listener: f64) {
    let beats = f64::from(members) / BEAT.as_secs_f64();
    let share = 100.0 * rest.cpu() / f64::from(members) * beats;
    println!("\nbeats of {BEAT:?}: {beats:.0} batches a second, {share:.1} % of one core of the server");
    println!("one breaker that opens by share(0.5): {needed} votes, {votes:.2} s of the server");
    println!(
        "a message: {:.2} us for each that hears it, {:.1} ms for all",
        1e6 * listener,
        1e3 * listener * f64::from(members)
    );
    let million = f64::from(*needed) * 1000.0;
    let all = votes * 1000.0;
    println!(
        "1000 breakers that open by share(0.5) at once: {million:.0} votes, {all:.0} s of the server: use a count, or split"
    );
}
