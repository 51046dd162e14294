//! Makes the pictures of the operating guide, from `operated` in an outage, with Debian's chromium, chromium-driver and
//! prometheus. It takes eight minutes, because alerts take as long as in truth:
//!
//! ```sh
//! cargo test -p services --test pictures -- --ignored && .ci/embed-pictures
//! ```
#![cfg(unix)]

#[allow(dead_code, reason = "the console's tests use all of it")]
#[path = "../../../console/tests/browser/driver.rs"]
mod driver;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use driver::{Screen, click, fill, script, until, until_row, with_browser};
use fantoccini::Client;
use tokio::time::sleep;

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program, and its URL. It has no outage but those that it is told to have.
fn start_operated() -> (Process, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operated"));
    let command = command.args(["--port", "0", "--calm"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("breakers  ").and_then(|url| url.strip_suffix("/breakers")).unwrap();
    (Process(child), url.to_owned())
}

fn start_prometheus(operated: &str, folder: &Path) -> (Process, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::copy(root().join("docs/alerts.yml"), folder.join("alerts.yml")).unwrap();
    let target = operated.trim_start_matches("http://");
    let config = format!(
        "global: {{scrape_interval: 5s, evaluation_interval: 5s}}\n\
         rule_files: [alerts.yml]\n\
         scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{target}']}}]}}]\n"
    );
    std::fs::write(folder.join("prometheus.yml"), config).unwrap();
    let mut command = Command::new("prometheus");
    let command = command
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    (Process(child.expect("apt-get install prometheus")), format!("http://127.0.0.1:{port}"))
}

async fn post(url: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(url).send().await.unwrap().error_for_status().unwrap();
}

/// The page at this height.
async fn take(client: &Client, name: &str, height: u32) {
    // Headless or not, the window has a frame.
    let frame = script(client, "return window.outerHeight - window.innerHeight").await.as_u64().unwrap();
    client.set_window_size(1000, height + u32::try_from(frame).unwrap()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let folder = root().join("docs/operating");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.png")), client.screenshot().await.unwrap()).unwrap();
}

/// Shows what the alerts say. Those that do not fire are of no interest, nor is where the file is.
const SHOW_WHAT_FIRES: &str = "
    for (const row of document.querySelectorAll('#alertsTable tr')) {
        const header = row.matches('.alert_details') ? row.previousElementSibling : row;
        if (header?.matches('.alert_header:not(.alert-danger)') || row.textContent.includes('alerts.yml >')) {
            row.classList.add('superfluous');
        }
    }
    document.querySelectorAll('.superfluous, .alert_details pre').forEach((part) => part.remove());
    document.querySelectorAll('.alert_header.alert-danger').forEach((row) => row.click());
    document.querySelector('button.show-annotations').click();
    document.body.style.zoom = 0.75;";

#[tokio::test]
#[ignore = "it makes pictures, and takes minutes"]
async fn pictures() {
    let folder = std::env::temp_dir().join(format!("operated-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (_operated, url) = start_operated();
    let (_prometheus, prometheus) = start_prometheus(&url, &folder);
    with_browser(Screen::default(), |client| async move {
        sleep(Duration::from_secs(60)).await; // all is well
        post(&format!("{url}/simulation/payments/down")).await;
        sleep(Duration::from_secs(330)).await;
        client.goto(&format!("{prometheus}/classic/alerts")).await.unwrap();
        until(&client, "document.body.innerText.includes('Firing (2)')").await;
        script(&client, SHOW_WHAT_FIRES).await;
        take(&client, "alert", 620).await;

        client.goto(&format!("{url}/breakers")).await.unwrap();
        until_row(&client, "payments", "Open").await;
        sleep(Duration::from_secs(3)).await;
        take(&client, "overview", 560).await;
        click(&client, ".rows .name a").await;
        until(&client, "document.querySelector('.chart .band.open')").await;
        take(&client, "breaker", 1080).await;

        click(&client, "[data-action=force_open]").await;
        fill(&client, "#reason", "provider is down, their ticket 4711").await;
        take(&client, "hold", 600).await;
        click(&client, "dialog [type=submit]").await;
        until(&client, "document.querySelector('.pill').textContent === 'Forced open'").await;

        sleep(Duration::from_secs(45)).await;
        post(&format!("{url}/simulation/payments/up")).await;
        click(&client, "[data-action=release]").await;
        fill(&client, "#reason", "the provider reports that it is back").await;
        click(&client, "dialog [type=submit]").await;
        until(&client, "document.querySelector('.pill').textContent === 'Closed'").await;
        sleep(Duration::from_secs(45)).await;
        take(&client, "after", 1080).await;
    })
    .await;
    std::fs::remove_dir_all(folder).unwrap();
}
