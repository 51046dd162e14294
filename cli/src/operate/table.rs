//! Breakers as rows.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::facts::{Breaker, Overview, States};
use super::text::{fitted, printable, width};
use crate::replay::words::span;

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) has_colour: bool,
    /// How many columns there are. `None` cuts nothing.
    pub(super) columns: Option<usize>,
}

const HEAD: [&str; 9] = ["STATE", "BREAKER", "REGISTRY", "SINCE", "CALLS/S", "ERRORS/S", "REJECTED/S", "NEXT", "WHY"];
const REGISTRY: usize = 2;
/// These are numbers, aligned to the right.
const NUMBERS: std::ops::Range<usize> = 3..7;
/// The widest that a column gets on a terminal, where the reason has what is left.
const WIDEST_NAME: usize = 32;

/// The lines of the table, its head included.
pub(super) fn lines(overview: &Overview, look: Look) -> Vec<String> {
    let rows: Vec<_> = overview.breakers.iter().map(|breaker| cells(breaker, overview.at, look)).collect();
    let has_calls = overview.fleet.is_none();
    let has_registries = overview.breakers.iter().any(|breaker| breaker.registry.is_some());
    let head = HEAD.map(str::to_owned);
    let mut widths = [0; HEAD.len()];
    for cells in rows.iter().chain([&head]) {
        for (most, cell) in widths.iter_mut().zip(cells) {
            *most = width(cell).max(*most);
        }
    }
    let line = |cells: &[String; 9], style: Style| {
        let mut text = String::new();
        for (column, (cell, width_of)) in cells.iter().zip(widths).enumerate() {
            if column == REGISTRY && !has_registries || NUMBERS.contains(&column) && !has_calls {
                continue;
            }
            let padding = " ".repeat(width_of - width(cell));
            if NUMBERS.contains(&column) {
                let _ = write!(text, "{padding}{cell}  ");
            } else {
                let _ = write!(text, "{cell}{padding}  ");
            }
        }
        let text = text.trim_end();
        let text = look.columns.map_or(text.into(), |columns| fitted(text, columns));
        painted(&text, style, look)
    };
    let mut lines = vec![line(&head, Style::new().dimmed())];
    lines.extend(rows.iter().zip(&overview.breakers).map(|(cells, breaker)| line(cells, style_of(&breaker.state))));
    lines
}

/// `5 breakers: 1 open, 4 closed`. Of a fleet, only those that are not closed are known.
pub(super) fn summary(overview: &Overview) -> String {
    let Some((fleet, members)) = &overview.fleet else { return sums(overview.states) };
    let members = if *members == 1 { "1 member".into() } else { format!("{members} members") };
    let sums = if overview.states == States::default() { "all closed".into() } else { sums(overview.states) };
    format!("fleet {}: {members}; {sums}", printable(fleet))
}

/// `5 breakers: 1 open, 4 closed`
pub(super) fn sums(states: States) -> String {
    let States { closed, open, half_open, forced_open, forced_closed } = states;
    let counts = [
        (open, "open"),
        (half_open, "half-open"),
        (forced_open, "forced open"),
        (forced_closed, "forced closed"),
        (closed, "closed"),
    ];
    let total: u64 = counts.iter().map(|(count, _)| count).sum();
    let named: Vec<_> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect();
    match total {
        0 => "no breakers".into(),
        1 => format!("1 breaker: {}", named.join(", ")),
        _ => format!("{total} breakers: {}", named.join(", ")),
    }
}

fn cells(breaker: &Breaker, now: u64, look: Look) -> [String; 9] {
    let name = |name: &str| {
        let name = printable(name);
        if look.columns.is_some() { fitted(&name, WIDEST_NAME).into_owned() } else { name.into_owned() }
    };
    let since = ago(breaker.since, now);
    [
        words(&breaker.state),
        name(&breaker.name),
        breaker.registry.as_deref().map(name).unwrap_or_default(),
        match breaker.since {
            0 => String::new(),
            _ if breaker.since_is_known => since,
            _ => format!("> {since}"),
        },
        rate(breaker.calls_per_second),
        rate(breaker.errors_per_second),
        rate(breaker.rejected_per_second),
        next(breaker, now),
        why(breaker),
    ]
}

/// What happens next: when it retries, or how near it is to opening.
fn next(breaker: &Breaker, now: u64) -> String {
    if let Some(at) = breaker.retry_at {
        let left = at.saturating_sub(now).div_ceil(1_000);
        return if left == 0 { "retries now".into() } else { format!("retries in {}", seconds(left)) };
    }
    if let Some(at) = breaker.hold_ends_at {
        return format!("ends in {}", seconds(at.saturating_sub(now).div_ceil(1_000)));
    }
    let judged = breaker.rules.iter().filter(|rule| rule.is_judged && rule.pressure > 0.0);
    let nearest = judged.max_by(|one, other| one.pressure.total_cmp(&other.pressure));
    nearest.map_or_else(String::new, |rule| {
        format!("{:.0} % of {}", (rule.pressure * 100.0).clamp(0.0, 999.0), words(&rule.name))
    })
}

