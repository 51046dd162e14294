//! `tripcoil replay`: recorded calls go through policies, on virtual time.

mod engine;
mod incidents;
mod input;
mod journal;
mod lane;
mod measure;
mod picture;
mod policy;
mod queue;
mod report;
mod table;
mod tally;
mod timeline;
mod trouble;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::command::Stop;
use crate::failure::Failure;
use engine::Replay;
use input::{Broken, Unit};
use policy::Policy;
use report::Report;

/// Replays recorded calls through circuit breaker policies.
///
/// Each policy has a breaker for each key and receives the same calls, in virtual time. The report shows when each
/// policy would have opened and why, which bad calls it would have prevented, and which good calls it would have
/// refused.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The recorded calls, as JSON lines or CSV. Use `-` for the standard input.
    #[arg(value_name = "CALLS", required_unless_present = "incidents")]
    calls: Option<PathBuf>,
    /// The policies to compare, as a TOML file with a table for each policy.
    ///
    /// The settings are those of the library's `Config`, such as `error_rate = 0.5` and `window = "10s"`, and the
    /// `max_open_share` of a registry. Without this option, the command compares its built-in policies; `--print-policies`
    /// prints them.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print the built-in policies as TOML, and exit.
    #[arg(long, exclusive = true)]
    print_policies: bool,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
    /// Draw the traffic and the states of each policy into this SVG file.
    #[arg(long, value_name = "FILE", conflicts_with = "incidents")]
    picture: Option<PathBuf>,
    /// Exit with code 3 at the first line that cannot be replayed.
    #[arg(long, conflicts_with = "incidents")]
    strict: bool,
    /// The report counts a call as slow if it takes at least this long. It does not affect the policies.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = positive)]
    slow: Duration,
    /// The unit of a numeric `time`.
    #[arg(long, value_name = "UNIT", default_value = "s", conflicts_with = "incidents")]
    time_unit: Unit,
    /// The unit of a numeric `duration`.
    #[arg(long, value_name = "UNIT", default_value = "s", conflicts_with = "incidents")]
    duration_unit: Unit,
    /// How far lines may be out of order. For an access log, use at least the longest duration.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, conflicts_with = "incidents")]
    reorder: Duration,
    /// The maximum number of keys. Calls to further keys are counted and skipped.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one, conflicts_with = "incidents")]
    max_keys: usize,
    /// The maximum number of calls in flight. Calls beyond it are counted and skipped.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one, conflicts_with = "incidents")]
    max_in_flight: usize,
    /// Replay the synthetic incidents of `tripcoil generate` instead of a file, and print a table of scores.
    #[arg(long, conflicts_with = "calls")]
    incidents: bool,
    /// The seeds of the incidents.
    #[arg(long, value_name = "A..=B", default_value = "51..=100", value_parser = seeds, requires = "incidents")]
    seeds: RangeInclusive<u64>,
    /// Also write the table into this Markdown page, between the comments `incidents: begin` and `incidents: end`.
    #[arg(long, value_name = "FILE", requires = "incidents", conflicts_with = "json")]
    markdown: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
A call is a line of JSON or a row of CSV with these fields. Other fields are ignored.
  time      when it started: a number since 1970 or any other origin, or RFC 3339
  key       what it called; each key has its own breaker; optional
  duration  how long it took: a number, or a string with units such as \"250ms\"
  outcome   success, failure, ignored, dropped, or \"trip 30s\"

  {\"time\": 1767225600.25, \"key\": \"db-1\", \"duration\": 0.031, \"outcome\": \"success\"}

The first line selects the format. A CSV begins with the names of its columns.

Exit codes:
  0  the report is complete
  1  a file could not be read or written, or there was no call to replay
  2  the arguments, the policies or the header of a CSV are invalid
  3  a line could not be replayed with --strict";

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), Stop> {
    if args.print_policies {
        return Ok(out.write_all(policy::NAMED.as_bytes())?);
    }
    let policies = policy::load(args.policy.as_deref())?;
    check_keys(args.max_keys, &policies)?;
    match &args.calls {
        None => incidents::run(args, &policies, out),
        Some(calls) => replay(args, calls, &policies, out),
    }
}

