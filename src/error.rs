use std::fmt;
use std::time::Duration;

use crate::name::Name;
use crate::state::State;

/// The error of a rejected call: which breaker rejected it, in which state and, if known, for how long.
///
/// Its text is one of
///
/// - ``circuit breaker `payments` is open; retry in 12.3s`` (rounded up to a tenth of a second, or
///   to a millisecond below one second),
/// - ``circuit breaker `payments` is half-open and at capacity``,
/// - ``circuit breaker `payments` is half-open, at step 2 of 4 of its recovery``,
/// - ``circuit breaker `payments` is forced open``.
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, State};
///
/// let breaker = CircuitBreaker::new("payments");
/// breaker.open_for(Duration::from_secs(5));
/// let rejected = breaker.try_acquire().unwrap_err();
/// assert_eq!(rejected.name(), "payments");
/// assert_eq!(rejected.state(), State::Open);
/// assert!(rejected.retry_after().unwrap() <= Duration::from_secs(5));
/// assert_eq!(rejected.to_string(), "circuit breaker `payments` is open; retry in 5s");
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker `{name}` is {reason}")]
pub struct Rejected {
    name: Name,
    reason: Reason,
}

/// Why a call was rejected: for how many more nanoseconds the breaker is open, or one of a few numbers that no
/// deadline reaches.
///
/// A single number, so that a rejection is copied in pieces as wide as those it was written in, and without a
/// division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(u64);

impl Reason {
    pub(crate) const HALF_OPEN: Reason = Reason(u64::MAX);
    pub(crate) const FORCED_OPEN: Reason = Reason(u64::MAX - 1);

    /// Below the two above: the step, counted from 0, and below it how many steps there are.
    const STEPS: u64 = u64::MAX << 16;
    const COUNT_BITS: u32 = 7;

    /// At `step` of recovery, counted from 0, of `count` steps: fewer than 128.
    pub(crate) const fn at_step(step: u32, count: usize) -> Self {
        debug_assert!(step < 1 << Self::COUNT_BITS && count < 1 << Self::COUNT_BITS);
        Reason(Self::STEPS | (step as u64) << Self::COUNT_BITS | count as u64)
    }

    /// The step, counted from 1, and how many there are.
    const fn step(self) -> Option<(u64, u64)> {
        let is_step = self.0 >= Self::STEPS && self.0 < Self::FORCED_OPEN.0;
        let most = (1 << Self::COUNT_BITS) - 1;
        if is_step { Some(((self.0 >> Self::COUNT_BITS & most) + 1, self.0 & most)) } else { None }
    }

    #[inline]
    pub(crate) const fn open(nanos_left: u64) -> Self {
        debug_assert!(nanos_left < Self::STEPS);
        Reason(nanos_left)
    }

    pub(crate) const fn state(self) -> State {
        match self {
            Self::HALF_OPEN => State::HalfOpen,
            Self::FORCED_OPEN => State::ForcedOpen,
            Reason(bits) if bits >= Self::STEPS => State::HalfOpen,
            _ => State::Open,
        }
    }

    pub(crate) const fn retry_after(self) -> Option<Duration> {
        match self.state() {
            State::Open => Some(Duration::from_nanos(self.0)),
            _ => None,
        }
    }
}

impl Rejected {
    pub(crate) const fn new(name: Name, reason: Reason) -> Self {
        Rejected { name, reason }
    }

    /// The name of the breaker that rejected the call.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state of the breaker at that moment: open, half-open or forced open.
    #[must_use]
    pub const fn state(&self) -> State {
        self.reason.state()
    }

    /// The step of its [`recovery`](crate::Builder::recovery) that the breaker was at, counted from 1. `None` if it was not
    /// within the steps.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tripcoil::{CircuitBreaker, Recovery, State};
    ///
    /// let breaker = CircuitBreaker::builder("payments")
    ///     .success_threshold(1)
    ///     .recovery(Recovery::steps([0.01, 0.5]).each(Duration::from_secs(30)))
    ///     .build()?;
    /// breaker.transition_to(State::HalfOpen);
    /// breaker.try_acquire().unwrap().success();
    ///
    /// let _one_of_a_hundred = breaker.try_acquire().unwrap();
    /// let rejected = breaker.try_acquire().unwrap_err();
    /// assert_eq!((rejected.recovery_step(), rejected.retry_after()), (Some(1), None));
    /// assert_eq!(
    ///     rejected.to_string(),
    ///     "circuit breaker `payments` is half-open, at step 1 of 2 of its recovery",
    /// );
    /// # Ok::<(), tripcoil::ConfigError>(())
    /// ```
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "there are few steps")]
    pub const fn recovery_step(&self) -> Option<u32> {
        match self.reason.step() {
            Some((step, _)) => Some(step as u32),
            None => None,
        }
    }

    /// How long the breaker stays open, counted from the rejection. `None` if it is half-open or forced open,
    /// because nobody knows how long that lasts.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.reason.retry_after()
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("name", &self.name())
            .field("state", &self.state())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((step, count)) = self.step() {
            return write!(f, "half-open, at step {step} of {count} of its recovery");
        }
        match *self {
            Reason::HALF_OPEN => f.write_str("half-open and at capacity"),
            Reason::FORCED_OPEN => f.write_str("forced open"),
            Reason(nanos_left) => write!(f, "open; retry in {:?}", readable(Duration::from_nanos(nanos_left))),
        }
    }
}

/// Rounded up to a tenth of a second, or to a millisecond below one second.
fn readable(left: Duration) -> Duration {
    let step = if left < Duration::from_secs(1) { 1 } else { 100 };
    let millis = left.as_nanos().div_ceil(1_000_000).div_ceil(step) * step;
    u64::try_from(millis).map_or(left, Duration::from_millis)
}

