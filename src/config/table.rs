//! The settings, one row each.

/// Hands every row to the macro `$then`. `Config` makes a field, a setter, a name and a line of its docs of each;
/// `Builder` a setter and a line of its docs.
///
/// A row is the docs of the builder's setter; the setter with its arguments, the type of the field, and the value of the
/// field; then the default, what is allowed, and the form as text.
macro_rules! for_each_setting {
    ($then:ident) => {
        $then! {
            /// An off switch, for a configuration or an environment variable. Default: true.
            ///
            /// With `false` a new breaker is forced closed, and
            /// [`reconfigure`](crate::CircuitBreaker::reconfigure) forces a running one closed: it admits every
            /// call and only counts. A later `true` ends what `false` forced. Manual control takes precedence:
            /// a breaker that you forced closed before, or forced in the meantime, stays so, and one that you
            /// had forced open before is forced open again. Manual transitions still work, and a
            /// [`reset`](CircuitBreaker::reset) leaves the breaker forced closed.
            ///
            /// ```
            /// use tripcoil::{CircuitBreaker, Config, State};
            ///
            /// let off = Config::from_vars("PAYMENTS_BREAKER_", [("PAYMENTS_BREAKER_ENABLED", "false")])?;
            /// let breaker = CircuitBreaker::builder("payments").config(off).build()?;
            /// assert_eq!(breaker.state(), State::ForcedClosed);
            ///
            /// breaker.reconfigure(breaker.config().enabled(true))?;
            /// assert_eq!(breaker.state(), State::Closed);
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            enabled(enabled: bool): bool = enabled;
                "true", "true or false", "`true` or `false`";

            /// Takes the settings of a preset where nothing else sets them. Default: none.
            ///
            /// Every setting of your own overrides the preset's, before and after this. [`Preset`] lists the settings and
            /// says how they were chosen.
            ///
            /// ```
            /// use tripcoil::{CircuitBreaker, Preset};
            ///
            /// let breaker = CircuitBreaker::builder("payments").preset(Preset::Responsive).success_threshold(3).build()?;
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            preset(preset: Preset): Preset = preset;
                "none", "a [`Preset`]", "`tolerant` or `responsive`";

            /// Opens the breaker after this many consecutive failures. Default: 5, or none once an
            /// [`error_rate`](Self::error_rate) or a [`slow_call_rate`](Self::slow_call_rate) is set.
            ///
            /// `None` turns the rule off. [`build`](Self::build) returns an error if no other rule could open
            /// the breaker.
            ///
            /// ```
            /// use tripcoil::CircuitBreaker;
            ///
            /// // Opens when half of the calls fail, or after ten consecutive failures.
            /// let breaker = CircuitBreaker::builder("payments").error_rate(0.5).error_threshold(10).build()?;
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            error_threshold(errors: impl Into<Option<u32>>): Option<u32> = errors.into();
                "5; none once a rate rule is set", "1 to 2³² − 1; none beside a rate rule", "`5`, or `none`";

            /// Opens the breaker when at least this share of the calls in the [`window`](Self::window) failed.
            /// Above 0.0, up to 1.0. Default: off.
            ///
            /// The share is exact: 0.7 of 10 calls is 7. Below [`minimum_calls`](Self::minimum_calls) the rate
            /// is not evaluated.
            error_rate(share: f64): f64 = share;
                "off", "above 0.0, up to 1.0", "`0.5`";

            /// Opens the breaker when at least this share of the calls in the [`window`](Self::window) took at
            /// least the [`slow_call_duration`](Self::slow_call_duration). Above 0.0, up to 1.0. Default: off.
            ///
            /// The breaker's clock times each call from its admission to its settlement. A slow success counts
            /// as slow, a slow failure counts as slow and as failed, and a slow probe counts as a failed probe.
            /// A dropped call is slow if it counts as a failure and took that long; a neutral one is not.
            ///
            /// **A call that hangs counts while it hangs.** Once it has been in flight for the
            /// `slow_call_duration` it counts in this rate, (slow + hanging) / (settled + hanging). When it
            /// ends it becomes a slow call of the window. Calls in flight are counted in slices of an eighth of
            /// the `slow_call_duration`, but at least a millisecond. The breaker evaluates them whenever a call
            /// fails or is slow, and at the first admission in a slice by any thread. Under steady traffic a
            /// hanging call is noticed up to two slices late, and never early. A call that is meant to take
            /// long opts out with [`Permit::untimed`](crate::Permit::untimed). If the clock steps back by more
            /// than a slice, calls in flight at that moment are no longer noticed when they hang; later calls
            /// are.
            ///
            /// The rule takes 152 bytes for each stripe of the breaker's counts that is in use; see
            /// [`Window::time`].
            slow_call_rate(share: f64): f64 = share;
                "off", "above 0.0, up to 1.0", "`0.5`";

            /// A call that takes at least this long is slow. Above zero. Set it together with
            /// [`slow_call_rate`](Self::slow_call_rate).
            slow_call_duration(duration: Duration): Duration = duration;
                "off", "above zero", "`2s`";

            /// Opens the breaker when at least this share of the calls in the [`window`](Self::window) were dropped.
            /// Above 0.0, up to 1.0. Default: off.
            ///
            /// Set it where a caller drops calls because the dependency is too slow for it, as under hedging: a
            /// dead replica then sees nothing but drops. Only neutral drops count. One that
            /// [`dropped_calls`](Self::dropped_calls) makes a failure is a settled call. Drops of probes, and of
            /// calls within the steps of a [`recovery`](Self::recovery), stay neutral.
            ///
            /// The rate is dropped / (settled + dropped), from [`minimum_calls`](Self::minimum_calls) calls of
            /// either kind on. In a window of N calls it is taken over the latest N calls, settled or dropped.
            /// The other rates do not see the drops, which displace no call from their windows. The breaker
            /// evaluates the rates whenever a call fails, is slow or is dropped. Unlike the other rates, this one
            /// leaves the default of the [`error_threshold`](Self::error_threshold) as it is.
            ///
            /// ```
            /// use tripcoil::{CircuitBreaker, State};
            ///
            /// let replica = CircuitBreaker::builder("replica").drop_rate(0.9).minimum_calls(20).build()?;
            /// for _ in 0..20 {
            ///     drop(replica.try_acquire().unwrap()); // another replica was faster
            /// }
            /// assert_eq!(replica.state(), State::Open);
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            drop_rate(share: f64): f64 = share;
                "off", "above 0.0, up to 1.0", "`0.9`";

            /// The window that rates are computed over: a number of calls, or a span of time. Default: 100
            /// calls.
            ///
            /// The window starts empty each time the breaker closes. Ignored calls do not enter it. Neutral drops do
            /// only with a [`drop_rate`](Self::drop_rate), beside the settled calls.
            window(window: Window): Window = window;
                "100 calls", "1 to 1 000 000 calls; 16 ms to 365 days", "`100 calls` or `10s`";

            /// With fewer calls in the window, rates are not evaluated. Default: 20, or the size of a window of
            /// fewer calls.
            minimum_calls(calls: u32): u32 = calls;
                "20, or the window's calls if fewer", "1 to the window's calls", "`20`";

            /// How long the breaker stays open before it admits a probe. Default: 30 s.
            ///
            /// There is no timer: the first call at or after the deadline is the first probe.
            reset_timeout(timeout: Duration): Duration = timeout;
                "30 s", "above zero", "`30s`";

            /// Each reopening without a close in between lasts `factor` times as long as the opening before, up
            /// to `max`. Default: 1.0, so every opening lasts for the reset timeout.
            ///
            /// A close, including a manual one, and a [`reset`](CircuitBreaker::reset) start over with the
            /// reset timeout.
            reset_backoff(factor: f64, max: Duration): (f64, Duration) = (factor, max);
                "1.0, no maximum", "finite, at least 1.0; at least the reset timeout", "`2.0 up to 5m`, or `2.0`";

            /// Lengthens each opening by a random part of up to this share, so that the replicas of a service
            /// do not probe all at once. 0.0 to 1.0. Default: 0.0.
            ///
            /// Jitter applies after the backoff: with a share of 0.1 an opening lasts up to 1.1 times the
            /// backoff's `max`. It never shortens an opening.
            reset_jitter(share: f64): f64 = share;
                "0.0", "0.0 to 1.0", "`0.1`";

            /// Closes the breaker after this many consecutive probe successes. Default: 2.
            success_threshold(successes: u32): u32 = successes;
                "2", "1 to 127", "`2`";

            /// Reopens the breaker after this many probe failures in one half-open episode. Default: 1.
            half_open_error_threshold(errors: u32): u32 = errors;
                "1", "1 to 127", "`1`";

            /// The number of probes that may be in flight at the same time. Default: 1.
            half_open_capacity(probes: u32): u32 = probes;
                "1", "1 to 127", "`1`";

            /// Slow start: each probe success raises the capacity of this half-open episode by one, up to this
            /// maximum. Default: the `half_open_capacity`, so the capacity stays the same.
            half_open_max_capacity(probes: u32): u32 = probes;
                "the capacity", "the capacity to 127", "`16`";

            /// How long the newest probe may go without an outcome before the probes in flight stop blocking
            /// new ones. Default: the reset timeout.
            ///
            /// If all slots are taken when this time is over, the next caller starts a new round of probes. It
            /// becomes the first probe of that round, and all other slots are free again: up to
            /// `half_open_capacity`, without the raise of slow start. The counts of successes and errors stay,
            /// and observers are not called. A probe that never ends therefore costs one such wait, however
            /// many successes are needed, and never blocks the breaker permanently.
            ///
            /// A silent probe of an earlier round still counts when it ends: a success counts towards
            /// `success_threshold`, a failure as an error. It frees no slot. So a dependency that always takes
            /// longer than the `probe_timeout` can still close the breaker.
            probe_timeout(timeout: Duration): Duration = timeout;
                "the reset timeout", "above zero", "`10s`";

            /// How a call counts that was dropped before it finished. Default: [`Dropped::Ignore`].
            dropped_calls(dropped: Dropped): Dropped = dropped;
                "[`Dropped::Ignore`]", "any limit above zero", "`ignore`, `failure` or `failure after 2s`";

            /// Lets a growing share of the calls pass after the probes have succeeded, before the breaker closes. Default: off.
            ///
            /// Once `success_threshold` probes have succeeded, the breaker stays half-open and enters the first step. A step lets its
            /// share of the calls pass, spread evenly, and rejects the others. If the calls of a step meet a rate rule, the breaker
            /// opens again, for the next backoff: by the [`error_rate`](Self::error_rate) and the
            /// [`slow_call_rate`](Self::slow_call_rate) that are set, and by an error rate of 0.5 if none is. A step is judged once
            /// [`minimum_calls`](Self::minimum_calls) of it have ended, and when its time is over on as many as have. The breaker
            /// closes when the time of the last step is over and it has held ([`Cause::Recovered`](crate::Cause::Recovered)).
            ///
            /// The settings of half-open, [`half_open_capacity`](Self::half_open_capacity) and the like, apply to the probes before
            /// the steps only. No timer moves the steps; the calls do. The guide on [recovery by steps](crate::guide::recovery) says what
            /// each step does with each event.
            ///
            /// ```
            /// use std::time::Duration;
            /// use tripcoil::{CircuitBreaker, Recovery};
            ///
            /// let breaker = CircuitBreaker::builder("payments")
            ///     .recovery(Recovery::ramp(Duration::from_secs(60)))
            ///     .build()?;
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            recovery(recovery: Recovery): Recovery = recovery;
                "off", "1 to 32 steps of 10 ms to 1 day", "`0.01, 0.05, 0.25, 0.5 each 30s`, or `ramp 2m`";
        }
    };
}

pub(crate) use for_each_setting;
