use super::*;
use crate::machine::word::MAX_PROBES;

const EPOCH: Epoch = Epoch::new(7);
const NOW: Duration = Duration::from_secs(100);
const DEADLINE: Millis = Millis::from_bits(105_000);
const RETRY_AFTER: Duration = Duration::from_millis(250);
const MOST: u64 = MAX_PROBES as u64;

fn settings() -> Settings {
    Settings {
        error_threshold: Some(3),
        reset_timeout: Duration::from_secs(5),
        backoff_factor: 2.0,
        backoff_max: Duration::from_secs(60),
        success_threshold: 3,
        half_open_error_threshold: 3,
        half_open_capacity: 2,
        half_open_max_capacity: 4,
        ..Settings::DEFAULT
    }
}

fn closed(errors: u64) -> Word {
    Word::closed(EPOCH).with_errors(errors)
}

fn open() -> Word {
    Word::open(EPOCH, DEADLINE)
}

fn half_open(probes: u32, successes: u64, errors: u64) -> Word {
    let full = (0..probes).fold(Word::half_open(EPOCH), |word, _| word.with_probe());
    full.with_successes(successes).with_probe_errors(errors)
}

/// The same word once `returns` probes have come back without a verdict.
fn after_returns(word: Word, returns: u32) -> Word {
    (0..returns).fold(word, |word, _| word.with_probe().with_return())
}

fn every_state() -> [Word; 5] {
    [closed(2), open(), half_open(2, 1, 1), Word::forced_open(EPOCH), Word::forced_closed(EPOCH)]
}

/// An event, with what it needs.
#[derive(Clone, Copy, Debug)]
enum Event {
    Admit { now: Duration, is_silent: bool },
    Success(Epoch),
    Failure { call: Epoch, tripped_by: Option<Cause>, now: Option<Duration>, draw: f64 },
    RateMet(Epoch),
    Trip(Epoch, Duration),
    Release(Epoch),
    Operate(Command),
}

fn context(reopenings: u32) -> Context {
    Context { epoch: EPOCH, first_round: EPOCH, reopenings }
}

fn step(word: Word, reopenings: u32, event: Event, settings: &Settings) -> Step {
    step_in(word, context(reopenings), event, settings)
}

fn step_in(word: Word, context: Context, event: Event, settings: &Settings) -> Step {
    match event {
        Event::Admit { now, is_silent } => admit(word, context.epoch, now, is_silent, settings),
        Event::Success(call) => succeed(word, context, call, settings),
        Event::Failure { call, tripped_by, now, draw } => fail(word, context, call, tripped_by, now, draw, settings),
        Event::RateMet(call) => trip_by_rate(word, context, call, Cause::SlowCallRate, NOW, 0.0, settings),
        Event::Trip(call, open_for) => trip(word, context, call, NOW, open_for),
        Event::Release(call) => release(word, context, call),
        Event::Operate(order) => operate(word, context, order, settings),
    }
}

const fn failed(call: Epoch, now: Option<Duration>) -> Event {
    Event::Failure { call, tripped_by: None, now, draw: 0.0 }
}

fn outcomes_of(epoch: Epoch) -> [Event; 6] {
    [
        Event::Success(epoch),
        failed(epoch, None),
        failed(epoch, Some(NOW)),
        Event::Trip(epoch, RETRY_AFTER),
        Event::Release(epoch),
        rate_met(epoch),
    ]
}

fn rate_met(epoch: Epoch) -> Event {
    Event::RateMet(epoch)
}

const fn admission(now: Duration) -> Event {
    Event::Admit { now, is_silent: false }
}

const SUCCESS: Event = Event::Success(EPOCH);
const RELEASE: Event = Event::Release(EPOCH);
const TRIP: Event = Event::Trip(EPOCH, RETRY_AFTER);
const UNTIMED_FAILURE: Event = failed(EPOCH, None);

fn failure() -> Event {
    failed(EPOCH, Some(NOW))
}

/// The effect of a step, with the slots that it frees and the last counts of the epoch that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Detailed {
    effect: Effect,
    freed: u32,
    counts: (u64, u64),
}

impl From<Effect> for Detailed {
    fn from(effect: Effect) -> Self {
        Detailed { effect, freed: 0, counts: (0, 0) }
    }
}

fn freeing(freed: u32) -> Detailed {
    Detailed { freed, ..Effect::Free.into() }
}

fn round_freeing(freed: u32) -> Detailed {
    Detailed { freed, ..Effect::BeginRound.into() }
}

