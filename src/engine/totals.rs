//! The totals of a breaker, counted in stripes.
//!
//! Threads that count at the same time should not write to the same cache line, and a thread that counts rarely
//! should cost no memory. So there are two kinds of stripes. An *own* stripe has one writer, and a load and a store do
//! for an addition. A *shared* stripe has any number of writers, which use read-modify-writes.
//!
//! The first thread that uses a breaker owns a stripe from the start. Further threads share one, until one of them
//! *earns* a stripe of its own: by a compare-and-swap that it loses to another thread, or by counts in quick
//! succession. Stripes that are earned are bounded by the number of cores. Threads beyond that share the stripes that
//! lie beside the earned ones, each found by the thread's number. A thread whose number is given out again leaves its
//! stripe, counts included, to the next thread of that number.
//!
//! Readers sum all stripes.

mod shared;

use std::sync::OnceLock;

use crate::machine::cell::Cell;
use crate::machine::word::Epoch;
use crate::sync::unmodelled::{AtomicU32, Ordering as Unmodelled};
use crate::sync::{CountBox, Ordering, TallyU64, taken_thread_number, thread_number, thread_number_or_take};

use shared::SharedStripe;

/// The stripes of a breaker. The breaker keeps the two parts far enough from each other: what every call reads,
/// and what the first thread's calls write.
#[derive(Clone, Copy)]
pub(crate) struct Totals<'a> {
    pub(crate) first_owner: &'a FirstOwner,
    pub(crate) directory: &'a Directory,
    pub(crate) first: &'a Stripe,
}

/// The number of the thread that owns the first stripe.
pub(crate) struct FirstOwner(AtomicU32);

/// Where all other threads find their stripes.
pub(crate) struct Directory {
    second: CountBox<Owned>,
    more: CountBox<More>,
    /// A bit for each stripe but the first that may hold a count, or will once it is made: [`SECOND`], [`SHARED`], and
    /// those of the table from [`TABLE`] on.
    used: TallyU64,
}

const NOBODY: u32 = u32::MAX;

const SECOND: u64 = 1;
const SHARED: u64 = 2;
const TABLE: u32 = 2;
/// The most places of a table. A bit of [`Directory::used`] stands for each.
const MOST: usize = 32;

/// A stripe and its owner.
struct Owned {
    stripe: Stripe,
    owner: u32,
}

/// What a breaker has that more than one thread has used.
struct More {
    shared: SharedStripe,
    /// Made when a second thread earns a stripe beyond [`Directory::second`].
    table: CountBox<Table>,
}

/// A place for each core, made when a thread earns it.
struct Table {
    places: Box<[CountBox<TablePlace>]>,
}

/// An earned stripe, and one that the other threads share whose numbers lead here. In cache lines of their own: what the owner writes often
/// comes first, and what the others write often last.
#[repr(C, align(64))]
struct TablePlace {
    own: Stripe,
    shared: SharedStripe,
    owner: u32,
}

/// Counts with a single writer at a time.
///
/// A healthy call writes to the first two and reads the third.
#[repr(C)]
pub(crate) struct Stripe {
    admitted: Tally,
    success: Tally,
    /// The epoch that [`start`](Self::start) belongs to.
    epoch: TallyU64,
    /// The successes and errors that were counted before that epoch.
    start: TallyU64,
    error: Tally,
    uncredited_success: Tally,
    uncredited_error: Tally,
    ignored: Tally,
    dropped: Tally,
    rejected: Tally,
}

/// No epoch, while `start` is written.
const NO_EPOCH: u64 = u64::MAX;

struct Tally(TallyU64);

impl Tally {
    crate::sync::const_unless_loom! {
        fn new() -> Self {
            Tally(TallyU64::new(0))
        }
    }

    #[inline]
    fn add_one(&self) {
        // Release: pairs with the Acquire in `get`. A reader that sees a call settled sees it admitted.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What the totals count a settled call as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Success,
    Error,
    Ignored,
    Dropped,
}

/// The sums of all stripes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) success: u64,
    pub(crate) error: u64,
    pub(crate) ignored: u64,
    pub(crate) dropped: u64,
    pub(crate) rejected: u64,
    pub(crate) slow: u64,
    pub(crate) active: u64,
}

impl Sums {
    pub(crate) const ZERO: Sums =
        Sums { success: 0, error: 0, ignored: 0, dropped: 0, rejected: 0, slow: 0, active: 0 };

    /// What has come since `earlier`. The active calls are no sum, and stay as they are.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Sums {
            success: self.success.saturating_sub(earlier.success),
            error: self.error.saturating_sub(earlier.error),
            ignored: self.ignored.saturating_sub(earlier.ignored),
            dropped: self.dropped.saturating_sub(earlier.dropped),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            slow: self.slow.saturating_sub(earlier.slow),
            active: self.active,
        }
    }
}

