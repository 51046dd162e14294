use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::console::Settings;
use crate::core::Core;
use crate::http::{Body, Refusal, handle, is_known_host};

/// The connections that are open at the same time. Others wait.
const MOST_CONNECTIONS: usize = 512;
/// Limits how long a client that no longer reads keeps its place. Live pages reconnect every ten minutes anyway.
const CONNECTION_LIFE: Duration = Duration::from_secs(900);
/// How long a request may take that is under way at the end of its connection.
const GRACE: Duration = Duration::from_secs(30);
/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A console that runs on a dedicated thread, created by [`Console::serve`](crate::Console::serve).
///
/// Dropping this handle does not stop the console.
pub struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Serving {
    /// Returns the address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the page, such as `http://127.0.0.1:9000/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops the console, closes its connections and waits for its thread to end.
    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("address", &self.address).finish_non_exhaustive()
    }
}

pub(crate) fn serve(settings: Settings, address: impl ToSocketAddrs) -> io::Result<Serving> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let (report, begun) = mpsc::channel();
    let thread = thread::Builder::new().name("tripcoil-console-http".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let listener = runtime.and_then(|runtime| {
            let entered = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            drop(entered);
            Ok((runtime, listener))
        });
        let (runtime, listener) = match listener {
            Ok(ready) => ready,
            Err(error) => return drop(report.send(Err(error))),
        };
        let hosts = settings.hosts.clone();
        let core = Core::new(settings);
        let sampler = match crate::sampler::start(&core) {
            Ok(sampler) => sampler,
            Err(error) => return drop(report.send(Err(error))),
        };
        let _ = report.send(Ok(()));
        runtime.spawn(accept(listener, core, hosts.into()));
        runtime.block_on(stopped_for_good(stopped));
        // With the runtime end the connections.
        drop(runtime);
        drop(sampler);
    })?;
    match begun.recv() {
        Ok(Ok(())) => Ok(Serving { address, stop, thread }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the console's thread panicked")),
    }
}

/// Ends when somebody stops the console, and not when the handle is dropped.
async fn stopped_for_good(stopped: oneshot::Receiver<()>) {
    if stopped.await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn accept(listener: tokio::net::TcpListener, core: Arc<Core>, hosts: Arc<[String]>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Such as too many open files: it will not be better at once.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (core, hosts) = (core.clone(), hosts.clone());
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| answer(core.clone(), hosts.clone(), request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            // What goes wrong with one connection is the client's affair.
            if timeout(CONNECTION_LIFE, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(GRACE, connection).await;
            }
            drop(place);
        });
    }
}

async fn answer(
    core: Arc<Core>,
    hosts: Arc<[String]>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    if !is_known_host(&parts, &hosts) {
        let error = "unknown host: open the console by its address, or allow the host with `Console::allow_host`";
        return Ok(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error).into_response());
    }
    Ok(handle(core, Request::from_parts(parts, body)).await)
}
