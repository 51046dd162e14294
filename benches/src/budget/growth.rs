//! What the figures have to be with many threads, many keys and many failures.

use std::thread::available_parallelism;

use super::counts;
use crate::path::Path;
use crate::peers::{self, OURS};
use crate::results::Results;
use crate::scale::{Bytes, Growth, KeyUse, MOST_KEYS, MOST_THREADS, OPEN, Row, Use};
use crate::table::{nanos, time};

/// One demand.
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) bound: String,
    pub(crate) is_met: bool,
    /// The others, where they have the thing, the best first.
    pub(crate) peers: String,
}

/// Bytes after [`Bytes::SMALL`] threads, for two cores: the places to count in are twice as many as the cores.
const DEFAULT_RULE: f64 = 1_200.0;
const TIME_AND_SLOW: f64 = 4_500.0;
/// Bytes for a key that some threads use now and then, and the key itself.
const KEY: f64 = 400.0 + 8.0;

/// How many places to count in there are at most: twice as many as the cores, rounded up to a power of two, and a shared one.
fn places() -> f64 {
    f64::from(own_places() + 1)
}

fn own_places() -> u32 {
    let cores = available_parallelism().map_or(1, usize::from);
    u32::try_from((2 * cores).next_power_of_two()).expect("not that many cores")
}

/// One row for each demand. Times are minima, and medians where two threads share a breaker.
pub(crate) fn checks(results: &Results) -> Vec<Check> {
    let mut checks = healthy(results);
    checks.extend(failures(results));
    checks.extend(mixed(results));
    checks.extend(open(results));
    checks.extend(keys(results));
    checks.extend(memory(&results.growth, &bytes_of_peers(results)));
    checks
}

fn check(what: impl Into<String>, measured: f64, most: f64, why: &str) -> Check {
    Check {
        what: what.into(),
        measured: time(measured),
        bound: format!("{}: {why}", time(most)),
        is_met: measured <= most,
        peers: String::new(),
    }
}

fn bytes(what: String, measured: i64, most: f64, why: &str) -> Check {
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let is_met = measured as f64 <= most;
    let bound = format!("{most:.0} B{why}");
    Check { what, measured: format!("{measured} B"), bound, is_met, peers: String::new() }
}

impl Check {
    fn beside(mut self, results: &Results, path: Path, threads: u32) -> Self {
        let figure = |name| Some((name, results.cost(name, path, threads)?.figure(threads)));
        let mut all: Vec<_> = others().filter_map(figure).collect();
        all.sort_by(|one, other| one.1.total_cmp(&other.1));
        let cells: Vec<_> = all.iter().map(|(name, figure)| format!("{name} {}", nanos(*figure))).collect();
        self.peers = cells.join(", ");
        self
    }
}

fn others() -> impl Iterator<Item = &'static str> {
    peers::ALL.iter().map(|one| one.name).filter(|&name| name != OURS.name)
}

fn healthy(results: &Results) -> Vec<Check> {
    let instructions = |what: &str, counted, path| {
        let (now, base) = counts::of(counted);
        let timed = time(results.ours(path, 1).minimum);
        Check {
            what: format!("closed, success, {what}: instructions, as `check-counts` stored them"),
            measured: format!("{now:.1} ({timed})"),
            bound: base.map_or("replaced".to_owned(), |base| format!("{:.1}: 1.05 × {base:.1}", base * 1.05)),
            is_met: base.is_none_or(|base| now <= base * 1.05),
            peers: String::new(),
        }
        .beside(results, path, 1)
    };
    let growth = &results.growth;
    let first = growth.figure(Row::Threads(1, Use::Success));
    let last = growth.figure(Row::Threads(MOST_THREADS, Use::Success));
    let most = first + 2.0 * growth.figure(Row::FetchAdd);
    vec![
        instructions("first thread", "sync", Path::Closed),
        instructions("first thread, async", "async", Path::Async),
        check(
            format!("closed, success, the last of {MOST_THREADS} live threads"),
            last,
            most,
            "two `fetch_add` over the first thread",
        ),
        check(
            "closed, success, a thread that shares a stripe".to_owned(),
            growth.figure(Row::SharedStripe),
            most,
            "two `fetch_add` over the first thread",
        ),
    ]
}

fn failures(results: &Results) -> Vec<Check> {
    let growth = &results.growth;
    let [alone, many] = [1, MOST_THREADS].map(|threads| move |which| growth.figure(Row::Threads(threads, which)));
    let by_place = format!("that with 1 thread, and 20 ns for each of {} places", places());
    let times = |what: &str, which, factor: f64| {
        let what = format!("failure, {what}, {MOST_THREADS} threads");
        check(what, many(which), factor * alone(which), &format!("{factor} × that with 1 thread"))
    };
    let plus = |what: String, which| check(what, many(which), alone(which) + 20.0 * places(), &by_place);
    vec![
        times("default rule", Use::Failure, 1.3),
        times("last 100 calls", Use::FailureLast100, 2.0),
        plus(format!("failure, 10 s and slow calls, {MOST_THREADS} threads"), Use::FailureLast10Seconds),
        plus(format!("`metrics()`, {MOST_THREADS} threads"), Use::Metrics).beside(results, Path::Metrics, 1),
    ]
}

