use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use crate::client::PATIENCE;
use crate::figures::{BACK_SHARE, BACK_WINDOW, Figures, QUIET_CALLS, ShadowFigures};

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

type ShadowCell = fn(&ShadowFigures) -> String;

const SHADOW_ROWS: [(&str, ShadowCell); 6] = [
    ("share of the calls that the shadow saw (3)", |it| format!("{:.1} %", 100.0 * it.coverage)),
    ("  it would have opened so often", |it| it.openings.to_string()),
    ("  it would have rejected", |it| it.rejected.to_string()),
    ("    of these, calls that failed", |it| it.failed.to_string()),
    ("    calls that succeeded", |it| it.succeeded.to_string()),
    ("    calls that were ignored or dropped", |it| it.ignored_or_dropped.to_string()),
];

/// Writes the runs side by side, below their titles.
pub(crate) fn write(out: &mut impl Write, titles: [&str; 4], runs: &[Figures; 4]) -> io::Result<()> {
    row(out, "", titles)?;
    for (name, cell) in ROWS {
        row(out, name, runs.each_ref().map(cell))?;
    }
    let has_shadow = runs.iter().any(|run| run.shadow.is_some());
    if has_shadow {
        for (name, cell) in SHADOW_ROWS {
            let cells = runs.each_ref().map(|run| run.shadow.as_ref().map_or_else(|| "-".to_owned(), cell));
            row(out, name, cells)?;
        }
    }
    notes(out)?;
    if has_shadow {
        writeln!(out, "(3) a shadow sees the calls that the breaker beside it admits, and rejects none itself")?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, cells: [impl Display; 4]) -> io::Result<()> {
    write!(out, "{name:<48}")?;
    for cell in cells {
        write!(out, "{cell:>14}")?;
    }
    writeln!(out)
}

fn notes(out: &mut impl Write) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(shadow: Option<ShadowFigures>) -> Figures {
        Figures {
            requests: 10,
            by_threads: 2,
            success_share: 0.5,
            p50: Duration::from_millis(1),
            p99: Duration::from_millis(9),
            reached_sick: 3,
            refused: 1,
            rejected: 4,
            wasted: Duration::from_secs(1),
            stopped_after: None,
            back_after: Some(Duration::from_millis(1500)),
            shadow,
        }
    }

    fn written(runs: &[Figures; 4]) -> String {
        let mut out = Vec::new();
        write(&mut out, ["a", "b", "c", "d"], runs).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_shadow_would_have_done_stands_below_the_runs() {
        let shadow =
            ShadowFigures { coverage: 0.625, openings: 2, rejected: 9, failed: 5, succeeded: 3, ignored_or_dropped: 1 };
        let text = written(&[None, Some(shadow), None, Some(shadow)].map(figures));
        for (name, value) in
            [("share of the calls", "62.5 %"), ("  it would have rejected", "9"), ("calls that failed", "5")]
        {
            let line = text.lines().find(|line| line.contains(name)).unwrap();
            let cells = format!("{:>14}{value:>14}{:>14}{value:>14}", "-", "-");
            assert!(line.ends_with(&cells), "{line}");
        }
        assert!(text.contains("\n(3)"));
    }

    #[test]
    fn without_a_shadow_there_is_no_word_of_one() {
        assert!(!written(&[0; 4].map(|_| figures(None))).contains("shadow"));
    }
}