fn begin_after(counts: (u64, u64), cause: Cause) -> Detailed {
    Detailed { counts, ..Effect::Begin(cause).into() }
}

fn detailed(word: Word, step: Step, settings: &Settings) -> (Word, Detailed) {
    let Step { next, counted, effect } = step;
    let detailed = match effect {
        Effect::Free => freeing(freed(word, next, settings)),
        Effect::BeginRound => round_freeing(freed(word, next, settings)),
        Effect::Begin(cause) => begin_after(counts(counted), cause),
        effect => effect.into(),
    };
    (next, detailed)
}

#[track_caller]
fn assert_step(word: Word, event: Event, settings: &Settings, next: Word, expected: impl Into<Detailed>) {
    let found = detailed(word, step(word, 0, event, settings), settings);
    assert_eq!(found, (next, expected.into()), "{word:?} {event:?}");
}

#[track_caller]
fn assert_begins(word: Word, event: Event, settings: &Settings, next: Word, cause: Cause, counts: (u64, u64)) {
    assert_step(word, event, settings, next, begin_after(counts, cause));
}

/// The word of the next epoch that stays open until `millis` past [`NOW`].
fn opened_for(millis: u64) -> Word {
    Word::open(EPOCH.next(), Millis::from_bits(100_000 + millis))
}

mod admissions {
    use super::*;

    #[test]
    fn closed_and_forced_closed_admit_and_stay_as_they_are() {
        for word in [closed(0), closed(2), Word::forced_closed(EPOCH)] {
            assert_step(word, admission(NOW), &settings(), word, Effect::Admit);
        }
    }

    #[test]
    fn forced_open_refuses_whatever_the_time() {
        for now in [Duration::ZERO, Duration::MAX] {
            let word = Word::forced_open(EPOCH);
            assert_step(word, admission(now), &settings(), word, Effect::RejectForced);
        }
    }

    #[test]
    fn open_refuses_until_the_last_moment_before_its_deadline() {
        for now in [Duration::ZERO, Duration::from_secs(105) - Duration::from_nanos(1)] {
            assert_step(open(), admission(now), &settings(), open(), Effect::RejectOpen);
        }
    }

    #[test]
    fn open_becomes_half_open_with_its_first_probe_at_the_deadline_and_after_it() {
        let probing = Word::half_open(EPOCH.next()).with_probe();
        for now in [Duration::from_secs(105), Duration::MAX] {
            assert_begins(open(), admission(now), &settings(), probing, Cause::ResetTimeout, (0, 0));
        }
    }

    #[test]
    fn half_open_admits_up_to_its_capacity() {
        assert_step(half_open(0, 0, 0), admission(NOW), &settings(), half_open(1, 0, 0), Effect::Admit);
        assert_step(half_open(1, 2, 2), admission(NOW), &settings(), half_open(2, 2, 2), Effect::Admit);
        for full in [half_open(2, 0, 0), half_open(3, 0, 0)] {
            assert_step(full, admission(NOW), &settings(), full, Effect::RejectFull);
        }
    }

    #[test]
    fn a_silence_begins_a_new_round_with_the_caller_that_finds_it() {
        let event = Event::Admit { now: NOW, is_silent: true };
        for full in [half_open(2, 1, 1), half_open(4, 1, 1).with_raise(2), half_open(3, 1, 1)] {
            let next = full.next_round(EPOCH.next());
            assert_step(full, event, &settings(), next, round_freeing(1));
            assert_eq!((next.in_flight(), next.raise()), (1, 0));
            assert_eq!((next.successes(), next.probe_errors()), (1, 1));
        }
        let settings = Settings { half_open_capacity: 1, half_open_max_capacity: 1, ..settings() };
        let full = half_open(1, 0, 0);
        assert_step(full, event, &settings, full.next_round(EPOCH.next()), round_freeing(0));
    }

    #[test]
    fn a_silence_needs_a_full_state() {
        let event = Event::Admit { now: NOW, is_silent: true };
        assert_step(half_open(1, 1, 1), event, &settings(), half_open(2, 1, 1), Effect::Admit);
    }

    #[test]
    fn a_silence_decides_nothing_outside_half_open() {
        let event = Event::Admit { now: NOW, is_silent: true };
        assert_step(open(), event, &settings(), open(), Effect::RejectOpen);
        assert_step(Word::forced_open(EPOCH), event, &settings(), Word::forced_open(EPOCH), Effect::RejectForced);
        assert_step(closed(1), event, &settings(), closed(1), Effect::Admit);
    }

