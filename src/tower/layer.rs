use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tower_layer::Layer;

use super::{Answering, AtHead, Boxing, BreakerService, MapProbe, Refusing, Unmapped};
use crate::breaker::CircuitBreaker;
use crate::error::Rejected;
use crate::outcome::judge::{ByResult, Ignoring};

/// Protects services with one breaker.
///
/// `B` is the handle to the breaker and `J` the judge. `M` decides what a rejected call yields, `A` when a call
/// is settled, and `O` what a probe requests. The [module](super) documents the behaviour.
///
/// ```
/// use std::sync::Arc;
/// use tripcoil::CircuitBreaker;
/// use tripcoil::tower::BreakerLayer;
///
/// static SEARCH: CircuitBreaker = CircuitBreaker::new("search");
/// let search: BreakerLayer<&CircuitBreaker> = BreakerLayer::new(&SEARCH);
///
/// let payments = Arc::new(CircuitBreaker::new("payments")); // for example, with settings read at the start
/// let payments: BreakerLayer = BreakerLayer::new(payments);
/// ```
#[derive(Clone, Copy)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct BreakerLayer<B = Arc<CircuitBreaker>, J = ByResult, M = Refusing, A = AtHead, O = Unmapped> {
    pub(super) breaker: B,
    pub(super) judge: J,
    pub(super) mode: M,
    pub(super) settle_at: A,
    pub(super) on_probe: O,
}

impl<B: Deref<Target = CircuitBreaker> + Clone> BreakerLayer<B> {
    /// Creates a layer over the breaker that `breaker` is a handle to.
    pub const fn new(breaker: B) -> Self {
        BreakerLayer { breaker, judge: ByResult, mode: Refusing, settle_at: AtHead, on_probe: Unmapped }
    }
}

impl<B, J, M, A, O> BreakerLayer<B, J, M, A, O> {
    /// Sets the judge, which decides how each result counts.
    ///
    /// `judge` is an `Fn(&Result<T, E>) -> Outcome` with the service's response and error types, or one of the
    /// judges of `tripcoil::http`. It is cloned for each call. [`Service`](tower_service::Service) is
    /// implemented only if the judge accepts the service's result.
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
    pub fn judging<N>(self, judge: N) -> BreakerLayer<B, N, M, A, O> {
        let BreakerLayer { breaker, judge: _, mode, settle_at, on_probe } = self;
        BreakerLayer { breaker, judge, mode, settle_at, on_probe }
    }

    /// Ignores errors that match `predicate`: they count as [`Outcome::Ignored`](crate::Outcome::Ignored).
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use std::io::{Error, ErrorKind};
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).ignoring(|error: &Error| error.kind() == ErrorKind::NotFound);
    /// ```
    pub fn ignoring<E, P: Fn(&E) -> bool>(self, predicate: P) -> BreakerLayer<B, Ignoring<P>, M, A, O> {
        self.judging(Ignoring::new(predicate))
    }

    /// Boxes every error, as many of tower's own layers do.
    ///
    /// The service's error is then a `Box<dyn Error + Send + Sync>`: a boxed [`Rejected`], or the error of the
    /// inner service. Use it if the inner service already boxes its errors, as tower's time-out does. An
    /// `Error<Box<dyn Error>>` does not implement `std::error::Error`, which many outer layers require.
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
    pub fn boxing(self) -> BreakerLayer<B, J, Boxing, A, O> {
        self.with_mode(Boxing)
    }

    /// Answers rejected calls with the response of `answer`.
    ///
    /// The service then has the error type of the inner service. Services that must not fail need this, such as
    /// those of axum. `tripcoil::http::unavailable`, with the feature `http`, is such a function: status 503,
    /// with `Retry-After`. `answer` is cloned for each rejected call.
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// let layer = BreakerLayer::new(&BREAKER).answering(|rejected| format!("sorry: {rejected}"));
    /// ```
    pub fn answering<T, F: Fn(&Rejected) -> T>(self, answer: F) -> BreakerLayer<B, J, Answering<F>, A, O> {
        self.with_mode(Answering::new(answer))
    }

    fn with_mode<N>(self, mode: N) -> BreakerLayer<B, J, N, A, O> {
        let BreakerLayer { breaker, judge, mode: _, settle_at, on_probe } = self;
        BreakerLayer { breaker, judge, mode, settle_at, on_probe }
    }

    /// Maps the request of each half-open probe with `map`, for example to a cheap endpoint or to a shorter
    /// time-out.
    ///
    /// Every other request goes to the service unchanged, including those within the steps of a
    /// [`recovery`](crate::Builder::recovery). `map` is called after the admission. If it panics, the probe
    /// counts as a failure and the panic propagates. Each service has a clone of `map`.
    ///
    /// To treat a probe differently in a service further inside, mark its request, for instance with an
    /// extension of an `http::Request`:
    ///
    /// ```
    /// # use tripcoil::CircuitBreaker;
    /// # static BREAKER: CircuitBreaker = CircuitBreaker::new("backend");
    /// use tripcoil::tower::BreakerLayer;
    ///
    /// struct Request {
    ///     path: &'static str,
    /// }
    ///
    /// let layer = BreakerLayer::new(&BREAKER).on_probe(|request: Request| Request { path: "/health", ..request });
    /// ```
    pub fn on_probe<Q, F: Fn(Q) -> Q>(self, map: F) -> BreakerLayer<B, J, M, A, MapProbe<F>> {
        let BreakerLayer { breaker, judge, mode, settle_at, on_probe: _ } = self;
        BreakerLayer { breaker, judge, mode, settle_at, on_probe: MapProbe::new(map) }
    }

    /// Settles each call when the body of its response ends. Requires the feature `http`.
    ///
    /// Each response has to be an [`http::Response`] with a body of the crate [`http_body`]. A head that is
    /// judged a failure, ignored or a trip settles its call at once. A head that is judged a success leaves the
    /// call open, and the body decides:
    ///
    /// | the body | counts as |
    /// |---|---|
    /// | ends | success |
    /// | yields an error, for example because the connection broke | failure |
    /// | ends with a `grpc-status` in its trailers | as [`ByGrpcStatus::outcome`](crate::http::ByGrpcStatus::outcome) judges the code |
    /// | belongs to a gRPC response and ends without a `grpc-status` | failure |
    /// | is dropped before its end | a dropped call, according to [`dropped_calls`](crate::Builder::dropped_calls) |
    ///
    /// A body whose announced length has been read to the last byte has ended. The call's duration ends with
    /// the head: a stream that takes long is not slow, does not count as hanging, and its drop is no
    /// [`FailureAfter`](crate::Dropped::FailureAfter). A half-open probe keeps its slot until its body ends.
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
    pub fn until_body_end(self) -> BreakerLayer<B, J, M, super::AtBodyEnd, O> {
        let BreakerLayer { breaker, judge, mode, settle_at: _, on_probe } = self;
        BreakerLayer { breaker, judge, mode, settle_at: super::AtBodyEnd, on_probe }
    }
}

impl<S, B: Clone, J: Clone, M: Clone, A: Clone, O: Clone> Layer<S> for BreakerLayer<B, J, M, A, O> {
    type Service = BreakerService<S, B, J, M, A, O>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService { inner, layer: self.clone() }
    }
}

impl<B: Deref<Target = CircuitBreaker>, J, M, A, O> fmt::Debug for BreakerLayer<B, J, M, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("breaker", &*self.breaker).finish_non_exhaustive()
    }
}
