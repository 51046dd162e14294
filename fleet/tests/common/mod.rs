//! A redis-server of a test's own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Listens on a free port of the loopback interface and works in a temporary folder. Dropping it stops the server.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_at(free_port())
    }

    /// Starts an empty one.
    pub(crate) fn start_at(port: u16) -> Self {
        Self::start_with(port, &[])
    }

    pub(crate) fn start_with(port: u16, options: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("tripcoil-fleet-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir".as_ref(), folder.as_os_str()])
            .args(options)
            .stdout(Stdio::null())
            .spawn();
        let child = spawned.unwrap_or_else(|error| {
            panic!(
                "redis-server cannot be started ({error}); install it, for instance by `apt-get install redis-server`"
            )
        });
        let server = Server { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    #[allow(dead_code, reason = "not every test file asks for it")]
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    #[allow(dead_code, reason = "not every test file sends signals")]
    pub(crate) fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends a signal to a process that the test has started.
#[allow(dead_code, reason = "not every test file sends signals")]
pub(crate) fn send(signal: &str, process: u32) {
    let status = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{signal} {process}");
}
