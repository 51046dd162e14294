//! How many probes were in flight at once.

use std::collections::BTreeMap;

/// How many may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) first: u32,
    pub(crate) most: u32,
}

/// A probe's stay at some place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) episode: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

/// The successes that may have raised the capacity of an episode: when they were, and of which episodes
/// they may have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raise {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) at: u64,
}

/// More at once than the capacity was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowd {
    pub(crate) episode: u64,
    pub(crate) probes: usize,
    pub(crate) allowed: u64,
}

/// The most probes of one episode that were there at once.
///
/// A probe begins after its admission and ends before its slot comes back, so if two of an episode are there
/// at once, both hold a slot. Slow start raises the capacity after the success that is its reason.
pub(crate) fn most_at_once(probes: &[Probe], raises: &[Raise], capacity: Capacity) -> Result<usize, Crowd> {
    let mut episodes: BTreeMap<u64, Vec<Probe>> = BTreeMap::new();
    for probe in probes {
        episodes.entry(probe.episode).or_default().push(*probe);
    }
    let mut most = 0;
    for (episode, probes) in episodes {
        for newest in &probes {
            let there = probes.iter().filter(|it| (it.begin..it.end).contains(&newest.begin)).count();
            let more = raises
                .iter()
                .filter(|raise| (raise.first..=raise.last).contains(&episode) && raise.at < newest.begin)
                .count();
            let allowed = (u64::from(capacity.first) + more as u64).min(capacity.most.into());
            if there as u64 > allowed {
                return Err(Crowd { episode, probes: there, allowed });
            }
            most = most.max(there);
        }
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { first: 2, most: 3 };

    fn probe(begin: u64, end: u64) -> Probe {
        Probe { episode: 2, begin, end }
    }

    #[test]
    fn as_many_as_the_capacity_are_allowed() {
        let probes = [probe(0, 10), probe(5, 12), probe(10, 20), probe(12, 30)];
        assert_eq!(most_at_once(&probes, &[], CAPACITY), Ok(2));
    }

    #[test]
    fn one_more_is_seen() {
        let probes = [probe(0, 10), probe(5, 12), probe(9, 20)];
        assert_eq!(most_at_once(&probes, &[], CAPACITY), Err(Crowd { episode: 2, probes: 3, allowed: 2 }));
    }

    #[test]
    fn a_success_before_it_allows_one_more_up_to_the_maximum() {
        let probes = [probe(0, 10), probe(5, 12), probe(9, 20)];
        let raise = |at, episode| Raise { first: episode, last: episode, at };
        assert_eq!(most_at_once(&probes, &[raise(8, 2)], CAPACITY), Ok(3));
        assert!(most_at_once(&probes, &[raise(9, 2)], CAPACITY).is_err());
        assert!(most_at_once(&probes, &[raise(8, 4)], CAPACITY).is_err());
        let four = [probe(0, 10), probe(5, 12), probe(9, 20), probe(9, 20)];
        assert!(most_at_once(&four, &[raise(1, 2), raise(2, 2)], CAPACITY).is_err());
    }

    #[test]
    fn episodes_are_counted_apart() {
        let other = Probe { episode: 4, begin: 9, end: 20 };
        assert_eq!(most_at_once(&[probe(0, 10), probe(5, 12), other], &[], CAPACITY), Ok(2));
    }
}
