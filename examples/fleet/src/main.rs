//! One outage, seen by eight processes alone and as a fleet; then with the store killed, and with a broken member.

mod client;
mod play;
mod server;
mod store;
mod svg;
mod table;

use std::process::ExitCode;

use play::{Played, Scenario};
use store::{Place, RedisServer};

const HELP: &str = "\
Plays an outage of one server with eight clients, alone and as a fleet, and draws fleet.svg.

    cargo run --release -p fleet-demo
    cargo run --release -p fleet-demo -- --redis redis://127.0.0.1:6379
    cargo run --release -p fleet-demo -- --memory

Without options it starts a redis-server of its own, which has to be installed, on a free port of the loopback interface.
    --redis URL   takes this one, which is not killed: the run without the store is left out
    --memory      needs none: the clients are threads, and the store is in the process
    --svg FILE    where the picture goes (default: fleet.svg)
";

struct Options {
    redis: Option<String>,
    memory: bool,
    svg: String,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};
    let mut options = Options { redis: None, memory: false, svg: "fleet.svg".to_owned() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(None),
            Long("redis") => options.redis = Some(parser.value()?.string()?),
            Long("memory") => options.memory = true,
            Long("svg") => options.svg = parser.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    if options.memory && options.redis.is_some() {
        return Err("--memory and --redis exclude each other".into());
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    if client::is_one() {
        client::be_a_process();
        return ExitCode::SUCCESS;
    }
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(nonsense) => {
            eprintln!("fleet-demo: {nonsense}\nTry `fleet-demo --help`.");
            return ExitCode::from(2);
        }
    };
    match demonstrate(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(options: &Options) -> std::io::Result<()> {
    let mut place = match &options.redis {
        _ if options.memory => Place::memory(),
        Some(url) => Place::Redis(url.clone()),
        None => Place::Own(RedisServer::start()?),
    };
    let scenarios = Scenario::all(matches!(place, Place::Redis(_)));
    let mut played: Vec<Played> = Vec::new();
    for scenario in scenarios {
        println!("{} ...", scenario.title);
        played.push(play::play(scenario, &mut place)?);
    }
    print!("\n{}", table::table(&played));
    std::fs::write(&options.svg, svg::picture(&played))?;
    println!("\nThe picture is in {}.", options.svg);
    Ok(())
}
