use ::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use ::http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use super::body::Body;
use crate::source::NotFound;

/// Nothing is loaded from elsewhere, nothing inline runs, and no other page can embed this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Why a request is not answered as it wants.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    /// The setting that the error is about.
    pub(crate) field: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal { status, error: error.into(), field: None }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut object = Map::new();
        object.insert("error".into(), self.error.into());
        if let Some(field) = self.field {
            object.insert("field".into(), field.into());
        }
        json(self.status, &object.into())
    }
}

impl From<NotFound> for Refusal {
    fn from(not_found: NotFound) -> Self {
        match not_found {
            NotFound::None => Refusal::new(StatusCode::NOT_FOUND, "no breaker has this name now"),
            NotFound::Several(count) => {
                Refusal::new(StatusCode::CONFLICT, format!("{count} have this name, so none of them can be meant"))
            }
            NotFound::Panicked => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the registry panicked while it was read")
            }
        }
    }
}

pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::full(value.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Adds what every answer carries.
pub(super) fn secured(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
