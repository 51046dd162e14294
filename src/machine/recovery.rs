//! The steps of recovery: which one it is, and which calls it lets pass.

use std::time::Duration;

use crate::machine::millis::{Millis, whole_nanos};
use crate::machine::step_length::StepLength;
use crate::machine::word::Word;
use crate::recovery::Recovery;

/// The steps of an episode, from the moment at which they were entered. Times within them are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule<'a> {
    pub(crate) plan: Plan<'a>,
    pub(crate) entered: Millis,
}

/// Where the steps of a recovery come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    /// A ramp that an order began. New settings do not change it.
    Ramp(StepLength),
    Settings(&'a Recovery),
    /// The recovery was removed from the settings: the current step is the last one.
    Withdrawn,
}

impl<'a> Plan<'a> {
    /// The steps of `word`. `recovery` is that of the settings.
    pub(crate) fn of(word: Word, recovery: Option<&'a Recovery>) -> Self {
        match (word.step_length(), recovery) {
            (Some(length), _) => Plan::Ramp(length),
            (None, Some(recovery)) => Plan::Settings(recovery),
            (None, None) => Plan::Withdrawn,
        }
    }

    /// The share of the calls that `step` lets pass; `None` if there is no such step.
    pub(crate) fn share(self, step: u32) -> Option<f64> {
        match self {
            Plan::Ramp(_) => (step < Recovery::RAMP_STEPS).then(|| Recovery::ramp_share(step)),
            Plan::Settings(recovery) => recovery.shares().get(step as usize).copied(),
            Plan::Withdrawn => None,
        }
    }

    /// How many steps there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Plan::Ramp(_) => Recovery::RAMP_STEPS as usize,
            Plan::Settings(recovery) => recovery.shares().len(),
            Plan::Withdrawn => 0,
        }
    }

    /// How many milliseconds each of them lasts.
    fn length(self) -> u64 {
        match self {
            Plan::Ramp(length) => length.millis(),
            Plan::Settings(recovery) => Millis::not_before(recovery.duration()).bits().max(1),
            Plan::Withdrawn => 1,
        }
    }
}

/// What follows upon a step that held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Step(u32),
    Close,
}

impl Schedule<'_> {
    /// How long ago the steps were entered: 0 where the clock has stepped back to before that.
    pub(crate) fn elapsed(&self, now: Duration) -> u64 {
        Millis::reached(now).bits().saturating_sub(self.entered.bits())
    }

    /// What follows upon the step of `word`, if its time is over at `now`. A step that the clock has passed by altogether
    /// held, as no call ended in it.
    pub(crate) fn next(&self, word: Word, now: Duration) -> Option<Next> {
        let step = word.step();
        if self.plan.share(step).is_none() {
            return Some(Next::Close);
        }
        let reached = u32::try_from(self.elapsed(now) / self.length()).unwrap_or(u32::MAX);
        if reached <= step && !word.is_step_over() {
            return None;
        }
        let next = reached.max(step + 1);
        Some(if self.plan.share(next).is_some() { Next::Step(next) } else { Next::Close })
    }

    /// Whether no call has been admitted for a tenth of a step, the last one at `last`. A clock that has stepped back by so
    /// much counts like one that has moved on.
    pub(crate) fn is_starved(&self, last: u64, now: Duration) -> bool {
        last.abs_diff(self.elapsed(now)) >= self.tenth()
    }

    /// After how long a call that was refused at `step` should ask again: when the step is over, or when no call will have
    /// been admitted for a tenth of a step.
    pub(crate) fn ask_again_after(&self, step: u32, last: u64, now: Duration) -> Duration {
        let at = (self.length() * (u64::from(step) + 1)).min(last.saturating_add(self.tenth()));
        let at = Millis::from_bits(self.entered.bits().saturating_add(at));
        // At least a millisecond: the clock has stepped back, or another call has come between.
        Duration::from_nanos(at.nanos().saturating_sub(whole_nanos(now))).max(Duration::from_millis(1))
    }

    fn length(&self) -> u64 {
        self.plan.length()
    }

    fn tenth(&self) -> u64 {
        self.length().div_ceil(10)
    }
}

