//! An error says which breaker, why and, where known, for how long; and gives the call's own error back.

mod common;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use common::*;
use tripcoil::{CircuitBreaker, Error, Rejected, State};

/// An error type that is no `std::error::Error`, no `Debug`, no `Display`.
struct Plain(u32);

fn rejection(rejected: &Rejected) -> Error<Plain> {
    Error::Rejected(rejected.clone())
}

fn open_for(wait: Duration) -> Rejected {
    let (breaker, _clock) = manual(|settings| settings);
    breaker.open_for(wait);
    refused(&breaker)
}

#[test]
fn a_rejection_says_why_and_for_how_long() {
    let breaker = CircuitBreaker::new("payments");
    let clock = tripcoil::clock::ManualClock::new();
    let payments = CircuitBreaker::builder("payments").clock(clock).build().unwrap();
    payments.open_for(Duration::from_millis(12_300));
    assert_eq!(refused(&payments).to_string(), "circuit breaker `payments` is open; retry in 12.3s");
    breaker.transition_to(State::HalfOpen);
    let probe = admitted(&breaker);
    assert_eq!(refused(&breaker).to_string(), "circuit breaker `payments` is half-open and at capacity");
    drop(probe);
    breaker.force_open();
    assert_eq!(refused(&breaker).to_string(), "circuit breaker `payments` is forced open");
}

#[test]
fn the_wait_is_written_to_the_next_tenth_of_a_second_or_millisecond() {
    for (wait, text) in [
        (5 * SECOND, "5s"),
        (Duration::from_millis(12_301), "12.4s"),
        (Duration::from_millis(29_999), "30s"),
        (Duration::from_millis(250), "250ms"),
        (TICK, "1ms"),
        (3_600 * SECOND, "3600s"),
    ] {
        assert_eq!(open_for(wait).to_string(), format!("circuit breaker `test` is open; retry in {text}"));
    }
}

#[test]
fn a_rejection_names_the_breaker_the_state_and_the_wait() {
    let (breaker, clock) = manual(|settings| settings);
    breaker.open_for(10 * SECOND);
    for left in (1..=10).rev() {
        let rejected = refused(&breaker);
        assert_eq!((rejected.name(), rejected.state()), ("test", State::Open));
        assert_eq!(rejected.retry_after(), Some(left * SECOND));
        assert_eq!(breaker.metrics().retry_after, Some(left * SECOND));
        clock.advance(SECOND);
    }
    let probe = admitted(&breaker);
    let rejected = refused(&breaker);
    assert_eq!((rejected.state(), rejected.retry_after()), (State::HalfOpen, None));
    drop(probe);
    breaker.force_open();
    let rejected = refused(&breaker);
    assert_eq!((rejected.state(), rejected.retry_after()), (State::ForcedOpen, None));
}

#[test]
fn a_rejection_of_a_breaker_with_an_owned_name_outlives_it() {
    let breaker = CircuitBreaker::builder(format!("shard-{}", 7)).build().unwrap();
    breaker.force_open();
    let rejected = refused(&breaker);
    drop(breaker);
    assert_eq!(rejected.to_string(), "circuit breaker `shard-7` is forced open");
}

#[test]
fn the_two_kinds_of_errors_are_told_apart() {
    let rejected = open_for(SECOND);
    let (no, yes) = (rejection(&rejected), Error::Inner(Plain(7)));
    assert!(no.is_rejected() && !yes.is_rejected());
    assert_eq!(no.rejected(), Some(&rejected));
    assert!(yes.rejected().is_none());
    assert!(no.inner().is_none());
    assert_eq!(yes.inner().map(|plain| plain.0), Some(7));
    assert_eq!(no.retry_after(), Some(SECOND));
    assert_eq!(yes.retry_after(), None);
    assert!(no.into_inner().is_none());
    assert_eq!(yes.into_inner().map(|plain| plain.0), Some(7));
}

#[test]
fn map_inner_maps_the_call_s_own_error_only() {
    let rejected = open_for(SECOND);
    assert_eq!(rejection(&rejected).map_inner(|plain| plain.0), Error::Rejected(rejected));
    assert_eq!(Error::Inner(Plain(7)).map_inner(|plain| plain.0), Error::Inner(7));
}

#[test]
fn flatten_takes_both_kinds_into_an_error_with_a_place_for_rejections() {
    #[derive(Debug, PartialEq)]
    enum AppError {
        Own,
        Unavailable(Rejected),
    }
    impl From<Rejected> for AppError {
        fn from(rejected: Rejected) -> Self {
            AppError::Unavailable(rejected)
        }
    }
    fn run(breaker: &CircuitBreaker) -> Result<(), AppError> {
        breaker.call_sync(|| Err(AppError::Own)).map_err(Error::flatten)
    }
    let (breaker, _clock) = manual(|settings| settings);
    assert_eq!(run(&breaker), Err(AppError::Own));
    breaker.force_open();
    assert_eq!(run(&breaker), Err(AppError::Unavailable(refused(&breaker))));
}

