use std::time::Duration;

use crate::machine::millis::Millis;
use crate::machine::stamp::{Mark, SharedMark};
use crate::machine::word::Epoch;

/// When the newest probe was admitted, and in which half-open epoch: what tells a silent probe.
///
/// It is written *before* the word that admits the probe, so that whoever sees the half-open state full
/// sees a stamp at least as new as its newest probe. A caller that then loses its slot has stamped for
/// nothing; the one that took the slot did so at about the same time.
pub(crate) struct NewestProbe(SharedMark);

/// A probe that has been silent for too long.
#[derive(Clone, Copy)]
pub(crate) struct Overdue(Mark);

impl NewestProbe {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            NewestProbe(SharedMark::new())
        }
    }

    /// When the newest probe of `epoch` will have been silent for `timeout`.
    pub(crate) fn overdue_at(&self, epoch: Epoch, timeout: Duration) -> Option<Millis> {
        self.0.load().of(epoch).map(|admitted| silent_until(admitted, timeout))
    }

    /// The newest probe of `epoch`, if at `now` it has been silent for `timeout`.
    pub(crate) fn overdue(&self, epoch: Epoch, now: Duration, timeout: Duration) -> Option<Overdue> {
        let seen = self.0.load_to_replace();
        let Some(admitted) = seen.of(epoch) else {
            // So long ago that it looked newer when the probe was admitted: its silence counts from now.
            // Should the epoch be over instead, the stamp that is lost here is made up for in the same way.
            self.0.replace(seen, stamp(epoch, now));
            return None;
        };
        let reached = Millis::reached(now);
        // A clock at the end of its range tells no silence.
        let is_overdue = reached >= silent_until(admitted, timeout) && reached.bits() > admitted;
        is_overdue.then_some(Overdue(seen))
    }

    /// Stamps a probe that found a slot.
    pub(crate) fn stamp(&self, epoch: Epoch, now: Duration) {
        self.0.raise(stamp(epoch, now));
    }

    /// Stamps a probe that takes the place of a silent one. Only one caller can, for each silent probe.
    pub(crate) fn replace(&self, silent: Overdue, epoch: Epoch, now: Duration) -> bool {
        self.0.replace(silent.0, stamp(epoch, now))
    }
}

fn stamp(epoch: Epoch, now: Duration) -> Mark {
    Mark::new(epoch, Millis::not_before(now).bits())
}

fn silent_until(admitted: u64, timeout: Duration) -> Millis {
    Millis::after(Duration::from_millis(admitted), timeout)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_probe_is_overdue_at_its_timeout_and_can_be_replaced_once() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(2));
        newest.stamp(epoch, at(5));
        assert!(newest.overdue(epoch, at(15) - Duration::from_nanos(1), TIMEOUT).is_none());
        let first = newest.overdue(epoch, at(15), TIMEOUT).expect("overdue");
        let second = newest.overdue(epoch, at(15), TIMEOUT).expect("overdue");
        assert!(newest.replace(first, epoch, at(15)));
        assert!(!newest.replace(second, epoch, at(15)));
        assert!(newest.overdue(epoch, at(24), TIMEOUT).is_none());
    }

    #[test]
    fn a_stamp_of_another_epoch_says_nothing() {
        let newest = NewestProbe::new();
        newest.stamp(Epoch::new(6), at(9));
        assert_eq!(newest.overdue_at(Epoch::new(6), TIMEOUT), Some(Millis::reached(at(19))));
        assert_eq!(newest.overdue_at(Epoch::new(4), TIMEOUT), None);
    }

    #[test]
    fn a_stamp_so_old_that_it_looks_newer_gives_way_to_the_first_caller_that_is_refused() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(300_000));
        newest.stamp(Epoch::new(300_500), at(1));
        newest.stamp(epoch, at(100));
        assert_eq!(newest.overdue_at(epoch, TIMEOUT), None);
        assert!(newest.overdue(epoch, at(104), TIMEOUT).is_none());
        assert_eq!(newest.overdue_at(epoch, TIMEOUT), Some(Millis::reached(at(114))));
        assert!(newest.overdue(epoch, at(114), TIMEOUT).is_some());
    }

    #[test]
    fn a_clock_at_the_end_of_its_range_makes_no_probe_overdue() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(1));
        newest.stamp(epoch, Duration::MAX);
        assert!(newest.overdue(epoch, Duration::MAX, TIMEOUT).is_none());
        newest.stamp(epoch.next(), at(5));
        assert!(newest.overdue(epoch.next(), Duration::MAX, Duration::MAX).is_some());
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_probe_overdue() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(1));
        newest.stamp(epoch, at(100));
        assert!(newest.overdue(epoch, at(40), TIMEOUT).is_none());
    }
}
