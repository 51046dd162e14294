//! Three upstreams that fail now and then, and the traffic that calls them. Nothing here is for your program.
//!
//! Every three minutes by the clock, `payments` answers with errors for 40 s, and later `shipping` is slow for 30 s; with
//! `--calm` they do not. To see an outage now, start one. It lasts until you end it, for at most ten minutes:
//!
//! ```sh
//! curl -X POST http://127.0.0.1:8080/simulation/payments/down   # or `slow`
//! curl -X POST http://127.0.0.1:8080/simulation/payments/up
//! ```
//!
//! Everything stays on the loopback interface. The traffic is at most 60 requests a second.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

const NAMES: [&str; 3] = ["payments", "shipping", "stock"];
/// How long an outage lasts if nobody ends it.
const LONGEST: Duration = Duration::from_secs(600);
/// Each upstream has this many users, each with at most ten requests a second.
const USERS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Condition {
    Up,
    Slow,
    Down,
}

impl Condition {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "up" => Some(Condition::Up),
            "slow" => Some(Condition::Slow),
            "down" => Some(Condition::Down),
            _ => None,
        }
    }

    /// The condition by the clock.
    fn scheduled(upstream: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match (upstream, now.as_secs() % 180) {
            ("payments", 20..60) => Condition::Down,
            ("shipping", 110..140) => Condition::Slow,
            _ => Condition::Up,
        }
    }
}

/// The condition that a request set, and until when.
type Orders = [Option<(Condition, Instant)>; NAMES.len()];

#[derive(Clone)]
pub(crate) struct Upstreams {
    address: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    is_calm: bool,
}

impl Upstreams {
    pub(crate) async fn start(is_calm: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let upstreams = Upstreams { address: listener.local_addr()?, orders: Arc::default(), is_calm };
        let app = Router::new().route("/{upstream}", get(answer)).with_state(upstreams.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(upstreams)
    }

    /// The URL of an upstream, if there is one with this name.
    pub(crate) fn url(&self, upstream: &str) -> Option<String> {
        place(upstream).map(|_| format!("http://{}/{upstream}", self.address))
    }

    /// Returns the routes that start and end outages.
    pub(crate) fn switches<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new().route("/{upstream}/{condition}", post(switch)).with_state(self.clone())
    }

    fn condition(&self, upstream: &str, place: usize) -> Condition {
        let order = self.orders.lock().expect("nobody panics with it")[place];
        match order.filter(|(_, until)| Instant::now() < *until) {
            Some((condition, _)) => condition,
            None if self.is_calm => Condition::Up,
            None => Condition::scheduled(upstream),
        }
    }
}

fn place(upstream: &str) -> Option<usize> {
    NAMES.iter().position(|name| *name == upstream)
}

async fn answer(State(upstreams): State<Upstreams>, Path(upstream): Path<String>) -> StatusCode {
    let Some(place) = place(&upstream) else { return StatusCode::NOT_FOUND };
    match upstreams.condition(&upstream, place) {
        Condition::Up => {
            sleep(Duration::from_millis(5)).await;
            StatusCode::OK
        }
        Condition::Slow => {
            sleep(Duration::from_millis(800)).await;
            StatusCode::OK
        }
        Condition::Down => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn switch(State(upstreams): State<Upstreams>, Path((upstream, condition)): Path<(String, String)>) -> StatusCode {
    let (Some(place), Some(condition)) = (place(&upstream), Condition::from_name(&condition)) else {
        return StatusCode::NOT_FOUND;
    };
    upstreams.orders.lock().expect("nobody panics with it")[place] = Some((condition, Instant::now() + LONGEST));
    StatusCode::NO_CONTENT
}

/// Calls the shop until the result is dropped.
pub(crate) fn start_traffic(shop: SocketAddr) -> JoinSet<()> {
    let users = NAMES.into_iter().flat_map(|upstream| [upstream; USERS]);
    users.map(|upstream| use_shop(format!("http://{shop}/shop/{upstream}"))).collect()
}

async fn use_shop(url: String) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let client = client.expect("a client without TLS can be made");
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        // Users do not care why it failed.
        let _ = client.get(&url).send().await;
    }
}
