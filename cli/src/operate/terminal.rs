//! What the standard streams are.

use std::io::{self, BufRead, IsTerminal, Write};

use super::table::Look;
use crate::failure::Failure;

/// Colours are for a terminal that can show them, unless `NO_COLOR` is set.
pub(super) fn look() -> Look {
    let is_terminal = io::stdout().is_terminal();
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    Look {
        has_colour: is_terminal && !is_dumb && !is_set("NO_COLOR"),
        columns: is_terminal.then(|| crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns))),
    }
}

/// Asks a person; anything but `y` and `yes` is a no. Without a terminal there is nobody to ask.
pub(super) fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::unconfirmed(
            "this acts on several breakers or processes, and cannot be confirmed without a terminal: give --yes",
        ));
    }
    eprint!("{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::unconfirmed(format!("the answer could not be read: {error}")))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::unconfirmed("nothing was done")),
    }
}
