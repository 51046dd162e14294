use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use outage::client::ThreadClient;
use outage::script::Condition;
use outage::server::Server;
use tokio::runtime::{Builder, Runtime};
use tripcoil::{CircuitBreaker, State};

use crate::args::{Duty, Settings};
use crate::clients::{Callers, silence_deliberate_panics};
use crate::crowd::Capacity;
use crate::diary::Diary;
use crate::journal::Entry;
use crate::ledger::Ledger;
use crate::memory::{self, Memory};
use crate::round::{Books, Figures};
use crate::server::Process;
use crate::tally::Tally;

const CAPACITY: Capacity = Capacity { first: 2, most: 4 };
/// Nothing takes longer than this, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The rounds until memory has to be flat: each thread number and each queue has had its use by then.
const WARM_UP: usize = 10;

/// Kills the server as often as it was asked to, and returns the first promise that was broken.
pub(crate) fn soak(settings: &Settings) -> Result<(), String> {
    silence_deliberate_panics();
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| error.to_string())?;
    let diary = Diary::default();
    let builder = diary.kept_by(CircuitBreaker::builder("soak"));
    let breaker = settings
        .rule
        .set(builder)
        .reset_timeout(Duration::from_millis(60))
        .reset_backoff(1.5, Duration::from_millis(300))
        .reset_jitter(0.2)
        .half_open_capacity(CAPACITY.first)
        .half_open_max_capacity(CAPACITY.most)
        .success_threshold(8)
        // A silent probe's place is given to another, beside the capacity. No probe is silent for so long here.
        .probe_timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let reservation = Server::reserve().map_err(|error| format!("a port for the server: {error}"))?;
    let mut rng = Rng::with_seed(settings.seed);
    let mut soak = Soak {
        address: reservation.address(),
        process: None,
        breaker: Arc::new(breaker),
        ledger: Arc::new(Ledger::default()),
        books: Books::new(settings.rule, CAPACITY),
        diary,
        runtime,
    };
    println!("rule {}, {} kills, seed {}", settings.rule.as_str(), settings.kills, settings.seed);
    let begun = Instant::now();
    let (mut rounds, mut memories) = (Vec::new(), Vec::new());
    for round in 1..=settings.kills {
        let (figures, memory) = soak.round(&mut rng).map_err(|broken| format!("round {round}: {broken}"))?;
        println!(
            "round {round}: {} calls, {} rejected, opened {} times, {} probes, at most {} at once at the server; {} KiB live, {} KiB resident",
            figures.calls,
            figures.rejected,
            figures.openings,
            figures.probes,
            figures.most_at_server,
            memory.live / 1024,
            memory.resident / 1024,
        );
        rounds.push(figures);
        memories.push(memory);
        memory::check(&memories[WARM_UP.min(memories.len())..]).map_err(|broken| format!("round {round}: {broken}"))?;
    }
    summary(&rounds, &memories, &soak.books, begun.elapsed())
}

struct Soak {
    address: SocketAddr,
    process: Option<Process>,
    breaker: Arc<CircuitBreaker>,
    ledger: Arc<Ledger>,
    books: Books,
    diary: Diary,
    runtime: Runtime,
}

impl Soak {
    /// A server in good health, its death under load, an outage, another server, and the recovery.
    fn round(&mut self, rng: &mut Rng) -> Result<(Figures, Memory), String> {
        if self.process.is_none() {
            self.start_server(Condition::Healthy, rng)?;
        }
        let callers = Callers::start(&self.runtime, &self.breaker, &self.ledger, self.address, rng);
        thread::sleep(millis(rng, 100..400));

        let process = self.process.take().ok_or("there is no server to kill")?;
        if rng.bool() {
            process.freeze().map_err(|error| format!("the server cannot be stopped: {error}"))?;
            thread::sleep(millis(rng, 50..500));
        }
        let mut journal = process.kill().map_err(|error| format!("the server cannot be killed: {error}"))?;
        self.wait_until("the server is dead and the breaker stays closed", |soak| {
            soak.breaker.state() != State::Closed
        })?;
        thread::sleep(millis(rng, 50..500));

        let turns = self.diary.len();
        let condition = if rng.bool() { Condition::Recovering } else { Condition::Healthy };
        self.start_server(condition, rng)?;
        self.wait_until("the server is back and the breaker did not close", |soak| {
            soak.breaker.state() == State::Closed || soak.diary.entered_since(turns, State::Closed)
        })?;
        thread::sleep(millis(rng, 50..200));

        callers.end(&self.runtime)?;
        journal.extend(self.journal_so_far()?);
        let figures = self.books.close(&self.breaker, &self.ledger, &self.diary, &journal)?;
        drop(journal);
        Ok((figures, Memory::at_rest()?))
    }

