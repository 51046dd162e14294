//! What every request and the sampler share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use tokio::sync::watch;
use tripcoil::{CircuitBreaker, Config, Observing, RegistryMetrics};

use crate::access::{Access, Action};
use crate::audit::{Audit, AuditOutcome, Scope};
use crate::clock::{millis, now_ms};
use crate::fleet::FleetSeen;
use crate::holds::{Hold, Holds};
use crate::journal::Journal;
use crate::record::{Act, Observation, Recorder, Sample};
use crate::source::Sources;

pub(crate) type AccessOf = Box<dyn Fn(&Parts) -> Access + Send + Sync>;
pub(crate) type AuditHook = Box<dyn Fn(&Audit) + Send + Sync>;

/// The registries' own sums are read with every tenth sample, for that takes their lock.
const REGISTRY_METRICS: u64 = 10;

pub(crate) struct Core {
    pub(crate) sources: Sources,
    pub(crate) access: AccessOf,
    pub(crate) audit: Vec<AuditHook>,
    pub(crate) journals: Vec<Journal>,
    /// Ends with the console.
    _observing: Vec<Observing>,
    pub(crate) origins: Vec<String>,
    /// The console of this process: a browser that comes back sees that another one answers.
    pub(crate) instance: String,
    pub(crate) streams: Arc<AtomicUsize>,
    /// The acts that wait for the store of a fleet.
    pub(crate) fleet_acts: AtomicUsize,
    pub(crate) closing: Arc<Closing>,
    pub(crate) holds: Holds,
    recorder: Mutex<Recorder>,
    /// Held for the time of a sample.
    sampling: Mutex<Sampling>,
}

/// Wakes the streams, and ends them.
pub(crate) struct Closing {
    pub(crate) is_closed: AtomicBool,
    /// Sent after each sample.
    pub(crate) samples: watch::Sender<u64>,
}

#[derive(Default)]
struct Sampling {
    count: u64,
    last: Option<Instant>,
}

impl Core {
    pub(crate) fn new(parts: crate::console::Settings) -> Arc<Core> {
        let crate::console::Settings { sources, access, audit, journals, origins, history_limit, closing, .. } = parts;
        let registries: Vec<_> = sources.registries.iter().map(|registry| Arc::from(registry.name())).collect();
        let fleets = sources.fleets.iter().map(|fleet| FleetSeen::new(fleet.clone(), now_ms())).collect();
        // Breakers that are added by themselves are observed, so that no change between two samples is lost.
        let journal = Journal::new();
        let observe = |breaker: &CircuitBreaker| breaker.observe(journal.observer());
        let observing = sources.breakers.iter().map(|breaker| observe((**breaker).shared())).collect();
        let journals = journals.into_iter().chain([journal]).collect();
        let core = Core {
            recorder: Mutex::new(Recorder::new(registries.into_iter(), fleets, history_limit)),
            sources,
            access,
            audit,
            journals,
            _observing: observing,
            origins,
            instance: format!("{:x}-{:x}", now_ms(), std::process::id()),
            streams: Arc::default(),
            fleet_acts: AtomicUsize::new(0),
            closing,
            holds: Holds::default(),
            sampling: Mutex::default(),
        };
        core.sample(true);
        Arc::new(core)
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every breaker, and wakes the streams. `counts` says whether a second is over, and not only a state changed.
    /// Returns how long it took.
    pub(crate) fn sample(&self, counts: bool) -> Duration {
        let mut sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let elapsed = counts.then(|| {
            let elapsed = sampling.last.map_or(1.0, |last| (begun - last).as_secs_f32());
            sampling.last = Some(begun);
            elapsed
        });
        let with_sums = counts && sampling.count.is_multiple_of(REGISTRY_METRICS);
        sampling.count += u64::from(counts);

        self.end_holds();
        // None of it under the lock of the recorder: hashing and comparing keys is the user's code.
        let (mut observations, mut unreadable) = (Vec::new(), Vec::new());
        let mut config = Arc::default();
        for breaker in &self.sources.breakers {
            observations.push(observe(0, (**breaker).shared(), &mut config));
        }
        let mut registries: Vec<Option<RegistryMetrics>> = Vec::new();
        for (index, registry) in self.sources.registries.iter().enumerate() {
            let group = index + 1;
            let so_far = observations.len();
            let read = catch_unwind(AssertUnwindSafe(|| {
                registry.for_each(&mut |breaker| observations.push(observe(group, breaker, &mut config)));
                with_sums.then(|| registry.metrics())
            }));
            registries.push(read.unwrap_or_else(|_| {
                observations.truncate(so_far);
                unreadable.push(group);
                None
            }));
        }
        let journal = self.journals.iter().flat_map(Journal::take).collect();
        let fleets = self.sources.fleets.iter().map(|fleet| (fleet.look(), fleet.take_events())).collect();
        let holds = self.holds.ends(&self.sources);
        let sample = Sample { now_ms: now_ms(), elapsed, observations, journal, unreadable, registries, fleets, holds };
        self.recorder().merge(sample);
        let took = begun.elapsed();
        drop(sampling);
        self.closing.samples.send_modify(|samples| *samples += 1);
        took
    }

    /// Ends the timed holds that are due, and records each as a release by the operator who began it.
    fn end_holds(&self) {
        for hold in self.holds.end_due(&self.sources) {
            let Hold { registry, name, actor, reason, .. } = hold;
            let at = SystemTime::now();
            let reason = format!("the hold has ended: {reason}");
            let act = Act { actor, action: Action::Release, scope: Scope::Process, lasts: None, reason };
            let act = Arc::new(act);
            self.recorder().acted(registry.as_deref(), &name, millis(at), &act, None);
            self.audit(&Audit {
                at,
                actor: Some(act.actor.clone()),
                action: Action::Release,
                scope: Scope::Process,
                lasts: None,
                registry,
                breaker: Some(name),
                reason: act.reason.clone(),
                settings: Vec::new(),
                outcome: AuditOutcome::Done { states: None },
            });
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closing.is_closed.load(Ordering::Relaxed)
    }

    pub(crate) fn audit(&self, audit: &Audit) {
        #[cfg(feature = "tracing")]
        crate::audit::trace(audit);
        for hook in &self.audit {
            // A panic in one hook does not affect the others.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(audit)));
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.holds.end_all(&self.sources);
    }
}

/// `former` is the settings of the breaker before it, which most breakers of a registry share.
fn observe(group: usize, breaker: &CircuitBreaker, former: &mut Arc<Config>) -> Observation {
    let config = breaker.config();
    if config != **former {
        *former = Arc::new(config);
    }
    let address = std::ptr::from_ref(breaker).addr();
    Observation { group, address, metrics: breaker.lifetime_metrics(), config: former.clone() }
}
