use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 for a time before.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn now_ms() -> u64 {
    millis(SystemTime::now())
}
