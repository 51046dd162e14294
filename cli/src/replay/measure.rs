use std::time::Duration;

use serde::Serialize;

use super::journal::Outage;
use crate::call::Trouble;

/// How a policy met the trouble there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meeting {
    /// From the beginning of each trouble to the opening; zero if it was open already.
    pub(super) to_open: Vec<Duration>,
    /// From the end of each trouble that it opened for to the close, zero if it had closed before; none if another trouble
    /// came first, or the end of the recording.
    pub(super) to_recover: Vec<Duration>,
    /// Troubles that it was closed for from beginning to end.
    pub(super) missed: u64,
    /// Openings that closed before any trouble, or came after it.
    pub(super) needless: u64,
}

/// Compares troubles with outages, both sorted by key and time.
pub(super) fn meet(troubles: &[Trouble], outages: &[Outage]) -> Meeting {
    let mut meeting = Meeting::default();
    for (index, trouble) in troubles.iter().enumerate() {
        let next = troubles.get(index + 1).filter(|next| next.key == trouble.key).map(|next| next.from);
        let own = of_key(outages, trouble.key);
        let to = trouble.to.unwrap_or(Duration::MAX);
        // Those before have closed before it began.
        let first = own.partition_point(|outage| outage.to.is_some_and(|to| to <= trouble.from));
        let met = own[first..].iter().take_while(|outage| outage.from < to);
        let Some(opening) = met.clone().next() else {
            meeting.missed += 1;
            continue;
        };
        meeting.to_open.push(opening.from.saturating_sub(trouble.from));
        let closed = met.last().and_then(|outage| outage.to);
        if let (Some(end), Some(closed)) = (trouble.to, closed)
            && next.is_none_or(|next| closed <= next)
        {
            meeting.to_recover.push(closed.saturating_sub(end));
        }
    }
    let is_needless = |outage: &&Outage| {
        let own = of_key_troubles(troubles, outage.key);
        let before = own.partition_point(|trouble| outage.to.is_none_or(|to| trouble.from < to));
        before.checked_sub(1).is_none_or(|last| own[last].to.is_some_and(|to| to <= outage.from))
    };
    meeting.needless = outages.iter().filter(is_needless).count() as u64;
    meeting
}

fn of_key(outages: &[Outage], key: u32) -> &[Outage] {
    let begin = outages.partition_point(|outage| outage.key < key);
    let length = outages[begin..].partition_point(|outage| outage.key == key);
    &outages[begin..begin + length]
}

fn of_key_troubles(troubles: &[Trouble], key: u32) -> &[Trouble] {
    let begin = troubles.partition_point(|trouble| trouble.key < key);
    let length = troubles[begin..].partition_point(|trouble| trouble.key == key);
    &troubles[begin..begin + length]
}

/// The middle and the longest of some durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Times {
    pub(super) median_seconds: f64,
    pub(super) longest_seconds: f64,
}

impl Times {
    pub(super) fn of(durations: &[Duration]) -> Option<Self> {
        let mut sorted = durations.to_vec();
        sorted.sort();
        Some(Times {
            median_seconds: sorted.get(sorted.len() / 2)?.as_secs_f64(),
            longest_seconds: sorted.last()?.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tally::Tally;
    use tripcoil::Cause;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn outage(key: u32, from: u64, to: Option<u64>) -> Outage {
        let (from, to) = (secs(from), to.map(secs));
        Outage { key, from, to, cause: Cause::ErrorRate, reopenings: 0, refused: Tally::default() }
    }

    fn trouble(key: u32, from: u64, to: Option<u64>) -> Trouble {
        Trouble { key, from: secs(from), to: to.map(secs) }
    }

    #[test]
    fn an_opening_within_the_trouble_is_timed_from_its_beginning_and_the_close_from_its_end() {
        let meeting = meet(&[trouble(0, 10, Some(60))], &[outage(0, 13, Some(67))]);
        assert_eq!((meeting.to_open, meeting.to_recover), (vec![secs(3)], vec![secs(7)]));
        assert_eq!((meeting.missed, meeting.needless), (0, 0));
    }

    #[test]
    fn another_key_or_another_time_is_no_answer() {
        let outages = [outage(0, 60, Some(90)), outage(1, 12, Some(20))];
        let meeting = meet(&[trouble(0, 10, Some(60))], &outages);
        assert_eq!(meeting, Meeting { missed: 1, needless: 2, ..Meeting::default() });
    }

    #[test]
    fn what_was_open_already_took_no_time_and_a_close_after_the_next_trouble_is_not_timed() {
        let troubles = [trouble(0, 10, Some(20)), trouble(0, 30, Some(40))];
        let meeting = meet(&troubles, &[outage(0, 9, Some(10)), outage(0, 11, Some(45)), outage(0, 46, None)]);
        assert_eq!(meeting.needless, 2);
        assert_eq!((meeting.to_open, meeting.to_recover), (vec![secs(1), secs(0)], vec![secs(5)]));
    }

    #[test]
    fn the_last_of_several_outages_in_a_trouble_is_the_recovery() {
        let outages = [outage(3, 11, Some(15)), outage(3, 16, Some(18)), outage(3, 19, Some(26))];
        let meeting = meet(&[trouble(3, 10, Some(20))], &outages);
        assert_eq!((meeting.to_open, meeting.to_recover), (vec![secs(1)], vec![secs(6)]));
        assert_eq!(meet(&[trouble(3, 10, None)], &outages).to_recover, []);
        assert_eq!(meet(&[trouble(3, 10, Some(20))], &[outage(3, 11, None)]).to_recover, []);
    }

    #[test]
    fn times_are_the_middle_and_the_longest() {
        assert_eq!(Times::of(&[]), None);
        let times = Times::of(&[secs(9), secs(1), secs(2)]).unwrap();
        assert_eq!(times, Times { median_seconds: 2.0, longest_seconds: 9.0 });
    }
}
