use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::thread;

use crate::engine::last_failure::{FailureInfo, type_name};
use crate::engine::totals::{Place, Stripe};
use crate::engine::{Admission, Engine, Ticket};
use crate::error::Rejected;
use crate::outcome::Outcome;
use crate::outcome::judge::Judge;

/// A permit to make one call. Give it back with the call's outcome.
///
/// Settle it with [`success`](Self::success), [`failure`](Self::failure), [`ignore`](Self::ignore),
/// [`record`](Self::record) or [`settle`](Self::settle).
///
/// ```
/// use std::time::Duration;
/// use tripcoil::{CircuitBreaker, Outcome};
/// # fn send() -> Result<u16, std::io::Error> { Ok(404) }
///
/// let breaker = CircuitBreaker::new("payments");
/// let permit = breaker.try_acquire()?;
/// match send() {
///     Ok(404) => permit.ignore(),
///     Ok(503) => permit.record(Outcome::Trip { open_for: Duration::from_secs(10) }),
///     Ok(500..) => permit.failure(),
///     Ok(_) => permit.success(),
///     Err(error) => permit.failure_because(error.to_string()),
/// }
/// assert_eq!(breaker.metrics().total_ignored_count, 1);
/// # Ok::<(), tripcoil::Rejected>(())
/// ```
///
/// # A permit that is dropped
///
/// If you drop a permit without settling it, its slot is released. The call is neutral, unless
/// [`dropped_calls`](crate::Builder::dropped_calls) makes it a failure. Beware of a `?` between acquiring and
/// settling: it drops the permit, and **the failure is not counted**. [`settle`](Self::settle) records the
/// result and returns it.
///
/// A permit that is dropped while its thread unwinds counts as a failure, whatever `dropped_calls` is. The
/// permit cannot know which code panicked. A panic of your own code between acquiring and settling counts
/// against the dependency, and so does a panic that was already unwinding when a destructor acquired the
/// permit. To count only panics of the operation itself, use [`call_sync`](crate::CircuitBreaker::call_sync) or
/// [`call`](crate::CircuitBreaker::call).
///
/// A leaked permit ([`mem::forget`]) never releases its slot. While half-open,
/// [`probe_timeout`](crate::Builder::probe_timeout) lets the next caller replace it.
///
/// ```
/// # use tripcoil::{CircuitBreaker, Error};
/// # fn fetch() -> Result<String, std::io::Error> { Err(std::io::ErrorKind::TimedOut.into()) }
/// # let breaker = CircuitBreaker::new("payments");
/// fn wrong(breaker: &CircuitBreaker) -> Result<String, Error<std::io::Error>> {
///     let permit = breaker.try_acquire()?;
///     let text = fetch().map_err(Error::Inner)?; // on an error the permit is dropped here
///     permit.success();
///     Ok(text)
/// }
///
/// fn right(breaker: &CircuitBreaker) -> Result<String, Error<std::io::Error>> {
///     let permit = breaker.try_acquire()?;
///     permit.settle(fetch()).map_err(Error::Inner)
/// }
///
/// wrong(&breaker).unwrap_err();
/// assert_eq!(breaker.metrics().total_error_count, 0);
/// right(&breaker).unwrap_err();
/// assert_eq!(breaker.metrics().total_error_count, 1);
/// ```
#[must_use = "a dropped permit says nothing about the call; settle it"]
pub struct Permit<'a> {
    hold: BorrowedHold<'a>,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) fn new(engine: &'a Engine, ticket: Ticket) -> Self {
        Permit { hold: BorrowedHold { engine, ticket } }
    }

    #[inline]
    pub(crate) fn acquire(engine: &'a Engine) -> Result<Self, Rejected> {
        let own = engine.own_stripe();
        let ticket = match own.and_then(|own| engine.try_admit_fast(own)) {
            Some(admission) => admission.into(),
            None => engine.admit_or_reject(own)?,
        };
        Ok(Permit::new(engine, ticket))
    }
}

/// The hold of a permit that borrows its breaker: as [`Hold`], and always unsettled.
struct BorrowedHold<'a> {
    engine: &'a Engine,
    ticket: Ticket,
}

impl BorrowedHold<'_> {
    #[inline]
    fn settle(self, outcome: Outcome, type_name: impl FnOnce() -> &'static str) {
        let BorrowedHold { engine, ticket } = self;
        mem::forget(self);
        engine.settle_any(&ticket, outcome, type_name);
    }

    fn fail_because(self, message: Cow<'static, str>) {
        let info = self.engine.info(FailureInfo::UNTOLD_NAME, message);
        let BorrowedHold { engine, ticket } = self;
        mem::forget(self);
        engine.settle(ticket, Outcome::Failure, &info);
    }

    fn is_probe(&self) -> bool {
        self.ticket.is_probe()
    }

    fn stop_timing(&mut self) {
        self.engine.stop_timing(&mut self.ticket);
    }
}

