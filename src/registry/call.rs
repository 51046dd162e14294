use std::borrow::{Borrow, Cow};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{BreakerHandle, DefaultHashBuilder, Registry};
use crate::breaker::owned_permit::EngineOf;
use crate::breaker::permit::{Bare, Hold, LocalPermit, OnDrop, Suspended, settling};
use crate::breaker::within::Within;
use crate::engine::last_failure::FailureInfo;
use crate::error::{Error, Rejected};
use crate::outcome::Outcome;
use crate::outcome::judge::{ByResult, Judge};

impl<K: Eq + Hash + Clone, S: BuildHasher> Registry<K, S> {
    /// Runs `op` if the breaker of `key` admits it. `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is created on the key's first use.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] if the breaker did not admit the call, so `op` was not run. [`Error::Inner`] with
    /// the error of `op` otherwise.
    ///
    /// # Panics
    ///
    /// If `op` panics, which counts as a failure. If hashing, comparing, cloning or naming the key panics,
    /// which counts as nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::Registry;
    ///
    /// let parsers: Registry<String> = Registry::new("parsers");
    /// assert_eq!(parsers.call_sync("decimal", || "12".parse::<u32>())?, 12);
    /// assert_eq!(parsers.get("decimal").metrics().total_success_count, 1);
    /// # Ok::<(), tripcoil::Error<std::num::ParseIntError>>(())
    /// ```
    #[inline]
    pub fn call_sync<Q, T, E>(&self, key: &Q, op: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.local(key).judged_sync(op, ByResult)
    }

    /// Runs `op` if the breaker of `key` admits it; `judge` decides how its result counts.
    ///
    /// # Errors
    ///
    /// See [`call_sync`](Self::call_sync).
    ///
    /// # Panics
    ///
    /// See [`call_sync`](Self::call_sync); also if `judge` panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{Outcome, Registry};
    ///
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let status = hosts.call_sync_with(
    ///     "up.example",
    ///     || Ok::<u16, std::io::Error>(503),
    ///     |result| if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure },
    /// );
    /// assert_eq!(status.unwrap(), 503);
    /// assert_eq!(hosts.metrics().total_error_count, 1);
    /// ```
    #[inline]
    pub fn call_sync_with<Q, T, E>(
        &self,
        key: &Q,
        op: impl FnOnce() -> Result<T, E>,
        judge: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<T, Error<E>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.local(key).judged_sync(op, judge)
    }

    /// Protects a future with the breaker of `key`. `Ok` is a success, `Err` a failure.
    ///
    /// Nothing happens before the first poll, which looks up the key, creates the breaker on the key's first
    /// use, and admits or rejects the call. The returned future allocates nothing if the key is listed, and
    /// borrows the registry and the key. It is `Send` if `op` is.
    ///
    /// # Errors
    ///
    /// The future yields [`Error::Rejected`] if the breaker did not admit the call, so `op` was not polled. It
    /// yields [`Error::Inner`] with the error of `op` otherwise.
    ///
    /// # Panics
    ///
    /// If `op` panics, which counts as a failure. If hashing, comparing, cloning or naming the key panics,
    /// which counts as nothing. If the future is polled after it has finished.
    ///
    /// # Cancel safety
    ///
    /// See [`CircuitBreaker::call`](crate::CircuitBreaker::call). You can drop the future at any time. **A
    /// time-out has to reach the breaker as an error**, so put it inside.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::{Error, Registry};
    ///
    /// async fn fetch(host: &str) -> Result<String, std::io::Error> {
    ///     Ok(format!("text of {host}"))
    /// }
    ///
    /// # futures_lite::future::block_on(async {
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let host = "up.example";
    /// assert_eq!(hosts.call(host, fetch(host)).await?, "text of up.example");
    /// # Ok::<(), Error<std::io::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn call<'a, Q, F, T, E>(&'a self, key: &'a Q, op: F) -> KeyedCall<'a, K, Q, F::IntoFuture, ByResult, S>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: IntoFuture<Output = Result<T, E>>,
    {
        self.judged(key, op, ByResult)
    }

    /// Like [`call`](Self::call), but `judge` decides how the result counts.
    ///
    /// # Errors
    ///
    /// See [`call`](Self::call).
    ///
    /// # Panics
    ///
    /// See [`call`](Self::call); also if `judge` panics, which counts as a failure.
    ///
    /// # Cancel safety
    ///
    /// See [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// # use tripcoil::{Outcome, Registry};
    /// # async fn status() -> Result<u16, std::io::Error> { Ok(502) }
    /// # futures_lite::future::block_on(async {
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let judge = |result: &Result<u16, _>| if matches!(result, Ok(..500)) { Outcome::Success } else { Outcome::Failure };
    /// assert_eq!(hosts.call_with("up.example", status(), judge).await.unwrap(), 502);
    /// assert_eq!(hosts.metrics().total_error_count, 1);
    /// # });
    /// ```
    pub fn call_with<'a, Q, F, T, E, J>(
        &'a self,
        key: &'a Q,
        op: F,
        judge: J,
    ) -> KeyedCall<'a, K, Q, F::IntoFuture, J, S>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: IntoFuture<Output = Result<T, E>>,
        J: FnOnce(&Result<T, E>) -> Outcome,
    {
        self.judged(key, op, judge)
    }

