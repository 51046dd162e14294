//! The code that `docs/compare.md` migrates from compiles, and does what the page says of it.

#![allow(unreachable_pub, missing_docs, clippy::pedantic, reason = "it is written as its users write it")]

#[rustfmt::skip]
mod failsafe;
#[rustfmt::skip]
mod recloser;

use std::fs;
use std::future::{Future, ready};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ::recloser::AsyncRecloser;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compare.md");

fn is_on_the_page(source: &str) -> bool {
    fs::read_to_string(PAGE).unwrap().contains(&format!("\n```rust,ignore\n{source}```\n"))
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}

fn unwell<T>() -> io::Result<T> {
    Err(ErrorKind::ConnectionReset.into())
}

#[test]
fn what_the_page_shows_is_what_is_compiled() {
    assert!(is_on_the_page(include_str!("recloser.rs")));
    assert!(is_on_the_page(include_str!("failsafe.rs")));
    assert!(!is_on_the_page("fn main() {}\n"));
}

#[test]
fn a_recloser_opens_at_half_of_its_calls_and_counts_an_error_that_does_not_count_as_a_success() {
    let recloser = recloser::recloser();
    for _ in 0..200 {
        assert_eq!(recloser::settings(&recloser, "/no/such/file").unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert!(recloser.call(|| Ok::<_, ()>(())).is_ok());

    let recloser = AsyncRecloser::from(recloser::recloser());
    let mut errors = 0;
    while finish(recloser::quote(&recloser, ready(unwell()))).is_err() {
        errors += 1;
    }
    assert_eq!(errors, 101);
}

#[test]
fn a_failsafe_breaker_opens_with_the_third_failure_in_a_row() {
    let breaker = failsafe::breaker();
    let mut errors = 0;
    while finish(failsafe::quote(&breaker, ready(unwell()))).is_err() {
        errors += 1;
    }
    assert_eq!(errors, 3);
    assert!(failsafe::settings(&breaker, "/no/such/file").unwrap().is_none());
}
