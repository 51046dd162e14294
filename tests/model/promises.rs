//! The reference itself keeps the promises, by examples that were counted by hand.

use std::time::Duration;

use tripcoil::{Cause, Dropped, Outcome, State};

use crate::reference::{Call, Counts, MILLI, Rates, Reference, Settings, Share, Span, Time};

const SECOND: Time = 1_000 * MILLI;
const SPANS: [Span; 2] = [Span::Calls(100), Span::Millis(16_000)];

fn plain(rates: Option<Rates>) -> Reference {
    let settings = Settings {
        error_threshold: rates.is_none().then_some(5),
        rates,
        reset_timeout: 30_000,
        backoff_factor: 1.0,
        backoff_max: 30_000,
        success_threshold: 2,
        half_open_error_threshold: 1,
        half_open_capacity: 1,
        half_open_max_capacity: 1,
        probe_timeout: 30_000,
        recovery: None,
        dropped_calls: Dropped::Ignore,
    };
    Reference::new(settings, 0)
}

/// Half of the calls for the error rate, nine tenths for the slow call rate.
fn rates(span: Span) -> Rates {
    let [half, most] = [5, 9].map(|part| Share { part, whole: 10 });
    Rates { error_rate: Some(half), slow: Some((most, 1_000)), drop_rate: None, span, minimum_calls: 20 }
}

fn admitted(reference: &mut Reference) -> Call {
    reference.admit().expect("it is admitted")
}

fn settle(reference: &mut Reference, outcome: Outcome) {
    let call = admitted(reference);
    reference.settle(call, outcome);
}

fn failures_until_open(reference: &mut Reference) -> Option<usize> {
    (1..1_000).find(|_| {
        settle(reference, Outcome::Failure);
        reference.state() == State::Open
    })
}

fn window(reference: &Reference) -> Counts {
    reference.face().window.expect("there are rates")
}

#[test]
fn forty_nine_failures_after_forty_nine_successes_open_while_fifty_one_calls_hang() {
    for span in SPANS {
        let mut reference = plain(Some(rates(span)));
        (0..51).for_each(|_| _ = admitted(&mut reference));
        (0..49).for_each(|_| settle(&mut reference, Outcome::Success));
        reference.set_clock(2 * SECOND);
        assert_eq!(window(&reference), Counts { calls: 49, errors: 0, slow: 0, hanging: 51, dropped: 0 });
        assert_eq!(failures_until_open(&mut reference), Some(49));
        assert_eq!(reference.told[0].cause, Cause::ErrorRate);
        assert_eq!(reference.told[0].window, Some(Counts { calls: 98, errors: 49, slow: 0, hanging: 51, dropped: 0 }));
    }
}

#[test]
fn nine_hundred_hanging_calls_beside_a_hundred_settled_ones_are_nine_tenths() {
    for (hanging, opens) in [(899, false), (900, true)] {
        for span in SPANS {
            let mut reference = plain(Some(rates(span)));
            (0..hanging).for_each(|_| _ = admitted(&mut reference));
            (0..100).for_each(|_| settle(&mut reference, Outcome::Success));
            reference.set_clock(2 * SECOND);
            assert_eq!(reference.admit().is_err(), opens, "{hanging} hang");
            assert_eq!(reference.told.first().map(|told| told.cause), opens.then_some(Cause::SlowCallRate));
        }
    }
}

#[test]
fn nine_drops_of_the_latest_ten_calls_are_nine_tenths_and_displace_no_error() {
    for (span, good) in [(Span::Calls(10), 1_000), (Span::Millis(16_000), 1)] {
        let [half, most] = [5, 9].map(|part| Share { part, whole: 10 });
        let rates = Rates { error_rate: Some(half), slow: None, drop_rate: Some(most), span, minimum_calls: 10 };
        let mut reference = plain(Some(rates));
        (0..good).for_each(|_| settle(&mut reference, Outcome::Success));
        for number in 1..=9 {
            let call = admitted(&mut reference);
            assert_eq!((reference.state(), window(&reference).dropped), (State::Closed, number - 1));
            reference.drop_call(call);
        }
        assert_eq!(reference.state(), State::Open);
        assert_eq!(reference.told[0].cause, Cause::DropRate);
        let seen = Counts { calls: good.min(10), errors: 0, slow: 0, hanging: 0, dropped: 9 };
        assert_eq!(reference.told[0].window, Some(seen));
    }
}

