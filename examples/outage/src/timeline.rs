use std::time::Duration;

use tripcoil::State;

use crate::axis::{TimeAxis, round_up};
use crate::client::PATIENCE;
use crate::figures::Figures;
use crate::load::{TASK_RATE, THREAD_RATE, THREADS};
use crate::palette::{EDGE, Look};
use crate::panel::{self, BAND, Bin};
use crate::record::{Ending, Record, Shadow};
use crate::script::Condition;
use crate::svg::{Drawing, Rect, Type};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 1170.0;
const TOP: f64 = 244.0;
const HEADING_LINE: f64 = 22.0;
/// From one run to the next, without settings and shadow.
const RUN: f64 = 480.0;
/// What the story of a run takes, below its title.
const STORY: f64 = 22.0;
/// The height of the settings.
const SETTINGS: f64 = 46.0;
/// From one band to the next.
const NEXT_BAND: f64 = BAND + 6.0;
const LATENCY: f64 = 144.0;
const RATE: f64 = 120.0;
const NOTE: Type = Type::new(15.0);

/// Draws the runs, one above the other, on the same axes.
pub(crate) fn picture(runs: &[Record; 4]) -> String {
    let has_shadow = runs.iter().any(|record| record.shadow.is_some());
    let top = if has_shadow { TOP + HEADING_LINE } else { TOP };
    let mut drawing = Drawing::new(WIDTH, top + runs.iter().map(height).sum::<f64>());
    heading(&mut drawing, has_shadow);
    let bins = runs.each_ref().map(|record| panel::bins(&record.calls, record.length));
    let highest = round_up(bins.iter().flatten().map(Bin::total).fold(0.0, f64::max));
    let mut y = top;
    for (record, bins) in runs.iter().zip(&bins) {
        run(&mut drawing, y, record, bins, highest);
        y += height(record);
    }
    drawing.finish()
}

/// From the title of a run to that of the next.
fn height(record: &Record) -> f64 {
    let settings = if record.states.is_some() { SETTINGS } else { 0.0 };
    let shadow = if record.shadow.is_some() { NEXT_BAND } else { 0.0 };
    RUN + settings + shadow
}

