//! The settings, one row each.

/// Hands every row to the macro `$then`. `Config` makes a field, a setter, a name and a line of its docs of each;
/// `Builder` a setter and a line of its docs.
///
/// A row is the docs of the builder's setter; the setter with its arguments, the type of the field, and the value of the
/// field; then the default, what is allowed, and the form as text.
macro_rules! for_each_setting {
    ($then:ident) => {
        $then! {
            /// Whether the breaker protects at all: an off switch, for a configuration or an environment variable.
            /// Default: true.
            ///
            /// With `false` the breaker is made forced closed, and
            /// [`reconfigure`](crate::CircuitBreaker::reconfigure) forces it closed: it admits every call and only counts.
            /// Giving `true` later ends what `false` forced. What you force by hand stays: a breaker that you had forced
            /// closed before, or have forced in the meantime, stays so, and one that you had forced open before is forced
            /// open again. Manual transitions work as ever, and a [`reset`](CircuitBreaker::reset) leaves the breaker
            /// forced closed.
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

            /// How many calls in a row have to fail for the breaker to open. Default: 5, or none once a rate rule is
            /// set.
            ///
            /// `None` turns the rule off, which [`build`](Self::build) refuses if nothing else could open the breaker.
            ///
            /// ```
            /// use tripcoil::CircuitBreaker;
            ///
            /// // Opens on half of the calls failing, and on ten failures in a row.
            /// let breaker = CircuitBreaker::builder("payments").error_rate(0.5).error_threshold(10).build()?;
            /// # Ok::<(), tripcoil::ConfigError>(())
            /// ```
            error_threshold(errors: impl Into<Option<u32>>): Option<u32> = errors.into();
                "5; none once a rate rule is set", "1 to 2³² − 1; none beside a rate rule", "`5`, or `none`";

            /// Opens the breaker when at least this share of the [`window`](Self::window)'s calls failed, above 0.0 up to
            /// 1.0. Default: off.
            ///
            /// The share is exact: 0.7 of 10 calls is 7.
            error_rate(share: f64): f64 = share;
                "off", "above 0.0, up to 1.0", "`0.5`";

            /// Opens the breaker when at least this share of the [`window`](Self::window)'s calls took at least the
            /// [`slow_call_duration`](Self::slow_call_duration), above 0.0 up to 1.0. Default: off.
            ///
            /// Calls are timed from their admission to their settlement by the breaker's clock. A slow success counts as
            /// slow, a slow failure as both, a slow probe as a failed one. A dropped call that counts as a failure is slow if
            /// it took that long; a neutral one is not.
            ///
            /// **A call that hangs counts while it hangs**: once it has been in flight for the `slow_call_duration` it counts in
            /// this rate, (slow + hanging) / (settled + hanging), and is a slow call of the window when it ends. Calls in flight are counted by slices, each an
            /// eighth of the `slow_call_duration`, or a millisecond if that is longer. They are looked at whenever a
            /// call fails or is slow, and by the first admission in a slice, of whichever thread. So under steady traffic a call
            /// is seen to hang up to two slices late, and never early. A call that is meant to take long opts out with
            /// [`Permit::untimed`](crate::Permit::untimed). Where the clock steps back by more than a slice, calls in flight are
            /// no longer seen to hang, and those that begin afterwards are.
            ///
            /// This takes 152 bytes for each stripe of the breaker's counts that is in use; see [`Window::time`].
            slow_call_rate(share: f64): f64 = share;
                "off", "above 0.0, up to 1.0", "`0.5`";

            /// From how long on a call is slow; above zero. Has to be set together with
            /// [`slow_call_rate`](Self::slow_call_rate).
            slow_call_duration(duration: Duration): Duration = duration;
                "off", "above zero", "`2s`";

            /// What the rates are taken over: a number of calls, or a span of time. Default: 100 calls.
            ///
            /// A window begins empty whenever the breaker closes. Ignored calls and neutral drops are not in it.
            window(window: Window): Window = window;
                "100 calls", "1 to 1 000 000 calls; 16 ms to 365 days", "`100 calls` or `10s`";

            /// On fewer calls in the window no rate is judged. Default: 20, or the window's calls if they are fewer.
            minimum_calls(calls: u32): u32 = calls;
                "20, or the window's calls if fewer", "1 to the window's calls", "`20`";

            /// For how long the breaker stays open before it probes. Default: 30 s.
            ///
            /// No timer ends it: the first call at or after the deadline is the first probe.
            reset_timeout(timeout: Duration): Duration = timeout;
                "30 s", "above zero", "`30s`";

            /// Each opening out of half-open, without a close in between, lasts `factor` times as long as the one
            /// before, up to `max`. Default: 1.0, always the reset timeout.
            ///
            /// A close, also one by hand, and a [`reset`](CircuitBreaker::reset) start it anew.
            reset_backoff(factor: f64, max: Duration): (f64, Duration) = (factor, max);
                "1.0, no maximum", "finite, at least 1.0; at least the reset timeout", "`2.0 up to 5m`, or `2.0`";

            /// Each opening lasts longer by a random part of up to this share, so that the replicas of a service do
            /// not probe all at once. Default: 0.0.
            ///
            /// It is added after the backoff: with a share of 0.1 an opening lasts up to 1.1 times the backoff's `max`.
            /// It never shortens a wait.
            reset_jitter(share: f64): f64 = share;
                "0.0", "0.0 to 1.0", "`0.1`";

            /// How many probes in a row have to succeed for the breaker to close. Default: 2.
            success_threshold(successes: u32): u32 = successes;
                "2", "1 to 127", "`2`";

            /// How many probes of one half-open episode have to fail for the breaker to open again. Default: 1.
            half_open_error_threshold(errors: u32): u32 = errors;
                "1", "1 to 127", "`1`";

            /// How many probes may be in flight at the same time. Default: 1.
            half_open_capacity(probes: u32): u32 = probes;
                "1", "1 to 127", "`1`";

            /// Slow start: each probe that succeeds raises the capacity of this half-open episode by one, up to
            /// this. Default: the `half_open_capacity`, so no raise.
            half_open_max_capacity(probes: u32): u32 = probes;
                "the capacity", "the capacity to 127", "`16`";

            /// For how long the newest probe may be silent before the probes in flight no longer block new ones.
            /// Default: the reset timeout.
            ///
            /// If all slots are taken when this time is over, the next caller begins a new round of probes. It is the first probe
            /// of that round, and all other slots are free again: up to `half_open_capacity`, without the raise of slow start.
            /// The counts of successes and errors stay as they are, and observers hear nothing. A probe that never ends therefore
            /// costs one such wait, however many successes are needed, and blocks the breaker never for good.
            ///
            /// A silent probe of an earlier round still counts when it ends: a success counts towards `success_threshold`, and a
            /// failure as an error. It frees no slot. A dependency that always takes longer than the `probe_timeout` can
            /// therefore close the breaker.
            probe_timeout(timeout: Duration): Duration = timeout;
                "the reset timeout", "above zero", "`10s`";

            /// How a call counts that was dropped unfinished. Default: [`Dropped::Ignore`].
            dropped_calls(dropped: Dropped): Dropped = dropped;
                "[`Dropped::Ignore`]", "any limit above zero", "`ignore`, `failure` or `failure after 2s`";
        }
    };
}

pub(crate) use for_each_setting;
