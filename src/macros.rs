//! What the expansion of `guarded` names. No part of the public interface.

use crate::error::Error;

/// A return type that says that the call may be rejected.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns `Result<_, tripcoil::Error<_>>`, not `{Self}`",
    label = "has no place for a rejection",
    note = "write `flatten` after the breaker if the error is `From<tripcoil::Rejected>`"
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

/// A return type that has the error of the body itself, which has a place for a rejection.
#[diagnostic::on_unimplemented(
    message = "a guarded function returns a `Result`, not `{Self}`",
    label = "is no `Result`"
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
