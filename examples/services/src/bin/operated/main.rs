//! A service that is ready to be operated: its breakers have a console, metrics, logs, settings from the environment and a
//! fleet, and it stops gracefully.
//!
//! ```sh
//! cargo run -p services --bin operated [-- [--port N] [--redis URL] [--calm]]
//! ```
//!
//! It calls three upstreams through one breaker each. They are simulated, and so is the traffic: see `simulation.rs`. This
//! file is the one to copy from.

mod options;
mod simulation;

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};
use tripcoil::http::{ByStatus, unavailable};
use tripcoil::{
    CircuitBreaker, Config, ConfigError, Exporter, KeyedPermit, Outcome, Recovery, Registry, Window, trace,
};
use tripcoil_console::{Access, Console, Journal};
use tripcoil_fleet::{BuildError, Fleet, FleetConfig, Memory};

use options::Options;
use simulation::Upstreams;

/// Passes transitions with their causes to the console.
static JOURNAL: LazyLock<Journal> = LazyLock::new(Journal::new);
/// Exports the counts of the breakers to Prometheus.
static EXPORTER: LazyLock<Exporter> = LazyLock::new(Exporter::new);

/// How long requests may take to end after the process has been told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What the handlers share.
struct Shop {
    upstreams: Upstreams,
    breakers: Arc<Registry<String>>,
    client: reqwest::Client,
    metrics: PrometheusHandle,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("operated: {error}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operated: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    // Logs and metrics come first, so that they miss nothing of what follows.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let metrics = PrometheusBuilder::new().install_recorder()?;

    let breakers = Arc::new(breakers()?);
    EXPORTER.add_registry(&breakers);
    let fleet = join_fleet(options, &breakers)?;
    let console = Console::new().registry(breakers.clone()).fleet(&fleet).journal(&JOURNAL).access(access);
    let console_closer = console.closer();

    let address = (Ipv4Addr::LOCALHOST, options.port);
    let listener = TcpListener::bind(address).await.map_err(|error| format!("port {}: {error}", options.port))?;
    let address = listener.local_addr()?;
    let upstreams = Upstreams::start(options.is_calm).await?;
    // The client enforces the time-out, so the breaker sees it as an error.
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let simulation = simulation::start_traffic(address);
    let shop = Arc::new(Shop { upstreams, breakers, client, metrics });
    let app = Router::new()
        .route("/shop/{upstream}", get(call_upstream))
        .route("/metrics", get(render_metrics))
        // An open breaker is no reason to restart or to drain this process: the others have the same upstreams.
        .route("/health", get(async || "ok"))
        .nest("/breakers", console.router())
        .nest("/simulation", shop.upstreams.switches())
        .with_state(shop);

    let (shutdown, signal) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(signal.await) });
    let server = tokio::spawn(server.into_future());
    println!("breakers  http://{address}/breakers");
    println!("metrics   http://{address}/metrics");

    stop_requested().await?;
    info!("stopping");
    drop(simulation);
    console_closer.close(); // an open page would keep the server alive for minutes
    drop(shutdown);
    if timeout(GRACE, server).await.is_err() {
        warn!("requests are still running after {GRACE:?}");
    }
    drop(fleet); // leaves the fleet, so that the others do not wait for this member
    Ok(())
}

/// One breaker for each upstream. `UPSTREAMS_RESET_TIMEOUT=30s` and the like override the settings.
fn breakers() -> Result<Registry<String>, ConfigError> {
    let template = CircuitBreaker::builder("upstreams")
        .error_rate(0.5)
        .slow_call_rate(0.8)
        .slow_call_duration(Duration::from_millis(500))
        .window(Window::time(Duration::from_secs(10)))
        .minimum_calls(20)
        .reset_timeout(Duration::from_secs(10))
        .recovery(Recovery::steps([0.1, 0.5]).each(Duration::from_secs(10)))
        .config(Config::from_env("UPSTREAMS_")?)
        .on_transition(trace::observer())
        .on_transition(EXPORTER.observer())
        .on_transition(JOURNAL.observer_of("upstreams"));
    Registry::builder(template).build()
}

/// With a Redis server, all replicas share what they know about the upstreams. `Memory` is for a single process. `FLEET_BEAT=2s`
/// and the like override the settings, and `FLEET_REDIS=redis://127.0.0.1:6379` the store.
fn join_fleet(options: &Options, breakers: &Registry<String>) -> Result<Fleet, BuildError> {
    let mut fleet = Fleet::builder("shop").store(Memory::new()).config(FleetConfig::from_env("FLEET_")?);
    if let Some(url) = &options.redis {
        fleet = fleet.redis(url)?;
    }
    let fleet = fleet.build()?;
    fleet.join_registry(breakers);
    fleet.export(&EXPORTER);
    Ok(fleet)
}

/// Who may operate the breakers. A proxy that authenticates people says who it is.
fn access(request: &Parts) -> Access {
    let user = request.headers.get("x-forwarded-user").and_then(|user| user.to_str().ok());
    // Without a proxy, only people on this machine reach a loopback address. If you listen on another one, return
    // `Access::ReadOnly` here instead.
    Access::Full { actor: user.unwrap_or("somebody on this machine").to_owned() }
}

async fn call_upstream(State(shop): State<Arc<Shop>>, Path(upstream): Path<String>) -> Response<axum::body::Body> {
    // A name from a request must not create a breaker, because each takes memory.
    let Some(url) = shop.upstreams.url(&upstream) else { return StatusCode::NOT_FOUND.into_response() };
    let permit = match shop.breakers.try_acquire(&upstream) {
        Ok(permit) => permit,
        Err(rejected) => return unavailable(&rejected),
    };
    let result = shop.client.get(url).send().await;
    report(permit, &result);
    match result {
        Ok(response) => response.status().into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.without_url().to_string()).into_response(),
    }
}

/// `call_with` would do, but a message tells the operator what went wrong: the console shows the text of the last error.
fn report(permit: KeyedPermit, result: &reqwest::Result<reqwest::Response>) {
    match result {
        Ok(response) => match ByStatus::new().outcome(response.status(), response.headers()) {
            Outcome::Failure => permit.failure_because(format!("answered {}", response.status())),
            outcome => permit.record(outcome),
        },
        Err(error) => permit.failure_because(error.to_string()),
    }
}

async fn render_metrics(State(shop): State<Arc<Shop>>) -> String {
    EXPORTER.publish();
    shop.metrics.render()
}

/// Returns when the process is told to stop: by Ctrl-C, or by the SIGTERM that systemd, Docker and Kubernetes send.
async fn stop_requested() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
