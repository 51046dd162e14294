use std::time::Duration;

use tripcoil::State;

use crate::axis::{TimeAxis, round_up};
use crate::client::PATIENCE;
use crate::figures::Figures;
use crate::load::{TASK_RATE, THREAD_RATE, THREADS};
use crate::palette::{EDGE, Look};
use crate::panel::{self, BAND, Bin};
use crate::record::{Ending, Record};
use crate::script::Condition;
use crate::svg::{Drawing, Rect, Type};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 1830;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 1170.0;
const TOP: f64 = 244.0;
/// From one run to the next; the settings take part of it.
const RUN: f64 = 540.0;
/// The height of the settings.
const SETTINGS: f64 = 46.0;
const LATENCY: f64 = 168.0;
const RATE: f64 = 132.0;
const NOTE: Type = Type::new(15.0);

/// Draws the runs, one above the other, on the same axes.
pub(crate) fn picture(runs: &[Record; 3]) -> String {
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    heading(&mut drawing);
    let bins = runs.each_ref().map(|record| panel::bins(&record.calls, record.length));
    let highest = round_up(bins.iter().flatten().map(Bin::total).fold(0.0, f64::max));
    for ((record, bins), y) in runs.iter().zip(&bins).zip([TOP, TOP + RUN - SETTINGS, TOP + 2.0 * RUN - SETTINGS]) {
        run(&mut drawing, y, record, bins, highest);
    }
    drawing.finish()
}

fn heading(drawing: &mut Drawing) {
    drawing.text(
        (30.0, 42.0),
        Type::new(26.0).bold(),
        "One outage three times: no circuit breaker, the defaults, settings for it",
    );
    let clients = format!(
        "A real HTTP server on this machine, called {TASK_RATE} times a second by async tasks and up to {} times by {THREADS} threads.",
        THREADS * THREAD_RATE,
    );
    let rules = format!(
        "Callers give up after {} ms. Recovering, the server bears a few calls at once; a crowd keeps it slow until somebody helps.",
        PATIENCE.as_millis(),
    );
    drawing.text((30.0, 70.0), NOTE, &clients);
    drawing.text((30.0, 92.0), NOTE, &rules);
    drawing.text((30.0, 114.0), NOTE, "Below the title of each run with a breaker stand all of its settings.");
    let named = |look: Look| (look, look.name);
    let conditions = [Condition::Healthy, Condition::Failing, Condition::Down, Condition::Recovering];
    let states = [
        (State::Closed.into(), "closed: calls go through"),
        (State::Open.into(), "open: calls are rejected at once"),
        (State::HalfOpen.into(), "half-open: a few calls try the server"),
    ];
    let endings = [Ending::Good, Ending::Failed, Ending::Refused, Ending::Rejected];
    legend(drawing, 148.0, "server", conditions.map(|condition| named(condition.into())));
    legend(drawing, 174.0, "breaker", states);
    legend(drawing, 200.0, "calls", endings.map(|ending| named(ending.into())));
}

fn legend<const N: usize>(drawing: &mut Drawing, y: f64, title: &str, entries: [(Look, &str); N]) {
    drawing.text((30.0, y), NOTE.bold(), title);
    let mut x = LEFT;
    for (look, meaning) in entries {
        let swatch = Rect { x, y: y - 12.0, width: 22.0, height: 14.0 };
        drawing.rect(swatch, look.fill);
        drawing.frame(swatch, EDGE);
        drawing.text((x + 30.0, y), NOTE, meaning);
        x += 56.0 + NOTE.width(meaning);
    }
}

