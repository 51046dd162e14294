//! The figures as a picture.

use std::fmt::Write;

use crate::axis::LogAxis;
use crate::path::Path;
use crate::peers::{self, OURS};
use crate::results::Results;
use crate::yardsticks::Yardstick;

const WIDTH: f64 = 900.0;
/// Where the bars begin and end.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 820.0;
const TOP: f64 = 104.0;
const BAR: f64 = 15.0;
const HEAD: f64 = 26.0;
const GAP: f64 = 12.0;

const SHOWN: [(Path, u32, &str); 6] = [
    (Path::Closed, 1, "Successful call, breaker closed"),
    (Path::Closed, 2, "The same, two threads sharing one breaker"),
    (Path::Last100, 1, "Successful call, error rate over the last 100 calls"),
    (Path::Last10Seconds, 1, "Successful call, error rate over the last 10 seconds"),
    (Path::Async, 1, "Successful async call, breaker closed"),
    (Path::Rejected, 1, "Call rejected, breaker open"),
];

/// The lines of reference, and on which side of a line its name stands.
const LINES: [(Yardstick, &str, &str); 3] = [
    (Yardstick::Closure, "no breaker", "end"),
    (Yardstick::FetchAdd, "one atomic add", "end"),
    (Yardstick::Clock, "one clock reading", "start"),
];

fn figure(nanos: f64) -> String {
    if nanos < 9.95 { format!("{nanos:.1}") } else { format!("{nanos:.0}") }
}

fn only_async() -> String {
    let names: Vec<_> = peers::ALL.iter().filter(|one| one.only_async).map(|one| one.name).collect();
    format!("All calls of {} are async.", names.join(", "))
}

/// One group of bars for each path, shorter being better.
pub(crate) fn svg(results: &Results, machine: &str) -> String {
    let groups = SHOWN.map(|(path, threads, title)| {
        let bar = |contender: &peers::Contender| {
            results.cost(contender.name, path, threads).map(|cost| (contender.name, cost.figure(threads)))
        };
        let mut bars: Vec<_> = peers::ALL.iter().filter_map(bar).collect();
        bars.sort_by(|a, b| a.1.total_cmp(&b.1));
        (title, bars)
    });
    let lines = LINES.map(|(yardstick, name, side)| (name, side, results.yardstick(yardstick, 1).minimum));
    let figures: Vec<_> =
        groups.iter().flat_map(|group| &group.1).map(|bar| bar.1).chain(lines.map(|line| line.2)).collect();
    let scale = LogAxis::bars(&figures, LEFT, RIGHT);

    let mut bars = String::new();
    let mut y = TOP;
    for (title, group) in &groups {
        y += HEAD;
        let _ = writeln!(bars, r#"<text x="20" y="{:.0}" class="head">{title}</text>"#, y - 8.0);
        for &(name, nanos) in group {
            let class = if name == OURS.name { "ours" } else { "peer" };
            let (end, base) = (scale.at(nanos), y + BAR - 4.0);
            let _ = writeln!(
                bars,
                r#"<text x="{:.0}" y="{base:.1}" class="name {class}">{name}</text><rect x="{LEFT}" y="{:.1}" width="{:.1}" height="{:.0}" class="{class}"/><text x="{:.1}" y="{base:.1}" class="value {class}">{}</text>"#,
                LEFT - 8.0,
                y + 1.0,
                end - LEFT,
                BAR - 3.0,
                end + 5.0,
                figure(nanos),
            );
            y += BAR;
        }
        y += GAP;
    }
    let bottom = y;

    let mut grid = String::new();
    for power in scale.powers() {
        let (x, nanos) = (scale.at(10_f64.powf(power)), 10_f64.powf(power));
        let _ = writeln!(
            grid,
            r#"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" class="grid"/><text x="{x:.1}" y="{:.0}" class="tick">{nanos} ns</text>"#,
            bottom + 16.0
        );
    }
    for (name, side, nanos) in lines {
        let x = scale.at(nanos);
        let _ = writeln!(
            grid,
            r#"<line x1="{x:.1}" y1="{:.0}" x2="{x:.1}" y2="{bottom}" class="line"/><text x="{x:.1}" y="{:.0}" text-anchor="{side}" class="mark">{name}: {}</text>"#,
            TOP - 4.0,
            TOP - 9.0,
            figure(nanos)
        );
    }

    let height = bottom + 82.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="What a call through each circuit breaker costs, in nanoseconds">
<style>
text {{ font: 12px sans-serif; fill: #444; }}
.title {{ font-size: 18px; font-weight: bold; fill: #111; }}
.head {{ font-size: 13px; font-weight: bold; fill: #111; }}
.name {{ text-anchor: end; }}
.tick {{ text-anchor: middle; }}
.head, .value {{ paint-order: stroke; stroke: #fff; stroke-width: 5px; }}
.note, .tick {{ font-size: 11px; fill: #666; }}
.mark {{ fill: #7a4a00; }}
text.ours {{ font-weight: bold; fill: #0b5c38; }}
rect.ours {{ fill: #12945a; }}
rect.peer {{ fill: #a9b4c0; }}
.grid {{ stroke: #e3e6ea; }}
.line {{ stroke: #c77d0a; stroke-dasharray: 4 3; }}
</style>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<text x="20" y="32" class="title">What a call through a circuit breaker costs</text>
<text x="20" y="54">nanoseconds per call, shorter is better; logarithmic scale: each grid line is ten times the one before</text>
{grid}{bars}<text x="20" y="{:.0}" class="note">Minimum of {} interleaved rounds; for two threads, the median of those in which neither was interrupted.</text>
<text x="20" y="{:.0}" class="note">{}</text>
<text x="20" y="{:.0}" class="note">{machine}</text>
</svg>
"##,
        height - 44.0,
        results.rounds,
        height - 28.0,
        only_async(),
        height - 12.0
    )
}
