//! A time-out has to reach the breaker as an error, so put it inside the call. Outside, it drops the call, and
//! a dropped call says nothing about the server.
//!
//! ```sh
//! cargo run -p clients --bin timeouts
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tripcoil::{CircuitBreaker, Dropped, Error};

const PATIENCE: Duration = Duration::from_millis(50);

/// Connects, and waits for an answer that never comes.
async fn ask(server: SocketAddr) -> io::Result<u8> {
    TcpStream::connect(server).await?.read_u8().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    // Nobody accepts: the operating system completes the connection, and no byte is ever sent.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let server = silent.local_addr()?;

    let inside = CircuitBreaker::new("inside");
    for _ in 0..6 {
        match inside.call(async { timeout(PATIENCE, ask(server)).await? }).await {
            Ok(answer) => println!("inside: {answer}"),
            Err(Error::Inner(error)) => println!("inside: {error}"),
            Err(Error::Rejected(rejected)) => println!("inside: not called, {}", rejected.state()),
        }
    }

    let outside = CircuitBreaker::new("outside");
    for _ in 0..6 {
        if timeout(PATIENCE, outside.call(ask(server))).await.is_err() {
            println!("outside: gave up");
        }
    }

    // If you cannot put the time-out inside, set how dropped calls count.
    let counted = CircuitBreaker::builder("counted")
        .dropped_calls(Dropped::FailureAfter(PATIENCE / 2))
        .build()
        .expect("the settings are in range");
    for _ in 0..6 {
        match timeout(PATIENCE, counted.call(ask(server))).await {
            Err(_elapsed) => println!("counted: gave up"),
            Ok(Err(error)) if error.is_rejected() => println!("counted: not called"),
            Ok(answer) => println!("counted: {answer:?}"),
        }
    }

    for breaker in [&inside, &outside, &counted] {
        let metrics = breaker.metrics();
        let (errors, dropped) = (metrics.total_error_count, metrics.total_dropped_count);
        println!("{}: {}, {errors} errors, {dropped} dropped", metrics.name, metrics.state);
    }
    Ok(())
}
