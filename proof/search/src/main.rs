//! Searches every state that a few threads can bring a breaker into, at the grain of single loads and swaps.
//!
//! What decides is the library's own `step`, its own word and its own history: their sources are modules of
//! this program. The loop round them is modelled after that of `src/machine/cell.rs`.
//!
//! ```sh
//! cargo run --release -p search
//! cargo run --release -p search -- --long
//! ```

mod explore;
mod ghost;
mod scenario;
mod threads;

/// The library's own modules, which find each other at the root.
#[path = "../../../src"]
#[allow(
    clippy::struct_field_names,
    dead_code,
    unexpected_cfgs,
    unreachable_pub,
    unused_imports,
    reason = "the search uses a part of them"
)]
mod library {
    pub(crate) mod cause;
    pub(crate) mod machine {
        pub(crate) mod history;
        pub(crate) mod millis;
        pub(crate) mod recovery;
        pub(crate) mod step;
        pub(crate) mod step_length;
        pub(crate) mod word;
    }
    pub(crate) mod metrics;
    pub(crate) mod name;
    pub(crate) mod outcome;
    pub(crate) mod recovery;
    pub(crate) mod settings;
    pub(crate) mod state;
    pub(crate) mod transition;
}

use library::{cause, machine, metrics, name, outcome, recovery, settings, state, transition};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut is_long = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--long" => is_long = true,
            other => {
                eprintln!("unknown argument `{other}`; usage: search [--long]");
                return ExitCode::from(2);
            }
        }
    }
    let mut states = 0;
    let started = Instant::now();
    for scenario in scenario::all(is_long) {
        let begun = Instant::now();
        let found = match explore::explore(&scenario) {
            Ok(found) => found,
            Err(trace) => {
                eprintln!("{}: {trace}", scenario.name);
                return ExitCode::FAILURE;
            }
        };
        states += found.states;
        println!(
            "{}: {} states, {} steps, {} ends, {:.1} s",
            scenario.name,
            found.states,
            found.steps,
            found.ends,
            begun.elapsed().as_secs_f64()
        );
        if let Some(lacking) = scenario.wanted.iter().find(|wanted| !found.seen.contains(*wanted)) {
            eprintln!("{}: `{lacking}` was never seen, so the search says little", scenario.name);
            return ExitCode::FAILURE;
        }
    }
    println!("all of them: {states} states, {:.1} s", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
