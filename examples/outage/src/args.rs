use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short};
use outage::options::{Nonsense, number, one_of, path};
use tripcoil::Preset;

use crate::breaker::Rule;

const SECONDS: RangeInclusive<u64> = 5..=60;
/// Milliseconds.
const RAMP: RangeInclusive<u64> = 1..=60_000;
const SEEDS: RangeInclusive<u64> = 0..=u64::MAX;

pub(crate) const HELP: &str = "\
One outage of a real HTTP service, four times: without a circuit breaker, with the
default settings, with a preset, and with settings for this server. All settings are
printed. By default a breaker stays open for 30 s, which is longer than this outage.

A server on the loopback interface fails slowly, goes away, and comes back too weak
for its clients. Async tasks and threads call it through one shared breaker. In the
end there is a table on the standard output and a picture in a file.

Usage: outage [--rule NAME] [--preset NAME] [--recovery MS] [--shadow] [--seconds N]
              [--seed N] [--svg PATH]

Options:
  --rule NAME   what opens the breaker, but for the preset [default: consecutive]
                  consecutive  5 failures in a row
                  calls        half of the last 100 calls failed
                  time         half of the calls of the last 2 s failed
                  slow         half of the last 100 calls took 50 ms, or hang for so long
  --preset NAME the preset: tolerant or responsive [default: responsive]
  --recovery MS let a growing share of the calls through for this long before the preset's
                breaker closes, 1 to 60000 [default: off]
  --shadow      try the preset as a shadow of the other breakers too, and show what it would
                have done; the run without a breaker gets one that only observes
  --seconds N   length of one of the four runs, 5 to 60 [default: 12]
  --seed N      of the arrivals and the server's delays, the same in all runs,
                0 to 18446744073709551615 [default: 1]
  --svg PATH    where the picture goes [default: timeline.svg]
  -h, --help    print this
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Run(Settings),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) rule: Rule,
    pub(crate) preset: Preset,
    pub(crate) ramp: Option<Duration>,
    pub(crate) has_shadow: bool,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    pub(crate) svg: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            rule: Rule::Consecutive,
            preset: Preset::Responsive,
            ramp: None,
            has_shadow: false,
            length: Duration::from_secs(12),
            seed: 1,
            svg: PathBuf::from("timeline.svg"),
        }
    }
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, Nonsense> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut settings = Settings::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("rule") => settings.rule = one_of("--rule", &parser.value()?, Rule::ALL, Rule::as_str)?,
            Long("preset") => {
                settings.preset = one_of("--preset", &parser.value()?, Preset::ALL, Preset::as_str)?;
            }
            Long("recovery") => {
                settings.ramp = Some(Duration::from_millis(number("--recovery", &parser.value()?, &RAMP)?));
            }
            Long("shadow") => settings.has_shadow = true,
            Long("seconds") => settings.length = Duration::from_secs(number("--seconds", &parser.value()?, &SECONDS)?),
            Long("seed") => settings.seed = number("--seed", &parser.value()?, &SEEDS)?,
            Long("svg") => settings.svg = path("--svg", parser.value()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Request::Run(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Request, String> {
        super::parse(args.iter().map(OsString::from)).map_err(|nonsense| nonsense.to_string())
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        assert_eq!(parse(&[]), Ok(Request::Run(Settings::default())));
    }

    #[test]
    fn every_option_is_heard() {
        let settings = Settings {
            rule: Rule::Slow,
            preset: Preset::Tolerant,
            ramp: Some(Duration::from_millis(1500)),
            has_shadow: true,
            length: Duration::from_secs(6),
            seed: 7,
            svg: "a b.svg".into(),
        };
        let args = [
            "--seconds",
            "6",
            "--seed=7",
            "--shadow",
            "--svg",
            "a b.svg",
            "--rule",
            "slow",
            "--preset",
            "tolerant",
            "--recovery",
            "1500",
        ];
        assert_eq!(parse(&args), Ok(Request::Run(settings)));
        assert_eq!(parse(&["--help"]), Ok(Request::Help));
        assert_eq!(parse(&["--seed", "3", "-h"]), Ok(Request::Help));
    }

    #[test]
    fn the_bounds_are_allowed() {
        for args in [["--seconds", "5"], ["--seconds", "60"], ["--seed", "0"], ["--seed", "18446744073709551615"]] {
            assert!(parse(&args).is_ok(), "{args:?}");
        }
    }

    #[test]
    fn a_number_that_is_none_or_out_of_range_names_option_value_and_range() {
        for value in ["0", "4", "61", "-6", "6.5", "six", "", "NaN", "99999999999999999999"] {
            assert_eq!(
                parse(&["--seconds", value]).unwrap_err(),
                format!("--seconds `{value}`: not a whole number from 5 to 60"),
            );
        }
        for value in ["-1", "0x10", "18446744073709551616"] {
            assert_eq!(
                parse(&["--seed", value]).unwrap_err(),
                format!("--seed `{value}`: not a whole number from 0 to 18446744073709551615"),
            );
        }
    }

    #[test]
    fn what_is_unknown_or_missing_is_named() {
        for (args, name) in [(&["--fast"][..], "--fast"), (&["twice"], "twice"), (&["--svg"], "--svg"), (&["-x"], "-x")]
        {
            let message = parse(args).unwrap_err();
            assert!(message.contains(name), "{message}");
        }
        assert_eq!(parse(&["--rule", "fast"]).unwrap_err(), "--rule `fast`: not one of consecutive, calls, time, slow",);
        assert_eq!(parse(&["--preset", "fast"]).unwrap_err(), "--preset `fast`: not one of tolerant, responsive");
        assert_eq!(parse(&["--recovery", "0"]).unwrap_err(), "--recovery `0`: not a whole number from 1 to 60000");
        assert!(parse(&["--shadow=yes"]).unwrap_err().contains("--shadow"));
        assert_eq!(parse(&["--svg", ""]).unwrap_err(), "--svg ``: not the path of a file");
    }
}
