//! One scenario from its beginning to its end, and what was seen of it.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{self, Joins, Orders, Says};
use crate::server::Server;
use crate::store::Place;

/// Milliseconds between two calls of each client: traffic is uneven.
pub(crate) const PAUSES: [u64; 8] = [10, 10, 20, 40, 80, 120, 200, 300];

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may go with any other")]
pub(crate) struct Scenario {
    pub(crate) title: &'static str,
    pub(crate) is_fleet: bool,
    pub(crate) has_outage: bool,
    pub(crate) loses_store: bool,
    pub(crate) has_broken: bool,
}

/// The outage, the loss of the store and the end, since the beginning.
pub(crate) const OUTAGE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(7200));
pub(crate) const LOSS: (Duration, Duration) = (Duration::from_millis(3500), Duration::from_millis(6200));
pub(crate) const END: Duration = Duration::from_secs(11);

impl Scenario {
    pub(crate) fn all(keeps_store: bool) -> Vec<Self> {
        let alone = Scenario {
            title: "An outage, alone",
            is_fleet: false,
            has_outage: true,
            loses_store: false,
            has_broken: false,
        };
        let fleet = Scenario { title: "The same outage, as a fleet", is_fleet: true, ..alone };
        let lost = Scenario { title: "As a fleet whose store is killed meanwhile", loses_store: true, ..fleet };
        let broken =
            Scenario { title: "No outage, and one broken member", has_outage: false, has_broken: true, ..fleet };
        let all = [alone, fleet, lost, broken];
        all.into_iter().filter(|scenario| !(keeps_store && scenario.loses_store)).collect()
    }
}

/// Something that a client said, and when it was heard.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) at: Duration,
    pub(crate) client: usize,
    pub(crate) line: String,
}

pub(crate) struct Played {
    pub(crate) scenario: Scenario,
    pub(crate) said: Vec<Said>,
    /// Requests that reached the server while it was down.
    pub(crate) in_vain: u64,
}

enum Client {
    Process(Child, JoinHandle<()>),
    Thread(Arc<AtomicBool>, JoinHandle<()>),
}

pub(crate) fn play(scenario: Scenario, place: &mut Place) -> io::Result<Played> {
    let server = Server::start()?;
    let (sender, heard) = channel();
    let begun = Instant::now();
    let fleet = format!("demo {} {}", std::process::id(), scenario.title);
    let mut clients = Vec::new();
    for (number, pause) in PAUSES.into_iter().enumerate() {
        let orders = Orders {
            name: format!("client-{}", number + 1),
            port: server.port,
            pause: Duration::from_millis(pause),
            is_broken: scenario.has_broken && number == 2,
        };
        clients.push(start(orders, scenario, place, &fleet, (number, begun, sender.clone()))?);
    }
    drop(sender);
    let until = |at: Duration| thread::sleep(at.saturating_sub(begun.elapsed()));
    until(OUTAGE.0);
    server.set_up(!scenario.has_outage);
    if scenario.loses_store {
        until(LOSS.0);
        place.go_down();
        until(LOSS.1);
        place.come_back()?;
    }
    until(OUTAGE.1);
    server.set_up(true);
    until(END);
    for client in clients {
        client.end();
    }
    server.end();
    Ok(Played { scenario, said: gather(&heard), in_vain: server.in_vain.load(Ordering::Relaxed) })
}

fn gather(heard: &Receiver<Said>) -> Vec<Said> {
    heard.try_iter().collect()
}

fn start(
    orders: Orders,
    scenario: Scenario,
    place: &Place,
    fleet: &str,
    (client, begun, sender): (usize, Instant, Sender<Said>),
) -> io::Result<Client> {
    let say = move |line: &str| {
        let _ = sender.send(Said { at: begun.elapsed(), client, line: line.to_owned() });
    };
    let joins = match (scenario.is_fleet, place, place.url()) {
        (false, ..) => Joins::Alone,
        (true, Place::Memory(store), _) => Joins::Memory(fleet.to_owned(), store.clone()),
        (true, _, url) => Joins::Redis(fleet.to_owned(), url.unwrap_or_default()),
    };
    if matches!(place, Place::Memory(_)) {
        let (has_ended, says): (_, Says) = (Arc::new(AtomicBool::new(false)), Arc::new(say));
        let ends = has_ended.clone();
        let thread = thread::spawn(move || {
            if let Err(error) = client::run(&orders, &joins, &says, &ends) {
                eprintln!("fleet-demo: {error}");
            }
        });
        return Ok(Client::Thread(has_ended, thread));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.envs(client::environment(&orders, &joins)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("a client has no output"))?;
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            say(&line);
        }
    });
    Ok(Client::Process(child, reader))
}

impl Client {
    /// Ends it, and hears what it says last.
    fn end(self) {
        match self {
            Client::Process(mut child, reader) => {
                // The end of its input is the sign.
                drop(child.stdin.take());
                let _ = reader.join();
                let _ = child.wait();
            }
            Client::Thread(has_ended, thread) => {
                has_ended.store(true, Ordering::Relaxed);
                let _ = thread.join();
            }
        }
    }
}
