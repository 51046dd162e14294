//! Kills a real HTTP service again and again, with threads and tasks calling it through one breaker, and
//! checks what the breaker promised.
//!
//! ```sh
//! cargo run --release -p soak -- --kills 50
//! ```
//!
//! Exit code 0 if every promise held, 1 if one did not, 2 if the command line makes no sense.

mod args;
mod clients;
mod crowd;
mod diary;
mod journal;
mod ledger;
mod memory;
mod round;
mod server;
mod soak;
mod tally;

use std::env;
use std::process::ExitCode;

use peak_alloc::PeakAlloc;

use crate::args::Request;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    let result = match args::parse(env::args_os().skip(1)) {
        Ok(Request::Help) => {
            print!("{}", args::HELP);
            Ok(())
        }
        Ok(Request::Serve(duty)) => server::serve(&duty).map_err(|error| format!("the server: {error}")),
        Ok(Request::Run(settings)) => soak::soak(&settings),
        Err(nonsense) => {
            eprintln!("soak: {nonsense}\nTry `soak --help`.");
            return ExitCode::from(2);
        }
    };
    if let Err(broken) = result {
        eprintln!("soak: {broken}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
