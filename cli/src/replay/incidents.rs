//! The table of policies over the synthetic incidents.

use std::fs;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Args;
use super::engine::{self, Replay};
use super::measure::{self, Times};
use super::policy::Policy;
use super::table::Table;
use super::tally::Tally;
use super::words;
use crate::command::Stop;
use crate::failure::Failure;
use crate::incidents::Incident;

/// What one policy did in one incident, or in several of them.
#[derive(Clone, Debug, Serialize)]
struct Cell {
    policy: String,
    incident: &'static str,
    /// How many recordings that were.
    runs: u64,
    calls: Tally,
    refused: Tally,
    openings: u64,
    needless_openings: u64,
    troubles: u64,
    missed_troubles: u64,
    flaps: u64,
    /// Openings that `max_open_share` prevented.
    suppressed_openings: u64,
    time_to_open: Option<Times>,
    time_to_recover: Option<Times>,
    /// The mean over the runs.
    score: f64,
    #[serde(skip)]
    to_open: Vec<Duration>,
    #[serde(skip)]
    to_recover: Vec<Duration>,
}

/// A good call that is refused costs as much as these bad ones that are let through.
const GOOD_CALL: f64 = 2.0;
const FLAP: f64 = 1.0;
const WORST: f64 = -100.0;

/// From 100, where every bad call was spared and nothing else happened, down to [`WORST`]; 0 is a breaker that does nothing.
fn score(calls: &Tally, refused: &Tally, flaps: u64) -> f64 {
    let [bad, spared, lost, flaps] = [calls.bad(), refused.bad(), refused.good, flaps].map(number);
    let gain = if bad > 0.0 { (spared - GOOD_CALL * lost) / bad } else { -lost };
    (100.0 * gain - FLAP * flaps).max(WORST)
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn number(number: u64) -> f64 {
    number as f64
}

pub(super) fn run(args: &Args, policies: &[Policy], out: &mut impl Write) -> Result<(), Stop> {
    let cells = replay_all(policies, args.seeds.clone(), args.slow);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &cells).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let page = page(&cells, policies, &args.seeds);
    if let Some(path) = &args.markdown {
        update(path, &page)?;
    }
    Ok(out.write_all(page.as_bytes())?)
}

/// The cells of all policies in the first incident, then those of the second one, and so on.
fn replay_all(policies: &[Policy], seeds: RangeInclusive<u64>, slow: Duration) -> Vec<Cell> {
    let jobs: Vec<_> =
        Incident::ALL.iter().flat_map(|incident| seeds.clone().map(move |seed| (*incident, seed))).collect();
    let bar = ProgressBar::new(jobs.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {pos} of {len} incidents").expect("the template is sound"),
    );
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        // Relaxed: each job is taken once, and nothing else depends on the order.
        while let Some((index, job)) = job(&jobs, next.fetch_add(1, Ordering::Relaxed)) {
            done.push((index, replay(policies, *job, slow)));
            bar.inc(1);
        }
        done
    };
    let mut results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a replay does not panic")).collect()
    });
    bar.finish_and_clear();
    results.sort_by_key(|(index, _)| *index);
    let per_incident = jobs.len() / Incident::ALL.len();
    let results: Vec<_> = results.into_iter().map(|(_, cells)| cells).collect();
    results.chunks(per_incident).flat_map(sum).collect()
}

fn job<T>(jobs: &[T], index: u64) -> Option<(usize, &T)> {
    let index = usize::try_from(index).ok()?;
    Some((index, jobs.get(index)?))
}

/// One cell for each policy.
fn replay(policies: &[Policy], (incident, seed): (Incident, u64), slow: Duration) -> Vec<Cell> {
    let recording = incident.record(seed);
    let mut replay = Replay::new(policies, engine::Options { slow, max_in_flight: usize::MAX });
    let origin = recording.calls.first().map_or(Duration::ZERO, |call| call.time);
    for call in recording.calls {
        replay.start(call);
    }
    let troubles: Vec<_> = recording
        .troubles
        .into_iter()
        .map(|mut trouble| {
            trouble.from = trouble.from.saturating_sub(origin);
            trouble.to = trouble.to.map(|to| to.saturating_sub(origin));
            trouble
        })
        .collect();
    let outcomes = replay.finish();
    let cells = outcomes.policies.iter().map(|(policy, journal)| {
        let meeting = measure::meet(&troubles, &journal.outages);
        Cell {
            policy: policy.name.clone(),
            incident: incident.as_str(),
            runs: 1,
            calls: outcomes.calls,
            refused: journal.refused,
            openings: journal.openings,
            needless_openings: meeting.needless,
            troubles: troubles.len() as u64,
            missed_troubles: meeting.missed,
            flaps: journal.flaps,
            suppressed_openings: journal.suppressed_openings(),
            time_to_open: Times::of(&meeting.to_open),
            time_to_recover: Times::of(&meeting.to_recover),
            score: score(&outcomes.calls, &journal.refused, journal.flaps),
            to_open: meeting.to_open,
            to_recover: meeting.to_recover,
        }
    });
    cells.collect()
}

/// Adds what each policy did with all seeds of an incident.
fn sum(seeds: &[Vec<Cell>]) -> Vec<Cell> {
    let mut sums = seeds[0].clone();
    for cells in &seeds[1..] {
        for (sum, cell) in sums.iter_mut().zip(cells) {
            sum.add(cell);
        }
    }
    sums
}

