use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use ::http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use tripcoil::{Cause, CircuitBreaker, ConfigError, State};

use super::answer::{self, Refusal};
use super::body::Body;
use crate::access::{Access, Action};
use crate::audit::{Audit, AuditOutcome};
use crate::clock::millis;
use crate::core::Core;
use crate::record::Act;
use crate::settings;
use crate::source::NotFound;

/// A request to act takes at most so many bytes: names of breakers can be long.
const LONGEST: usize = 256 * 1024;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;

/// What a request asks for.
struct ActRequest {
    action: Action,
    registry: Option<String>,
    name: Option<String>,
    reason: String,
    settings: Vec<(String, String)>,
}

pub(super) async fn act<B>(core: &Core, access: &Access, body: B) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limited = std::pin::pin!(body);
    let bytes = Limited::new(limited, LONGEST).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {LONGEST} bytes"));
        }
        Refusal::new(StatusCode::BAD_REQUEST, "the body could not be read")
    })?;
    let request = ActRequest::read(&bytes.to_bytes())?;
    let at = SystemTime::now();
    let performed = perform(core, access, &request, at);
    let outcome = match &performed {
        Ok(states) => AuditOutcome::Done { states: *states },
        Err(refusal) => AuditOutcome::Refused { because: refusal.error.clone() },
    };
    core.audit(&Audit {
        at,
        actor: access.actor().map(str::to_owned),
        action: request.action,
        registry: request.registry,
        breaker: request.name,
        reason: request.reason,
        settings: request.settings,
        outcome,
    });
    let states = performed?;
    let answer = states.map_or(json!({}), |(from, to)| json!({"from": from.as_str(), "to": to.as_str()}));
    Ok(answer::json(StatusCode::OK, &answer))
}

fn perform(
    core: &Core,
    access: &Access,
    request: &ActRequest,
    at: SystemTime,
) -> Result<Option<(State, State)>, Refusal> {
    let ActRequest { action, registry, name, reason, settings } = request;
    let actor = access.actor().filter(|_| access.allows(*action));
    let actor = actor.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, format!("you may not {action}")))?;
    let config = settings::read(settings).map_err(|error| invalid(&error))?;
    let Some(name) = name else {
        let registry = registry.as_deref().ok_or_else(|| bad("`name` is missing"))?;
        if *action != Action::Reconfigure {
            return Err(bad("a whole registry can be reconfigured only"));
        }
        let registry = core.sources.registry(registry)?;
        let done = catch_unwind(AssertUnwindSafe(|| registry.reconfigure(config)));
        done.map_err(|_| Refusal::from(NotFound::Panicked))?.map_err(|error| invalid(&error))?;
        return Ok(None);
    };
    let breaker = core.sources.find(registry.as_deref(), name)?;
    let before = breaker.state();
    let cause = match action {
        Action::ForceOpen => {
            breaker.force_open();
            Some(Cause::Manual)
        }
        Action::ForceClosed => {
            breaker.force_closed();
            Some(Cause::Manual)
        }
        Action::Release => {
            release(&breaker, before)?;
            Some(Cause::Manual)
        }
        Action::Reset => {
            breaker.reset();
            Some(Cause::Reset)
        }
        Action::Reconfigure => {
            breaker.reconfigure(config).map_err(|error| invalid(&error))?;
            None
        }
    };
    let after = breaker.state();
    let act = Arc::new(Act { actor: actor.to_owned(), action: *action, reason: reason.clone() });
    core.recorder().acted(registry.as_deref(), name, millis(at), &act, cause.filter(|_| before != after));
    core.sample(false);
    Ok(Some((before, after)))
}

fn release(breaker: &CircuitBreaker, state: State) -> Result<(), Refusal> {
    match state {
        State::ForcedOpen => breaker.transition_to(State::HalfOpen),
        State::ForcedClosed => breaker.transition_to(State::Closed),
        State::Closed | State::Open | State::HalfOpen => {
            let error = format!("the breaker is {state}, and only a forced state can be released");
            return Err(Refusal::new(StatusCode::CONFLICT, error));
        }
    }
    Ok(())
}

impl ActRequest {
    fn read(bytes: &[u8]) -> Result<ActRequest, Refusal> {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(bytes) else {
            return Err(bad("the body is not a JSON object"));
        };
        let action = take_text(&mut object, "action")?.ok_or_else(|| bad("`action` is missing"))?;
        let action = Action::from_name(&action).ok_or_else(|| {
            bad(format!("`action` is {action:?}, allowed are {}", Action::ALL.map(Action::as_str).join(", ")))
        })?;
        let reason = take_text(&mut object, "reason")?.unwrap_or_default().trim().to_owned();
        if reason.is_empty() || reason.len() > LONGEST_REASON {
            let error = format!("a reason is needed, of at most {LONGEST_REASON} bytes");
            return Err(Refusal { field: Some("reason"), ..bad(error) });
        }
        let (registry, name) = (take_text(&mut object, "registry")?, take_text(&mut object, "name")?);
        let settings = match object.remove("settings") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(settings)) if action == Action::Reconfigure => {
                settings::texts(&settings).ok_or_else(|| bad("the values of `settings` are texts and numbers"))?
            }
            Some(_) => return Err(bad("`settings` is an object, and goes with reconfigure only")),
        };
        match object.keys().next() {
            Some(unknown) => Err(bad(format!("unknown member {unknown:?}"))),
            None => Ok(ActRequest { action, registry, name, reason, settings }),
        }
    }
}

fn take_text(object: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(format!("`{name}` is a text"))),
    }
}

fn bad(error: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error)
}

/// In the words of the validation.
fn invalid(error: &ConfigError) -> Refusal {
    Refusal { field: Some(error.setting()), ..bad(settings::explain(error)) }
}
