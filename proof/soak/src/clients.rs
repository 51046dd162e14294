//! Threads and tasks that call the server through one breaker, in every way that a call can go.

use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fastrand::Rng;
use outage::client::{AsyncClient, Failure, ThreadClient};
use tokio::runtime::Runtime;
use tokio::task::{self, JoinError};
use tokio::time::{sleep, timeout};
use tripcoil::{CircuitBreaker, Error, Outcome, OwnedPermit};

use crate::ledger::{Ledger, Look, Stay, Verdict};

const THREADS: u64 = 4;
const TASKS: u64 = 12;
/// A caller rests for up to this many milliseconds between two calls.
const REST: u64 = 10;
/// A caller that gives up does so within this many milliseconds; a healthy server takes 6 to 14.
const HASTE: u64 = 16;

/// What the callers have in common.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) breaker: Arc<CircuitBreaker>,
    pub(crate) ledger: Arc<Ledger>,
    has_ended: AtomicBool,
}

/// The callers of one round.
#[derive(Debug)]
pub(crate) struct Callers {
    load: Arc<Load>,
    threads: Vec<JoinHandle<()>>,
    tasks: Vec<task::JoinHandle<()>>,
}

/// The payload of the panics that are part of the load.
struct Deliberate;

/// Keeps quiet about the panics that are part of the load.
pub(crate) fn silence_deliberate_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Deliberate>() {
            usual(info);
        }
    }));
}

impl Callers {
    pub(crate) fn start(
        runtime: &Runtime,
        breaker: &Arc<CircuitBreaker>,
        ledger: &Arc<Ledger>,
        server: SocketAddr,
        rng: &mut Rng,
    ) -> Self {
        let load = Load { breaker: Arc::clone(breaker), ledger: Arc::clone(ledger), has_ended: AtomicBool::new(false) };
        let load = Arc::new(load);
        let client = ThreadClient::new(server);
        let threads = (0..THREADS).map(|_| {
            let (load, client, rng) = (Arc::clone(&load), client.clone(), rng.fork());
            thread::spawn(move || load.thread(&client, rng))
        });
        let threads = threads.collect();
        let _inside = runtime.enter();
        let client = AsyncClient::new(server);
        let tasks = (0..TASKS).map(|_| {
            let (load, client, rng) = (Arc::clone(&load), client.clone(), rng.fork());
            runtime.spawn(load.task(client, rng))
        });
        let tasks = tasks.collect();
        Callers { load, threads, tasks }
    }

    /// Waits until the last call has ended.
    pub(crate) fn end(self, runtime: &Runtime) -> Result<(), String> {
        self.load.has_ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "a thread that calls panicked")?;
        }
        for task in self.tasks {
            runtime.block_on(task).map_err(|error| format!("a task that calls ended early: {error}"))?;
        }
        Ok(())
    }
}

impl Load {
    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    fn look(&self) -> Look {
        Look::at(&self.breaker)
    }

    fn enter(&self, before: Look, verdict: Verdict) -> Stay {
        self.ledger.enter(&self.breaker, before, verdict)
    }

    fn note(&self, result: &Result<(), Error<Failure>>) {
        if matches!(result, Err(Error::Rejected(_))) {
            self.ledger.note_rejection();
        }
    }