    /// Protects a future with a time-out, with the breaker of `key`, like
    /// [`CircuitBreaker::call_within`](crate::CircuitBreaker::call_within).
    ///
    /// # Errors
    ///
    /// See [`call`](Self::call). A time-out is an [`Error::Inner`] with the error of `on_timeout`.
    ///
    /// # Panics
    ///
    /// See [`call`](Self::call); also if `sleep` or `on_timeout` panics, which counts as a failure.
    ///
    /// # Cancel safety
    ///
    /// See [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io;
    /// use std::time::Duration;
    /// use tripcoil::Registry;
    ///
    /// # async fn fetch() -> io::Result<String> { std::future::pending().await }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let limit = tokio::time::sleep(Duration::from_millis(10));
    /// let result = hosts.call_within("up.example", limit, || io::ErrorKind::TimedOut.into(), fetch()).await;
    /// assert!(result.is_err());
    /// assert_eq!(hosts.metrics().total_error_count, 1);
    /// # });
    /// ```
    #[expect(clippy::type_complexity, reason = "each part has a name of its own")]
    pub fn call_within<'a, Q, F, T, E, Z, O>(
        &'a self,
        key: &'a Q,
        sleep: Z,
        on_timeout: O,
        op: F,
    ) -> KeyedCall<'a, K, Q, Within<F::IntoFuture, Z::IntoFuture, O>, ByResult, S>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: IntoFuture<Output = Result<T, E>>,
        Z: IntoFuture,
        O: FnOnce() -> E,
    {
        self.judged(key, Within::new(sleep, on_timeout, op), ByResult)
    }

    pub(super) fn judged<'a, Q: ?Sized, F: IntoFuture, J>(
        &'a self,
        key: &'a Q,
        op: F,
        judge: J,
    ) -> KeyedCall<'a, K, Q, F::IntoFuture, J, S> {
        KeyedCall { future: op.into_future(), registry: self, key, judge: Some(judge), hold: None }
    }

    /// Attempts to acquire a permit of the breaker of `key` without waiting. The breaker is created on the
    /// key's first use.
    ///
    /// # Errors
    ///
    /// [`Rejected`] if the breaker is open, forced open, or half-open with all slots taken.
    ///
    /// # Panics
    ///
    /// If hashing, comparing, cloning or naming the key panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use tripcoil::Registry;
    ///
    /// let hosts: Registry<String> = Registry::new("hosts");
    /// let permit = hosts.try_acquire("up.example")?;
    /// // ... make the call, here or elsewhere ...
    /// permit.success();
    /// # Ok::<(), tripcoil::Rejected>(())
    /// ```
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<KeyedPermit, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        Ok(KeyedPermit { hold: self.acquire(key)? })
    }

    pub(crate) fn acquire<Q, D: OnDrop>(&self, key: &Q) -> Result<Hold<EngineOf<BreakerHandle>, D>, Rejected>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let breaker = self.local(key);
        // Held while it makes a handle.
        let hold = Hold::<_, D>::acquire(breaker.engine())?;
        Ok(hold.kept_by(EngineOf::new(breaker.to_handle())))
    }
}

