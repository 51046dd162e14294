//! Items that the expansion of `guarded` names. Not part of the public interface.

use crate::error::Error;

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
