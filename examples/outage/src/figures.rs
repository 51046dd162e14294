use std::time::Duration;

use tripcoil::State;

use crate::record::{Call, Caller, Ending, Record, Shadow};
use crate::script::Condition;

/// So many calls in a row that the breaker kept back mean that calling has stopped.
pub(crate) const QUIET_CALLS: usize = 20;
/// Traffic is back when, for so long, at least [`BACK_SHARE`] of the calls succeed.
pub(crate) const BACK_WINDOW: Duration = Duration::from_millis(500);
pub(crate) const BACK_SHARE: f64 = 0.95;

/// What one run comes to.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) requests: usize,
    pub(crate) by_threads: usize,
    pub(crate) success_share: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) reached_sick: u32,
    pub(crate) refused: usize,
    pub(crate) rejected: usize,
    /// The latencies of all failed calls together.
    pub(crate) wasted: Duration,
    /// From the first sick moment until calling stopped.
    pub(crate) stopped_after: Option<Duration>,
    /// From the moment that the server took connections again until traffic was back.
    pub(crate) back_after: Option<Duration>,
    pub(crate) shadow: Option<ShadowFigures>,
}

/// What a shadow would have done in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ShadowFigures {
    /// The share of the calls that it saw.
    pub(crate) coverage: f64,
    pub(crate) openings: usize,
    /// Of the calls that it saw, those that it would have rejected.
    pub(crate) rejected: u64,
    /// Of these, the calls that failed.
    pub(crate) failed: u64,
    pub(crate) succeeded: u64,
    pub(crate) ignored_or_dropped: u64,
}

impl ShadowFigures {
    fn of(shadow: &Shadow) -> Self {
        let Shadow { states, metrics } = shadow;
        let rejections = metrics.rejections;
        ShadowFigures {
            coverage: metrics.coverage(),
            openings: states.iter().filter(|(_, state)| *state == State::Open).count(),
            rejected: metrics.rejected_count,
            failed: rejections.error_count,
            succeeded: rejections.success_count,
            ignored_or_dropped: rejections.ignored_count + rejections.dropped_count,
        }
    }
}

impl Figures {
    pub(crate) fn of(record: &Record) -> Self {
        let calls = &record.calls;
        let count = |ending| calls.iter().filter(|call| call.ending == ending).count();
        let mut latencies: Vec<_> = calls.iter().map(|call| call.latency).collect();
        latencies.sort_unstable();
        let sick = record.first(Condition::is_sick);
        let up_again = record.first(|condition| condition == Condition::Recovering);
        Figures {
            requests: calls.len(),
            by_threads: calls.iter().filter(|call| call.caller == Caller::Thread).count(),
            success_share: share(count(Ending::Good), calls.len()),
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
            reached_sick: record.chart.sick_requests,
            refused: count(Ending::Refused),
            rejected: count(Ending::Rejected),
            wasted: calls
                .iter()
                .filter(|call| matches!(call.ending, Ending::Failed | Ending::Refused))
                .map(|call| call.latency)
                .sum(),
            stopped_after: sick.and_then(|since| stopped_after(since, calls)),
            back_after: up_again.and_then(|since| back_after(since, record.length, calls)),
            shadow: record.shadow.as_ref().map(ShadowFigures::of),
        }
    }
}

/// The nearest-rank percentile of what is sorted; zero of nothing.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn stopped_after(since: Duration, calls: &[Call]) -> Option<Duration> {
    let first = calls.partition_point(|call| call.at < since);
    let quiet = |calls: &&[Call]| calls.iter().all(|call| call.ending == Ending::Rejected);
    calls[first..].windows(QUIET_CALLS).find(quiet).map(|calls| calls[0].at - since)
}

fn back_after(since: Duration, length: Duration, calls: &[Call]) -> Option<Duration> {
    let first = calls.partition_point(|call| call.at < since);
    let calls = &calls[first..];
    (0..calls.len()).find_map(|index| {
        let begin = calls[index].at;
        let end = begin + BACK_WINDOW;
        let window = &calls[index..calls.partition_point(|call| call.at < end)];
        let good = window.iter().filter(|call| call.ending == Ending::Good).count();
        let back = calls[index].ending == Ending::Good && end <= length && share(good, window.len()) >= BACK_SHARE;
        back.then(|| begin - since)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn calls(endings: impl IntoIterator<Item = Ending>) -> Vec<Call> {
        let call = |(ending, at)| Call { caller: Caller::Task, at: millis(at), latency: millis(1), ending };
        endings.into_iter().zip((0..).step_by(10)).map(call).collect()
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<_> = (1..=200).map(millis).collect();
        assert_eq!(percentile(&sorted, 50), millis(100));
        assert_eq!(percentile(&sorted, 99), millis(198));
        assert_eq!(percentile(&sorted, 100), millis(200));
        assert_eq!(percentile(&sorted[..1], 50), millis(1));
        assert_eq!(percentile(&sorted[..3], 50), millis(2));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn calling_has_stopped_when_enough_calls_in_a_row_are_kept_back() {
        let mut endings = vec![Ending::Rejected; 19];
        endings.push(Ending::Failed);
        endings.extend(vec![Ending::Rejected; 20]);
        assert_eq!(stopped_after(millis(0), &calls(endings.clone())), Some(millis(200)));
        assert_eq!(stopped_after(millis(50), &calls(endings.clone())), Some(millis(150)));
        endings.pop();
        assert_eq!(stopped_after(millis(0), &calls(endings)), None);
    }

    #[test]
    fn traffic_is_back_when_a_whole_window_is_good() {
        let mut endings = vec![Ending::Good, Ending::Failed, Ending::Failed, Ending::Failed, Ending::Failed];
        endings.extend(vec![Ending::Good; 50]);
        let calls = calls(endings);
        assert_eq!(back_after(millis(0), millis(550), &calls), Some(millis(50)));
        assert_eq!(back_after(millis(20), millis(550), &calls), Some(millis(30)));
        assert_eq!(back_after(millis(0), millis(540), &calls), None);
    }
}