#[test]
fn a_rejection_becomes_an_error_by_question_mark() {
    fn run(breaker: &CircuitBreaker) -> Result<(), Error<Plain>> {
        breaker.try_acquire()?.success();
        Ok(())
    }
    let (breaker, _clock) = manual(|settings| settings);
    assert!(run(&breaker).is_ok());
    breaker.force_open();
    assert!(run(&breaker).is_err_and(|error| error.is_rejected()));
}

#[test]
fn an_error_reads_as_what_it_holds() {
    let rejected = open_for(5 * SECOND);
    let (no, yes) = (Error::Rejected(rejected.clone()), Error::Inner(io::Error::other("broken pipe")));
    assert_eq!(no.to_string(), rejected.to_string());
    assert_eq!(yes.to_string(), "broken pipe");
    assert_eq!(Error::Inner("text").to_string(), "text");
    drop::<[Error<io::Error>; 2]>([no, yes]);
}

#[test]
fn the_chain_of_sources_goes_on_below_the_call_s_own_error() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Error::Inner(Outer(io::Error::other("root")));
    assert_eq!(error.to_string(), "outer");
    assert_eq!(error.source().unwrap().to_string(), "root");
    let rejected: Error<Outer> = Error::Rejected(open_for(SECOND));
    assert!(rejected.source().is_none());
}

#[test]
fn an_error_can_be_boxed_with_a_question_mark() {
    fn run(breaker: &CircuitBreaker) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        Ok(breaker.call_sync(|| "twelve".parse::<u32>())?)
    }
    let (breaker, _clock) = manual(|settings| settings);
    assert_eq!(run(&breaker).unwrap_err().to_string(), "invalid digit found in string");
    breaker.force_open();
    let boxed = run(&breaker).unwrap_err();
    assert!(boxed.downcast_ref::<Error<std::num::ParseIntError>>().unwrap().is_rejected());
}

#[test]
fn an_error_whose_own_error_is_no_error_is_still_debugged_and_displayed() {
    let error: Error<&str> = Error::Inner("text");
    assert_eq!(format!("{error} {error:?}"), "text Inner(\"text\")");
    assert_eq!(error, error.clone());
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("the disk failed")]
    Disk(#[from] io::Error),
    #[error("not tried")]
    Unavailable(#[from] Rejected),
}

fn both() -> [Error<io::Error>; 2] {
    [Error::Rejected(open_for(5 * SECOND)), Error::Inner(io::ErrorKind::TimedOut.into())]
}

#[test]
fn flattened_into_anyhow_either_error_is_in_the_chain() {
    let [rejected, inner] = both().map(Error::flatten_into::<anyhow::Error>);
    let (rejected, inner) = (rejected.context("loading"), inner.context("loading"));
    assert_eq!(rejected.downcast_ref::<Rejected>().map(Rejected::state), Some(State::Open));
    assert!(rejected.chain().any(<dyn std::error::Error>::is::<Rejected>));
    assert_eq!(inner.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::TimedOut));
    assert!(inner.chain().any(<dyn std::error::Error>::is::<io::Error>) && !inner.is::<Rejected>());
}

#[test]
fn flattened_into_a_box_either_error_is_the_one_in_it() {
    let [rejected, inner] = both().map(Error::flatten_into::<BoxError>);
    assert!(rejected.is::<Rejected>());
    assert!(inner.is::<io::Error>());
}

#[test]
fn flattened_into_an_enum_each_error_has_its_variant() {
    let [rejected, inner] = both().map(Error::flatten_into::<AppError>);
    assert!(matches!(rejected, AppError::Unavailable(_)));
    assert!(matches!(inner, AppError::Disk(_)));
}

#[test]
fn an_error_that_is_boxed_already_is_flattened_as_it_is() {
    let inner = Error::Inner(anyhow::anyhow!("no answer")).flatten_into::<anyhow::Error>();
    assert_eq!(inner.to_string(), "no answer");
    let inner = Error::Inner(BoxError::from(io::Error::from(io::ErrorKind::NotFound))).flatten_into::<BoxError>();
    assert!(inner.is::<io::Error>());
}

#[test]
fn the_debug_form_of_a_rejection_can_be_read() {
    let rejected = open_for(5 * SECOND);
    assert_eq!(format!("{rejected:?}"), "Rejected { name: \"test\", state: Open, retry_after: Some(5s) }");
    let breaker = CircuitBreaker::new("test");
    breaker.force_open();
    assert_eq!(format!("{:?}", refused(&breaker)), "Rejected { name: \"test\", state: ForcedOpen, retry_after: None }");
}
