//! A breaker in front of a server that goes away and comes back.
//!
//! ```sh
//! cargo run --example quick_start
//! ```

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;
use std::{error, io};

use tripcoil::{CircuitBreaker, Error, State};

/// One for each thing that can fail by itself.
static MAIL: LazyLock<CircuitBreaker> = LazyLock::new(|| {
    CircuitBreaker::builder("mail")
        .error_threshold(3)
        .reset_timeout(Duration::from_secs(1))
        .on_transition(|transition| println!("-- {transition}"))
        .build()
        .expect("the settings are in range")
});

fn connect(address: SocketAddr) -> Result<TcpStream, Error<io::Error>> {
    MAIL.call_sync(|| TcpStream::connect_timeout(&address, Duration::from_secs(2)))
}

fn deliver(address: SocketAddr) {
    match connect(address) {
        Ok(_stream) => println!("delivered"),
        Err(Error::Rejected(rejected)) => println!("kept for later: {rejected}"),
        Err(Error::Inner(error)) => println!("failed: {error}"),
    }
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    deliver(address);

    drop(server);
    while MAIL.state() == State::Closed {
        deliver(address);
    }
    deliver(address);

    let _server = TcpListener::bind(address)?;
    thread::sleep(MAIL.metrics().retry_after.unwrap_or_default());
    deliver(address);
    deliver(address);

    let metrics = MAIL.metrics();
    println!(
        "{} delivered, {} failed, {} not tried",
        metrics.total_success_count, metrics.total_error_count, metrics.total_rejected_count
    );
    Ok(())
}
