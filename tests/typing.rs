//! What compiles: no `Send`, `'static` or `std::error::Error` bound where none is needed.

mod common;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::{Future, IntoFuture, Ready, ready};
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::*;
use futures_lite::future::block_on;
use tripcoil::clock::{ManualClock, MonotonicClock};
use tripcoil::{
    Builder, Call, Cause, Changed, CircuitBreaker, Clock, ConfigError, Dropped, Error, Guarded, Ignoring, Metrics,
    Outcome, OwnedPermit, Permit, Rejected, State, Transition,
};

/// An error type that implements nothing at all.
struct Plain;

const fn is_send<T: Send>() {}
const fn is_send_and_sync<T: Send + Sync>() {}
const fn is_static<T: 'static>() {}
const fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
const fn is_unpin<T: Unpin>() {}

fn sends<T: Send>(value: T) -> T {
    value
}

const _: () = {
    is_send_and_sync::<CircuitBreaker>();
    is_send_and_sync::<Permit<'static>>();
    is_send_and_sync::<OwnedPermit>();
    is_send_and_sync::<Call<'static, Ready<Result<(), ()>>>>();
    is_send_and_sync::<Error<()>>();
    is_send_and_sync::<Rejected>();
    is_send_and_sync::<ConfigError>();
    is_send_and_sync::<Metrics>();
    is_send_and_sync::<Transition>();
    is_send_and_sync::<State>();
    is_send_and_sync::<Outcome>();
    is_send_and_sync::<ManualClock>();
    is_send_and_sync::<MonotonicClock>();
    is_send::<Changed<'static>>();
    is_send::<Builder>();
    is_static::<OwnedPermit>();
    is_unwind_safe::<CircuitBreaker>();
    is_unwind_safe::<Arc<CircuitBreaker>>();
    is_unpin::<Call<'static, Ready<Result<(), ()>>>>();
};

/// `Call` is `Send` if and only if its future is: were this one, the two impls would overlap.
trait AmbiguousIfSend<Marker> {
    fn check() {}
}
struct WithSend;
impl<T: ?Sized> AmbiguousIfSend<()> for T {}
impl<T: ?Sized + Send> AmbiguousIfSend<WithSend> for T {}

#[test]
fn a_call_is_send_exactly_if_its_future_is() {
    fn is_not_send<F: Future>(call: F) -> F::Output {
        <Call<'_, Ready<Result<Rc<()>, ()>>> as AmbiguousIfSend<_>>::check();
        block_on(call)
    }
    let breaker = CircuitBreaker::new("test");
    assert!(block_on(sends(breaker.call(async { Ok::<_, ()>(()) }))).is_ok());
    assert!(is_not_send(breaker.call(ready(Ok::<_, ()>(Rc::new(()))))).is_ok());
}

#[test]
fn futures_need_not_be_send() {
    let breaker = CircuitBreaker::new("test");
    let local = Rc::new(Cell::new(0));
    let call = async {
        let held = local.clone();
        futures_lite::future::yield_now().await;
        held.set(held.get() + 1);
        Ok::<_, ()>(held)
    };
    assert_eq!(block_on(breaker.call(call)).unwrap().get(), 1);
    assert!(block_on(breaker.acquire(|_| async { drop(local.clone()) })).settle(Ok::<_, ()>(())).is_ok());
}

#[test]
fn closures_and_judges_need_not_be_send_and_may_move_what_they_hold() {
    let breaker = CircuitBreaker::new("test");
    let (value, seen) = (Rc::new(String::from("mine")), RefCell::new(0));
    let result = breaker.call_sync_with(
        move || Ok::<Rc<String>, Plain>(value),
        |result| {
            *seen.borrow_mut() += result.as_ref().map_or(0, |text| text.len());
            Outcome::Success
        },
    );
    assert!(result.is_ok());
    assert_eq!(*seen.borrow(), 4);
}

#[test]
fn borrows_need_not_be_static() {
    let breaker = CircuitBreaker::new("test");
    let (text, mut count) = (String::from("borrowed"), 0);
    let longest: Result<&str, Error<&str>> = breaker.call_sync(|| {
        count += 1;
        Ok(text.as_str())
    });
    assert_eq!(longest.unwrap(), "borrowed");
    let failed: Result<(), Error<&str>> = block_on(breaker.call(async {
        count += 1;
        Err(text.as_str())
    }));
    assert_eq!(failed.unwrap_err().into_inner(), Some("borrowed"));
    assert_eq!(count, 2);
}

