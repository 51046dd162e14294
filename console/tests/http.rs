//! The console as a service, without a browser and without a socket.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tripcoil::{CircuitBreaker, Registry, State};
use tripcoil_console::{Access, Action, Audit, AuditOutcome, Body, Console, ConsoleService, Journal};

fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).unwrap()
}

/// As the page sends it.
fn act(order: &Value) -> Request<String> {
    Request::post("/api/act")
        .header("content-type", "application/json")
        .header("x-tripcoil-console", "1")
        .header("sec-fetch-site", "same-origin")
        .body(order.to_string())
        .unwrap()
}

async fn send(service: &ConsoleService, request: Request<String>) -> Response<Body> {
    service.clone().oneshot(request).await.unwrap()
}

async fn answer(service: &ConsoleService, request: Request<String>) -> (StatusCode, Value) {
    let response = send(service, request).await;
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn json_of(service: &ConsoleService, path: &str) -> Value {
    let (status, value) = answer(service, get(path)).await;
    assert_eq!(status, StatusCode::OK, "{path}: {value}");
    value
}

fn full(actor: &str) -> impl Fn(&http::request::Parts) -> Access + Send + Sync + 'static {
    let actor = actor.to_owned();
    move |_| Access::Full { actor: actor.clone() }
}

fn breaker(name: &'static str) -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::new(name))
}

