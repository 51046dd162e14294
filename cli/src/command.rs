use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::operate::{act, doctor, events, status};
use crate::{generate, replay};

/// The command-line tool of the circuit breaker library tripcoil.
#[derive(Debug, Parser)]
#[command(name = "tripcoil", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(Box<replay::Args>),
    Generate(generate::Args),
    Status(status::Args),
    Hold(act::HoldArgs),
    Release(act::ReleaseArgs),
    Reset(act::ResetArgs),
    Events(events::Args),
    Doctor(doctor::Args),
}

/// Runs the command for these arguments. The first argument is the name of the program.
///
/// The exit code is 0 on success, 1 if something could not be read, written or replayed, 2 if the arguments or the
/// policies are invalid, and 3 if a line was bad with `--strict`. The commands that talk to a console return 4 if it
/// cannot be reached, 5 if the caller is not allowed to do this, 6 if the breaker does not exist, 7 if a name or a
/// state does not allow the act, and 8 if the act was not confirmed.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match cli.command {
        Command::Replay(args) => replay::run(&args, &mut out),
        Command::Generate(args) => generate::run(&args, &mut out),
        Command::Status(args) => status::run(&args, &mut out),
        Command::Hold(args) => act::hold(&args, &mut out),
        Command::Release(args) => act::release(&args, &mut out),
        Command::Reset(args) => act::reset(&args, &mut out),
        Command::Events(args) => events::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
    };
    match result.and_then(|()| Ok(out.flush()?)) {
        Ok(()) | Err(Stop::ClosedPipe) => ExitCode::SUCCESS,
        Err(Stop::Failure(failure)) => {
            let _ = out.flush();
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// What ends a command before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads on: `tripcoil ... | head`.
    ClosedPipe,
    Failure(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

/// An error of the standard output.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::ClosedPipe,
            _ => Stop::Failure(Failure::run(format!("standard output: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
