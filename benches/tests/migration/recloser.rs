use std::io;
use std::time::Duration;

use recloser::{AsyncRecloser, Error, Recloser};

pub fn recloser() -> Recloser {
    Recloser::custom().error_rate(0.5).closed_len(100).half_open_len(10).open_wait(Duration::from_secs(30)).build()
}

pub fn settings(recloser: &Recloser, path: &str) -> io::Result<Option<String>> {
    // A missing file says nothing about the health of the disk.
    let counts = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
    match recloser.call_with(counts, || std::fs::read_to_string(path)) {
        Ok(text) => Ok(Some(text)),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::Rejected) => Ok(None),
    }
}

pub async fn quote(recloser: &AsyncRecloser, fetch: impl Future<Output = io::Result<f64>>) -> io::Result<Option<f64>> {
    match recloser.call(fetch).await {
        Ok(quote) => Ok(Some(quote)),
        Err(Error::Inner(error)) => Err(error),
        Err(Error::Rejected) => Ok(None),
    }
}
