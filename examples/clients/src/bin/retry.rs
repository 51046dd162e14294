//! A retry outside the breaker, so that each attempt goes through it. A rejection is not retried before its
//! `retry_after`, because until then every attempt is rejected.
//!
//! ```sh
//! cargo run -p clients --bin retry
//! ```

use std::sync::LazyLock;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use clients::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tripcoil::{CircuitBreaker, Error, State};

static QUOTES: LazyLock<CircuitBreaker> = LazyLock::new(|| {
    CircuitBreaker::builder("quotes")
        .error_threshold(3)
        .reset_timeout(Duration::from_millis(500))
        .success_threshold(1)
        .build()
        .expect("the settings are in range")
});

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One request, with a time-out of its own.
async fn fetch(server: &Server) -> Result<String, Failure> {
    let conversation = async {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        Ok::<_, Failure>(String::from_utf8(answer)?)
    };
    let answer = timeout(Duration::from_secs(2), conversation).await??;
    server.set_failing(server.requests() < 3); // it recovers after the third request
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(answer) } else { Err(format!("status {status}").into()) }
}

/// A breaker that is forced open stays so until an operator moves it, so no retry gets through.
fn is_worth_a_retry(error: &Error<Failure>) -> bool {
    !error.rejected().is_some_and(|rejected| rejected.state() == State::ForcedOpen)
}

/// The retry's own pause, but no shorter than the breaker's `retry_after`; `None` ends the retries.
fn pause(error: &Error<Failure>, pause: Option<Duration>) -> Option<Duration> {
    pause.map(|pause| pause.max(error.retry_after().unwrap_or_default()))
}

async fn fetch_with_retries(server: &Server) -> Result<String, Error<Failure>> {
    let attempt = || QUOTES.call(fetch(server));
    let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(10)).with_max_times(8);
    attempt
        .retry(backoff)
        .when(is_worth_a_retry)
        .adjust(pause)
        .notify(|error, _pause| println!("attempt: {error}"))
        .await
}

fn print(what: &str, answer: Result<String, Error<Failure>>) {
    println!("{what}: {}", answer.map_or_else(|error| error.to_string(), |_| String::from("fetched")));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = Server::start();
    server.set_failing(true);
    print("at last", fetch_with_retries(&server).await);

    QUOTES.force_open();
    print("forced open", fetch_with_retries(&server).await);
    println!("{} requests, {} rejections", server.requests(), QUOTES.metrics().total_rejected_count);
}
