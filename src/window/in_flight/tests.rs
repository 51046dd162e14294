use std::thread;

use super::*;

const EPOCH: Epoch = Epoch::new(3);
/// Eight slices of ten milliseconds.
const SLOW: Duration = Duration::from_millis(80);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The calls in flight of a breaker beside its cell.
struct Tested {
    in_flight: InFlight,
    cell: Cell,
}

impl Tested {
    fn new() -> Self {
        Tested { in_flight: InFlight::new(SLOW), cell: Cell::closed_in(EPOCH) }
    }

    fn enter(&self, stripe: usize, millis: u64) -> u64 {
        self.in_flight.enter(stripe, EPOCH, at(millis), &self.cell).expect("the epoch is not over")
    }

    fn hanging(&self, millis: u64) -> u64 {
        self.in_flight.hanging(EPOCH, at(millis))
    }
}

#[test]
fn a_call_hangs_from_the_slice_after_its_duration_until_it_leaves() {
    let tested = Tested::new();
    let slice = tested.enter(0, 5);
    assert_eq!([85, 89, 90, 1_000].map(|millis| tested.hanging(millis)), [0, 0, 1, 1]);
    assert_eq!(tested.in_flight.hanging(EPOCH.next(), at(95)), 0);
    tested.in_flight.finish(0, slice);
    assert_eq!(tested.hanging(95), 0);
}

#[test]
fn a_call_hangs_however_long_ago_its_slice_left_the_ring() {
    let tested = Tested::new();
    let slice = tested.enter(0, 5);
    for number in 1..100 {
        let healthy = tested.enter(0, 5 + 10 * number);
        tested.in_flight.finish(0, healthy);
    }
    assert_eq!(tested.hanging(1_000), 1);
    tested.in_flight.finish(0, slice);
    assert_eq!(tested.hanging(1_000), 0);
}

#[test]
fn each_call_hangs_once_its_own_slice_is_old_and_until_it_leaves() {
    let tested = Tested::new();
    let mut slices = Vec::new();
    for number in 1..=40 {
        slices.push([5, 9].map(|millis| tested.enter(0, 10 * number + millis)));
        assert_eq!(tested.hanging(10 * number + 9), 2 * number.saturating_sub(9), "{number}");
    }
    for (number, [one, other]) in (1..=40).zip(slices) {
        tested.in_flight.finish(0, one);
        assert_eq!(tested.hanging(1_000), 2 * (40 - number) + 1, "{number}");
        tested.in_flight.finish(0, other);
    }
    assert_eq!(tested.hanging(1_000), 0);
}

#[test]
fn a_call_that_ends_on_another_stripe_does_not_hang() {
    let tested = Tested::new();
    let slices: Vec<_> = (0..30).map(|number| tested.enter(0, 5 + 10 * number)).collect();
    assert_eq!(tested.hanging(1_000), 30);
    for slice in slices {
        tested.in_flight.finish(1, slice);
    }
    assert_eq!(tested.hanging(1_000), 0);
    // Where the balances leave their words.
    for number in 100..140 {
        let slice = tested.enter(number % 2, 5 + 10 * number as u64);
        tested.in_flight.finish((number + 1) % 2, slice);
        assert_eq!(tested.hanging(5 + 10 * number as u64), 0, "{number}");
    }
}

#[test]
fn calls_that_end_on_other_stripes_do_not_hang_however_many_there_have_been() {
    for millions in [0, 30, 40, 60, 80, 100, 120, 1_000] {
        let tested = Tested::new();
        let hung = tested.enter(0, 5);
        let first = tested.in_flight.timeline.first();
        let calls = 2_000_000 * millions;
        // As if so many calls had been admitted on one stripe and had ended on two others.
        for (stripe, balance) in [(0, calls), (1, -calls / 2), (2, -calls / 2)] {
            tested.in_flight.balances.of(stripe, Balances::new).older.store(pack(first, balance), Ordering::Relaxed);
        }
        assert_eq!(tested.hanging(1_000), 1, "{calls} calls");
        tested.in_flight.finish(1, hung);
        assert_eq!(tested.hanging(1_000), 0, "{calls} calls");
    }
}

#[test]
fn a_balance_on_its_way_is_not_read() {
    let tested = Tested::new();
    tested.enter(0, 5);
    let balances = tested.in_flight.balances.of(0, Balances::new);
    balances.leaving.fetch_add(1, Ordering::Relaxed);
    assert_eq!(tested.hanging(500), 0);
    balances.arrived.fetch_add(1, Ordering::Relaxed);
    assert_eq!(tested.hanging(500), 1);
}

#[test]
fn the_first_admission_of_each_slice_is_told_apart() {
    let tested = Tested::new();
    let is_first = |millis| match tested.in_flight.find(EPOCH, at(millis), ClockReading::Some, &tested.cell) {
        Moment::In { is_new, .. } => is_new,
        Moment::Earlier | Moment::Late => false,
    };
    assert_eq!([15, 16, 19, 20, 15, 29, 45, 46].map(is_first), [true, false, false, true, false, false, true, false]);
}

#[test]
fn a_step_back_begins_anew_and_later_calls_are_seen_to_hang() {
    let tested = Tested::new();
    let before = tested.enter(0, 5_000);
    assert_eq!(tested.in_flight.find(EPOCH, at(100), ClockReading::Some, &tested.cell), Moment::Earlier);
    assert!(matches!(tested.in_flight.find(EPOCH, at(100), ClockReading::Again, &tested.cell), Moment::In { .. }));
    let after = tested.enter(0, 100);
    assert_eq!([189, 190].map(|millis| tested.hanging(millis)), [0, 1]);
    tested.in_flight.finish(0, before);
    assert_eq!(tested.hanging(190), 1);
    tested.in_flight.finish(0, after);
    assert_eq!(tested.hanging(190), 0);
}

#[test]
fn calls_of_an_epoch_that_is_over_are_forgotten() {
    let mut tested = Tested::new();
    let old = tested.enter(0, 5);
    tested.cell = Cell::closed_in(EPOCH.next());
    let new = tested.in_flight.enter(0, EPOCH.next(), at(6), &tested.cell).expect("the epoch is not over");
    assert_eq!(tested.in_flight.hanging(EPOCH.next(), at(500)), 1);
    tested.in_flight.finish(0, old);
    assert_eq!(tested.in_flight.hanging(EPOCH.next(), at(500)), 1);
    tested.in_flight.finish(0, new);
    assert_eq!(tested.in_flight.hanging(EPOCH.next(), at(500)), 0);
}

#[test]
fn threads_that_enter_and_leave_each_others_calls_leave_none_behind() {
    let tested = Tested::new();
    for millis in (0..400).step_by(5) {
        thread::scope(|scope| {
            for stripe in 0..4 {
                let tested = &tested;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let slice = tested.enter(stripe, millis);
                        tested.in_flight.finish((stripe + 1) % 4, slice);
                    }
                });
            }
        });
        assert_eq!(tested.hanging(millis), 0, "at {millis} ms");
    }
    assert_eq!(tested.hanging(10_000), 0);
}

#[test]
fn a_balance_may_be_negative_and_keeps_its_slice() {
    for (number, count) in [(0, 0), (7, -1), (NUMBER.max(), -5), (9, 100)] {
        let word = pack(number, count);
        assert_eq!(
            (balance(word), age(word, number), age(word, number + 2), age(word, number.wrapping_sub(3))),
            (count, 0, 2, -3)
        );
    }
}