impl Drop for BorrowedHold<'_> {
    #[cold]
    fn drop(&mut self) {
        self.engine.abandon(self.ticket, Bare::has_panicked);
    }
}

/// A permit for one closure of a thread that has a stripe of its own at hand, where nothing is timed. Only a panic of the
/// closure or of the judge drops it unsettled.
pub(crate) struct LocalPermit<'a> {
    engine: &'a Engine,
    own: &'a Stripe,
    admission: Admission,
}

impl<'a> LocalPermit<'a> {
    #[inline]
    pub(crate) fn try_acquire(engine: &'a Engine, own: &'a Stripe) -> Option<Self> {
        let admission = engine.try_admit_fast(own)?;
        Some(LocalPermit { engine, own, admission })
    }

    /// A judge that panics drops the permit.
    #[expect(clippy::inline_always, reason = "a healthy call does nothing else")]
    #[inline(always)]
    pub(crate) fn settle<T, E>(self, judge: impl Judge<Result<T, E>>, result: &Result<T, E>) {
        let (outcome, message) = judge.judge_with_message(result);
        if let Some(message) = message {
            return self.settle_with_message(outcome, type_name(result), message);
        }
        let LocalPermit { engine, own, admission } = self;
        mem::forget(self);
        engine.settle_fast(own, admission, outcome, || type_name(result));
    }

    #[cold]
    fn settle_with_message(self, outcome: Outcome, type_name: &'static str, message: String) {
        let LocalPermit { engine, admission, .. } = self;
        let info = engine.info(type_name, message);
        mem::forget(self);
        engine.settle(admission.into(), outcome, &info);
    }

    /// The same call, kept by a handle that may go to another thread.
    pub(crate) fn kept_by<E: Deref<Target = Engine>, D: OnDrop>(self, engine: E) -> Hold<E, D> {
        let admission = self.admission;
        mem::forget(self);
        Hold::new(engine, admission.into())
    }
}

impl Drop for LocalPermit<'_> {
    #[cold]
    fn drop(&mut self) {
        self.engine.abandon(self.admission.into(), || true);
    }
}

/// As [`LocalPermit`], of a thread that has no stripe at hand.
pub(crate) struct SharedPermit<'a> {
    engine: &'a Engine,
    place: Place<'a>,
    admission: Admission,
}

impl<'a> SharedPermit<'a> {
    #[expect(clippy::inline_always, reason = "its one caller is not inlined itself")]
    #[inline(always)]
    pub(crate) fn try_acquire(engine: &'a Engine) -> Option<Self> {
        let (place, admission) = engine.try_admit_beyond_own()?;
        Some(SharedPermit { engine, place, admission })
    }

    /// A judge that panics drops the permit.
    #[expect(clippy::inline_always, reason = "its one caller is not inlined itself")]
    #[inline(always)]
    pub(crate) fn settle<T, E>(self, judge: impl Judge<Result<T, E>>, result: &Result<T, E>) {
        let (outcome, message) = judge.judge_with_message(result);
        if let Some(message) = message {
            return self.settle_with_message(outcome, type_name(result), message);
        }
        let SharedPermit { engine, place, admission } = self;
        mem::forget(self);
        engine.settle_in(place, admission, outcome, || type_name(result));
    }

    #[cold]
    fn settle_with_message(self, outcome: Outcome, type_name: &'static str, message: String) {
        let SharedPermit { engine, admission, .. } = self;
        let info = engine.info(type_name, message);
        mem::forget(self);
        engine.settle(admission.into(), outcome, &info);
    }
}

impl Drop for SharedPermit<'_> {
    #[cold]
    fn drop(&mut self) {
        self.engine.abandon(self.admission.into(), || true);
    }
}

/// Like [`LocalPermit`], for a call that is gated or timed.
pub(crate) struct TicketPermit<'a> {
    engine: &'a Engine,
    /// Not a copy: copying a ticket that has just been written stalls until the writes have completed.
    ticket: &'a Ticket,
}

impl<'a> TicketPermit<'a> {
    #[inline]
    pub(crate) fn new(engine: &'a Engine, ticket: &'a Ticket) -> Self {
        TicketPermit { engine, ticket }
    }

