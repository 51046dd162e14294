use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use lexopt::ValueExt;
use lexopt::prelude::{Long, Short, Value};
use outage::options::{Nonsense, number, one_of};
use outage::script::Condition;
use tripcoil::{Builder, Window};

const KILLS: RangeInclusive<u32> = 1..=1000;
const SEEDS: RangeInclusive<u64> = 0..=u64::MAX;

pub(crate) const HELP: &str = "\
Kills a real HTTP service repeatedly while threads and tasks call it through one
breaker, and checks the breaker's promises. Exit code 1 if a promise is broken.

Usage: soak [--kills N] [--rule NAME] [--seed N]

Options:
  --kills N     how often the server is killed, 1 to 1000 [default: 50]
  --rule NAME   what opens the breaker [default: consecutive]
                  consecutive  5 failures in a row
                  rates        half of the calls of the last second failed or took 150 ms
  --seed N      seed of the callers and the killer, 0 to 18446744073709551615
                [default: 1]
  -h, --help    print this
";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Run(Settings),
    Serve(Duty),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) kills: u32,
    pub(crate) rule: Rule,
    pub(crate) seed: u64,
}

/// What the server is told when it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) address: SocketAddr,
    pub(crate) condition: Condition,
    pub(crate) seed: u64,
}

/// What opens the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Consecutive,
    Rates,
}

/// From here on, a call is slow under [`Rule::Rates`].
pub(crate) const SLOW: Duration = Duration::from_millis(150);

impl Rule {
    const ALL: [Rule; 2] = [Rule::Consecutive, Rule::Rates];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Rule::Consecutive => "consecutive",
            Rule::Rates => "rates",
        }
    }

    pub(crate) fn set(self, builder: Builder) -> Builder {
        match self {
            Rule::Consecutive => builder,
            Rule::Rates => builder
                .error_rate(0.5)
                .slow_call_rate(0.5)
                .slow_call_duration(SLOW)
                .window(Window::time(Duration::from_secs(1)))
                .minimum_calls(10),
        }
    }
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Nonsense> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut settings = Settings { kills: 50, rule: Rule::Consecutive, seed: 1 };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("kills") => settings.kills = number("--kills", &parser.value()?, &KILLS)?,
            Long("rule") => settings.rule = one_of("--rule", &parser.value()?, Rule::ALL, Rule::as_str)?,
            Long("seed") => settings.seed = number("--seed", &parser.value()?, &SEEDS)?,
            // For the process that this one starts; nobody else needs to know of it.
            Value(word) if word == "serve" => return duty(&mut parser).map(Request::Serve),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Request::Run(settings))
}

fn duty(parser: &mut lexopt::Parser) -> Result<Duty, Nonsense> {
    let address = parser.value()?.parse()?;
    let condition = match parser.value()?.to_str() {
        Some("recovering") => Condition::Recovering,
        _ => Condition::Healthy,
    };
    Ok(Duty { address, condition, seed: number("the server's seed", &parser.value()?, &SEEDS)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, String> {
        super::parse(args.iter().map(OsString::from)).map_err(|nonsense| nonsense.to_string())
    }

    #[test]
    fn every_option_is_heard() {
        let run = |kills, rule, seed| Ok(Request::Run(Settings { kills, rule, seed }));
        assert_eq!(parse(&[]), run(50, Rule::Consecutive, 1));
        assert_eq!(parse(&["--kills", "5", "--rule=rates", "--seed", "7"]), run(5, Rule::Rates, 7));
        assert_eq!(parse(&["--kills", "3", "-h"]), Ok(Request::Help));
    }

    #[test]
    fn nonsense_names_option_value_and_range() {
        for value in ["0", "1001", "-1", "many", ""] {
            let message = format!("--kills `{value}`: not a whole number from 1 to 1000");
            assert_eq!(parse(&["--kills", value]), Err(message));
        }
        assert_eq!(parse(&["--rule", "slow"]).unwrap_err(), "--rule `slow`: not one of consecutive, rates");
        assert!(parse(&["twice"]).unwrap_err().contains("twice"));
    }

    #[test]
    fn the_server_is_told_its_duty() {
        let address = "127.0.0.1:4000".parse().unwrap();
        let duty = Duty { address, condition: Condition::Recovering, seed: 9 };
        assert_eq!(parse(&["serve", "127.0.0.1:4000", "recovering", "9"]), Ok(Request::Serve(duty)));
    }
}
