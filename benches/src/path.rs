use std::fmt;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// A success while closed.
    Closed,
    /// The same, with an error rate over the last 100 calls.
    Last100,
    /// The same over the last 10 000 calls.
    Last10000,
    /// The same over the last 10 s.
    Last10Seconds,
    /// The same by a clock that ticks every few milliseconds.
    Last10SecondsCoarse,
    /// Success and failure in turn, without opening.
    Alternating,
    /// A rejection while open.
    Rejected,
    /// The same by a clock that ticks every few milliseconds.
    RejectedCoarse,
    /// A failure that opens, and a probe that closes.
    Probe,
    /// A success while closed, of a future.
    Async,
    /// Asking for leave, and reporting a success.
    Permit,
    /// A snapshot of the counts.
    Metrics,
}

impl Path {
    pub(crate) const ALL: [Path; 12] = [
        Path::Closed,
        Path::Last100,
        Path::Last10000,
        Path::Last10Seconds,
        Path::Last10SecondsCoarse,
        Path::Alternating,
        Path::Rejected,
        Path::RejectedCoarse,
        Path::Probe,
        Path::Async,
        Path::Permit,
        Path::Metrics,
    ];

    /// Whether it is measured on two threads that share a breaker, too.
    pub(crate) const fn is_shared(self) -> bool {
        matches!(
            self,
            Path::Closed
                | Path::Last100
                | Path::Last10000
                | Path::Last10Seconds
                | Path::Last10SecondsCoarse
                | Path::Rejected
                | Path::RejectedCoarse
        )
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Path::Closed => "closed, success",
            Path::Last100 => "closed, success, rate over the last 100 calls",
            Path::Last10000 => "closed, success, rate over the last 10 000 calls",
            Path::Last10Seconds => "closed, success, rate over the last 10 s",
            Path::Last10SecondsCoarse => "closed, success, rate over the last 10 s, coarse clock",
            Path::Alternating => "closed, success and failure in turn",
            Path::Rejected => "open, rejected",
            Path::RejectedCoarse => "open, rejected, coarse clock",
            Path::Probe => "open, probe, closed again: the whole cycle",
            Path::Async => "closed, success, async",
            Path::Permit => "closed, permit and success apart",
            Path::Metrics => "metrics",
        })
    }
}
