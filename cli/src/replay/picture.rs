//! The picture: the traffic above, and one band of states for each policy below.

use std::fmt::{self, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::report::{PolicyReport, Report};
use super::tally::Tally;
use super::words;

const WIDTH: f64 = 1240.0;
const LEFT: f64 = 200.0;
const RIGHT: f64 = 1000.0;
const TRAFFIC_TOP: f64 = 118.0;
const TRAFFIC_HEIGHT: f64 = 200.0;
const BANDS_TOP: f64 = TRAFFIC_TOP + TRAFFIC_HEIGHT + 30.0;
const BAND: f64 = 30.0;
const REFUSED: f64 = 20.0;
const STEP: f64 = BAND + REFUSED + 18.0;
/// What is there at all is seen.
const LEAST: f64 = 2.0;

const GOOD: &str = "#9cc5b0";
const OTHER: &str = "#a9b4bf";
const SLOW: &str = "#e8a33d";
const FAILED: &str = "#c8372d";
const CLOSED: &str = "#dfeee6";
const OPEN: &str = "#c8372d";
const HALF_OPEN: &str = "#e8a33d";
const SPARED: &str = "#5b6672";
const REFUSED_GOOD: &str = "#1f6fd1";

pub(super) fn draw(report: &Report) -> String {
    let mut svg = String::new();
    Picture::new(report).write(&mut svg).expect("a string takes everything");
    svg
}

struct Picture<'a> {
    report: &'a Report,
    length: f64,
    /// Calls a second at the top of the traffic's scale.
    most: f64,
}

impl<'a> Picture<'a> {
    fn new(report: &'a Report) -> Self {
        let scope = &report.coverage;
        let cell = report.traffic.width().as_secs_f64();
        let busiest = report.traffic.cells().iter().map(Tally::total).max().unwrap_or(0);
        Picture {
            report,
            length: scope.to.saturating_sub(scope.from).as_secs_f64().max(0.001),
            most: nice(number(busiest) / cell),
        }
    }

