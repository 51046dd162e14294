use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::client::Query;
use super::facts::Overview;
use super::text::printable_json;
use super::{Source, SourceArgs, table, terminal, watch};
use crate::command::Stop;
use crate::failure::Failure;

/// Shows the breakers, worst first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::EXIT_CODES)]
pub(crate) struct Args {
    /// Only breakers whose name contains this text, case-insensitive.
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Only breakers in these states, separated by commas.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = STATES)]
    state: Vec<String>,
    /// Only breakers of this registry.
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Show at most this many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Keep the table up to date until you press q, Esc or Ctrl-C. It needs a terminal.
    #[arg(long, short, conflicts_with_all = ["json", "limit"])]
    watch: bool,
    /// Print the answer as one JSON object, with up to `--limit` breakers.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) const STATES: [&str; 5] = ["closed", "open", "half_open", "forced_open", "forced_closed"];

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), Stop> {
    let query = Query {
        text: args.text.clone(),
        states: (!args.state.is_empty()).then(|| args.state.join(",")),
        registry: args.registry.clone(),
        name: None,
    };
    if args.watch {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failure::usage("--watch needs a terminal; give --json, or neither").into());
        }
        return match args.source.source()? {
            Source::Console(client) => watch::run(client, &query),
            Source::Fleet(fleet) => watch::run_fleet(fleet, &query),
        };
    }
    let overview = match args.source.source()? {
        Source::Console(client) => {
            let answer = client.overview(&query, args.limit as usize)?;
            if args.json {
                return print_json(&answer, out);
            }
            client.read(answer)?
        }
        Source::Fleet(fleet) => {
            let (mut overview, mut json) = fleet.overview(&query)?;
            if args.json {
                json["breakers"].as_array_mut().into_iter().for_each(|listed| listed.truncate(args.limit as usize));
                return print_json(&json, out);
            }
            overview.breakers.truncate(args.limit as usize);
            overview
        }
    };
    print_table(&overview, out)
}

fn print_table(overview: &Overview, out: &mut impl Write) -> Result<(), Stop> {
    if !overview.breakers.is_empty() {
        for line in table::lines(overview, terminal::look()) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    let more = overview.matched.saturating_sub(overview.breakers.len());
    let matched = match (overview.matched, more) {
        (0, _) => "; none matches".to_owned(),
        (_, 0) => String::new(),
        (_, more) => format!("; {more} more match, --limit shows them"),
    };
    let is_empty = overview.states == super::facts::States::default();
    writeln!(out, "{}{}", table::summary(overview), if is_empty { "" } else { &matched })?;
    Ok(())
}

/// Laid out for people on a terminal, on one line for programs.
pub(super) fn print_json(value: &Value, out: &mut impl Write) -> Result<(), Stop> {
    let json = if io::stdout().is_terminal() { format!("{value:#}") } else { value.to_string() };
    writeln!(out, "{}", printable_json(&json))?;
    Ok(())
}
