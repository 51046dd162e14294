use std::time::Duration;

use super::Kind;
use super::Sums;
use crate::clock::{Clock, MonotonicClock};
use crate::machine::cell::Cell;
use crate::machine::epoch_cell::EPOCH_MARK;
use crate::machine::word::{Epoch, Field};
use crate::sync::unmodelled::{AtomicU64, Ordering as Unmodelled};
use crate::sync::{CountBox, Ordering, TallyU64};

/// Counts with any number of writers.
///
/// What healthy calls write comes last, so that in a place of the table it is far from what the owner writes.
#[repr(C)]
pub(super) struct SharedStripe {
    /// Made when it is first needed, so that a breaker that several threads use now and then stays small.
    rare: CountBox<Rare>,
    success: Credited,
    admitted: TallyU64,
}

/// What a stripe does without as long as all calls are healthy and rare.
struct Rare {
    error: Credited,
    rejected: TallyU64,
    ignored: TallyU64,
    dropped: TallyU64,
    uncredited_success: TallyU64,
    uncredited_error: TallyU64,
    success_floor: TallyU64,
    error_floor: TallyU64,
    /// When the current [`BURST`] began, in nanoseconds of [`MonotonicClock`].
    burst: AtomicU64,
}

impl Rare {
    fn new() -> Self {
        Rare {
            error: Credited::new(),
            rejected: TallyU64::new(0),
            ignored: TallyU64::new(0),
            dropped: TallyU64::new(0),
            uncredited_success: TallyU64::new(0),
            uncredited_error: TallyU64::new(0),
            success_floor: TallyU64::new(0),
            error_floor: TallyU64::new(0),
            burst: AtomicU64::new(0),
        }
    }

    fn floor_of(&self, kind: Kind) -> &TallyU64 {
        if kind == Kind::Success { &self.success_floor } else { &self.error_floor }
    }
}

/// A thread earns its own stripe by this many successes or rejections within [`SHORT`].
const BURST: u64 = if cfg!(any(loom, shuttle)) { 2 } else { 1_024 };
/// The time limit of a [`BURST`]. Without one, every breaker would grow in the end.
const SHORT: Duration = Duration::from_millis(20);

impl SharedStripe {
    pub(super) fn new() -> Self {
        SharedStripe { rare: CountBox::new(), success: Credited::new(), admitted: TallyU64::new(0) }
    }

    #[inline]
    pub(super) fn count_admission(&self) {
        self.admitted.fetch_add(1, Ordering::Release);
    }

    /// Returns whether the stripe is busy.
    pub(super) fn count_rejection(&self) -> bool {
        let before = self.rare().rejected.fetch_add(1, Ordering::Release);
        (before + 1) % BURST == 0 && self.is_short_burst()
    }