impl Cell {
    fn add(&mut self, other: &Cell) {
        let [own, others] = [self.runs, other.runs].map(number);
        self.score = (self.score * own + other.score * others) / (own + others);
        self.runs += other.runs;
        self.calls += other.calls;
        self.refused += other.refused;
        self.openings += other.openings;
        self.needless_openings += other.needless_openings;
        self.troubles += other.troubles;
        self.missed_troubles += other.missed_troubles;
        self.flaps += other.flaps;
        self.suppressed_openings += other.suppressed_openings;
        self.to_open.extend(&other.to_open);
        self.to_recover.extend(&other.to_recover);
        self.time_to_open = Times::of(&self.to_open);
        self.time_to_recover = Times::of(&self.to_recover);
    }
}

/// The tables in Markdown.
fn page(cells: &[Cell], policies: &[Policy], seeds: &RangeInclusive<u64>) -> String {
    let shares = |cell: &Cell| {
        let spared = words::percent(cell.refused.bad(), cell.calls.bad());
        format!("{spared}, {}", words::percent(cell.refused.good, cell.calls.good))
    };
    format!(
        "Each policy over all {} incidents, seeds {} to {}:\n\n{}\n\
         The score of each policy in each incident:\n\n{}\n\
         The share of the bad calls that it spared, and the share of the good calls that it refused:\n\n{}",
        Incident::ALL.len(),
        seeds.start(),
        seeds.end(),
        overall(cells, policies),
        matrix(cells, policies, |cell| format!("{:.0}", cell.score.round() + 0.0)),
        matrix(cells, policies, shares),
    )
}

fn overall(cells: &[Cell], policies: &[Policy]) -> Table {
    let mut head = vec![
        "policy",
        "score",
        "bad calls spared",
        "good calls refused",
        "time to open",
        "time to recover",
        "flaps a run",
        "troubles missed",
        "needless openings a run",
    ];
    let is_limited = policies.iter().any(|policy| policy.max_open_share.is_some());
    if is_limited {
        head.push("suppressed openings a run");
    }
    let mut table = Table::new(&head);
    let median =
        |times: Option<Times>| times.map_or_else(|| "-".into(), |times| words::span_seconds(times.median_seconds));
    for policy in policies {
        let Some(all) = over_all(cells, policy) else { continue };
        let runs = number(all.runs);
        let mut row = vec![
            policy.name.clone(),
            format!("{:.1}", all.score),
            words::percent(all.refused.bad(), all.calls.bad()),
            words::percent(all.refused.good, all.calls.good),
            median(all.time_to_open),
            median(all.time_to_recover),
            format!("{:.2}", number(all.flaps) / runs),
            words::percent(all.missed_troubles, all.troubles),
            format!("{:.2}", number(all.needless_openings) / runs),
        ];
        if is_limited {
            row.push(format!("{:.2}", number(all.suppressed_openings) / runs));
        }
        table.row(row);
    }
    table
}

/// What a policy did in all incidents.
fn over_all(cells: &[Cell], policy: &Policy) -> Option<Cell> {
    cells.iter().filter(|cell| cell.policy == policy.name).cloned().reduce(|mut sum, cell| {
        sum.add(&cell);
        sum
    })
}

/// One row for each incident, one column for each policy.
fn matrix(cells: &[Cell], policies: &[Policy], show: impl Fn(&Cell) -> String) -> Table {
    let head: Vec<_> = std::iter::once("incident").chain(policies.iter().map(|policy| &*policy.name)).collect();
    let mut table = Table::new(&head);
    for row in cells.chunks(policies.len()) {
        table.row(std::iter::once(row[0].incident.into()).chain(row.iter().map(&show)).collect());
    }
    table
}

/// Puts the tables into a page, instead of what stands between the two comments.
fn update(path: &Path, tables: &str) -> Result<(), Failure> {
    let page = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let page = replaced(&page, tables)
        .ok_or_else(|| Failure::run(format!("{}: lacks `{BEGIN}` and `{END}`", path.display())))?;
    fs::write(path, page).map_err(|error| Failure::file(path, &error))
}

const BEGIN: &str = "<!-- incidents: begin -->";
const END: &str = "<!-- incidents: end -->";

fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(good: u64, failed: u64) -> Tally {
        Tally { good, failed, ..Tally::default() }
    }

    fn is(score: f64, expected: f64) -> bool {
        (score - expected).abs() < 1e-9
    }

    #[test]
    fn sparing_every_bad_call_is_worth_100_and_doing_nothing_0() {
        let calls = tally(1000, 200);
        assert!(is(score(&calls, &tally(0, 200), 0), 100.0));
        assert!(is(score(&calls, &tally(0, 0), 0), 0.0));
        assert!(is(score(&calls, &tally(10, 100), 3), 37.0));
        assert!(is(score(&calls, &tally(900, 0), 0), WORST));
        assert!(is(score(&tally(10, 0), &tally(1, 0), 0), WORST));
    }

    #[test]
    fn a_page_keeps_what_stands_around_the_tables() {
        let page = "# Title\n<!-- incidents: begin -->\nold\n<!-- incidents: end -->\nmore\n";
        let once = replaced(page, "| new |\n").unwrap();
        assert_eq!(once, "# Title\n<!-- incidents: begin -->\n\n| new |\n\n<!-- incidents: end -->\nmore\n");
        assert_eq!(replaced(&once, "| new |\n").unwrap(), once);
        assert_eq!(replaced("# Title", ""), None);
    }

    #[test]
    fn the_tables_are_the_same_in_every_run() {
        let policies = super::super::policy::load(None).unwrap();
        let [first, second] =
            [(); 2].map(|()| page(&replay_all(&policies, 7..=8, Duration::from_secs(1)), &policies, &(7..=8)));
        assert_eq!(first, second);
    }
}
