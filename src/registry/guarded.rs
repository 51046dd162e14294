use std::borrow::Borrow;
use std::fmt;
use std::future::IntoFuture;
use std::hash::{BuildHasher, Hash};

use super::{DefaultHashBuilder, KeyedCall, Registry};
use crate::breaker::within::Within;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::outcome::judge::{Ignoring, Judge};

impl<K, S> Registry<K, S> {
    /// Returns the registry with a judge: errors that match `predicate` count as
    /// [`Outcome::Ignored`].
    ///
    /// ```
    /// use tripcoil::Registry;
    ///
    /// let registry: Registry<String> = Registry::new("hosts");
    /// let hosts = registry.ignoring(|error: &&str| *error == "not found");
    ///
    /// assert!(hosts.call_sync("up.example", || Err::<(), _>("not found")).is_err());
    /// let metrics = registry.metrics();
    /// assert_eq!((metrics.total_error_count, metrics.total_ignored_count), (0, 1));
    /// ```
    pub fn ignoring<E, P: Fn(&E) -> bool>(&self, predicate: P) -> GuardedRegistry<'_, K, Ignoring<P>, S> {
        GuardedRegistry { registry: self, judge: Ignoring::new(predicate) }
    }

    /// Returns the registry with a judge that decides how each result counts.
    ///
    /// `R` is the `Result<T, E>` of the calls. A call with another result type does not compile. A judge that is not a
    /// function goes to [`judged_by`](Self::judged_by).
    ///
    /// ```
    /// use tripcoil::{Outcome, Registry};
    ///
    /// let registry: Registry<String> = Registry::new("hosts");
    /// let hosts = registry.judging(|status: &Result<u16, std::io::Error>| match status {
    ///     Ok(..500) => Outcome::Success,
    ///     _ => Outcome::Failure,
    /// });
    ///
    /// assert_eq!(hosts.call_sync("up.example", || Ok(502)).unwrap(), 502);
    /// assert_eq!(registry.metrics().total_error_count, 1);
    /// ```
    pub fn judging<R, J: Fn(&R) -> Outcome>(&self, judge: J) -> GuardedRegistry<'_, K, J, S> {
        self.judged_by(judge)
    }

    /// Like [`judging`](Self::judging), for any [`Judge`], such as `tripcoil::http::ByStatus` or an `Arc` of a judge.
    pub const fn judged_by<J>(&self, judge: J) -> GuardedRegistry<'_, K, J, S> {
        GuardedRegistry { registry: self, judge }
    }
}

/// A registry together with a judge. Created by [`Registry::ignoring`] and [`Registry::judging`].
///
/// Futures made from it borrow it, so bind it to a variable if you keep them.
#[must_use = "it does nothing until you make a call through it"]
pub struct GuardedRegistry<'a, K, J, S = DefaultHashBuilder> {
    registry: &'a Registry<K, S>,
    judge: J,
}

impl<K: Eq + Hash + Clone, J, S: BuildHasher> GuardedRegistry<'_, K, J, S> {
    /// Like [`Registry::call_sync`], with this judge.
    ///
    /// # Errors
    ///
    /// See [`Registry::call_sync`].
    ///
    /// # Panics
    ///
    /// See [`Registry::call_sync`]; also if the judge panics, which counts as a failure.
    #[inline]
    pub fn call_sync<'g, Q, T, E>(&'g self, key: &Q, op: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        &'g J: Judge<Result<T, E>>,
    {
        self.registry.local(key).judged_sync(op, &self.judge)
    }

    /// Like [`Registry::call`], with this judge. Its cancel safety is the same.
    ///
    /// # Errors
    ///
    /// See [`Registry::call`].
    ///
    /// # Panics
    ///
    /// See [`Registry::call`]; also if the judge panics, which counts as a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tripcoil::Registry;
    /// # async fn find(id: u32) -> Result<String, &'static str> { Err("not found") }
    /// # futures_lite::future::block_on(async {
    /// let registry: Registry<String> = Registry::new("shards");
    /// let shards = registry.ignoring(|error: &&str| *error == "not found");
    /// assert!(shards.call("users", find(7)).await.is_err());
    /// assert_eq!(registry.metrics().total_ignored_count, 1);
    /// # });
    /// ```
    pub fn call<'g, Q, F, T, E>(&'g self, key: &'g Q, op: F) -> KeyedCall<'g, K, Q, F::IntoFuture, &'g J, S>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: IntoFuture<Output = Result<T, E>>,
        &'g J: Judge<Result<T, E>>,
    {
        self.registry.judged(key, op, &self.judge)
    }

    /// Like [`Registry::call_within`], with this judge, which receives a time-out as the error of `on_timeout`.
    ///
    /// # Errors
    ///
    /// See [`Registry::call_within`].
    ///
    /// # Panics
    ///
    /// See [`Registry::call_within`]; also if the judge panics, which counts as a failure.
    #[expect(clippy::type_complexity, reason = "each part has a name of its own")]
    pub fn call_within<'g, Q, F, T, E, Z, O>(
        &'g self,
        key: &'g Q,
        sleep: Z,
        on_timeout: O,
        op: F,
    ) -> KeyedCall<'g, K, Q, Within<F::IntoFuture, Z::IntoFuture, O>, &'g J, S>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: IntoFuture<Output = Result<T, E>>,
        Z: IntoFuture,
        O: FnOnce() -> E,
        &'g J: Judge<Result<T, E>>,
    {
        self.registry.judged(key, Within::new(sleep, on_timeout, op), &self.judge)
    }
}

impl<K, J: Clone, S> Clone for GuardedRegistry<'_, K, J, S> {
    fn clone(&self) -> Self {
        GuardedRegistry { registry: self.registry, judge: self.judge.clone() }
    }
}

impl<K, J, S> fmt::Debug for GuardedRegistry<'_, K, J, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedRegistry").field("registry", self.registry).finish_non_exhaustive()
    }
}
