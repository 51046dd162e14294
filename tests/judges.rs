//! Whatever is a judge can be given, borrowed, owned or shared; and one of them keeps messages.

mod common;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use futures_lite::future::block_on;
use tripcoil::clock::ManualClock;
use tripcoil::{ByResult, CircuitBreaker, Ignoring, Judge, Outcome, OwnedGuarded, WithMessages};

/// A judge of one's own.
#[derive(Clone)]
struct UpTo(u16);

impl<E> Judge<Result<u16, E>> for &UpTo {
    fn judge(self, result: &Result<u16, E>) -> Outcome {
        if result.as_ref().is_ok_and(|status| *status <= self.0) { Outcome::Success } else { Outcome::Failure }
    }
}

type DynJudge = dyn Fn(&Result<u16, ()>) -> Outcome + Send + Sync;
type Predicate = fn(&&'static str) -> bool;

fn errors(breaker: &CircuitBreaker) -> u64 {
    breaker.metrics().total_error_count
}

#[test]
fn a_judge_of_ones_own_judges() {
    let breaker = CircuitBreaker::new("test");
    let judged = breaker.judged_by(UpTo(499));
    assert_eq!(judged.call_sync(|| Ok::<_, ()>(502)), Ok(502));
    assert_eq!(block_on(judged.call(async { Ok::<_, ()>(503) })), Ok(503));
    assert_eq!(judged.wrap_sync(Ok::<u16, ()>)(504), Ok(504));
    assert_eq!((errors(&breaker), judged.breaker().name()), (3, "test"));
}

#[test]
fn a_judge_may_be_shared() {
    let breaker = CircuitBreaker::new("test");
    let shared = Arc::new(UpTo(499));
    assert_eq!(breaker.judged_by(shared.clone()).call_sync(|| Ok::<_, ()>(502)), Ok(502));
    let shared: Arc<DynJudge> = Arc::new(|_| Outcome::Failure);
    assert_eq!(breaker.judged_by(shared.clone()).call_sync(|| Ok(200)), Ok(200));
    assert_eq!(shared.judge(&Ok(200)), Outcome::Failure);
    assert_eq!(errors(&breaker), 2);
}

#[test]
fn a_judge_need_not_be_clone() {
    let breaker = CircuitBreaker::new("test");
    let calls = Cell::new(0);
    let judged = breaker.judging(move |_: &Result<u16, ()>| {
        calls.set(calls.get() + 1);
        if calls.get() > 1 { Outcome::Failure } else { Outcome::Success }
    });
    assert_eq!((judged.call_sync(|| Ok(1)), judged.call_sync(|| Ok(2))), (Ok(1), Ok(2)));
    assert_eq!(errors(&breaker), 1);
}

/// What services have: one breaker, and what counts, in one struct.
struct Client {
    breaker: Arc<CircuitBreaker>,
    payments: OwnedGuarded<UpTo>,
    users: OwnedGuarded<Ignoring<Predicate>>,
}

#[test]
fn an_owned_judge_lives_beside_its_breaker_in_a_struct() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let client = Client {
        payments: breaker.judging_owned(UpTo(499)),
        users: breaker.ignoring_owned(|error| *error == "not found"),
        breaker,
    };
    let client = std::thread::spawn(move || {
        assert_eq!(client.payments.call_sync(|| Ok::<_, ()>(502)), Ok(502));
        assert!(block_on(client.users.call(async { Err::<(), _>("not found") })).is_err());
        client
    });
    let client = client.join().unwrap();
    let metrics = client.breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.total_ignored_count), (1, 1));
    let payments = client.payments.clone();
    drop(client);
    assert_eq!(payments.breaker().name(), "test");
}

#[cfg(feature = "registry")]
#[test]
fn a_registry_takes_any_judge() {
    let hosts: tripcoil::Registry<String> = tripcoil::Registry::new("hosts");
    assert_eq!(hosts.judged_by(UpTo(499)).call_sync("a", || Ok::<_, ()>(502)), Ok(502));
    assert_eq!(hosts.metrics().total_error_count, 1);
}

#[cfg(feature = "http")]
mod http_judges {
    use super::*;
    use ::http::{HeaderMap, Response, StatusCode};
    use tripcoil::State;
    use tripcoil::http::{ByGrpcStatus, ByStatus};

    fn busy() -> Response<()> {
        Response::builder().status(503).header("retry-after", "20").body(()).unwrap()
    }

    #[test]
    fn the_judges_of_http_can_be_given_as_they_are() {
        let breaker = Arc::new(CircuitBreaker::new("test"));
        assert!(breaker.judged_by(ByStatus::new()).call_sync(|| Ok::<_, ()>(busy())).is_ok());
        assert_eq!(breaker.state(), State::Open);
        breaker.reset();
        assert!(block_on(breaker.judging_owned(ByStatus::new()).call(async { Ok::<_, ()>(busy()) })).is_ok());
        assert_eq!(breaker.state(), State::Open);
        breaker.reset();
        let unavailable = || Ok::<_, ()>(Response::builder().header("grpc-status", "14").body(()).unwrap());
        assert!(breaker.judged_by(ByGrpcStatus::new()).call_sync(unavailable).is_ok());
        assert_eq!(errors(&breaker), 1);
    }

    /// As reqwest has it: a response of its own, with a status and headers.
    struct Foreign(StatusCode, HeaderMap);

    impl Foreign {
        fn status(&self) -> StatusCode {
            self.0
        }

        fn headers(&self) -> &HeaderMap {
            &self.1
        }
    }

