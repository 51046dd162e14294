use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use tokio::sync::watch;

/// What a handler does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It answers with this status and these headers.
    Answer(StatusCode, Vec<(&'static str, String)>),
    /// It answers nothing until it is told to do something else.
    Hang,
    /// It panics.
    Panic,
}

impl Reply {
    /// An answer without headers.
    #[must_use]
    pub const fn status(status: StatusCode) -> Self {
        Reply::Answer(status, Vec::new())
    }
}

/// A handler that does as it is told. Clones are the same handler.
#[derive(Clone, Debug)]
pub struct Conduct {
    reply: Arc<watch::Sender<Reply>>,
    calls: Arc<AtomicUsize>,
}

impl Conduct {
    /// A handler that is well.
    #[must_use]
    pub fn well() -> Self {
        Conduct { reply: Arc::new(watch::Sender::new(Reply::status(StatusCode::OK))), calls: Arc::default() }
    }

    /// From now on, also for the requests that hang, it does this.
    pub fn set(&self, reply: Reply) {
        self.reply.send_replace(reply);
    }

    /// From now on it answers with this status.
    pub fn answer(&self, status: StatusCode) {
        self.set(Reply::status(status));
    }

    /// The requests that have come to it.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Handles a request.
    ///
    /// # Panics
    ///
    /// If it is told to.
    pub async fn handle(self) -> Response<Body> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let reply =
            self.reply.subscribe().wait_for(|reply| *reply != Reply::Hang).await.expect("it is told by us").clone();
        let Reply::Answer(status, headers) = reply else { panic!("the handler was told to") };
        let response = Response::builder().status(status);
        let response = headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
        response.body(Body::from(status.to_string())).expect("the headers are valid")
    }

    /// An app with two routes, `/` and `/other`, both handled by this.
    pub fn app(&self) -> Router {
        let route = || {
            let conduct = self.clone();
            get(move || conduct.clone().handle())
        };
        Router::new().route("/", route()).route("/other", route())
    }
}
