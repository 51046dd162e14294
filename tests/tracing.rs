//! `tracing` hears of each transition once, and of no call.
#![cfg(feature = "tracing")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use common::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tripcoil::{Builder, State, Window, trace};

/// One event: its level, its target and its fields.
#[derive(Clone, Debug)]
struct Told {
    level: Level,
    target: String,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Told>>>);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        panic!("a breaker makes no spans");
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut told = Told { level: *metadata.level(), target: metadata.target().to_owned(), fields: BTreeMap::new() };
        event.record(&mut told);
        self.0.lock().unwrap().push(told);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What was told while `run` ran.
fn told(run: impl FnOnce()) -> Vec<Told> {
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), run);
    let told = listener.0.lock().unwrap();
    told.clone()
}

fn traced(settings: Builder) -> Builder {
    settings.error_threshold(2).on_transition(trace::observer())
}

#[test]
fn an_outage_is_told_in_one_event_for_each_transition() {
    let (breaker, clock) = manual(traced);
    let told = told(|| {
        (0..50).for_each(|_| succeed(&breaker));
        fail(&breaker);
        fail(&breaker);
        (0..7).for_each(|_| drop(refused(&breaker)));
        fail_a_probe(&breaker, &clock);
        (0..5).for_each(|_| drop(refused(&breaker)));
        clock.advance(30 * SECOND);
        let probe = admitted(&breaker);
        refused(&breaker);
        probe.success();
        succeed(&breaker);
        (0..50).for_each(|_| succeed(&breaker));
    });
    let seen: Vec<_> = told
        .iter()
        .map(|event| (event.level, event.fields["message"].as_str(), event.fields["rejected"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (Level::WARN, "circuit breaker `test`: closed -> open (error_threshold)", "0"),
            (Level::INFO, "circuit breaker `test`: open -> half_open (reset_timeout)", "7"),
            (Level::WARN, "circuit breaker `test`: half_open -> open (probe_failed)", "7"),
            (Level::INFO, "circuit breaker `test`: open -> half_open (reset_timeout)", "12"),
            (Level::INFO, "circuit breaker `test`: half_open -> closed (success_threshold)", "13"),
        ]
    );
    assert!(told.iter().all(|event| event.target == "tripcoil"));
}

#[test]
fn an_event_has_the_facts_of_its_transition_as_fields() {
    let (breaker, _clock) = manual(traced);
    let told = told(|| {
        fail(&breaker);
        fail(&breaker);
        breaker.reset();
    });
    let fields = |event: &Told| -> Vec<(&str, String)> { event.fields.clone().into_iter().collect() };
    let text = |pairs: &[(&'static str, &str)]| -> Vec<(&str, String)> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    assert_eq!(
        fields(&told[0]),
        text(&[
            ("breaker", "test"),
            ("cause", "error_threshold"),
            ("errors", "2"),
            ("from", "closed"),
            ("message", "circuit breaker `test`: closed -> open (error_threshold)"),
            ("open_for_ms", "30000"),
            ("rejected", "0"),
            ("sequence", "1"),
            ("successes", "0"),
            ("to", "open"),
        ])
    );
    assert_eq!(
        fields(&told[1]),
        text(&[
            ("breaker", "test"),
            ("cause", "reset"),
            ("errors", "0"),
            ("from", "open"),
            ("message", "circuit breaker `test`: open -> closed (reset)"),
            ("rejected", "0"),
            ("sequence", "2"),
            ("successes", "0"),
            ("to", "closed"),
        ])
    );
}

#[test]
fn a_window_is_told_with_its_counts() {
    let (breaker, _clock) =
        manual(|settings| traced(settings).error_rate(0.5).window(Window::calls(4)).minimum_calls(4));
    let told = told(|| {
        succeed(&breaker);
        succeed(&breaker);
        fail(&breaker);
        succeed(&breaker);
        fail(&breaker);
    });
    let of = |name| told[0].fields[name].as_str();
    assert_eq!(
        (of("cause"), of("window_calls"), of("window_errors"), of("window_slow_calls")),
        ("error_rate", "4", "2", "0")
    );
}

#[test]
fn what_takes_the_protection_off_or_every_call_away_is_a_warning() {
    let (breaker, _clock) = manual(traced);
    let told = told(|| {
        for state in [State::ForcedOpen, State::ForcedClosed, State::Open, State::HalfOpen, State::Closed] {
            breaker.transition_to(state);
        }
    });
    let levels: Vec<_> = told.iter().map(|event| event.level).collect();
    assert_eq!(levels, [Level::WARN, Level::WARN, Level::WARN, Level::INFO, Level::INFO]);
}

#[test]
fn each_outage_is_told_with_its_own_rejections() {
    let (breaker, _clock) = manual(traced);
    let told = told(|| {
        for rejections in [3, 0, 2] {
            breaker.force_open();
            (0..rejections).for_each(|_| drop(refused(&breaker)));
            breaker.transition_to(State::Closed);
        }
    });
    let rejected: Vec<_> = told.iter().map(|event| event.fields["rejected"].as_str()).collect();
    assert_eq!(rejected, ["0", "3", "0", "0", "0", "2"]);
}

#[test]
fn a_shadow_is_told_at_debug_level_and_under_a_target_of_its_own() {
    let told = told(|| {
        let settings = |settings: Builder| traced(settings).on_shadow_transition(trace::shadow_observer());
        let (breaker, _clock) = manual(settings);
        let mut config = tripcoil::Config::default();
        config.error_threshold = Some(Some(1));
        breaker.shadow(config).unwrap();
        fail(&breaker);
    });
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].level, told[0].target.as_str()), (Level::DEBUG, "tripcoil::shadow"));
    assert_eq!(told[0].fields["to"], "open");
}
