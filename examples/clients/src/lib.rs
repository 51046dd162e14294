//! The server of the examples: a small HTTP server on the loopback interface that can be made to fail.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    fails: AtomicBool,
    requests: AtomicUsize,
}

impl Server {
    /// Starts a healthy server, which answers `200 OK` with `well`.
    ///
    /// # Panics
    ///
    /// If the loopback interface has no port left.
    #[must_use]
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let state = shared.clone();
        let address = serve(move |_path| {
            state.requests.fetch_add(1, Ordering::SeqCst);
            if state.fails.load(Ordering::SeqCst) {
                (503, String::from("down\n"))
            } else {
                (200, String::from("well\n"))
            }
        });
        Server { address, shared }
    }

    /// Sets whether it answers `503 Service Unavailable` from now on.
    pub fn set_failing(&self, fails: bool) {
        self.shared.fails.store(fails, Ordering::SeqCst);
    }

    /// The number of requests that have reached it.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// Answers HTTP requests by their path with a status and a text. Returns the address.
///
/// # Panics
///
/// If the loopback interface has no port left.
pub fn serve(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
    let address = listener.local_addr().expect("it is bound");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || converse(&stream, &*answer));
        }
    });
    address
}

/// Answers one request after the other until the client disconnects.
fn converse(stream: &TcpStream, answer: &dyn Fn(&str) -> (u16, String)) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        for header in lines.by_ref() {
            if header?.is_empty() {
                break;
            }
        }
        let (status, body) = answer(request.split(' ').nth(1).unwrap_or("/"));
        let length = body.len();
        let head = format!("HTTP/1.1 {status} \r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
        (&mut &*stream).write_all((head + &body).as_bytes())?;
    }
    Ok(())
}
