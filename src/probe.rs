use std::time::Duration;

use crate::sync::{Ordering, SwapU64};
use crate::time::Millis;
use crate::word::{EPOCH_MARK, Epoch, Field};

const ADMITTED: Field = Field::after(EPOCH_MARK, Millis::BITS);

/// When the newest probe was admitted, and in which half-open epoch: what tells a silent probe.
///
/// It is written *before* the word that admits the probe, so that whoever sees the half-open state full
/// sees a stamp at least as new as its newest probe. A caller that then loses its slot has stamped for
/// nothing; the one that took the slot did so at about the same time.
pub(crate) struct NewestProbe(SwapU64);

#[derive(Clone, Copy)]
struct Stamp(u64);

impl Stamp {
    fn new(epoch: Epoch, now: Duration) -> Self {
        Stamp(ADMITTED.set(epoch.number(), Millis::not_before(now).bits()))
    }

    fn epoch(self) -> Epoch {
        Epoch::new(EPOCH_MARK.get(self.0))
    }

    fn admitted(self) -> Millis {
        Millis::from_bits(ADMITTED.get(self.0))
    }

    fn is_newer_than(self, other: Stamp) -> bool {
        if self.epoch() == other.epoch() {
            self.admitted() > other.admitted()
        } else {
            self.epoch().is_after(other.epoch())
        }
    }

    fn silent_until(self, timeout: Duration) -> Millis {
        Millis::after(Duration::from_millis(self.admitted().bits()), timeout)
    }
}

/// A probe that has been silent for too long.
#[derive(Clone, Copy)]
pub(crate) struct Overdue(Stamp);

impl NewestProbe {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            NewestProbe(SwapU64::new(0))
        }
    }

    /// When the newest probe of `epoch` will have been silent for `timeout`.
    pub(crate) fn overdue_at(&self, epoch: Epoch, timeout: Duration) -> Option<Millis> {
        // Acquire: pairs with the Release of the stamp, which came before the word that the caller saw.
        let stamp = Stamp(self.0.load(Ordering::Acquire));
        (stamp.epoch() == epoch).then(|| stamp.silent_until(timeout))
    }

    /// The newest probe of `epoch`, if at `now` it has been silent for `timeout`.
    pub(crate) fn overdue(&self, epoch: Epoch, now: Duration, timeout: Duration) -> Option<Overdue> {
        // Acquire: as above.
        let stamp = Stamp(self.0.load_to_swap(Ordering::Acquire));
        if stamp.epoch() != epoch {
            // So long ago that it looked newer when the probe was admitted: its silence counts from now.
            // Should the epoch be over instead, the stamp that is lost here is made up for in the same way.
            let _ = self.swap(stamp, Stamp::new(epoch, now));
            return None;
        }
        let reached = Millis::reached(now);
        // A clock at the end of its range tells no silence.
        let is_overdue = reached >= stamp.silent_until(timeout) && reached > stamp.admitted();
        is_overdue.then_some(Overdue(stamp))
    }

    /// Stamps a probe that found a slot.
    pub(crate) fn stamp(&self, epoch: Epoch, now: Duration) {
        let new = Stamp::new(epoch, now);
        let mut seen = Stamp(self.0.load_to_swap(Ordering::Acquire));
        while new.is_newer_than(seen) {
            match self.swap(seen, new) {
                Ok(()) => break,
                Err(other) => seen = other,
            }
        }
    }

    /// Stamps a probe that takes the place of a silent one. Only one caller can, for each silent probe.
    pub(crate) fn replace(&self, silent: Overdue, epoch: Epoch, now: Duration) -> bool {
        let new = Stamp::new(epoch, now);
        loop {
            match self.swap(silent.0, new) {
                Ok(()) => return true,
                Err(other) if other.0 == silent.0.0 => {}
                Err(_) => return false,
            }
        }
    }

    fn swap(&self, seen: Stamp, new: Stamp) -> Result<(), Stamp> {
        // Release: pairs with the Acquire in `overdue` and `overdue_at`. Acquire on both ways, so that
        // the stamps form one chain.
        match self.0.compare_exchange_weak(seen.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(other) => Err(Stamp(other)),
        }
    }
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
    fn a_stamp_gives_way_to_a_newer_one_only() {
        let newest = NewestProbe::new();
        newest.stamp(Epoch::new(6), at(9));
        newest.stamp(Epoch::new(4), at(30));
        newest.stamp(Epoch::new(6), at(7));
        assert_eq!(newest.overdue_at(Epoch::new(6), TIMEOUT), Some(Millis::reached(at(19))));
        assert_eq!(newest.overdue_at(Epoch::new(4), TIMEOUT), None);
        newest.stamp(Epoch::new(8), at(1));
        assert_eq!(newest.overdue_at(Epoch::new(8), TIMEOUT), Some(Millis::reached(at(11))));
    }

    #[test]
    fn a_stamp_so_old_that_it_looks_newer_gives_way_to_the_first_caller_that_is_refused() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(300_000));
        newest.stamp(Epoch::new(5), at(1));
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
