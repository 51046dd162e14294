use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::core::Core;
use crate::http::{Body, handle};
use crate::sampler::Sampler;

/// A console as a `tower` service, created by [`Console::service`](crate::Console::service).
///
/// The service is always ready and never returns an error. It reports failures as responses with a status code. It
/// works with any runtime.
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// use tripcoil_console::Console;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let service = Console::new().service();
/// let request = Request::get("/api/breakers").body(String::new()).unwrap();
/// assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::OK);
/// # });
/// ```
#[derive(Clone)]
pub struct ConsoleService {
    core: Arc<Core>,
    _sampler: Arc<Sampler>,
}

impl ConsoleService {
    pub(crate) fn new(core: Arc<Core>, sampler: Sampler) -> Self {
        ConsoleService { core, _sampler: Arc::new(sampler) }
    }
}

impl<B> Service<Request<B>> for ConsoleService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ConsoleFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ConsoleFuture {
        let core = self.core.clone();
        ConsoleFuture(Box::pin(async move { Ok(handle(core, request).await) }))
    }
}

impl fmt::Debug for ConsoleService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleService").finish_non_exhaustive()
    }
}

/// The response future of a [`ConsoleService`].
///
/// # Cancel safety
///
/// You can drop this future at any time. An act is performed completely or not at all.
#[must_use = "a future does nothing unless it is awaited"]
pub struct ConsoleFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>);

impl Future for ConsoleFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ConsoleFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleFuture").finish_non_exhaustive()
    }
}
