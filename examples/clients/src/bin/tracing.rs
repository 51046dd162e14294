//! The log of an outage: one line for each change of state, however many calls there were.
//!
//! ```sh
//! cargo run -p clients --bin tracing
//! ```

use std::thread;
use std::time::Duration;

use clients::Server;
use tripcoil::{CircuitBreaker, trace};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_ansi(false).without_time().init();
    let quotes = CircuitBreaker::builder("quotes")
        .error_threshold(3)
        .success_threshold(1)
        .reset_timeout(Duration::from_millis(500))
        .on_transition(trace::observer())
        .build()?;

    let server = Server::start();
    let fetch = || quotes.call_sync(|| ureq::get(server.url()).call());
    server.set_failing(true);
    while quotes.state() == tripcoil::State::Closed {
        let _failure = fetch();
    }
    for _ in 0..1_000 {
        let _rejection = quotes.try_acquire().map(tripcoil::Permit::ignore);
    }
    server.set_failing(false);
    while let Err(error) = fetch() {
        thread::sleep(error.retry_after().unwrap_or_default());
    }
    quotes.force_open();
    quotes.reset();
    Ok(())
}
