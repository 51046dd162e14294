//! One band of states for each client.

use std::fmt::Write;
use std::time::Duration;

use crate::play::{END, LOSS, OUTAGE, PAUSES, Played};

const LEFT: f64 = 150.0;
const WIDTH: f64 = 880.0;
const BAND: f64 = 16.0;
const GAP: f64 = 5.0;
const PANEL: f64 = 8.0 * (BAND + GAP) + 86.0;
const TOP: f64 = 70.0;

fn x(at: Duration) -> f64 {
    LEFT + WIDTH * at.min(END).as_secs_f64() / END.as_secs_f64()
}

fn colour(state: &str) -> &'static str {
    match state {
        "closed" => "#cfe8cf",
        "open" => "#d9534f",
        "half_open" => "#f0b429",
        _ => "#888888",
    }
}

pub(crate) fn picture(played: &[Played]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "there are four")]
    let height = TOP + PANEL * played.len() as f64 + 10.0;
    let width = LEFT + WIDTH + 20.0;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' \
         font-family='sans-serif' font-size='12' fill='#222'>\n<rect width='100%' height='100%' fill='white'/>\n"
    );
    legend(&mut svg);
    let mut top = TOP;
    for played in played {
        panel(&mut svg, played, top);
        top += PANEL;
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    let _ = writeln!(svg, "<text x='20' y='26' font-size='17' font-weight='bold'>Eight clients of one server</text>");
    let mut left = 20.0;
    for (state, name) in
        [("closed", "closed: calls go through"), ("open", "open: rejected"), ("half_open", "half-open: probes")]
    {
        let fill = colour(state);
        let _ = writeln!(svg, "<rect x='{left}' y='40' width='14' height='12' fill='{fill}'/>");
        let _ = writeln!(svg, "<text x='{}' y='50'>{name}</text>", left + 20.0);
        left += 185.0;
    }
    for (mark, name) in [("vote", "votes to open all"), ("lease", "is elected to probe for all")] {
        draw_mark(svg, mark, left + 7.0, 46.0);
        let _ = writeln!(svg, "<text x='{}' y='50'>{name}</text>", left + 20.0);
        left += 150.0;
    }
}

fn panel(svg: &mut String, played: &Played, top: f64) {
    let title = played.scenario.title;
    let _ = writeln!(svg, "<text x='20' y='{}' font-size='14' font-weight='bold'>{title}</text>", top + 18.0);
    let bands = top + 44.0;
    let bottom = bands + 8.0 * (BAND + GAP);
    let mut spans = Vec::new();
    if played.scenario.has_outage {
        spans.push((OUTAGE, "the server is down", "#f3d6d5"));
    }
    if played.scenario.loses_store {
        spans.push((LOSS, "the store is killed", "#d5def3"));
    }
    for ((from, to), name, fill) in spans {
        let (left, width) = (x(from), x(to) - x(from));
        let is_store = name.contains("store");
        let y = if is_store { bands - 4.0 } else { bands - 20.0 };
        let height = bottom - y + 4.0;
        let _ = writeln!(
            svg,
            "<rect x='{left:.1}' y='{y:.1}' width='{width:.1}' height='{height:.1}' fill='{fill}' fill-opacity='0.7'/>"
        );
        let line = if is_store { bottom + 24.0 } else { bands - 8.0 };
        let _ = writeln!(svg, "<text x='{:.1}' y='{line:.1}'>{name}</text>", left + 4.0);
    }
    for (client, pause) in PAUSES.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "there are eight")]
        let y = bands + client as f64 * (BAND + GAP);
        let is_broken = played.scenario.has_broken && client == 2;
        let rate = 1000 / (pause + 6);
        let name = if is_broken { "its network is broken".to_owned() } else { format!("{rate} calls a second") };
        let _ = writeln!(svg, "<text x='{}' y='{:.1}' text-anchor='end'>{name}</text>", LEFT - 8.0, y + 12.0);
        band(svg, played, client, y);
    }
    for second in 0..=END.as_secs() {
        let at = x(Duration::from_secs(second));
        let _ = writeln!(
            svg,
            "<text x='{at:.1}' y='{:.1}' text-anchor='middle' fill='#777' font-size='10'>{second} s</text>",
            bottom + 10.0
        );
    }
}

fn band(svg: &mut String, played: &Played, client: usize, y: f64) {
    let own = || played.said.iter().filter(move |said| said.client == client);
    let mut changes = vec![(Duration::ZERO, "closed")];
    changes.extend(own().filter_map(|said| Some((said.at, said.line.strip_prefix("state ")?))));
    changes.push((END, ""));
    for pair in changes.windows(2) {
        let ((from, state), (to, _)) = (pair[0], pair[1]);
        let width = x(to) - x(from);
        // What is too short to be seen is drawn as a hair.
        let width = if state == "half_open" { width.max(2.0) } else { width.max(0.0) };
        let fill = colour(state);
        let _ = writeln!(svg, "<rect x='{:.1}' y='{y:.1}' width='{width:.1}' height='{BAND}' fill='{fill}'/>", x(from));
    }
    for said in own().filter(|said| said.at < END) {
        draw_mark(svg, &said.line, x(said.at), y + BAND / 2.0);
    }
}

fn draw_mark(svg: &mut String, mark: &str, x: f64, y: f64) {
    let _ = match mark {
        "vote" => {
            writeln!(svg, "<path d='M{:.1} {:.1} l10 0 l-5 9 z' fill='#1f3a93' stroke='white'/>", x - 5.0, y - 5.0)
        }
        "lease" => writeln!(svg, "<circle cx='{x:.1}' cy='{y:.1}' r='5' fill='#111' stroke='white'/>"),
        _ => Ok(()),
    };
}
