//! What grows, as a picture.

use std::fmt::Write;

use super::{Growth, KEYS, KeyUse, Row, THREADS, Use};
use crate::axis::LogAxis;
use crate::table::{nanos, time};

const WIDTH: f64 = 1120.0;
const HEIGHT: f64 = 814.0;
/// Of one panel: its own place is added.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 310.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 280.0;
/// Between the names of two lines, at least.
const LINE: f64 = 15.0;

const COLORS: [&str; 5] = ["#12945a", "#2563b8", "#c0392b", "#8e44ad", "#b7780a"];

struct Panel {
    title: &'static str,
    /// What the horizontal axis counts.
    along: &'static str,
    sizes: Vec<f64>,
    unit: fn(f64) -> String,
    lines: Vec<(&'static str, Vec<f64>)>,
}

/// Four panels: cost and bytes, by threads and by keys.
pub(crate) fn svg(growth: &Growth, machine: &str) -> String {
    let places = [(20.0, 70.0), (600.0, 70.0), (20.0, 410.0), (600.0, 410.0)];
    let panels: String = panels(growth).iter().zip(places).map(|(panel, (x, y))| panel.svg(x, y)).collect();
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="What a circuit breaker costs and takes, by the number of threads that have used it and by the number of keys in a registry">
<style>
text {{ font: 12px sans-serif; fill: #444; }}
.title {{ font-size: 18px; font-weight: bold; fill: #111; }}
.head {{ font-size: 13px; font-weight: bold; fill: #111; }}
.tick, .note {{ font-size: 11px; fill: #666; }}
.up {{ text-anchor: end; }}
.along {{ text-anchor: middle; }}
.grid {{ stroke: #e3e6ea; }}
.line {{ fill: none; stroke-width: 2; }}
.to {{ stroke-width: 1; stroke-dasharray: 2 2; opacity: 0.6; }}
</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="20" y="32" class="title">How a circuit breaker grows with threads and keys</text>
<text x="20" y="54">lower is better, and a flat line does not grow; both axes are logarithmic: each horizontal grid line is ten times the one below</text>
{panels}<text x="20" y="{:.0}" class="note">Minimum of {} interleaved rounds; on two threads, the median. All threads that are counted are alive and have made three calls each.</text>
<text x="20" y="{:.0}" class="note">Failures: after each fourth one comes a success, whose time is in the figure. Keys have 8 bytes; the memory of a registry is all of it, divided by the number of keys.</text>
<text x="20" y="{:.0}" class="note">{machine}</text>
</svg>
"##,
        HEIGHT - 44.0,
        growth.rounds,
        HEIGHT - 28.0,
        HEIGHT - 12.0
    )
}

fn panels(growth: &Growth) -> [Panel; 4] {
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let (threads, keys) = (THREADS.map(|threads| threads as f64), KEYS.map(|keys| keys as f64));
    let by_threads = |which| THREADS.map(|threads| growth.figure(Row::Threads(threads, which))).to_vec();
    let by_keys = |which| KEYS.map(|keys| growth.figure(Row::Keys(keys, which))).to_vec();
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
    let [default_rule, time_and_slow] = {
        let held = THREADS.map(|threads| growth.bytes.after(threads));
        [held.map(|held| held.default_rule as f64), held.map(|held| held.time_and_slow as f64)]
    };
    let per_key = |which: usize| KEYS.map(|keys| growth.bytes_per_key(keys)[which]).to_vec();
    let used = "threads that have used the breaker";
    let in_it = "keys in the registry";
    [
        Panel {
            title: "Time of one call",
            along: used,
            sizes: threads.into(),
            unit: time,
            lines: vec![
                ("success, by the last thread", by_threads(Use::Success)),
                ("failure, default rule", by_threads(Use::Failure)),
                ("failure, last 100 calls", by_threads(Use::FailureLast100)),
                ("failure, 10 s and slow calls", by_threads(Use::FailureLast10Seconds)),
                ("metrics()", by_threads(Use::Metrics)),
            ],
        },
        Panel {
            title: "Memory of one breaker",
            along: used,
            sizes: threads.into(),
            unit: bytes,
            lines: vec![("default rule", default_rule.into()), ("10 s and slow calls", time_and_slow.into())],
        },
        Panel {
            title: "Time of one call through a registry",
            along: in_it,
            sizes: keys.into(),
            unit: time,
            lines: vec![
                ("a known key", by_keys(KeyUse::CallSync)),
                ("a known key, two threads", by_keys(KeyUse::CallSyncBy2)),
                ("a new key, the others closed", by_keys(KeyUse::New)),
                ("a new key, the others open", by_keys(KeyUse::NewBesideOpen)),
            ],
        },
        Panel {
            title: "Memory of a registry, for each key",
            along: in_it,
            sizes: keys.into(),
            unit: bytes,
            lines: vec![("used by one thread", per_key(0)), ("used by four threads", per_key(1))],
        },
    ]
}

fn bytes(bytes: f64) -> String {
    match bytes {
        0.0..1e3 => format!("{bytes:.0} B"),
        1e3..1e6 => format!("{} KB", nanos(bytes / 1e3)),
        _ => format!("{} MB", nanos(bytes / 1e6)),
    }
}

fn count(number: f64) -> String {
    if number < 1e4 { format!("{number:.0}") } else { format!("{:.0} 000", number / 1e3) }
}

impl Panel {
    fn svg(&self, x: f64, y: f64) -> String {
        let (left, right, top, bottom) = (x + LEFT, x + RIGHT, y + TOP, y + BOTTOM);
        let across = LogAxis::between(&self.sizes, left, right);
        let all: Vec<_> = self.lines.iter().flat_map(|line| line.1.iter().copied()).collect();
        let up = LogAxis::lines(&all, bottom, top);

        let mut text = String::new();
        let _ = writeln!(text, r#"<text x="{x}" y="{:.0}" class="head">{}</text>"#, y + 24.0, self.title);
        for power in up.powers() {
            let figure = 10_f64.powf(power);
            let at = up.at(figure);
            let _ = writeln!(
                text,
                r#"<line x1="{left}" y1="{at:.1}" x2="{right}" y2="{at:.1}" class="grid"/><text x="{:.1}" y="{:.1}" class="tick up">{}</text>"#,
                left - 6.0,
                at + 4.0,
                (self.unit)(figure).replace(".0 ", " ")
            );
        }
        for &size in &self.sizes {
            let at = across.at(size);
            let _ = writeln!(
                text,
                r#"<line x1="{at:.1}" y1="{top}" x2="{at:.1}" y2="{bottom}" class="grid"/><text x="{at:.1}" y="{:.0}" class="tick along">{}</text>"#,
                bottom + 16.0,
                count(size)
            );
        }
        let _ = writeln!(
            text,
            r#"<text x="{:.1}" y="{:.0}" class="along">{}</text>"#,
            f64::midpoint(left, right),
            bottom + 34.0,
            self.along
        );
        self.draw_lines(&mut text, across, up);
        text
    }

    /// Each line, and at its end its name and its last figure.
    fn draw_lines(&self, text: &mut String, across: LogAxis, up: LogAxis) {
        let mut lines: Vec<_> = self.lines.iter().zip(COLORS).collect();
        let last = |figures: &[f64]| figures.last().copied().expect("every line has figures");
        lines.sort_by(|one, other| last(&other.0.1).total_cmp(&last(&one.0.1)));
        let mut free = f64::MIN;
        for ((name, figures), color) in lines {
            let places = self.sizes.iter().zip(figures).map(|(&size, &figure)| (across.at(size), up.at(figure)));
            let places: Vec<_> = places.collect();
            let points: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(text, r#"<polyline points="{}" class="line" stroke="{color}"/>"#, points.join(" "));
            for (x, y) in &places {
                let _ = writeln!(text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{color}"/>"#);
            }
            let &(x, y) = places.last().expect("every line has figures");
            let beside = y.max(free);
            free = beside + LINE;
            let figure = last(figures);
            let _ = writeln!(
                text,
                r#"<line x1="{:.1}" y1="{y:.1}" x2="{:.1}" y2="{beside:.1}" class="to" stroke="{color}"/><text x="{:.1}" y="{:.1}" style="fill:{color}">{name}: {}</text>"#,
                x + 4.0,
                x + 18.0,
                x + 22.0,
                beside + 4.0,
                (self.unit)(figure)
            );
        }
    }
}
