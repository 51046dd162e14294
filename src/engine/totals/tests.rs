use std::sync::Barrier;
use std::thread;

use super::*;
use crate::sync::with_thread_number;

const EPOCH: Epoch = Epoch::new(4);

struct Parts {
    first_owner: FirstOwner,
    directory: Directory,
    first: Stripe,
    cell: Cell,
}

impl Parts {
    fn new() -> Self {
        Parts {
            first_owner: FirstOwner::nobody(),
            directory: Directory::new(),
            first: Stripe::new(),
            cell: Cell::closed_in(EPOCH),
        }
    }

    fn totals(&self) -> Totals<'_> {
        Totals { first_owner: &self.first_owner, directory: &self.directory, first: &self.first }
    }

    fn admit(&self) {
        self.totals().place().count_admission();
    }

    fn succeed(&self, times: u64) {
        for _ in 0..times {
            self.admit();
            self.totals().count_success(self.totals().place(), EPOCH, &self.cell);
        }
    }

    fn fail(&self) {
        self.admit();
        self.totals().count_error(self.totals().place(), EPOCH, &self.cell);
    }

    fn uncredited(&self, kind: Kind) {
        self.admit();
        self.totals().place().count_uncredited(kind);
    }

    fn stripes(&self) -> usize {
        let mut stripes = 0;
        self.totals().each(|_| stripes += 1);
        stripes
    }
}

/// Numbers that no thread of the other tests has.
fn on_threads(numbers: impl IntoIterator<Item = u32>, mut call: impl FnMut(u32)) {
    for number in numbers {
        with_thread_number(1_000_000 + number, || call(number));
    }
}

#[test]
fn the_counts_of_all_threads_add_up_whether_they_share_a_stripe_or_not() {
    for threads in [1, 2, 16, 64] {
        let (parts, together) = (Parts::new(), Barrier::new(threads));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    together.wait();
                    for _ in 0..2_000 {
                        parts.succeed(1);
                        parts.fail();
                    }
                    parts.admit();
                    together.wait();
                });
            }
        });
        let calls = 2_000 * threads as u64;
        let sums = parts.totals().sums();
        assert_eq!((sums.success, sums.error, sums.active), (calls, calls, threads as u64));
        assert_eq!(parts.totals().calls_in(EPOCH), 2 * calls);
        assert_eq!(parts.totals().calls_in(EPOCH.next()), 0);
        assert!(parts.stripes() <= 3 + 2 * places(), "{}", parts.stripes());
    }
}

#[test]
fn a_stripe_that_several_threads_count_in_is_told_of_before_any_of_them_finds_it() {
    let directory = Directory::new();
    let place = CountBox::new();
    directory.make(&place, SHARED, || assert_eq!(directory.used.load(Ordering::Acquire), SHARED));
    assert!(place.get().is_some());
}

#[test]
fn threads_that_count_rarely_share_one_stripe() {
    let parts = Parts::new();
    on_threads(0..500, |_| parts.succeed(1));
    assert_eq!((parts.totals().sums().success, parts.stripes()), (500, 2));
}

#[test]
fn a_thread_that_counts_in_quick_succession_earns_a_stripe_and_keeps_what_it_counted_before() {
    let parts = Parts::new();
    // The first burst has no beginning, so it takes two.
    on_threads([1, 2, 1, 2], |_| parts.succeed(4_000));
    assert_eq!((parts.totals().sums().success, parts.stripes()), (16_000, 3));
    on_threads([2], |_| assert!(parts.totals().own().is_some()));
}

#[test]
fn stripes_are_bounded_by_the_cores_however_many_threads_are_busy() {
    let parts = Parts::new();
    on_threads(0..200, |_| parts.succeed(3_000));
    assert_eq!(parts.totals().sums().success, 600_000);
    assert_eq!(parts.stripes(), 3 + 2 * places());
}

#[test]
fn every_number_finds_a_place_and_always_the_same() {
    let parts = Parts::new();
    let mut found = Vec::new();
    for _ in 0..3 {
        let mut places = Vec::new();
        on_threads((0..40).chain([1 << 30, (1 << 31) - 1]), |_| {
            parts.succeed(3_000);
            places.push(parts.totals().place().index);
        });
        assert!(places.iter().all(|place| *place < Place::END));
        found.push(places);
    }
    assert_eq!(found[1], found[2]);
}

#[test]
fn a_late_call_is_in_the_totals_and_credits_no_epoch() {
    let parts = Parts::new();
    on_threads([1, 2], |_| {
        parts.succeed(2);
        parts.uncredited(Kind::Success);
        parts.uncredited(Kind::Error);
        parts.uncredited(Kind::Ignored);
        parts.uncredited(Kind::Dropped);
        parts.succeed(1);
    });
    let sums = parts.totals().sums();
    assert_eq!((sums.success, sums.error, sums.ignored, sums.dropped, sums.active), (8, 2, 2, 2, 0));
    assert_eq!(parts.totals().calls_in(EPOCH), 6);
}

#[test]
fn an_epoch_of_any_age_gives_way_to_a_later_one() {
    let mut parts = Parts::new();
    let mut epoch = EPOCH;
    for age in [1, 1 << 18, 1 << 19, 1 << 28, (1 << 29) - 1] {
        on_threads([1, 2], |_| parts.totals().count_error(parts.totals().place(), epoch, &parts.cell));
        let later = Epoch::new(epoch.number() + age);
        if later == epoch {
            continue; // The epoch's number is as wide as that.
        }
        assert_eq!(parts.totals().calls_in(later), 0, "after {age} epochs");
        parts.cell = Cell::closed_in(later);
        on_threads([1, 2], |_| parts.totals().count_success(parts.totals().place(), later, &parts.cell));
        assert_eq!(parts.totals().calls_in(later), 2, "after {age} epochs");
        epoch = later;
    }
}

#[test]
fn what_one_thread_writes_often_is_far_from_what_others_do() {
    use std::mem::offset_of;

    assert!(size_of::<TablePlace>() <= 128);
    let shared = offset_of!(TablePlace, shared);
    assert!(shared / 64 > (offset_of!(TablePlace, own) + Stripe::HOT) / 64);
    assert_eq!(size_of::<Stripe>(), 80);
}
