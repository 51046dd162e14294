//! `tripcoil hold`, `release` and `reset`.

use std::io::Write;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tripcoil_fleet::By;

use super::client::Client;
use super::facts::{Access, Breaker};
use super::table::words;
use super::targets::{Found, Targets};
use super::{Source, SourceArgs, terminal};
use crate::command::Stop;
use crate::failure::Failure;

/// The longest reason that a console takes, in bytes.
const LONGEST_REASON: usize = 500;
/// How many breakers a question names.
const NAMED: usize = 10;

/// Holds breakers open or closed until they are released, or for a time.
///
/// A breaker that is held open rejects every call. A breaker that is held closed admits every call. If you name several
/// breakers or a pattern, the command asks for confirmation.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct HoldArgs {
    /// Whether to reject or admit every call.
    #[arg(value_name = "STATE")]
    state: Held,
    /// End the hold after this time, 1s to 720h, such as `30m` or `1h 30m`. Without it, a hold lasts until it is released.
    #[arg(long = "for", value_name = "DURATION", value_parser = lasts)]
    lasts: Option<Duration>,
    #[command(flatten)]
    act: ActArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Held {
    /// Reject every call.
    Open,
    /// Admit every call.
    Closed,
}

/// Ends a hold.
///
/// A breaker that was held open enters the first step of its recovery. If it has no recovery, or was held closed, it
/// closes. If you name several breakers or a pattern, the command skips breakers that are not held.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    act: ActArgs,
}

/// Closes breakers and clears their counts.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    act: ActArgs,
}

#[derive(Debug, clap::Args)]
struct ActArgs {
    #[command(flatten)]
    targets: Targets,
    /// The reason, for the audit: at most 500 bytes, or 300 for a fleet.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    because: String,
    /// Your name, for an order to a fleet: 1 to 100 bytes. The default is your login name. A console identifies you itself.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Through a console, act for the whole fleet that the breaker has joined, instead of one process.
    #[arg(long)]
    whole_fleet: bool,
    /// Do not ask for confirmation, even for several breakers.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    source: SourceArgs,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.len() {
        0 => Err("a reason is needed".into()),
        1..=LONGEST_REASON => Ok(text.into()),
        long => Err(format!("it has {long} bytes, allowed are {LONGEST_REASON}")),
    }
}

fn lasts(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
    let lasts = crate::replay::duration(text)?;
    if allowed.contains(&lasts) { Ok(lasts) } else { Err("allowed is 1s to 720h".into()) }
}

pub(crate) fn hold(args: &HoldArgs, out: &mut impl Write) -> Result<(), Stop> {
    let (action, verb) = match args.state {
        Held::Open => ("force_open", "Hold open"),
        Held::Closed => ("force_closed", "Hold closed"),
    };
    act(&args.act, Deed { action, verb, lasts: args.lasts }, out)
}

pub(crate) fn release(args: &ReleaseArgs, out: &mut impl Write) -> Result<(), Stop> {
    act(&args.act, Deed { action: "release", verb: "Release", lasts: None }, out)
}

pub(crate) fn reset(args: &ResetArgs, out: &mut impl Write) -> Result<(), Stop> {
    act(&args.act, Deed { action: "reset", verb: "Reset", lasts: None }, out)
}

/// What a command does to each breaker.
#[derive(Clone, Copy)]
struct Deed {
    action: &'static str,
    verb: &'static str,
    lasts: Option<Duration>,
}

fn act(args: &ActArgs, deed: Deed, out: &mut impl Write) -> Result<(), Stop> {
    match args.source.source()? {
        Source::Console(client) => {
            let found = args.targets.find(&client)?;
            check_access(&found.overview.access, deed.action)?;
            act_on_all(args, deed, found, out, |breaker| act_on(&client, breaker, deed, args))
        }
        Source::Fleet(fleet) => {
            let by = author(args)?;
            let found = args.targets.find_in(&fleet, args.yes)?;
            let by = By::new(by).because(&*args.because);
            let by = deed.lasts.map_or(by.clone(), |lasts| by.for_(lasts));
            act_on_all(args, deed, found, out, |breaker| {
                let name = match &breaker.registry {
                    Some(registry) => (registry.as_str(), breaker.name.as_str()).into(),
                    None => breaker.name.as_str().into(),
                };
                fleet.act(deed.action, name, by.clone())
            })
        }
    }
}

