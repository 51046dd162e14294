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
    /// One call in N fails, at even distances and without opening; by the default rule, or by an error rate over
    /// the last 100 calls.
    Failing { one_in: u64, last_100: bool },
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
    /// A success while closed, by a breaker that is looked up by its key.
    Keyed,
    /// A success while closed, by a breaker with a shadow.
    Shadowed,
    /// A success within a step of recovery that lets every call pass.
    Recovering,
}

impl Path {
    /// Success and failure in turn, by the default rule.
    pub(crate) const ALTERNATING: Path = Path::Failing { one_in: 2, last_100: false };

    pub(crate) const FAILING: [Path; 8] = [
        Path::ALTERNATING,
        Path::Failing { one_in: 5, last_100: false },
        Path::Failing { one_in: 20, last_100: false },
        Path::Failing { one_in: 100, last_100: false },
        Path::Failing { one_in: 2, last_100: true },
        Path::Failing { one_in: 5, last_100: true },
        Path::Failing { one_in: 20, last_100: true },
        Path::Failing { one_in: 100, last_100: true },
    ];

    const OTHERS: [Path; 14] = [
        Path::Closed,
        Path::Last100,
        Path::Last10000,
        Path::Last10Seconds,
        Path::Last10SecondsCoarse,
        Path::Rejected,
        Path::RejectedCoarse,
        Path::Probe,
        Path::Async,
        Path::Permit,
        Path::Metrics,
        Path::Keyed,
        Path::Shadowed,
        Path::Recovering,
    ];

    pub(crate) fn all() -> impl Iterator<Item = Path> {
        Path::OTHERS.into_iter().chain(Path::FAILING)
    }

    /// Whether the summary has it: one share of failures stands for the others, and no peer has a shadow or steps.
    pub(crate) const fn is_summarized(self) -> bool {
        matches!(self, Path::ALTERNATING) || !matches!(self, Path::Failing { .. } | Path::Shadowed | Path::Recovering)
    }

    /// Whether it is measured on two threads that share a breaker, too.
    pub(crate) const fn is_shared(self) -> bool {
        matches!(
            self,
            Path::Failing { .. }
                | Path::Closed
                | Path::Last100
                | Path::Last10000
                | Path::Last10Seconds
                | Path::Last10SecondsCoarse
                | Path::Rejected
                | Path::RejectedCoarse
                | Path::Keyed
        )
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Path::Closed => "closed, success",
            Path::Last100 => "closed, success, rate over the last 100 calls",
            Path::Last10000 => "closed, success, rate over the last 10 000 calls",
            Path::Last10Seconds => "closed, success, rate over the last 10 s",
            Path::Last10SecondsCoarse => "closed, success, rate over the last 10 s, coarse clock",
            Path::Failing { one_in, last_100 } => {
                match one_in {
                    2 => f.write_str("closed, success and failure in turn")?,
                    _ => write!(f, "closed, {} % of the calls fail", 100 / one_in)?,
                }
                if *last_100 { ", rate over the last 100 calls" } else { "" }
            }
            Path::Rejected => "open, rejected",
            Path::RejectedCoarse => "open, rejected, coarse clock",
            Path::Probe => "open, probe, closed again: the whole cycle",
            Path::Async => "closed, success, async",
            Path::Permit => "closed, permit and success apart",
            Path::Metrics => "metrics",
            Path::Keyed => "closed, success, looked up by key",
            Path::Shadowed => "closed, success, with a shadow",
            Path::Recovering => "half-open, success within a step of recovery",
        };
        f.write_str(name)
    }
}
