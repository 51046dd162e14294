use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::ops::Deref;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::{Answering, AtHead, Boxing, BreakerFuture, MapProbe, OnProbe, OnRejection, Refusing, SettleAt, Unmapped};
use crate::error::Rejected;
use crate::outcome::judge::{ByResult, Ignoring, Judge};
use crate::registry::{BreakerHandle, DefaultHashBuilder, Registry};

/// Protects services with the breakers of a [`Registry`]: one for each host, tenant or method, as chosen by
/// `key_of`.
///
/// `R` is a handle to the registry, a `&'static` or an [`Arc`](std::sync::Arc). `K` is its key and `S` its
/// hasher. `P` is the function from the request to the key, `J` the judge. `M` decides what a rejected call
/// yields, `A` when a call is settled, and `O` what a probe requests. Otherwise it behaves like
/// [`BreakerLayer`](super::BreakerLayer); see the [module](super).
///
/// ```
/// use std::convert::Infallible;
/// use std::future::{Ready, ready};
/// use std::sync::Arc;
/// use std::task::{Context, Poll};
/// use tower_layer::Layer;
/// use tower_service::Service;
/// use tripcoil::tower::RegistryLayer;
/// use tripcoil::{Outcome, Registry};
///
/// /// Answers each request, a host and a path, with a status.
/// struct Client;
///
/// impl Service<(&str, &str)> for Client {
///     type Response = u16;
///     type Error = Infallible;
///     type Future = Ready<Result<u16, Infallible>>;
///
///     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, (host, _path): (&str, &str)) -> Self::Future {
///         ready(Ok(if host == "down.example" { 502 } else { 200 }))
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
/// let layer = RegistryLayer::new(hosts.clone(), |(host, _path): &(&str, &str)| host.to_string())
///     .judging(|status: &Result<u16, Infallible>| match status {
///         Ok(..500) => Outcome::Success,
///         _ => Outcome::Failure,
///     })
///     .answering(|_rejected| 503);
/// let mut client = layer.layer(Client);
/// for _ in 0..5 {
///     assert_eq!(client.call(("down.example", "/")).await, Ok(502));
/// }
/// assert_eq!(client.call(("down.example", "/")).await, Ok(503)); // its breaker is open now
/// assert_eq!(client.call(("up.example", "/")).await, Ok(200));
/// # });
/// ```
#[must_use = "a layer does nothing until it is put around a service"]
pub struct RegistryLayer<R, K, P, J = ByResult, M = Refusing, S = DefaultHashBuilder, A = AtHead, O = Unmapped> {
    registry: R,
    key_of: P,
    judge: J,
    mode: M,
    settle_at: A,
    on_probe: O,
    types: PhantomData<fn() -> (K, S)>,
}

impl<R: Deref<Target = Registry<K, S>>, K, P, S> RegistryLayer<R, K, P, ByResult, Refusing, S> {
    /// Creates a layer over the registry that `registry` is a handle to.
    ///
    /// `key_of` is an `Fn(&Request) -> Key`. It is called once for each call, before the admission, and cloned
    /// for each service. Keys that are cheap to clone, such as an `Arc<str>` or a number, save an allocation
    /// for each call. A panic of `key_of` propagates and counts as nothing, because there was no call.
    pub const fn new(registry: R, key_of: P) -> Self {
        RegistryLayer {
            registry,
            key_of,
            judge: ByResult,
            mode: Refusing,
            settle_at: AtHead,
            on_probe: Unmapped,
            types: PhantomData,
        }
    }
}

impl<R, K, P, J, M, S, A, O> RegistryLayer<R, K, P, J, M, S, A, O> {
    /// Sets the judge, which decides how each result counts, like
    /// [`BreakerLayer::judging`](super::BreakerLayer::judging).
    pub fn judging<N>(self, judge: N) -> RegistryLayer<R, K, P, N, M, S, A, O> {
        let RegistryLayer { registry, key_of, judge: _, mode, settle_at, on_probe, types } = self;
        RegistryLayer { registry, key_of, judge, mode, settle_at, on_probe, types }
    }

    /// Ignores errors that match `predicate`: they count as [`Outcome::Ignored`](crate::Outcome::Ignored).
    ///
    /// ```
    /// # use tripcoil::Registry;
    /// # let hosts: std::sync::Arc<Registry<String>> = std::sync::Arc::new(Registry::new("hosts"));
    /// use std::io::{Error, ErrorKind};
    /// use tripcoil::tower::RegistryLayer;
    ///
    /// let layer = RegistryLayer::new(hosts, |host: &String| host.clone())
    ///     .ignoring(|error: &Error| error.kind() == ErrorKind::NotFound);
    /// ```
    pub fn ignoring<E, F: Fn(&E) -> bool>(self, predicate: F) -> RegistryLayer<R, K, P, Ignoring<F>, M, S, A, O> {
        self.judging(Ignoring::new(predicate))
    }

