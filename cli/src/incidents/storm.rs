use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tripcoil::Outcome;

use super::random::Random;
use super::service::{Service, arrivals, spread};
use super::{LENGTH, Recording, secs};
use crate::call::{Call, Trouble};

/// A client gives a call up after this long.
const TIME_OUT: Duration = Duration::from_secs(2);
/// A call that failed is made again so often.
const RETRIES: u32 = 3;
/// How many there are in the end: fewer fall over again under the retries that are still to come.
const SERVERS: u32 = 5;

/// A server that answers one call after the other, and clients that try again what timed out.
///
/// The rush makes the queue longer than the time-out. From then on the server works for callers who have gone, and their
/// retries keep the queue full after the rush: it ends when more servers are put beside it, with empty queues.
pub(super) fn record(service: &Service, begin: Duration, mut random: Random) -> Recording {
    let rate = service.rate.max(10);
    let rush = begin..begin + random.duration(secs(30)..=secs(90));
    let relief = rush.end + random.duration(secs(30)..=secs(90));
    let share = random.within(60..=80); // Of the capacity, in percent, on a good day.
    let mut service_time = secs(1) * u32::try_from(share).expect("percent") / 100 / u32::try_from(rate).expect("small");

    let mut asked: BinaryHeap<_> = arrivals(rate, 1, &mut random).into_iter().map(|time| Reverse((time, 0))).collect();
    let more = arrivals(rate * random.within(8..=15) / 10, 1, &mut random);
    asked.extend(more.into_iter().filter(|time| rush.contains(time)).map(|time| Reverse((time, 0))));

    let mut calls = Vec::new();
    let (mut idle_at, mut is_relieved) = (Duration::ZERO, false);
    while let Some(Reverse((time, tries))) = asked.pop() {
        if !is_relieved && time >= relief {
            (is_relieved, idle_at) = (true, time);
            service_time /= SERVERS;
        }
        let wait = idle_at.saturating_sub(time);
        let takes = wait + spread(service.latency, &mut random);
        // A server that is hopelessly behind refuses to queue any more.
        if wait < 5 * TIME_OUT {
            idle_at = idle_at.max(time) + service_time;
        }
        let fails = takes > TIME_OUT;
        if fails && tries < RETRIES {
            let again = time + TIME_OUT + random.duration(Duration::from_millis(100)..=Duration::from_millis(500));
            if again < LENGTH {
                asked.push(Reverse((again, tries + 1)));
            }
        }
        let outcome = Some(if fails { Outcome::Failure } else { Outcome::Success });
        calls.push(Call { time, duration: takes.min(TIME_OUT), key: 0, outcome });
    }
    let from = calls.iter().find(|call| call.duration >= secs(1)).map_or(rush.start, |call| call.time);
    let troubles = vec![Trouble { key: 0, from, to: Some(relief.max(from)) }];
    Recording::new(calls, 1, troubles)
}