    #[test]
    fn the_largest_capacity_is_reached_and_not_exceeded() {
        let settings = Settings { half_open_capacity: MAX_PROBES, half_open_max_capacity: MAX_PROBES, ..settings() };
        let full = half_open(MAX_PROBES, 0, 0);
        assert_step(half_open(MAX_PROBES - 1, 0, 0), admission(NOW), &settings, full, Effect::Admit);
        assert_step(full, admission(NOW), &settings, full, Effect::RejectFull);
        let silent = Event::Admit { now: NOW, is_silent: true };
        let freed = round_freeing(MAX_PROBES - 1);
        assert_step(full, silent, &settings, full.next_round(EPOCH.next()), freed);
    }

    #[test]
    fn the_epoch_after_the_last_is_the_first() {
        let last = Epoch::new(crate::machine::word::EPOCH.max());
        assert_eq!(last.next().number(), 0);
        let step = admit(Word::open(last, DEADLINE), last, Duration::MAX, false, &settings());
        assert_eq!(step.next, Word::half_open(Epoch::new(0)).with_probe());
    }
}

mod outcomes_while_closed {
    use super::*;

    #[test]
    fn a_success_clears_the_errors() {
        for errors in [0, 1, 2] {
            assert_step(closed(errors), SUCCESS, &settings(), closed(0), Effect::Counted);
        }
    }

    #[test]
    fn a_release_changes_nothing() {
        assert_step(closed(2), RELEASE, &settings(), closed(2), Effect::Counted);
    }

    #[test]
    fn failures_below_the_threshold_are_counted_and_need_no_clock() {
        assert_step(closed(0), UNTIMED_FAILURE, &settings(), closed(1), Effect::Counted);
        assert_step(closed(1), UNTIMED_FAILURE, &settings(), closed(2), Effect::Counted);
        assert_step(closed(1), failure(), &settings(), closed(2), Effect::Counted);
    }

    #[test]
    fn the_failure_at_the_threshold_asks_for_the_clock_without_a_change_of_the_word() {
        assert_step(closed(2), UNTIMED_FAILURE, &settings(), closed(2), Effect::NeedsClock);
    }

    #[test]
    fn the_failure_at_the_threshold_opens_for_the_reset_timeout() {
        assert_begins(closed(2), failure(), &settings(), opened_for(5_000), Cause::ErrorThreshold, (3, 0));
    }

    #[test]
    fn a_threshold_of_one_opens_with_the_first_failure() {
        let settings = Settings { error_threshold: Some(1), ..settings() };
        assert_step(closed(0), UNTIMED_FAILURE, &settings, closed(0), Effect::NeedsClock);
        assert_begins(closed(0), failure(), &settings, opened_for(5_000), Cause::ErrorThreshold, (1, 0));
    }

    #[test]
    fn the_largest_threshold_opens_with_its_last_failure_only() {
        let settings = Settings { error_threshold: Some(u32::MAX), ..settings() };
        let most = u64::from(u32::MAX);
        assert_step(closed(most - 2), failure(), &settings, closed(most - 1), Effect::Counted);
        assert_begins(closed(most - 1), failure(), &settings, opened_for(5_000), Cause::ErrorThreshold, (most, 0));
    }

    #[test]
    fn without_a_threshold_failures_open_nothing_and_saturate() {
        let settings = Settings { error_threshold: None, ..settings() };
        let most = u64::from(u32::MAX);
        assert_step(closed(0), failure(), &settings, closed(1), Effect::Counted);
        assert_step(closed(most), failure(), &settings, closed(most), Effect::Counted);
    }

    #[test]
    fn a_trip_opens_at_once_for_its_own_time_and_counts_as_an_error() {
        assert_begins(closed(0), TRIP, &settings(), opened_for(250), Cause::Tripped, (1, 0));
        assert_begins(closed(2), TRIP, &settings(), opened_for(250), Cause::Tripped, (3, 0));
    }

    #[test]
    fn after_a_close_the_backoff_begins_at_the_reset_timeout_and_goes_on_with_the_re_openings() {
        let deadline_after = |reopenings| step(closed(2), reopenings, failure(), &settings()).next.deadline();
        assert_eq!(deadline_after(0), opened_for(5_000).deadline());
        assert_eq!(deadline_after(1), opened_for(10_000).deadline());
    }