#[test]
fn futures_that_borrow_may_run_side_by_side() {
    let breaker = CircuitBreaker::new("test");
    let text = String::from("borrowed");
    let (first, second) = block_on(futures_lite::future::zip(
        breaker.call(async { Ok::<_, Plain>(text.len()) }),
        breaker.call(async { Ok::<_, Plain>(text.as_str()) }),
    ));
    assert!(matches!((first, second), (Ok(8), Ok("borrowed"))));
}

#[test]
fn errors_need_not_implement_anything() {
    let breaker = CircuitBreaker::new("test");
    assert!(matches!(breaker.call_sync(|| Err::<(), _>(Plain)), Err(Error::Inner(Plain))));
    assert!(matches!(block_on(breaker.call(async { Err::<(), _>(Plain) })), Err(Error::Inner(Plain))));
    assert!(breaker.try_acquire().unwrap().settle(Err::<(), _>(Plain)).is_err());
    assert!(breaker.ignoring(|_: &Plain| true).call_sync(|| Err::<(), _>(Plain)).is_err());
    assert!(breaker.wrap_sync(|()| Err::<(), _>(Plain))(()).is_err());
    assert_eq!(breaker.metrics().total_ignored_count, 1);
}

#[test]
fn values_need_not_be_sized_in_the_future_that_is_pinned() {
    let breaker = CircuitBreaker::new("test");
    let boxed: std::pin::Pin<Box<dyn Future<Output = Result<u32, Plain>>>> = Box::pin(async { Ok(7) });
    assert!(matches!(block_on(breaker.call(boxed)), Ok(7)));
}

#[test]
fn a_breaker_can_be_a_static() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new("static");
    static PERMITS: std::sync::Mutex<Vec<Permit<'static>>> = std::sync::Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| PERMITS.lock().unwrap().push(BREAKER.try_acquire().unwrap()));
        }
    });
    assert_eq!((BREAKER.name(), BREAKER.metrics().active_calls), ("static", 2));
    for permit in PERMITS.lock().unwrap().drain(..) {
        permit.success();
    }
    assert!(thread::spawn(|| block_on(sends(BREAKER.call(async { Ok::<_, ()>(()) })))).join().unwrap().is_ok());
}

#[test]
fn a_breaker_can_be_caught_with_without_an_assertion() {
    let breaker = CircuitBreaker::new("test");
    let shared = Arc::new(CircuitBreaker::new("shared"));
    let borrowed = &breaker;
    let result = catch_unwind(|| borrowed.call_sync(|| -> Result<(), ()> { panic!("caught") }));
    assert!(result.is_err());
    assert!(catch_unwind(move || shared.call_sync(|| -> Result<(), ()> { panic!("caught") })).is_err());
    assert_eq!(breaker.metrics().total_error_count, 1);
}

#[test]
fn an_operation_may_be_anything_that_becomes_a_future() {
    struct Request(u32);
    impl IntoFuture for Request {
        type Output = Result<u32, Plain>;
        type IntoFuture = Ready<Self::Output>;
        fn into_future(self) -> Self::IntoFuture {
            ready(Ok(self.0))
        }
    }
    let breaker = CircuitBreaker::new("test");
    let call: Call<'_, Ready<Result<u32, Plain>>> = breaker.call(Request(1));
    assert!(matches!(block_on(call), Ok(1)));
    assert!(matches!(block_on(breaker.call_with(Request(2), |_| Outcome::Ignored)), Ok(2)));
    assert!(matches!(block_on(breaker.wrap(Request)(3)), Ok(3)));
    let guarded = breaker.ignoring(|_: &Plain| true);
    assert!(matches!(block_on(guarded.call(Request(4))), Ok(4)));
    assert!(matches!(block_on(guarded.wrap(Request)(5)), Ok(5)));
}

#[test]
fn wrapped_functions_can_be_called_often_and_from_threads() {
    let breaker = CircuitBreaker::new("test");
    let parse = breaker.wrap_sync(|text: &str| text.parse::<u32>());
    let halve = breaker.wrap(|number: u32| async move { if number % 2 == 0 { Ok(number / 2) } else { Err(Plain) } });
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(parse("12").unwrap(), 12));
        }
    });
    assert!(matches!(block_on(halve(12)), Ok(6)));
    assert!(matches!(block_on(halve(7)), Err(Error::Inner(Plain))));
    assert!(parse("twelve").is_err());
    assert_eq!(breaker.metrics().total_error_count, 2);
}