/// Whether there is a breaker for each key under every policy.
fn check_keys(max_keys: usize, policies: &[Policy]) -> Result<(), Failure> {
    const MOST: usize = policy::MOST_LIMITED_KEYS;

    match policies.iter().find(|policy| policy.max_open_share.is_some()) {
        Some(Policy { name, .. }) if max_keys > MOST => Err(Failure::usage(format!(
            "--max-keys is {max_keys}, allowed is 1 to {MOST} with the `max_open_share` of policy `{name}`"
        ))),
        _ => Ok(()),
    }
}

fn replay(args: &Args, path: &Path, policies: &[Policy], out: &mut impl Write) -> Result<(), Stop> {
    let begun = Instant::now();
    let report = replay_file(args, path, policies)?;
    let calls = words::counted(report.coverage.calls.total(), "call");
    let memory = most_memory().map_or_else(String::new, |memory| format!(", at most {memory} of memory"));
    eprintln!("{calls} through {} policies in {}{memory}", policies.len(), words::span(begun.elapsed()));
    if let Some(picture) = &args.picture {
        fs::write(picture, picture::draw(&report)).map_err(|error| Failure::file(picture, &error))?;
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        report.print(out)?;
    }
    Ok(())
}

fn replay_file(args: &Args, path: &Path, policies: &[Policy]) -> Result<Report, Failure> {
    let input = open(path).map_err(|error| Failure::file(path, &error))?;
    let options = engine::Options { slow: args.slow, max_in_flight: args.max_in_flight };
    let mut replay = Replay::new(policies, options);
    let (coverage, keys) =
        input::read(BufReader::with_capacity(1 << 20, input), args.input(), |call| replay.start(call)).map_err(
            |broken| match broken {
                Broken::Io(error) => Failure::file(path, &error),
                Broken::Header(message) => Failure::usage(format!("{}: {message}", path.display())),
                Broken::Line(bad) => Failure::strict(format!("{}: line {}: {}", path.display(), bad.line, bad.reason)),
            },
        )?;
    let outcomes = replay.finish();
    if outcomes.calls.total() == 0 {
        let first = coverage.first_bad_lines.first();
        let why = first.map_or_else(String::new, |bad| format!("; line {}: {}", bad.line, bad.reason));
        return Err(Failure::run(format!(
            "{}: there is no call to replay in {} lines{why}",
            path.display(),
            coverage.lines
        )));
    }
    Ok(Report::new(coverage, keys, outcomes, args.slow))
}

impl Args {
    fn input(&self) -> input::Options {
        input::Options {
            time_unit: self.time_unit,
            duration_unit: self.duration_unit,
            reorder: self.reorder,
            max_keys: self.max_keys,
            strict: self.strict,
        }
    }
}

/// The maximum resident set of this process, where the system tells.
fn most_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{} MiB", words::count(kibibytes.div_ceil(1024))))
}

/// The input, with a progress bar where the standard error is a terminal.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        let bar = ProgressBar::new_spinner()
            .with_finish(ProgressFinish::AndClear)
            .with_style(style("{spinner} {bytes} {bytes_per_sec}"));
        return Ok(Box::new(bar.wrap_read(io::stdin())));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let bar = ProgressBar::new(metadata.len())
        .with_finish(ProgressFinish::AndClear)
        .with_style(style("{wide_bar} {bytes} of {total_bytes}, {eta} left"));
    Ok(Box::new(bar.wrap_read(file)))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is sound")
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    input::span(text).ok_or_else(|| "not a duration with its unit, such as 250ms or 1m 30s".into())
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be above zero".into()),
        duration => Ok(duration),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("not a whole number from 1 to {}", u32::MAX)),
        Ok(number) if number > u32::MAX as usize => Err(format!("not a whole number from 1 to {}", u32::MAX)),
        Ok(number) => Ok(number),
    }
}

/// `51..=100`, or one number.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    const MOST: u64 = 1000;
    let nonsense = || String::from("not a range of seeds such as 51..=100, or one seed");
    let (first, last) = text.split_once("..=").unwrap_or((text, text));
    let [first, last] = [first, last].map(|seed| seed.parse::<u64>().ok());
    let seeds = first.zip(last).map(|(first, last)| first..=last).ok_or_else(nonsense)?;
    if seeds.is_empty() {
        return Err(nonsense());
    }
    if seeds.end() - seeds.start() >= MOST {
        return Err(format!("more than {MOST} seeds"));
    }
    Ok(seeds)
}