    #[test]
    fn a_rate_that_is_met_opens_with_its_cause_after_the_threshold_had_its_say() {
        let settings = Settings { error_threshold: Some(4), ..settings() };
        let failing = |tripped_by| Event::Failure { call: EPOCH, tripped_by, now: Some(NOW), draw: 0.0 };
        assert_begins(
            closed(2),
            failing(Some(Cause::ErrorRate)),
            &settings,
            opened_for(5_000),
            Cause::ErrorRate,
            (3, 0),
        );
        assert_begins(
            closed(3),
            failing(Some(Cause::ErrorRate)),
            &settings,
            opened_for(5_000),
            Cause::ErrorThreshold,
            (4, 0),
        );
        assert_begins(closed(2), rate_met(EPOCH), &settings, opened_for(5_000), Cause::SlowCallRate, (2, 0));
        let untimed = Event::Failure { call: EPOCH, tripped_by: Some(Cause::ErrorRate), now: None, draw: 0.0 };
        assert_step(closed(2), untimed, &settings, closed(2), Effect::NeedsClock);
    }

    #[test]
    fn a_rate_that_is_met_says_nothing_of_probes_and_forced_states() {
        for word in [half_open(2, 1, 1), Word::forced_closed(EPOCH)] {
            assert_eq!(step(word, 0, rate_met(EPOCH), &settings()).next, word);
        }
    }

    #[test]
    fn a_deadline_saturates() {
        let endless = Settings { reset_timeout: Duration::MAX, ..settings() };
        let event = Event::Failure { call: EPOCH, tripped_by: None, now: Some(Duration::MAX), draw: 1.0 };
        assert_eq!(step(closed(2), u32::MAX, event, &endless).next, Word::open(EPOCH.next(), Millis::MAX));
        let event = Event::Trip(EPOCH, Duration::MAX);
        assert_eq!(step(closed(0), 0, event, &settings()).next, Word::open(EPOCH.next(), Millis::MAX));
    }
}

mod outcomes_while_half_open {
    use super::*;

    #[test]
    fn a_release_gives_the_slot_back_and_nothing_else() {
        let next = after_returns(half_open(1, 1, 1), 1);
        assert_step(half_open(2, 1, 1), RELEASE, &settings(), next, freeing(1));
        let next = after_returns(half_open(0, 2, 2), 1);
        assert_step(half_open(1, 2, 2), RELEASE, &settings(), next, freeing(1));
    }

    #[test]
    fn a_success_gives_the_slot_back_and_raises_the_capacity() {
        let next = half_open(1, 1, 2).with_raise(1);
        assert_step(half_open(2, 0, 2), SUCCESS, &settings(), next, freeing(2));
    }

    #[test]
    fn slow_start_ends_at_the_maximum_capacity() {
        let settings = Settings { success_threshold: 9, ..settings() };
        let next = half_open(3, 2, 0).with_raise(2);
        assert_step(half_open(4, 1, 0).with_raise(1), SUCCESS, &settings, next, freeing(1));
        let next = half_open(3, 3, 0).with_raise(2);
        assert_step(half_open(4, 2, 0).with_raise(2), SUCCESS, &settings, next, freeing(1));
        assert_step(next, admission(NOW), &settings, half_open(4, 3, 0).with_raise(2), Effect::Admit);
        let full = half_open(4, 3, 0).with_raise(2);
        assert_step(full, admission(NOW), &settings, full, Effect::RejectFull);
    }

    #[test]
    fn without_slow_start_a_success_frees_just_its_slot() {
        let settings = Settings { half_open_max_capacity: 2, ..settings() };
        assert_step(half_open(2, 0, 0), SUCCESS, &settings, half_open(1, 1, 0), freeing(1));
    }

    #[test]
    fn a_slot_beyond_the_capacity_frees_nothing_when_it_comes_back() {
        let settings = Settings { half_open_max_capacity: 2, ..settings() };
        assert_step(half_open(3, 0, 0), RELEASE, &settings, after_returns(half_open(2, 0, 0), 1), freeing(0));
        assert_step(half_open(3, 0, 0), SUCCESS, &settings, half_open(2, 1, 0), freeing(0));
        assert_step(half_open(3, 0, 0), failure(), &settings, half_open(2, 0, 1), freeing(0));
    }

    #[test]
    fn the_success_at_the_threshold_closes_with_all_counts_zero() {
        let next = Word::closed(EPOCH.next());
        assert_begins(half_open(2, 2, 1), SUCCESS, &settings(), next, Cause::SuccessThreshold, (1, 3));
    }

    #[test]
    fn a_success_threshold_of_one_closes_with_the_first_success() {
        let settings = Settings { success_threshold: 1, ..settings() };
        let next = Word::closed(EPOCH.next());
        assert_begins(half_open(1, 0, 0), SUCCESS, &settings, next, Cause::SuccessThreshold, (0, 1));
    }

