//! One outage of a real HTTP service: without a circuit breaker, with the default settings, with a preset, and with
//! settings for it.

#![expect(clippy::cast_precision_loss, reason = "the counts are far below 2^52")]

mod args;
mod axis;
mod breaker;
mod figures;
mod load;
mod palette;
mod panel;
mod record;
mod run;
mod screen;
mod svg;
mod table;
mod timeline;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::process::ExitCode;

use outage::{client, health, script, server};

use crate::args::{Request, Settings};
use crate::breaker::Protection;
use crate::figures::Figures;
use crate::screen::Screen;

fn main() -> ExitCode {
    let result = match args::parse(env::args_os().skip(1)) {
        Ok(Request::Help) => io::stdout().write_all(args::HELP.as_bytes()).map_err(Into::into),
        Ok(Request::Run(settings)) => outage(&settings),
        Err(nonsense) => {
            eprintln!("outage: {nonsense}\nTry `outage --help`.");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = result {
        eprintln!("outage: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn outage(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let svg = settings.svg.as_path();
    let unwritable = |error| format!("--svg `{}` cannot be written: {error}", svg.display());
    // Opened now and written in the end: nobody should wait for a run and then lose its picture.
    drop(File::options().append(true).create(true).open(svg).map_err(unwritable)?);

    let mut screen = Screen::stdout();
    let protections = Protection::all(settings.rule, settings.preset, settings.ramp, settings.has_shadow);
    for protection in protections {
        writeln!(screen.out(), "{}", protection.title())?;
        for line in protection.settings() {
            writeln!(screen.out(), "  {line}")?;
        }
    }
    if settings.has_shadow {
        writeln!(
            screen.out(),
            "Beside each of the others, the preset {} is a shadow, which rejects nothing.",
            settings.preset
        )?;
    }
    writeln!(screen.out())?;
    let [first, defaults, preset, tuned] = protections;
    let runs = [
        run::run(settings, first, &mut screen)?,
        run::run(settings, defaults, &mut screen)?,
        run::run(settings, preset, &mut screen)?,
        run::run(settings, tuned, &mut screen)?,
    ];
    table::write(screen.out(), protections.map(Protection::short_title), &runs.each_ref().map(Figures::of))?;
    fs::write(svg, timeline::picture(&runs)).map_err(unwritable)?;
    writeln!(screen.out(), "\nThe picture is in {}.", svg.display())?;
    Ok(())
}
