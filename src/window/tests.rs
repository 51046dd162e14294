use super::*;
use crate::settings::SlowRate;

const EPOCH: Epoch = Epoch::new(3);
const SPANS: [Span; 2] = [Span::Calls(10), Span::Time(Duration::from_secs(16))];
const SLOW: SlowRate = SlowRate { rate: 0.5, duration: Duration::from_millis(80) };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Windows beside the cell of their breaker, which is in [`EPOCH`].
struct Tested {
    windows: Windows,
    cell: Cell,
}

/// Half of four calls or more, failed or slow.
fn windows(span: Span, slow: Option<SlowRate>) -> Tested {
    let rates = Rates { error_rate: Some(0.5), slow, drop_rate: None, minimum_calls: 4, span };
    Tested { windows: Windows::new(Arc::new(rates)), cell: Cell::closed_in(EPOCH) }
}

impl Tested {
    /// Ends the call that is the `position`th of the epoch.
    fn end(&self, position: u64, failed: bool, slow: bool) {
        let recorded = if failed || slow {
            let sample = Sample { epoch: EPOCH, position, stripe: 0, now: at(5), failed, slow };
            self.windows.record(sample, ClockReading::Some, &self.cell)
        } else {
            self.windows.record_success(0, EPOCH, at(5), ClockReading::Some, &self.cell)
        };
        assert_eq!(recorded, Recorded::Done);
    }

    /// Admits a call, and returns its slice.
    fn enter(&self) -> Option<u64> {
        self.windows.enter(0, EPOCH, at(5), &self.cell)
    }

    fn tripped_by(&self, epoch: Epoch, now: Duration, settled: u64) -> Option<Cause> {
        self.windows.tripped_by(self.windows.snapshot(epoch, now), settled).expect("nobody comes between")
    }

    fn metrics(&self, epoch: Epoch, now: Duration, settled: u64) -> (u64, u64, u64, u64) {
        let WindowMetrics { calls, errors, slow_calls, hanging_calls, .. } =
            self.windows.metrics(self.windows.snapshot(epoch, now), settled);
        (calls, errors, slow_calls, hanging_calls)
    }
}

#[test]
fn the_windows_take_the_memory_that_their_docs_name() {
    assert_eq!((count::PLACE, size_of::<ring::Ring>(), in_flight::BALANCES), (8, 136, 152));
}

#[test]
fn a_share_is_exact_for_every_fraction_of_every_window() {
    for calls in (1..=300).chain([997, 1_000, 4_096, 99_999, 100_000]) {
        for part in (1..=calls).step_by(1 + usize::try_from(calls / 300).expect("small")) {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let rate = part as f64 / calls as f64;
            assert_eq!(share(rate, calls), part, "{part} of {calls}");
        }
    }
}

#[test]
fn a_share_is_what_the_decimal_says() {
    for percent in 1..=100_u64 {
        let rate: f64 = format!("{}.{:02}", percent / 100, percent % 100).parse().expect("a number");
        for calls in 1..=2_000 {
            assert_eq!(share(rate, calls), (percent * calls).div_ceil(100), "{rate} of {calls}");
        }
    }
    assert_eq!(share(0.1 + 0.2, 10), 3);
    assert_eq!(share(f64::MIN_POSITIVE, 100), 1);
}

#[test]
fn only_what_needs_the_time_asks_for_it() {
    let asks = SPANS.map(|span| {
        [None, Some(SLOW)].map(|slow| {
            let tested = windows(span, slow);
            (tested.windows.times_calls(), tested.windows.times_settlements(), tested.enter().is_some())
        })
    });
    let [all, settlements, none] = [(true, true, true), (false, true, false), (false, false, false)];
    assert_eq!(asks, [[none, all], [settlements, all]]);
}

#[test]
fn a_rate_is_met_at_its_share_of_no_fewer_calls_than_the_minimum() {
    for span in SPANS {
        for (failed, slow, cause) in
            [(true, false, Cause::ErrorRate), (false, true, Cause::SlowCallRate), (true, true, Cause::ErrorRate)]
        {
            let tested = windows(span, Some(SLOW));
            let mut tripped = Vec::new();
            for calls in 1..=6 {
                let is_healthy = [1, 4, 5].contains(&calls);
                tested.end(calls, failed && !is_healthy, slow && !is_healthy);
                tripped.push(tested.tripped_by(EPOCH, at(5), calls));
            }
            // 1 of 2 and 2 of 3 are too few calls, 2 of 5 too small a share.
            assert_eq!(tripped, [None, None, None, Some(cause), None, Some(cause)], "{span:?}");
            assert_eq!(tested.tripped_by(EPOCH.next(), at(5), 6), None);
            let [errors, slow] = [failed, slow].map(|is| 3 * u64::from(is));
            assert_eq!(tested.metrics(EPOCH, at(5), 6), (6, errors, slow, 0));
        }
    }
}