    #[test]
    fn the_largest_success_threshold_closes_with_its_last_success_only() {
        let settings = Settings { success_threshold: MAX_PROBES, half_open_max_capacity: 2, ..settings() };
        assert_step(half_open(1, MOST - 2, 0), SUCCESS, &settings, half_open(0, MOST - 1, 0), freeing(1));
        let next = Word::closed(EPOCH.next());
        assert_begins(half_open(1, MOST - 1, 0), SUCCESS, &settings, next, Cause::SuccessThreshold, (0, MOST));
    }

    #[test]
    fn a_failure_below_the_threshold_gives_the_slot_back_and_begins_the_successes_anew() {
        let raised = half_open(2, 2, 1).with_raise(2);
        let next = half_open(1, 0, 2).with_raise(2);
        assert_step(raised, UNTIMED_FAILURE, &settings(), next, freeing(1));
        assert_step(raised, failure(), &settings(), next, freeing(1));
    }

    #[test]
    fn the_failure_at_the_threshold_asks_for_the_clock_without_a_change_of_the_word() {
        let word = half_open(2, 1, 2);
        assert_step(word, UNTIMED_FAILURE, &settings(), word, Effect::NeedsClock);
    }

    #[test]
    fn the_failure_at_the_threshold_opens_for_the_next_step_of_the_backoff() {
        assert_begins(half_open(2, 1, 2), failure(), &settings(), opened_for(10_000), Cause::ProbeFailed, (3, 0));
        let deadline_after = |reopenings| step(half_open(1, 0, 2), reopenings, failure(), &settings()).next.deadline();
        assert_eq!(deadline_after(1), opened_for(20_000).deadline());
        assert_eq!(deadline_after(1_023), opened_for(60_000).deadline());
    }

    #[test]
    fn an_error_threshold_of_one_opens_with_the_first_failure() {
        let settings = Settings { half_open_error_threshold: 1, ..settings() };
        assert_begins(half_open(1, 2, 0), failure(), &settings, opened_for(10_000), Cause::ProbeFailed, (1, 0));
    }

    #[test]
    fn the_largest_error_threshold_opens_with_its_last_failure_only() {
        let settings = Settings { half_open_error_threshold: MAX_PROBES, ..settings() };
        assert_step(half_open(1, 0, MOST - 2), failure(), &settings, half_open(0, 0, MOST - 1), freeing(1));
        assert_begins(
            half_open(1, 0, MOST - 1),
            failure(),
            &settings,
            opened_for(10_000),
            Cause::ProbeFailed,
            (MOST, 0),
        );
    }

    #[test]
    fn a_trip_opens_at_once_for_its_own_time() {
        assert_begins(half_open(2, 2, 1), TRIP, &settings(), opened_for(250), Cause::Tripped, (2, 0));
    }
}

mod outcomes_elsewhere {
    use super::*;

    #[test]
    fn forced_closed_counts_every_outcome_and_stays() {
        let word = Word::forced_closed(EPOCH);
        for event in outcomes_of(EPOCH) {
            assert_step(word, event, &settings(), word, Effect::Counted);
        }
    }

    #[test]
    fn open_and_forced_open_stay_whatever_a_call_of_their_epoch_would_say() {
        for word in [open(), Word::forced_open(EPOCH)] {
            for event in outcomes_of(EPOCH) {
                assert_step(word, event, &settings(), word, Effect::Late);
            }
        }
    }

    #[test]
    fn an_outcome_of_another_epoch_changes_no_state() {
        for word in every_state() {
            for epoch in [Epoch::new(0), Epoch::new(6), EPOCH.next()] {
                for event in outcomes_of(epoch) {
                    assert_step(word, event, &settings(), word, Effect::Late);
                }
            }
        }
    }

    #[test]
    fn a_late_failure_at_a_threshold_of_one_opens_nothing() {
        let settings = Settings { error_threshold: Some(1), half_open_error_threshold: 1, ..settings() };
        for word in [closed(0), half_open(1, 0, 0)] {
            let event = failed(Epoch::new(6), Some(NOW));
            assert_step(word, event, &settings, word, Effect::Late);
        }
    }
}

mod rounds {
    use super::*;

    const FIRST: Epoch = Epoch::new(5);
    const CONTEXT: Context = Context { epoch: EPOCH, first_round: FIRST, reopenings: 0 };

