//! Admits and settles: clock, then window, then cell, then effects.

mod admit;
mod cold;
mod effect;
pub(crate) mod last_failure;
#[cfg(all(test, not(loom)))]
mod layout;
#[cfg(feature = "registry")]
pub(crate) mod membership;
pub(crate) mod observers;
#[cfg(feature = "registry")]
pub(crate) mod open_limit;
mod opening;
mod order;
mod reconfigure;
mod recovery;
#[cfg(feature = "registry")]
mod registry;
mod settings_version;
mod settle;
mod shadow;
pub(crate) mod shared;
pub(crate) mod totals;

use std::hash::{BuildHasher, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, MonotonicClock, coarse_now};
use crate::machine::cell::{Applied, Cell};
use crate::machine::step::{self, Command};
use crate::machine::word::Epoch;
use crate::metrics::{LastError, Metrics, WindowMetrics};
use crate::name::Name;
use crate::settings::Settings;
use crate::state::State;
use crate::sync::OnceBox;
use crate::waiters::{Waiters, Waiting};
use crate::window::Windows;
use cold::{Cleared, Cold, Disabled};
use observers::Observer;
use settings_version::CurrentVersion;
use shared::Shared;
use totals::{Directory, FirstOwner, Place, Stripe, Sums, Totals};

pub(crate) use admit::{Admission, Ticket};
pub use observers::Observing;
#[cfg(feature = "registry")]
pub use open_limit::SuppressedOpening;

/// All of a breaker but its public face.
///
/// In this order: what every call reads, then what few calls touch, then what the first thread's calls write, first of
/// all what its healthy calls do. So these share no cache line, wherever the breaker begins, and it need not be aligned
/// to one.
#[repr(C)]
pub(crate) struct Engine {
    /// Which settings hold.
    current: CurrentVersion,
    first_owner: FirstOwner,
    /// Where each thread counts.
    directory: Directory,
    /// `None`: the default rules and the default clock, which a `const fn` can name.
    shared: Option<Arc<Shared>>,
    cold: OnceBox<Cold>,
    cell: Cell,
    name: Name,
    /// Those who wait for a change of state.
    watchers: Waiters,
    /// Those who wait to be admitted.
    queue: Waiters,
    /// Where the first thread counts.
    first_stripe: Stripe,
}

const _: () = assert!(Place::END == crate::window::STRIPES);
const _: () = assert!(Place::SHARED == crate::window::OWNED);

// The only user code that an engine holds is called where a panic leaves nothing half done: the clock
// before the word is swapped, the observers behind `catch_unwind`.
impl UnwindSafe for Engine {}
impl RefUnwindSafe for Engine {}

impl Engine {
    crate::sync::const_unless_loom! {
        /// An engine on the default terms.
        pub(crate) fn new(name: Name) -> Self {
            Engine {
                current: CurrentVersion::first(),
                first_owner: FirstOwner::nobody(),
                directory: Directory::new(),
                shared: None,
                cold: OnceBox::new(),
                cell: Cell::new(),
                name,
                watchers: Waiters::new(),
                queue: Waiters::new(),
                first_stripe: Stripe::new(),
            }
        }
    }

    pub(crate) fn with(name: Name, shared: Arc<Shared>) -> Self {
        let mut engine = Engine::new(name);
        let windows = shared.new_windows();
        engine.current = CurrentVersion::with(&shared.settings, windows.as_deref());
        if windows.is_some() {
            engine.cold.get_or_init(|| Box::new(Cold::new(windows, first_disabled(&shared.settings))));
        }
        if !shared.settings.enabled {
            engine.cell = Cell::forced_closed();
        }
        let (shadow, observes_only) = (shared.shadow.clone(), shared.observes_only);
        engine.shared = Some(shared);
        if let Some(shadow) = shadow {
            let (config, validated) = *shadow;
            engine.begin_shadow(config, validated);
        }
        if observes_only {
            engine.transition_to(State::ForcedClosed);
        }
        engine
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn state(&self) -> State {
        self.cell.load().state()
    }

    /// Changes of state so far, modulo 2³².
    pub(crate) fn changes(&self) -> u32 {
        low_half(self.cell.load_with_history().2)
    }

    /// Joins those who wait for a change of state.
    pub(crate) fn join_watchers(&self) -> Waiting {
        self.watchers.listen(|| self.cell.announce())
    }

    /// Joins those who wait to be admitted.
    pub(crate) fn join_queue(&self) -> Waiting {
        self.queue.listen(|| self.cell.announce())
    }

    /// This thread's own stripe of the totals, if it is at hand.
    #[inline]
    pub(crate) fn own_stripe(&self) -> Option<&Stripe> {
        self.totals().own()
    }

    #[inline]
    fn totals(&self) -> Totals<'_> {
        Totals { first_owner: &self.first_owner, directory: &self.directory, first: &self.first_stripe }
    }

