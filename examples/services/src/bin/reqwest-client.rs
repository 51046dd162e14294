//! reqwest behind a breaker: a `Retry-After` and the recovery. The program ends by itself.

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

/// The client enforces the time-out, so the breaker sees it as an error.
fn client() -> reqwest::Result<Client> {
    Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()
}

async fn fetch(breaker: &CircuitBreaker, client: &Client, url: &str) -> Result<String, Box<dyn Error>> {
    let response = breaker.call_with(client.get(url).send(), judge).await?;
    Ok(response.text().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let breaker = CircuitBreaker::builder("quotes").on_transition(|transition| println!("-- {transition}")).build()?;
    let conduct = Conduct::well();
    let server = Loopback::axum(conduct.app())?;
    let client = client()?;

    println!("{}", fetch(&breaker, &client, &server.url("/")).await?);
    let headers = vec![("retry-after", "1".to_owned())];
    conduct.set(Reply::Answer(StatusCode::TOO_MANY_REQUESTS, headers));
    println!("{}", fetch(&breaker, &client, &server.url("/")).await?);

    let error = breaker.call_with(client.get(server.url("/")).send(), judge).await.unwrap_err();
    println!("{error}");
    conduct.answer(StatusCode::OK);
    sleep(error.retry_after().expect("the breaker is open")).await;
    while breaker.state() != State::Closed {
        println!("{}", fetch(&breaker, &client, &server.url("/")).await?);
    }
    assert_eq!(conduct.calls(), 4);
    Ok(())
}