impl Stripe {
    /// The bytes that a healthy call touches.
    #[cfg(all(test, not(loom)))]
    pub(crate) const HOT: usize = std::mem::offset_of!(Stripe, start);

    /// Where the rejections are counted.
    #[cfg(all(test, not(loom)))]
    pub(crate) const REJECTED: usize = std::mem::offset_of!(Stripe, rejected);

    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Stripe {
                admitted: Tally::new(),
                success: Tally::new(),
                epoch: TallyU64::new(0),
                start: TallyU64::new(0),
                error: Tally::new(),
                uncredited_success: Tally::new(),
                uncredited_error: Tally::new(),
                ignored: Tally::new(),
                dropped: Tally::new(),
                rejected: Tally::new(),
            }
        }
    }

    #[inline]
    pub(crate) fn count_admission(&self) {
        self.admitted.add_one();
    }

    #[inline]
    pub(crate) fn count_rejection(&self) {
        self.rejected.add_one();
    }

    /// Credits `epoch`, which had not ended just now, with a success.
    #[inline]
    pub(crate) fn count_success(&self, epoch: Epoch) {
        self.enter(epoch);
        self.success.add_one();
    }

    #[inline]
    pub(crate) fn count_error(&self, epoch: Epoch) {
        self.enter(epoch);
        self.error.add_one();
    }

    #[inline]
    fn enter(&self, epoch: Epoch) {
        if self.epoch.load(Ordering::Relaxed) != epoch.number() {
            self.start_epoch(epoch);
        }
    }

    /// The owner has just seen `epoch` in the word, so it cannot have counted in a later one.
    #[cold]
    fn start_epoch(&self, epoch: Epoch) {
        // Release, all of them: pairs with the Acquires in `calls_in`. A reader that sees the new start, or a call
        // that is counted after it, does not take it for one of the epoch before.
        self.epoch.store(NO_EPOCH, Ordering::Release);
        self.start.store(self.success.get().wrapping_add(self.error.get()), Ordering::Release);
        self.epoch.store(epoch.number(), Ordering::Release);
    }

    pub(crate) fn count_uncredited(&self, kind: Kind) {
        match kind {
            Kind::Success => &self.uncredited_success,
            Kind::Error => &self.uncredited_error,
            Kind::Ignored => &self.ignored,
            Kind::Dropped => &self.dropped,
        }
        .add_one();
    }

    fn calls_in(&self, epoch: Epoch) -> u64 {
        if self.epoch.load(Ordering::Acquire) != epoch.number() {
            return 0;
        }
        let start = self.start.load(Ordering::Acquire);
        let calls = self.success.get().wrapping_add(self.error.get()).wrapping_sub(start);
        // The owner has gone on to another epoch meanwhile: `epoch` is over, and its calls decide nothing any more.
        if self.epoch.load(Ordering::Relaxed) == epoch.number() { calls } else { 0 }
    }

    fn add_settled_to(&self, sums: &mut Sums) {
        sums.success += self.success.get() + self.uncredited_success.get();
        sums.error += self.error.get() + self.uncredited_error.get();
        sums.ignored += self.ignored.get();
        sums.dropped += self.dropped.get();
        sums.rejected += self.rejected.get();
    }
}

/// The stripe that a thread counts in.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Of the stripe: the first, the second and the shared one, and those of the table from [`Place::TABLE`] on.
    pub(crate) index: usize,
    stripe: Either<'a>,
}

#[derive(Clone, Copy)]
enum Either<'a> {
    Own(&'a Stripe),
    Shared(&'a SharedStripe),
}

impl Place<'_> {
    /// The first index that several threads may have.
    pub(crate) const SHARED: usize = 2;
    const TABLE: usize = 3;
    /// One more than the largest index.
    pub(crate) const END: usize = Place::TABLE + MOST;

    /// Counts the admission of a call.
    #[inline]
    pub(crate) fn count_admission(self) {
        match self.stripe {
            Either::Own(stripe) => stripe.count_admission(),
            Either::Shared(stripe) => stripe.count_admission(),
        }
    }

    /// Counts a call in the totals alone: a late one, or one without an outcome.
    pub(crate) fn count_uncredited(self, kind: Kind) {
        match self.stripe {
            Either::Own(stripe) => stripe.count_uncredited(kind),
            Either::Shared(stripe) => stripe.count_uncredited(kind),
        }
    }
}

impl FirstOwner {
    crate::sync::const_unless_loom! {
        pub(crate) fn nobody() -> Self {
            FirstOwner(AtomicU32::new(NOBODY))
        }
    }

    #[inline]
    fn number(&self) -> u32 {
        // Relaxed: a thread has set its own number itself, or was given it by one that had.
        self.0.load(Unmodelled::Relaxed)
    }

