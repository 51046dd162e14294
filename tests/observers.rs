//! Observers are told of each change of state once, one at a time, in order, outside every lock.

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use common::*;
use tripcoil::{Cause, CircuitBreaker, State, Transition};

fn told(transition: &Transition) -> (State, State, Cause) {
    (transition.from, transition.to, transition.cause)
}

#[test]
fn every_change_of_state_is_told_with_its_cause() {
    use State::{Closed, ForcedClosed, ForcedOpen, HalfOpen, Open};

    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| settings.error_threshold(2).on_transition(recorder.observer()));
    fail(&breaker);
    fail(&breaker);
    clock.advance(30 * SECOND);
    fail(&breaker);
    clock.advance(30 * SECOND);
    succeed(&breaker);
    succeed(&breaker);
    trip(&breaker, SECOND);
    breaker.force_open();
    breaker.force_closed();
    breaker.transition_to(HalfOpen);
    breaker.open_for(SECOND);
    breaker.reset();

    let expected = [
        (Closed, Open, Cause::ErrorThreshold),
        (Open, HalfOpen, Cause::ResetTimeout),
        (HalfOpen, Open, Cause::ProbeFailed),
        (Open, HalfOpen, Cause::ResetTimeout),
        (HalfOpen, Closed, Cause::SuccessThreshold),
        (Closed, Open, Cause::Tripped),
        (Open, ForcedOpen, Cause::Manual),
        (ForcedOpen, ForcedClosed, Cause::Manual),
        (ForcedClosed, HalfOpen, Cause::Manual),
        (HalfOpen, Open, Cause::Manual),
        (Open, Closed, Cause::Reset),
    ];
    let seen = recorder.seen();
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(seen.iter().all(|transition| transition.name == "test"));
    let sequence: Vec<_> = seen.iter().map(|transition| transition.sequence).collect();
    assert_eq!(sequence, (1..=expected.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_transition_tells_when_it_was_and_for_how_long_it_opens() {
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| settings.success_threshold(1).on_transition(recorder.observer()));
    clock.advance(3 * SECOND);
    breaker.transition_to(State::Open);
    clock.advance(30 * SECOND);
    let probe = admitted(&breaker);
    clock.advance(SECOND);
    probe.success();
    trip(&breaker, 7 * SECOND);
    let seen: Vec<_> = recorder.seen().iter().map(|seen| (seen.at.as_secs(), seen.open_for)).collect();
    assert_eq!(seen, [(3, Some(30 * SECOND)), (33, None), (34, None), (34, Some(7 * SECOND))]);
}

#[test]
fn a_transition_tells_the_counts_of_the_state_that_was_left() {
    let recorder = Recorder::default();
    let (breaker, clock) =
        manual(|settings| settings.error_threshold(3).half_open_error_threshold(2).on_transition(recorder.observer()));
    let last_counts = || {
        let seen = recorder.seen();
        let last = seen.last().unwrap();
        (last.consecutive_error_count, last.consecutive_success_count)
    };
    (0..4).for_each(|_| succeed(&breaker));
    breaker.force_open();
    assert_eq!(last_counts(), (0, 0));
    breaker.reset();
    assert_eq!(last_counts(), (0, 0));
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(last_counts(), (3, 0));
    clock.advance(30 * SECOND);
    fail(&breaker);
    assert_eq!(last_counts(), (0, 0));
    succeed(&breaker);
    breaker.force_closed();
    assert_eq!(last_counts(), (1, 1));
    fail(&breaker);
    breaker.transition_to(State::HalfOpen);
    assert_eq!(last_counts(), (0, 0));
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(last_counts(), (0, 2));
}

#[test]
fn a_transition_tells_how_many_calls_were_rejected_since_the_last_close() {
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| settings.error_threshold(1).on_transition(recorder.observer()));
    let reject = |times: usize| (0..times).for_each(|_| drop(refused(&breaker)));
    fail(&breaker);
    reject(4);
    clock.advance(30 * SECOND);
    let probe = admitted(&breaker);
    reject(2);
    probe.failure();
    reject(3);
    breaker.reset();
    breaker.force_open();
    reject(5);
    breaker.force_closed();
    let rejected: Vec<_> = recorder.seen().iter().map(|seen| seen.rejected_count).collect();
    assert_eq!(rejected, [0, 4, 6, 9, 0, 5]);
}

