use crate::engine::membership::MemberCounts;
use crate::name::Name;
use crate::state::State;

/// The breakers of a [`Registry`](crate::Registry) by state, and the sums of their counts.
///
/// Totals count since the registry was created. No `reset` of a breaker clears them, and they include the
/// counts of breakers that are gone.
///
/// ```
/// use tripcoil::Registry;
///
/// let tenants: Registry<u64> = Registry::new("tenants");
/// for tenant in 0..3 {
///     tenants.get(&tenant).call_sync(|| Ok::<_, ()>(())).unwrap();
/// }
/// tenants.get(&1).force_open();
/// tenants.remove(&2);
/// let metrics = tenants.metrics();
/// assert_eq!((metrics.closed, metrics.forced_open), (1, 1));
/// assert_eq!(metrics.total_success_count, 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryMetrics {
    /// The registry's name.
    pub name: Name,
    /// Breakers that are closed.
    pub closed: u64,
    /// Breakers that are open.
    pub open: u64,
    /// Breakers that are half-open.
    pub half_open: u64,
    /// Breakers that are forced open.
    pub forced_open: u64,
    /// Breakers that are forced closed.
    pub forced_closed: u64,
    /// Breakers that were evicted or removed since the registry was created.
    pub gone: u64,
    /// Of `gone`, the breakers that were evicted while closed.
    pub evicted_closed: u64,
    /// Of `gone`, the breakers that were evicted while open or half-open. Their keys get a closed breaker at
    /// the next use.
    pub evicted_open: u64,
    /// Breakers that were not listed because no breaker could be evicted, since the registry was created.
    pub unlisted: u64,
    /// How often a rule was met without opening its breaker, because of
    /// [`max_open_share`](crate::RegistryBuilder::max_open_share).
    pub suppressed_open_count: u64,
    /// Calls admitted and not yet settled.
    pub active_calls: u64,
    /// Calls that succeeded.
    pub total_success_count: u64,
    /// Calls that failed.
    pub total_error_count: u64,
    /// Calls whose outcome was ignored.
    pub total_ignored_count: u64,
    /// Dropped calls that count as neutral.
    pub total_dropped_count: u64,
    /// Rejected calls.
    pub total_rejected_count: u64,
    /// Slow calls. Each is also a success or an error.
    pub total_slow_count: u64,
    /// Changes of state.
    pub transition_count: u64,
}

/// How often breakers were evicted, not listed or kept from opening. The counts only grow.
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegistryEvents {
    pub(crate) evicted_closed: u64,
    pub(crate) evicted_open: u64,
    pub(crate) unlisted: u64,
    pub(crate) suppressed_openings: u64,
}

impl RegistryMetrics {
    pub(super) fn none(name: Name) -> Self {
        RegistryMetrics {
            name,
            closed: 0,
            open: 0,
            half_open: 0,
            forced_open: 0,
            forced_closed: 0,
            gone: 0,
            evicted_closed: 0,
            evicted_open: 0,
            unlisted: 0,
            suppressed_open_count: 0,
            active_calls: 0,
            total_success_count: 0,
            total_error_count: 0,
            total_ignored_count: 0,
            total_dropped_count: 0,
            total_rejected_count: 0,
            total_slow_count: 0,
            transition_count: 0,
        }
    }

    /// Adds a breaker that is listed.
    pub(super) fn add(&mut self, state: State, counts: MemberCounts) {
        *match state {
            State::Closed => &mut self.closed,
            State::Open => &mut self.open,
            State::HalfOpen => &mut self.half_open,
            State::ForcedOpen => &mut self.forced_open,
            State::ForcedClosed => &mut self.forced_closed,
        } += 1;
        self.add_counts(counts);
    }

    pub(super) fn add_counts(&mut self, counts: MemberCounts) {
        self.active_calls += counts.active;
        self.total_success_count += counts.success;
        self.total_error_count += counts.error;
        self.total_ignored_count += counts.ignored;
        self.total_dropped_count += counts.dropped;
        self.total_rejected_count += counts.rejected;
        self.total_slow_count += counts.slow;
        self.transition_count += counts.transitions;
    }
}
