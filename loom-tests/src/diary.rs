//! What the models of loom and of shuttle have of observers.

use std::sync::{Arc, Mutex, PoisonError};

use tripcoil::{Builder, Transition};

/// What an observer was told, one line for each transition.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    /// Adds the observer that keeps this diary.
    pub fn kept_by(&self, builder: Builder) -> Builder {
        let diary = self.clone();
        builder.on_transition(move |transition| diary.note(transition))
    }

    fn note(&self, transition: &Transition) {
        let Transition { sequence, from, to, .. } = transition;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{sequence} {from} {to}"));
    }

    /// All that was told so far, in the order in which it was.
    #[must_use]
    pub fn told(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join(", ")
    }
}
