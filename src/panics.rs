use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls what is a user's, and lets no panic out of it: what comes after has to happen too.
pub(crate) fn contain(call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        discard(panic);
    }
}

/// Drops what someone panicked with, which may panic in turn.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
