use crate::rule::{RULES, Rule};

pub(crate) const USAGE: &str = "\
usage: cargo run --example rules -- [OPTIONS]

Prints, for each outage, how many calls get through before the breaker opens, and after how long, as Markdown.

  --rule NAME  print how many failed calls reach a dead server with this rule and with the default:
               consecutive, error-calls, error-time, slow-calls, slow-time or combined
  --svg PATH   write a picture of the tables to this file
  --seed N     seed of the calls' arrival times, 0 to 2^64 - 1 (default 1)
  --help       print this";

/// What the program is to do.
pub(crate) struct Options {
    pub(crate) help: bool,
    pub(crate) rule: Option<&'static Rule>,
    pub(crate) svg: Option<String>,
    pub(crate) seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { help: false, rule: None, svg: None, seed: 1 }
    }
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        let mut arguments = arguments;
        while let Some(option) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("`{option}` needs a value"));
            match option.as_str() {
                "--help" | "-h" => options.help = true,
                "--rule" => options.rule = Some(rule(&value()?)?),
                "--svg" => options.svg = Some(value()?),
                "--seed" => options.seed = seed(&value()?)?,
                _ => return Err(format!("unknown option `{option}`")),
            }
        }
        if options.rule.is_some() && options.svg.is_some() {
            return Err("`--svg` draws all rules; leave out `--rule`".into());
        }
        Ok(options)
    }
}

fn rule(name: &str) -> Result<&'static Rule, String> {
    let names = || RULES.map(|rule| rule.name).join(", ");
    RULES.iter().find(|rule| rule.name == name).ok_or_else(|| format!("`--rule` is `{name}`, allowed is {}", names()))
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`--seed` is `{text}`, allowed is 0 to {}", u64::MAX))
}
