//! Requests and their answers.

mod act;
mod answer;
mod assets;
mod body;
mod guard;
mod query;
mod stream;
mod view;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::http::request::Parts;
use ::http::{Method, Request, Response, StatusCode};

use crate::access::Access;
use crate::core::Core;
pub(crate) use answer::Refusal;
pub use body::Body;
#[cfg(feature = "serve")]
pub(crate) use guard::is_known_host;
use query::Query;

pub(crate) async fn handle<B>(core: Arc<Core>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let response = match respond(&core, &parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    let response = answer::secured(response);
    if is_head { response.map(|_| Body::empty()) } else { response }
}

async fn respond<B>(core: &Arc<Core>, parts: &Parts, body: B) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let access = catch_unwind(AssertUnwindSafe(|| (core.access)(parts)))
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "access could not be decided"))?;
    if access == Access::Forbidden {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "you may not see this console"));
    }
    let path = parts.uri.path().trim_start_matches('/');
    if path == "api/act" {
        method_is(parts, &[Method::POST])?;
        guard::write(parts, &core.origins)?;
        return act::act(core, access, body).await;
    }
    method_is(parts, &[Method::GET, Method::HEAD])?;
    if let Some(asset) = assets::find(path) {
        return Ok(asset.respond(parts));
    }
    if !path.starts_with("api/") {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path"));
    }
    guard::read(parts)?;
    let query = Query::read(parts.uri.query().unwrap_or_default())?;
    match path {
        "api/breakers" => Ok(answer::json(StatusCode::OK, &view::overview(core, &access, &query))),
        "api/breaker" => Ok(answer::json(StatusCode::OK, &view::detail(core, &access, &query)?)),
        "api/settings" => Ok(answer::json(StatusCode::OK, &view::settings(core, &query)?)),
        "api/stream" => stream::open(core, access, query),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path")),
    }
}

fn method_is(parts: &Parts, allowed: &[Method]) -> Result<(), Refusal> {
    if allowed.contains(&parts.method) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method"))
}