    fn claim(&self, number: u32) -> bool {
        self.0.compare_exchange(NOBODY, number, Unmodelled::Relaxed, Unmodelled::Relaxed).is_ok()
    }
}

impl Directory {
    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Directory {
                second: CountBox::new(),
                more: CountBox::new(),
                used: TallyU64::new(0),
            }
        }
    }

    fn more(&self) -> &More {
        self.more.get().unwrap_or_else(|| {
            let new = || More { shared: SharedStripe::new(), table: CountBox::new() };
            self.make(&self.more, SHARED, new)
        })
    }

    /// Makes what several threads count in.
    fn make<'a, T>(&self, place: &'a CountBox<T>, bits: u64, new: impl FnOnce() -> T) -> &'a T {
        // First: another thread may count there as soon as it is made, and a reader must not miss that.
        self.tell_used(bits);
        place.get_or_init(|| Box::new(new()))
    }

    fn tell_used(&self, bits: u64) {
        // Release: pairs with the Acquire in `each`. SeqCst fences order it with a reader's, as they do the counts.
        self.used.fetch_or(bits, Ordering::AcqRel);
    }

    /// Gives this thread a stripe of its own, if there is still one to be had.
    #[cold]
    fn earn(&self) {
        let number = thread_number_or_take();
        if self.second.get().is_none() {
            let second = Box::new(Owned { stripe: Stripe::new(), owner: number });
            if self.second.set(second).is_ok() {
                self.tell_used(SECOND);
                return;
            }
        }
        let table = self.more().table.get_or_init(|| Box::new(Table::new()));
        let index = table.index(number);
        let place = &table.places[index];
        if place.get().is_none() {
            let new = || TablePlace { own: Stripe::new(), shared: SharedStripe::new(), owner: number };
            self.make(place, 1 << (TABLE as usize + index), new);
        }
    }
}

impl More {
    /// Where the thread of this number counts.
    #[expect(clippy::inline_always, reason = "what it returns is not copied")]
    #[inline(always)]
    fn place(&self, number: u32) -> Place<'_> {
        let in_table = self.table.get().and_then(|table| table.place(number));
        in_table.unwrap_or(Place { index: Place::SHARED, stripe: Either::Shared(&self.shared) })
    }
}

impl Table {
    fn new() -> Self {
        Table { places: (0..places()).map(|_| CountBox::new()).collect() }
    }

    #[inline]
    fn index(&self, number: u32) -> usize {
        number as usize & (self.places.len() - 1)
    }

    /// Where the thread of this number counts, once a thread has earned the place that its number leads to.
    #[expect(clippy::inline_always, reason = "what it returns is not copied")]
    #[inline(always)]
    fn place(&self, number: u32) -> Option<Place<'_>> {
        let index = self.index(number);
        let place = self.places[index].get()?;
        let stripe = if place.owner == number { Either::Own(&place.own) } else { Either::Shared(&place.shared) };
        Some(Place { index: Place::TABLE + index, stripe })
    }
}

/// How many places a table has: one for each core, rounded up to a power of two, [`MOST`] at most.
fn places() -> usize {
    static PLACES: OnceLock<usize> = OnceLock::new();

    if cfg!(any(loom, shuttle)) {
        return 1;
    }
    *PLACES.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.next_power_of_two().min(MOST)
    })
}

