use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::word::Epoch;
use crate::metrics::LastError;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicU32, AtomicUsize, Ordering};

/// The last failure, for the metrics.
pub(crate) struct LastFailure {
    last: Mutex<Last>,
    /// Which type `last` names, if it says nothing else: a further failure of that type in the same epoch need not
    /// take the lock. 0 if none.
    plain: AtomicUsize,
    /// The epoch of `plain`.
    epoch: AtomicU32,
}

struct Last {
    error: Option<LastError>,
    /// The epoch of the error, or of the reset that cleared it.
    epoch: Epoch,
}

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
        let last = Last { error: None, epoch: Epoch::new(0) };
        LastFailure { last: Mutex::new(last), plain: AtomicUsize::new(0), epoch: AtomicU32::new(0) }
    }

    /// A failure counted in `epoch`. `now` returns the current epoch.
    #[inline]
    pub(crate) fn record(&self, info: &FailureInfo, at: Option<Duration>, epoch: Epoch, now: impl FnOnce() -> Epoch) {
        let is_plain = info.message.is_none() && at.is_none();
        let plain = if is_plain { identity(info.type_name) } else { 0 };
        // Acquire: pairs with the Release below, so that the epoch is not one before that of `plain`.
        if !is_plain || self.plain.load(Ordering::Acquire) != plain || !self.is_of(epoch) {
            self.replace(info, at, epoch, plain, now);
        }
    }

    #[cold]
    fn replace(
        &self,
        info: &FailureInfo,
        at: Option<Duration>,
        epoch: Epoch,
        plain: usize,
        now: impl FnOnce() -> Epoch,
    ) {
        let mut last = self.last.lock();
        // Else a reset, or a later failure, has come between.
        if !epoch.is_before(last.epoch, now()) {
            let error = Some(LastError { type_name: info.type_name, at, ago: None, message: info.message.clone() });
            *last = Last { error, epoch };
            self.store_plain(plain, epoch);
        }
    }

    pub(crate) fn last(&self) -> Option<LastError> {
        self.last.lock().error.clone()
    }

    /// A reset began `epoch`: failures of earlier epochs are dropped. `now` as above.
    pub(crate) fn clear(&self, epoch: Epoch, now: impl FnOnce() -> Epoch) {
        let mut last = self.last.lock();
        if last.epoch.is_before(epoch, now()) {
            *last = Last { error: None, epoch };
            self.store_plain(0, epoch);
        }
    }

    fn is_of(&self, epoch: Epoch) -> bool {
        u64::from(self.epoch.load(Ordering::Relaxed)) == epoch.number()
    }

    fn store_plain(&self, plain: usize, epoch: Epoch) {
        self.plain.store(0, Ordering::Relaxed);
        // Release, both: pairs with the Acquire in `record`.
        self.epoch.store(epoch.number_u32(), Ordering::Release);
        self.plain.store(plain, Ordering::Release);
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
}
