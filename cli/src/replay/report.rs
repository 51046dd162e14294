use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tripcoil::Config;

use super::engine::Outcomes;
use super::input::Coverage;
use super::journal::{FLAP, Journal, Outage};
use super::measure::{self, Times};
use super::policy::Policy;
use super::table::Table;
use super::tally::Tally;
use super::timeline::Timeline;
use super::trouble::LEAST;
use super::words;
use crate::call::Trouble;

/// All that a replay has found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) coverage: Scope,
    limits: Vec<String>,
    pub(super) policies: Vec<PolicyReport>,
    #[serde(skip)]
    pub(super) traffic: Timeline<Tally>,
    #[serde(skip)]
    pub(super) troubles: Vec<Trouble>,
    #[serde(skip)]
    keys: Vec<Box<str>>,
}

/// What was replayed.
#[derive(Debug, Serialize)]
pub(super) struct Scope {
    #[serde(flatten)]
    pub(super) input: Coverage,
    /// Calls that were replayed.
    pub(super) calls: Tally,
    pub(super) beyond_max_in_flight: u64,
    pub(super) most_in_flight: usize,
    /// When the first call started and the last one ended.
    #[serde(rename = "from_seconds", serialize_with = "as_seconds")]
    pub(super) from: Duration,
    #[serde(rename = "to_seconds", serialize_with = "as_seconds")]
    pub(super) to: Duration,
    #[serde(rename = "longest_silence_seconds", serialize_with = "as_seconds")]
    longest_silence: Duration,
    #[serde(rename = "slow_from_seconds", serialize_with = "as_seconds")]
    pub(super) slow: Duration,
    /// Times of at least half bad calls.
    troubles: u64,
}

/// What one policy would have done.
#[derive(Debug, Serialize)]
pub(super) struct PolicyReport {
    pub(super) name: String,
    settings: Config,
    max_open_share: Option<f64>,
    pub(super) openings: u64,
    pub(super) causes: BTreeMap<&'static str, u64>,
    reopenings: u64,
    recoveries: u64,
    pub(super) flaps: u64,
    /// Openings that `max_open_share` prevented.
    suppressed_openings: u64,
    suppressed_causes: BTreeMap<&'static str, u64>,
    pub(super) refused: Tally,
    time_to_open: Option<Times>,
    time_to_recover: Option<Times>,
    missed_troubles: u64,
    needless_openings: u64,
    first_outages: Vec<Episode>,
    #[serde(skip)]
    pub(super) journal: Journal,
}

/// One outage by name and date.
#[derive(Debug, Serialize)]
struct Episode {
    key: Box<str>,
    cause: &'static str,
    #[serde(rename = "opened_seconds", serialize_with = "as_seconds")]
    opened: Duration,
    /// `None` if the recording ends before.
    closed_after_seconds: Option<f64>,
    reopenings: u64,
    refused: Tally,
}