#[test]
fn calls_that_hang_count_as_slow_until_they_leave() {
    for span in SPANS {
        let tested = windows(span, Some(SLOW));
        tested.end(1, false, false);
        tested.end(2, false, true);
        let slices: Vec<_> = (0..3).map(|_| tested.enter().expect("slow calls matter")).collect();
        assert_eq!(tested.tripped_by(EPOCH, at(89), 2), None);
        assert_eq!(tested.metrics(EPOCH, at(89), 2), (2, 0, 1, 0));
        assert_eq!(tested.tripped_by(EPOCH, at(95), 2), Some(Cause::SlowCallRate));
        assert_eq!(tested.metrics(EPOCH, at(95), 2), (2, 0, 1, 3));
        for slice in slices {
            tested.windows.finish(0, slice);
        }
        assert_eq!(tested.metrics(EPOCH, at(95), 2), (2, 0, 1, 0));
    }
}

#[test]
fn calls_that_hang_and_calls_that_ended_slowly_meet_the_rate_together() {
    for span in SPANS {
        for (ended, hanging) in [(2, 2), (1, 2), (3, 1), (0, 4), (0, 3), (1, 1), (2, 1), (0, 1)] {
            let tested = windows(span, Some(SLOW));
            (1..=4).for_each(|calls| tested.end(calls, false, calls <= ended));
            (0..hanging).for_each(|_| assert!(tested.enter().is_some()));
            let is_half = 2 * (ended + hanging) >= 4 + hanging;
            let tripped = tested.tripped_by(EPOCH, at(95), 4);
            assert_eq!(tripped, is_half.then_some(Cause::SlowCallRate), "{span:?} {ended} {hanging}");
        }
    }
}

#[test]
fn calls_that_hang_neither_dilute_the_error_rate_nor_displace_an_error() {
    for span in SPANS {
        let rates = Rates {
            error_rate: Some(0.5),
            slow: Some(SlowRate { rate: 0.9, ..SLOW }),
            drop_rate: None,
            minimum_calls: 4,
            span,
        };
        let tested = Tested { windows: Windows::new(Arc::new(rates)), cell: Cell::closed_in(EPOCH) };
        (0..20).for_each(|_| assert!(tested.enter().is_some()));
        (1..=4).for_each(|position| tested.end(position, position > 2, false));
        assert_eq!(tested.tripped_by(EPOCH, at(95), 4), Some(Cause::ErrorRate), "{span:?}");
        assert_eq!(tested.metrics(EPOCH, at(95), 4), (4, 2, 0, 20));
    }
}

#[test]
fn windows_that_begin_in_the_midst_of_an_epoch_hold_what_ends_from_then_on() {
    let begin = |span| {
        let Tested { windows, cell } = windows(span, None);
        Tested { windows: windows.beginning(EPOCH, 100), cell }
    };
    for span in SPANS {
        let tested = begin(span);
        for calls in 101..=104 {
            tested.end(calls, true, false);
        }
        assert_eq!(tested.metrics(EPOCH, at(5), 104), (4, 4, 0, 0));
        assert_eq!(tested.tripped_by(EPOCH, at(5), 104), Some(Cause::ErrorRate));
    }
    let tested = begin(Span::Calls(10));
    tested.end(100, true, false);
    assert_eq!(tested.metrics(EPOCH, at(5), 100), (0, 0, 0, 0));
    tested.end(101, true, false);
    assert_eq!(tested.metrics(EPOCH, at(5), 110), (10, 1, 0, 0));
    assert_eq!(tested.metrics(EPOCH, at(5), 111), (10, 0, 0, 0));
    assert_eq!(tested.metrics(EPOCH.next(), at(5), 7), (7, 0, 0, 0));
}

#[test]
fn a_late_call_is_in_no_window() {
    for span in SPANS {
        let mut tested = windows(span, Some(SLOW));
        tested.end(1, true, true);
        tested.cell = Cell::closed_in(EPOCH.next());
        tested.end(2, true, true);
        assert_eq!(tested.enter(), None);
        assert_eq!(tested.metrics(EPOCH.next(), at(5), 0), (0, 0, 0, 0));
    }
}
