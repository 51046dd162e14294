//! Measures how many calls reach a broken dependency before the breaker opens, for each rule, in simulated
//! time.
//!
//! `docs/choosing-rules.md` contains the tables that it prints and the picture that it draws.

mod options;
mod outage;
mod picture;
mod rule;
mod simulation;
mod table;

use std::process::ExitCode;
use std::{env, fs};

use options::{Options, USAGE};
use table::{Openings, comparison};

fn main() -> ExitCode {
    let Options { help, rule, svg, seed } = match Options::parse(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("rules: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if let Some(rule) = rule {
        print!("{}", comparison(rule, seed));
        return ExitCode::SUCCESS;
    }
    let openings = Openings::measure(seed);
    print!("{}", openings.tables());
    if let Some(path) = svg {
        if let Err(error) = fs::write(&path, picture::svg(&openings)) {
            eprintln!("rules: cannot write `{path}`: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_is_measured() {
        let openings = Openings::measure(Options::default().seed);
        let page = include_str!("../../docs/choosing-rules.md").replace("\r\n", "\n");
        let drawing = include_str!("../../docs/choosing-rules.svg").replace("\r\n", "\n");
        let command = "cargo run --example rules -- --svg docs/choosing-rules.svg";
        assert!(page.contains(&openings.tables()), "docs/choosing-rules.md has to contain the tables of `{command}`");
        assert!(
            drawing == picture::svg(&openings),
            "docs/choosing-rules.svg has changed: run `{command}` and then `.ci/embed-pictures`"
        );
    }

    #[test]
    fn the_page_compares_as_the_program_does() {
        let page = include_str!("../../docs/choosing-rules.md").replace("\r\n", "\n");
        let rule = rule::RULES.iter().find(|rule| rule.name == "error-time").expect("a rule of that name");
        assert!(page.contains(&comparison(rule, Options::default().seed)));
    }
}
