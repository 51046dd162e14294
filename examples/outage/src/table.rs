use std::io::{self, Write};
use std::time::Duration;

use crate::client::PATIENCE;
use crate::figures::{BACK_SHARE, BACK_WINDOW, Figures, QUIET_CALLS};

type Cell = fn(&Figures) -> String;

const ROWS: [(&str, Cell); 11] = [
    ("requests", |it| it.requests.to_string()),
    ("  of them by threads, the others by async tasks", |it| it.by_threads.to_string()),
    ("succeeded", |it| format!("{:.1} %", 100.0 * it.success_share)),
    ("rejected by the breaker", |it| it.rejected.to_string()),
    ("latency, p50", |it| millis(it.p50)),
    ("latency, p99", |it| millis(it.p99)),
    ("time spent waiting for failures, all callers", |it| seconds(it.wasted)),
    ("calls that reached the sick server", |it| it.reached_sick.to_string()),
    ("connections refused", |it| it.refused.to_string()),
    ("sick server no longer called (1)", |it| after(it.stopped_after)),
    ("traffic back (2)", |it| after(it.back_after)),
];

/// Writes the three runs side by side: without a breaker, with the defaults, and set for this server.
pub(crate) fn write(out: &mut impl Write, runs: &[Figures; 3]) -> io::Result<()> {
    writeln!(out, "{:<48}{:>14}{:>14}{:>14}", "", "without", "defaults", "set for it")?;
    for (name, cell) in ROWS {
        let [without, defaults, tuned] = runs.each_ref().map(cell);
        writeln!(out, "{name:<48}{without:>14}{defaults:>14}{tuned:>14}")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "Latency is what the caller waited, rejections included; callers give up after {}.",
        millis(PATIENCE)
    )?;
    writeln!(out, "(1) from the first sick moment until {QUIET_CALLS} calls in a row were rejected")?;
    writeln!(
        out,
        "(2) from when the server took connections again until {:.0} % of the calls of {} succeeded",
        100.0 * BACK_SHARE,
        seconds(BACK_WINDOW),
    )
}

pub(crate) fn after(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("after {}", seconds(time)))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", 1e3 * time.as_secs_f64())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
