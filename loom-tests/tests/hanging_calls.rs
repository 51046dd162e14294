//! A call that hangs is found while it hangs, and a call that has ended is never taken for one.

#![cfg(loom)]

use std::sync::Arc;

use loom::thread;
use loom_tests::{
    BOTH, Diary, Plain, RmwLoad, SECOND, Sched, beside, builder, explore, explore_crowded, joined, shared,
};
use tripcoil::clock::ManualClock;
use tripcoil::loom_mode::model_rings;
use tripcoil::{Builder, CircuitBreaker, OwnedPermit, Window};

/// One call that takes a second is too many.
fn against_slow_calls() -> (Builder, ManualClock) {
    model_rings(true);
    let (builder, clock) = builder();
    let builder = builder.error_threshold(None).slow_call_rate(1.0).slow_call_duration(SECOND);
    (builder.window(Window::calls(1)).minimum_calls(1), clock)
}

/// Settles `call` in a thread other than the one that admitted it. Its balance makes room for a later call, which is
/// admitted while another thread looks. Returns what that one saw, and the later call.
fn while_a_balance_leaves<T: 'static>(
    (breaker, clock): (&Arc<CircuitBreaker>, ManualClock),
    look: fn(&Arc<CircuitBreaker>) -> T,
) -> (T, Option<OwnedPermit>) {
    let call = breaker.try_acquire_owned().unwrap();
    let settler = beside(breaker, move |breaker| {
        call.success();
        clock.advance(2 * SECOND);
        let looker = beside(breaker, look);
        let later = breaker.try_acquire_owned().ok();
        (looker.join().unwrap(), later)
    });
    settler.join().unwrap()
}

#[test]
fn a_call_that_another_thread_has_settled_does_not_hang() {
    // The balance of the settlement moves while the looker adds up the balances. It must not be missed in both places.
    explore(&[Plain, Sched], [("closed", true, true)], || {
        let (builder, clock) = against_slow_calls();
        // Of the one that was settled and one that seems to hang, half would be slow.
        let breaker = shared(builder.slow_call_rate(0.5));
        let (looking, turning) = while_a_balance_leaves((&breaker, clock), |breaker| breaker.try_acquire_owned().ok());
        (breaker.state().as_str(), turning.is_some(), looking.is_some())
    });
}

#[test]
fn two_callers_that_find_a_call_hanging_open_once() {
    // One caller of a slice looks, and is not admitted. The other may be, before the breaker opens.
    let outcomes = [(false, false), (false, true), (true, false)].map(|(a, b)| ("1 closed open".to_owned(), a, b));
    explore_crowded(&[RmwLoad], outcomes, || {
        let diary = Diary::default();
        let (builder, clock) = against_slow_calls();
        let breaker = shared(diary.kept_by(builder));
        let _hangs = breaker.try_acquire_owned().unwrap();
        clock.advance(2 * SECOND);
        let callers = [(); 2].map(|()| beside(&breaker, |breaker| breaker.try_acquire_owned().ok()));
        let [a, b] = joined(callers);
        (diary.told(), a.is_some(), b.is_some())
    });
}

#[test]
fn a_balance_that_leaves_its_word_is_not_missed_on_the_way() {
    // A reader that misses the balance on its way takes the call for one that hangs.
    explore(&[Plain, Sched], [0], || {
        let (builder, clock) = against_slow_calls();
        let breaker = shared(builder.minimum_calls(9).window(Window::calls(9)));
        let (hanging, _later) = while_a_balance_leaves((&breaker, clock), |breaker| {
            breaker.metrics().window.expect("there is a rate rule").hanging_calls
        });
        hanging
    });
}

#[test]
fn a_settlement_of_an_earlier_epoch_hides_no_call_that_hangs() {
    explore(&BOTH, [("closed", "open")], || {
        let (builder, clock) = against_slow_calls();
        let breaker = shared(builder);
        let old = breaker.try_acquire_owned().unwrap();
        let settler = thread::spawn(move || old.success());
        let operator = beside(&breaker, move |breaker| {
            breaker.reset();
            breaker.try_acquire_owned().unwrap()
        });
        settler.join().unwrap();
        let _hangs = operator.join().unwrap();
        let before = breaker.state().as_str();
        clock.advance(2 * SECOND);
        assert!(breaker.try_acquire().is_err());
        (before, breaker.state().as_str())
    });
}