#[test]
fn guarded_breakers_can_be_copied_kept_and_used_for_any_value() {
    struct Client<'a, J> {
        breaker: Guarded<'a, J>,
    }
    let breaker = CircuitBreaker::new("test");
    let ignoring: Guarded<'_, Ignoring<_>> = breaker.ignoring(|status: &u16| *status == 404);
    let client = Client { breaker: ignoring };
    let copy = client.breaker;
    assert!(copy.call_sync(|| Err::<u8, _>(404)).is_err());
    assert!(client.breaker.call_sync(|| Err::<String, _>(404)).is_err());
    assert!(block_on(client.breaker.call(async { Err::<(), _>(500) })).is_err());
    assert!(client.breaker.wrap_sync(|status: u16| Err::<(), _>(status))(404).is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_ignored_count, metrics.total_error_count), (3, 1));

    let judging = breaker.judging(|result: &Result<u16, Plain>| match result {
        Ok(..500) => Outcome::Success,
        _ => Outcome::Failure,
    });
    assert!(judging.call_sync(|| Ok(502)).is_ok());
    assert!(block_on(judging.call(async { Ok(200) })).is_ok());
    assert!(judging.wrap_sync(Ok)(200).is_ok());
    assert!(block_on(judging.wrap(|status| async move { Ok(status) })(200)).is_ok());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_success_count, metrics.total_error_count), (3, 2));
}

#[test]
fn states_and_outcomes_can_be_matched_exhaustively() {
    fn name(state: State) -> &'static str {
        match state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::ForcedOpen => "forced_open",
            State::ForcedClosed => "forced_closed",
        }
    }
    fn counts(outcome: Outcome) -> bool {
        match outcome {
            Outcome::Success | Outcome::Failure | Outcome::Trip { open_for: _ } => true,
            Outcome::Ignored => false,
        }
    }
    assert!(STATES.iter().all(|state| state.to_string() == name(*state)));
    assert!(counts(Outcome::Success) && !counts(Outcome::Ignored));
}

#[test]
fn everything_public_can_be_debugged() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let (permit, owned) = (breaker.try_acquire().unwrap(), breaker.try_acquire_owned().unwrap());
    let texts = [
        format!("{breaker:?}"),
        format!("{permit:?}"),
        format!("{owned:?}"),
        format!("{:?}", breaker.call(async { Ok::<_, ()>(()) })),
        format!("{:?}", breaker.changed()),
        format!("{:?}", breaker.metrics()),
        format!("{:?}", breaker.ignoring(|(): &()| true)),
        format!("{:?}", CircuitBreaker::builder("test")),
        format!("{:?}", ManualClock::new()),
        format!("{MonotonicClock:?}"),
        format!("{:?}", Dropped::Ignore),
        format!("{:?}", Cause::Manual),
    ];
    assert!(texts.iter().all(|text| !text.is_empty()));
    assert!(texts[0].contains("test") && texts[0].contains("Closed"));
}

#[test]
fn snapshots_and_names_can_be_compared() {
    let breaker = CircuitBreaker::new("test");
    let metrics = breaker.metrics();
    assert_eq!(metrics, breaker.metrics());
    assert_eq!("test", metrics.name);
    assert_eq!(metrics.name, String::from("test"));
    assert!(std::collections::HashSet::from([metrics.name.clone()]).contains(&metrics.name));
}