    fn is_short_burst(&self) -> bool {
        if cfg!(any(loom, shuttle)) {
            return true;
        }
        let now = u64::try_from(MonotonicClock.now().as_nanos()).unwrap_or(u64::MAX);
        let began = self.rare().burst.swap(now, Unmodelled::Relaxed);
        began != 0 && now.saturating_sub(began) < u64::try_from(SHORT.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Credits `epoch` with a success or an error; a late one counts in the totals alone. Returns whether the stripe is busy.
    #[inline(never)]
    pub(super) fn count(&self, kind: Kind, epoch: Epoch, present: &Cell) -> bool {
        self.count_fast(kind, epoch, present)
    }

    /// As [`count`](Self::count).
    #[expect(clippy::inline_always, reason = "a healthy call does little else")]
    #[inline(always)]
    pub(super) fn count_fast(&self, kind: Kind, epoch: Epoch, present: &Cell) -> bool {
        match self.counts(kind).try_add_one(epoch) {
            Ok(count) if count % BURST != 0 => false,
            Ok(count) => self.end_burst(kind, count),
            Err(found) => self.count_from(found, kind, epoch, present),
        }
    }

    /// Continues where [`try_add_one`](Credited::try_add_one) has failed.
    #[cold]
    fn count_from(&self, found: Overtaken, kind: Kind, epoch: Epoch, present: &Cell) -> bool {
        match self.counts(kind).add_one(found, epoch, present, || self.floor(kind)) {
            Credit::Given { count, contended } => contended | (count % BURST == 0 && self.end_burst(kind, count)),
            Credit::Late => {
                self.count_uncredited(kind);
                false
            }
        }
    }

    /// `count`: the low bits of one that has just been reached, a multiple of [`BURST`]. Returns whether the stripe is busy.
    #[cold]
    fn end_burst(&self, kind: Kind, count: u64) -> bool {
        if count % TURN == 0 {
            self.raise_floor(kind, count);
        }
        // Successes alone: where errors take turns with them, both would end a burst at almost the same time.
        kind == Kind::Success && self.is_short_burst()
    }

    #[inline]
    fn counts(&self, kind: Kind) -> &Credited {
        if kind == Kind::Success { &self.success } else { &self.rare().error }
    }

    /// `count`: the low bits of one that has just been reached.
    fn raise_floor(&self, kind: Kind, count: u64) {
        let whole = extend(self.floor(kind), count);
        self.rare().floor_of(kind).fetch_max(whole, Ordering::AcqRel);
    }

    /// A count of this kind that has been reached, not long ago.
    fn floor(&self, kind: Kind) -> u64 {
        self.rare.get().map_or(0, |rare| rare.floor_of(kind).load(Ordering::Acquire))
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(|| Box::new(Rare::new()))
    }

    pub(super) fn count_uncredited(&self, kind: Kind) {
        let rare = self.rare();
        match kind {
            Kind::Success => &rare.uncredited_success,
            Kind::Error => &rare.uncredited_error,
            Kind::Ignored => &rare.ignored,
            Kind::Dropped => &rare.dropped,
        }
        // Release: a reader that sees a call settled sees it admitted.
        .fetch_add(1, Ordering::Release);
    }

    pub(super) fn calls_in(&self, epoch: Epoch) -> u64 {
        let errors = self.rare.get().map_or(0, |rare| rare.error.calls_in(epoch, self.floor(Kind::Error)));
        self.success.calls_in(epoch, self.floor(Kind::Success)) + errors
    }

    pub(super) fn rejections(&self) -> u64 {
        self.rare.get().map_or(0, |rare| rare.rejected.load(Ordering::Acquire))
    }

    pub(super) fn admissions(&self) -> u64 {
        self.admitted.load(Ordering::Acquire)
    }

    pub(super) fn add_settled_to(&self, sums: &mut Sums) {
        // The floors first: a count that is read after its floor is not below it.
        sums.success += self.success.total(self.floor(Kind::Success));
        sums.rejected += self.rejections();
        if let Some(rare) = self.rare.get() {
            sums.success += rare.uncredited_success.load(Ordering::Acquire);
            sums.error += rare.error.total(self.floor(Kind::Error)) + rare.uncredited_error.load(Ordering::Acquire);
            sums.ignored += rare.ignored.load(Ordering::Acquire);
            sums.dropped += rare.dropped.load(Ordering::Acquire);
        }
    }
}

/// A count, and how much of it the current epoch is credited with.
///
/// An epoch and the low bits of the count share a word, so that one swap credits the epoch or finds that another one
/// has begun. The high bits follow from a *floor*, a count that has been reached not long ago.
struct Credited {
    packed: TallyU64,
    /// The whole count when the epoch in [`packed`](Self::packed) began, or more if a later one begins just now.
    start: TallyU64,
}

/// The low bits of the count.
const COUNT: Field = Field::after(EPOCH_MARK, u64::BITS - EPOCH_MARK.end());
/// A count of one. What is carried out of the count is lost, and the epoch stays.
const ONE: u64 = 1 << COUNT.start();
const _: () = assert!(COUNT.end() == u64::BITS);
/// The floor is raised each time the count has gone on by this. So it is never behind by as much as the low bits hold,
/// even if the thread that should raise it is late by a whole turn.
const TURN: u64 = (COUNT.max() + 1) / 4;
// The floor is raised where the end of a burst is looked for.
const _: () = assert!(TURN % BURST == 0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credit {
    /// `count`: the low bits. `contended`: another thread has come between.
    Given { count: u64, contended: bool },
    /// Not given: the epoch is over.
    Late,
}

/// What was found instead of a count of the epoch that was to be credited.
#[derive(Clone, Copy, Debug)]
struct Overtaken {
    seen: u64,
    /// Another thread has come between.
    contended: bool,
}

fn pack(epoch: Epoch, count: u64) -> u64 {
    COUNT.set(epoch.number(), count & COUNT.max())
}

impl Credited {
    fn new() -> Self {
        Credited { packed: TallyU64::new(0), start: TallyU64::new(0) }
    }

    /// Credits `epoch` if it is that of the count, and no other thread comes between.
    #[inline]
    fn try_add_one(&self, epoch: Epoch) -> Result<u64, Overtaken> {
        let seen = self.packed.load_to_swap(Ordering::Acquire);
        if EPOCH_MARK.get(seen) != epoch.number() {
            return Err(Overtaken { seen, contended: false });
        }
        let next = seen.wrapping_add(ONE);
        match self.try_swap(seen, next) {
            Ok(_) => Ok(COUNT.get(next)),
            Err(seen) => Err(Overtaken { seen, contended: true }),
        }
    }

    /// Goes on where [`try_add_one`](Self::try_add_one) has ended.
    fn add_one(&self, found: Overtaken, epoch: Epoch, present: &Cell, floor: impl Fn() -> u64) -> Credit {
        let Overtaken { mut seen, mut contended } = found;
        loop {
            if EPOCH_MARK.get(seen) != epoch.number() {
                // An epoch that is not in the word has ended. One that is in the word is later than all that were.
                if !present.is_in(epoch) {
                    return Credit::Late;
                }
                // Before the epoch is put in, so that no reader takes the calls of the one before for its own.
                self.start.fetch_max(extend(floor(), COUNT.get(seen)), Ordering::AcqRel);
            }
            let next = pack(epoch, COUNT.get(seen) + 1);
            match self.try_swap(seen, next) {
                Ok(_) => return Credit::Given { count: COUNT.get(next), contended },
                Err(found) => (seen, contended) = (found, true),
            }
        }
    }

    #[inline]
    fn try_swap(&self, seen: u64, next: u64) -> Result<u64, u64> {
        // Release: pairs with the Acquires in `calls_in` and `total`.
        self.packed.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
    }

    /// `floor` was read before.
    fn total(&self, floor: u64) -> u64 {
        extend(floor, COUNT.get(self.packed.load(Ordering::Acquire)))
    }

    /// `floor` was read before.
    fn calls_in(&self, epoch: Epoch, floor: u64) -> u64 {
        let packed = self.packed.load(Ordering::Acquire);
        if EPOCH_MARK.get(packed) != epoch.number() {
            return 0;
        }
        // Saturating: where a later epoch begins just now, this one is over.
        extend(floor, COUNT.get(packed)).saturating_sub(self.start.load(Ordering::Acquire))
    }
}

/// The number near `floor` that has these low bits: a count that was read before the floor may be a little behind it.
fn extend(floor: u64, low: u64) -> u64 {
    let ahead = low.wrapping_sub(floor) & COUNT.max();
    let behind = COUNT.max() + 1 - ahead;
    if behind <= TURN.min(floor) { floor - behind } else { floor.wrapping_add(ahead) }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch::new(4);

    fn succeed(stripe: &SharedStripe, epoch: Epoch, cell: &Cell) {
        assert!(!stripe.count(Kind::Success, epoch, cell));
    }

    fn total(stripe: &SharedStripe) -> u64 {
        let mut sums = Sums::ZERO;
        stripe.add_settled_to(&mut sums);
        sums.success
    }

    #[test]
    fn an_epoch_is_credited_with_its_own_calls() {
        let (stripe, mut cell) = (SharedStripe::new(), Cell::closed_in(EPOCH));
        (0..3).for_each(|_| succeed(&stripe, EPOCH, &cell));
        assert_eq!((stripe.calls_in(EPOCH), stripe.calls_in(EPOCH.next()), total(&stripe)), (3, 0, 3));
        cell = Cell::closed_in(EPOCH.next());
        succeed(&stripe, EPOCH.next(), &cell);
        assert_eq!((stripe.calls_in(EPOCH), stripe.calls_in(EPOCH.next()), total(&stripe)), (0, 1, 4));
        // A late one.
        succeed(&stripe, EPOCH, &cell);
        assert_eq!((stripe.calls_in(EPOCH.next()), total(&stripe)), (1, 5));
    }

    #[test]
    fn an_epoch_of_any_age_gives_way_to_the_one_in_the_word() {
        for age in [1, 2, EPOCH_MARK.max() / 2, EPOCH_MARK.max() / 2 + 1, EPOCH_MARK.max()] {
            let stripe = SharedStripe::new();
            succeed(&stripe, EPOCH, &Cell::closed_in(EPOCH));
            let later = Epoch::new(EPOCH.number() + age);
            succeed(&stripe, later, &Cell::closed_in(later));
            assert_eq!((stripe.calls_in(later), total(&stripe)), (1, 2), "after {age} epochs");
        }
    }

    #[test]
    fn a_count_that_was_read_before_the_floor_was_raised_is_none_of_the_next_turn() {
        for floor in [TURN, 3 * TURN, 4 * TURN, 9 * TURN] {
            for whole in [floor - TURN, floor - 2, floor - 1, floor, floor + 1, floor + 3 * TURN - 1] {
                assert_eq!(extend(floor, whole & COUNT.max()), whole, "{floor}");
            }
        }
        assert_eq!(extend(0, COUNT.max()), COUNT.max());
    }

    #[test]
    fn a_count_goes_on_beyond_its_low_bits() {
        for whole in [TURN - 1, COUNT.max() - 1, COUNT.max(), 5 * COUNT.max() + 3] {
            let (stripe, cell) = (SharedStripe::new(), Cell::closed_in(EPOCH));
            // As if the count had come here by ones.
            stripe.rare().success_floor.store(whole - whole % TURN, Ordering::Relaxed);
            stripe.success.packed.store(pack(EPOCH.next(), whole), Ordering::Relaxed);
            assert_eq!(total(&stripe), whole);
            (0..3).for_each(|_| succeed(&stripe, EPOCH, &cell));
            assert_eq!((total(&stripe), stripe.calls_in(EPOCH)), (whole + 3, 3));
        }
    }
}
