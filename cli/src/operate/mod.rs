//! `tripcoil status`, `hold`, `release`, `reset`, `events` and `doctor`: breakers of a running program.

pub(crate) mod act;
mod address;
mod client;
pub(crate) mod doctor;
pub(crate) mod events;
mod facts;
mod live;
mod sse;
pub(crate) mod status;
mod table;
mod targets;
mod terminal;
mod text;
mod watch;

use address::Address;
use client::Client;

use crate::failure::Failure;

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  any other failure, such as a problem that doctor found, or an act that changed only some breakers
  2  the arguments are invalid
  4  the console cannot be reached, or the server is not a console
  5  you are not allowed to do this
  6  the breaker does not exist
  7  several breakers have this name, or the breaker is not held and cannot be released
  8  the act was not confirmed

Environment:
  TRIPCOIL_CONSOLE        the URL of the console, if --console is not given
  TRIPCOIL_CONSOLE_TOKEN  sent as `Authorization: Bearer`, instead of the credentials in the URL
  NO_COLOR                disables colours if it is set and not empty";

/// Where the facts come from.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// The URL of a console, such as `http://127.0.0.1:9000/breakers`. Credentials in the URL are sent but never
    /// printed.
    #[arg(long, value_name = "URL", env = "TRIPCOIL_CONSOLE", hide_env_values = true)]
    console: Option<String>,
}

impl SourceArgs {
    fn client(&self) -> Result<Client, Failure> {
        let missing = "which console? Give --console, or set TRIPCOIL_CONSOLE";
        let url = self.console.as_deref().ok_or_else(|| Failure::usage(missing))?;
        // Not parsed by clap, whose errors repeat the value.
        let address: Address = url.parse().map_err(|error| Failure::usage(format!("--console: {error}")))?;
        let token = match std::env::var("TRIPCOIL_CONSOLE_TOKEN") {
            Ok(token) if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => Some(token),
            Err(std::env::VarError::NotPresent) => None,
            Ok(token) if token.is_empty() => None,
            _ => return Err(Failure::usage("TRIPCOIL_CONSOLE_TOKEN has characters that no token has")),
        };
        Ok(Client::new(address, token.as_deref()))
    }
}