/// Each line is a shape that users compile against.
#[test]
fn the_contract_compiles() {
    const NEW: fn(&'static str) -> CircuitBreaker = CircuitBreaker::new;
    let _: fn(&CircuitBreaker) -> Result<Permit<'_>, Rejected> = CircuitBreaker::try_acquire;
    let _: fn(&Arc<CircuitBreaker>) -> Result<OwnedPermit, Rejected> = CircuitBreaker::try_acquire_owned;
    let _: fn(&CircuitBreaker) -> &str = CircuitBreaker::name;
    let _: fn(&CircuitBreaker) -> State = CircuitBreaker::state;
    let _: fn(&CircuitBreaker) -> Metrics = CircuitBreaker::metrics;
    let _: fn(&CircuitBreaker, State) = CircuitBreaker::transition_to;
    let _: fn(&CircuitBreaker, Duration) = CircuitBreaker::open_for;
    let _: fn(&CircuitBreaker) = CircuitBreaker::force_open;
    let _: fn(&CircuitBreaker) = CircuitBreaker::force_closed;
    let _: fn(&CircuitBreaker) = CircuitBreaker::reset;
    let _: fn(&CircuitBreaker, Duration) -> Result<Permit<'_>, Rejected> = CircuitBreaker::acquire_blocking;
    let _: fn(&CircuitBreaker) -> Changed<'_> = CircuitBreaker::changed;

    let _: fn(Permit<'static>) = Permit::success;
    let _: fn(Permit<'static>) = Permit::failure;
    let _: fn(Permit<'static>) = Permit::ignore;
    let _: fn(Permit<'static>, Outcome) = Permit::record;
    let _: fn(Permit<'static>, Result<u8, Plain>) -> Result<u8, Plain> = Permit::settle;
    let _: fn(OwnedPermit) = OwnedPermit::success;
    let _: fn(OwnedPermit) = OwnedPermit::failure;
    let _: fn(OwnedPermit) = OwnedPermit::ignore;
    let _: fn(OwnedPermit, Outcome) = OwnedPermit::record;
    let _: fn(OwnedPermit, Result<u8, Plain>) -> Result<u8, Plain> = OwnedPermit::settle;

    let _: fn(&Error<Plain>) -> bool = Error::is_rejected;
    let _: fn(&Error<Plain>) -> Option<&Rejected> = Error::rejected;
    let _: fn(&Error<Plain>) -> Option<&Plain> = Error::inner;
    let _: fn(Error<Plain>) -> Option<Plain> = Error::into_inner;
    let _: fn(&Error<Plain>) -> Option<Duration> = Error::retry_after;
    let _: fn(Error<Rejected>) -> Rejected = Error::flatten;
    let _: fn(&Rejected) -> &str = Rejected::name;
    let _: fn(&Rejected) -> State = Rejected::state;
    let _: fn(&Rejected) -> Option<Duration> = Rejected::retry_after;

    let _: fn(&ManualClock, Duration) = ManualClock::advance;
    let _: fn(&ManualClock, Duration) = ManualClock::set;
    let _: Box<dyn Clock> = Box::new(MonotonicClock);

    let made = NEW("test");
    let judge = |result: &Result<u8, Plain>| if result.is_ok() { Outcome::Success } else { Outcome::Failure };
    assert!(made.call_sync_with(|| Ok(1), judge).is_ok());
    assert!(block_on(made.call_with(ready(Ok(1)), judge)).is_ok());
    drop::<Call<'_, Ready<Result<u8, Plain>>, _>>(made.call_with(ready(Ok(1)), judge));

    let builder: Builder = CircuitBreaker::builder(Cow::Borrowed("test"))
        .error_threshold(5)
        .error_threshold(Some(5))
        .reset_timeout(SECOND)
        .reset_backoff(2.0, 60 * SECOND)
        .reset_jitter(0.1)
        .success_threshold(2)
        .half_open_error_threshold(1)
        .half_open_capacity(1)
        .half_open_max_capacity(2)
        .probe_timeout(SECOND)
        .dropped_calls(Dropped::FailureAfter(SECOND))
        .clock(MonotonicClock)
        .on_transition(|transition: &Transition| drop(transition.clone()));
    let built: Result<CircuitBreaker, ConfigError> = builder.build();
    assert!(built.is_ok());
}

#[test]
#[allow(clippy::redundant_closure, clippy::trivially_copy_pass_by_ref, reason = "that closures infer is the test")]
fn a_judge_needs_no_types_where_the_calls_have_them() {
    fn judge(result: &Result<u16, ()>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Ignored }
    }
    let breaker = CircuitBreaker::new("test");
    assert_eq!(breaker.judging(judge).call_sync(|| Ok(1)), Ok(1));
    assert_eq!(breaker.judging(|result| judge(result)).call_sync(|| Ok(1)), Ok(1));
    assert_eq!(breaker.judging::<Result<u16, ()>, _>(|result| judge(result)).call_sync(|| Ok(1)), Ok(1));
    assert_eq!(breaker.judging(|_| Outcome::Failure).call_sync(|| Ok::<u16, ()>(1)), Ok(1));
    assert_eq!((breaker.metrics().total_success_count, breaker.metrics().total_error_count), (3, 1));
}
