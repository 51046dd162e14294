use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::millis::whole_nanos;
use crate::machine::word::Epoch;
use crate::metrics::LastError;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The last failure, for the metrics.
pub(crate) struct LastFailure {
    /// A thread that changes this or one of the fields below holds the lock.
    info: Mutex<Option<FailureInfo>>,
    epoch: AtomicU32,
    /// Nanoseconds, or [`UNTIMED`].
    at: AtomicU64,
    /// Identifies the error type, if `info` has no message; otherwise 0. Further failures of the same type leave `info` as it
    /// is, so they allocate and copy nothing.
    kind: AtomicUsize,
}

const UNTIMED: u64 = u64::MAX;

/// What a failed call says about itself.
#[derive(Clone, Debug)]
pub(crate) struct FailureInfo {
    pub(crate) type_name: &'static str,
    pub(crate) message: Option<Arc<str>>,
    /// When, if that was looked up for the message's sake.
    pub(crate) at: Option<Duration>,
}

impl FailureInfo {
    pub(crate) const PANIC: FailureInfo = FailureInfo::new("panic");
    pub(crate) const DROPPED: FailureInfo = FailureInfo::new("dropped");
    /// The type of a failure that says nothing about itself.
    pub(crate) const UNTOLD_NAME: &str = "failure";

    pub(crate) const fn new(type_name: &'static str) -> Self {
        FailureInfo { type_name, message: None, at: None }
    }

    /// Identifies the error type, if there is no message; otherwise 0.
    #[inline]
    fn kind(&self) -> usize {
        if self.message.is_none() { identity(self.type_name) } else { 0 }
    }

    pub(crate) fn because(type_name: &'static str, message: Cow<'static, str>, at: Duration) -> Self {
        FailureInfo { type_name, message: Some(message.into()), at: Some(at) }
    }
}

/// The name of the type of what `result` holds.
#[inline]
pub(crate) fn type_name<T, E>(result: &Result<T, E>) -> &'static str {
    match result {
        Ok(_) => std::any::type_name::<T>(),
        Err(_) => std::any::type_name::<E>(),
    }
}

impl LastFailure {
    pub(crate) fn new() -> Self {
        LastFailure {
            info: Mutex::new(None),
            epoch: AtomicU32::new(0),
            at: AtomicU64::new(UNTIMED),
            kind: AtomicUsize::new(0),
        }
    }

    /// A failure counted in `epoch`. `now` returns the current epoch.
    #[inline]
    pub(crate) fn record(&self, info: &FailureInfo, at: Option<Duration>, epoch: Epoch, now: impl FnOnce() -> Epoch) {
        let (kind, at) = (info.kind(), at.map_or(UNTIMED, |at| whole_nanos(at).min(UNTIMED - 1)));
        if kind == 0 || !self.is(kind, at, epoch) {
            self.replace(info, kind, at, epoch, now);
        }
    }

    /// Whether the last failure has this type, time and epoch.
    #[inline]
    fn is(&self, kind: usize, at: u64, epoch: Epoch) -> bool {
        // Acquire: pairs with the Releases in `move_to`, so that time and epoch are not older than the type.
        self.kind.load(Ordering::Acquire) == kind
            && self.at.load(Ordering::Acquire) == at
            && self.epoch.load(Ordering::Acquire) == epoch.number_u32()
    }

    fn replace(&self, info: &FailureInfo, kind: usize, at: u64, epoch: Epoch, now: impl FnOnce() -> Epoch) {
        let mut last = self.info.lock();
        // Else a reset, or a later failure, has come between.
        if !epoch.is_before(self.epoch(), now()) {
            if kind == 0 || self.kind.load(Ordering::Relaxed) != kind {
                *last = Some(info.clone());
            }
            self.move_to(kind, at, epoch);
        }
    }

    #[cold]
    pub(crate) fn last(&self) -> Option<LastError> {
        let last = self.info.lock();
        let FailureInfo { type_name, message, .. } = last.clone()?;
        let at = self.at.load(Ordering::Relaxed);
        let at = (at != UNTIMED).then(|| Duration::from_nanos(at));
        Some(LastError { type_name, at, ago: None, message })
    }

    /// A reset began `epoch`: failures of earlier epochs are dropped. `now` as above.
    pub(crate) fn clear(&self, epoch: Epoch, now: impl FnOnce() -> Epoch) {
        let mut last = self.info.lock();
        if self.epoch().is_before(epoch, now()) {
            *last = None;
            self.move_to(0, UNTIMED, epoch);
        }
    }

    fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::Relaxed).into())
    }

    /// The caller holds the lock.
    #[inline]
    fn move_to(&self, kind: usize, at: u64, epoch: Epoch) {
        // Each Release pairs with the Acquires in `is`.
        self.kind.store(0, Ordering::Release);
        self.at.store(at, Ordering::Release);
        self.epoch.store(epoch.number_u32(), Ordering::Release);
        self.kind.store(kind, Ordering::Release);
    }
}

/// Differs for texts that differ in place or length. Never 0.
fn identity(text: &'static str) -> usize {
    text.as_ptr().addr() ^ text.len().rotate_right(8)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_failure_is_the_one_that_is_told() {
        let (last_failure, epoch) = (LastFailure::new(), Epoch::new(3));
        let told = |info: FailureInfo, at: Option<Duration>| {
            last_failure.record(&info, at, epoch, || epoch);
            last_failure.last().map(|last| (last.type_name, last.at, last.message.as_deref().map(String::from)))
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(told(FailureInfo::PANIC, None), Some(("panic", None, None)));
        assert_eq!(told(FailureInfo::PANIC, second), Some(("panic", second, None)));
        assert_eq!(told(FailureInfo::PANIC, None), Some(("panic", None, None)));
        let because = FailureInfo::because("failure", "why".into(), Duration::ZERO);
        assert_eq!(told(because, second), Some(("failure", second, Some("why".into()))));
        assert_eq!(told(FailureInfo::new("failure"), None), Some(("failure", None, None)));
        assert_eq!(told(FailureInfo::DROPPED, None), Some(("dropped", None, None)));
    }

    #[test]
    fn a_failure_of_before_a_reset_is_not_told_after_it() {
        let last_failure = LastFailure::new();
        let now = || Epoch::new(9);
        let last = || last_failure.last().map(|last| last.type_name);
        last_failure.record(&FailureInfo::PANIC, None, Epoch::new(3), now);
        last_failure.clear(Epoch::new(5), now);
        assert_eq!(last(), None);
        last_failure.record(&FailureInfo::PANIC, None, Epoch::new(4), now);
        assert_eq!(last(), None);
        last_failure.record(&FailureInfo::PANIC, None, Epoch::new(5), now);
        last_failure.record(&FailureInfo::DROPPED, None, Epoch::new(4), now);
        assert_eq!(last(), Some("panic"));
    }

    #[test]
    fn a_failure_of_after_a_reset_is_told_though_the_reset_clears_only_now() {
        let last_failure = LastFailure::new();
        let now = || Epoch::new(9);
        last_failure.record(&FailureInfo::PANIC, None, Epoch::new(4), now);
        last_failure.record(&FailureInfo::PANIC, None, Epoch::new(5), now);
        last_failure.clear(Epoch::new(5), now);
        assert_eq!(last_failure.last().map(|last| last.type_name), Some("panic"));
    }

    #[test]
    fn a_failure_is_told_however_long_ago_the_last_one_was() {
        let last_failure = LastFailure::new();
        for epoch in [0, 1 << 28, 1_000, (1 << 28) + 1_000, (1 << 29) - 1] {
            let epoch = Epoch::new(epoch);
            last_failure.record(&FailureInfo::PANIC, None, epoch, || epoch);
            assert!(last_failure.last().is_some());
            last_failure.clear(epoch.next(), || epoch.next());
            assert_eq!(last_failure.last(), None);
        }
    }

    #[test]
    fn what_threads_say_at_the_same_time_is_never_mixed() {
        const NAMES: [&str; 3] = ["one", "two", "three"];
        let (last_failure, is_over) = (LastFailure::new(), AtomicU32::new(0));
        let epoch = Epoch::new(3);
        // The type, the time and the message go together.
        let record = |kind: usize, count: u64| {
            let at = Duration::from_nanos(count * 3 + kind as u64);
            let name = NAMES[kind];
            let info = match kind {
                2 => FailureInfo::because(name, at.as_nanos().to_string().into(), at),
                _ => FailureInfo::new(name),
            };
            last_failure.record(&info, Some(at), epoch, || epoch);
        };
        record(0, 0);
        std::thread::scope(|scope| {
            let writers = [0, 1, 2].map(|kind| scope.spawn(move || (1..3_000).for_each(|count| record(kind, count))));
            let reader = scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    let last = last_failure.last().expect("never cleared");
                    let at = last.at.expect("always timed").as_nanos();
                    assert_eq!(NAMES[usize::try_from(at % 3).expect("few")], last.type_name);
                    let message = (last.type_name == "three").then(|| at.to_string());
                    assert_eq!(last.message.as_deref(), message.as_deref());
                }
            });
            for writer in writers {
                writer.join().expect("no panic");
            }
            is_over.store(1, Ordering::Relaxed);
            reader.join().expect("no panic");
        });
    }
}
