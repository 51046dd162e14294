use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use ::http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tripcoil::{Cause, CircuitBreaker, Config, ConfigError, State};

use super::answer::{self, Refusal};
use super::body::Body;
use crate::access::{Access, Action};
use crate::audit::{Audit, AuditOutcome, Scope};
use crate::clock::millis;
use crate::core::Core;
use crate::fleet::{FleetAct, FleetError};
use crate::holds::{self, Terms};
use crate::record::Act;
use crate::settings;
use crate::source::NotFound;

/// The most bytes of a request to act: names of breakers can be long.
const LONGEST: usize = 256 * 1024;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;
/// The limits of a timed hold.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
const LONGEST_HOLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many acts wait for the stores of fleets at the same time.
const MOST_FLEET_ACTS: usize = 8;

/// What a request asks for.
struct ActRequest {
    action: Action,
    scope: Scope,
    lasts: Option<Duration>,
    registry: Option<String>,
    name: Option<String>,
    reason: String,
    settings: Vec<(String, String)>,
}

/// The state before and after. `None` for a whole registry.
type States = Option<(State, State)>;

pub(super) async fn act<B>(core: &Arc<Core>, access: Access, body: B) -> Result<Response<Body>, Refusal>
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
    let states = match request.scope {
        Scope::Process => complete(core, &access, request)?,
        Scope::Fleet => aside(core, access, request).await?,
    };
    let answer = states.map_or(json!({}), |(from, to)| json!({"from": from.as_str(), "to": to.as_str()}));
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Acts on a separate thread: a fleet blocks while it waits for its store, and must not block the host's runtime.
async fn aside(core: &Arc<Core>, access: Access, request: ActRequest) -> Result<States, Refusal> {
    let unavailable = |why: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why);
    let place =
        Place::take(core).ok_or_else(|| unavailable("too many acts are already waiting for the fleet's store"))?;
    let (done, result) = oneshot::channel();
    let spawned = thread::Builder::new().name("tripcoil-console-act".into()).spawn(move || {
        let _ = done.send(complete(&place.0, &access, request));
    });
    spawned.map_err(|_| unavailable("the operating system cannot start a thread"))?;
    result.await.unwrap_or_else(|_| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the act panicked")))
}

/// A place among the acts that wait for a store, given back when it is dropped.
struct Place(Arc<Core>);

impl Place {
    fn take(core: &Arc<Core>) -> Option<Place> {
        let is_free = |taken: usize| (taken < MOST_FLEET_ACTS).then_some(taken + 1);
        core.fleet_acts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_free).ok().map(|_| Place(core.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fleet_acts.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Performs what a request asks for, and reports it to the audit.
fn complete(core: &Core, access: &Access, request: ActRequest) -> Result<States, Refusal> {
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
        scope: request.scope,
        lasts: request.lasts,
        registry: request.registry,
        breaker: request.name,
        reason: request.reason,
        settings: request.settings,
        outcome,
    });
    performed
}

fn perform(core: &Core, access: &Access, request: &ActRequest, at: SystemTime) -> Result<States, Refusal> {
    let ActRequest { action, scope, lasts, registry, name, reason, settings } = request;
    let registry = registry.as_deref();
    let actor = access.actor().filter(|_| access.allows(*action));
    let actor = actor.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, format!("you may not {action}")))?;
    if *scope == Scope::Fleet && !access.allows_for_fleets() {
        return Err(Refusal::new(StatusCode::FORBIDDEN, format!("you may not {action} for a fleet")));
    }
    let config = settings::read(settings).map_err(|error| invalid(&error))?;
    let Some(name) = name else {
        let registry = registry.ok_or_else(|| bad("`name` is missing"))?;
        if *action != Action::Reconfigure || *scope == Scope::Fleet {
            return Err(bad("a whole registry can only be reconfigured, and only in this process"));
        }
        let registry = core.sources.registry(registry)?;
        let done = catch_unwind(AssertUnwindSafe(|| registry.reconfigure(config)));
        done.map_err(|_| Refusal::from(NotFound::Panicked))?.map_err(|error| invalid(&error))?;
        return Ok(None);
    };
    let breaker = core.sources.find(registry, name)?;
    let before = breaker.state();
    let cause = match scope {
        Scope::Fleet => {
            let act = FleetAct { action: *action, registry, name, actor, reason, lasts: *lasts };
            perform_in_fleet(core, &act)?;
            Some(Cause::Remote)
        }
        Scope::Process => {
            if lasts.is_some() && core.holds.are_full() {
                let error = format!("there are already {} timed holds", holds::MOST);
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error));
            }
            perform_here(&breaker, *action, config)?
        }
    };
    if let (Scope::Process, Some(lasts)) = (scope, *lasts) {
        core.holds.add(&breaker, &Terms { registry, name, actor, reason, lasts, now_ms: millis(at) });
    }
    let after = breaker.state();
    let act = Act { actor: actor.to_owned(), action: *action, scope: *scope, lasts: *lasts, reason: reason.clone() };
    core.recorder().acted(registry, name, millis(at), &Arc::new(act), cause.filter(|_| before != after));
    core.sample(false);
    Ok(Some((before, after)))
}