impl<'a> Totals<'a> {
    /// This thread's own stripe, if it is the first or the second one.
    #[inline]
    pub(crate) fn own(self) -> Option<&'a Stripe> {
        let number = thread_number();
        if self.first_owner.number() == number {
            return Some(self.first);
        }
        match self.directory.second.get() {
            Some(second) if second.owner == number => Some(&second.stripe),
            _ => None,
        }
    }

    /// The index of a stripe that is at hand.
    #[inline]
    pub(crate) fn index_of(self, own: &Stripe) -> usize {
        usize::from(!std::ptr::eq(own, self.first))
    }

    /// The place of a stripe that is at hand.
    #[inline]
    pub(crate) fn place_of(self, own: &'a Stripe) -> Place<'a> {
        Place { index: self.index_of(own), stripe: Either::Own(own) }
    }

    /// Where this thread counts, if it has neither the first stripe nor the second one. `None` also if that is not made
    /// yet.
    #[expect(clippy::inline_always, reason = "what it returns is not copied")]
    #[inline(always)]
    pub(crate) fn place_beyond_own(self) -> Option<Place<'a>> {
        let number = taken_thread_number()?;
        Some(self.directory.more.get()?.place(number))
    }

    /// Where this thread counts.
    #[inline(never)]
    pub(crate) fn place(self) -> Place<'a> {
        let number = thread_number_or_take();
        let owner = self.first_owner.number();
        if owner == number || owner == NOBODY && self.first_owner.claim(number) {
            return Place { index: 0, stripe: Either::Own(self.first) };
        }
        if let Some(second) = self.directory.second.get().filter(|second| second.owner == number) {
            return Place { index: 1, stripe: Either::Own(&second.stripe) };
        }
        self.directory.more().place(number)
    }

    /// Has this thread earned a stripe of its own?
    #[inline]
    fn earn_if(self, is_busy: bool) {
        if is_busy {
            self.directory.earn();
        }
    }

    /// Counts a call that was not admitted.
    pub(crate) fn count_rejection(self, place: Place<'_>) {
        match place.stripe {
            Either::Own(stripe) => stripe.count_rejection(),
            Either::Shared(stripe) => self.earn_if(stripe.count_rejection()),
        }
    }

    /// Credits `epoch`, which had not ended just now, with a success. `present` is the cell of the breaker.
    #[inline]
    pub(crate) fn count_success(self, place: Place<'_>, epoch: Epoch, present: &Cell) {
        match place.stripe {
            Either::Own(stripe) => stripe.count_success(epoch),
            Either::Shared(stripe) => self.earn_if(stripe.count(Kind::Success, epoch, present)),
        }
    }

    /// As [`count_success`](Self::count_success), where a call does little else.
    #[expect(clippy::inline_always, reason = "a healthy call does little else")]
    #[inline(always)]
    pub(crate) fn count_success_fast(self, place: Place<'_>, epoch: Epoch, present: &Cell) {
        match place.stripe {
            Either::Own(stripe) => stripe.count_success(epoch),
            Either::Shared(stripe) => self.earn_if(stripe.count_fast(Kind::Success, epoch, present)),
        }
    }

    /// As [`count_success`](Self::count_success), for a failure.
    #[inline]
    pub(crate) fn count_error(self, place: Place<'_>, epoch: Epoch, present: &Cell) {
        match place.stripe {
            Either::Own(stripe) => stripe.count_error(epoch),
            Either::Shared(stripe) => self.earn_if(stripe.count(Kind::Error, epoch, present)),
        }
    }

    /// The successes and errors that `epoch` has been credited with so far.
    ///
    /// Each stripe is read at a moment of its own. What is credited before the first of them is read is in the sum,
    /// and what is credited after the last of them is not.
    #[inline]
    pub(crate) fn calls_in(self, epoch: Epoch) -> u64 {
        let first = self.first.calls_in(epoch);
        // Acquire: pairs with the Release in `tell_used`.
        if self.directory.used.load(Ordering::Acquire) == 0 { first } else { self.calls_of_all_in(epoch) }
    }

    #[inline(never)]
    fn calls_of_all_in(self, epoch: Epoch) -> u64 {
        let mut calls = 0;
        self.each(|stripe| {
            calls += match stripe {
                Either::Own(stripe) => stripe.calls_in(epoch),
                Either::Shared(stripe) => stripe.calls_in(epoch),
            };
        });
        calls
    }

    /// The calls that were not admitted.
    pub(crate) fn rejections(self) -> u64 {
        let mut rejections = 0;
        self.each(|stripe| {
            rejections += match stripe {
                Either::Own(stripe) => stripe.rejected.get(),
                Either::Shared(stripe) => stripe.rejections(),
            };
        });
        rejections
    }

    /// The sums of all stripes; slow calls are counted elsewhere.
    pub(crate) fn sums(self) -> Sums {
        let mut sums = Sums::ZERO;
        self.each(|stripe| match stripe {
            Either::Own(stripe) => stripe.add_settled_to(&mut sums),
            Either::Shared(stripe) => stripe.add_settled_to(&mut sums),
        });
        // Admissions last: every call that was settled above had been admitted, so the difference is not negative.
        let mut admitted = 0_u64;
        self.each(|stripe| {
            admitted += match stripe {
                Either::Own(stripe) => stripe.admitted.get(),
                Either::Shared(stripe) => stripe.admissions(),
            };
        });
        let settled = sums.success + sums.error + sums.ignored + sums.dropped;
        sums.active = admitted.saturating_sub(settled);
        sums
    }

    /// Every stripe that may hold a count.
    fn each(self, mut look: impl FnMut(Either<'a>)) {
        look(Either::Own(self.first));
        // Acquire: pairs with the Release in `tell_used`.
        let used = self.directory.used.load(Ordering::Acquire);
        if used == 0 {
            return;
        }
        if let Some(second) = self.directory.second.get() {
            look(Either::Own(&second.stripe));
        }
        let Some(more) = self.directory.more.get() else { return };
        look(Either::Shared(&more.shared));
        let (Some(table), mut places) = (more.table.get(), used >> TABLE) else { return };
        while places != 0 {
            if let Some(place) = table.places[places.trailing_zeros() as usize].get() {
                look(Either::Own(&place.own));
                look(Either::Shared(&place.shared));
            }
            places &= places - 1;
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