fn why(breaker: &Breaker) -> String {
    if let Some(note) = &breaker.note {
        return printable(note).into_owned();
    }
    let cause = breaker.cause.as_deref().map(words);
    // A breaker that is closed had its cause an hour ago.
    let cause = cause.filter(|_| breaker.state != "closed");
    let error = breaker.last_error.as_ref().filter(|_| !matches!(&*breaker.state, "closed" | "forced_closed"));
    let error = error.map(|error| printable(error.message.as_ref().unwrap_or(&error.kind)).into_owned());
    [cause, error].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// How long ago, in whole seconds.
pub(super) fn ago(then: u64, now: u64) -> String {
    seconds(now.saturating_sub(then) / 1_000)
}

fn seconds(seconds: u64) -> String {
    span(Duration::from_secs(seconds))
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".into(),
        _ if rate.abs() < 100.0 => format!("{rate:.1}"),
        _ => format!("{rate:.0}"),
    }
}

/// `half_open` as people write it. Names of states and causes come from the server too.
pub(super) fn words(name: &str) -> String {
    match name {
        "half_open" => "half-open".into(),
        name => printable(&name.replace('_', " ")).into_owned(),
    }
}

fn style_of(state: &str) -> Style {
    match state {
        "open" => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
        "half_open" => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        "forced_open" | "forced_closed" => Style::new().fg_color(Some(AnsiColor::Magenta.into())),
        _ => Style::new(),
    }
}

pub(super) fn painted(text: &str, style: Style, look: Look) -> String {
    if look.has_colour && !style.is_plain() { format!("{style}{text}{style:#}") } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn overview() -> Overview {
        serde_json::from_value(json!({
            "at": 1_767_225_600_000_u64,
            "states": {"closed": 2, "open": 1, "half_open": 1, "forced_open": 1, "forced_closed": 0},
            "matched": 5,
            "breakers": [
                {"id": 1, "name": "db-1", "registry": "hosts", "state": "open", "since": 1_767_225_588_000_u64,
                    "since_is_known": true, "cause": "error_rate", "retry_at": 1_767_225_617_400_u64,
                    "rejected_per_second": 1234.5, "calls_per_second": 0.04,
                    "last_error": {"type": "Timeout", "message": "gone\u{1b}[2J\nfor good"}},
                {"id": 2, "name": "mail", "state": "half_open", "since": 1_767_225_599_000_u64, "since_is_known": true,
                    "cause": "reset_timeout", "calls_per_second": 0.5, "retry_at": null},
                {"id": 3, "name": "\u{1b}]0;owned\u{7}\u{202e}live", "state": "forced_open",
                    "since": 1_767_221_000_000_u64, "since_is_known": false, "cause": "manual"},
                {"id": 4, "name": "日本", "state": "closed", "since": 1_767_225_000_000_u64, "since_is_known": false,
                    "calls_per_second": 12.34, "errors_per_second": 3.0,
                    "rules": [{"rule": "error_rate", "value": 0.2, "threshold": 0.5, "is_judged": true, "pressure": 0.4},
                        {"rule": "slow_call_rate", "is_judged": false, "pressure": 0.9}],
                    "cause": "manual", "last_error": {"type": "Timeout"}},
                {"id": 5, "name": "new", "state": "melted_down"}
            ]
        }))
        .unwrap()
    }

    #[test]
    fn the_table_is_as_it_was() {
        let plain = Look { has_colour: false, columns: None };
        let lines = lines(&overview(), plain).join("\n") + "\n";
        assert_eq!(lines, include_str!("table.txt"), "{lines}");
        assert_eq!(sums(overview().states), "5 breakers: 1 open, 1 half-open, 1 forced open, 2 closed");
        assert_eq!(sums(States::default()), "no breakers");
    }

    #[test]
    fn colours_surround_whole_lines_and_nothing_else_escapes() {
        let coloured = lines(&overview(), Look { has_colour: true, columns: Some(60) });
        for line in &coloured {
            let bare = line.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
            let bare =
                ["\u{1b}[31m", "\u{1b}[33m", "\u{1b}[35m"].iter().fold(bare, |bare, code| bare.replace(code, ""));
            assert!(!bare.chars().any(char::is_control), "{bare:?}");
            assert!(width(&bare) <= 60, "{bare}");
        }
        assert!(coloured[1].contains("\u{1b}[31m"), "{:?}", coloured[1]);
        assert!(!coloured[4].contains('\u{1b}'), "a closed breaker has no colour: {:?}", coloured[4]);
    }
}