    /// Of the third round, with two probes of its own.
    fn third(successes: u64, errors: u64) -> Word {
        half_open(0, successes, errors).next_round(EPOCH).with_probe()
    }

    #[track_caller]
    fn assert_third(word: Word, event: Event, next: Word, expected: impl Into<Detailed>) {
        let found = detailed(word, step_in(word, CONTEXT, event, &settings()), &settings());
        assert_eq!(found, (next, expected.into()), "{word:?} {event:?}");
    }

    #[test]
    fn a_call_is_of_this_round_or_an_earlier_one_or_late() {
        for (call, standing) in [
            (EPOCH, Standing::Current),
            (Epoch::new(6), Standing::EarlierRound),
            (FIRST, Standing::EarlierRound),
            (Epoch::new(4), Standing::Late),
            (EPOCH.next(), Standing::Late),
        ] {
            assert_eq!(CONTEXT.standing(call), standing, "{call:?}");
        }
        assert_eq!(context(0).standing(Epoch::new(6)), Standing::Late);
    }

    #[test]
    fn the_rounds_of_an_episode_go_on_where_the_epochs_wrap() {
        let last = Epoch::new(crate::machine::word::EPOCH.max());
        let context = Context { epoch: Epoch::new(1), first_round: last, reopenings: 0 };
        for (number, standing) in [(0, Standing::EarlierRound), (1, Standing::Current), (2, Standing::Late)] {
            assert_eq!(context.standing(Epoch::new(number)), standing);
        }
        assert_eq!(context.standing(last), Standing::EarlierRound);
        assert_eq!(context.standing(Epoch::new(last.number() - 1)), Standing::Late);
    }

    #[test]
    fn what_an_earlier_round_says_is_evidence_and_frees_nothing() {
        for call in [FIRST, Epoch::new(6)] {
            assert_third(third(1, 1), Event::Success(call), third(2, 1), freeing(0));
            assert_third(third(1, 1), failed(call, None), third(0, 2), freeing(0));
            assert_third(third(1, 1), Event::Release(call), third(1, 1), Effect::Counted);
            assert_third(third(1, 1), rate_met(call), third(1, 1), Effect::Counted);
        }
    }

    #[test]
    fn an_earlier_round_decides_like_any_other() {
        for call in [FIRST, Epoch::new(6), EPOCH] {
            let closing = begin_after((1, 3), Cause::SuccessThreshold);
            assert_third(third(2, 1), Event::Success(call), Word::closed(EPOCH.next()), closing);
            let opening = begin_after((3, 0), Cause::ProbeFailed);
            assert_third(third(2, 2), failed(call, Some(NOW)), opened_for(10_000), opening);
            assert_third(third(2, 2), failed(call, None), third(2, 2), Effect::NeedsClock);
            let tripping = begin_after((2, 0), Cause::Tripped);
            assert_third(third(2, 1), Event::Trip(call, RETRY_AFTER), opened_for(250), tripping);
        }
    }

    #[test]
    fn a_call_of_before_the_episode_is_late() {
        for event in outcomes_of(Epoch::new(4)) {
            assert_third(third(1, 1), event, third(1, 1), Effect::Late);
        }
    }

    #[test]
    fn a_probe_of_this_round_gives_its_place_back_and_raises_the_capacity() {
        let next = third(2, 1).without_probe().with_raise(1);
        assert_third(third(1, 1), SUCCESS, next, freeing(2));
        assert_third(third(1, 1), RELEASE, third(1, 1).with_return(), freeing(1));
    }
}

mod orders {
    use super::*;

    fn assert_operates(order: Command, next: Word, cause: Cause) {
        for word in every_state() {
            let counts = counts(word);
            assert_begins(word, Event::Operate(order), &settings(), next, cause, counts);
        }
    }

    #[test]
    fn an_order_moves_from_every_state_and_begins_an_epoch_without_counts() {
        let next = EPOCH.next();
        let open_for = Command::OpenFor { now: NOW, open_for: RETRY_AFTER };
        assert_operates(Command::Close, Word::closed(next), Cause::Manual);
        assert_operates(Command::Reset, Word::closed(next), Cause::Reset);
        assert_operates(Command::HalfOpen, Word::half_open(next), Cause::Manual);
        assert_operates(Command::ForceOpen, Word::forced_open(next), Cause::Manual);
        assert_operates(Command::ForceClosed, Word::forced_closed(next), Cause::Manual);
        assert_operates(open_for, opened_for(250), Cause::Manual);
    }

