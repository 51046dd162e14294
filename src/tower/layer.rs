use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tower_layer::Layer;

use super::{Answering, Boxing, BreakerService, Refusing};
use crate::breaker::CircuitBreaker;
use crate::error::Rejected;
use crate::outcome::judge::{ByResult, Ignoring};

/// Protects services with one breaker.
///
/// `B` is the handle to the breaker, `J` the judge of the results, `M` what becomes of rejected calls. The
/// [module](super) tells how it behaves.
///
/// ```
/// use std::sync::Arc;
/// use tripcoil::CircuitBreaker;
/// use tripcoil::tower::BreakerLayer;
///
/// static SEARCH: CircuitBreaker = CircuitBreaker::new("search");
/// let search: BreakerLayer<&CircuitBreaker> = BreakerLayer::new(&SEARCH);
///
/// let payments = Arc::new(CircuitBreaker::new("payments")); // with settings read at the start, say
/// let payments: BreakerLayer = BreakerLayer::new(payments);
/// ```
#[derive(Clone, Copy)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct BreakerLayer<B = Arc<CircuitBreaker>, J = ByResult, M = Refusing> {
    breaker: B,
    judge: J,
    mode: M,
}

impl<B: Deref<Target = CircuitBreaker> + Clone> BreakerLayer<B> {
    /// A layer over the breaker that `breaker` is a handle to.
    pub const fn new(breaker: B) -> Self {
        BreakerLayer { breaker, judge: ByResult, mode: Refusing }
    }
}

impl<B, J, M> BreakerLayer<B, J, M> {
    /// The layer, with `judge` deciding how each result counts.
    ///
    /// `judge` is an `Fn(&Result<T, E>) -> Outcome`, with the service's own response and error, or one of the
    /// ready-made judges of `tripcoil::http`. It is cloned for each call. [`Service`](tower_service::Service) is
    /// implemented only if it judges what the service yields.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use std::io;
    /// use tripcoil::Outcome;
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).judging(|status: &Result<u16, io::Error>| match status {
    ///     Ok(404) => Outcome::Ignored,
    ///     Ok(..500) => Outcome::Success,
    ///     _ => Outcome::Failure,
    /// });
    /// ```
    pub fn judging<N>(self, judge: N) -> BreakerLayer<B, N, M> {
        BreakerLayer { breaker: self.breaker, judge, mode: self.mode }
    }

    /// The layer, with errors that match `predicate` counting as [`Outcome::Ignored`](crate::Outcome::Ignored).
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use std::io::{Error, ErrorKind};
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).ignoring(|error: &Error| error.kind() == ErrorKind::NotFound);
    /// ```
    pub fn ignoring<E, P: Fn(&E) -> bool>(self, predicate: P) -> BreakerLayer<B, Ignoring<P>, M> {
        self.judging(Ignoring::new(predicate))
    }

    /// The layer, with every error boxed, as many of tower's own layers have it.
    ///
    /// The service's error is then a `Box<dyn Error + Send + Sync>`: a boxed [`Rejected`], or what the service within
    /// yields. Use it where the service within boxes its errors already, as one with a time-out does: an
    /// `Error<Box<dyn Error>>` is no `std::error::Error`, which many layers outside ask for.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use std::error::Error;
    /// use tripcoil::Rejected;
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).boxing();
    ///
    /// fn is_rejected(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    ///     error.is::<Rejected>()
    /// }
    /// ```
    pub fn boxing(self) -> BreakerLayer<B, J, Boxing> {
        BreakerLayer { breaker: self.breaker, judge: self.judge, mode: Boxing }
    }

    /// The layer, with `answer` making the response to a call that is rejected.
    ///
    /// The service then has the error type of the service within. That is what a service that must not fail needs, such
    /// as one of axum. `tripcoil::http::unavailable`, behind the feature `http`, is such a function: status 503, with
    /// `Retry-After`. `answer` is cloned for each rejected call.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).answering(|rejected| format!("sorry: {rejected}"));
    /// ```
    pub fn answering<T, A: Fn(&Rejected) -> T>(self, answer: A) -> BreakerLayer<B, J, Answering<A>> {
        BreakerLayer { breaker: self.breaker, judge: self.judge, mode: Answering::new(answer) }
    }
}

impl<S, B: Clone, J: Clone, M: Clone> Layer<S> for BreakerLayer<B, J, M> {
    type Service = BreakerService<S, B, J, M>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService::new(inner, self.breaker.clone(), self.judge.clone(), self.mode.clone())
    }
}

impl<B: Deref<Target = CircuitBreaker>, J, M> fmt::Debug for BreakerLayer<B, J, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("breaker", &*self.breaker).finish_non_exhaustive()
    }
}