/// Against the best of the others.
fn against(results: &Results, path: Path, threads: u32, factor: f64, why: &str) -> Check {
    let best = results.best_peer(path, threads).expect("a peer has it").cost.figure(threads);
    let what = format!("{path}{}", if threads == 1 { "" } else { "; 2 threads" });
    check(what, results.ours(path, threads).figure(threads), factor * best, why).beside(results, path, threads)
}

fn mixed(results: &Results) -> Vec<Check> {
    let cases = [1, 2].into_iter().flat_map(|threads| Path::FAILING.map(|path| (path, threads)));
    cases.map(|(path, threads)| against(results, path, threads, 1.0, "the best peer")).collect()
}

fn open(results: &Results) -> Vec<Check> {
    vec![
        against(results, Path::Rejected, 1, 0.5, "half of the best peer"),
        against(results, Path::Probe, 1, 1.5, "1.5 × the best peer"),
    ]
}

fn keys(results: &Results) -> Vec<Check> {
    let growth = &results.growth;
    let mut checks = Vec::new();
    let calls = [
        ("sync", Row::CallSync, KeyUse::CallSync, KeyUse::CallSyncBy2),
        ("async", Row::Call, KeyUse::Call, KeyUse::CallBy2),
    ];
    for (kind, call, keyed, by_2) in calls {
        let alone = growth.figure(Row::Keys(1, keyed));
        let over = growth.figure(call) + 17.0;
        let what = format!("keyed call, one key, {kind}");
        checks.push(check(&what, alone, over, "17 ns over the call").beside(results, Path::Keyed, 1));
        let by_2 = growth.figure(Row::Keys(1, by_2));
        let what = format!("{what}; 2 threads");
        checks.push(check(what, by_2, 1.3 * alone, "1.3 × that on 1 thread").beside(results, Path::Keyed, 2));
    }
    for open in [1_000, OPEN] {
        let took = growth.figure(Row::Keys(open, KeyUse::NewBesideOpen));
        checks.push(check(format!("a new key, {open} open ones"), took, 1_500.0, "whatever their number"));
    }
    checks
}

/// After use by eight threads: none of them takes more for more threads.
fn bytes_of_peers(results: &Results) -> String {
    let others = results.footprints.iter().filter(|one| one.0 != OURS.name);
    let mut all: Vec<_> = others.map(|one| (one.1.total(one.1.after_eight_threads), one.0)).collect();
    all.sort_unstable();
    let cells: Vec<_> = all.iter().map(|(bytes, name)| format!("{name} {bytes} B")).collect();
    cells.join(", ")
}

/// What a breaker and a key may take. The peers are beside the default rule.
pub(crate) fn memory(growth: &Growth, peers: &str) -> Vec<Check> {
    let held = &growth.bytes;
    let on_two_cores = 4;
    let scale = f64::from(own_places().max(on_two_cores)) / f64::from(on_two_cores);
    let why = if scale > 1.0 { format!(": {scale} × that on 2 cores") } else { String::new() };
    let uses = [
        (format!("{} threads, 3 calls each", Bytes::SMALL), held.after(Bytes::SMALL)),
        // As much for twice as many: a thread has no memory of its own.
        (format!("{MOST_THREADS} threads, 3 calls each"), held.after(MOST_THREADS)),
        (format!("{} threads, and {} of them busy", Bytes::SMALL, Bytes::BUSY), held.after_heavy_use),
    ];
    let mut checks = Vec::new();
    for (when, held) in uses {
        let what = format!("memory, default rule, {when}");
        let check = bytes(what, held.default_rule, scale * DEFAULT_RULE, &why);
        checks.push(Check { peers: peers.to_owned(), ..check });
        let what = format!("memory, 10 s and slow calls, {when}");
        checks.push(bytes(what, held.time_and_slow, scale * TIME_AND_SLOW, &why));
    }
    for keys in [1_000, MOST_KEYS] {
        let [_, by_four] = growth.bytes_per_key(keys);
        #[expect(clippy::cast_possible_truncation, reason = "far less than 2^52")]
        let by_four = by_four.ceil() as i64;
        let what = format!("memory of a key of 8 bytes, of {keys}, used by 4 threads");
        checks.push(bytes(what, by_four, KEY, ": the registry's own included"));
    }
    checks
}