    #[test]
    fn an_opening_by_hand_lasts_as_long_as_the_backoff_says_for_the_state_that_is_left() {
        let order = Command::Open { now: NOW, draw: 0.0 };
        for word in every_state() {
            let millis = if word.state() == State::HalfOpen { 20_000 } else { 10_000 };
            let found = detailed(word, step(word, 1, Event::Operate(order), &settings()), &settings());
            assert_eq!(found, (opened_for(millis), begin_after(counts(word), Cause::Manual)), "{word:?}");
        }
    }

    #[test]
    fn the_draw_picks_the_jitter() {
        let settings = Settings { jitter: 0.5, ..settings() };
        let deadline = |draw| {
            let order = Event::Operate(Command::Open { now: NOW, draw });
            step(closed(0), 0, order, &settings).next
        };
        assert_eq!(deadline(0.0), opened_for(5_000));
        assert_eq!(deadline(1.0), opened_for(7_500));
    }

    #[test]
    fn only_orders_that_open_say_when_they_were_given() {
        for order in [Command::Open { now: NOW, draw: 0.0 }, Command::OpenFor { now: NOW, open_for: RETRY_AFTER }] {
            assert_eq!(order.opens_at(), Some(NOW), "{order:?}");
        }
        for order in [Command::Close, Command::HalfOpen, Command::ForceOpen, Command::ForceClosed, Command::Reset] {
            assert_eq!(order.opens_at(), None, "{order:?}");
        }
    }
}

#[test]
fn an_outcome_asks_for_the_clock_where_a_look_at_the_word_before_it_says_so() {
    let settings = settings();
    for word in every_state().into_iter().chain((0..3).map(closed)).chain((0..3).map(|errors| half_open(1, 0, errors)))
    {
        for tripped_by in [None, Some(Cause::ErrorRate)] {
            let event = Event::Failure { call: EPOCH, tripped_by, now: None, draw: 0.0 };
            let needs_clock = step(word, 0, event, &settings).effect == Effect::NeedsClock;
            assert_eq!(needs_clock, opening_cause(word, tripped_by, &settings).is_some(), "{word:?} {tripped_by:?}");
        }
    }
}

#[test]
fn the_counts_of_a_word_are_those_of_its_state() {
    assert_eq!(every_state().map(counts), [(2, 0), (0, 0), (1, 1), (0, 0), (0, 0)]);
}

#[test]
fn a_restart_begins_a_new_run_while_closed_in_the_same_epoch_and_changes_nothing_otherwise() {
    let restart = |word, call| restart(word, context(0), call, Cause::ErrorRate);
    let begun = (Word::closed(EPOCH.next()), begin_after((2, 0), Cause::ErrorRate));
    assert_eq!(detailed(closed(2), restart(closed(2), EPOCH), &settings()), begun);
    for word in every_state() {
        if word.state() != State::Closed {
            assert_eq!(restart(word, EPOCH).next, word);
        }
        let late = restart(word, Epoch::new(6));
        assert_eq!((late.next, late.effect), (word, Effect::Late));
    }
}

mod recovery {
    use super::*;
    use crate::recovery::Recovery;

    fn rules_with_steps() -> Settings {
        Settings { recovery: Some(Recovery::steps([0.1, 0.2]).each(NOW)), ..settings() }
    }

    fn at_step(step: u32) -> Word {
        Word::recovering(EPOCH).with_step(step)
    }

    #[test]
    fn the_success_at_the_threshold_enters_the_first_step() {
        let next = Word::recovering(EPOCH.next());
        assert_begins(half_open(1, 2, 1), SUCCESS, &rules_with_steps(), next, Cause::SuccessThreshold, (1, 3));
        assert_begins(
            half_open(1, 2, 1),
            SUCCESS,
            &settings(),
            Word::closed(EPOCH.next()),
            Cause::SuccessThreshold,
            (1, 3),
        );
    }

    #[test]
    fn whether_a_step_admits_a_call_the_word_does_not_know() {
        for word in [at_step(0), at_step(1).with_step_over()] {
            for is_silent in [false, true] {
                let event = Event::Admit { now: NOW, is_silent };
                assert_step(word, event, &rules_with_steps(), word, Effect::AskSteps);
            }
        }
    }

    #[test]
    fn a_release_and_an_outcome_of_another_epoch_change_nothing() {
        let settings = rules_with_steps();
        assert_step(at_step(1), RELEASE, &settings, at_step(1), Effect::Counted);
        for event in outcomes_of(Epoch::new(6)) {
            assert_step(at_step(1), event, &settings, at_step(1), Effect::Late);
        }
    }

