use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tripcoil_fleet::Diagnosis;

use super::client::{Client, Query, Timing};
use super::facts::Overview;
use super::fleet::Fleet;
use super::status::print_json;
use super::text::printable;
use super::{Source, SourceArgs, table};
use crate::command::Stop;
use crate::failure::Failure;
use crate::replay::words::span;

/// Clocks that are nearer than this agree.
const TOLERANCE: i128 = 2_000;
/// `Date` has whole seconds, and a server may renew it once a second.
const DATE_AGE: i128 = 2_000;
/// A console looks at its breakers every five seconds at least.
const SAMPLE_AGE: i128 = 6_000;

/// Checks whether the console or the fleet's store can be reached, what you may do there, and whether versions and clocks
/// agree. It also checks whether a store evicts keys.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct Args {
    /// Print the checks as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
struct Check {
    name: &'static str,
    is_ok: bool,
    words: String,
}

impl Check {
    fn new(name: &'static str, is_ok: bool, words: impl Into<String>) -> Check {
        Check { name, is_ok, words: words.into() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} {:<11} {}", if self.is_ok { "ok" } else { "problem" }, self.name, self.words)
    }
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), Stop> {
    let client = match args.source.source()? {
        Source::Console(client) => client,
        Source::Fleet(fleet) => return print(args, &of_store(&fleet, &fleet.diagnose()?), out),
    };
    let (answer, timing) = client.page(&Query::default(), 0, 1)?;
    let overview: Overview = client.read(answer)?;
    let mut checks = vec![
        Check::new("console", true, format!("{} answers in {}", client.address(), span(timing.took))),
        access(&overview),
        versions(&overview.version, env!("CARGO_PKG_VERSION")),
        clocks(&timing, overview.at),
        live(&client),
        Check::new("breakers", true, table::sums(overview.states)),
    ];
    checks.extend(overview.registries.iter().filter(|registry| !registry.is_readable).map(|registry| {
        Check::new("registry", false, format!("`{}` panics when it is read", printable(&registry.name)))
    }));
    print(args, &checks, out)
}

fn print(args: &Args, checks: &[Check], out: &mut impl Write) -> Result<(), Stop> {
    let problems = checks.iter().filter(|check| !check.is_ok).count();
    if args.json {
        let listed =
            checks.iter().map(|check| json!({"check": check.name, "is_ok": check.is_ok, "words": check.words}));
        print_json(&json!({"is_ok": problems == 0, "checks": listed.collect::<Vec<_>>()}), out)?;
    } else {
        for check in checks {
            writeln!(out, "{check}")?;
        }
    }
    match problems {
        0 => Ok(()),
        1 => Err(Failure::run("1 check found a problem").into()),
        _ => Err(Failure::run(format!("{problems} checks found a problem")).into()),
    }
}

fn of_store(fleet: &Fleet, found: &Diagnosis) -> Vec<Check> {
    let server =
        found.server.as_deref().map_or_else(|| "the server".into(), |version| format!("redis {}", printable(version)));
    let mut checks = vec![Check::new("store", true, format!("{server} answers in {}", span(found.took)))];
    checks.push(if found.forbidden.is_empty() {
        Check::new("access", true, "the user may do all that a fleet needs")
    } else {
        Check::new("access", false, format!("the user may not use {}", found.forbidden.join(", ")))
    });
    checks.push(match &found.script_error {
        None => Check::new("script", true, "the fleet's script runs"),
        Some(error) => Check::new("script", false, printable(error).into_owned()),
    });
    let others: Vec<_> = found.other_versions.iter().map(u32::to_string).collect();
    let own = tripcoil_fleet::protocol::VERSION;
    checks.push(if others.is_empty() {
        Check::new("versions", true, format!("only members with protocol {own}, as this command has"))
    } else {
        let others = others.join(", ");
        Check::new(
            "versions",
            false,
            format!("members with protocol {others} are a fleet of their own; this command has {own}"),
        )
    });
    let ahead = i128::from(found.clock_ahead_ms);
    checks.push(if ahead.abs() <= TOLERANCE + i128::try_from(found.took.as_millis()).unwrap_or(0) {
        Check::new("clocks", true, "the store and this machine agree")
    } else {
        let words = "members are not affected, because they use the store's clock";
        Check::new(
            "clocks",
            false,
            format!("the store's clock is {}, or this machine's is wrong; {words}", apart(ahead)),
        )
    });
    checks.push(eviction(found.eviction_policy.as_deref(), found.memory_limit));
    let members = if found.members == 1 { "1 member is".into() } else { format!("{} members are", found.members) };
    let name = printable(fleet.name());
    checks.push(Check::new("members", found.members > 0, format!("{members} alive in the fleet {name}")));
    checks
}

/// A store that evicts keys forgets orders and votes.
fn eviction(policy: Option<&str>, limit: Option<u64>) -> Check {
    match (policy, limit) {
        (None, _) => {
            Check::new("eviction", true, "the user may not read maxmemory-policy; make sure that it is noeviction")
        }
        (Some("noeviction"), _) => {
            Check::new("eviction", true, "the store evicts nothing (maxmemory-policy noeviction)")
        }
        (Some(policy), Some(0)) => {
            let words = format!("memory has no limit, so maxmemory-policy {} evicts nothing", printable(policy));
            Check::new("eviction", true, words)
        }
        (Some(policy), _) => {
            let words = format!("maxmemory-policy {} loses orders and votes; set noeviction", printable(policy));
            Check::new("eviction", false, words)
        }
    }
}