#[test]
fn drops_of_probes_and_late_ones_are_in_no_window() {
    let [rate, slow] = [Share { part: 1, whole: 10 }; 2];
    let rates = Rates { error_rate: None, slow: Some((slow, 1_000)), drop_rate: Some(rate), ..rates(SPANS[0]) };
    let mut reference = plain(Some(Rates { minimum_calls: 1, ..rates }));
    let late = admitted(&mut reference);
    reference.transition_to(State::HalfOpen);
    let probe = admitted(&mut reference);
    reference.drop_call(probe);
    assert_eq!(reference.state(), State::HalfOpen);
    reference.transition_to(State::Closed);
    reference.drop_call(late);
    assert_eq!((reference.state(), window(&reference).dropped), (State::Closed, 0));
}

#[test]
fn two_probes_close_once_one_has_been_silent() {
    let mut reference = plain(None);
    reference.transition_to(State::HalfOpen);
    let silent = admitted(&mut reference);
    reference.set_clock(30 * SECOND - 1);
    assert_eq!(reference.admit().err(), Some(None));
    reference.set_clock(30 * SECOND);
    let probe = admitted(&mut reference);
    reference.drop_call(silent);
    assert_eq!(reference.admit().err(), Some(None), "the silent one had no place any more");
    reference.settle(probe, Outcome::Success);
    settle(&mut reference, Outcome::Success);
    assert_eq!(reference.state(), State::Closed);
}

#[test]
fn two_silent_probes_close_when_they_answer() {
    let mut reference = plain(None);
    reference.transition_to(State::HalfOpen);
    let silent = [1, 2, 3].map(|number| {
        reference.set_clock(30 * number * SECOND);
        admitted(&mut reference)
    });
    reference.settle(silent[0], Outcome::Success);
    assert_eq!((reference.face().consecutive_successes, reference.admit().is_err()), (1, true));
    reference.settle(silent[1], Outcome::Success);
    assert_eq!(reference.state(), State::Closed);
    reference.settle(silent[2], Outcome::Failure);
    assert_eq!((reference.state(), reference.face().consecutive_errors), (State::Closed, 0), "it is late");
    assert_eq!(reference.face().totals.error, 1);
}

#[test]
fn a_window_of_time_is_empty_after_a_step_back_of_more_than_a_slice() {
    for (back, calls) in [(1_000, 11), (1_001, 1)] {
        let mut reference = plain(Some(rates(Span::Millis(16_000))));
        reference.set_clock(3_600 * SECOND);
        (0..10).for_each(|_| settle(&mut reference, Outcome::Success));
        reference.set_clock(3_600 * SECOND - back * MILLI);
        settle(&mut reference, Outcome::Success);
        assert_eq!(window(&reference).calls, calls, "{back} ms back");
    }
}

#[test]
fn a_window_of_time_holds_its_last_sixteen_slices() {
    let mut reference = plain(Some(rates(Span::Millis(16_000))));
    for slice in 0..20 {
        reference.set_clock(slice * SECOND);
        settle(&mut reference, Outcome::Success);
        assert_eq!(window(&reference).calls, (slice + 1).min(16));
    }
}

#[test]
fn a_late_outcome_is_in_the_totals_and_nowhere_else() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Trip { open_for: Duration::ZERO }] {
        let mut reference = plain(Some(rates(Span::Calls(100))));
        let late = admitted(&mut reference);
        reference.transition_to(State::Closed);
        let before = reference.face();
        reference.settle(late, outcome);
        let after = reference.face();
        assert_eq!(after.totals.success + after.totals.error, 1);
        assert_eq!((after.active, after.window, after.state), (0, before.window, before.state));
        assert_eq!((after.consecutive_errors, after.has_last_error), (0, false));
    }
}