    /// A judge that panics drops the permit.
    #[expect(clippy::inline_always, reason = "its one caller is not inlined itself")]
    #[inline(always)]
    pub(crate) fn settle<T, E>(self, judge: impl Judge<Result<T, E>>, result: &Result<T, E>) {
        let (outcome, message) = judge.judge_with_message(result);
        if let Some(message) = message {
            return self.settle_with_message(outcome, type_name(result), message);
        }
        let TicketPermit { engine, ticket } = self;
        mem::forget(self);
        engine.settle_any(ticket, outcome, || type_name(result));
    }

    #[cold]
    fn settle_with_message(self, outcome: Outcome, type_name: &'static str, message: String) {
        let TicketPermit { engine, ticket } = self;
        let info = engine.info(type_name, message);
        mem::forget(self);
        engine.settle(*ticket, outcome, &info);
    }
}

impl Drop for TicketPermit<'_> {
    #[cold]
    fn drop(&mut self) {
        self.engine.abandon(*self.ticket, || true);
    }
}

/// An admitted call, settled at the latest when it is dropped. `D` decides how it counts then.
pub(crate) struct Hold<E: Deref<Target = Engine>, D: OnDrop> {
    engine: E,
    ticket: Option<Ticket>,
    on_drop: PhantomData<D>,
}

/// Whether a [`Hold`] that is dropped was dropped by a panic of the operation.
pub(crate) trait OnDrop {
    fn has_panicked() -> bool;
}

/// The hold of a permit: what its holder does is the operation.
pub(crate) struct Bare;

impl OnDrop for Bare {
    #[inline]
    fn has_panicked() -> bool {
        thread::panicking()
    }
}

/// The hold of a future: between two polls nothing of the operation runs, so whoever drops the future cancels it, by
/// unwinding too. During a poll the hold is [entered](Hold::enter).
pub(crate) struct Suspended;

impl OnDrop for Suspended {
    #[inline]
    fn has_panicked() -> bool {
        false
    }
}

impl<'a, D: OnDrop> Hold<&'a Engine, D> {
    #[inline]
    pub(crate) fn acquire(engine: &'a Engine) -> Result<Self, Rejected> {
        let own = engine.own_stripe();
        match own.and_then(|own| engine.try_admit_fast(own)) {
            Some(admission) => Ok(Hold::new(engine, admission.into())),
            None => engine.admit_or_reject(own).map(|ticket| Hold::new(engine, ticket)),
        }
    }
}

impl<E: Deref<Target = Engine>, D: OnDrop> Hold<E, D> {
    #[inline]
    pub(crate) fn new(engine: E, ticket: Ticket) -> Self {
        Hold { engine, ticket: Some(ticket), on_drop: PhantomData }
    }

    /// The same call, kept by another handle to the same engine.
    #[inline]
    pub(crate) fn kept_by<F: Deref<Target = Engine>>(mut self, engine: F) -> Hold<F, D> {
        Hold { engine, ticket: self.ticket.take(), on_drop: PhantomData }
    }

    /// Begins a stretch of the operation's own code, to be ended by [`Inside::suspend`] or [`Inside::settle`].
    #[inline]
    pub(crate) fn enter(&mut self) -> Inside<'_, E, D> {
        Inside(self)
    }

    #[inline]
    pub(crate) fn settle(mut self, outcome: Outcome, type_name: impl FnOnce() -> &'static str) {
        self.settle_now(outcome, type_name);
    }

    #[inline]
    fn settle_now(&mut self, outcome: Outcome, type_name: impl FnOnce() -> &'static str) {
        if let Some(ticket) = self.ticket.take() {
            self.engine.settle_any(&ticket, outcome, type_name);
        }
    }

    #[cfg(feature = "tower")]
    #[cold]
    pub(crate) fn settle_with_message(mut self, outcome: Outcome, type_name: &'static str, message: String) {
        let info = self.engine.info(type_name, message);
        self.settle_as(outcome, &info);
    }

    pub(crate) fn fail_because(mut self, message: Cow<'static, str>) {
        let info = self.engine.info(FailureInfo::UNTOLD_NAME, message);
        self.settle_as(Outcome::Failure, &info);
    }

    #[cold]
    fn settle_as(&mut self, outcome: Outcome, info: &FailureInfo) {
        if let Some(ticket) = self.ticket.take() {
            self.engine.settle(ticket, outcome, info);
        }
    }

    pub(crate) fn is_probe(&self) -> bool {
        self.ticket.is_some_and(Ticket::is_probe)
    }

    pub(crate) fn stop_timing(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            self.engine.stop_timing(ticket);
        }
    }

    /// Ends the call's duration; the call goes on.
    #[cfg(all(feature = "http", feature = "tower"))]
    pub(crate) fn end_duration(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            self.engine.end_duration(ticket);
        }
    }
}