    fn observers(&self) -> &[Observer] {
        self.shared.as_deref().map_or(&[], |shared| &shared.observers)
    }

    fn now(&self) -> Duration {
        self.shared.as_deref().map_or_else(|| MonotonicClock.now(), Shared::now)
    }

    /// The time by a clock that is cheaper to read, if the breaker has the default clock and the system has one.
    #[inline]
    fn coarse_now(&self) -> Option<Duration> {
        if self.has_own_clock() { None } else { coarse_now() }
    }

    #[inline]
    fn has_own_clock(&self) -> bool {
        self.shared.as_deref().is_some_and(Shared::has_own_clock)
    }

    #[inline]
    fn cold(&self) -> &Cold {
        match self.cold.get() {
            Some(cold) => cold,
            None => self.make_cold(),
        }
    }

    #[cold]
    fn make_cold(&self) -> &Cold {
        let disabled = self.shared.as_deref().and_then(|shared| first_disabled(&shared.settings));
        self.cold.get_or_init(|| Box::new(Cold::new(None, disabled)))
    }

    /// The epoch that has begun last.
    fn epoch(&self) -> Epoch {
        self.cell.epoch()
    }

    pub(crate) fn transition_to(&self, state: State) {
        self.operate(match state {
            State::Closed => Command::Close,
            State::Open => Command::Open { now: self.now(), draw: draw_for(self.settings().values()) },
            State::HalfOpen => Command::HalfOpen,
            State::ForcedOpen => Command::ForceOpen,
            State::ForcedClosed => Command::ForceClosed,
        });
    }

    pub(crate) fn open_for(&self, open_for: Duration) {
        self.operate(Command::OpenFor { now: self.now(), open_for });
    }

    fn operate(&self, order: Command) {
        let at = order.opens_at().or_else(|| self.time_to_tell());
        let applied = self.cell.operate(order, self.settings().values());
        self.perform(&applied, at);
    }

    pub(crate) fn reset(&self) {
        let _applied = self.reset_by(|settings| self.cell.operate(Command::Reset, settings));
    }

    /// Clears everything, if `operate` does reset the breaker.
    fn reset_by(&self, operate: impl FnOnce(&Settings) -> Applied) -> Applied {
        let at = self.time_to_tell();
        // Locked first, so that of two resets the later one is also the one that is remembered.
        let cold = self.cold();
        let mut cleared = cold.cleared.lock();
        let applied = operate(self.settings().values());
        if applied.effect.begins_epoch() {
            *cleared = Some(Box::new(Cleared { totals: self.sums(), changes: applied.changes }));
            cold.last_failure.clear(applied.epoch_after(), || self.epoch());
        }
        if applied.effect.begins_epoch() && applied.after.state() == State::ForcedClosed {
            cold.set_disabled(Some(Disabled { since: applied.epoch_after(), reopens: false }));
        }
        drop(cleared);
        self.perform(&applied, at);
        applied
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.snapshot(|cleared| cleared)
    }

    /// The metrics as if nothing had ever been reset.
    pub(crate) fn lifetime_metrics(&self) -> Metrics {
        self.snapshot(|_| Cleared::NOTHING)
    }

