//! The figures as Markdown.

use std::fmt::Write;
use std::iter::once;

use crate::budget::{self, growth::Check};
use crate::path::Path;
use crate::peers::{self, Contender, OURS};
use crate::registry::{BOUND, KEYS, Keyed};
use crate::results::Results;
use crate::scale;
use crate::table::{Table, cost, nanos};
use crate::yardsticks::Yardstick;

fn heads(first: &str) -> impl Iterator<Item = String> {
    let name = |contender: &Contender| match contender.name {
        name if contender.name == OURS.name => format!("**{name}**"),
        name if contender.only_async => format!("{name} †"),
        name => name.to_owned(),
    };
    once(first.to_owned()).chain(peers::ALL.iter().map(name).collect::<Vec<_>>())
}

fn threads(threads: u32) -> &'static str {
    if threads == 1 { "" } else { "; 2 threads" }
}

fn measured(results: &Results) -> impl Iterator<Item = (Path, u32)> {
    let has = |&(path, threads): &(Path, u32)| results.cost(OURS.name, path, threads).is_some();
    [1, 2].into_iter().flat_map(|threads| Path::all().map(move |path| (path, threads))).filter(has)
}

/// Everything.
pub(crate) fn full(results: &Results, machine: &str) -> String {
    let mut text = summary(results, machine);
    let mut section = |title: &str, body: String| {
        let _ = write!(text, "\n### {title}\n\n{body}");
    };
    section("The machine itself, in ns", yardsticks(results).to_string());
    section("Ratios, of the minima; on 2 threads, of the medians", ratios(results).to_string());
    section("The budget", budget_table(results).to_string());
    section(
        "The budget with many threads, keys and failures",
        growth_table(&budget::growth::checks(results)).to_string(),
    );
    section("Failures, in ns", failures(results).to_string());
    section("A shadow, and a step of recovery, in ns", without_peers(results).to_string());
    section("What grows", scale::tables(&results.growth));
    section("Memory of one breaker, in bytes", memory(results).to_string());
    section("Memory in a registry", registry(results.keyed));
    section("Allocations per call", allocations(results).to_string());
    section("One healthy breaker beside another one that rejects, in ns", weather(results).to_string());
    text
}

/// The figures that most readers want.
pub(crate) fn summary(results: &Results, machine: &str) -> String {
    let table = costs(results, Path::is_summarized);
    let versions = peers::ALL.map(|contender| format!("{} {}", contender.name, contender.version())).join(", ");
    format!(
        "{table}\n{}{} rounds, each with every library once, on: {machine}.\n\
         With 2 threads sharing a breaker, the time is per thread, over the rounds in which neither was interrupted; \
         the minimum of a lock is its luckiest round. † has async calls only: each path polls one. \
         Blank: not available.\n\
         Versions: {versions}.\n",
        results.warning, results.rounds
    )
}

/// Those paths, each of them on one thread and then on two.
fn costs(results: &Results, shows: impl Fn(Path) -> bool) -> Table {
    let mut table = Table::new(heads("ns per call, minimum (median)"));
    for (path, count) in measured(results).filter(|one| shows(one.0)) {
        let cells = peers::ALL.iter().map(|contender| {
            let cell = results.cost(contender.name, path, count).map(cost).unwrap_or_default();
            if contender.name == OURS.name { format!("**{cell}**") } else { cell }
        });
        table.row(once(format!("{path}{}", threads(count))).chain(cells));
    }
    table
}

fn failures(results: &Results) -> Table {
    costs(results, |path| matches!(path, Path::Failing { .. }))
}

/// A healthy call beside the same with what no peer has.
fn without_peers(results: &Results) -> Table {
    let heads = ["", "ns per call, minimum (median)", "by the first"];
    let mut table = Table::new(heads.map(str::to_owned).into_iter());
    let closed = results.ours(Path::Closed, 1).minimum;
    for path in [Path::Closed, Path::Shadowed, Path::Recovering] {
        let ours = results.ours(path, 1);
        table.row([path.to_string(), cost(ours), format!("{:.1}", ours.minimum / closed)].into_iter());
    }
    table
}