#[test]
fn a_transition_is_displayed_as_one_line() {
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| settings.error_threshold(1).on_transition(recorder.observer()));
    fail(&breaker);
    assert_eq!(recorder.seen()[0].to_string(), "circuit breaker `test`: closed -> open (error_threshold)");
}

#[test]
fn all_observers_are_told_in_the_order_of_their_registration() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (breaker, _clock) = manual(|settings| {
        (0..3).fold(settings, |settings, number| {
            let seen = seen.clone();
            settings.on_transition(move |transition| seen.lock().unwrap().push((transition.sequence, number)))
        })
    });
    breaker.force_open();
    breaker.force_closed();
    assert_eq!(*seen.lock().unwrap(), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
}

#[test]
fn an_observer_finds_the_breaker_in_the_new_state() {
    static BREAKER: OnceLock<CircuitBreaker> = OnceLock::new();
    static SEEN: Mutex<Vec<State>> = Mutex::new(Vec::new());
    let (breaker, _clock) =
        manual(|settings| settings.on_transition(|_| SEEN.lock().unwrap().push(BREAKER.get().unwrap().state())));
    let breaker = BREAKER.get_or_init(|| breaker);
    breaker.force_open();
    breaker.force_closed();
    assert_eq!(*SEEN.lock().unwrap(), [State::ForcedOpen, State::ForcedClosed]);
}

#[test]
fn reset_does_not_start_the_sequence_anew() {
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| settings.on_transition(recorder.observer()));
    breaker.force_open();
    breaker.reset();
    breaker.force_open();
    let sequence: Vec<_> = recorder.seen().iter().map(|seen| seen.sequence).collect();
    assert_eq!(sequence, [1, 2, 3]);
    assert_eq!(breaker.metrics().transition_count, 1);
}

#[test]
fn threads_that_move_the_breaker_have_every_change_told_once_and_in_order() {
    let recorder = Recorder::default();
    let overlaps = Arc::new(AtomicUsize::new(0));
    let (counting, busy) = (overlaps.clone(), AtomicBool::new(false));
    let (breaker, _clock) = manual(|settings| {
        settings.error_threshold(1).success_threshold(1).on_transition(recorder.observer()).on_transition(move |_| {
            counting.fetch_add(usize::from(busy.swap(true, Ordering::SeqCst)), Ordering::SeqCst);
            thread::yield_now();
            busy.store(false, Ordering::SeqCst);
        })
    });
    thread::scope(|scope| {
        for worker in 0..4_usize {
            let breaker = &breaker;
            scope.spawn(move || {
                for round in 0..500 {
                    match (worker + round) % 6 {
                        0 => breaker.force_open(),
                        1 => breaker.transition_to(State::HalfOpen),
                        2 => breaker.transition_to(State::Closed),
                        3 => drop(breaker.call_sync(|| Err::<(), _>(()))),
                        4 => drop(breaker.call_sync(|| Ok::<_, ()>(()))),
                        _ => breaker.open_for(Duration::ZERO),
                    }
                }
            });
        }
    });
    let seen = recorder.seen();
    assert_eq!(seen.len() as u64, breaker.metrics().transition_count);
    let mut state = State::Closed;
    for (index, transition) in seen.iter().enumerate() {
        assert_eq!(transition.sequence, index as u64 + 1);
        assert_eq!(transition.from, state);
        assert_ne!(transition.to, state);
        state = transition.to;
    }
    assert_eq!(state, breaker.state());
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
}

#[test]
fn an_observer_may_use_the_breaker_in_every_way() {
    static BREAKER: OnceLock<CircuitBreaker> = OnceLock::new();
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| {
        settings
            .error_threshold(1)
            .on_transition(|transition| {
                let breaker = BREAKER.get().unwrap();
                let _ = (breaker.metrics(), breaker.changed(), breaker.try_acquire());
                let _ = breaker.call_sync(|| Err::<(), _>(()));
                if transition.sequence == 1 {
                    breaker.force_open();
                    breaker.reset();
                    breaker.force_closed();
                }
            })
            .on_transition(recorder.observer())
    });
    let breaker = BREAKER.get_or_init(|| breaker);
    breaker.transition_to(State::HalfOpen);
    let seen: Vec<_> = recorder.seen().iter().map(|seen| (seen.sequence, seen.to)).collect();
    assert_eq!(
        seen,
        [(1, State::HalfOpen), (2, State::Open), (3, State::ForcedOpen), (4, State::Closed), (5, State::ForcedClosed)]
    );
    assert_eq!(breaker.state(), State::ForcedClosed);
}

