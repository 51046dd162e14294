//! Searches every order in which a small fleet, its store and the network between them can act.
//!
//! Members and store are the protocol's own sources, which `build.rs` gathers; breakers, clocks and the network are
//! modeled. Time goes on in ticks of half a second. Batches, replies and messages may be lost, doubled, reordered and
//! late, workers pause, members die, and the store forgets, within the budget of each scenario.
//!
//! ```sh
//! cargo run --release -p fleet-search
//! cargo run --release -p fleet-search -- --long
//! ```

mod breaker;
mod random;
mod scenario;
mod world;

/// The protocol's own modules, which find each other through `super`.
#[allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    unfulfilled_lint_expectations,
    unreachable_pub,
    unused,
    reason = "the search uses a part of them"
)]
mod protocol {
    pub(crate) use crate::random;

    include!(concat!(env!("OUT_DIR"), "/protocol.rs"));
}

use std::process::ExitCode;
use std::time::Instant;

use stateright::{Checker, Model};

include!("../mutants.rs");

fn main() -> ExitCode {
    let mut is_long = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--long" => is_long = true,
            "--mutants" => {
                for (name, ..) in MUTANTS {
                    println!("{name}");
                }
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("unknown argument `{other}`; usage: fleet-search [--long | --mutants]");
                return ExitCode::from(2);
            }
        }
    }
    let (started, mut states) = (Instant::now(), 0);
    for scenario in scenario::all(is_long) {
        let (name, begun) = (scenario.name, Instant::now());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let checker = scenario.checker().threads(threads).spawn_bfs().join();
        let mut failed = false;
        for property in checker.model().properties() {
            let found = checker.discovery(property.name);
            match (&property.expectation, found) {
                (stateright::Expectation::Always, Some(path)) => {
                    eprintln!("{name}: broken is promise {}", property.name);
                    eprintln!("  {:?}", path.into_actions());
                    failed = true;
                }
                (stateright::Expectation::Sometimes, None) => {
                    eprintln!("{name}: `{}` was never seen, so the search says little", property.name);
                    failed = true;
                }
                _ => {}
            }
        }
        if failed {
            return ExitCode::FAILURE;
        }
        states += checker.unique_state_count();
        println!(
            "{name}: {} states, {} steps, depth {}, {:.1} s",
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            begun.elapsed().as_secs_f64()
        );
    }
    println!("all of them: {states} states, {:.1} s", started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
