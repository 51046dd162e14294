use std::fmt;

use crate::error::{Error, Rejected};

/// Decides what a call yields that a [`BreakerService`](super::BreakerService) rejects: [`Refusing`],
/// [`Boxing`] or [`Answering`].
///
/// The trait is sealed. You need it only in bounds.
pub trait OnRejection<T, E>: sealed::Sealed {
    /// The error of the service.
    type Error;

    /// The result of a rejected call.
    #[doc(hidden)]
    fn rejected(&self, rejected: Rejected) -> Result<T, Self::Error>;

    /// The error of a call that failed.
    #[doc(hidden)]
    fn failed(error: E) -> Self::Error;
}

mod sealed {
    pub trait Sealed {}
}

/// A rejected call yields an [`Error::Rejected`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusing;

impl sealed::Sealed for Refusing {}

impl<T, E> OnRejection<T, E> for Refusing {
    type Error = Error<E>;

    fn rejected(&self, rejected: Rejected) -> Result<T, Error<E>> {
        Err(Error::Rejected(rejected))
    }

    fn failed(error: E) -> Error<E> {
        Error::Inner(error)
    }
}

/// A rejected call yields a boxed [`Rejected`], and other errors are boxed too. Set by
/// [`BreakerLayer::boxing`](super::BreakerLayer::boxing).
#[derive(Clone, Copy, Debug, Default)]
pub struct Boxing;

impl sealed::Sealed for Boxing {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<T, E: Into<BoxError>> OnRejection<T, E> for Boxing {
    type Error = BoxError;

    fn rejected(&self, rejected: Rejected) -> Result<T, BoxError> {
        Err(rejected.into())
    }

    fn failed(error: E) -> BoxError {
        error.into()
    }
}

/// A rejected call yields the response of a function. Set by
/// [`BreakerLayer::answering`](super::BreakerLayer::answering).
#[derive(Clone, Copy)]
pub struct Answering<A> {
    answer: A,
}

impl<A> Answering<A> {
    pub(super) const fn new(answer: A) -> Self {
        Answering { answer }
    }
}

impl<A> sealed::Sealed for Answering<A> {}

impl<T, E, A: Fn(&Rejected) -> T> OnRejection<T, E> for Answering<A> {
    type Error = E;

    fn rejected(&self, rejected: Rejected) -> Result<T, E> {
        Ok((self.answer)(&rejected))
    }

    fn failed(error: E) -> E {
        error
    }
}

impl<A> fmt::Debug for Answering<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}
