use std::time::Duration;

use super::tally::Class;
use crate::call::Trouble;

/// Finds the trouble in recorded traffic: seconds in which at least half of the calls to a key were bad, with at least
/// [`LEAST`] bad calls in all. A second without calls is like the one before it. Bad calls in a row that reach into the first
/// of these seconds belong to it.
#[derive(Debug)]
pub(super) struct TroubleFinder {
    keys: Vec<Watch>,
    found: Vec<Trouble>,
    /// Those that there was no room for.
    unkept: u64,
}

/// Fewer bad calls are no trouble.
pub(super) const LEAST: u64 = 5;

/// The most troubles that are kept.
const MOST: usize = 100_000;

#[derive(Clone, Debug, Default)]
struct Watch {
    second: u64,
    /// When the run of bad calls began that the last call belongs to.
    run: Option<Duration>,
    /// The first call of this second.
    first: Option<Duration>,
    /// When the first run of bad calls began that reaches into this second.
    first_bad: Option<Duration>,
    calls: u64,
    bad: u64,
    trouble: Option<Beginning>,
}

#[derive(Clone, Copy, Debug)]
struct Beginning {
    from: Duration,
    bad: u64,
}

impl TroubleFinder {
    pub(super) fn new() -> Self {
        TroubleFinder { keys: Vec::new(), found: Vec::new(), unkept: 0 }
    }

    /// Takes the next call, by the time at which it started.
    pub(super) fn note(&mut self, key: u32, time: Duration, class: Class) {
        let index = key as usize;
        if index >= self.keys.len() {
            self.keys.resize(index + 1, Watch::default());
        }
        if self.keys[index].second != time.as_secs() {
            self.end_second(key);
            self.keys[index].second = time.as_secs();
        }
        let watch = &mut self.keys[index];
        watch.first.get_or_insert(time);
        watch.calls += 1;
        if class.is_bad() {
            let run = *watch.run.get_or_insert(time);
            watch.first_bad.get_or_insert(run);
            watch.bad += 1;
        } else {
            watch.run = None;
        }
    }

    /// All troubles, by key and time, and the number of those that there was no room for.
    pub(super) fn finish(mut self) -> (Vec<Trouble>, u64) {
        for key in 0..self.keys.len() {
            let key = u32::try_from(key).expect("keys are few");
            self.end_second(key);
            if let Some(trouble) = self.keys[key as usize].trouble {
                self.keep(key, trouble, None);
            }
        }
        self.found.sort_by_key(|trouble| (trouble.key, trouble.from));
        (self.found, self.unkept)
    }

    fn end_second(&mut self, key: u32) {
        let watch = &mut self.keys[key as usize];
        let Some(first) = watch.first else { return };
        let ended = match watch.first_bad {
            Some(from) if 2 * watch.bad >= watch.calls => {
                watch.trouble.get_or_insert(Beginning { from, bad: 0 }).bad += watch.bad;
                None
            }
            _ => watch.trouble.take(),
        };
        *watch = Watch { run: watch.run, trouble: watch.trouble, ..Watch::default() };
        if let Some(trouble) = ended {
            self.keep(key, trouble, Some(first));
        }
    }

    fn keep(&mut self, key: u32, trouble: Beginning, to: Option<Duration>) {
        if trouble.bad < LEAST {
            return;
        }
        if self.found.len() < MOST {
            self.found.push(Trouble { key, from: trouble.from, to });
        } else {
            self.unkept += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(calls: &[(u64, Class)]) -> Vec<(u64, Option<u64>)> {
        let mut finder = TroubleFinder::new();
        for &(millis, class) in calls {
            finder.note(0, Duration::from_millis(millis), class);
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        finder.finish().0.iter().map(|trouble| (millis(trouble.from), trouble.to.map(millis))).collect()
    }

    #[test]
    fn it_begins_with_the_first_of_the_bad_calls_and_ends_with_the_first_second_that_is_mostly_good() {
        let good = (0..10).map(|n| (n * 100, Class::Good));
        let bad = (10..30).map(|n| (n * 100 + 7, if n < 18 { Class::Good } else { Class::Failed }));
        let again = (40..50).map(|n| (n * 100, Class::Good));
        let calls: Vec<_> = good.chain(bad).chain(again).collect();
        assert_eq!(find(&calls), [(1807, Some(4000))]);
        assert_eq!(find(&calls[..30]), [(1807, None)], "the recording ends before the trouble");
    }

    #[test]
    fn a_few_bad_calls_are_no_trouble_and_neither_is_a_share_below_one_half() {
        let few: Vec<_> = (0..LEAST - 1).map(|n| (n * 1000, Class::Slow)).collect();
        assert_eq!(find(&few), []);
        let mixed: Vec<_> = (0..90).map(|n| (n * 10, if n % 3 == 0 { Class::Failed } else { Class::Good })).collect();
        assert_eq!(find(&mixed), []);
    }
}
