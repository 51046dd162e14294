//! What the clients protect: an HTTP server that can be down.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) struct Server {
    pub(crate) port: u16,
    is_up: AtomicBool,
    has_ended: AtomicBool,
    /// Requests while it was down.
    pub(crate) in_vain: AtomicU64,
}

impl Server {
    pub(crate) fn start() -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (is_up, has_ended, in_vain) = (AtomicBool::new(true), AtomicBool::new(false), AtomicU64::new(0));
        let server = Arc::new(Server { port, is_up, has_ended, in_vain });
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.has_ended.load(Ordering::Relaxed) {
                    break;
                }
                let server = serving.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        Ok(server)
    }

    fn serve(&self, mut stream: TcpStream) {
        for line in BufReader::new(&stream).lines() {
            if line.is_ok_and(|line| line.is_empty()) {
                break;
            }
        }
        thread::sleep(Duration::from_millis(5));
        let is_up = self.is_up.load(Ordering::Relaxed);
        if !is_up {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
        }
        let status = if is_up { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    }

    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
