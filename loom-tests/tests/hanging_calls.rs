//! A call that hangs is found while it hangs, and a call that has ended is never taken for one.

#![cfg(loom)]

use loom::thread;
use loom_tests::{BOTH, Diary, Plain, RmwLoad, SECOND, Sched, builder, explore, explore_crowded, shared};
use tripcoil::clock::ManualClock;
use tripcoil::loom_mode::model_rings;
use tripcoil::{Builder, Window};

/// One call that takes a second is too many.
fn against_slow_calls() -> (Builder, ManualClock) {
    model_rings(true);
    let (builder, clock) = builder();
    let builder = builder.error_threshold(None).slow_call_rate(1.0).slow_call_duration(SECOND);
    (builder.window(Window::calls(1)).minimum_calls(1), clock)
}

#[test]
fn a_call_that_another_thread_has_settled_does_not_hang() {
    // The settler's ring turns while the looker adds up the rings: the balance of the settlement must not be
    // missed where it was and where it goes.
    explore(&[Plain, Sched], [("closed", true, true)], || {
        let (builder, clock) = against_slow_calls();
        // Of the one that was settled and one that seems to hang, half would be slow.
        let breaker = shared(builder.slow_call_rate(0.5));
        let call = breaker.try_acquire_owned().unwrap();
        let settler = thread::spawn({
            let breaker = breaker.clone();
            move || {
                call.success();
                clock.advance(2 * SECOND);
                let looker = thread::spawn({
                    let breaker = breaker.clone();
                    move || breaker.try_acquire_owned().ok()
                });
                (breaker.try_acquire_owned().ok(), looker.join().unwrap())
            }
        });
        let (turning, looking) = settler.join().unwrap();
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
        let callers = [(); 2].map(|()| {
            let breaker = breaker.clone();
            thread::spawn(move || breaker.try_acquire_owned().ok())
        });
        let [a, b] = callers.map(|caller| caller.join().unwrap());
        (diary.told(), a.is_some(), b.is_some())
    });
}

#[test]
fn a_balance_that_leaves_its_word_is_not_missed_on_the_way() {
    // The call was admitted by one thread and settled by another, whose balance of it makes room for a later call. A
    // reader that misses that balance takes the call for one that hangs.
    explore(&[Plain, Sched], [0], || {
        let (builder, clock) = against_slow_calls();
        let breaker = shared(builder.minimum_calls(9).window(Window::calls(9)));
        let call = breaker.try_acquire_owned().unwrap();
        let settler = thread::spawn({
            let breaker = breaker.clone();
            move || {
                call.success();
                clock.advance(2 * SECOND);
                let reader = thread::spawn({
                    let breaker = breaker.clone();
                    move || breaker.metrics().window.expect("there is a rate rule").hanging_calls
                });
                let later = breaker.try_acquire_owned().ok();
                (reader.join().unwrap(), later)
            }
        });
        let (hanging, _later) = settler.join().unwrap();
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
        let operator = thread::spawn({
            let breaker = breaker.clone();
            move || {
                breaker.reset();
                breaker.try_acquire_owned().unwrap()
            }
        });
        settler.join().unwrap();
        let _hangs = operator.join().unwrap();
        let before = breaker.state().as_str();
        clock.advance(2 * SECOND);
        assert!(breaker.try_acquire().is_err());
        (before, breaker.state().as_str())
    });
}
