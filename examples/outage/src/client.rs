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
pub(crate) const PATIENCE: Duration = Duration::from_millis(400);

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no connection.
    Refused,
    /// There was one, and no good answer in time.
    Unanswered,
}

/// The client of the async tasks.
#[derive(Clone, Debug)]
pub(crate) struct AsyncClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
}

impl AsyncClient {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let uri = Uri::builder().scheme("http").authority(server.to_string()).path_and_query("/pay").build();
        AsyncClient {
            client: Client::builder(TokioExecutor::new()).build_http(),
            uri: uri.expect("an address and a path are a URI"),
        }
    }

    pub(crate) async fn fetch(&self) -> Result<(), Failure> {
        timeout(PATIENCE, self.exchange()).await.unwrap_or(Err(Failure::Unanswered))
    }

    async fn exchange(&self) -> Result<(), Failure> {
        let response = self.client.get(self.uri.clone()).await.map_err(|error| Failure::from(&error))?;
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
pub(crate) struct ThreadClient {
    agent: Agent,
    url: String,
}

impl ThreadClient {
    pub(crate) fn new(server: SocketAddr) -> Self {
        // Whatever proxy the environment names, the server is on this machine.
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build();
        ThreadClient { agent: Agent::new_with_config(config), url: format!("http://{server}/pay") }
    }

    pub(crate) fn fetch(&self) -> Result<(), Failure> {
        let mut response = self.agent.get(&self.url).call().map_err(|error| Failure::from(&error))?;
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