/// The author of an order to a fleet.
fn author(args: &ActArgs) -> Result<String, Failure> {
    let login = || ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let by = args.by.clone().or_else(login).filter(|by| !by.is_empty());
    by.ok_or_else(|| Failure::usage("--by is missing, and USER is not set"))
}

fn act_on_all(
    args: &ActArgs,
    deed: Deed,
    found: Found,
    out: &mut impl Write,
    mut act_on: impl FnMut(&Breaker) -> Result<String, Failure>,
) -> Result<(), Stop> {
    let Found { overview, mut breakers } = found;
    let are_many = args.targets.are_many();
    if are_many && deed.action == "release" {
        breakers.retain(|breaker| breaker.state.starts_with("forced_"));
        if breakers.is_empty() {
            writeln!(out, "none of them is held")?;
            return Ok(());
        }
    }
    let members = overview.fleet.as_ref().map(|(_, members)| *members);
    if (are_many || members.is_some_and(|members| members > 1)) && !args.yes {
        terminal::confirm(&question(deed.verb, &breakers, members))?;
    }
    let mut failed = 0;
    for breaker in &breakers {
        match act_on(breaker) {
            Ok(change) => {
                writeln!(out, "{}: {change}", breaker.place())?;
                // What is done is said at once, for the next one may take its time.
                out.flush()?;
            }
            Err(failure) if breakers.len() == 1 => return Err(failure.into()),
            Err(failure) => {
                failed += 1;
                eprintln!("error: {}: {failure}", breaker.place());
            }
        }
    }
    if failed > 0 {
        return Err(Failure::run(format!("{failed} of {} breakers were left as they are", breakers.len())).into());
    }
    Ok(())
}

fn act_on(client: &Client, breaker: &Breaker, deed: Deed, args: &ActArgs) -> Result<String, Failure> {
    let mut order = json!({"action": deed.action, "name": breaker.name, "reason": args.because});
    if let Some(registry) = &breaker.registry {
        order["registry"] = registry.as_str().into();
    }
    if args.whole_fleet {
        order["scope"] = "fleet".into();
    }
    if let Some(lasts) = deed.lasts {
        order["for"] = format!("{}ms", lasts.as_millis()).into();
    }
    let (from, to) = client.act(&order)?;
    Ok(if from == to { format!("stays {}", words(&to)) } else { format!("{} -> {}", words(&from), words(&to)) })
}

/// The console would refuse it too; this is before the question.
fn check_access(access: &Access, action: &str) -> Result<(), Failure> {
    if access.actions.iter().any(|allowed| allowed == action) {
        return Ok(());
    }
    Err(Failure::forbidden(if access.actions.is_empty() {
        format!("you may not {action}: this console is read-only for you")
    } else {
        let allowed: Vec<_> = access.actions.iter().map(|action| super::text::printable(action)).collect();
        format!("you may not {action}: allowed are {}", allowed.join(", "))
    }))
}

fn question(verb: &str, breakers: &[Breaker], members: Option<u64>) -> String {
    let named: Vec<_> = breakers
        .iter()
        .take(NAMED)
        .map(|breaker| format!("  {} is {}\n", breaker.place(), words(&breaker.state)))
        .collect();
    let more = breakers.len() - named.len();
    let more = if more > 0 { format!("  and {more} more\n") } else { String::new() };
    let count = if breakers.len() == 1 { "this breaker".into() } else { format!("{} breakers", breakers.len()) };
    let members = members.map_or_else(String::new, |members| format!(" in all {members} members of the fleet"));
    format!("{}{more}{verb} {count}{members}?", named.concat())
}
