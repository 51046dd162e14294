use std::time::Duration;

use crate::machine::millis::Millis;
use crate::machine::word::{Epoch, Field};
use crate::sync::{Ordering, SwapU64};

/// When the newest probe of a half-open epoch was admitted. A silent probe is found by it.
///
/// A probe stamps *before* the swap of the word that admits it, so that a thread that sees the half-open state full sees a
/// stamp at least as new as its newest probe. A caller that then loses its slot has stamped for nothing; the one that
/// took the slot did so at about the same time.
///
/// A word has no room for it: the time alone takes 42 bits.
///
/// There are two stamps, one for the even epochs and one for the odd ones: while some callers stamp for the epoch that
/// is, others may already stamp for the next one, which they are about to begin. Which of two epochs is the later one,
/// no number tells forever. The word does: as long as it is in an epoch, nobody has stamped for one after the next.
pub(crate) struct NewestProbe([SwapU64; 2]);

/// The low bits of the epoch. What is older is told by the word, so these only have to tell the stamp's own epoch.
const MARK: Field = Field::first(22);
const ADMITTED: Field = Field::after(MARK, Millis::BITS);

const _: () = assert!(ADMITTED.end() == u64::BITS);

/// No epoch's: it has a time at which no probe is ever overdue.
const NONE: u64 = u64::MAX;

impl NewestProbe {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            NewestProbe([SwapU64::new(NONE), SwapU64::new(NONE)])
        }
    }

    /// When the newest probe of `epoch` was admitted; where `epoch` is one of steps of recovery, when it began.
    pub(crate) fn admitted_at(&self, epoch: Epoch) -> Option<Millis> {
        // Acquire: pairs with the Release in `stamp`.
        admitted(self.of(epoch).load(Ordering::Acquire), epoch)
    }

    /// When the newest probe of `epoch` will have been silent for `timeout`.
    pub(crate) fn overdue_at(&self, epoch: Epoch, timeout: Duration) -> Option<Millis> {
        self.admitted_at(epoch).map(|admitted| silent_until(admitted, timeout))
    }

    /// Whether at `now` the newest probe of `epoch` has been silent for `timeout`.
    #[cold]
    pub(crate) fn is_overdue(&self, epoch: Epoch, now: Duration, timeout: Duration) -> bool {
        // Acquire: as above.
        let Some(admitted) = admitted(self.of(epoch).load(Ordering::Acquire), epoch) else { return false };
        let reached = Millis::reached(now);
        // A clock at the end of its range finds no silence.
        reached >= silent_until(admitted, timeout) && reached > admitted
    }

    /// Stamps a probe of `epoch`, unless a newer one has. `stands`: whether the word is still one of `epoch` or of the
    /// epoch before. Returns whether it was.
    pub(crate) fn stamp(&self, epoch: Epoch, now: Duration, stands: impl Fn() -> bool) -> bool {
        let (place, now) = (self.of(epoch), Millis::not_before(now));
        let mut seen = place.load_to_swap(Ordering::Acquire);
        loop {
            match admitted(seen, epoch) {
                Some(admitted) if admitted >= now => return true,
                // Asked after the load: what was there then is of an epoch before, and gives way, if the word still
                // stands now.
                None if !stands() => return false,
                _ => {}
            }
            let stamp = ADMITTED.set(mark(epoch), now.bits());
            // Release: pairs with the Acquire above. Acquire on both ways: who sees a stamp of a later epoch sees the
            // word of that epoch or the one before it.
            match place.compare_exchange_weak(seen, stamp, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => seen = found,
            }
        }
    }

    fn of(&self, epoch: Epoch) -> &SwapU64 {
        &self.0[usize::from(epoch.number() & 1 != 0)]
    }
}

fn mark(epoch: Epoch) -> u64 {
    epoch.number() & MARK.max()
}

fn admitted(stamp: u64, epoch: Epoch) -> Option<Millis> {
    (stamp != NONE && MARK.get(stamp) == mark(epoch)).then(|| Millis::from_bits(ADMITTED.get(stamp)))
}

