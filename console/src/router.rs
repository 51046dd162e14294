use std::convert::Infallible;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use tower_service::Service;

use crate::service::ConsoleService;

pub(crate) fn router<S: Clone + Send + Sync + 'static>(service: ConsoleService) -> Router<S> {
    let answer = move |request: Request| {
        let mut service = service.clone();
        async move {
            if let Some(moved) = to_folder(&request) {
                return Ok::<Response, Infallible>(moved);
            }
            service.call(request).await.map(IntoResponse::into_response)
        }
    };
    Router::new().fallback(answer)
}

/// `/breakers` leads to `/breakers/`, for the page's parts are relative to it. The way is told relative, too: a proxy may have
/// taken a prefix away.
fn to_folder(request: &Request) -> Option<Response> {
    let OriginalUri(asked) = request.extensions().get::<OriginalUri>()?;
    if request.uri().path().trim_start_matches('/').is_empty() && !asked.path().ends_with('/') {
        let last = asked.path().rsplit('/').next()?;
        let place = HeaderValue::from_str(&format!("./{last}/")).ok()?;
        return Some((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, place)]).into_response());
    }
    None
}
