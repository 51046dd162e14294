use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::{AtHead, BreakerFuture, OnRejection, Refusing, SettleAt};
use crate::breaker::CircuitBreaker;
use crate::breaker::owned_permit::acquire;
use crate::outcome::judge::{ByResult, Judge};

/// A service behind a breaker. Created by [`BreakerLayer`](super::BreakerLayer).
///
/// You can name the type, for example for a field. It is `Clone` and `Send` if the inner service is.
///
/// ```
/// use tower_layer::Layer;
/// use tripcoil::CircuitBreaker;
/// use tripcoil::tower::{BreakerLayer, BreakerService};
///
/// struct Client<S> {
///     service: BreakerService<S, &'static CircuitBreaker>,
/// }
///
/// static BACKEND: CircuitBreaker = CircuitBreaker::new("backend");
///
/// fn client<S>(service: S) -> Client<S> {
///     Client { service: BreakerLayer::new(&BACKEND).layer(service) }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct BreakerService<S, B = Arc<CircuitBreaker>, J = ByResult, M = Refusing, A = AtHead> {
    inner: S,
    breaker: B,
    judge: J,
    mode: M,
    settle_at: A,
}

impl<S, B, J, M, A> BreakerService<S, B, J, M, A> {
    pub(super) const fn new(inner: S, breaker: B, judge: J, mode: M, settle_at: A) -> Self {
        BreakerService { inner, breaker, judge, mode, settle_at }
    }
}

impl<S, Q, B, J, M, A> Service<Q> for BreakerService<S, B, J, M, A>
where
    S: Service<Q>,
    B: Deref<Target = CircuitBreaker> + Clone,
    J: Judge<Result<S::Response, S::Error>> + Clone,
    M: OnRejection<S::Response, S::Error> + Clone,
    A: SettleAt<S::Response> + Clone,
{
    type Response = A::Response<B>;
    type Error = M::Error;
    type Future = BreakerFuture<S::Future, B, J, M, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(M::failed)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        match acquire(&self.breaker) {
            Ok(mut hold) => {
                // If the service or the judge panics, this unwinds with it.
                let inside = hold.enter();
                let (future, judge) = (self.inner.call(request), self.judge.clone());
                inside.suspend();
                BreakerFuture::running(future, hold, judge, self.settle_at.clone())
            }
            Err(rejected) => BreakerFuture::rejected(rejected, self.mode.clone(), self.settle_at.clone()),
        }
    }
}

impl<S: fmt::Debug, B: Deref<Target = CircuitBreaker>, J, M, A> fmt::Debug for BreakerService<S, B, J, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerService")
            .field("inner", &self.inner)
            .field("breaker", &*self.breaker)
            .finish_non_exhaustive()
    }
}