    /// Boxes every error, like [`BreakerLayer::boxing`](super::BreakerLayer::boxing).
    pub fn boxing(self) -> RegistryLayer<R, K, P, J, Boxing, S, A, O> {
        self.with_mode(Boxing)
    }

    /// Answers rejected calls with the response of `answer`, like
    /// [`BreakerLayer::answering`](super::BreakerLayer::answering).
    pub fn answering<T, F: Fn(&Rejected) -> T>(self, answer: F) -> RegistryLayer<R, K, P, J, Answering<F>, S, A, O> {
        self.with_mode(Answering::new(answer))
    }

    /// Maps the request of each half-open probe with `map`, like
    /// [`BreakerLayer::on_probe`](super::BreakerLayer::on_probe). The key is that of the request before it is
    /// mapped.
    pub fn on_probe<Q, F: Fn(Q) -> Q>(self, map: F) -> RegistryLayer<R, K, P, J, M, S, A, MapProbe<F>> {
        let RegistryLayer { registry, key_of, judge, mode, settle_at, on_probe: _, types } = self;
        RegistryLayer { registry, key_of, judge, mode, settle_at, on_probe: MapProbe::new(map), types }
    }

    /// Settles each call when the body of its response ends, like
    /// [`BreakerLayer::until_body_end`](super::BreakerLayer::until_body_end). Requires the feature `http`.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn until_body_end(self) -> RegistryLayer<R, K, P, J, M, S, super::AtBodyEnd, O> {
        let RegistryLayer { registry, key_of, judge, mode, settle_at: _, on_probe, types } = self;
        RegistryLayer { registry, key_of, judge, mode, settle_at: super::AtBodyEnd, on_probe, types }
    }

    fn with_mode<N>(self, mode: N) -> RegistryLayer<R, K, P, J, N, S, A, O> {
        let RegistryLayer { registry, key_of, judge, mode: _, settle_at, on_probe, types } = self;
        RegistryLayer { registry, key_of, judge, mode, settle_at, on_probe, types }
    }
}

impl<I, R: Clone, K, P: Clone, J: Clone, M: Clone, S, A: Clone, O: Clone> Layer<I>
    for RegistryLayer<R, K, P, J, M, S, A, O>
{
    type Service = RegistryService<I, R, K, P, J, M, S, A, O>;

    fn layer(&self, inner: I) -> Self::Service {
        RegistryService { inner, layer: self.clone() }
    }
}

impl<R: Clone, K, P: Clone, J: Clone, M: Clone, S, A: Clone, O: Clone> Clone for RegistryLayer<R, K, P, J, M, S, A, O> {
    fn clone(&self) -> Self {
        RegistryLayer {
            registry: self.registry.clone(),
            key_of: self.key_of.clone(),
            judge: self.judge.clone(),
            mode: self.mode.clone(),
            settle_at: self.settle_at.clone(),
            on_probe: self.on_probe.clone(),
            types: PhantomData,
        }
    }
}

impl<R: fmt::Debug, K, P, J, M, S, A, O> fmt::Debug for RegistryLayer<R, K, P, J, M, S, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLayer").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// A service behind the breakers of a registry. Created by [`RegistryLayer`].
///
/// It is `Clone` and `Send` if the inner service, the handle to the registry and the functions are.
pub struct RegistryService<I, R, K, P, J = ByResult, M = Refusing, S = DefaultHashBuilder, A = AtHead, O = Unmapped> {
    inner: I,
    layer: RegistryLayer<R, K, P, J, M, S, A, O>,
}

impl<I, Q, R, K, P, J, M, S, A, B, O> Service<Q> for RegistryService<I, R, K, P, J, M, S, A, O>
where
    I: Service<Q>,
    R: Deref<Target = Registry<K, S>>,
    K: Eq + Hash + Clone,
    P: Fn(&Q) -> B,
    B: Borrow<K>,
    J: Judge<Result<I::Response, I::Error>> + Clone,
    M: OnRejection<I::Response, I::Error> + Clone,
    S: BuildHasher,
    A: SettleAt<I::Response> + Clone,
    O: OnProbe<Q>,
{
    type Response = A::Response<BreakerHandle>;
    type Error = M::Error;
    type Future = BreakerFuture<I::Future, BreakerHandle, J, M, A>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(M::failed)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let RegistryLayer { registry, key_of, judge, mode, settle_at, on_probe, types: _ } = &self.layer;
        match registry.acquire(key_of(&request).borrow()) {
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

impl<I: Clone, R: Clone, K, P: Clone, J: Clone, M: Clone, S, A: Clone, O: Clone> Clone
    for RegistryService<I, R, K, P, J, M, S, A, O>
{
    fn clone(&self) -> Self {
        RegistryService { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<I: fmt::Debug, R: fmt::Debug, K, P, J, M, S, A, O> fmt::Debug for RegistryService<I, R, K, P, J, M, S, A, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryService")
            .field("inner", &self.inner)
            .field("registry", &self.layer.registry)
            .finish_non_exhaustive()
    }
}
