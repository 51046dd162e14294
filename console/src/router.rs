use axum::Router;

use crate::service::ConsoleService;

pub(crate) fn router<S: Clone + Send + Sync + 'static>(service: ConsoleService) -> Router<S> {
    Router::new().fallback_service(service)
}
