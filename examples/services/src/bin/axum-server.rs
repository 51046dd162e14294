//! An axum server whose search depends on an index that fails. The program ends by itself.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use services::Loopback;
use tripcoil::CircuitBreaker;
use tripcoil::http::{ByStatus, unavailable};
use tripcoil::tower::BreakerLayer;

static SEARCH: CircuitBreaker = CircuitBreaker::new("search");

fn app() -> Router {
    let breaker = BreakerLayer::new(&SEARCH).judging(ByStatus::new()).answering(unavailable);
    Router::new().route("/search", get(search)).layer(breaker)
}

static INDEX_IS_DOWN: AtomicBool = AtomicBool::new(false);

async fn search() -> Result<&'static str, StatusCode> {
    if INDEX_IS_DOWN.load(Ordering::Relaxed) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok("found")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Loopback::axum(app())?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let ask = async || -> reqwest::Result<StatusCode> {
        let response = client.get(server.url("/search")).send().await?;
        println!("{}, retry-after: {:?}", response.status(), response.headers().get("retry-after"));
        Ok(response.status())
    };

    assert_eq!(ask().await?, StatusCode::OK);
    INDEX_IS_DOWN.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(ask().await?, StatusCode::INTERNAL_SERVER_ERROR);
    }
    println!("-- {:?}", SEARCH.state());
    assert_eq!(ask().await?, StatusCode::SERVICE_UNAVAILABLE);

    INDEX_IS_DOWN.store(false, Ordering::Relaxed);
    SEARCH.transition_to(tripcoil::State::HalfOpen); // an operator need not wait for the 30 seconds to pass
    for _ in 0..2 {
        assert_eq!(ask().await?, StatusCode::OK);
    }
    println!("-- {:?}", SEARCH.state());
    assert_eq!(SEARCH.state(), tripcoil::State::Closed);
    Ok(())
}