    #[test]
    fn a_response_of_another_crate_is_judged_by_its_head() {
        let breaker = CircuitBreaker::new("test");
        let by_status = ByStatus::new().with_head(|response: &Foreign| (response.status(), response.headers()));
        let judged = breaker.judged_by(by_status);
        let answer = |status, headers: HeaderMap| move || Ok::<_, ()>(Foreign(status, headers.clone()));
        assert!(judged.call_sync(answer(StatusCode::NOT_FOUND, HeaderMap::new())).is_ok());
        assert!(judged.call_sync(answer(StatusCode::BAD_GATEWAY, HeaderMap::new())).is_ok());
        assert!(judged.call_sync(|| Err(())).is_err());
        let metrics = breaker.metrics();
        assert_eq!((metrics.total_ignored_count, metrics.total_error_count), (1, 2));
        assert!(judged.call_sync(answer(StatusCode::SERVICE_UNAVAILABLE, busy().headers().clone())).is_ok());
        assert_eq!(breaker.state(), State::Open);
    }
}

#[test]
fn messages_are_kept_with_the_time_if_asked_for() {
    let (breaker, clock) = manual(|settings| settings);
    clock.advance(100 * SECOND);
    let told = breaker.judged_by(WithMessages::new(ByResult));
    assert!(told.call_sync(|| Err::<(), _>("no answer")).is_err());
    clock.advance(7 * SECOND);
    let last = breaker.metrics().last_error.unwrap();
    assert_eq!(last.message.as_deref(), Some("no answer"));
    assert_eq!((last.at, last.ago), (Some(100 * SECOND), Some(7 * SECOND)));
    assert_eq!(last.type_name, "&str");
    assert!(block_on(told.call(async { Err::<(), _>("still none") })).is_err());
    assert_eq!(breaker.metrics().last_error.unwrap().message.as_deref(), Some("still none"));
    assert_eq!(breaker.metrics().consecutive_error_count, 2);
}

#[test]
fn without_being_asked_for_no_message_is_kept() {
    let (breaker, _clock) = manual(|settings| settings);
    assert!(breaker.call_sync(|| Err::<(), _>("secret")).is_err());
    let last = breaker.metrics().last_error.unwrap();
    assert_eq!((last.message, last.at, last.ago), (None, None, None));
}

#[test]
fn an_opening_has_its_time_without_a_message() {
    let (breaker, clock) = manual(|settings| settings.error_threshold(1));
    fail(&breaker);
    clock.advance(3 * SECOND);
    assert_eq!(breaker.metrics().last_error.unwrap().ago, Some(3 * SECOND));
    // A clock that steps back tells no negative time.
    clock.set(Duration::ZERO);
    let (other, clock) = manual(|settings| settings);
    clock.advance(SECOND);
    admitted(&other).failure_because("why");
    clock.set(Duration::ZERO);
    assert_eq!(other.metrics().last_error.unwrap().ago, Some(Duration::ZERO));
}

#[test]
fn what_is_ignored_or_succeeds_is_not_displayed() {
    struct Silent;
    impl fmt::Display for Silent {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("it was displayed")
        }
    }
    let breaker = CircuitBreaker::new("test");
    let ignoring = WithMessages::new(|_: &Result<(), Silent>| Outcome::Ignored);
    assert!(breaker.judged_by(ignoring).call_sync(|| Err(Silent)).is_err());
    assert!(breaker.judged_by(WithMessages::new(ByResult)).call_sync(|| Ok::<_, Silent>(())).is_ok());
    assert_eq!(breaker.metrics().last_error, None);
}

/// Uses the breaker while it is displayed, which would hang under a lock.
struct Busybody(Arc<CircuitBreaker>);

impl fmt::Display for Busybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.try_acquire().map_err(|_| fmt::Error)?.failure_because("inner");
        write!(f, "{} errors", self.0.metrics().total_error_count)
    }
}

#[test]
fn an_error_may_use_the_breaker_while_it_is_displayed() {
    let breaker = Arc::new(CircuitBreaker::new("test"));
    let told = breaker.judging_owned(WithMessages::new(ByResult));
    assert!(told.call_sync(|| Err::<(), _>(Busybody(breaker.clone()))).is_err());
    assert_eq!(breaker.metrics().last_error.unwrap().message.as_deref(), Some("1 errors"));
    assert_eq!((errors(&breaker), breaker.metrics().active_calls), (2, 0));
}

#[test]
fn a_panic_while_an_error_is_displayed_is_a_failure_and_loses_no_slot() {
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no text")
        }
    }
    let breaker = CircuitBreaker::new("test");
    let told = breaker.judged_by(WithMessages::new(ByResult));
    let panics = || drop(told.call_sync(|| Err::<(), _>(Bomb)));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let panics = || drop(block_on(told.call(async { Err::<(), _>(Bomb) })));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let metrics = breaker.metrics();
    assert_eq!((metrics.total_error_count, metrics.active_calls), (2, 0));
    assert_eq!(metrics.last_error.unwrap().type_name, "panic");
}

#[test]
fn a_trip_keeps_its_message_too_and_a_late_one_does_not() {
    let clock = ManualClock::new();
    let breaker = CircuitBreaker::builder("test").clock(clock.clone()).build().unwrap();
    let trip = WithMessages::new(|_: &Result<(), &str>| Outcome::Trip { open_for: SECOND });
    assert!(breaker.judged_by(trip).call_sync(|| Err("overloaded")).is_err());
    assert_eq!(breaker.metrics().last_error.unwrap().message.as_deref(), Some("overloaded"));
    breaker.reset();
    let told = breaker.judged_by(WithMessages::new(ByResult));
    let late = told.call_sync(|| {
        breaker.reset();
        Err::<(), _>("of before the reset")
    });
    assert!(late.is_err());
    assert_eq!(breaker.metrics().last_error, None);
}
