//! The program `operated`, as its operators use it: page, API, metrics, a hold, settings from the environment, and SIGTERM.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use tokio::time::sleep;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operated"));
    command
        .env("UPSTREAMS_RESET_TIMEOUT", "1s")
        .env("UPSTREAMS_RECOVERY", "0.5 each 1s")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

struct Running {
    child: Child,
    client: Client,
    /// The address that it prints, without `/breakers`.
    url: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["--port", "0"], arguments].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("breakers  ").and_then(|url| url.strip_suffix("/breakers")).unwrap().into();
        Running { child, client: Client::builder().no_proxy().build().unwrap(), url }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn post(&self, path: &str) -> StatusCode {
        self.client.post(format!("{}{path}", self.url)).send().await.unwrap().status()
    }

    async fn act(&self, action: &str, name: &str) -> (StatusCode, String) {
        let act = format!(r#"{{"action":"{action}","registry":"upstreams","name":"{name}","reason":"a drill"}}"#);
        let request = self.client.post(format!("{}/breakers/api/act", self.url)).body(act);
        let request = request.header("content-type", "application/json").header("x-tripcoil-console", "1");
        let response = request.header("origin", &self.url).header("x-forwarded-user", "ana").send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// Waits until the metrics have this line.
    async fn until_metric(&self, line: &str) {
        let begun = Instant::now();
        loop {
            let (_, page) = self.get("/metrics").await;
            if page.lines().any(|found| found == line) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {line} in\n{page}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it as systemd would, and returns how it ended and what it logged.
    fn stop(mut self) -> (Option<i32>, String) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_operator_reads_holds_releases_and_stops_it() {
    let operated = Running::start(&["--calm"]);
    let (status, page) = operated.get("/breakers").await;
    assert!(status == 200 && page.starts_with("<!doctype html>"), "{status}: {page}");
    assert_eq!(operated.get("/health").await, (StatusCode::OK, "ok".to_owned()));
    assert_eq!(operated.get("/shop/payments").await.0, 200);
    assert_eq!(operated.get("/shop/unknown").await.0, 404);
    operated.until_metric(r#"circuit_breaker_state{name="payments",state="closed"} 1"#).await;
    operated.until_metric(r#"circuit_breaker_registry_breakers{registry="upstreams"} 3"#).await;
    operated.until_metric(r#"circuit_breaker_fleet_connected{fleet="shop"} 1"#).await;

    let (status, answer) = operated.act("force_open", "payments").await;
    assert!(status == 200 && answer.contains(r#""to":"forced_open""#), "{status}: {answer}");
    assert_eq!(operated.get("/shop/payments").await.0, 503);
    operated.until_metric(r#"circuit_breaker_state{name="payments",state="forced_open"} 1"#).await;
    let (_, overview) = operated.get("/breakers/api/breakers?state=forced_open").await;
    assert!(overview.contains(r#""name":"payments""#), "{overview}");
    let (status, answer) = operated.act("release", "payments").await;
    assert!(status == 200, "{status}: {answer}");
    // The traffic passes through the step of the recovery.
    operated.until_metric(r#"circuit_breaker_state{name="payments",state="closed"} 1"#).await;

    let live = operated.client.get(format!("{}/breakers/api/stream", operated.url)).send().await.unwrap();
    assert_eq!(live.status(), 200);
    let (code, log) = operated.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping") && !log.contains("still running"), "{log}");
    assert!(log.contains("closed -> forced_open") && log.contains("ana") && log.contains("a drill"), "{log}");
}

#[tokio::test]
async fn an_outage_opens_the_breaker_and_ends() {
    let operated = Running::start(&["--calm"]);
    assert_eq!(operated.post("/simulation/stock/down").await, 204);
    operated.until_metric(r#"circuit_breaker_state{name="stock",state="open"} 1"#).await;
    assert_eq!(operated.post("/simulation/shipping/slow").await, 204);
    operated.until_metric(r#"circuit_breaker_state{name="shipping",state="open"} 1"#).await;
    assert_eq!(operated.post("/simulation/stock/up").await, 204);
    operated.until_metric(r#"circuit_breaker_state{name="stock",state="closed"} 1"#).await;
    assert_eq!(operated.post("/simulation/stock/sideways").await, 404);
    assert_eq!(operated.post("/simulation/unknown/down").await, 404);
}

#[test]
fn it_says_what_it_does_not_accept() {
    for (arguments, says) in [
        (&["--port", "70000"][..], r#"--port is "70000", allowed is 0 to 65535"#),
        (&["--port"], "--port needs a value"),
        (&["--nonsense"], r#"unknown option "--nonsense""#),
    ] {
        let (code, error) = output(&mut command(arguments));
        assert!(code == Some(2) && error.contains(says) && error.contains("usage:"), "{code:?}: {error}");
    }

    let (code, error) = output(command(&["--port", "0"]).env("UPSTREAMS_RESET_TIMEOUT", "30"));
    assert!(code == Some(1) && error.contains(r#"`UPSTREAMS_RESET_TIMEOUT` is "30""#), "{code:?}: {error}");

    let (code, error) = output(&mut command(&["--redis", "http://user:secret@127.0.0.1/"]));
    assert!(code == Some(1) && error.contains("`redis` is") && !error.contains("secret"), "{code:?}: {error}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, error) = output(&mut command(&["--port", &port]));
    assert!(code == Some(1) && error.contains(&format!("port {port}: ")), "{code:?}: {error}");
}