fn silent_until(admitted: Millis, timeout: Duration) -> Millis {
    Millis::after(Duration::from_millis(admitted.bits()), timeout)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::machine::word::EPOCH;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stamp(newest: &NewestProbe, epoch: Epoch, now: Duration) {
        assert!(newest.stamp(epoch, now, || true));
    }

    #[test]
    fn a_probe_is_overdue_at_its_timeout() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(2));
        stamp(&newest, epoch, at(5));
        assert!(!newest.is_overdue(epoch, at(15) - Duration::from_nanos(1), TIMEOUT));
        assert!(newest.is_overdue(epoch, at(15), TIMEOUT));
        assert_eq!(newest.overdue_at(epoch, TIMEOUT), Some(Millis::reached(at(15))));
    }

    #[test]
    fn the_newest_of_several_probes_is_the_one_that_counts() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(2));
        for (now, overdue) in [(5, 15), (9, 19), (7, 19)] {
            stamp(&newest, epoch, at(now));
            assert_eq!(newest.overdue_at(epoch, TIMEOUT), Some(Millis::reached(at(overdue))));
        }
    }

    #[test]
    fn a_stamp_of_another_epoch_says_nothing() {
        let newest = NewestProbe::new();
        stamp(&newest, Epoch::new(6), at(9));
        for other in [4, 5, 7, 8] {
            assert_eq!(newest.overdue_at(Epoch::new(other), TIMEOUT), None);
            assert!(!newest.is_overdue(Epoch::new(other), Duration::MAX, TIMEOUT));
        }
    }

    #[test]
    fn stamps_for_neighbouring_epochs_leave_each_other_alone() {
        let newest = NewestProbe::new();
        stamp(&newest, Epoch::new(6), at(9));
        stamp(&newest, Epoch::new(7), at(10));
        stamp(&newest, Epoch::new(6), at(11));
        let overdue = [6, 7].map(|epoch| newest.overdue_at(Epoch::new(epoch), TIMEOUT));
        assert_eq!(overdue, [21, 20].map(|seconds| Some(Millis::reached(at(seconds)))));
    }

    #[test]
    fn a_stamp_of_however_long_ago_gives_way_as_long_as_the_word_stands() {
        let last = EPOCH.max();
        let epoch = Epoch::new(last - 5);
        let long_ago = |ago| Epoch::new(epoch.number() + last + 1 - ago);
        for ago in [2, MARK.max() - 1, MARK.max() + 1, MARK.max() + 3, 1 << 28, (1 << 28) + 2, last - 1] {
            let newest = NewestProbe::new();
            stamp(&newest, long_ago(ago), at(1));
            stamp(&newest, epoch, at(100));
            assert_eq!(newest.overdue_at(epoch, TIMEOUT), Some(Millis::reached(at(110))), "after {ago}");
        }
        for ago in [2, MARK.max() - 1, MARK.max() + 3, (1 << 28) + 2, last - 1] {
            let newest = NewestProbe::new();
            stamp(&newest, long_ago(ago), at(100));
            stamp(&newest, epoch, at(1));
            assert_eq!(newest.overdue_at(epoch, TIMEOUT), Some(Millis::reached(at(11))), "after {ago}");
        }
    }

    #[test]
    fn who_is_late_with_a_stamp_leaves_that_of_a_later_epoch_alone() {
        let newest = NewestProbe::new();
        stamp(&newest, Epoch::new(8), at(1));
        assert!(!newest.stamp(Epoch::new(6), at(100), || false));
        assert_eq!(newest.overdue_at(Epoch::new(8), TIMEOUT), Some(Millis::reached(at(11))));
    }

    #[test]
    fn a_clock_at_the_end_of_its_range_makes_no_probe_overdue() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(1));
        stamp(&newest, epoch, Duration::MAX);
        assert!(!newest.is_overdue(epoch, Duration::MAX, TIMEOUT));
        stamp(&newest, epoch.next(), at(5));
        assert!(newest.is_overdue(epoch.next(), Duration::MAX, Duration::MAX));
    }

    #[test]
    fn a_clock_that_steps_back_makes_no_probe_overdue() {
        let (newest, epoch) = (NewestProbe::new(), Epoch::new(1));
        stamp(&newest, epoch, at(100));
        assert!(!newest.is_overdue(epoch, at(40), TIMEOUT));
    }
}
