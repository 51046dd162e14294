//! The server: it listens, goes away and comes back as its script has it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::health::Health;
use crate::script::{Condition, Stage};

const BACKLOG: u32 = 1024;

/// An HTTP server on a port of its own.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Bound and never listening: it keeps the port while connections to it are refused. Were the
    /// port free, a client could be given it as its own and connect to itself.
    _reservation: TcpSocket,
}

impl Server {
    /// Takes a port, and does not listen yet.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn reserve() -> io::Result<Self> {
        Server::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Takes the port of an address, which another process may have reserved, and does not listen yet.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let reservation = socket(address)?;
        Ok(Server { address: reservation.local_addr()?, _reservation: reservation })
    }

    /// Where it will listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes through the stages and ends with the last one.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn play(
        self,
        stages: impl IntoIterator<Item = Stage>,
        start: Instant,
        health: Arc<Health>,
    ) -> io::Result<()> {
        let mut reception = None;
        for stage in stages {
            let until = start + stage.until;
            if stage.condition == Condition::Down {
                reception = None;
                health.turn(stage.condition);
                sleep_until(until.into()).await;
            } else {
                health.turn(stage.condition);
                let reception = match &mut reception {
                    Some(reception) => reception,
                    none => none.insert(Reception::open(self.address)?),
                };
                reception.serve(until, &health).await?;
            }
        }
        Ok(())
    }
}

/// A listener and the connections that came in by it; dropped, it closes them all.
#[derive(Debug)]
struct Reception {
    listener: TcpListener,
    connections: JoinSet<()>,
}

impl Reception {
    fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Reception { listener: socket(address)?.listen(BACKLOG)?, connections: JoinSet::new() })
    }

    async fn serve(&mut self, until: Instant, health: &Arc<Health>) -> io::Result<()> {
        while let Ok(accepted) = timeout_at(until.into(), self.listener.accept()).await {
            let (stream, _) = accepted?;
            stream.set_nodelay(true)?;
            self.connections.spawn(converse(stream, Arc::clone(health)));
            while self.connections.try_join_next().is_some() {}
        }
        Ok(())
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn converse(stream: TcpStream, health: Arc<Health>) {
    let service = service_fn(move |request: Request<Incoming>| answer(request, Arc::clone(&health)));
    // An error here is a client that went away.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, health: Arc<Health>) -> Result<Response<Full<Bytes>>, Infallible> {
    let visit = health.visit(request.uri().path());
    if visit.delay() > Duration::ZERO {
        sleep(visit.delay()).await;
    }
    let (status, body) =
        if visit.answer() { (StatusCode::OK, "paid\n") } else { (StatusCode::INTERNAL_SERVER_ERROR, "sick\n") };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    Ok(response)
}
