use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tower_layer::Layer;

use super::{Answering, AtHead, Boxing, BreakerService, Refusing};
use crate::breaker::CircuitBreaker;
use crate::error::Rejected;
use crate::outcome::judge::{ByResult, Ignoring};

/// Protects services with one breaker.
///
/// `B` is the handle to the breaker, `J` the judge of the results, `M` what becomes of rejected calls, `A` when a call is
/// settled. The [module](super) describes how it behaves.
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
pub struct BreakerLayer<B = Arc<CircuitBreaker>, J = ByResult, M = Refusing, A = AtHead> {
    breaker: B,
    judge: J,
    mode: M,
    settle_at: A,
}

impl<B: Deref<Target = CircuitBreaker> + Clone> BreakerLayer<B> {
    /// A layer over the breaker that `breaker` is a handle to.
    pub const fn new(breaker: B) -> Self {
        BreakerLayer { breaker, judge: ByResult, mode: Refusing, settle_at: AtHead }
    }
}

impl<B, J, M, A> BreakerLayer<B, J, M, A> {
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
    pub fn judging<N>(self, judge: N) -> BreakerLayer<B, N, M, A> {
        BreakerLayer { breaker: self.breaker, judge, mode: self.mode, settle_at: self.settle_at }
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
    pub fn ignoring<E, P: Fn(&E) -> bool>(self, predicate: P) -> BreakerLayer<B, Ignoring<P>, M, A> {
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
    pub fn boxing(self) -> BreakerLayer<B, J, Boxing, A> {
        self.with_mode(Boxing)
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
    pub fn answering<T, F: Fn(&Rejected) -> T>(self, answer: F) -> BreakerLayer<B, J, Answering<F>, A> {
        self.with_mode(Answering::new(answer))
    }

    fn with_mode<N>(self, mode: N) -> BreakerLayer<B, J, N, A> {
        BreakerLayer { breaker: self.breaker, judge: self.judge, mode, settle_at: self.settle_at }
    }

    /// The layer, with each call settled when the body of its response ends. Needs the feature `http`.
    ///
    /// The responses must be an [`http::Response`] with a body of the crate [`http_body`]. A head that is judged a
    /// failure, ignored or a trip settles its call at once, as it does without this. A head that is judged a success
    /// leaves the call open, and its body decides:
    ///
    /// | the body | counts as |
    /// |---|---|
    /// | ends | success |
    /// | yields an error, for example because the connection broke | failure |
    /// | ends with a `grpc-status` in its trailers | as [`ByGrpcStatus::outcome`](crate::http::ByGrpcStatus::outcome) judges the code |
    /// | belongs to a gRPC response and ends without a `grpc-status` | failure |
    /// | is dropped before its end | a dropped call, as [`dropped_calls`](crate::Builder::dropped_calls) says |
    ///
    /// A body whose announced length has been read to the last byte has ended. The call's duration ends with the head:
    /// a stream that takes long is not slow, does not count as hanging, and its drop is no
    /// [`FailureAfter`](crate::Dropped::FailureAfter). A half-open probe keeps its place until its body ends.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use tripcoil::http::ByStatus;
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).judging(ByStatus::new()).until_body_end();
    /// ```
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn until_body_end(self) -> BreakerLayer<B, J, M, super::AtBodyEnd> {
        let BreakerLayer { breaker, judge, mode, settle_at: _ } = self;
        BreakerLayer { breaker, judge, mode, settle_at: super::AtBodyEnd }
    }
}

impl<S, B: Clone, J: Clone, M: Clone, A: Clone> Layer<S> for BreakerLayer<B, J, M, A> {
    type Service = BreakerService<S, B, J, M, A>;

    fn layer(&self, inner: S) -> Self::Service {
        let BreakerLayer { breaker, judge, mode, settle_at } = self.clone();
        BreakerService::new(inner, breaker, judge, mode, settle_at)
    }
}

impl<B: Deref<Target = CircuitBreaker>, J, M, A> fmt::Debug for BreakerLayer<B, J, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("breaker", &*self.breaker).finish_non_exhaustive()
    }
}
