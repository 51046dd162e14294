//! Real threads on every path of the library at once, for the sanitizers to watch.
//!
//! ```sh
//! cargo run --release -p stress
//! cargo run --release -p stress -- 50
//! ```
//!
//! The argument is how many rounds of each scenario there are, 1 by default. `proof/sanitize` runs it under
//! the sanitizers of threads and of addresses.

mod scenario;
mod team;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let rounds = match std::env::args().nth(1).map(|rounds| rounds.parse::<u32>()) {
        None => 1,
        Some(Ok(rounds)) if rounds > 0 => rounds,
        _ => {
            eprintln!("usage: stress [ROUNDS], a number from 1");
            return ExitCode::from(2);
        }
    };
    for (name, run) in scenario::ALL {
        let started = Instant::now();
        let mut operations = 0;
        for _ in 0..rounds {
            operations += run();
        }
        println!("{name}: {operations} operations, {:.1} s", started.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}
