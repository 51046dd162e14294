//! The command `tripcoil`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tripcoil_cli::run(std::env::args_os())
}
