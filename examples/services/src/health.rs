use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{self, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The health service of gRPC, which ends each call with the code that it is told. Clones are the same service.
#[derive(Clone, Debug, Default)]
pub struct Health {
    code: Arc<AtomicI32>,
    calls: Arc<AtomicUsize>,
}

impl Health {
    /// From now on calls end with this code.
    pub fn answer(&self, code: Code) {
        self.code.store(code as i32, Ordering::SeqCst);
    }

    /// The calls that have come to it.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn reply(&self) -> Result<HealthCheckResponse, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match Code::from(self.code.load(Ordering::SeqCst)) {
            Code::Ok => Ok(HealthCheckResponse { status: ServingStatus::Serving.into() }),
            code => Err(Status::new(code, "as it was told")),
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.reply().map(Response::new)
    }

    /// The response begins well; what it was told comes in the stream.
    async fn watch(&self, _request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::iter([self.reply()]))))
    }
}

/// Serves it, unprotected.
///
/// # Panics
///
/// If the server fails.
pub async fn health(service: Health, listener: TcpListener) {
    let server = Server::builder().add_service(HealthServer::new(service));
    server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("tonic serves for ever");
}