/// The outages of a policy that are in the JSON, and those that are in the text.
const EPISODES: usize = 100;
const SHOWN: usize = 5;

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Report {
    pub(super) fn new(coverage: Coverage, keys: Vec<Box<str>>, outcomes: Outcomes, slow: Duration) -> Self {
        let limits = limits(&coverage, &outcomes);
        let Outcomes { origin, end, calls, troubles, .. } = outcomes;
        let policies = outcomes.policies.into_iter();
        Report {
            policies: policies
                .map(|(policy, journal)| policy_report(policy, journal, &troubles, &keys, origin))
                .collect(),
            coverage: Scope {
                input: coverage,
                calls,
                beyond_max_in_flight: outcomes.skipped,
                most_in_flight: outcomes.most_in_flight,
                from: origin,
                to: origin + end,
                longest_silence: outcomes.longest_silence,
                slow,
                troubles: troubles.len() as u64 + outcomes.unkept_troubles,
            },
            limits,
            traffic: outcomes.traffic,
            troubles,
            keys,
        }
    }

    /// For people: the coverage, what it cannot know, a table, and the outages.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.coverage.print(out)?;
        writeln!(out, "\nWhat a replay cannot know")?;
        for limit in &self.limits {
            writeln!(out, "  - {limit}")?;
        }
        writeln!(out, "\n{}", self.table())?;
        writeln!(out, "{}", self.legend())?;
        self.policies.iter().try_for_each(|policy| policy.print(out))
    }

    fn table(&self) -> Table {
        let mut head = vec![
            "policy",
            "opened",
            "failed calls spared",
            "slow calls spared",
            "good calls refused",
            "time to open",
            "time to recover",
            "flaps",
            "missed",
            "needless",
        ];
        if self.is_limited() {
            head.push("suppressed");
        }
        let mut table = Table::new(&head);
        let calls = &self.coverage.calls;
        let share = |part, whole| match whole {
            0 => "-".into(),
            _ => format!("{} ({})", words::count(part), words::percent(part, whole)),
        };
        for policy in &self.policies {
            let mut row = vec![
                policy.name.clone(),
                words::count(policy.openings),
                share(policy.refused.failed, calls.failed),
                share(policy.refused.slow, calls.slow),
                share(policy.refused.good, calls.good),
                times(policy.time_to_open),
                times(policy.time_to_recover),
                words::count(policy.flaps),
                words::count(policy.missed_troubles),
                words::count(policy.needless_openings),
            ];
            if self.is_limited() {
                row.push(words::count(policy.suppressed_openings));
            }
            table.row(row);
        }
        table
    }

    /// Whether a policy limits how many breakers are open.
    fn is_limited(&self) -> bool {
        self.policies.iter().any(|policy| policy.max_open_share.is_some())
    }

    fn legend(&self) -> String {
        format!(
            "Trouble is a run of seconds in which at least half of the calls to a key were bad (failed, or slow from {slow}),\n\
             {LEAST} bad calls or more; {found}. Times are the median / the longest: from the beginning of a\n\
             trouble to the opening, and from its end to the close. Missed are troubles without an opening, needless are\n\
             openings without a trouble. A flap is an opening within {flap} of a close.{suppressed}",
            slow = words::span(self.coverage.slow),
            found = match self.coverage.troubles {
                1 => "1 was found".into(),
                troubles => format!("{} were found", words::count(troubles)),
            },
            flap = words::span(FLAP),
            suppressed =
                if self.is_limited() { "\nSuppressed are openings that `max_open_share` prevented." } else { "" },
        )
    }

    /// How many keys there are, at least one.
    pub(super) fn keys(&self) -> usize {
        self.keys.len().max(1)
    }
}

fn times(times: Option<Times>) -> String {
    times.map_or_else(
        || "-".into(),
        |times| {
            let [median, longest] = [times.median_seconds, times.longest_seconds].map(words::span_seconds);
            if median == longest { median } else { format!("{median} / {longest}") }
        },
    )
}

fn limits(coverage: &Coverage, outcomes: &Outcomes) -> Vec<String> {
    let mut limits = vec![
        "A log lacks what was never recorded: calls that were not made, whose client died, or that a breaker refused."
            .into(),
        "Refused calls would have changed what came after: a spared dependency may recover sooner, a caller may retry."
            .into(),
        "Probes get the recorded outcomes of other calls, made while nothing was refused.".into(),
    ];
    let calls = outcomes.calls.total();
    if 2 * coverage.without_duration > calls {
        limits.push(format!(
            "{} of the calls have no duration: rules for slow calls see nothing of them.",
            words::percent(coverage.without_duration, calls)
        ));
    }
    if outcomes.policies.iter().any(|(policy, _)| policy.had_jitter) {
        limits.push("`reset_jitter` is left out, so that each replay gives the same result.".into());
    }
    let unkept: u64 = outcomes.policies.iter().map(|(_, journal)| journal.unkept).sum();
    if unkept + outcomes.unkept_troubles > 0 {
        limits
            .push("There are too many openings or troubles to time them all: the times are those of the first.".into());
    }
    limits
}