    #[test]
    fn a_trip_opens_at_once_for_its_own_time() {
        assert_begins(at_step(1), TRIP, &rules_with_steps(), opened_for(250), Cause::Tripped, (0, 0));
    }

    #[test]
    fn a_relapse_opens_for_the_next_backoff_from_the_step_that_was_judged() {
        let settings = rules_with_steps();
        let relapse = |word, judged| {
            let step = relapse(word, context(1), judged, Cause::ErrorRate, NOW, 0.0, &settings);
            detailed(word, step, &settings)
        };
        for word in [at_step(1), at_step(1).with_step_over()] {
            let opened = (opened_for(20_000), begin_after((0, 0), Cause::ErrorRate));
            assert_eq!(relapse(word, at_step(1)), opened);
            assert_eq!(relapse(word, at_step(1).with_step_over()), opened);
        }
        for judged in [at_step(0), at_step(2), Word::recovering(Epoch::new(6)).with_step(1)] {
            assert_eq!(relapse(at_step(1), judged), (at_step(1), Effect::Late.into()));
        }
        for word in every_state() {
            assert_eq!(relapse(word, at_step(1)), (word, Effect::Late.into()));
        }
    }

    #[test]
    fn the_last_step_closes_if_it_is_still_the_word_that_was_judged() {
        let over = at_step(1).with_step_over();
        let conclude = |word| detailed(word, conclude(word, context(0), over), &rules_with_steps());
        assert_eq!(conclude(over), (Word::closed(EPOCH.next()), begin_after((0, 0), Cause::Recovered)));
        for word in every_state().into_iter().chain([at_step(1), at_step(0)]) {
            assert_eq!(conclude(word), (word, Effect::Late.into()));
        }
    }

    #[test]
    fn a_slow_close_enters_the_first_step_of_its_own_length_from_every_state_that_rejects_calls() {
        let length = StepLength::of_ramp(NOW);
        let begins = |next: Word, from: Word| (next, begin_after(counts(from), Cause::Remote));
        let slow_close = |word, length| detailed(word, slow_close(word, context(2), length), &settings());
        let entered = Word::recovering(EPOCH.next()).with_step_length(length.expect("it takes some time"));
        for word in every_state().into_iter().chain([at_step(1), at_step(3).with_step_length(length.unwrap())]) {
            let expected = match word.state() {
                State::Closed => (word, Effect::Counted.into()),
                State::ForcedClosed => begins(Word::closed(EPOCH.next()), word),
                _ => begins(entered, word),
            };
            assert_eq!(slow_close(word, length), expected, "{word:?}");
            let is_closed = word.state() == State::Closed;
            let at_once = if is_closed { expected } else { begins(Word::closed(EPOCH.next()), word) };
            assert_eq!(slow_close(word, None), at_once, "{word:?}");
        }
    }

    #[test]
    fn the_end_of_forced_open_enters_the_steps_of_the_settings_if_they_have_some() {
        let begins = |next: Word| (next, begin_after((0, 0), Cause::Manual));
        let end_force = |word, settings: &Settings| detailed(word, end_force(word, context(0), settings), settings);
        let closed = begins(Word::closed(EPOCH.next()));
        let [open, shut] = [Word::forced_open(EPOCH), Word::forced_closed(EPOCH)];
        assert_eq!(end_force(open, &rules_with_steps()), begins(Word::recovering(EPOCH.next())));
        assert_eq!(end_force(open, &settings()), closed);
        for settings in [settings(), rules_with_steps()] {
            assert_eq!(end_force(shut, &settings), closed);
            let disabled = Settings { enabled: false, ..settings };
            assert_eq!(end_force(shut, &disabled), (shut, Effect::Late.into()));
            for word in [super::closed(2), super::open(), half_open(2, 1, 1), at_step(1)] {
                assert_eq!(end_force(word, &disabled), (word, Effect::Late.into()));
            }
        }
    }

    #[test]
    fn an_order_ends_the_steps() {
        for (order, next) in [
            (Command::Close, Word::closed(EPOCH.next())),
            (Command::HalfOpen, Word::half_open(EPOCH.next())),
            (Command::ForceOpen, Word::forced_open(EPOCH.next())),
            (Command::ForceClosed, Word::forced_closed(EPOCH.next())),
            (Command::Open { now: NOW, draw: 0.0 }, opened_for(10_000)),
        ] {
            assert_begins(at_step(1), Event::Operate(order), &rules_with_steps(), next, Cause::Manual, (0, 0));
        }
    }
}
