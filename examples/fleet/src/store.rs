//! Where the clients meet.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use tripcoil_fleet::Memory;

pub(crate) enum Place {
    Memory(Memory),
    Redis(String),
    Own(RedisServer),
}

impl Place {
    pub(crate) fn memory() -> Self {
        Place::Memory(Memory::new())
    }

    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Place::Memory(_) => None,
            Place::Redis(url) => Some(url.clone()),
            Place::Own(server) => Some(format!("redis://127.0.0.1:{}", server.port)),
        }
    }

    pub(crate) fn go_down(&mut self) {
        match self {
            Place::Memory(store) => store.go_down(),
            Place::Redis(_) => {}
            Place::Own(server) => server.kill(),
        }
    }

    /// It comes back, and has forgotten everything.
    pub(crate) fn come_back(&mut self) -> io::Result<()> {
        match self {
            Place::Memory(store) => {
                store.forget();
                store.come_back();
            }
            Place::Redis(_) => {}
            Place::Own(server) => server.spawn()?,
        }
        Ok(())
    }
}

/// A redis-server of the demo's own.
pub(crate) struct RedisServer {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
}

impl RedisServer {
    pub(crate) fn start() -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("fleet-demo-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut server = RedisServer { child: None, port, folder };
        server.spawn()?;
        Ok(server)
    }

    fn spawn(&mut self) -> io::Result<()> {
        let spawned = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir".as_ref(), self.folder.as_os_str()])
            .stdout(Stdio::null())
            .spawn();
        let advice = "redis-server cannot be started: install it (apt-get install redis-server), or use --memory";
        self.child = Some(spawned.map_err(|error| io::Error::other(format!("{advice} ({error})")))?);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > deadline {
                return Err(io::Error::other("redis-server does not listen"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