    fn thread(&self, client: &ThreadClient, mut rng: Rng) {
        while !self.has_ended() {
            let before = self.look();
            match rng.u32(0..100) {
                0..72 => self.note(&self.breaker.call_sync(|| self.visit_sync(client, before, Verdict::ByResult))),
                72..75 => {
                    let panics = || -> Result<(), Failure> {
                        let mut stay = self.enter(before, Verdict::ByResult);
                        stay.note_answer(client.fetch(&stay.path()).is_ok());
                        panic::panic_any(Deliberate)
                    };
                    match panic::catch_unwind(AssertUnwindSafe(|| self.breaker.call_sync(panics))) {
                        Ok(result) => self.note(&result),
                        Err(payload) => expect_deliberate(payload),
                    }
                }
                75..82 => {
                    let op = || self.visit_sync(client, before, Verdict::Ignored);
                    self.note(&self.breaker.call_sync_with(op, |_| Outcome::Ignored));
                }
                82..90 => match self.breaker.try_acquire() {
                    Ok(permit) => {
                        let _ = permit.settle(self.visit_sync(client, before, Verdict::ByResult));
                    }
                    Err(_) => self.ledger.note_rejection(),
                },
                90..95 => match self.breaker.try_acquire() {
                    // Drops the permit, and the stay before it.
                    Ok(_permit) => {
                        let mut stay = self.enter(before, Verdict::ByResult);
                        stay.note_answer(client.fetch(&stay.path()).is_ok());
                    }
                    Err(_) => self.ledger.note_rejection(),
                },
                _ => match self.breaker.try_acquire_owned() {
                    Ok(permit) => {
                        let mut stay = self.enter(before, Verdict::ByResult);
                        let client = client.clone();
                        let other = thread::spawn(move || {
                            let result = client.fetch(&stay.path());
                            stay.note_answer(result.is_ok());
                            stay.finish();
                            let _ = permit.settle(result);
                        });
                        other.join().expect("it does not panic");
                    }
                    Err(_) => self.ledger.note_rejection(),
                },
            }
            thread::sleep(Duration::from_millis(rng.u64(0..REST)));
        }
    }

    fn visit_sync(&self, client: &ThreadClient, before: Look, verdict: Verdict) -> Result<(), Failure> {
        let mut stay = self.enter(before, verdict);
        let result = client.fetch(&stay.path());
        stay.note_answer(result.is_ok());
        stay.finish();
        result
    }

    async fn task(self: Arc<Self>, client: AsyncClient, mut rng: Rng) {
        while !self.has_ended() {
            let (load, client) = (Arc::clone(&self), client.clone());
            let haste = Duration::from_millis(rng.u64(0..HASTE));
            match rng.u32(0..100) {
                0..58 => {
                    let before = self.look();
                    self.note(&self.breaker.call(self.visit(&client, before, Verdict::ByResult)).await);
                }
                58..61 => expect_panic(tokio::spawn(async move { load.panic(&client).await }).await),
                61..68 => {
                    let op = self.visit(&client, self.look(), Verdict::Ignored);
                    self.note(&self.breaker.call_with(op, |_| Outcome::Ignored).await);
                }
                // The time-out is outside of the call, and drops it.
                68..82 => {
                    let op = self.visit(&client, self.look(), Verdict::ByResult);
                    if let Ok(result) = timeout(haste, self.breaker.call(op)).await {
                        self.note(&result);
                    }
                }
                82..94 => {
                    let call = tokio::spawn(async move {
                        let op = load.visit(&client, load.look(), Verdict::ByResult);
                        load.note(&load.breaker.call(op).await);
                    });
                    sleep(haste).await;
                    call.abort();
                    let _ = call.await;
                }
                _ => match self.breaker_permit() {
                    Some((permit, mut stay)) => {
                        let other = tokio::spawn(async move {
                            let result = client.fetch(&stay.path()).await;
                            stay.note_answer(result.is_ok());
                            stay.finish();
                            let _ = permit.settle(result);
                        });
                        other.await.expect("it does not panic");
                    }
                    None => self.ledger.note_rejection(),
                },
            }
            sleep(Duration::from_millis(rng.u64(0..REST))).await;
        }
    }

    fn breaker_permit(&self) -> Option<(OwnedPermit, Stay)> {
        let before = self.look();
        let permit = self.breaker.try_acquire_owned().ok()?;
        Some((permit, self.enter(before, Verdict::ByResult)))
    }

    async fn visit(&self, client: &AsyncClient, before: Look, verdict: Verdict) -> Result<(), Failure> {
        let mut stay = self.enter(before, verdict);
        let result = client.fetch(&stay.path()).await;
        stay.note_answer(result.is_ok());
        stay.finish();
        result
    }

    async fn panic(&self, client: &AsyncClient) {
        let before = self.look();
        let op = async {
            let mut stay = self.enter(before, Verdict::ByResult);
            stay.note_answer(client.fetch(&stay.path()).await.is_ok());
            panic::panic_any(Deliberate)
        };
        self.note(&self.breaker.call(op).await);
    }
}

/// The call panicked as it should, or was rejected.
fn expect_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        expect_deliberate(error.into_panic());
    }
}

fn expect_deliberate(payload: Box<dyn std::any::Any + Send>) {
    if !payload.is::<Deliberate>() {
        panic::resume_unwind(payload);
    }
}