/// The error of a protected call: either the breaker rejected it, or it ran and failed.
///
/// ```
/// use tripcoil::{CircuitBreaker, Error};
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new("parser");
///
/// match BREAKER.call_sync(|| "12x".parse::<u32>()) {
///     Ok(number) => println!("{number}"),
///     Err(Error::Inner(error)) => println!("the call failed: {error}"),
///     Err(Error::Rejected(rejected)) => println!("not called: {rejected}"),
/// }
/// ```
///
/// If you have your own error type, convert both into it with [`flatten`](Self::flatten):
///
/// ```
/// use tripcoil::{CircuitBreaker, Rejected};
///
/// #[derive(Debug)]
/// enum AppError {
///     Io(std::io::Error),
///     Unavailable(Rejected),
/// }
///
/// impl From<Rejected> for AppError {
///     fn from(rejected: Rejected) -> Self {
///         AppError::Unavailable(rejected)
///     }
/// }
///
/// fn load(breaker: &CircuitBreaker) -> Result<String, AppError> {
///     breaker
///         .call_sync(|| std::fs::read_to_string("/etc/hostname").map_err(AppError::Io))
///         .map_err(tripcoil::Error::flatten)
/// }
///
/// let breaker = CircuitBreaker::new("disk");
/// breaker.force_open();
/// assert!(matches!(load(&breaker), Err(AppError::Unavailable(_))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The breaker rejected the call, which did not run.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The call ran and returned this error.
    #[error(transparent)]
    Inner(E),
}

impl<E> Error<E> {
    /// Whether the breaker rejected the call.
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Error::Rejected(_))
    }

    /// Returns the rejection, if the call was rejected.
    #[must_use]
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Error::Rejected(rejected) => Some(rejected),
            Error::Inner(_) => None,
        }
    }

    /// Returns the call's own error, if it ran.
    #[must_use]
    pub const fn inner(&self) -> Option<&E> {
        match self {
            Error::Rejected(_) => None,
            Error::Inner(error) => Some(error),
        }
    }

    /// Returns the call's own error by value, if it ran.
    ///
    /// ```
    /// use tripcoil::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("payments");
    /// let error = breaker.call_sync(|| Err::<(), _>("no such account")).unwrap_err();
    /// assert_eq!(error.into_inner(), Some("no such account"));
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Error::Rejected(_) => None,
            Error::Inner(error) => Some(error),
        }
    }

    /// Maps the call's own error and leaves a rejection unchanged.
    ///
    /// ```
    /// use tripcoil::{CircuitBreaker, Error};
    ///
    /// let breaker = CircuitBreaker::new("parser");
    /// let error = breaker.call_sync(|| "x".parse::<u32>()).unwrap_err();
    /// assert_eq!(error.map_inner(|_| "no number"), Error::Inner("no number"));
    /// ```
    #[must_use]
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Error::Rejected(rejected) => Error::Rejected(rejected),
            Error::Inner(error) => Error::Inner(map(error)),
        }
    }

    /// How long the breaker stays open, if it rejected the call and the time is known. See
    /// [`Rejected::retry_after`].
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rejected(rejected) => rejected.retry_after(),
            Error::Inner(_) => None,
        }
    }

    /// Converts both variants into an error type that implements `From<Rejected>`. [`Error`] has an example.
    #[must_use]
    pub fn flatten(self) -> E
    where
        E: From<Rejected>,
    {
        match self {
            Error::Rejected(rejected) => rejected.into(),
            Error::Inner(error) => error,
        }
    }

    /// Converts the rejection or the call's own error into an error type that implements `From` for both:
    /// `anyhow::Error`, `Box<dyn Error + Send + Sync>`, or an enum with a variant for each.
    ///
    /// [`Error`] is transparent and adds nothing to a chain of sources, so after a plain `?` into a boxed error
    /// only code that knows `E` can downcast to it. With this method the [`Rejected`] or the `E` itself is in
    /// the box, and generic code finds it, such as a middleware that answers 503 to every rejection. Name `T`,
    /// because `?` converts once more.
    ///
    /// ```
    /// use std::io;
    /// use tripcoil::{CircuitBreaker, Error, Rejected};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// fn load(breaker: &CircuitBreaker) -> Result<String, BoxError> {
    ///     let text = breaker
    ///         .call_sync(|| std::fs::read_to_string("/no/such/file"))
    ///         .map_err(Error::flatten_into::<BoxError>)?;
    ///     Ok(text)
    /// }
    ///
    /// let breaker = CircuitBreaker::new("disk");
    /// assert!(load(&breaker).unwrap_err().is::<io::Error>());
    /// breaker.force_open();
    /// assert!(load(&breaker).unwrap_err().is::<Rejected>());
    /// ```
    #[must_use]
    pub fn flatten_into<T>(self) -> T
    where
        T: From<E> + From<Rejected>,
    {
        match self {
            Error::Rejected(rejected) => rejected.into(),
            Error::Inner(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::readable;
    use std::time::Duration;

    #[test]
    fn a_wait_is_rounded_up_so_that_nobody_comes_back_early() {
        let texts: Vec<_> = [12_300_000, 12_300_001, 29_999_999, 1_000_000, 999_001, 5_000, 1, 0]
            .map(|micros| format!("{:?}", readable(Duration::from_micros(micros))))
            .into();
        assert_eq!(texts, ["12.3s", "12.4s", "30s", "1s", "1s", "5ms", "1ms", "0ns"]);
        assert_eq!(readable(Duration::MAX), Duration::MAX);
    }
}
