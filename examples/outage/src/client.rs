//! Two clients of the service: one for async tasks, one for threads.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use ureq::Agent;

/// How long a caller waits for an answer.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection.
    Refused,
    /// There was one, and no good answer in time.
    Unanswered,
}

/// The client of the async tasks.
#[derive(Clone, Debug)]
pub struct AsyncClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    server: SocketAddr,
}

impl AsyncClient {
    /// A client with connections of its own.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        AsyncClient { client: Client::builder(TokioExecutor::new()).build_http(), server }
    }

    /// Asks for `path`, which begins with a slash.
    ///
    /// # Errors
    ///
    /// [`Failure`] if there was no good answer within [`PATIENCE`].
    ///
    /// # Panics
    ///
    /// If `path` is not the path of a URI.
    pub async fn fetch(&self, path: &str) -> Result<(), Failure> {
        timeout(PATIENCE, self.exchange(path)).await.unwrap_or(Err(Failure::Unanswered))
    }

    async fn exchange(&self, path: &str) -> Result<(), Failure> {
        let uri = Uri::builder().scheme("http").authority(self.server.to_string()).path_and_query(path).build();
        let uri = uri.expect("an address and a path are a URI");
        let response = self.client.get(uri).await.map_err(|error| Failure::from(&error))?;
        let good = response.status().is_success();
        // Read to its end, so that the connection can be used again.
        response.into_body().collect().await.map_err(|_| Failure::Unanswered)?;
        if good { Ok(()) } else { Err(Failure::Unanswered) }
    }
}

impl From<&legacy::Error> for Failure {
    fn from(error: &legacy::Error) -> Self {
        if error.is_connect() { Failure::Refused } else { Failure::Unanswered }
    }
}

/// The client of the threads.
#[derive(Clone, Debug)]
pub struct ThreadClient {
    agent: Agent,
    server: SocketAddr,
}

impl ThreadClient {
    /// A client with connections of its own.
    #[must_use]
    pub fn new(server: SocketAddr) -> Self {
        // Whatever proxy the environment names, the server is on this machine.
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build();
        ThreadClient { agent: Agent::new_with_config(config), server }
    }

    /// Asks for `path`, which begins with a slash.
    ///
    /// # Errors
    ///
    /// [`Failure`] if there was no good answer within [`PATIENCE`].
    pub fn fetch(&self, path: &str) -> Result<(), Failure> {
        let url = format!("http://{}{path}", self.server);
        let mut response = self.agent.get(&url).call().map_err(|error| Failure::from(&error))?;
        response.body_mut().read_to_vec().map_err(|error| Failure::from(&error))?;
        Ok(())
    }
}

impl From<&ureq::Error> for Failure {
    fn from(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::ConnectionFailed => Failure::Refused,
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => Failure::Refused,
            _ => Failure::Unanswered,
        }
    }
}