    fn start_server(&mut self, condition: Condition, rng: &mut Rng) -> Result<(), String> {
        let duty = Duty { address: self.address, condition, seed: rng.u64(..) };
        let process = Process::start(&duty).map_err(|error| format!("the server does not start: {error}"))?;
        self.process = Some(process);
        Ok(())
    }

    /// What the server wrote of everything that it was asked before now.
    ///
    /// A request that goes by the breaker is the last that it hears; what it wrote before that one was read before it.
    fn journal_so_far(&mut self) -> Result<Vec<Entry>, String> {
        let client = ThreadClient::new(self.address);
        let path = format!("/mark/{}", self.books.last_turn.sequence);
        self.wait_until("the server does not answer at rest", |soak| {
            client.fetch(&path).is_ok() && soak.process.as_ref().is_some_and(|process| process.has_noted(&path))
        })?;
        Ok(self.process.as_ref().map(Process::take_entries).unwrap_or_default())
    }

    fn wait_until(&self, otherwise: &str, is_so: impl Fn(&Soak) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !is_so(self) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{otherwise}, for {PATIENCE:?}; {:?}", self.breaker.metrics()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

fn summary(rounds: &[Figures], memories: &[Memory], books: &Books, took: Duration) -> Result<(), String> {
    let sum = |part: fn(&Figures) -> usize| rounds.iter().map(part).sum::<usize>();
    let most = |part: fn(&Figures) -> usize| rounds.iter().map(part).max().unwrap_or_default();
    let Tally { success, error, ignored, dropped, rejected } = books.tally;
    let (probes, unsure) = (sum(|it| it.probes), sum(|it| it.unsure));
    // A check of nothing would pass, too.
    if probes < 8 * rounds.len()
        || most(|it| it.most_at_server) < 2
        || [success, error, ignored, dropped, rejected].contains(&0)
    {
        return Err(format!("the load was too thin to prove anything: {probes} probes, {:?}", books.tally));
    }
    println!();
    println!("held, in {} rounds and {:.0} s:", rounds.len(), took.as_secs_f64());
    println!("  every outage was recovered from: {} kills, {} openings", rounds.len(), sum(|it| it.openings));
    println!("  no call is left in flight, and the totals are the callers' own, of {} calls:", books.tally.admitted());
    println!(
        "    {success} succeeded, {error} failed, {ignored} ignored, {dropped} dropped; {rejected} more were rejected"
    );
    println!(
        "  the server, which saw {} requests, never had more probes at once than the capacity:",
        sum(|it| it.requests)
    );
    println!(
        "    {probes} probes, at most {} of {} at once there, {} at the callers; {unsure} calls that may have been probes",
        most(|it| it.most_at_server),
        CAPACITY.most,
        most(|it| it.most_at_clients),
    );
    println!("  the observer was told of {} transitions without a gap", books.last_turn.sequence);
    match (memories.get(WARM_UP), memories.last()) {
        (Some(first), Some(last)) => {
            let (from, to) = (WARM_UP + 1, memories.len());
            println!(
                "  memory is flat: {} -> {} KiB live, {} -> {} KiB resident, from round {from} to {to}",
                first.live / 1024,
                last.live / 1024,
                first.resident / 1024,
                last.resident / 1024
            );
        }
        _ => println!("  memory was not compared: that takes more than {WARM_UP} kills"),
    }
    Ok(())
}