fn heading(drawing: &mut Drawing, has_shadow: bool) {
    drawing.text(
        (30.0, 42.0),
        Type::new(26.0).bold(),
        "One outage four times: no circuit breaker, the defaults, a preset, settings for it",
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
    let settings =
        "The defaults and the presets are for outages of minutes; this one lasts seconds. All settings are printed.";
    drawing.text((30.0, 114.0), NOTE, settings);
    let mut y = 148.0;
    if has_shadow {
        let shadow = "A shadow shows what the preset would do with the calls that the breaker admits. It rejects none.";
        drawing.text((30.0, 114.0 + HEADING_LINE), NOTE, shadow);
        y += HEADING_LINE;
    }
    let named = |look: Look| (look, look.name);
    let conditions = [Condition::Healthy, Condition::Failing, Condition::Down, Condition::Recovering];
    let states = [
        (State::Closed.into(), "closed: calls go through"),
        (State::Open.into(), "open: calls are rejected at once"),
        (State::HalfOpen.into(), "half-open: a few calls try the server"),
    ];
    let endings = [Ending::Good, Ending::Failed, Ending::Refused, Ending::Rejected];
    legend(drawing, y, "server", conditions.map(|condition| named(condition.into())));
    legend(drawing, y + 26.0, "breaker", states);
    legend(drawing, y + 52.0, "calls", endings.map(|ending| named(ending.into())));
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
    for (line, below) in settings.iter().zip([18.0, 34.0, 50.0].map(|below| STORY + below)) {
        drawing.text((30.0, y + below), Type::new(13.0), line);
    }
    let server = y + STORY + 16.0 + if settings.is_empty() { 0.0 } else { SETTINGS };
    let breaker = server + NEXT_BAND;
    let shadow = breaker + NEXT_BAND;
    let bands_end = if record.shadow.is_some() { shadow + NEXT_BAND } else { shadow };
    let latency = time.area(bands_end + 6.0, LATENCY);
    let rate = time.area(latency.bottom() + 22.0, RATE);

    drawing.text((30.0, y), Type::new(20.0).bold(), &record.protection.title());
    drawing.text((30.0, y + STORY), NOTE, record.protection.story());
    drawing.text((RIGHT, y), NOTE.flush_right(), &summary(&Figures::of(record)));

    band_title(drawing, server, "server");
    panel::band(drawing, time, server, &record.chart.turns);
    band_title(drawing, breaker, "breaker");
    if let Some(turns) = &record.states {
        panel::band(drawing, time, breaker, &from_closed(turns));
    } else {
        drawing.frame(time.area(breaker, BAND), EDGE);
        drawing.text((f64::midpoint(LEFT, RIGHT), breaker + 18.0), NOTE.centred(), "none");
    }
    if let Some(Shadow { states, .. }) = &record.shadow {
        band_title(drawing, shadow, "shadow");
        panel::band(drawing, time, shadow, &from_closed(states));
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

fn band_title(drawing: &mut Drawing, y: f64, title: &str) {
    drawing.text((LEFT - 8.0, y + 18.0), NOTE.flush_right(), title);
}

/// The states of a breaker from the beginning of a run.
fn from_closed(changes: &[(Duration, State)]) -> Vec<(Duration, State)> {
    let is_closed_first = changes.first().is_none_or(|(at, _)| *at > Duration::ZERO);
    let first = is_closed_first.then_some((Duration::ZERO, State::Closed));
    first.into_iter().chain(changes.iter().copied()).collect()
}

fn summary(figures: &Figures) -> String {
    let Figures { requests, success_share, wasted, reached_sick, back_after, .. } = figures;
    let back = back_after.map_or_else(
        || "traffic never back".to_owned(),
        |back| format!("traffic back after {:.2} s", back.as_secs_f64()),
    );
    let percent = 100.0 * success_share;
    let wasted = wasted.as_secs_f64();
    format!(
        "{percent:.1} % of {requests} calls succeeded · {wasted:.0} s spent on failures · {reached_sick} reached the sick server · {back}"
    )
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
            shadow: None,
        }
    }

    fn with_shadow(record: Record) -> Record {
        let breaker = tripcoil::CircuitBreaker::builder("payments").observe_only().build().unwrap();
        let states = vec![(Duration::from_secs(1), State::Open), (Duration::from_secs(2), State::HalfOpen)];
        Record { shadow: Some(Shadow { states, metrics: *breaker.metrics().shadow.unwrap() }), ..record }
    }

    #[test]
    fn the_picture_is_well_formed_and_everything_is_on_it() {
        for length in [5, 12, 60] {
            let states = vec![(Duration::from_secs(1), State::Open), (Duration::from_secs(2), State::HalfOpen)];
            let forced = || record(length, Some(vec![(Duration::ZERO, State::ForcedClosed)]));
            let plain = || record(length, Some(Vec::new()));
            let opened = || record(length, Some(states.clone()));
            for runs in [
                [record(length, None), plain(), opened(), opened()],
                [with_shadow(forced()), with_shadow(plain()), opened(), with_shadow(opened())],
            ] {
                let svg = picture(&runs);
                let document = roxmltree::Document::parse(&svg).unwrap();
                let number =
                    |node: roxmltree::Node<'_, '_>, name| node.attribute(name).unwrap().parse::<f64>().unwrap();
                let whole = document.root_element();
                let (width, height) = (number(whole, "width"), number(whole, "height"));
                for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
                    assert!(number(node, "x") >= 0.0 && number(node, "x") + number(node, "width") <= width, "{node:?}");
                    assert!(
                        number(node, "y") >= 0.0 && number(node, "y") + number(node, "height") <= height,
                        "{node:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_phase_and_state_is_named() {
        let svg = picture(&[
            record(12, None),
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
        assert!(roxmltree::Document::parse(&picture(&[empty(), empty(), empty(), empty()])).is_ok());
    }

    #[test]
    fn a_shadow_has_a_band_of_its_own() {
        let svg = picture(&[0; 4].map(|_| with_shadow(record(12, Some(Vec::new())))));
        assert_eq!(svg.matches(">shadow<").count(), 4);
        assert!(!picture(&[0; 4].map(|_| record(12, Some(Vec::new())))).contains(">shadow<"));
    }

    #[test]
    fn a_breaker_is_closed_until_its_first_change() {
        let opened = (Duration::from_secs(1), State::Open);
        assert_eq!(from_closed(&[opened]), [(Duration::ZERO, State::Closed), opened]);
        let forced = (Duration::ZERO, State::ForcedClosed);
        assert_eq!(from_closed(&[forced]), [forced]);
        assert_eq!(from_closed(&[]), [(Duration::ZERO, State::Closed)]);
    }
}