    /// `taken_off` returns the part of the cleared counts that is left out.
    fn snapshot(&self, taken_off: impl FnOnce(Cleared) -> Cleared) -> Metrics {
        // What was cleared comes first: whatever is read after it is at least as new.
        let cleared = self.cleared();
        let (word, history, changes) = self.cell.load_with_history();
        let cleared = taken_off(cleared);
        let (state, epoch) = (word.state(), history.epoch());
        let totals = self.sums().since(cleared.totals);
        let (errors, successes) = step::counts(word);
        let last_error = self
            .cold
            .get()
            .and_then(|cold| cold.last_failure.last())
            .map(|last| LastError { ago: last.at.map(|at| self.now().saturating_sub(at)), ..last });
        Metrics {
            name: self.name.clone(),
            state,
            active_calls: totals.active,
            total_success_count: totals.success,
            total_error_count: totals.error,
            total_ignored_count: totals.ignored,
            total_dropped_count: totals.dropped,
            total_rejected_count: totals.rejected,
            total_slow_count: totals.slow,
            consecutive_error_count: errors,
            consecutive_success_count: successes,
            transition_count: changes.saturating_sub(cleared.changes),
            retry_after: (state == State::Open).then(|| self.cell.time_left(word, self.now())),
            last_error,
            shadow: self.shadow_metrics(),
            window: match self.settings().windows() {
                _ if word.is_recovering() => Some(self.shown_window_of_step(word)),
                Some(windows) if state == State::Closed => {
                    Some(self.window_metrics(windows, epoch, self.time_of(windows)))
                }
                windows => windows.map(|_| WindowMetrics::default()),
            },
            recovery: if word.is_recovering() { self.recovery_step(word) } else { None },
        }
    }

    fn sums(&self) -> Sums {
        // First: a slow call that is settled meanwhile is then slow and not yet settled, or neither.
        let slow = self.cold.get().map_or(0, Cold::slow_calls);
        Sums { slow, ..self.totals().sums() }
    }

    fn cleared(&self) -> Cleared {
        let cleared = self.cold.get().and_then(|cold| cold.cleared.lock().as_deref().copied());
        cleared.unwrap_or(Cleared::NOTHING)
    }

    fn window_metrics(&self, windows: &Windows, epoch: Epoch, now: Duration) -> WindowMetrics {
        let snapshot = windows.snapshot(epoch, now);
        windows.metrics(snapshot, self.calls_in(windows, epoch))
    }

    /// The calls that `epoch` has been credited with, if the windows need to know.
    #[inline]
    fn calls_in(&self, windows: &Windows, epoch: Epoch) -> u64 {
        if windows.counts_calls() { self.totals().calls_in(epoch) } else { 0 }
    }

    /// The time, if the windows need it.
    fn time_of(&self, windows: &Windows) -> Duration {
        if windows.times_settlements() { self.now() } else { Duration::ZERO }
    }
}

/// What has disabled a breaker that is made with these rules.
fn first_disabled(settings: &Settings) -> Option<Disabled> {
    (!settings.enabled).then_some(Disabled::FIRST)
}

/// What picks the jitter of an opening, if there is any.
fn draw_for(settings: &Settings) -> f64 {
    if settings.jitter == 0.0 { 0.0 } else { draw() }
}

/// Of a count that is extended again where it is used.
#[expect(clippy::cast_possible_truncation, reason = "the rest is cut off")]
const fn low_half(count: u64) -> u32 {
    count as u32
}

/// A random number from 0 to 1: the seeds of the standard library's hash maps are random and each differs.
fn draw() -> f64 {
    let bits = RandomState::new().hash_one(());
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn what_every_call_reads_and_what_a_thread_writes_share_no_cache_line() {
        // Words of eight bytes, so far apart that they cannot lie in the same 64 bytes.
        const APART: usize = 64;
        let word = offset_of!(Engine, cell) + Cell::WORD;
        let flags = [offset_of!(Engine, current), offset_of!(Engine, directory), offset_of!(Engine, first_owner)];
        let links = [offset_of!(Engine, shared), offset_of!(Engine, cold)];
        assert!(flags.into_iter().chain(links).all(|other| other < word));
        assert!(offset_of!(Engine, first_stripe) >= word + APART);
        // A rejection reads the name, too.
        assert!(offset_of!(Engine, first_stripe) + Stripe::REJECTED >= offset_of!(Engine, watchers) - 8 + APART);
        // On the heap, the next breaker's word follows upon a slot.
        assert!(size_of::<Stripe>() - Stripe::HOT + 8 + word >= APART);
    }

    #[test]
    fn an_engine_is_no_larger_than_it_was() {
        assert_eq!((size_of::<Engine>(), size_of::<Stripe>()), (224, 80));
    }
}
