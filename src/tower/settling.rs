use std::ops::Deref;

use crate::breaker::CircuitBreaker;
use crate::breaker::owned_permit::EngineOf;
use crate::breaker::permit::{Hold, Suspended};
use crate::engine::last_failure::type_name;
use crate::outcome::Outcome;

/// When a call that was admitted is settled: [`AtHead`], or `AtBodyEnd` with the feature `http`.
///
/// This trait is sealed. You only need its name in a bound.
pub trait SettleAt<T>: sealed::Sealed {
    /// The response of the service.
    type Response<B: Deref<Target = CircuitBreaker>>;

    /// Takes over a call whose result has been judged.
    #[doc(hidden)]
    fn finished<E, B>(&self, call: AdmittedCall<B>, result: Result<T, E>) -> Result<Self::Response<B>, E>
    where
        B: Deref<Target = CircuitBreaker>;

    /// The response to a rejected call.
    #[doc(hidden)]
    fn rejected<B: Deref<Target = CircuitBreaker>>(&self, response: T) -> Self::Response<B>;
}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// A call whose future has finished, with the outcome of its result.
#[doc(hidden)]
#[expect(missing_debug_implementations, reason = "only passed on")]
pub struct AdmittedCall<B: Deref<Target = CircuitBreaker>> {
    pub(super) hold: Hold<EngineOf<B>, Suspended>,
    pub(super) outcome: Outcome,
    pub(super) message: Option<String>,
}

impl<B: Deref<Target = CircuitBreaker>> AdmittedCall<B> {
    pub(super) fn settle<T, E>(self, result: &Result<T, E>) {
        match self.message {
            None => self.hold.settle(self.outcome, || type_name(result)),
            Some(message) => self.hold.settle_with_message(self.outcome, type_name(result), message),
        }
    }
}

/// A call is settled when its response, or its error, is there. The default.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtHead;

impl sealed::Sealed for AtHead {}

impl<T> SettleAt<T> for AtHead {
    type Response<B: Deref<Target = CircuitBreaker>> = T;

    fn finished<E, B>(&self, call: AdmittedCall<B>, result: Result<T, E>) -> Result<T, E>
    where
        B: Deref<Target = CircuitBreaker>,
    {
        call.settle(&result);
        result
    }

    fn rejected<B: Deref<Target = CircuitBreaker>>(&self, response: T) -> T {
        response
    }
}
