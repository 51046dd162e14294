use std::fmt::Write;

use crate::rule::{RULES, Rule};
use crate::simulation::{Opening, RATES};
use crate::table::{Openings, grouped};

const WIDTH: f64 = 1280.0;
const HEIGHT: f64 = 846.0;
const PANEL: (f64, f64) = (510.0, 250.0);
/// Where the panels' upper left corners are.
const COLUMNS: [f64; 2] = [116.0, 744.0];
const ROWS: [f64; 2] = [186.0, 534.0];
const BAR: f64 = 18.0;
/// The calls at the top of a panel, as a power of ten.
const TOP: u32 = 6;

/// A chart for each outage: the calls that were let through before the breaker opened.
pub(crate) fn svg(openings: &Openings) -> String {
    let corners = ROWS.iter().flat_map(|y| COLUMNS.map(|x| (x, *y)));
    let panels = openings.outages().zip(corners).map(|((outage, rows), corner)| panel(outage.title(), rows, corner));
    let panels: String = panels.collect();
    let legend = legend();
    let title = text("Calls that meet a broken dependency before the breaker opens", (40.0, 46.0), "class=\"title\"");
    let note = "Bars: failed, slow or hung calls let through. Pale, to the top: the breaker never opens.";
    let note = text(note, (40.0, 76.0), "");
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="15" fill="#222222">
<style>.title {{ font-size: 25px; font-weight: bold }} .panel {{ font-weight: bold }} .tick {{ font-size: 14px }} .never {{ font-size: 12px }}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{title}{note}{legend}{panels}</svg>
"##
    )
}

fn legend() -> String {
    let columns = [40.0, 400.0, 760.0];
    let places = columns.into_iter().flat_map(|x| [104.0, 130.0].map(|y| (x, y)));
    let entries = RULES.iter().zip(places).map(|(rule, (x, y))| {
        let swatch = format!(r#"<rect x="{x}" y="{}" width="14" height="14" fill="{}"/>"#, y - 12.0, rule.colour);
        format!("{swatch}\n{}", text(rule.title, (x + 22.0, y), ""))
    });
    entries.collect()
}

fn panel(title: &str, rows: &[[Option<Opening>; RATES.len()]], (x, y): (f64, f64)) -> String {
    let (width, height) = PANEL;
    let mut drawn = text(title, (x, y - 12.0), "class=\"panel\"");
    for power in 0..=TOP {
        let calls = 10_u64.pow(power);
        let at = y + height - rise(calls);
        let _ = writeln!(drawn, r##"<path d="M{x} {at:.1}h{width}" stroke="#d5d5d5"/>"##);
        drawn += &text(&grouped(calls), (x - 8.0, at + 5.0), "class=\"tick\" text-anchor=\"end\"");
    }
    let group = width / f64::from(u32::try_from(RATES.len()).expect("few"));
    let mut centre = x + group / 2.0;
    for (index, rate) in RATES.into_iter().enumerate() {
        drawn += &text(&grouped(rate.into()), (centre, y + height + 20.0), "text-anchor=\"middle\"");
        let mut left = centre - BAR * 3.0;
        for (rule, row) in RULES.iter().zip(rows) {
            drawn += &bar(rule, row[index], (left, y + height));
            left += BAR;
        }
        centre += group;
    }
    drawn += &text("calls a second", (x + width / 2.0, y + height + 42.0), "text-anchor=\"middle\"");
    let (at, middle) = (x - 90.0, y + height / 2.0);
    let turned = format!(r#"text-anchor="middle" transform="rotate(-90 {at} {middle})""#);
    drawn + &text("calls let through (log scale)", (at, middle), &turned)
}

/// `foot` is its lower left corner.
fn bar(rule: &Rule, opening: Option<Opening>, (left, foot): (f64, f64)) -> String {
    let (x, width) = (left + 1.5, BAR - 3.0);
    let height = opening.map_or(PANEL.1, |it| rise(it.calls));
    let bar = format!(r#"<rect x="{x:.1}" y="{:.1}" width="{width:.1}" height="{height:.1}""#, foot - height);
    if opening.is_some() {
        return format!("{bar} fill=\"{}\"/>\n", rule.colour);
    }
    let (x, y) = (left + BAR / 2.0 + 4.0, foot - 8.0);
    let never = text("never", (x, y), &format!(r#"class="never" transform="rotate(-90 {x:.1} {y:.1})""#));
    format!("{bar} fill=\"{}\" fill-opacity=\"0.15\"/>\n{never}", rule.colour)
}

/// How high so many calls are drawn.
fn rise(calls: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let power = (calls as f64).log10();
    PANEL.1 * power / f64::from(TOP)
}

fn text(text: &str, (x, y): (f64, f64), attributes: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>\n")
}
