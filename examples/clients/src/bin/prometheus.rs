//! A page that Prometheus scrapes. Each request of the page publishes the counts of the breakers; calls pay
//! nothing for it.
//!
//! ```sh
//! cargo run -p clients --bin prometheus
//! ```

use std::sync::LazyLock;

use clients::{Server, serve};
use metrics_exporter_prometheus::PrometheusBuilder;
use tripcoil::{CircuitBreaker, Exporter};

static EXPORTER: LazyLock<Exporter> = LazyLock::new(Exporter::new);
static QUOTES: LazyLock<CircuitBreaker> = LazyLock::new(|| {
    CircuitBreaker::builder("quotes")
        .error_threshold(3)
        .on_transition(EXPORTER.observer())
        .build()
        .expect("the settings are in range")
});

fn main() -> Result<(), Box<dyn std::error::Error>> {
    EXPORTER.add_static(&QUOTES);
    let recorder = PrometheusBuilder::new().install_recorder()?;
    let page = serve(move |_path| {
        EXPORTER.publish();
        (200, recorder.render())
    });

    let server = Server::start();
    for attempt in 0..12 {
        server.set_failing(attempt >= 4);
        let _answer = QUOTES.call_sync(|| ureq::get(server.url()).call());
    }
    print!("{}", ureq::get(format!("http://{page}/metrics")).call()?.body_mut().read_to_string()?);
    Ok(())
}
