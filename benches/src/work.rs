//! The call that every contender protects, and the loops around it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hint::{black_box, spin_loop};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Makes the given number of calls. The one indirect call is around the loop, none is in it.
pub(crate) type Lane = Box<dyn Fn(u64) + Send + Sync>;

/// How a call fails.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) u32);

impl Failure {
    /// Of a contender that has no rejections of its own and asks its user for an error.
    pub(crate) const REJECTED: u32 = 503;
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl Error for Failure {}

#[expect(clippy::unnecessary_wraps, reason = "a call that could fail")]
#[inline]
pub(crate) fn good() -> Result<u32, Failure> {
    Ok(black_box(7))
}

#[inline]
pub(crate) fn bad() -> Result<u32, Failure> {
    Err(Failure(black_box(7)))
}

#[inline]
pub(crate) async fn good_later() -> Result<u32, Failure> {
    good()
}

#[inline]
pub(crate) async fn bad_later() -> Result<u32, Failure> {
    bad()
}

/// Looks at the result as a caller would.
#[inline]
pub(crate) fn consume<E>(result: Result<u32, E>) {
    match result {
        Ok(value) => {
            black_box(value);
        }
        Err(error) => {
            black_box(&error);
        }
    }
}

/// Polls until it is ready, without a runtime and without waiting.
#[inline]
pub(crate) fn poll<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        spin_loop();
    }
}

/// Makes each call.
pub(crate) fn each(call: impl Fn() + Send + Sync + 'static) -> Lane {
    Box::new(move |calls| {
        for _ in 0..calls {
            call();
        }
    })
}

/// Makes one call in `every` fail, at even distances. What is left of an uneven number of calls succeeds.
pub(crate) fn one_in(
    every: u64,
    succeed: impl Fn() + Send + Sync + 'static,
    fail: impl Fn() + Send + Sync + 'static,
) -> Lane {
    Box::new(move |calls| {
        for _ in 0..calls / every {
            for _ in 1..every {
                succeed();
            }
            fail();
        }
        for _ in 0..calls % every {
            succeed();
        }
    })
}
