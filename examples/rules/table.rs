use std::fmt::Write;
use std::thread;
use std::time::Duration;

use crate::outage::Outage;
use crate::rule::{RULES, Rule};
use crate::simulation::{Opening, RATES, opening};

/// For each outage, rule and rate, when the breaker opens.
pub(crate) struct Openings(Vec<(Outage, Vec<[Option<Opening>; RATES.len()]>)>);

impl Openings {
    pub(crate) fn measure(seed: u64) -> Self {
        let of = |outage| RULES.iter().map(|rule| RATES.map(|rate| opening(rule, outage, rate, seed))).collect();
        thread::scope(|scope| {
            let threads = Outage::ALL.map(|outage| scope.spawn(move || (outage, of(outage))));
            Openings(threads.into_iter().map(|thread| thread.join().expect("the simulation never panics")).collect())
        })
    }

    pub(crate) fn outages(&self) -> impl Iterator<Item = (Outage, &[[Option<Opening>; RATES.len()]])> {
        self.0.iter().map(|(outage, rows)| (*outage, rows.as_slice()))
    }

    /// All of it in Markdown, a table for each outage.
    pub(crate) fn tables(&self) -> String {
        let tables = self.outages().map(|(outage, rows)| {
            let mut table = format!("**{}**\n\n", outage.title());
            let titles = RULES.iter().map(|rule| rule.title);
            write_table(&mut table, "rule", &RATES.map(per_second), titles.zip(rows.iter().map(|row| row.map(cell))));
            table
        });
        tables.collect::<Vec<_>>().join("\n")
    }
}

/// In Markdown: how many failed calls reach a dead server under `rule`, and under the default.
pub(crate) fn comparison(rule: &Rule, seed: u64) -> String {
    let default = &RULES[0];
    let calls =
        |rule, rate| opening(rule, Outage::Dead, rate, seed).map_or("never opens".into(), |it| grouped(it.calls));
    let mut text = "Failed calls that reach a dead server before the breaker opens\n\n".to_owned();
    let traffic = RATES.map(per_second);
    let rows = RATES.map(|rate| [calls(rule, rate), calls(default, rate)]);
    let columns = [rule.title, default.title].map(str::to_owned);
    write_table(&mut text, "traffic", &columns, traffic.iter().map(String::as_str).zip(rows));
    text
}

fn write_table<'a, const N: usize>(
    text: &mut String,
    corner: &str,
    columns: &[String; N],
    rows: impl Iterator<Item = (&'a str, [String; N])>,
) {
    let _ = writeln!(text, "| {corner} | {} |\n|---|{}", columns.join(" | "), "---|".repeat(N));
    for (title, cells) in rows {
        let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
    }
}

fn cell(opening: Option<Opening>) -> String {
    opening.map_or("never".into(), |it| format!("{} in {}", grouped(it.calls), brief(it.after)))
}

pub(crate) fn per_second(rate: u32) -> String {
    format!("{}/s", grouped(rate.into()))
}

/// With a space before each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

/// Two digits of it.
fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds @ 9.95.. => format!("{seconds:.0} s"),
        seconds @ 0.0995.. => format!("{seconds:.1} s"),
        seconds @ 0.00995.. => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}