fn yardsticks(results: &Results) -> Table {
    let mut table = Table::new(["", "1 thread", "2 threads"].map(str::to_owned).into_iter());
    for yardstick in Yardstick::ALL {
        let costs = [1, 2].map(|threads| cost(results.yardstick(yardstick, threads)));
        table.row(once(yardstick.name().to_owned()).chain(costs));
    }
    table
}

fn ratios(results: &Results) -> Table {
    let heads = ["", "the best peer", "its time by ours", "ours by a `fetch_add`", "ours by an `Instant::now`"];
    let mut table = Table::new(heads.map(str::to_owned).into_iter());
    for (path, count) in measured(results) {
        let ours = results.ours(path, count).figure(count);
        let (best, ratio) = results.best_peer(path, count).map_or_else(Default::default, |best| {
            let text = format!("{}, {} ns", best.contender, nanos(best.cost.figure(count)));
            (text, format!("{:.1}", best.cost.figure(count) / ours))
        });
        let by = |yardstick| format!("{:.2}", ours / results.yardstick(yardstick, 1).minimum);
        let cells = [best, ratio, by(Yardstick::FetchAdd), by(Yardstick::Clock)];
        table.row(once(format!("{path}{}", threads(count))).chain(cells));
    }
    table
}

fn budget_table(results: &Results) -> Table {
    let mut table = Table::new(["", "at most", "measured", ""].map(str::to_owned).into_iter());
    for check in budget::checks(results) {
        let verdict = if check.is_met { "met" } else { "**not met**" };
        table.row([check.what, check.bound, check.measured, verdict.to_owned()].into_iter());
    }
    table
}

/// What is demanded with many threads, keys and failures.
pub(crate) fn growth_table(checks: &[Check]) -> Table {
    let mut table = Table::new(["", "measured", "at most", "", "the peers"].map(str::to_owned).into_iter());
    for Check { what, measured, bound, is_met, peers } in checks {
        let verdict = if *is_met { "met" } else { "**not met**" };
        table.row([what, measured, bound, verdict, peers].map(str::to_owned).into_iter());
    }
    table
}

fn memory(results: &Results) -> Table {
    let heads = ["itself", "fresh, with its heap", "after use by 1 thread", "after use by 8 threads"];
    let mut table = Table::new(once(String::new()).chain(heads.map(str::to_owned)));
    for (name, footprint) in &results.footprints {
        let totals = [footprint.fresh, footprint.after_one_thread, footprint.after_eight_threads];
        let cells = once(footprint.itself).chain(totals.map(|heap| footprint.total(heap)));
        table.row(once((*name).to_owned()).chain(cells.map(|bytes| bytes.to_string())));
    }
    table
}

/// What a breaker takes in a registry.
pub(crate) fn registry(keyed: Keyed) -> String {
    let (breakers, bytes) = keyed.churned;
    format!(
        "{KEYS} keys of 8 bytes, bytes for each, all of it: key, name, breaker and the registry's own\n\n\
         - used by one thread: {:.0}\n- used by a second one too: {:.0}\n\n\
         {KEYS} keys that two threads use once, at most {BOUND} at a time: {breakers} breakers, {bytes} bytes in all\n",
        keyed.after_one_thread, keyed.after_two_threads,
    )
}

fn allocations(results: &Results) -> Table {
    let mut table = Table::new(heads(""));
    for path in Path::all() {
        let cell = |contender: &Contender| {
            let mut all = results.allocations.iter();
            let found = all.find(|one| (one.0, one.1) == (contender.name, path));
            found.map(|one| format!("{:.2}", one.2).trim_end_matches('0').trim_end_matches('.').to_owned())
        };
        table.row(once(path.to_string()).chain(peers::ALL.iter().map(|one| cell(one).unwrap_or_default())));
    }
    table
}

fn weather(results: &Results) -> Table {
    let heads = ["", "a healthy call, minimum (median)", "million rejections a second"];
    let mut table = Table::new(heads.map(str::to_owned).into_iter());
    for weather in &results.weather {
        let cells =
            [format!("{:.2} ({:.2})", weather.cost.minimum, weather.cost.median), format!("{:.1}", weather.rejections)];
        table.row(once(weather.when.to_owned()).chain(cells));
    }
    table
}