#[test]
fn an_observer_that_comes_amid_a_cycle_is_told_of_what_follows() {
    use State::{Closed, HalfOpen, Open};

    for transitions in 0..3 {
        let (breaker, clock) = manual(|settings| settings.error_threshold(1).success_threshold(1));
        let steps: [&dyn Fn(); 3] = [&|| fail(&breaker), &|| clock.advance(30 * SECOND), &|| succeed(&breaker)];
        // Cycles that nobody watches.
        (0..5).for_each(|_| steps.iter().for_each(|step| step()));
        let heard = Arc::new(Mutex::new(Vec::new()));
        steps[..transitions].iter().for_each(|step| step());
        let _observing = breaker.observe({
            let heard = heard.clone();
            move |transition| heard.lock().unwrap().push((transition.from, transition.to))
        });
        steps[transitions..].iter().for_each(|step| step());
        let all = [(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed)];
        // The clock alone moves nothing: the success is the probe.
        let missed = transitions.min(1);
        assert_eq!(*heard.lock().unwrap(), all[missed..], "after {transitions} steps");
    }
}

#[test]
fn a_panicking_observer_stops_nobody() {
    let recorder = Recorder::default();
    let (breaker, clock) = manual(|settings| {
        settings.error_threshold(1).on_transition(|_| panic!("observer")).on_transition(recorder.observer())
    });
    assert_eq!(breaker.call_sync(|| Err::<(), _>("mine")).unwrap_err().into_inner(), Some("mine"));
    assert_eq!(breaker.state(), State::Open);
    clock.advance(30 * SECOND);
    succeed(&breaker);
    succeed(&breaker);
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(recorder.count(), 3);
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count, metrics.active_calls), (2, 1, 0));
}

#[test]
fn an_observer_that_panics_while_a_call_unwinds_aborts_nothing() {
    let recorder = Recorder::default();
    let (breaker, _clock) = manual(|settings| {
        settings.error_threshold(1).on_transition(|_| panic!("observer")).on_transition(recorder.observer())
    });
    let unwound = std::panic::catch_unwind(|| breaker.call_sync(|| -> Result<(), ()> { panic!("call") }));
    assert!(unwound.is_err());
    assert_eq!((breaker.state(), recorder.count()), (State::Open, 1));
}

#[test]
fn a_slow_observer_holds_up_no_call_and_no_order() {
    let recorder = Recorder::default();
    let (entered, has_entered) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    let is_released = Mutex::new(is_released);
    let (breaker, _clock) = manual(|settings| {
        settings
            .on_transition(move |transition| {
                if transition.sequence == 1 {
                    entered.send(()).unwrap();
                    is_released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                }
            })
            .on_transition(recorder.observer())
    });
    thread::scope(|scope| {
        scope.spawn(|| breaker.force_closed());
        has_entered.recv_timeout(PATIENCE).unwrap();
        succeed(&breaker);
        breaker.force_open();
        refused(&breaker);
        breaker.reset();
        assert_eq!((breaker.state(), breaker.metrics().active_calls, recorder.count()), (State::Closed, 0, 0));
        release.send(()).unwrap();
    });
    let seen: Vec<_> = recorder.seen().iter().map(|seen| (seen.sequence, seen.to)).collect();
    assert_eq!(seen, [(1, State::ForcedClosed), (2, State::ForcedOpen), (3, State::Closed)]);
}

#[test]
fn causes_have_names_of_their_own_in_snake_case() {
    let causes = [
        (Cause::ErrorThreshold, "error_threshold"),
        (Cause::ErrorRate, "error_rate"),
        (Cause::SlowCallRate, "slow_call_rate"),
        (Cause::Tripped, "tripped"),
        (Cause::ProbeFailed, "probe_failed"),
        (Cause::SuccessThreshold, "success_threshold"),
        (Cause::ResetTimeout, "reset_timeout"),
        (Cause::Manual, "manual"),
        (Cause::Reset, "reset"),
    ];
    for (cause, name) in causes {
        assert_eq!(cause.to_string(), name);
    }
    assert_eq!(causes.map(|(cause, _)| cause).into_iter().collect::<HashSet<_>>().len(), causes.len());
}