/// Waits until the console's thread has seen it.
async fn until(service: &ConsoleService, path: &str, what: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let value = json_of(service, path).await;
        if what(&value) {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came: {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn every_breaker_is_in_the_overview_with_its_facts() {
    static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
    static HOSTS: LazyLock<Registry<String>> = LazyLock::new(|| Registry::new("hosts"));
    PAYMENTS.try_acquire().unwrap().failure_because("no answer");
    HOSTS.get("a").open_for(Duration::from_secs(60));
    HOSTS.get("b");
    let service = Console::new().breaker(&PAYMENTS).registry(&HOSTS).service();
    let all = json_of(&service, "/api/breakers").await;
    assert_eq!(all["matched"], 3);
    assert_eq!(all["states"], json!({"closed": 2, "open": 1, "half_open": 0, "forced_open": 0, "forced_closed": 0}));
    assert_eq!(all["access"], json!({"actor": null, "actions": [], "scopes": []}));

    let worst = &all["breakers"][0];
    assert_eq!((&worst["name"], &worst["registry"], &worst["state"]), (&json!("a"), &json!("hosts"), &json!("open")));
    let left = worst["retry_at"].as_u64().unwrap() - all["at"].as_u64().unwrap();
    assert!((59_000..=60_000).contains(&left), "{left}");

    let payments = &all["breakers"][1];
    assert_eq!(payments["last_error"]["message"], "no answer");
    assert_eq!(
        payments["rules"][0],
        json!({"rule": "error_threshold", "value": 1.0, "threshold": 5.0, "is_judged": true, "pressure": 0.2})
    );
    assert_eq!(all["registries"][0]["name"], "hosts");
    assert_eq!(all["registries"][0]["worst"], json!([{"name": "a", "state": "open"}]));
}

#[tokio::test]
async fn the_overview_is_filtered_and_sent_in_pieces() {
    let hosts: Arc<Registry<u32>> =
        Arc::new(Registry::builder(CircuitBreaker::builder("hosts")).capacity(300).build().unwrap());
    for key in 0..300 {
        hosts.get(&key);
    }
    hosts.get(&7).force_open();
    let service = Console::new().breaker(breaker("Payments")).registry(hosts).service();
    let matched = async |query: &str| json_of(&service, &format!("/api/breakers?{query}")).await["matched"].as_u64();
    assert_eq!(matched("").await, Some(301));
    assert_eq!(matched("q=PAY").await, Some(1));
    assert_eq!(matched("registry=hosts").await, Some(300));
    assert_eq!(matched("registry=hosts&q=29").await, Some(13));
    assert_eq!(matched("state=forced_open,open").await, Some(1));
    assert_eq!(matched("registry=nowhere").await, Some(0));

    let mut names = std::collections::HashSet::new();
    for offset in [0, 100, 200, 300] {
        let some = json_of(&service, &format!("/api/breakers?offset={offset}&limit=100")).await;
        names.extend(some["breakers"].as_array().unwrap().iter().map(|row| row["name"].to_string()));
    }
    assert_eq!(names.len(), 301);
    for wrong in ["limit=0", "limit=1001", "limit=x", "offset=-1", "state=ajar", "color=red"] {
        let (status, value) = answer(&service, get(&format!("/api/breakers?{wrong}"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(value["error"].as_str().unwrap().contains(wrong.split('=').next().unwrap()), "{value}");
    }
}

#[tokio::test]
async fn one_breaker_is_told_with_its_hour_its_events_and_its_settings() {
    let journal = Journal::new();
    let payments =
        CircuitBreaker::builder("payments").error_threshold(3).on_transition(journal.observer()).build().unwrap();
    let payments = Arc::new(payments);
    let service = Console::new().breaker(payments.clone()).journal(&journal).service();
    for _ in 0..5 {
        let _ = payments.call_sync(|| Err::<(), _>("down"));
    }
    let path = "/api/breaker?name=payments";
    let one = until(&service, path, |one| one["events"].as_array().is_some_and(|events| !events.is_empty())).await;
    let event = &one["events"][0];
    assert_eq!(
        (&event["from"], &event["to"], &event["cause"]),
        (&json!("closed"), &json!("open"), &json!("error_threshold"))
    );
    assert_eq!(event["consecutive_errors"], 3);
    assert_eq!(one["breaker"]["cause"], "error_threshold");
    assert_eq!(one["breaker"]["totals"]["rejected"], 2);
    let one = until(&service, path, |one| {
        let buckets = one["history"]["buckets"].as_array().unwrap();
        buckets.iter().map(|bucket| bucket[2].as_u64().unwrap()).sum::<u64>() == 3
    })
    .await;
    let threshold =
        one["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "error_threshold").unwrap();
    assert_eq!(threshold["value"], "3");

    let (status, _) = answer(&service, get("/api/breaker?name=nobody")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = answer(&service, get("/api/breaker")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_shadow_is_told_beside_its_breaker() {
    let payments = breaker("payments");
    let stricter = CircuitBreaker::builder("stricter").error_threshold(2).build().unwrap().config();
    payments.shadow(stricter).unwrap();
    let service = Console::new().breaker(payments.clone()).service();
    for _ in 0..4 {
        payments.try_acquire().unwrap().failure();
    }
    let one = until(&service, "/api/breaker?name=payments", |one| one["breaker"]["shadow"]["state"] == "open").await;
    let shadow = &one["breaker"]["shadow"];
    assert_eq!((&shadow["rejected"], &shadow["rejections"]["error"]), (&json!(2), &json!(2)));
    assert_eq!(shadow["transitions"], json!({"error_threshold": 1}));
    assert_eq!(one["breaker"]["state"], "closed");
    payments.end_shadow();
    until(&service, "/api/breaker?name=payments", |one| one["breaker"]["shadow"].is_null()).await;
}

#[tokio::test]
async fn every_act_is_done_and_audited() {
    let payments = breaker("payments");
    let audits: Arc<Mutex<Vec<Audit>>> = Arc::default();
    let heard = audits.clone();
    let service = Console::new()
        .breaker(payments.clone())
        .access(full("ana"))
        .on_audit(|_| panic!("a hook that panics"))
        .on_audit(move |audit| heard.lock().unwrap().push(audit.clone()))
        .service();
    let steps = [
        ("force_open", State::ForcedOpen),
        ("release", State::Closed),
        ("force_closed", State::ForcedClosed),
        ("release", State::Closed),
        ("reset", State::Closed),
    ];
    let mut before = State::Closed;
    for (action, state) in steps {
        let order = json!({"action": action, "name": "payments", "reason": " provider is down "});
        let (status, value) = answer(&service, act(&order)).await;
        assert_eq!(status, StatusCode::OK, "{action}: {value}");
        assert_eq!(value, json!({"from": before.as_str(), "to": state.as_str()}));
        assert_eq!(payments.state(), state, "{action}");
        // At once, and not with the next sample.
        assert_eq!(json_of(&service, "/api/breakers").await["breakers"][0]["state"], state.as_str());
        before = state;
    }
    let order = json!({
        "action": "reconfigure", "name": "payments", "reason": "less patience",
        "settings": {"error_threshold": 2, "reset_timeout": "5s", "window": ""},
    });
    assert_eq!(answer(&service, act(&order)).await.0, StatusCode::OK);
    assert_eq!(payments.config().error_threshold, Some(Some(2)));
    assert_eq!(payments.config().reset_timeout, Some(Duration::from_secs(5)));

    let audits = audits.lock().unwrap().clone();
    assert_eq!(audits.len(), 6);
    assert!(audits.iter().all(|audit| audit.actor.as_deref() == Some("ana")));
    assert_eq!(audits[0].to_string(), "ana: force_open `payments` because \"provider is down\": done");
    assert!(matches!(audits[5].outcome, AuditOutcome::Done { states: Some((State::Closed, State::Closed)), .. }));
    assert_eq!(audits[5].settings.len(), 3);

    let one = json_of(&service, "/api/breaker?name=payments").await;
    let events = one["events"].as_array().unwrap();
    let acts: Vec<_> =
        events.iter().filter(|event| event["kind"] == "act").map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["force_open", "release", "force_closed", "release", "reset", "reconfigure"]);
    let changes: Vec<_> =
        events.iter().filter(|event| event["kind"] == "transition").map(|event| event["cause"].as_str()).collect();
    assert_eq!(changes, [Some("manual"); 4]);
}

#[tokio::test]
async fn a_hold_with_an_end_ends_unless_something_else_did() {
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    let (payments, other) = (breaker("payments"), breaker("other"));
    let audits: Arc<Mutex<Vec<Audit>>> = Arc::default();
    let heard = audits.clone();
    let service = Console::new()
        .breaker(payments.clone())
        .breaker(other.clone())
        .registry(hosts.clone())
        .access(full("ana"))
        .on_audit(move |audit| heard.lock().unwrap().push(audit.clone()))
        .service();
    hosts.get("a");
    for (name, registry, lasts) in [("payments", None, "1s"), ("other", None, "1s"), ("a", Some("hosts"), "1h 30m")] {
        let order =
            json!({"action": "force_open", "name": name, "registry": registry, "reason": "moving", "for": lasts});
        assert_eq!(answer(&service, act(&order)).await.0, StatusCode::OK, "{order}");
    }
    let one = json_of(&service, "/api/breaker?name=a&registry=hosts").await;
    let left = one["breaker"]["hold_ends_at"].as_u64().unwrap() - one["at"].as_u64().unwrap();
    assert!((5_340_000..=5_400_000).contains(&left), "{left}");
    assert_eq!(one["events"][0]["for_ms"], 5_400_000);
    // Somebody else forces it again, and means it.
    other.force_open();
    let one = until(&service, "/api/breaker?name=payments", |one| one["breaker"]["state"] == "closed").await;
    assert_eq!(one["breaker"]["hold_ends_at"], json!(null));
    let released = one["events"].as_array().unwrap().iter().find(|event| event["action"] == "release").unwrap();
    assert_eq!((&released["actor"], &released["reason"]), (&json!("ana"), &json!("the hold has ended: moving")));
    assert_eq!((other.state(), hosts.get("a").state()), (State::ForcedOpen, State::ForcedOpen));
    assert_eq!(json_of(&service, "/api/breaker?name=other").await["breaker"]["hold_ends_at"], json!(null));
    let told: Vec<_> = audits.lock().unwrap().iter().map(|audit| (audit.action, audit.lasts)).collect();
    let second = Some(Duration::from_secs(1));
    let day = Some(Duration::from_secs(5_400));
    let forced = |lasts| (Action::ForceOpen, lasts);
    assert_eq!(told, [forced(second), forced(second), forced(day), (Action::Release, None)]);
    // Nobody ends it later.
    drop(service);
    assert_eq!((other.state(), hosts.get("a").state()), (State::ForcedOpen, State::Closed));
}

#[tokio::test]
async fn no_transition_between_two_samples_is_lost_even_without_a_journal() {
    let payments = breaker("payments");
    let service = Console::new().breaker(payments.clone()).service();
    for _ in 0..3 {
        payments.force_open();
        payments.reset();
    }
    let path = "/api/breaker?name=payments";
    let one = until(&service, path, |one| one["events"].as_array().is_some_and(|events| !events.is_empty())).await;
    let causes: Vec<_> = one["events"].as_array().unwrap().iter().map(|event| event["cause"].as_str()).collect();
    assert_eq!(causes, [Some("manual"), Some("reset")].repeat(3));
}

#[tokio::test]
async fn a_registry_is_reconfigured_as_a_whole() {
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    hosts.get("a");
    let service = Console::new().registry(hosts.clone()).access(full("ana")).service();
    let order =
        json!({"action": "reconfigure", "registry": "hosts", "reason": "x", "settings": {"error_threshold": "1"}});
    assert_eq!(answer(&service, act(&order)).await, (StatusCode::OK, json!({})));
    for host in ["a", "b"] {
        assert_eq!(hosts.get(host).config().error_threshold, Some(Some(1)));
    }
    let settings = json_of(&service, "/api/settings?registry=hosts").await;
    assert!(
        settings
            .as_array()
            .unwrap()
            .iter()
            .any(|setting| setting["name"] == "error_threshold" && setting["value"] == "1")
    );
    let order = json!({"action": "reset", "registry": "hosts", "reason": "x"});
    assert_eq!(answer(&service, act(&order)).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_validation_speaks_for_itself_and_names_the_field() {
    let payments = breaker("payments");
    let service = Console::new().breaker(payments.clone()).access(full("ana")).service();
    for (settings, field) in [
        (json!({"error_threshold": "0"}), "error_threshold"),
        (json!({"error_rate": "1.5"}), "error_rate"),
        (json!({"reset_timeout": "30"}), "reset_timeout"),
        (json!({"reset_timeout": "soon"}), "reset_timeout"),
        (json!({"error_threshold": "none"}), "error_threshold"),
        (json!({"half_open_capacity": 5, "half_open_max_capacity": 2}), "half_open_max_capacity"),
    ] {
        let order = json!({"action": "reconfigure", "name": "payments", "reason": "x", "settings": settings});
        let (status, value) = answer(&service, act(&order)).await;
        assert_eq!((status, &value["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{settings}: {value}");
        let error = value["error"].as_str().unwrap();
        assert!(error.contains(field) && error.contains("allowed"), "{error}");
    }
    let order =
        json!({"action": "reconfigure", "name": "payments", "reason": "x", "settings": {"reset_timeuot": "3s"}});
    let (status, value) = answer(&service, act(&order)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(value["error"].as_str().unwrap().contains("reset_timeout"), "{value}");
    assert_eq!(payments.config(), CircuitBreaker::new("other").config());
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused_with_a_reason() {
    let service = Console::new().breaker(breaker("payments")).access(full("ana")).service();
    let long = "x".repeat(501);
    for (order, status, word) in [
        (json!([]), StatusCode::BAD_REQUEST, "object"),
        (json!({}), StatusCode::BAD_REQUEST, "action"),
        (json!({"action": "explode", "name": "payments", "reason": "x"}), StatusCode::BAD_REQUEST, "explode"),
        (json!({"action": "reset", "name": "payments"}), StatusCode::BAD_REQUEST, "reason"),
        (json!({"action": "reset", "name": "payments", "reason": "  "}), StatusCode::BAD_REQUEST, "reason"),
        (json!({"action": "reset", "name": "payments", "reason": long}), StatusCode::BAD_REQUEST, "500"),
        (json!({"action": "reset", "reason": "x"}), StatusCode::BAD_REQUEST, "name"),
        (json!({"action": "reset", "name": 5, "reason": "x"}), StatusCode::BAD_REQUEST, "name"),
        (
            json!({"action": "reset", "name": "payments", "reason": "x", "force": true}),
            StatusCode::BAD_REQUEST,
            "force",
        ),
        (
            json!({"action": "reset", "name": "payments", "reason": "x", "settings": {}}),
            StatusCode::BAD_REQUEST,
            "settings",
        ),
        (json!({"action": "reset", "name": "nobody", "reason": "x"}), StatusCode::NOT_FOUND, "no breaker"),
        (
            json!({"action": "reset", "name": "payments", "registry": "hosts", "reason": "x"}),
            StatusCode::NOT_FOUND,
            "no",
        ),
        (json!({"action": "release", "name": "payments", "reason": "x"}), StatusCode::CONFLICT, "closed"),
    ] {
        let (got, value) = answer(&service, act(&order)).await;
        assert_eq!(got, status, "{order}: {value}");
        assert!(value["error"].as_str().unwrap().contains(word), "{order}: {value}");
    }
    let huge = json!({"action": "reset", "name": "x".repeat(300_000), "reason": "x"});
    assert_eq!(answer(&service, act(&huge)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn two_breakers_of_one_name_are_shown_and_not_acted_on() {
    let (one, other) = (breaker("twin"), breaker("twin"));
    let service = Console::new().breaker(one.clone()).breaker(other.clone()).access(full("ana")).service();
    assert_eq!(json_of(&service, "/api/breakers").await["matched"], 2);
    assert_eq!(json_of(&service, "/api/breaker?name=twin").await["breaker"]["namesakes"], 1);
    let (status, value) = answer(&service, act(&json!({"action": "force_open", "name": "twin", "reason": "x"}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "{value}");
    assert_eq!((one.state(), other.state()), (State::Closed, State::Closed));
}

#[tokio::test]
async fn what_access_does_not_give_is_refused_by_the_server() {
    let payments = breaker("payments");
    let audits: Arc<Mutex<Vec<Audit>>> = Arc::default();
    let heard = audits.clone();
    let console =
        Console::new().breaker(payments.clone()).on_audit(move |audit| heard.lock().unwrap().push(audit.clone()));
    let service = console
        .access(|request| match request.headers.get("x-user").and_then(|user| user.to_str().ok()) {
            Some("ana") => Access::Some { actor: "ana".into(), actions: vec![Action::Release] },
            Some("mallory") => Access::Forbidden,
            Some("bug") => panic!("a host with a bug"),
            _ => Access::ReadOnly,
        })
        .service();
    let as_user = |user: &str, mut request: Request<String>| {
        request.headers_mut().insert("x-user", user.parse().unwrap());
        request
    };
    let force = json!({"action": "force_open", "name": "payments", "reason": "x"});
    for user in ["nobody", "ana"] {
        assert_eq!(answer(&service, as_user(user, act(&force))).await.0, StatusCode::FORBIDDEN, "{user}");
    }
    assert_eq!(payments.state(), State::Closed);
    assert_eq!(audits.lock().unwrap().len(), 2);
    assert!(audits.lock().unwrap().iter().all(|audit| matches!(audit.outcome, AuditOutcome::Refused { .. })));
    let may = answer(&service, as_user("ana", get("/api/breakers"))).await.1;
    assert_eq!(may["access"], json!({"actor": "ana", "actions": ["release"], "scopes": ["process"]}));

    payments.force_open();
    let release = json!({"action": "release", "name": "payments", "reason": "x"});
    assert_eq!(answer(&service, as_user("ana", act(&release))).await.0, StatusCode::OK);
    for path in ["/", "/console.js", "/api/breakers", "/api/stream", "/nowhere"] {
        assert_eq!(answer(&service, as_user("mallory", get(path))).await.0, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(answer(&service, as_user("bug", get(path))).await.0, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!(answer(&service, as_user("bug", act(&release))).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_write_that_another_site_could_send_is_refused_and_does_nothing() {
    let payments = breaker("payments");
    let service = Console::new().breaker(payments.clone()).access(full("ana")).service();
    let order = json!({"action": "force_open", "name": "payments", "reason": "x"});
    let without = |name: &str| {
        let mut request = act(&order);
        request.headers_mut().remove(name);
        request
    };
    let with = |name: &'static str, value: &str| {
        let mut request = act(&order);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    for (request, status) in [
        (without("x-tripcoil-console"), StatusCode::FORBIDDEN),
        (without("sec-fetch-site"), StatusCode::FORBIDDEN),
        (without("content-type"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (with("content-type", "text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (with("sec-fetch-site", "cross-site"), StatusCode::FORBIDDEN),
        (with("sec-fetch-site", "same-site"), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(answer(&service, request).await.0, status);
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let mut request = act(&order);
        *request.method_mut() = method.clone();
        let response = send(&service, request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
    }
    assert_eq!(payments.state(), State::Closed);
    let mut foreign = get("/api/stream");
    foreign.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(answer(&service, foreign).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_answer_carries_the_policy_and_no_cookie() {
    let service = Console::new().breaker(breaker("payments")).service();
    for path in
        ["/", "/console.css", "/console.js", "/chart.js", "/icon.svg", "/api/breakers", "/nowhere", "/api/nowhere"]
    {
        let response = send(&service, get(path)).await;
        let headers = response.headers();
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(headers.get("set-cookie").is_none(), "{path}");
        if path.starts_with("/api") {
            assert_eq!(headers["cache-control"], "no-store", "{path}");
            assert_eq!(headers[CONTENT_TYPE], "application/json", "{path}");
        }
    }
    let first = send(&service, get("/console.js")).await;
    let mut again = get("/console.js");
    again.headers_mut().insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
    let again = send(&service, again).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let head = send(&service, head).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn hostile_names_are_data() {
    let script: Arc<CircuitBreaker> = breaker("<script>alert(1)</script>");
    let long: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::builder("\"'&<>\u{202e}\0\n".repeat(1_000)).build().unwrap());
    let service = Console::new().breaker(script).breaker(long.clone()).access(full("<b>ana</b>\n")).service();
    let all = json_of(&service, "/api/breakers").await;
    let names: Vec<_> = all["breakers"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"<script>alert(1)</script>") && names.contains(&long.name()));
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("name", long.name()).finish();
    let one = json_of(&service, &format!("/api/breaker?{query}")).await;
    assert_eq!(one["breaker"]["name"], long.name());
    let order = json!({"action": "force_open", "name": long.name(), "reason": "<img src=x onerror=alert(1)>"});
    assert_eq!(answer(&service, act(&order)).await.0, StatusCode::OK);
    assert_eq!(long.state(), State::ForcedOpen);

    // An event ends at an empty line, and no name can make one.
    let mut body = send(&service, get("/api/stream")).await.into_body();
    let text = next_event(&mut body).await.unwrap();
    assert!(text.ends_with("\n\n") && !text.trim_end().contains("\n\n"));
}

async fn next_event(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await.expect("an event within a minute")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

fn data(event: &str) -> Value {
    let line = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn a_stream_sends_everything_once_and_then_what_has_changed() {
    let (calm, busy) = (breaker("calm"), breaker("busy"));
    let service = Console::new().breaker(calm).breaker(busy.clone()).service();
    let response = send(&service, get("/api/stream")).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    let first = next_event(&mut body).await.unwrap();
    assert!(first.starts_with("retry: 2000\nevent: overview\ndata: {"), "{first}");
    let first = data(&first);
    assert_eq!(first["breakers"].as_array().unwrap().len(), 2);
    assert_eq!(first["order"].as_array().unwrap().len(), 2);
    assert!(first["instance"].is_string());

    busy.force_open();
    let changed = loop {
        let event = data(&next_event(&mut body).await.unwrap());
        if let Some(row) = event["breakers"].as_array().unwrap().first() {
            assert_eq!(event["breakers"].as_array().unwrap().len(), 1, "only what has changed: {event}");
            break row.clone();
        }
    };
    assert_eq!(changed["state"], "forced_open");
    assert!(changed.get("name").is_none());
}

#[tokio::test]
async fn a_slow_reader_gets_the_newest_and_nothing_waits_for_it() {
    let payments = breaker("payments");
    let service = Console::new().breaker(payments.clone()).access(full("ana")).service();
    let mut body = send(&service, get("/api/stream")).await.into_body();
    next_event(&mut body).await.unwrap();
    for action in ["force_open", "reset"].repeat(20) {
        let order = json!({"action": action, "name": "payments", "reason": "x"});
        assert_eq!(answer(&service, act(&order)).await.0, StatusCode::OK);
    }
    payments.force_closed();
    until(&service, "/api/breakers", |all| all["states"]["forced_closed"] == 1).await;
    let event = data(&next_event(&mut body).await.unwrap());
    assert_eq!(event["states"]["forced_closed"], 1, "the forty acts before were passed over");
}

#[tokio::test]
async fn one_breaker_is_streamed_with_its_events_and_says_when_it_is_gone() {
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    hosts.get("a b/ä");
    let service = Console::new().registry(hosts.clone()).access(full("ana")).service();
    let mut body = send(&service, get("/api/stream?registry=hosts&name=a+b%2F%C3%A4")).await.into_body();
    let first = next_event(&mut body).await.unwrap();
    assert!(first.contains("event: breaker\n"));
    assert_eq!(data(&first)["breaker"]["name"], "a b/ä");
    let order = json!({"action": "force_open", "registry": "hosts", "name": "a b/ä", "reason": "why not"});
    assert_eq!(answer(&service, act(&order)).await.0, StatusCode::OK);
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let event = data(&next_event(&mut body).await.unwrap());
        let events = event["events"].as_array().cloned().unwrap_or_default();
        kinds.extend(events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()));
    }
    assert_eq!(kinds, ["act", "transition"]);
    hosts.remove("a b/ä");
    while !next_event(&mut body).await.unwrap().contains("event: gone\n") {}
    hosts.get("a b/ä");
    loop {
        let event = next_event(&mut body).await.unwrap();
        if event.contains("event: breaker\n") {
            assert_eq!(data(&event)["breaker"]["state"], "closed");
            break;
        }
    }
}

#[tokio::test]
async fn streams_are_bounded_and_their_places_come_back() {
    let service = Console::new().breaker(breaker("payments")).service();
    let mut open = Vec::new();
    let refused = loop {
        let response = send(&service, get("/api/stream")).await;
        if response.status() != StatusCode::OK {
            break response.status();
        }
        open.push(response.into_body());
        assert!(open.len() < 1_000, "there is no bound");
    };
    assert_eq!((refused, open.len()), (StatusCode::SERVICE_UNAVAILABLE, 128));
    open.pop();
    assert_eq!(send(&service, get("/api/stream")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn streams_end_when_the_host_stops_or_the_console_is_dropped() {
    let console = Console::new().breaker(breaker("payments"));
    let closer = console.closer();
    let service = console.service();
    let mut body = send(&service, get("/api/stream")).await.into_body();
    next_event(&mut body).await.unwrap();
    closer.close();
    while next_event(&mut body).await.is_some() {}
    assert_eq!(send(&service, get("/api/stream")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(send(&service, get("/api/breakers")).await.status(), StatusCode::OK);

    let service = Console::new().breaker(breaker("payments")).service();
    let mut body = send(&service, get("/api/stream")).await.into_body();
    next_event(&mut body).await.unwrap();
    drop(service);
    while next_event(&mut body).await.is_some() {}
    assert!(body.is_end_stream() || next_event(&mut body).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acts_samples_streams_and_evictions_go_on_at_the_same_time() {
    let journal = Journal::new();
    let template = CircuitBreaker::builder("hosts").error_threshold(1).on_transition(journal.observer_of("hosts"));
    let hosts: Arc<Registry<u32>> = Arc::new(Registry::builder(template).capacity(64).build().unwrap());
    let console = Console::new().registry(hosts.clone()).journal(&journal).access(full("ana"));
    let service = console.history_limit(200_000).service();
    let until = Instant::now() + Duration::from_secs(4);
    let called = hosts.clone();
    let calls = std::thread::spawn(move || {
        for key in (0_u32..).take_while(|_| Instant::now() < until) {
            let _ = called.call_sync(&(key % 500), || if key % 3 == 0 { Err(()) } else { Ok(()) });
        }
    });
    let mut tasks = Vec::new();
    for task in 0..4_u32 {
        let service = service.clone();
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            for key in (task..).take_while(|_| Instant::now() < until) {
                let action = ["force_open", "reset"][key as usize % 2];
                let order =
                    json!({"action": action, "registry": "hosts", "name": (key % 500).to_string(), "reason": "x"});
                let status = answer(&service, act(&order)).await.0;
                assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{status}");
                done += u32::from(status == StatusCode::OK);
            }
            done
        }));
    }
    let mut body = send(&service, get("/api/stream?limit=1000")).await.into_body();
    while Instant::now() < until {
        let event = data(&next_event(&mut body).await.unwrap());
        assert!(event["matched"].as_u64().unwrap() <= 64, "{}", event["matched"]);
    }
    calls.join().unwrap();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    assert!(done > 0);
    let all = json_of(&service, "/api/breakers?limit=1000").await;
    let listed = all["breakers"].as_array().unwrap();
    // 200 000 bytes are the histories of 24 or a few more.
    let with_history = listed.iter().filter(|row| row.get("sparkline").is_some()).count();
    assert!((1..=28).contains(&with_history), "{with_history} of {}", listed.len());
}

/// A key whose clone panics when it is told to.
#[derive(PartialEq, Eq, Hash)]
struct Fragile(u32);

static BREAKS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!BREAKS.load(std::sync::atomic::Ordering::Relaxed), "a key that cannot be cloned");
        Fragile(self.0)
    }
}

impl std::fmt::Display for Fragile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[tokio::test]
async fn a_registry_that_panics_harms_nothing_else() {
    let fragile: Arc<Registry<Fragile>> = Arc::new(Registry::new("fragile"));
    fragile.get(&Fragile(1));
    let payments = breaker("payments");
    let service = Console::new().registry(fragile).breaker(payments.clone()).access(full("ana")).service();
    BREAKS.store(true, std::sync::atomic::Ordering::Relaxed);
    payments.force_open();
    let all = until(&service, "/api/breakers", |all| all["registries"][0]["is_readable"] == false).await;
    assert_eq!(all["matched"], 2, "what was seen before is still shown");
    assert_eq!(all["states"]["forced_open"], 1);
    let order = json!({"action": "force_open", "registry": "fragile", "name": "1", "reason": "x"});
    assert_eq!(answer(&service, act(&order)).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    BREAKS.store(false, std::sync::atomic::Ordering::Relaxed);
    until(&service, "/api/breakers", |all| all["registries"][0]["is_readable"] == true).await;
}

#[cfg(feature = "axum")]
mod in_axum {
    use super::*;
    use axum::Router;

    /// The status, and how the page refers to its script.
    async fn status_and_script(app: &Router, path: &str) -> (StatusCode, Option<String>) {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let script = String::from_utf8_lossy(&text)
            .split("src=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next().map(str::to_owned));
        (status, script.filter(|_| path.ends_with("breakers") || path.ends_with('/')))
    }

    #[tokio::test]
    async fn it_is_nested_under_a_prefix() {
        let app: Router = Router::new().nest("/ops/breakers", Console::new().breaker(breaker("payments")).router());
        let page = (StatusCode::OK, Some("./breakers/console.js".to_owned()));
        assert_eq!(status_and_script(&app, "/ops/breakers").await, page);
        for path in ["/ops/breakers/console.js", "/ops/breakers/api/breakers"] {
            assert_eq!(status_and_script(&app, path).await, (StatusCode::OK, None), "{path}");
        }
        assert_eq!(status_and_script(&app, "/ops/breakers/nowhere").await.0, StatusCode::NOT_FOUND);
        assert_eq!(status_and_script(&app, "/").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn it_is_merged_at_the_root_or_served_as_a_service() {
        let app: Router = Console::new().breaker(breaker("payments")).router();
        let page = |script: &str| (StatusCode::OK, Some(script.to_owned()));
        assert_eq!(status_and_script(&app, "/").await, page("./console.js"));
        let app: Router = Router::new().nest_service("/breakers", Console::new().service());
        assert_eq!(status_and_script(&app, "/breakers/").await, page("./console.js"));
        assert_eq!(status_and_script(&app, "/breakers").await, page("./breakers/console.js"));
        assert_eq!(status_and_script(&app, "/breakers/api/breakers").await, (StatusCode::OK, None));
    }
}

#[cfg(feature = "serve")]
mod served {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: std::net::SocketAddr, host: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /api/breakers HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_program_without_async_serves_it_and_stops_it() {
        let serving =
            Console::new().breaker(breaker("payments")).allow_host("Ops.example").serve("127.0.0.1:0").unwrap();
        let address = serving.local_addr();
        assert_eq!(serving.url(), format!("http://{address}/"));
        for host in [address.to_string(), format!("localhost:{}", address.port()), "ops.example".into()] {
            assert_eq!(ask(address, &host), "HTTP/1.1 200 OK", "{host}");
        }
        for host in ["rebound.example", "ops.example.evil.example", ""] {
            assert_eq!(ask(address, host), "HTTP/1.1 421 Misdirected Request", "{host}");
        }
        // A live page does not keep it from stopping.
        let mut live = TcpStream::connect(address).unwrap();
        write!(live, "GET /api/stream HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut some = [0; 64];
        assert!(live.read(&mut some).unwrap() > 0);
        serving.stop();
        assert!(TcpStream::connect(address).is_err());
        let again = Console::new().serve(address).unwrap();
        again.stop();
    }

    #[test]
    fn an_address_that_is_taken_is_an_error() {
        let first = Console::new().serve("127.0.0.1:0").unwrap();
        assert_eq!(Console::new().serve(first.local_addr()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        assert!(Console::new().serve("no such host at all:1").is_err());
    }
}