impl Scope {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let Scope { input, calls, .. } = self;
        let replayed = calls.total();
        writeln!(out, "Coverage")?;
        writeln!(
            out,
            "  {} of {} replayed ({})",
            words::count(replayed),
            words::counted(input.lines, "line"),
            words::percent(replayed, input.lines)
        )?;
        if input.bad_lines > 0 {
            writeln!(out, "  {} left out:", words::counted(input.bad_lines, "bad line"))?;
            for bad in &input.first_bad_lines {
                writeln!(out, "    line {}: {}", bad.line, bad.reason)?;
            }
            let more = input.bad_lines - input.first_bad_lines.len() as u64;
            if more > 0 {
                writeln!(out, "    and {} more", words::count(more))?;
            }
        }
        if input.beyond_max_keys > 0 {
            let left_out = words::counted(input.beyond_max_keys, "call");
            writeln!(
                out,
                "  {left_out} left out: to keys beyond the first {}; see --max-keys",
                words::count(input.keys as u64)
            )?;
        }
        if self.beyond_max_in_flight > 0 {
            let left_out = words::counted(self.beyond_max_in_flight, "call");
            let most = words::count(self.most_in_flight as u64);
            writeln!(out, "  {left_out} left out: {most} others were in flight; see --max-in-flight")?;
        }
        writeln!(
            out,
            "  {} to {} ({}), the longest silence is {}",
            words::time(self.from),
            words::time(self.to),
            words::span(self.to.saturating_sub(self.from)),
            words::span(self.longest_silence)
        )?;
        let without_key = match input.without_key {
            0 => String::new(),
            calls => format!(", {} without a key", words::counted(calls, "call")),
        };
        writeln!(
            out,
            "  {}{without_key}, at most {} in flight at once, {} out of order",
            words::counted(input.keys as u64, "key"),
            words::counted(self.most_in_flight as u64, "call"),
            words::counted(input.out_of_order, "line"),
        )?;
        writeln!(
            out,
            "  {} good, {} failed, {} slow ({} or longer), {} ignored, {} dropped",
            words::count(calls.good),
            words::count(calls.failed),
            words::count(calls.slow),
            words::span(self.slow),
            words::count(calls.ignored),
            words::count(calls.dropped)
        )
    }
}

fn policy_report(
    policy: Policy,
    journal: Journal,
    troubles: &[Trouble],
    keys: &[Box<str>],
    origin: Duration,
) -> PolicyReport {
    let meeting = measure::meet(troubles, &journal.outages);
    let mut first: Vec<&Outage> = journal.outages.iter().collect();
    first.sort_by_key(|outage| outage.from);
    let episode = |outage: &Outage| Episode {
        key: keys.get(outage.key as usize).cloned().unwrap_or_default(),
        cause: outage.cause.as_str(),
        opened: origin + outage.from,
        closed_after_seconds: outage.to.map(|to| (to - outage.from).as_secs_f64()),
        reopenings: outage.reopenings,
        refused: outage.refused,
    };
    PolicyReport {
        name: policy.name,
        settings: policy.config,
        max_open_share: policy.max_open_share,
        openings: journal.openings,
        causes: journal.causes.clone(),
        reopenings: journal.reopenings,
        recoveries: journal.recoveries,
        flaps: journal.flaps,
        suppressed_openings: journal.suppressed_openings(),
        suppressed_causes: journal.suppressed.clone(),
        refused: journal.refused,
        time_to_open: Times::of(&meeting.to_open),
        time_to_recover: Times::of(&meeting.to_recover),
        missed_troubles: meeting.missed,
        needless_openings: meeting.needless,
        first_outages: first.into_iter().take(EPISODES).map(episode).collect(),
        journal,
    }
}

impl PolicyReport {
    fn suppressed(&self) -> String {
        match self.suppressed_openings {
            0 => String::new(),
            openings => format!(", {} suppressed", words::count(openings)),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if self.openings == 0 {
            return writeln!(out, "\n{}: never opened", self.name);
        }
        let causes: Vec<_> =
            self.causes.iter().map(|(cause, count)| format!("{cause} {}", words::count(*count))).collect();
        writeln!(
            out,
            "\n{}: {} ({}), {} by a probe{}",
            self.name,
            words::counted(self.openings, "opening"),
            causes.join(", "),
            words::counted(self.reopenings, "re-opening"),
            self.suppressed(),
        )?;
        for episode in self.first_outages.iter().take(SHOWN) {
            let closed = episode.closed_after_seconds.map_or_else(
                || "not closed within the recording".into(),
                |seconds| format!("closed after {}", words::span_seconds(seconds)),
            );
            let key = if episode.key.is_empty() { String::new() } else { format!(" {}", short(&episode.key)) };
            let refused = &episode.refused;
            writeln!(
                out,
                "  {}{key} {}, {closed}; refused {} bad, {} good",
                words::time(episode.opened),
                episode.cause,
                words::count(refused.bad()),
                words::count(refused.good),
            )?;
        }
        let more = self.openings.saturating_sub(SHOWN as u64);
        if more > 0 { writeln!(out, "  and {} more", words::count(more)) } else { Ok(()) }
    }
}

/// A key as a terminal can show it.
fn short(key: &str) -> String {
    const MOST: usize = 60;
    key.chars()
        .take(MOST)
        .flat_map(|char| if char.is_control() { char.escape_default().collect() } else { vec![char] })
        .collect()
}
