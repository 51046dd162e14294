use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep_until;
use tripcoil::{CircuitBreaker, Error};

use crate::client::{AsyncClient, Failure, ThreadClient};
use crate::record::{Call, Caller, Ending};

/// Calls a second of all async tasks together; each call is a task of its own.
pub(crate) const TASK_RATE: u32 = 240;
pub(crate) const THREADS: u32 = 8;
/// Calls a second of each thread.
pub(crate) const THREAD_RATE: u32 = 10;
/// What every caller asks for.
const PATH: &str = "/pay";

/// What the clients of one run have in common.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) start: Instant,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) breaker: Option<Arc<CircuitBreaker>>,
    pub(crate) calls: Sender<Call>,
}

impl Load {
    /// Starts a task for each call that is due, however many are under way, as the users of a service do.
    pub(crate) async fn tasks(self: Arc<Self>, client: AsyncClient) {
        for due in timetable(TASK_RATE, self.length, self.seed) {
            sleep_until((self.start + due).into()).await;
            let (load, client) = (Arc::clone(&self), client.clone());
            tokio::spawn(async move {
                let at = load.start.elapsed();
                let result = match &load.breaker {
                    Some(breaker) => breaker.call(client.fetch(PATH)).await,
                    None => client.fetch(PATH).await.map_err(Error::Inner),
                };
                load.note(Caller::Task, at, result.into());
            });
        }
    }

    /// Starts the threads. Each makes one call at a time; what was due meanwhile, it leaves out.
    pub(crate) fn threads(self: &Arc<Self>, client: &ThreadClient) {
        for number in 1..=THREADS {
            let (load, client) = (Arc::clone(self), client.clone());
            thread::spawn(move || load.thread(number, &client));
        }
    }

    fn thread(&self, number: u32, client: &ThreadClient) {
        for due in timetable(THREAD_RATE, self.length, self.seed ^ u64::from(number)) {
            let Some(wait) = (self.start + due).checked_duration_since(Instant::now()) else { continue };
            thread::sleep(wait);
            let at = self.start.elapsed();
            let result = match &self.breaker {
                Some(breaker) => breaker.call_sync(|| client.fetch(PATH)),
                None => client.fetch(PATH).map_err(Error::Inner),
            };
            self.note(Caller::Thread, at, result.into());
        }
    }

    fn note(&self, caller: Caller, at: Duration, ending: Ending) {
        let latency = self.start.elapsed().saturating_sub(at);
        // It fails only when the run was given up.
        let _ = self.calls.send(Call { caller, at, latency, ending });
    }
}

impl From<Result<(), Error<Failure>>> for Ending {
    fn from(result: Result<(), Error<Failure>>) -> Self {
        match result {
            Ok(()) => Ending::Good,
            Err(Error::Inner(Failure::Unanswered)) => Ending::Failed,
            Err(Error::Inner(Failure::Refused)) => Ending::Refused,
            Err(Error::Rejected(_)) => Ending::Rejected,
        }
    }
}

/// When calls are due: one in each interval, at a random moment of it.
fn timetable(rate: u32, length: Duration, seed: u64) -> impl Iterator<Item = Duration> {
    let mut rng = Rng::with_seed(seed);
    let interval = Duration::from_secs(1) / rate;
    (0..).map(move |index| interval * index + interval.mul_f64(rng.f64())).take_while(move |due| *due < length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timetable_keeps_its_rate_and_ends() {
        let due: Vec<_> = timetable(100, Duration::from_secs(3), 1).collect();
        assert_eq!(due.len(), 300);
        assert!(due.is_sorted());
    }

    #[test]
    fn the_same_seed_gives_the_same_timetable() {
        let due = |seed| timetable(50, Duration::from_secs(1), seed).collect::<Vec<_>>();
        assert_eq!(due(3), due(3));
        assert_ne!(due(3), due(4));
    }
}
