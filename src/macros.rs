//! Items that the expansion of `guarded` names. Not part of the public interface.

use std::future::IntoFuture;

use crate::breaker::CircuitBreaker;
use crate::breaker::admitted::Admitted;
use crate::error::Error;
use crate::outcome::Outcome;

/// A return type that can hold a rejection.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns `Result<_, tripcoil::Error<_>>`, not `{Self}`",
    label = "cannot hold a rejection",
    note = "write `flatten` after the breaker if the error implements `From<tripcoil::Rejected>`"
)]
pub trait Guardable {
    /// What the body of the function returns.
    type Body;
    /// The error of the body.
    type Error;
}

impl<T, E> Guardable for Result<T, Error<E>> {
    type Body = Result<T, E>;
    type Error = E;
}

/// A return type whose error is that of the body and can hold a rejection.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns a `Result`, not `{Self}`",
    label = "not a `Result`"
)]
pub trait Flat {
    /// The error.
    type Error;
}

impl<T, E> Flat for Result<T, E> {
    type Error = E;
}

/// Tells the compiler the type of an async block, which has no place to name it.
#[must_use]
pub fn never<T>() -> T {
    unreachable!("the expansion of `guarded` calls this nowhere")
}

/// [`CircuitBreaker::call_admitted`] with a judge for this one call.
///
/// # Errors
///
/// See [`CircuitBreaker::call_admitted`].
pub async fn call_admitted_with<F, T, E>(
    breaker: &CircuitBreaker,
    op: impl FnOnce(Admitted) -> F,
    judge: impl FnOnce(&Result<T, E>) -> Outcome,
) -> Result<T, Error<E>>
where
    F: IntoFuture<Output = Result<T, E>>,
{
    breaker.judged_admitted(op, judge).await
}

/// [`CircuitBreaker::call_sync_admitted`] with a judge for this one call.
///
/// # Errors
///
/// See [`CircuitBreaker::call_sync_admitted`].
pub fn call_sync_admitted_with<T, E>(
    breaker: &CircuitBreaker,
    op: impl FnOnce(Admitted) -> Result<T, E>,
    judge: impl FnOnce(&Result<T, E>) -> Outcome,
) -> Result<T, Error<E>> {
    breaker.judged_sync_admitted(op, judge)
}
