use std::io::Write;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use tripcoil::Outcome;

use crate::call::Call;
use crate::command::Stop;
use crate::incidents::{Incident, LENGTH};

/// Writes the recorded calls of a synthetic incident, as JSON lines.
///
/// The same seed gives the same calls on every platform. With `--calls`, the command adds incidents with the following
/// seeds, each ten minutes later, until it has written this many calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The kind of incident.
    #[arg(value_name = "INCIDENT")]
    incident: Incident,
    /// The seed, which determines the traffic, the latency and the severity.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The number of calls to write. By default, the command writes the ten minutes of one incident.
    #[arg(long, value_name = "N")]
    calls: Option<u64>,
}

impl ValueEnum for Incident {
    fn value_variants<'a>() -> &'a [Self] {
        &Incident::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), Stop> {
    let mut left = args.calls.unwrap_or(u64::MAX);
    let mut begin = Duration::ZERO;
    let mut seed = args.seed;
    while left > 0 {
        let recording = args.incident.record(seed);
        for call in recording.calls.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            let call = Call { time: begin + call.time, ..*call };
            write_line(out, &call, &recording.keys[call.key as usize])?;
            left -= 1;
        }
        if args.calls.is_none() {
            break;
        }
        begin += LENGTH;
        seed = seed.wrapping_add(1);
    }
    Ok(())
}

/// Needs no escapes, as the keys of the incidents have none.
fn write_line(out: &mut impl Write, call: &Call, key: &str) -> std::io::Result<()> {
    let [time, duration] = [call.time, call.duration].map(|time| time.as_secs_f64());
    let outcome = if call.outcome == Some(Outcome::Success) { "success" } else { "failure" };
    writeln!(out, r#"{{"time":{time:.6},"key":"{key}","duration":{duration:.6},"outcome":"{outcome}"}}"#)
}
