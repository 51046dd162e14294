//! reqwest behind a breaker: failures, a `Retry-After`, recovery. It ends by itself.

use std::error::Error;
use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Client, Response};
use services::{Conduct, Loopback, Reply};
use tokio::time::sleep;
use tripcoil::http::ByStatus;
use tripcoil::{CircuitBreaker, Outcome, State};

fn judge(result: &reqwest::Result<Response>) -> Outcome {
    match result {
        Ok(response) => ByStatus::new().outcome(response.status(), response.headers()),
        Err(_) => Outcome::Failure,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let breaker = CircuitBreaker::builder("quotes").on_transition(|transition| println!("-- {transition}")).build()?;
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app())?;
    // The client's own time-out is an error of the call, as it should be.
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let quotes = breaker.judging(judge);

    println!("{}", quotes.call(client.get(server.url("/")).send()).await?.text().await?);
    let headers = vec![("retry-after", "1".to_owned())];
    conduct.set(Reply::Answer(StatusCode::TOO_MANY_REQUESTS, headers));
    println!("{}", quotes.call(client.get(server.url("/")).send()).await?.text().await?);

    let error = quotes.call(client.get(server.url("/")).send()).await.unwrap_err();
    println!("{error}");
    conduct.answer(StatusCode::OK);
    sleep(error.retry_after().expect("the breaker is open")).await;
    while breaker.state() != State::Closed {
        println!("{}", quotes.call(client.get(server.url("/")).send()).await?.text().await?);
    }
    assert_eq!(conduct.calls(), 4);
    Ok(())
}
