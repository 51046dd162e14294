//! `ureq` from threads that share one breaker: all of them stop calling at once in an outage, and all of them
//! resume at once.
//!
//! ```sh
//! cargo run -p clients --bin ureq
//! ```

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use clients::Server;
use tripcoil::{CircuitBreaker, Error, State};

static QUOTES: LazyLock<CircuitBreaker> = LazyLock::new(|| {
    CircuitBreaker::builder("quotes")
        .error_threshold(3)
        .reset_timeout(Duration::from_secs(1))
        .build()
        .expect("the settings are in range")
});

/// A client's own time-out ends a call that hangs, inside the breaker: so it counts as a failure.
static AGENT: LazyLock<ureq::Agent> =
    LazyLock::new(|| ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build().into());

fn fetch(url: &str) -> Result<String, Error<ureq::Error>> {
    // Not found is an answer. It says nothing against the server.
    QUOTES
        .ignoring(|error: &ureq::Error| matches!(error, ureq::Error::StatusCode(400..500)))
        .call_sync(|| AGENT.get(url).call()?.body_mut().read_to_string())
}

fn report(url: &str) {
    match fetch(url) {
        Ok(quote) => println!("fetched: {}", quote.trim_end()),
        Err(Error::Rejected(rejected)) => println!("not called: {}", rejected.state()),
        Err(Error::Inner(error)) => println!("failed: {error}"),
    }
}

fn from_four_threads(url: &str) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| report(url));
        }
    });
}

fn main() {
    let server = Server::start();
    let url = server.url();
    from_four_threads(&url);

    println!("-- an outage");
    server.set_failing(true);
    while QUOTES.state() == State::Closed {
        from_four_threads(&url);
    }
    from_four_threads(&url);

    println!("-- the server is well again");
    server.set_failing(false);
    thread::sleep(QUOTES.metrics().retry_after.unwrap_or_default());
    while QUOTES.state() != State::Closed {
        report(&url);
    }
    from_four_threads(&url);

    let rejected = QUOTES.metrics().total_rejected_count;
    println!("{} requests reached the server, {rejected} did not", server.requests());
}