fn access(overview: &Overview) -> Check {
    let actions: Vec<_> = overview.access.actions.iter().map(|action| printable(action)).collect();
    let actor = overview.access.actor.as_deref().map(printable);
    let words = match (actor, actions.is_empty()) {
        (_, true) => "you may look, and change nothing".into(),
        (Some(actor), false) => format!("you are {actor}, and may {}", actions.join(", ")),
        (None, false) => format!("you may {}", actions.join(", ")),
    };
    Check::new("access", true, words)
}

/// Before 1.0, versions of the same minor are compatible; later those of the same major.
fn versions(console: &str, own: &str) -> Check {
    let compatible = |version: &str| {
        let mut parts = version.split('.');
        match (parts.next(), parts.next()) {
            (Some("0"), Some(minor)) => format!("0.{minor}"),
            (major, _) => major.unwrap_or_default().to_owned(),
        }
    };
    let agree = compatible(console) == compatible(own);
    let words = format!("the console has {}, this command {own}", printable(console));
    Check::new("versions", agree, words)
}

/// The clocks of this machine, of the server that answers, and of the process with the breakers.
fn clocks(timing: &Timing, at: u64) -> Check {
    let sent = millis(timing.sent);
    let received = sent + i128::try_from(timing.took.as_millis()).unwrap_or(i128::MAX / 2);
    let at = i128::from(at);
    let process = off(at, SAMPLE_AGE, sent, received);
    let server = timing.date.map(|date| off(millis(date), DATE_AGE, sent, received));
    let check = |is_ok, words: String| Check::new("clocks", is_ok, words);
    match (server, process) {
        (Some(0) | None, 0) => check(true, "this machine's and the console's agree".into()),
        (Some(0), process) => {
            let why = if process < 0 { ", or it no longer looks at its breakers" } else { "" };
            check(false, format!("the process of the console is {}; the server's clock is right{why}", apart(process)))
        }
        (Some(server), 0) => check(
            false,
            format!("the server or proxy that answers is {}; the process of the console is right", apart(server)),
        ),
        (_, process) => {
            check(false, format!("the console is {}, or this machine's clock is the wrong one", apart(process)))
        }
    }
}

/// By how many milliseconds a clock is ahead, at least; 0 if it can be right. What it showed may be as old as `age`.
fn off(shown: i128, age: i128, sent: i128, received: i128) -> i128 {
    if shown > received + TOLERANCE {
        shown - received
    } else if shown + age + TOLERANCE < sent {
        shown + age - sent
    } else {
        0
    }
}

fn apart(millis: i128) -> String {
    let time = Duration::from_secs(u64::try_from(millis.unsigned_abs() / 1_000).unwrap_or(u64::MAX));
    format!("{} {}", span(time), if millis > 0 { "ahead of this machine" } else { "behind this machine" })
}

fn millis(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_millis()).unwrap_or(i128::MAX / 2),
        Err(before) => -i128::try_from(before.duration().as_millis()).unwrap_or(i128::MAX / 2),
    }
}

/// A proxy that buffers holds the events back.
fn live(client: &Client) -> Check {
    let begun = Instant::now();
    let first = client
        .stream(&Query::default())
        .and_then(|mut messages| messages.next().map_err(|error| Failure::unreachable(format!("none came: {error}"))));
    match first {
        Ok(Some(_)) => Check::new("live events", true, format!("the first came after {}", span(begun.elapsed()))),
        Ok(None) => Check::new("live events", false, "the stream ended without one"),
        Err(failure) => Check::new("live events", false, failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_225_600_000;

    /// With these clocks of the server and of the process, in milliseconds ahead of ours.
    fn words(server: Option<i64>, process: i64) -> (bool, String) {
        let at = |ahead: i64| UNIX_EPOCH + Duration::from_millis(NOW.checked_add_signed(ahead).unwrap());
        let timing = Timing { sent: at(0), took: Duration::from_millis(40), date: server.map(at) };
        let check = clocks(&timing, NOW.checked_add_signed(process).unwrap());
        (check.is_ok, check.words)
    }

    #[test]
    fn the_clock_that_is_off_is_named() {
        for (server, process) in [(Some(0), 0), (Some(-2_900), -5_000), (Some(1_900), 1_000), (None, -7_000)] {
            assert!(words(server, process).0, "{server:?} {process}: {:?}", words(server, process));
        }
        for (server, process, expected) in [
            (
                Some(90_000),
                90_040,
                "the console is 90 s ahead of this machine, or this machine's clock is the wrong one",
            ),
            (None, -67_000, "the console is 61 s behind this machine, or this machine's clock is the wrong one"),
            (
                Some(60_040),
                0,
                "the server or proxy that answers is 60 s ahead of this machine; the process of the console is right",
            ),
            (Some(0), 30_040, "the process of the console is 30 s ahead of this machine; the server's clock is right"),
            (
                Some(0),
                -66_000,
                "the process of the console is 60 s behind this machine; the server's clock is right, or it no longer looks at its breakers",
            ),
        ] {
            assert_eq!(words(server, process), (false, expected.into()));
        }
    }

    #[test]
    fn versions_agree_up_to_what_may_break() {
        for (console, own, agree) in [
            ("0.1.0", "0.1.9", true),
            ("0.2.0", "0.1.9", false),
            ("1.2.0", "1.9.0", true),
            ("2.0.0", "1.9.0", false),
            ("", "0.1.0", false),
        ] {
            assert_eq!(versions(console, own).is_ok, agree, "{console} {own}");
        }
    }
}