/// Returns the cause of the transition that this makes, if it makes one.
fn perform_here(breaker: &CircuitBreaker, action: Action, config: Config) -> Result<Option<Cause>, Refusal> {
    match action {
        Action::ForceOpen => breaker.force_open(),
        Action::ForceClosed => breaker.force_closed(),
        Action::Release => {
            let state = breaker.state();
            if !matches!(state, State::ForcedOpen | State::ForcedClosed) {
                let error = format!("the breaker is {state}, and only a forced state can be released");
                return Err(Refusal::new(StatusCode::CONFLICT, error));
            }
            breaker.release();
        }
        Action::Reset => {
            breaker.reset();
            return Ok(Some(Cause::Reset));
        }
        Action::Reconfigure => {
            breaker.reconfigure(config).map_err(|error| invalid(&error))?;
            return Ok(None);
        }
    }
    Ok(Some(Cause::Manual))
}

fn perform_in_fleet(core: &Core, act: &FleetAct<'_>) -> Result<(), Refusal> {
    let fleet = core.sources.fleet_of(act.registry, act.name);
    let error = "this breaker has joined no fleet of the console";
    let fleet = fleet.ok_or_else(|| Refusal::new(StatusCode::CONFLICT, error))?;
    fleet.perform(act).map_err(|error| match error {
        FleetError::Invalid(error) => bad(error),
        FleetError::NoOrder(error) => Refusal::new(StatusCode::CONFLICT, error),
        FleetError::Unreachable(error) => Refusal::new(StatusCode::BAD_GATEWAY, error),
    })
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
        let scope = match take_text(&mut object, "scope")?.as_deref() {
            None | Some("process") => Scope::Process,
            Some("fleet") => Scope::Fleet,
            Some(scope) => return Err(bad(format!("`scope` is {scope:?}, allowed are process, fleet"))),
        };
        let lasts = take_text(&mut object, "for")?.filter(|text| !text.trim().is_empty());
        let lasts = lasts.map(|text| read_lasts(action, &text)).transpose()?;
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
            None => Ok(ActRequest { action, scope, lasts, registry, name, reason, settings }),
        }
    }
}

/// How long a forced state lasts.
fn read_lasts(action: Action, text: &str) -> Result<Duration, Refusal> {
    let refuse = |error: String| Err(Refusal { field: Some("for"), ..bad(error) });
    if !matches!(action, Action::ForceOpen | Action::ForceClosed) {
        return refuse("`for` is allowed with force_open and force_closed only".into());
    }
    match settings::duration(text) {
        Some(lasts) if (SHORTEST_HOLD..=LONGEST_HOLD).contains(&lasts) => Ok(lasts),
        _ => refuse(format!("`for` is {text:?}, allowed is 1s to 720h, such as 30m or 1h 30m")),
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
