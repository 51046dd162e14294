//! `tripcoil status`, `hold`, `release`, `reset`, `events` and `doctor`: breakers of a running program, or of a fleet.

pub(crate) mod act;
mod address;
mod client;
pub(crate) mod doctor;
pub(crate) mod events;
mod facts;
mod fleet;
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
use fleet::Fleet;

use crate::failure::Failure;

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  any other failure, such as a problem that doctor found, or an act that changed only some breakers
  2  the arguments are invalid
  4  the console or the store cannot be reached, or the server is not a console
  5  you are not allowed to do this
  6  the breaker does not exist
  7  several breakers have this name, or the breaker is not held and cannot be released
  8  the act was not confirmed

Environment:
  TRIPCOIL_CONSOLE        the URL of the console, if --console is not given
  TRIPCOIL_CONSOLE_TOKEN  sent as `Authorization: Bearer`, instead of the credentials in the URL
  TRIPCOIL_FLEET          the name of a fleet, if --fleet is not given
  TRIPCOIL_STORE          the URL of its store, if --store is not given
  REDIS_USERNAME, REDIS_PASSWORD  for the store, if its URL has none
  NO_COLOR                disables colours if it is set and not empty";

/// Where the data comes from: a console, or a fleet's store.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// The URL of a console, such as `http://127.0.0.1:9000/breakers`. Credentials in the URL are sent but never
    /// printed.
    #[arg(long, value_name = "URL", env = "TRIPCOIL_CONSOLE", hide_env_values = true)]
    console: Option<String>,
    /// The name of a fleet, to read and operate all its members through its store.
    #[arg(long, value_name = "NAME", env = "TRIPCOIL_FLEET")]
    fleet: Option<String>,
    /// The URL of the fleet's store, such as `redis://127.0.0.1:6379`. Credentials in the URL are sent but never
    /// printed.
    #[arg(long, value_name = "URL", env = "TRIPCOIL_STORE", hide_env_values = true)]
    store: Option<String>,
}

/// Where the data comes from.
enum Source {
    Console(Client),
    Fleet(Fleet),
}

impl SourceArgs {
    fn source(&self) -> Result<Source, Failure> {
        match (&self.console, &self.fleet, &self.store) {
            (None, None, None) => Err(Failure::usage(
                "which console, or which fleet? Give --console, or --fleet and --store, or set TRIPCOIL_CONSOLE, or \
                 TRIPCOIL_FLEET and TRIPCOIL_STORE",
            )),
            (Some(url), None, None) => Ok(Source::Console(console(url)?)),
            (None, Some(fleet), Some(store)) => Ok(Source::Fleet(Fleet::new(fleet, store)?)),
            (None, None, Some(_)) => {
                Err(Failure::usage("which fleet of the store? Give --fleet, or set TRIPCOIL_FLEET"))
            }
            (None, Some(_), None) => {
                Err(Failure::usage("where is the store of the fleet? Give --store, or set TRIPCOIL_STORE"))
            }
            (Some(_), _, _) => Err(Failure::usage(
                "a console and a fleet are given, which is one too many: unset TRIPCOIL_CONSOLE, or TRIPCOIL_FLEET and \
                 TRIPCOIL_STORE",
            )),
        }
    }
}

fn console(url: &str) -> Result<Client, Failure> {
    // Not parsed by clap, whose errors repeat the value.
    let address: Address = url.parse().map_err(|error| Failure::usage(format!("--console: {error}")))?;
    let token = match std::env::var("TRIPCOIL_CONSOLE_TOKEN") {
        Ok(token) if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => Some(token),
        Err(std::env::VarError::NotPresent) => None,
        Ok(token) if token.is_empty() => None,
        _ => return Err(Failure::usage("TRIPCOIL_CONSOLE_TOKEN is malformed, allowed is visible ASCII")),
    };
    Ok(Client::new(address, token.as_deref()))
}
