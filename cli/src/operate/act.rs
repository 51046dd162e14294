//! `tripcoil hold`, `release` and `reset`.

use std::io::Write;

use clap::ValueEnum;

use super::client::Client;
use super::facts::{Access, Breaker};
use super::table::words;
use super::targets::{Found, Targets};
use super::{SourceArgs, terminal};
use crate::command::Stop;
use crate::failure::Failure;

/// The longest reason that a console takes, in bytes.
const LONGEST_REASON: usize = 500;
/// How many breakers a question names.
const NAMED: usize = 10;

/// Holds breakers open or closed until they are released.
///
/// A breaker that is held open rejects every call. A breaker that is held closed admits every call. If you name several
/// breakers or a pattern, the command asks for confirmation.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct HoldArgs {
    /// Whether to reject or admit every call.
    #[arg(value_name = "STATE")]
    state: Held,
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
/// A breaker that was held open becomes half-open, so that probes decide whether it closes. A breaker that was held
/// closed becomes closed. If you name several breakers or a pattern, the command skips breakers that are not held.
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
    /// The reason, for the audit: at most 500 bytes.
    #[arg(long, value_name = "REASON", value_parser = reason)]
    because: String,
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

pub(crate) fn hold(args: &HoldArgs, out: &mut impl Write) -> Result<(), Stop> {
    let (action, verb) = match args.state {
        Held::Open => ("force_open", "Hold open"),
        Held::Closed => ("force_closed", "Hold closed"),
    };
    act(&args.act, action, verb, out)
}

pub(crate) fn release(args: &ReleaseArgs, out: &mut impl Write) -> Result<(), Stop> {
    act(&args.act, "release", "Release", out)
}

pub(crate) fn reset(args: &ResetArgs, out: &mut impl Write) -> Result<(), Stop> {
    act(&args.act, "reset", "Reset", out)
}

fn act(args: &ActArgs, action: &str, verb: &str, out: &mut impl Write) -> Result<(), Stop> {
    let client = args.source.client()?;
    let Found { overview, mut breakers } = args.targets.find(&client)?;
    check_access(&overview.access, action)?;
    let are_many = args.targets.are_many();
    if are_many && action == "release" {
        breakers.retain(|breaker| breaker.state.starts_with("forced_"));
        if breakers.is_empty() {
            writeln!(out, "none of them is held")?;
            return Ok(());
        }
    }
    if are_many && !args.yes {
        terminal::confirm(&question(verb, &breakers))?;
    }
    let mut failed = 0;
    for breaker in &breakers {
        match act_on(&client, breaker, action, &args.because) {
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

fn act_on(client: &Client, breaker: &Breaker, action: &str, reason: &str) -> Result<String, Failure> {
    let (from, to) = client.act(action, &breaker.name, breaker.registry.as_deref(), reason)?;
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

fn question(verb: &str, breakers: &[Breaker]) -> String {
    let named: Vec<_> = breakers
        .iter()
        .take(NAMED)
        .map(|breaker| format!("  {} is {}\n", breaker.place(), words(&breaker.state)))
        .collect();
    let more = breakers.len() - named.len();
    let more = if more > 0 { format!("  and {more} more\n") } else { String::new() };
    let count = if breakers.len() == 1 { "this breaker".into() } else { format!("{} breakers", breakers.len()) };
    format!("{}{more}{verb} {count}?", named.concat())
}