/// A [`Permit`](crate::Permit) of a breaker in a [`Registry`]. Created by [`Registry::try_acquire`]. It borrows
/// nothing, so another task or thread can settle it.
///
/// If you drop it unsettled, it counts like a dropped [`Permit`](crate::Permit#a-permit-that-is-dropped). The
/// breaker is not evicted while the permit exists.
#[must_use = "a dropped permit says nothing about the call; settle it"]
pub struct KeyedPermit {
    hold: Hold<EngineOf<BreakerHandle>, Bare>,
}

settling!(KeyedPermit);

pin_project! {
    /// A protected future. Created by [`Registry::call`] and [`Registry::call_with`].
    ///
    /// It yields the result of the inner future, or [`Error::Rejected`]. From its first poll until it finishes
    /// it holds a permit, and the breaker is not evicted. See
    /// [`call`](crate::CircuitBreaker::call#cancel-safety) for what happens when it is dropped.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct KeyedCall<'a, K, Q: ?Sized, F, J = ByResult, S = DefaultHashBuilder> {
        #[pin]
        future: F,
        registry: &'a Registry<K, S>,
        key: &'a Q,
        // `None` once it has finished.
        judge: Option<J>,
        // `None` before the first poll has returned, and once it has finished.
        hold: Option<Hold<EngineOf<BreakerHandle>, Suspended>>,
    }
}

impl<T, E, K, Q, F, J, S> Future for KeyedCall<'_, K, Q, F, J, S>
where
    K: Eq + Hash + Clone + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    F: Future<Output = Result<T, E>>,
    J: Judge<Result<T, E>>,
    S: BuildHasher,
{
    type Output = Result<T, Error<E>>;

    #[expect(clippy::inline_always, reason = "out of line, future and result go through memory, which costs 8 ns")]
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The permit is taken out for the poll: if the future or the judge panics, it unwinds with them.
        let Some(judge) = this.judge.take() else { panic!("`KeyedCall` was polled after it had finished") };
        let mut hold = 'held: {
            if let Some(hold) = this.hold.take() {
                break 'held hold;
            }
            let breaker = this.registry.local(*this.key);
            let own = breaker.engine().own_stripe();
            let Some(permit) = own.and_then(|own| LocalPermit::try_acquire(breaker.engine(), own)) else {
                let ticket = breaker.engine().admit_or_reject(own)?;
                break 'held Hold::new(EngineOf::new(breaker.to_handle()), ticket);
            };
            return match this.future.poll(cx) {
                Poll::Pending => {
                    // Only a call that has to wait takes a handle that can go to another thread.
                    let hold = permit.kept_by(EngineOf::new(breaker.to_handle()));
                    (*this.judge, *this.hold) = (Some(judge), Some(hold));
                    Poll::Pending
                }
                Poll::Ready(result) => {
                    permit.settle(judge, &result);
                    Poll::Ready(result.map_err(Error::Inner))
                }
            };
        };
        let inside = hold.enter();
        match this.future.poll(cx) {
            Poll::Pending => {
                inside.suspend();
                (*this.judge, *this.hold) = (Some(judge), Some(hold));
                Poll::Pending
            }
            Poll::Ready(result) => {
                inside.settle(judge, &result);
                Poll::Ready(result.map_err(Error::Inner))
            }
        }
    }
}

impl<K, Q: ?Sized, F, J, S> fmt::Debug for KeyedCall<'_, K, Q, F, J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match (&self.judge, &self.hold) {
            (None, _) => "finished",
            (_, None) => "waiting",
            (_, Some(_)) => "running",
        };
        f.debug_struct("KeyedCall").field("stage", &stage).finish_non_exhaustive()
    }
}
