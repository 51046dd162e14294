use std::sync::Arc;
use std::time::Duration;

use crate::metrics::LastError;
use crate::sync::Mutex;
use crate::sync::unmodelled::{AtomicUsize, Ordering};

/// The last failure, for the metrics.
pub(crate) struct Failures {
    last: Mutex<Option<LastError>>,
    /// Which type `last` names, if it says nothing else: a further failure of that type need not take
    /// the lock. 0 if none.
    plain: AtomicUsize,
}

/// What a failed call says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) type_name: &'static str,
    pub(crate) message: Option<Arc<str>>,
}

impl Note {
    pub(crate) const PANIC: Note = Note::new("panic");
    pub(crate) const DROPPED: Note = Note::new("dropped");
    pub(crate) const UNTOLD: Note = Note::new("failure");

    const fn new(type_name: &'static str) -> Self {
        Note { type_name, message: None }
    }

    /// Names the type of what `result` holds.
    #[inline]
    pub(crate) fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Note::new(std::any::type_name::<T>()),
            Err(_) => Note::new(std::any::type_name::<E>()),
        }
    }

    pub(crate) fn because(message: Arc<str>) -> Self {
        Note { message: Some(message), ..Note::UNTOLD }
    }
}

impl Failures {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Failures { last: Mutex::new(None), plain: AtomicUsize::new(0) }
        }
    }

    pub(crate) fn record(&self, note: Note, at: Option<Duration>) {
        let is_plain = note.message.is_none() && at.is_none();
        let plain = if is_plain { identity(note.type_name) } else { 0 };
        if is_plain && self.plain.load(Ordering::Relaxed) == plain {
            return;
        }
        let mut last = self.last.lock();
        *last = Some(LastError { type_name: note.type_name, at, message: note.message });
        self.plain.store(plain, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Option<LastError> {
        self.last.lock().clone()
    }

    pub(crate) fn clear(&self) {
        let mut last = self.last.lock();
        *last = None;
        self.plain.store(0, Ordering::Relaxed);
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
        let failures = Failures::new();
        let told = |note: Note, at: Option<Duration>| {
            failures.record(note, at);
            failures.last().map(|last| (last.type_name, last.at, last.message.as_deref().map(String::from)))
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(told(Note::PANIC, None), Some(("panic", None, None)));
        assert_eq!(told(Note::PANIC, second), Some(("panic", second, None)));
        assert_eq!(told(Note::PANIC, None), Some(("panic", None, None)));
        assert_eq!(told(Note::because("why".into()), None), Some(("failure", None, Some("why".into()))));
        assert_eq!(told(Note::UNTOLD, None), Some(("failure", None, None)));
        assert_eq!(told(Note::DROPPED, None), Some(("dropped", None, None)));
        failures.clear();
        assert_eq!(failures.last(), None);
        assert_eq!(told(Note::DROPPED, None), Some(("dropped", None, None)));
    }
}
