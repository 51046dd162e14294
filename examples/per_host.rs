//! Threads that crawl two hosts, with a breaker for each. One host is down, and calls to the other continue.
//!
//! ```sh
//! cargo run --features registry --example per_host
//! ```

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tripcoil::{CircuitBreaker, Error, Registry};

/// Answers every connection with a word.
fn serve(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        stream?.write_all(b"hello")?;
    }
    Ok(())
}

fn fetch(host: SocketAddr) -> io::Result<String> {
    let mut text = String::new();
    TcpStream::connect_timeout(&host, Duration::from_secs(2))?.read_to_string(&mut text)?;
    Ok(text)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let up = TcpListener::bind("127.0.0.1:0")?;
    let down = TcpListener::bind("127.0.0.1:0")?;
    let hosts = [up.local_addr()?, down.local_addr()?];
    thread::spawn(move || serve(&up));
    drop(down);

    let settings = CircuitBreaker::builder("hosts").error_threshold(3).reset_timeout(Duration::from_secs(10));
    let breakers: Registry<SocketAddr> = Registry::builder(settings).capacity(10_000).build()?;

    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for host in hosts.into_iter().cycle().take(20) {
                    match breakers.call_sync(&host, || fetch(host)) {
                        Ok(_text) => {}
                        Err(Error::Rejected(rejected)) => println!("skipped: {rejected}"),
                        Err(Error::Inner(error)) => println!("{host}: {error}"),
                    }
                }
            });
        }
    });

    let metrics = breakers.metrics();
    println!("hosts up: {}, down: {}, pages: {}", metrics.closed, metrics.open, metrics.total_success_count);
    for worst in breakers.worst(1) {
        println!("{}: failed {}, skipped {}", worst.name, worst.total_error_count, worst.total_rejected_count);
    }
    Ok(())
}
