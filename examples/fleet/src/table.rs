//! The figures, side by side.

use std::fmt::Write;
use std::time::Duration;

use crate::play::{OUTAGE, PAUSES, Played};

/// When each client entered `state` first after `from`.
fn first(played: &Played, client: usize, state: &str, from: Duration) -> Option<Duration> {
    let line = format!("state {state}");
    played.said.iter().find(|said| said.client == client && said.at >= from && said.line == line).map(|said| said.at)
}

/// Whether the client is closed at that time.
fn is_closed(played: &Played, client: usize, at: Duration) -> bool {
    let states = played.said.iter().filter(|said| said.client == client && said.at <= at);
    states.filter_map(|said| said.line.strip_prefix("state ")).next_back().is_none_or(|state| state == "closed")
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

fn last<T: Ord>(times: impl Iterator<Item = Option<T>>) -> Option<T> {
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn count(played: &Played, line: &str) -> usize {
    played.said.iter().filter(|said| said.line == line).count()
}

/// Batches, messages and bytes, of all clients.
fn sent(played: &Played) -> [u64; 3] {
    let mut sums = [0; 3];
    for said in &played.said {
        let Some(numbers) = said.line.strip_prefix("sent ") else { continue };
        for (sum, number) in sums.iter_mut().zip(numbers.split(' ')) {
            *sum += number.parse::<u64>().unwrap_or(0);
        }
    }
    sums
}

type Figure = (&'static str, fn(&Played) -> String);

pub(crate) fn table(played: &[Played]) -> String {
    let rows: [Figure; 7] = [
        ("calls into the dead server", |played| played.in_vain.to_string()),
        ("clients that opened", |played| {
            (0..PAUSES.len())
                .filter(|client| first(played, *client, "open", Duration::ZERO).is_some())
                .count()
                .to_string()
        }),
        ("from the outage until all are open", |played| {
            if !played.scenario.has_outage {
                return "-".to_owned();
            }
            let opened = last((0..PAUSES.len()).map(|client| first(played, client, "open", OUTAGE.0)));
            seconds(opened.map(|at| at - OUTAGE.0))
        }),
        ("probes", |played| count(played, "probe").to_string()),
        ("from the repair until all are closed", |played| {
            if !played.scenario.has_outage {
                return "-".to_owned();
            }
            let closed = |client| {
                let was_closed = is_closed(played, client, OUTAGE.1);
                if was_closed { Some(OUTAGE.1) } else { first(played, client, "closed", OUTAGE.1) }
            };
            seconds(last((0..PAUSES.len()).map(closed)).map(|at| at - OUTAGE.1))
        }),
        ("votes, leases", |played| format!("{}, {}", count(played, "vote"), count(played, "lease"))),
        ("batches sent, messages heard, their bytes", |played| {
            let [batches, messages, bytes] = sent(played);
            if played.scenario.is_fleet { format!("{batches}, {messages}, {bytes}") } else { "-".to_owned() }
        }),
    ];
    let mut table = String::new();
    for (number, played) in played.iter().enumerate() {
        let _ = writeln!(table, "{}: {}", number + 1, played.scenario.title);
    }
    let _ = write!(table, "\n{:42}", "");
    for number in 1..=played.len() {
        let _ = write!(table, "{number:>18}");
    }
    table.push('\n');
    for (name, figure) in rows {
        let _ = write!(table, "{name:42}");
        for played in played {
            let _ = write!(table, "{:>18}", figure(played));
        }
        table.push('\n');
    }
    table
}