fn run(drawing: &mut Drawing, y: f64, record: &Record, bins: &[Bin], highest: f64) {
    let time = TimeAxis { left: LEFT, right: RIGHT, length: record.length };
    let settings = record.protection.settings();
    for (line, below) in settings.iter().zip([18.0, 34.0, 50.0]) {
        drawing.text((30.0, y + below), Type::new(13.0), line);
    }
    let server = y + 16.0 + if settings.is_empty() { 0.0 } else { SETTINGS };
    let breaker = server + BAND + 6.0;
    let latency = time.area(breaker + BAND + 12.0, LATENCY);
    let rate = time.area(latency.bottom() + 22.0, RATE);

    drawing.text((30.0, y), Type::new(20.0).bold(), record.protection.title());
    drawing.text((RIGHT, y), NOTE.flush_right(), &summary(&Figures::of(record)));

    drawing.text((LEFT - 8.0, server + 18.0), NOTE.flush_right(), "server");
    panel::band(drawing, time, server, &record.chart.turns);
    drawing.text((LEFT - 8.0, breaker + 18.0), NOTE.flush_right(), "breaker");
    if let Some(turns) = &record.states {
        let turns: Vec<_> = [(Duration::ZERO, State::Closed)].into_iter().chain(turns.iter().copied()).collect();
        panel::band(drawing, time, breaker, &turns);
    } else {
        drawing.frame(time.area(breaker, BAND), EDGE);
        drawing.text((f64::midpoint(LEFT, RIGHT), breaker + 18.0), NOTE.centred(), "none");
    }

    panel::latencies(drawing, time, latency, &record.calls);
    panel::rates(drawing, time, rate, bins, highest);
    for &(at, _) in &record.chart.turns[1..] {
        let x = time.x(at);
        drawing.dashes((x, latency.y), (x, latency.bottom()), EDGE);
        drawing.dashes((x, rate.y), (x, rate.bottom()), EDGE);
    }
    time.draw(drawing, rate.bottom());
}

fn summary(figures: &Figures) -> String {
    let Figures { requests, success_share, reached_sick, back_after, .. } = figures;
    let back = back_after.map_or_else(
        || "traffic never back".to_owned(),
        |back| format!("traffic back {:.2} s after the server", back.as_secs_f64()),
    );
    let percent = 100.0 * success_share;
    format!("{percent:.1} % of {requests} calls succeeded · {reached_sick} reached the sick server · {back}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Protection, Rule};
    use crate::health::Chart;
    use crate::record::{Call, Caller};

    fn record(length: u64, states: Option<Vec<(Duration, State)>>) -> Record {
        let endings = [Ending::Good, Ending::Failed, Ending::Refused, Ending::Rejected];
        let call = |index: u64| Call {
            caller: Caller::Thread,
            at: Duration::from_millis(index * 50),
            latency: Duration::from_micros(7_u64.pow(u32::try_from(index % 8).unwrap())),
            ending: endings[usize::try_from(index).unwrap() % 4],
        };
        let turn = |percent, condition| (Duration::from_secs(length) * percent / 100, condition);
        let turns = vec![
            turn(0, Condition::Healthy),
            turn(15, Condition::Failing),
            turn(35, Condition::Down),
            turn(50, Condition::Recovering),
            turn(85, Condition::Helped),
        ];
        Record {
            protection: if states.is_some() { Protection::Tuned(Rule::Slow) } else { Protection::Nothing },
            length: Duration::from_secs(length),
            calls: (0..length * 20).map(call).collect(),
            chart: Chart { turns, sick_requests: 3 },
            states,
        }
    }

    #[test]
    fn the_picture_is_well_formed_and_everything_is_on_it() {
        for length in [5, 12, 60] {
            let states = vec![(Duration::from_secs(1), State::Open), (Duration::from_secs(2), State::HalfOpen)];
            let svg = picture(&[record(length, None), record(length, Some(Vec::new())), record(length, Some(states))]);
            let document = roxmltree::Document::parse(&svg).unwrap();
            for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
                let number = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
                assert!(number("x") >= 0.0 && number("x") + number("width") <= f64::from(WIDTH), "{node:?}");
                assert!(number("y") >= 0.0 && number("y") + number("height") <= f64::from(HEIGHT), "{node:?}");
            }
        }
    }

    #[test]
    fn every_phase_and_state_is_named() {
        let svg = picture(&[
            record(12, None),
            record(12, None),
            record(12, Some(vec![(Duration::from_secs(3), State::Open)])),
        ]);
        for name in ["healthy", "failing slowly", "refusing connections", "recovering", "closed", "open"] {
            assert!(svg.contains(&format!(">{name}<")), "{name}");
        }
    }

    #[test]
    fn a_run_without_any_call_has_a_picture() {
        let empty = || Record { calls: Vec::new(), ..record(5, None) };
        assert!(roxmltree::Document::parse(&picture(&[empty(), empty(), empty()])).is_ok());
    }
}
