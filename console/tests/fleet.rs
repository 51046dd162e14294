//! The console of a member of a fleet, over HTTP.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tripcoil::{CircuitBreaker, Registry, State};
use tripcoil_console::{Access, Action, Audit, AuditOutcome, Console, ConsoleService, Scope};
use tripcoil_fleet::{Fleet, FleetBuilder, Memory, Quorum};

const MS: Duration = Duration::from_millis(1);

fn builder(store: &Memory) -> FleetBuilder {
    Fleet::builder("checkout").store(store.clone()).beat(200 * MS).lease(300 * MS).quorum(Quorum::count(2))
}

fn breaker(name: &'static str) -> Arc<CircuitBreaker> {
    let builder = CircuitBreaker::builder(name).error_threshold(1).success_threshold(1);
    Arc::new(builder.reset_timeout(Duration::from_secs(60)).build().unwrap())
}

/// Another process of the fleet.
fn other(store: &Memory) -> (Fleet, Arc<CircuitBreaker>) {
    let fleet = builder(store).instance("pod 8").build().unwrap();
    let breaker = breaker("payments");
    fleet.join(&breaker);
    (fleet, breaker)
}

async fn answer(service: &ConsoleService, request: Request<String>) -> (StatusCode, Value) {
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(service: &ConsoleService, path: &str) -> Value {
    let (status, value) = answer(service, Request::get(path).body(String::new()).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{path}: {value}");
    value
}

async fn act(service: &ConsoleService, order: &Value) -> (StatusCode, Value) {
    let request = Request::post("/api/act")
        .header("x-tripcoil-console", "1")
        .header("content-type", "application/json")
        .header("sec-fetch-site", "same-origin")
        .body(order.to_string())
        .unwrap();
    answer(service, request).await
}

async fn until(service: &ConsoleService, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let value = get(service, path).await;
        if what(&value) {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came: {value}");
        tokio::time::sleep(20 * MS).await;
    }
}

async fn until_here(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came");
        tokio::time::sleep(5 * MS).await;
    }
}

fn full() -> impl Fn(&http::request::Parts) -> Access + Send + Sync + 'static {
    |_| Access::Full { actor: "ana".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_fleet_holds_is_in_the_overview_and_beside_its_breaker() {
    let store = Memory::new();
    let fleet = builder(&store).instance("pod 7").build().unwrap();
    let (payments, alone) = (breaker("payments"), breaker("alone"));
    fleet.join(&payments);
    let (other_fleet, others) = other(&store);
    let service = Console::new().breaker(payments.clone()).breaker(alone).fleet(&fleet).service();
    let overview = until(&service, "/api/breakers", |value| value["fleets"][0]["members"] == 2).await;
    let seen = &overview["fleets"][0];
    assert_eq!((&seen["name"], &seen["is_connected"], &seen["joined"]), (&json!("checkout"), &json!(true), &json!(1)));
    assert_eq!((&seen["quorum"], &seen["votes_needed"]), (&json!("count(2)"), &json!(2)));
    let row = |name: &str| {
        let rows = overview["breakers"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert_eq!(row("alone").get("fleet"), None);
    assert_eq!(row("payments")["fleet"]["standing"], "local");

    payments.try_acquire().unwrap().failure();
    let path = "/api/breaker?name=payments";
    let one = until(&service, path, |value| value["breaker"]["fleet"]["votes"] == 1).await;
    assert_eq!((&one["breaker"]["state"], &one["breaker"]["fleet"]["votes_needed"]), (&json!("open"), &json!(2)));
    others.try_acquire().unwrap().failure();
    let one = until(&service, path, |value| value["breaker"]["fleet"]["standing"] == "held").await;
    assert_eq!(one["breaker"]["state"], "open");
    let events = one["events"].as_array().unwrap();
    let texts: Vec<_> = events.iter().filter(|event| event["kind"] == "fleet").map(|event| &event["event"]).collect();
    assert!(texts.contains(&&json!("voted")) && texts.contains(&&json!("opened")), "{events:?}");
    let overview = until(&service, "/api/breakers", |value| value["fleets"][0]["held"] == 1).await;
    assert_eq!(overview["fleets"][0]["orders"], json!([]));

    store.go_down();
    let lost = until(&service, "/api/breakers", |value| value["fleets"][0]["is_connected"] == false).await;
    assert!(lost["fleets"][0]["store_error"].as_str().unwrap().contains("down"), "{lost}");
    drop((fleet, other_fleet));
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_for_the_fleet_reach_every_member_and_the_audit() {
    let store = Memory::new();
    let fleet = builder(&store).build().unwrap();
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    let payments = breaker("payments");
    fleet.join(&payments);
    fleet.join_registry(&hosts);
    hosts.get("a/b");
    let (_other, others) = other(&store);
    let audits: Arc<Mutex<Vec<Audit>>> = Arc::default();
    let heard = audits.clone();
    let service = Console::new()
        .breaker(payments.clone())
        .registry(hosts.clone())
        .fleet(&fleet)
        .access(full())
        .on_audit(move |audit| heard.lock().unwrap().push(audit.clone()))
        .service();
    until(&service, "/api/breakers", |value| value["fleets"][0]["members"] == 2).await;
    let overview = get(&service, "/api/breakers").await;
    assert_eq!(overview["access"]["scopes"], json!(["process", "fleet"]));

    let order =
        json!({"action": "force_open", "name": "payments", "reason": "moving house", "scope": "fleet", "for": "30m"});
    let (status, done) = act(&service, &order).await;
    assert_eq!((status, done), (StatusCode::OK, json!({"from": "closed", "to": "forced_open"})));
    until_here(|| others.state() == State::ForcedOpen).await;
    let one = get(&service, "/api/breaker?name=payments").await;
    let standing = &one["breaker"]["fleet"];
    let order = &standing["order"];
    assert_eq!((&standing["standing"], &order["action"]), (&json!("ordered"), &json!("force_open")));
    assert_eq!((&order["by"], &order["because"]), (&json!("ana"), &json!("moving house")));
    let left = order["ends_at"].as_u64().unwrap() - one["at"].as_u64().unwrap();
    assert!((29 * 60_000..=30 * 60_000 + 1_000).contains(&left), "{left}");
    let acts = one["events"].as_array().unwrap();
    let acted = acts.iter().find(|event| event["kind"] == "act").unwrap();
    assert_eq!((&acted["scope"], &acted["for_ms"]), (&json!("fleet"), &json!(1_800_000)));
    let overview = get(&service, "/api/breakers").await;
    assert_eq!(overview["fleets"][0]["orders"][0]["name"], "payments");

    let (status, _) = act(
        &service,
        &json!({"action": "force_closed", "registry": "hosts", "name": "a/b", "reason": "x", "scope": "fleet"}),
    )
    .await;
    assert_eq!((status, hosts.get("a/b").state()), (StatusCode::OK, State::ForcedClosed));
    let overview = until(&service, "/api/breakers", |value| value["fleets"][0]["order_count"] == 2).await;
    assert_eq!(overview["fleets"][0]["orders"][0]["registry"], "hosts");
    for name in ["payments", "payments"] {
        act(&service, &json!({"action": "release", "name": name, "reason": "done", "scope": "fleet"})).await;
    }
    until_here(|| others.state() != State::ForcedOpen && payments.state() != State::ForcedOpen).await;
    act(&service, &json!({"action": "reset", "name": "payments", "reason": "repaired", "scope": "fleet"})).await;
    until_here(|| payments.state() == State::Closed).await;

    let audits = audits.lock().unwrap();
    let told: Vec<_> = audits
        .iter()
        .map(|audit| (audit.action, audit.scope, matches!(audit.outcome, AuditOutcome::Done { .. })))
        .collect();
    assert_eq!(
        told,
        [
            (Action::ForceOpen, Scope::Fleet, true),
            (Action::ForceClosed, Scope::Fleet, true),
            (Action::Release, Scope::Fleet, true),
            // There is no order any more.
            (Action::Release, Scope::Fleet, false),
            (Action::Reset, Scope::Fleet, true),
        ]
    );
    assert_eq!(audits[0].lasts, Some(Duration::from_secs(1800)));
    let shown = "ana: force_open `payments` in the whole fleet for 1800s because \"moving house\": done";
    assert_eq!(audits[0].to_string(), shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_done_for_a_fleet_is_refused() {
    let store = Memory::new();
    let fleet = builder(&store).build().unwrap();
    let (payments, alone) = (breaker("payments"), breaker("alone"));
    fleet.join(&payments);
    let console = || Console::new().breaker(payments.clone()).breaker(alone.clone()).fleet(&fleet);
    let service = console().access(full()).service();
    until(&service, "/api/breakers", |value| value["fleets"][0]["is_connected"] == true).await;
    let order = |name: &str, more: Value| {
        let mut order = json!({"action": "force_open", "name": name, "reason": "x", "scope": "fleet"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    for (order, status, words) in [
        (order("alone", json!({})), StatusCode::CONFLICT, "has joined no fleet"),
        (order("nobody", json!({})), StatusCode::NOT_FOUND, "no breaker"),
        (order("payments", json!({"scope": "world"})), StatusCode::BAD_REQUEST, "allowed are process, fleet"),
        (
            order("payments", json!({"for": "soon"})),
            StatusCode::BAD_REQUEST,
            "`for` is \"soon\", allowed is 1s to 720h",
        ),
        (order("payments", json!({"for": "721h"})), StatusCode::BAD_REQUEST, "allowed is 1s to 720h"),
        (order("payments", json!({"for": "5ms"})), StatusCode::BAD_REQUEST, "allowed is 1s to 720h"),
        (order("payments", json!({"action": "reset", "for": "5m"})), StatusCode::BAD_REQUEST, "force_open"),
        (order("payments", json!({"reason": "x".repeat(301)})), StatusCode::BAD_REQUEST, "300 bytes"),
        (order("payments", json!({"action": "release"})), StatusCode::CONFLICT, "no order"),
        (order("payments", json!({"action": "reconfigure"})), StatusCode::BAD_REQUEST, "reconfigure each process"),
    ] {
        let (answered, refusal) = act(&service, &order).await;
        let error = refusal["error"].as_str().unwrap_or_default();
        assert!(answered == status && error.contains(words), "{order}: {answered} {refusal}");
    }
    let some = |access: Access| console().access(move |_| access.clone()).service();
    let actions = vec![Action::ForceOpen];
    let (here, everywhere) = (
        some(Access::Some { actor: "ben".into(), actions: actions.clone() }),
        some(Access::Fleet { actor: "cy".into(), actions }),
    );
    assert_eq!(get(&here, "/api/breakers").await["access"]["scopes"], json!(["process"]));
    assert_eq!(get(&everywhere, "/api/breakers").await["access"]["scopes"], json!(["process", "fleet"]));
    assert_eq!(act(&here, &order("payments", json!({}))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(payments.state(), State::Closed);
    assert_eq!(act(&everywhere, &order("payments", json!({"action": "reset"}))).await.0, StatusCode::FORBIDDEN);
    assert_eq!(act(&everywhere, &order("payments", json!({}))).await.0, StatusCode::OK);
    assert_eq!(payments.state(), State::ForcedOpen);

    store.go_down();
    until(&service, "/api/breakers", |value| value["fleets"][0]["is_connected"] == false).await;
    let (status, refusal) = act(&service, &order("payments", json!({}))).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{refusal}");
    drop(fleet);
    let (status, _) = act(&service, &order("payments", json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "it has left");
}
