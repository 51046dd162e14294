use super::*;

const EPOCH: Epoch = Epoch::new(3);
const SPANS: [Span; 2] = [Span::Calls(10), Span::Time(Duration::from_secs(16))];
const SLOW: SlowRate = SlowRate { rate: 0.5, duration: Duration::from_millis(80) };

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Half of four calls or more, failed or slow.
fn windows(span: Span, slow: Option<SlowRate>) -> Lately {
    Lately::new(Arc::new(Rates { error_rate: Some(0.5), slow, minimum_calls: 4, span }))
}

fn end(windows: &Lately, calls: u64, failed: bool, slow: bool) {
    if failed || slow {
        windows.record(Ended { epoch: EPOCH, calls, now: at(5), failed, slow });
    } else {
        windows.record_success(EPOCH, at(5));
    }
}

#[test]
fn the_windows_take_the_memory_that_their_docs_tell() {
    assert_eq!((count::PLACE, time::RING, hung::RING), (8, 576, 320));
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
            let windows = windows(span, slow);
            (windows.times_calls(), windows.times_settlements(), windows.enter(EPOCH, at(5)))
        })
    });
    let [all, settlements, none] = [(true, true, true), (false, true, false), (false, false, false)];
    assert_eq!(asks, [[none, all], [settlements, all]]);
}

#[test]
fn a_call_is_slow_from_the_duration_of_the_rule_on() {
    for span in SPANS {
        assert_eq!([79, 80, 81].map(|took| windows(span, Some(SLOW)).is_slow(at(took))), [false, true, true]);
        assert!(!windows(span, None).is_slow(Duration::MAX));
    }
}

#[test]
fn a_rate_is_met_at_its_share_of_no_fewer_calls_than_the_minimum() {
    for span in SPANS {
        for (failed, slow, cause) in
            [(true, false, Cause::ErrorRate), (false, true, Cause::SlowCallRate), (true, true, Cause::ErrorRate)]
        {
            let windows = windows(span, Some(SLOW));
            let mut met = Vec::new();
            for calls in 1..=6 {
                let is_healthy = [1, 4, 5].contains(&calls);
                end(&windows, calls, failed && !is_healthy, slow && !is_healthy);
                met.push(windows.met(EPOCH, at(5), || calls));
            }
            // 1 of 2 and 2 of 3 are too few calls, 2 of 5 too small a share.
            assert_eq!(met, [None, None, None, Some(cause), None, Some(cause)], "{span:?}");
            assert_eq!(windows.met(EPOCH.next(), at(5), || 6), None);
            let [errors, slow] = [failed, slow].map(|is| 3 * u64::from(is));
            assert_eq!(windows.metrics(EPOCH, at(5), || 6), WindowMetrics::new(6, errors, slow));
        }
    }
}

#[test]
fn calls_that_hang_are_slow_calls_until_they_leave() {
    for span in SPANS {
        let windows = windows(span, Some(SLOW));
        end(&windows, 1, false, false);
        end(&windows, 2, false, true);
        (0..3).for_each(|_| assert!(windows.enter(EPOCH, at(5))));
        assert!(!windows.is_look_due(EPOCH, at(9)) && windows.is_look_due(EPOCH, at(10)));
        assert_eq!(windows.met_by_hanging(EPOCH, at(89), || 2), None);
        assert_eq!(windows.metrics(EPOCH, at(89), || 2), WindowMetrics::new(2, 0, 1));
        assert_eq!(windows.met_by_hanging(EPOCH, at(90), || 2), Some(Cause::SlowCallRate));
        assert_eq!(windows.metrics(EPOCH, at(90), || 2), WindowMetrics::new(5, 0, 4));
        (0..3).for_each(|_| windows.leave(EPOCH, at(5)));
        assert_eq!(windows.metrics(EPOCH, at(90), || 2), WindowMetrics::new(2, 0, 1));
    }
}

#[test]
fn calls_that_hang_and_calls_that_ended_slowly_meet_the_rate_together() {
    for span in SPANS {
        for (ended, hanging) in [(2, 2), (1, 2), (3, 1), (0, 4), (0, 3), (1, 1), (2, 1), (0, 1)] {
            let windows = windows(span, Some(SLOW));
            (1..=4).for_each(|calls| end(&windows, calls, false, calls <= ended));
            (0..hanging).for_each(|_| assert!(windows.enter(EPOCH, at(5))));
            let is_half = 2 * (ended + hanging) >= 4 + hanging;
            let met = windows.met_by_hanging(EPOCH, at(90), || 4);
            assert_eq!(met, is_half.then_some(Cause::SlowCallRate), "{span:?} {ended} {hanging}");
        }
    }
}

#[test]
fn without_calls_that_hang_no_rule_is_met_by_them() {
    for span in SPANS {
        let windows = windows(span, Some(SLOW));
        (1..=4).for_each(|calls| end(&windows, calls, true, true));
        assert_eq!(windows.met(EPOCH, at(90), || 4), Some(Cause::ErrorRate));
        assert_eq!(windows.met_by_hanging(EPOCH, at(90), || 4), None);
    }
}

#[test]
fn windows_that_begin_in_the_midst_of_an_epoch_hold_what_ends_from_then_on() {
    for span in SPANS {
        let windows = windows(span, None).beginning(EPOCH, 100);
        end(&windows, 100, true, false);
        assert_eq!(windows.metrics(EPOCH, at(5), || 100), WindowMetrics::new(0, 0, 0));
        for calls in 101..=104 {
            end(&windows, calls, true, false);
        }
        assert_eq!(windows.metrics(EPOCH, at(5), || 104), WindowMetrics::new(4, 4, 0));
        assert_eq!(windows.met(EPOCH, at(5), || 104), Some(Cause::ErrorRate));
    }
    let windows = windows(Span::Calls(10), None).beginning(EPOCH, 100);
    end(&windows, 101, true, false);
    assert_eq!(windows.metrics(EPOCH, at(5), || 110), WindowMetrics::new(10, 1, 0));
    assert_eq!(windows.metrics(EPOCH, at(5), || 111), WindowMetrics::new(10, 0, 0));
    assert_eq!(windows.metrics(EPOCH.next(), at(5), || 7), WindowMetrics::new(7, 0, 0));
}