impl<E: Deref<Target = Engine>, D: OnDrop> Drop for Hold<E, D> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.engine.abandon(ticket, D::has_panicked);
        }
    }
}

/// A call whose own code runs: the poll of its future, or its judge. Only a panic of that code drops this.
pub(crate) struct Inside<'h, E: Deref<Target = Engine>, D: OnDrop>(&'h mut Hold<E, D>);

impl<E: Deref<Target = Engine>, D: OnDrop> Inside<'_, E, D> {
    /// The operation's code has returned, and will go on later.
    #[inline]
    pub(crate) fn suspend(self) {
        mem::forget(self);
    }

    /// A judge that panics drops this.
    #[inline]
    pub(crate) fn settle<T, F>(self, judge: impl Judge<Result<T, F>>, result: &Result<T, F>) {
        match judge.judge_with_message(result) {
            (outcome, None) => self.0.settle_now(outcome, || type_name(result)),
            (outcome, Some(message)) => {
                let info = self.0.engine.info(type_name(result), message);
                self.0.settle_as(outcome, &info);
            }
        }
    }
}

impl<E: Deref<Target = Engine>, D: OnDrop> Drop for Inside<'_, E, D> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.0.ticket.take() {
            self.0.engine.abandon(ticket, || true);
        }
    }
}

/// The methods that [`Permit`] and `OwnedPermit` have in common.
macro_rules! settling {
    ($permit:ty) => {
        impl $permit {
            /// Whether the call was admitted as a probe of the half-open state.
            ///
            /// Use it to treat a probe differently, for example with a shorter time-out or a cheap request. A call within the
            /// steps of [`recovery`](crate::Builder::recovery) is no probe.
            ///
            /// ```
            /// use std::sync::Arc;
            /// use tripcoil::{CircuitBreaker, State};
            ///
            /// let breaker = Arc::new(CircuitBreaker::new("payments"));
            /// assert!(!breaker.try_acquire_owned()?.is_probe());
            /// breaker.transition_to(State::HalfOpen);
            /// assert!(breaker.try_acquire()?.is_probe());
            /// # Ok::<(), tripcoil::Rejected>(())
            /// ```
            #[must_use]
            pub fn is_probe(&self) -> bool {
                self.hold.is_probe()
            }

            /// Records a success.
            #[inline]
            pub fn success(self) {
                self.record(Outcome::Success);
            }

            /// Records a failure.
            #[inline]
            pub fn failure(self) {
                self.record(Outcome::Failure);
            }

            /// Records a failure with a message, which appears in
            /// [`Metrics::last_error`](crate::Metrics::last_error) with the time. This reads the clock.
            pub fn failure_because(self, message: impl Into<Cow<'static, str>>) {
                // Before the settlement: if this panics, the permit unwinds with it.
                let message = message.into();
                self.hold.fail_because(message);
            }

            /// Records that the call says nothing about the health of the dependency.
            #[inline]
            pub fn ignore(self) {
                self.record(Outcome::Ignored);
            }

            /// Records `outcome`.
            #[inline]
            pub fn record(self, outcome: Outcome) {
                self.hold.settle(outcome, || FailureInfo::UNTOLD_NAME);
            }

            /// Stops timing, for a stream or another call that is meant to take long: the call can no longer
            /// count as slow or hung, and [`Dropped::FailureAfter`](crate::Dropped::FailureAfter) no longer
            /// makes a drop of it a failure.
            ///
            /// ```
            /// # use std::time::Duration;
            /// # let breaker = tripcoil::CircuitBreaker::builder("feed")
            /// #     .slow_call_rate(0.5)
            /// #     .slow_call_duration(Duration::from_secs(1))
            /// #     .build()?;
            /// # let breaker = std::sync::Arc::new(breaker);
            /// let permit = breaker.try_acquire()?.untimed();
            /// // ... read the stream to its end ...
            /// permit.success();
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn untimed(mut self) -> Self {
                self.hold.stop_timing();
                self
            }

            /// Records `Ok` as a success and `Err` as a failure, and returns the result.
            ///
            /// # Errors
            ///
            /// Returns the error of `result` unchanged.
            ///
            /// # Examples
            ///
            /// ```
            /// # let breaker = std::sync::Arc::new(tripcoil::CircuitBreaker::new("parser"));
            /// let permit = breaker.try_acquire()?;
            /// let number = permit.settle("12".parse::<u32>())?;
            /// assert_eq!(number, 12);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[inline]
            pub fn settle<T, E>(self, result: Result<T, E>) -> Result<T, E> {
                let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failure };
                self.hold.settle(outcome, || crate::engine::last_failure::type_name(&result));
                result
            }
        }

        impl fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($permit)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use settling;

settling!(Permit<'_>);
