//! Observers are notified of each transition once, in order, one at a time.

#![cfg(loom)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use loom_tests::parcel::Parcel;
use loom_tests::{BOTH, Diary, RmwLoad, beside, builder, explore, explore_crowded, joined, shared};
use tripcoil::{CircuitBreaker, State};

#[test]
fn two_transitions_at_once_are_told_in_order_and_one_at_a_time() {
    let outcomes = [
        "1 closed forced_open, 2 forced_open forced_closed".to_owned(),
        "1 closed forced_closed, 2 forced_closed forced_open".to_owned(),
    ];
    explore(&BOTH, outcomes, || {
        let (diary, parcel) = (Diary::default(), Arc::new(Parcel::new()));
        let builder = diary.kept_by(builder().0);
        let breaker = shared(builder.on_transition({
            let parcel = parcel.clone();
            move |_| parcel.work_on()
        }));
        let operators = [State::ForcedOpen, State::ForcedClosed]
            .map(|state| beside(&breaker, move |breaker| breaker.transition_to(state)));
        joined(operators);
        assert_eq!(parcel.look(), 2);
        diary.told()
    });
}

#[test]
fn three_transitions_at_once_are_told_once_each() {
    explore_crowded(&[RmwLoad], [3], || {
        let diary = Diary::default();
        let breaker = shared(diary.kept_by(builder().0));
        let operators = [State::ForcedOpen, State::ForcedClosed, State::HalfOpen]
            .map(|state| beside(&breaker, move |breaker| breaker.transition_to(state)));
        joined(operators);
        let told = diary.told();
        let lines: Vec<_> = told.split(", ").collect();
        let mut from = "closed";
        for (line, sequence) in lines.iter().zip(1..) {
            let words: Vec<_> = line.split(' ').collect();
            assert_eq!(words[0], format!("{sequence}"), "{told}");
            assert_eq!(words[1], from, "{told}");
            from = words[2];
        }
        assert_eq!(from, breaker.state().as_str());
        lines.len()
    });
}

#[test]
fn a_transition_that_an_observer_makes_is_told_after_the_one_it_hears_of() {
    let outcomes = [
        "1 closed half_open, 2 half_open forced_open, 3 forced_open forced_closed".to_owned(),
        "1 closed forced_open, 2 forced_open half_open, 3 half_open forced_closed".to_owned(),
        "1 closed forced_open, 2 forced_open forced_closed, 3 forced_closed half_open".to_owned(),
    ];
    explore(&BOTH, outcomes, || {
        let diary = Diary::default();
        let me: Arc<OnceLock<Weak<CircuitBreaker>>> = Arc::default();
        let breaker = shared(diary.kept_by(builder().0).on_transition({
            let me = me.clone();
            move |transition| {
                if transition.to == State::ForcedOpen {
                    me.get().and_then(Weak::upgrade).expect("the breaker").force_closed();
                }
            }
        }));
        me.set(Arc::downgrade(&breaker)).expect("set once");
        let operators = [State::ForcedOpen, State::HalfOpen]
            .map(|state| beside(&breaker, move |breaker| breaker.transition_to(state)));
        joined(operators);
        diary.told()
    });
}

#[test]
fn an_observer_sees_what_was_done_before_each_transition() {
    // Of whichever thread tells it.
    explore(&BOTH, [2], || {
        let parcels = [State::ForcedOpen, State::ForcedClosed].map(|state| (state, Arc::new(Parcel::new())));
        let told = Arc::new(AtomicUsize::new(0));
        let breaker = shared(builder().0.on_transition({
            let (parcels, told) = (parcels.clone(), told.clone());
            move |transition| {
                let (_, parcel) = parcels.iter().find(|(state, _)| *state == transition.to).expect("one of both");
                assert_eq!(parcel.look(), 1);
                told.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let operators = parcels.map(|(state, parcel)| {
            beside(&breaker, move |breaker| {
                parcel.work_on();
                breaker.transition_to(state);
            })
        });
        joined(operators);
        told.load(Ordering::Relaxed)
    });
}

#[test]
fn an_observer_that_joins_beside_a_transition_misses_none_that_comes_after() {
    explore(&BOTH, [1, 2], || {
        let told = Arc::new(AtomicUsize::new(0));
        let breaker = shared(builder().0);
        let operator = beside(&breaker, |breaker| breaker.force_open());
        // So that the other thread may run before.
        let _state = breaker.state();
        let observing = breaker.observe({
            let told = told.clone();
            move |_| _ = told.fetch_add(1, Ordering::Relaxed)
        });
        joined([operator]);
        // If the observer missed the first one without counting it, it would wait for it.
        breaker.force_closed();
        drop(observing);
        told.load(Ordering::Relaxed)
    });
}
