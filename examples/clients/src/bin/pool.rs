//! A connection pool behind a breaker. The breaker is outside the pool, so a rejected call neither takes a
//! connection from the pool nor opens one.
//!
//! ```sh
//! cargo run -p clients --bin pool
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clients::Server;
use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleResult, TimeoutType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tripcoil::{CircuitBreaker, Error};

static STORE: LazyLock<CircuitBreaker> =
    LazyLock::new(|| CircuitBreaker::builder("store").error_threshold(3).build().expect("the settings are in range"));

/// Opens connections and counts them.
struct Connections {
    server: SocketAddr,
    opened: AtomicUsize,
}

impl Manager for Connections {
    type Type = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> io::Result<TcpStream> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        TcpStream::connect(self.server).await
    }

    async fn recycle(&self, stream: &mut TcpStream, _: &Metrics) -> RecycleResult<io::Error> {
        stream.writable().await?;
        Ok(())
    }
}

/// One request with a time-out.
async fn ask(connection: &mut TcpStream) -> io::Result<()> {
    let mut answer = [0; 1024];
    let conversation = async {
        connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        connection.read(&mut answer).await
    };
    let length = timeout(Duration::from_secs(2), conversation).await??;
    if answer[..length].starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(io::Error::other("the store is down")) }
}

async fn query(pool: &Pool<Connections>) -> Result<(), Error<PoolError<io::Error>>> {
    // If every connection is busy, the load is our own, and the server may be healthy.
    let has_no_connection_free = |error: &PoolError<_>| matches!(error, PoolError::Timeout(TimeoutType::Wait));
    STORE
        .ignoring(has_no_connection_free)
        .call(async {
            let mut connection = pool.get().await?;
            ask(&mut connection).await.map_err(|error| {
                drop(Object::take(connection)); // do not return a broken connection to the pool
                PoolError::Backend(error)
            })
        })
        .await
}

fn print(result: &Result<(), Error<PoolError<io::Error>>>) {
    match result {
        Ok(()) => println!("ok"),
        Err(Error::Rejected(rejected)) => println!("not called: {}", rejected.state()),
        Err(Error::Inner(PoolError::Backend(error))) => println!("failed: {error}"),
        Err(Error::Inner(error)) => println!("failed: {error}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = Server::start();
    let manager = Connections { server: server.address(), opened: AtomicUsize::new(0) };
    let pool = Pool::builder(manager)
        .max_size(2)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_millis(50)))
        .create_timeout(Some(Duration::from_secs(1)))
        .build()
        .expect("a runtime is set");

    for _ in 0..3 {
        print(&query(&pool).await);
    }

    println!("-- all connections are busy");
    let busy = (pool.get().await, pool.get().await);
    for _ in 0..4 {
        print(&query(&pool).await);
    }
    drop(busy);
    println!("breaker: {}", STORE.state());

    println!("-- an outage");
    server.set_failing(true);
    for _ in 0..6 {
        print(&query(&pool).await);
    }
    println!("{} connections were opened", pool.manager().opened.load(Ordering::SeqCst));
}