/// Whether a share of the calls has this one in it: the one that comes after `asked` others on the stripe with this index.
///
/// The multiples of the golden ratio, taken modulo 1, are spread evenly over the unit interval however many there are, so
/// those below `share` are spread evenly over the calls. Unlike every hundredth call they follow no period, which might be
/// that of the callers. Each stripe begins at another place, so that many stripes with a few calls each let the same share
/// pass as one with many.
pub(crate) fn passes(asked: u64, stripe: usize, share: f64) -> bool {
    /// The fraction of the golden ratio, in units of 2⁻⁶⁴.
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    /// That of the square root of 2, of which no multiple is one of the golden ratio.
    const ROOT_OF_TWO: u64 = 0x6A09_E667_F3BC_C909;
    const UNIT: f64 = 18_446_744_073_709_551_616.0;

    let place = asked.wrapping_mul(GOLDEN_RATIO).wrapping_add((stripe as u64).wrapping_mul(ROOT_OF_TWO));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1, and it saturates")]
    let end = (share * UNIT) as u64;
    place < end || share >= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::word::Epoch;

    const SECOND: Duration = Duration::from_secs(1);

    fn word(step: u32) -> Word {
        Word::recovering(Epoch::new(4)).with_step(step)
    }

    fn entered_at(recovery: &Recovery, seconds: u64) -> Schedule<'_> {
        Schedule { plan: Plan::Settings(recovery), entered: Millis::from_bits(seconds * 1_000) }
    }

    #[test]
    fn a_step_is_over_at_its_end() {
        let recovery = Recovery::steps([0.1, 0.2, 0.3]).each(10 * SECOND);
        let schedule = entered_at(&recovery, 5);
        let tick = Duration::from_nanos(1);
        for (step, end, next) in [(0, 15, Next::Step(1)), (1, 25, Next::Step(2)), (2, 35, Next::Close)] {
            assert_eq!(schedule.next(word(step), end * SECOND - tick), None);
            assert_eq!(schedule.next(word(step), end * SECOND), Some(next));
        }
    }

    #[test]
    fn steps_that_nobody_saw_are_passed_by() {
        let recovery = Recovery::steps([0.1, 0.2, 0.3]).each(10 * SECOND);
        let schedule = entered_at(&recovery, 0);
        assert_eq!(schedule.next(word(0), 29 * SECOND), Some(Next::Step(2)));
        assert_eq!(schedule.next(word(0), 30 * SECOND), Some(Next::Close));
        assert_eq!(schedule.next(word(1), Duration::MAX), Some(Next::Close));
    }

    #[test]
    fn a_step_never_comes_back() {
        let recovery = Recovery::steps([0.1, 0.2, 0.3]).each(10 * SECOND);
        let schedule = entered_at(&recovery, 60);
        for now in [0, 60, 69] {
            assert_eq!(schedule.next(word(1), now * SECOND), None);
            assert_eq!(schedule.next(word(1).with_step_over(), now * SECOND), Some(Next::Step(2)));
        }
    }

    #[test]
    fn a_step_that_the_settings_do_not_have_is_the_last_one() {
        let recovery = Recovery::steps([0.1]).each(SECOND);
        assert_eq!(entered_at(&recovery, 0).next(word(1), Duration::ZERO), Some(Next::Close));
        let without = Schedule { plan: Plan::Withdrawn, entered: Millis::from_bits(0) };
        assert_eq!(without.next(word(0), Duration::ZERO), Some(Next::Close));
    }

    #[test]
    fn a_ramp_that_was_ordered_has_the_steps_of_one_that_was_set_whatever_is_set() {
        let (ramp, other) = (Recovery::ramp(40 * SECOND), Recovery::steps([0.1]).each(SECOND));
        let ordered = word(3).with_step_length(StepLength::of_ramp(40 * SECOND).expect("it takes some time"));
        for settings in [None, Some(&other)] {
            let [ordered, set] = [Plan::of(ordered, settings), Plan::Settings(&ramp)];
            assert_eq!((ordered.count(), ordered.length()), (set.count(), set.length()));
            for step in 0..=Recovery::RAMP_STEPS {
                assert_eq!(ordered.share(step), set.share(step));
            }
        }
    }

    #[test]
    fn the_longest_ramp_has_an_end_that_no_clock_reaches() {
        let length = StepLength::of_ramp(Duration::MAX).expect("it takes some time");
        let schedule = Schedule { plan: Plan::Ramp(length), entered: Millis::MAX };
        assert_eq!(schedule.next(word(0).with_step_length(length), Duration::MAX), None);
        assert!(schedule.ask_again_after(19, u64::MAX, Duration::ZERO) > SECOND);
    }

    #[test]
    fn no_call_for_a_tenth_of_a_step_is_noticed_at_the_tenth() {
        let recovery = Recovery::steps([0.1]).each(10 * SECOND);
        let schedule = entered_at(&recovery, 5);
        let starved = [5_500, 6_499, 6_500, 7_000].map(|now| schedule.is_starved(500, Duration::from_millis(now)));
        assert_eq!(starved, [false, false, true, true]);
        // The clock has stepped back.
        assert!(schedule.is_starved(9_000, 6 * SECOND) && !schedule.is_starved(500, 5 * SECOND));
    }

    #[test]
    fn who_is_refused_asks_again_at_the_tenth_or_at_the_end_of_the_step() {
        let recovery = Recovery::steps([0.1, 0.2]).each(10 * SECOND);
        let schedule = entered_at(&recovery, 5);
        let half_a_milli = Duration::from_micros(500);
        assert_eq!(schedule.ask_again_after(0, 0, 5 * SECOND + half_a_milli), SECOND - half_a_milli);
        assert_eq!(schedule.ask_again_after(0, 9_500, 14_600 * SECOND / 1_000), 400 * SECOND / 1_000);
        assert_eq!(schedule.ask_again_after(1, 9_500, 15 * SECOND), 500 * SECOND / 1_000);
        assert_eq!(schedule.ask_again_after(0, 0, 9 * SECOND), SECOND / 1_000);
    }

    /// How far the calls that pass ever are from the share.
    fn discrepancy(calls: impl Iterator<Item = bool>, share: f64) -> f64 {
        let (mut passed, mut worst) = (0.0, 0.0_f64);
        for (asked, passes) in (1_u32..).zip(calls) {
            passed += f64::from(u8::from(passes));
            worst = worst.max((passed - f64::from(asked) * share).abs());
        }
        worst
    }

    #[test]
    fn the_calls_that_pass_are_spread_evenly_over_one_stripe() {
        for share in [0.01, 0.05, 0.1, 0.25, 0.333, 0.5, 0.75, 0.975] {
            let worst = discrepancy((0..100_000).map(|asked| passes(asked, 0, share)), share);
            assert!(worst < 4.5, "{share}: off by {worst} calls");
        }
        assert!((0..100_000).all(|asked| passes(asked, 3, 1.0)));
    }

    #[test]
    fn no_two_calls_of_a_hundredth_come_close_together_and_none_comes_late() {
        let passed: Vec<u64> = (0..100_000).filter(|asked| passes(*asked, 0, 0.01)).collect();
        let gaps = passed.windows(2).map(|pair| pair[1] - pair[0]);
        assert_eq!((gaps.clone().min(), gaps.max()), (Some(55), Some(144)));
    }

    #[test]
    fn every_kind_of_call_passes_where_kinds_come_in_turn() {
        for kinds in 2..=100_u64 {
            for kind in 0..kinds {
                let passed = (0..1_000).filter(|turn| passes(turn * kinds + kind, 0, 0.1)).count();
                assert!((75..=125).contains(&passed), "kind {kind} of {kinds}: {passed} of 1000 calls");
            }
        }
    }

    #[test]
    fn many_stripes_with_a_few_calls_each_let_the_same_share_pass() {
        for share in [0.01, 0.05, 0.25, 0.5] {
            for calls in [1, 2, 5, 10, 100, 1_000] {
                let stripes = (0..calls).flat_map(|asked| (0..35).map(move |stripe| passes(asked, stripe, share)));
                let worst = discrepancy(stripes, share);
                assert!(worst < 10.0, "{share}, {calls} calls each: off by {worst} calls");
            }
        }
    }
}