    fn write(&self, svg: &mut String) -> fmt::Result {
        let bottom = BANDS_TOP + number(self.report.policies.len() as u64) * STEP;
        let height = bottom + 34.0;
        writeln!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="#222" shape-rendering="crispEdges">"##
        )?;
        rect(svg, 0.0, 0.0, WIDTH, height, "#fff")?;
        self.head(svg)?;
        self.time_axis(svg, bottom)?;
        self.troubles(svg)?;
        self.traffic(svg)?;
        for (index, policy) in self.report.policies.iter().enumerate() {
            self.band(svg, policy, BANDS_TOP + number(index as u64) * STEP)?;
        }
        writeln!(svg, "</svg>")
    }

    fn head(&self, svg: &mut String) -> fmt::Result {
        let scope = &self.report.coverage;
        let title = format!(
            "{} to {}, {}: what {} would have done",
            words::counted(scope.calls.total(), "call"),
            words::counted(scope.input.keys as u64, "key"),
            words::span(scope.to.saturating_sub(scope.from)),
            words::counted(self.report.policies.len() as u64, "policy").replace("policys", "policies"),
        );
        text(svg, 20.0, 30.0, r#"font-size="18" font-weight="600""#, &title)?;
        let slow = format!("slow, {} or longer", words::span(scope.slow));
        let above = [
            (GOOD, "good"),
            (FAILED, "failed"),
            (SLOW, &*slow),
            (OTHER, "ignored or dropped"),
            ("#333", "trouble: half of the calls were bad"),
        ];
        legend(svg, 58.0, "Recorded calls:", &above)?;
        let many = if self.report.keys() > 1 { " (height: share of the keys)" } else { "" };
        let open = format!("open{many}");
        let below = [
            (CLOSED, "closed"),
            (OPEN, &*open),
            (HALF_OPEN, "half-open"),
            (SPARED, "bad calls refused: spared"),
            (REFUSED_GOOD, "good calls refused: lost"),
        ];
        legend(svg, 82.0, "Each policy:", &below)
    }

    fn traffic(&self, svg: &mut String) -> fmt::Result {
        let base = TRAFFIC_TOP + TRAFFIC_HEIGHT;
        text(svg, 20.0, TRAFFIC_TOP + 14.0, r#"font-weight="600""#, "Recorded calls")?;
        text(svg, 20.0, TRAFFIC_TOP + 32.0, r##"fill="#555""##, "a second")?;
        for share in [0.0, 0.5, 1.0] {
            let y = base - share * TRAFFIC_HEIGHT;
            line(svg, LEFT, y, RIGHT, y)?;
            text(svg, LEFT - 8.0, y + 4.0, r##"text-anchor="end" fill="#555""##, &rate(share * self.most))?;
        }
        let width = self.report.traffic.width();
        let scale = TRAFFIC_HEIGHT / self.most / width.as_secs_f64();
        let mut shapes = [GOOD, OTHER, SLOW, FAILED].map(Shape::new);
        for (index, cell) in self.report.traffic.cells().iter().enumerate() {
            let (left, right) = self.cell(index, width);
            let mut y = base;
            let parts = [cell.good, cell.ignored + cell.dropped, cell.slow, cell.failed];
            for (shape, calls) in shapes.iter_mut().zip(parts) {
                let height = number(calls) * scale;
                y -= height;
                shape.add(left, right, y, height);
            }
        }
        shapes.iter().try_for_each(|shape| shape.write(svg))
    }

    /// Dark lines above the traffic.
    fn troubles(&self, svg: &mut String) -> fmt::Result {
        for trouble in self.report.troubles.iter().take(2000) {
            let from = self.x(trouble.from.as_secs_f64());
            let to = trouble.to.map_or(RIGHT, |to| self.x(to.as_secs_f64()));
            rect(svg, from, TRAFFIC_TOP - 9.0, (to - from).max(LEAST), 4.0, "#333")?;
        }
        Ok(())
    }

    fn band(&self, svg: &mut String, policy: &PolicyReport, top: f64) -> fmt::Result {
        let base = top + BAND;
        let name: String = policy.name.chars().take(24).collect();
        text(svg, 20.0, top + 20.0, r#"font-weight="600""#, &name)?;
        rect(svg, LEFT, top, RIGHT - LEFT, BAND, CLOSED)?;
        let states = &policy.journal.timeline;
        let width = states.width();
        let keys = number(self.report.keys() as u64);
        let length = |index: usize| {
            let begin = width.as_secs_f64() * number(index as u64);
            (self.length - begin).clamp(1e-9, width.as_secs_f64())
        };
        let mut shapes = [OPEN, HALF_OPEN].map(Shape::new);
        for (index, cell) in states.cells().iter().enumerate() {
            let (left, right) = self.cell(index, width);
            let height = |seconds: f64| match seconds / length(index) / keys * BAND {
                0.0 => 0.0,
                height => height.clamp(LEAST, BAND),
            };
            let (open, half_open) = (height(cell.open), height(cell.half_open));
            let top_of_both = (base - open - half_open).max(top);
            shapes[0].add(left, right, base - open, open);
            shapes[1].add(left, right, top_of_both, half_open);
        }
        shapes.iter().try_for_each(|shape| shape.write(svg))?;
        self.refused(svg, policy, base + 3.0)?;
        let calls = &self.report.coverage.calls;
        let spared = words::percent(policy.refused.bad(), calls.bad());
        let lost = words::percent(policy.refused.good, calls.good);
        let mut note = |y: f64, color: &str, content: &str| {
            text(svg, RIGHT + 12.0, top + y, &format!(r#"fill="{color}""#), content)
        };
        note(9.0, "#222", &openings(policy))?;
        note(27.0, SPARED, &format!("spared {spared} of the bad calls"))?;
        note(45.0, REFUSED_GOOD, &format!("lost {lost} of the good calls"))
    }

    /// What was refused, downwards from the band, to the scale of the traffic's.
    fn refused(&self, svg: &mut String, policy: &PolicyReport, top: f64) -> fmt::Result {
        let states = &policy.journal.timeline;
        let width = states.width();
        let scale = REFUSED / self.most / width.as_secs_f64();
        let mut shapes = [SPARED, REFUSED_GOOD].map(Shape::new);
        for (index, cell) in states.cells().iter().enumerate() {
            let (left, right) = self.cell(index, width);
            let mut y = top;
            for (shape, calls) in shapes.iter_mut().zip([cell.refused.bad(), cell.refused.good]) {
                let height = match number(calls) * scale {
                    0.0 => 0.0,
                    height => height.clamp(LEAST, REFUSED),
                };
                shape.add(left, right, y, height);
                y += height;
            }
        }
        shapes.iter().try_for_each(|shape| shape.write(svg))
    }

    fn time_axis(&self, svg: &mut String, bottom: f64) -> fmt::Result {
        let step = tick(self.length / 7.0);
        let from = self.report.coverage.from;
        let mut seconds = 0.0;
        while seconds <= self.length {
            let x = self.x(seconds);
            line(svg, x, TRAFFIC_TOP, x, bottom)?;
            let label = self.clock(from, Duration::from_secs_f64(seconds));
            text(svg, x, bottom + 18.0, r##"text-anchor="middle" fill="#555""##, &label)?;
            seconds += step;
        }
        Ok(())
    }

    fn clock(&self, from: Duration, since: Duration) -> String {
        let time = from.saturating_add(since);
        let date = SignedDuration::try_from(time).ok().and_then(|time| Timestamp::from_duration(time).ok());
        let format = match self.length {
            ..10.0 => "%H:%M:%S%.3f",
            ..90_000.0 => "%H:%M:%S",
            _ => "%b %d %H:%M",
        };
        match date.filter(|_| words::is_date(from)) {
            Some(date) => date.strftime(format).to_string(),
            None => words::span(since),
        }
    }

    /// The left and the right end of a cell.
    fn cell(&self, index: usize, width: Duration) -> (f64, f64) {
        let width = width.as_secs_f64();
        let left = self.x(number(index as u64) * width);
        let right = self.x((number(index as u64) + 1.0) * width);
        (left, right.max(left + 0.5).min(RIGHT.max(left)))
    }

    fn x(&self, seconds: f64) -> f64 {
        (LEFT + seconds / self.length * (RIGHT - LEFT)).min(RIGHT)
    }
}

/// How often it opened, and why.
fn openings(policy: &PolicyReport) -> String {
    let causes: Vec<_> = policy.causes.keys().copied().collect();
    match policy.openings {
        0 => "never opened".into(),
        1 => format!("opened once: {}", causes.join(", ")),
        more if causes.len() == 1 => format!("opened {} times: {}", words::count(more), causes[0]),
        more => format!("opened {} times, by {} rules", words::count(more), causes.len()),
    }
}

fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 10.0 {
        format!("{rate:.0}")
    } else {
        format!("{rate:.3}").trim_end_matches(['0', '.']).into()
    }
}

/// The next of 1, 2, 5, 10, 20, ... in seconds, minutes, hours or days.
fn tick(least: f64) -> f64 {
    const STEPS: [f64; 22] = [
        0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0,
        7200.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
    ];
    STEPS.into_iter().find(|step| *step >= least).unwrap_or_else(|| 86_400.0 * nice(least / 86_400.0).ceil())
}

/// The next round number.
fn nice(least: f64) -> f64 {
    let mut power = 1e-3;
    loop {
        if let Some(found) = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0]
            .map(|digit| digit * power)
            .into_iter()
            .find(|number| *number >= least)
        {
            return found;
        }
        power *= 10.0;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pixel is much coarser")]
fn number(number: u64) -> f64 {
    number as f64
}

fn legend(svg: &mut String, y: f64, title: &str, entries: &[(&str, &str)]) -> fmt::Result {
    text(svg, 20.0, y, r#"font-weight="600""#, title)?;
    let mut x = 140.0;
    for (color, label) in entries {
        rect(svg, x, y - 10.0, 12.0, 12.0, color)?;
        text(svg, x + 18.0, y, "", label)?;
        x += 42.0 + 7.2 * number(label.chars().count() as u64);
    }
    Ok(())
}

/// Rectangles of one color, those side by side in one.
struct Shape {
    color: &'static str,
    rects: Vec<[f64; 4]>,
}

impl Shape {
    fn new(color: &'static str) -> Self {
        Shape { color, rects: Vec::new() }
    }

    fn add(&mut self, left: f64, right: f64, y: f64, height: f64) {
        const NEAR: f64 = 0.05;
        if height <= 0.0 || right <= left {
            return;
        }
        match self.rects.last_mut() {
            Some([_, end, top, tall])
                if left <= *end + NEAR && (*top - y).abs() < NEAR && (*tall - height).abs() < NEAR =>
            {
                *end = right;
            }
            _ => self.rects.push([left, right, y, height]),
        }
    }

    fn write(&self, svg: &mut String) -> fmt::Result {
        if self.rects.is_empty() {
            return Ok(());
        }
        write!(svg, r#"<path fill="{}" d=""#, self.color)?;
        for [left, right, y, height] in &self.rects {
            write!(svg, "M{left:.1} {y:.1}H{right:.1}v{height:.1}H{left:.1}z")?;
        }
        writeln!(svg, r#""/>"#)
    }
}

fn rect(svg: &mut String, x: f64, y: f64, width: f64, height: f64, color: &str) -> fmt::Result {
    if width <= 0.0 || height <= 0.0 {
        return Ok(());
    }
    writeln!(svg, r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" fill="{color}"/>"#)
}

fn line(svg: &mut String, x1: f64, y1: f64, x2: f64, y2: f64) -> fmt::Result {
    writeln!(svg, r##"<path d="M{x1:.2} {y1:.2}L{x2:.2} {y2:.2}" stroke="#e3e6ea"/>"##)
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, content: &str) -> fmt::Result {
    write!(svg, r#"<text x="{x:.2}" y="{y:.2}" {attributes}>"#)?;
    for char in content.chars() {
        match char {
            '<' => svg.push_str("&lt;"),
            '>' => svg.push_str("&gt;"),
            '&' => svg.push_str("&amp;"),
            // Not allowed in XML.
            '\0'..' ' | '\u{FFFE}' | '\u{FFFF}' => svg.push('\u{FFFD}'),
            _ => svg.push(char),
        }
    }
    writeln!(svg, "</text>")
}
