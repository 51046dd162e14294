use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::thread;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime;
use tokio::sync::oneshot;

type Serve = dyn Fn(TcpListener) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync;

/// A server on a port of its own, in a thread of its own, that can be killed and come back.
pub struct Loopback {
    address: SocketAddr,
    /// Bound and never listening: it keeps the port while connections to it are refused. Were the port free,
    /// a client could be given it as its own and connect to itself.
    _reservation: TcpSocket,
    serve: Arc<Serve>,
    running: Option<Running>,
}

struct Running {
    thread: thread::JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Loopback {
    /// Runs `serve` with a listener.
    ///
    /// # Errors
    ///
    /// Those of the operating system, if it gives no port.
    ///
    /// # Panics
    ///
    /// If the port cannot be listened on.
    pub fn start<F: Future<Output = ()> + 'static>(
        serve: impl Fn(TcpListener) -> F + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let reservation = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let mut server = Loopback {
            address: reservation.local_addr()?,
            _reservation: reservation,
            serve: Arc::new(move |listener| Box::pin(serve(listener))),
            running: None,
        };
        server.restart();
        Ok(server)
    }

    /// Runs an app of axum.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn axum(app: Router) -> io::Result<Self> {
        Self::start(move |listener| {
            let app = app.clone();
            async move { axum::serve(listener, app).await.expect("axum serves for ever") }
        })
    }

    /// Where it listens, also while it does not.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Ends the server. When this returns, all of its connections are closed and new ones are refused.
    ///
    /// # Panics
    ///
    /// If the server did.
    pub fn kill(&mut self) {
        if let Some(Running { thread, stop }) = self.running.take() {
            drop(stop);
            thread.join().expect("the server ends well");
        }
    }

    /// Kills it if it runs, and runs it again on the same port.
    ///
    /// # Panics
    ///
    /// If the port cannot be listened on.
    pub fn restart(&mut self) {
        self.kill();
        let (address, serve) = (self.address, self.serve.clone());
        let (stop, stopped) = oneshot::channel();
        let (listens, is_listening) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                let listener = socket(address).and_then(|socket| socket.listen(1024)).expect("the port is ours");
                let _ = listens.send(());
                tokio::select! {
                    () = serve(listener) => {}
                    _ = stopped => {}
                }
            });
            // The runtime is dropped here, and every connection with it.
        });
        is_listening.recv().expect("the server listens");
        self.running = Some(Running { thread, stop });
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.kill();
        }
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").field("address", &self.address).finish_non_exhaustive()
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
