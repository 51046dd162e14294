//! A browser for one test: Debian's chromium, driven by its chromedriver.

use std::future::Future;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Default)]
pub(crate) struct Screen {
    pub(crate) is_phone: bool,
    pub(crate) is_dark: bool,
}

/// Runs a test with a browser, and ends the browser whatever becomes of the test.
pub(crate) async fn with_browser<T>(screen: Screen, test: impl FnOnce(Client) -> T)
where
    T: Future<Output = ()> + Send + 'static,
{
    let (mut driver, address) = start_driver().await;
    let client = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities(screen)).connect(&address).await;
    let client = client.expect("chromium starts; apt-get install chromium chromium-driver");
    let result = tokio::spawn(test(client.clone())).await;
    if result.is_err() {
        eprintln!("the page was at {:?}", client.current_url().await);
        eprintln!(
            "{}",
            client.execute("return document.body.innerText.slice(0, 3000)", vec![]).await.unwrap_or_default()
        );
    }
    let _ = client.close().await;
    let _ = driver.kill().await;
    if let Err(error) = result {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn start_driver() -> (Child, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let driver = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver is installed; apt-get install chromium chromium-driver");
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "chromedriver does not listen");
        sleep(Duration::from_millis(50)).await;
    }
    (driver, format!("http://127.0.0.1:{port}"))
}

fn capabilities(screen: Screen) -> Capabilities {
    let mut options = json!({"args": [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1280,860",
        "--host-resolver-rules=MAP rebound.example 127.0.0.1",
    ]});
    if screen.is_dark {
        options["args"].as_array_mut().unwrap().push("--blink-settings=preferredColorScheme=0".into());
    }
    if screen.is_phone {
        options["mobileEmulation"] =
            json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0, "touch": true}});
    }
    Capabilities::from_iter([("goog:chromeOptions".to_owned(), options)])
}

pub(crate) async fn script(client: &Client, script: &str) -> Value {
    client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Waits until a script returns true.
pub(crate) async fn until(client: &Client, condition: &str) {
    let begun = Instant::now();
    while script(client, &format!("return Boolean({condition})")).await != true {
        assert!(begun.elapsed() < PATIENCE, "it never came: {condition}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a thing of the program is so.
pub(crate) async fn until_here(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE, "it never came");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Clicks an element. A page that is live may replace it between the search and the click, so a stale one is searched again.
pub(crate) async fn click(client: &Client, css: &str) {
    let begun = Instant::now();
    loop {
        let element = client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match element.unwrap_or_else(|error| panic!("{css}: {error}")).click().await {
            Err(error) if error.is_stale_element_reference() && begun.elapsed() < PATIENCE => {}
            clicked => return clicked.unwrap_or_else(|error| panic!("{css}: {error}")),
        }
    }
}

/// Writes into a field. As with [`click`], a stale one is searched again.
pub(crate) async fn fill(client: &Client, css: &str, text: &str) {
    let begun = Instant::now();
    loop {
        let element = client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.unwrap();
        let filled = match element.clear().await {
            Ok(()) => element.send_keys(text).await,
            Err(error) => Err(error),
        };
        match filled {
            Err(error) if error.is_stale_element_reference() && begun.elapsed() < PATIENCE => {}
            filled => return filled.unwrap_or_else(|error| panic!("{css}: {error}")),
        }
    }
}

pub(crate) async fn text(client: &Client, css: &str) -> String {
    let begun = Instant::now();
    loop {
        let element = client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.unwrap();
        match element.text().await {
            Err(error) if error.is_stale_element_reference() && begun.elapsed() < PATIENCE => {}
            text => return text.unwrap(),
        }
    }
}

/// Waits until the page has a row for this breaker in this state.
pub(crate) async fn until_row(client: &Client, name: &str, state: &str) {
    let name = json!(name);
    let row = format!(
        "[...document.querySelectorAll('.rows .row')].some((row) => row.querySelector('a').textContent === {name} \
         && row.querySelector('.st').textContent === '{state}')"
    );
    until(client, &row).await;
}
