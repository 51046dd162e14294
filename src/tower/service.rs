use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::{AtHead, BreakerFuture, BreakerLayer, OnProbe, OnRejection, Refusing, SettleAt, Unmapped};
use crate::breaker::CircuitBreaker;
use crate::breaker::owned_permit::acquire;
use crate::outcome::judge::{ByResult, Judge};

/// A service behind a breaker. Created by [`BreakerLayer`].
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
pub struct BreakerService<S, B = Arc<CircuitBreaker>, J = ByResult, M = Refusing, A = AtHead, O = Unmapped> {
    pub(super) inner: S,
    pub(super) layer: BreakerLayer<B, J, M, A, O>,
}

impl<S, Q, B, J, M, A, O> Service<Q> for BreakerService<S, B, J, M, A, O>
where
    S: Service<Q>,
    B: Deref<Target = CircuitBreaker> + Clone,
    J: Judge<Result<S::Response, S::Error>> + Clone,
    M: OnRejection<S::Response, S::Error> + Clone,
    A: SettleAt<S::Response> + Clone,
    O: OnProbe<Q>,
{
    type Response = A::Response<B>;
    type Error = M::Error;
    type Future = BreakerFuture<S::Future, B, J, M, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(M::failed)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let BreakerLayer { breaker, judge, mode, settle_at, on_probe } = &self.layer;
        match acquire(breaker) {
            Ok(mut hold) => {
                let is_probe = hold.is_probe();
                // If the service or a function of the layer panics, this unwinds with it.
                let inside = hold.enter();
                let request = if is_probe { on_probe.map(request) } else { request };
                let (future, judge) = (self.inner.call(request), judge.clone());
                inside.suspend();
                BreakerFuture::running(future, hold, judge, settle_at.clone())
            }
            Err(rejected) => BreakerFuture::rejected(rejected, mode.clone(), settle_at.clone()),
        }
    }
}

impl<S: fmt::Debug, B: Deref<Target = CircuitBreaker>, J, M, A, O> fmt::Debug for BreakerService<S, B, J, M, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerService")
            .field("inner", &self.inner)
            .field("breaker", &*self.layer.breaker)
            .finish_non_exhaustive()
    }
}
