use crate::metrics::Metrics;
use crate::name::Name;
use crate::state::State;

/// The breakers of a [`Registry`](crate::Registry) by their states, and the sums of their counts.
///
/// The total counts are those since the registry was made: no `reset` of a breaker clears them, and what breakers counted
/// that are gone is in them.
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
    /// Breakers that were evicted, or taken out by hand.
    pub gone: u64,
    /// Calls admitted and not yet settled, by the breakers that are there.
    pub active_calls: u64,
    /// Calls that succeeded.
    pub total_success_count: u64,
    /// Calls that failed.
    pub total_error_count: u64,
    /// Calls whose outcome was ignored.
    pub total_ignored_count: u64,
    /// Calls that were dropped without an outcome, and count as neutral.
    pub total_dropped_count: u64,
    /// Calls that were not let through.
    pub total_rejected_count: u64,
    /// Calls that were slow.
    pub total_slow_count: u64,
    /// Changes of state.
    pub transition_count: u64,
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

    pub(super) fn add(&mut self, breaker: &Metrics) {
        *match breaker.state {
            State::Closed => &mut self.closed,
            State::Open => &mut self.open,
            State::HalfOpen => &mut self.half_open,
            State::ForcedOpen => &mut self.forced_open,
            State::ForcedClosed => &mut self.forced_closed,
        } += 1;
        self.active_calls += breaker.active_calls;
        self.add_totals(breaker);
    }

    pub(super) fn add_gone(&mut self, breaker: &Metrics) {
        self.gone += 1;
        self.add_totals(breaker);
    }

    fn add_totals(&mut self, breaker: &Metrics) {
        self.total_success_count += breaker.total_success_count;
        self.total_error_count += breaker.total_error_count;
        self.total_ignored_count += breaker.total_ignored_count;
        self.total_dropped_count += breaker.total_dropped_count;
        self.total_rejected_count += breaker.total_rejected_count;
        self.total_slow_count += breaker.total_slow_count;
        self.transition_count += breaker.transition_count;
    }
}
