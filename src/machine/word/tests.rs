use std::time::Duration;

use super::*;

const LAST: Epoch = Epoch::new(EPOCH.max());
const HALF_OPEN_FIELDS: [Field; 8] = [TAG, LOW_EPOCH, IN_FLIGHT, SUCCESSES, PROBE_ERRORS, RAISE, CONTINUED, RETURNS];

#[test]
fn the_fields_of_a_state_do_not_overlap() {
    let recovering = [TAG, EPOCH, STEP, STEP_IS_OVER, STEP_LENGTH];
    for fields in [&[TAG, EPOCH, ERRORS][..], &[TAG, LOW_EPOCH, DEADLINE], &HALF_OPEN_FIELDS, &recovering] {
        let mut used = 0_u64;
        for field in fields {
            let mask = field.set(0, field.max());
            assert_eq!(used & mask, 0);
            used |= mask;
        }
    }
}

#[test]
fn the_layout_in_the_docs_is_the_layout_of_the_word() {
    let docs = include_str!("../../../docs/design.md");
    for (state, name, field) in [
        ("every", "tag", TAG),
        ("closed, forced, recovering", "epoch", EPOCH),
        ("closed", "errors", ERRORS),
        ("open, half-open", "low epoch", LOW_EPOCH),
        ("open", "deadline", DEADLINE),
        ("half-open", "in flight", IN_FLIGHT),
        ("half-open", "successes", SUCCESSES),
        ("half-open", "probe errors", PROBE_ERRORS),
        ("half-open", "raise", RAISE),
        ("half-open", "continued", CONTINUED),
        ("half-open", "returns", RETURNS),
        ("recovering", "step", STEP),
        ("recovering", "step is over", STEP_IS_OVER),
        ("recovering", "step length", STEP_LENGTH),
    ] {
        let (first, last) = (field.shift, field.end() - 1);
        let bits = if first == last { first.to_string() } else { format!("{first} to {last}") };
        let row = format!("| {name} | {state} | {bits} | {} | {} |", field.width, field.max());
        assert!(docs.contains(&row), "the docs lack: {row}");
    }
    let tags = format!(
        "closed {CLOSED}, forced closed {FORCED_CLOSED}, half-open {HALF_OPEN}, open {OPEN}, forced open {FORCED_OPEN}, recovering {RECOVERING}"
    );
    assert!(docs.contains(&tags), "the docs lack: {tags}");
}

#[test]
fn every_field_goes_round_at_its_bounds_and_leaves_the_others_alone() {
    for field in HALF_OPEN_FIELDS.into_iter().chain([EPOCH, ERRORS, DEADLINE, STEP, STEP_IS_OVER, STEP_LENGTH]) {
        for value in [0, 1.min(field.max()), field.max() / 2, field.max()] {
            for others in [0, u64::MAX] {
                let bits = field.set(others, value);
                assert_eq!(field.get(bits), value);
                assert_eq!(field.set(bits, field.get(others)), others);
            }
        }
    }
}

#[test]
fn every_state_keeps_its_tag_and_as_much_of_its_epoch_as_it_holds() {
    for epoch in [Epoch::new(0), Epoch::new(1), Epoch::new(LOW_EPOCH.max()), Epoch::new(LOW_EPOCH.max() + 1), LAST] {
        let words = [
            (State::Closed, Word::closed(epoch).with_errors(u64::MAX)),
            (State::Open, Word::open(epoch, Millis::MAX)),
            (State::HalfOpen, Word::half_open(epoch).with_raise(u64::MAX).with_successes(u64::MAX)),
            (State::HalfOpen, Word::recovering(epoch).with_step(63).with_step_over()),
            (State::ForcedOpen, Word::forced_open(epoch)),
            (State::ForcedClosed, Word::forced_closed(epoch)),
        ];
        for (state, word) in words {
            assert_eq!(word.state(), state);
            assert!(word.is_of(epoch));
            assert!(!word.is_of(epoch.next()));
            assert_eq!(word.is_of(Epoch::new(epoch.number() + LOW_EPOCH.max() + 1)), word.has_low_epoch(), "{word:?}");
            assert_eq!(Word::from_bits(word.bits()), word);
            assert_eq!(state_of(tag_of(state)), state);
        }
    }
}

#[test]
fn counts_saturate_at_the_width_of_their_field() {
    assert_eq!(Word::closed(LAST).with_errors(u64::MAX).errors(), u64::from(u32::MAX));
    let probing = Word::half_open(LAST).with_successes(5_000).with_probe_errors(5_000).with_raise(5_000);
    let most = u64::from(MAX_PROBES);
    assert_eq!([probing.successes(), probing.probe_errors(), probing.raise()], [most; 3]);
    assert_eq!(probing.in_flight(), 0);
}

#[test]
fn probes_are_counted_up_to_the_width_of_their_field_and_down_to_zero() {
    let mut word = Word::half_open(LAST);
    for count in 1..=u64::from(MAX_PROBES) {
        word = word.with_probe();
        assert_eq!(word.in_flight(), count);
    }
    assert_eq!(word.with_probe(), word);
    assert_eq!(word.without_probe().in_flight(), u64::from(MAX_PROBES) - 1);
    assert_eq!(Word::half_open(LAST).without_probe(), Word::half_open(LAST));
}

#[test]
fn a_place_that_is_given_back_and_taken_again_makes_the_same_word_after_2_to_the_13th_returns_only() {
    let start = Word::half_open(LAST).with_probe();
    let mut word = start;
    for returns in 1..=RETURNS.max() {
        word = word.with_return().with_probe();
        assert_ne!(word, start, "after {returns} returns");
        assert_eq!(word.in_flight(), 1);
    }
    assert_eq!(word.with_return().with_probe(), start);
}

#[test]
fn half_open_words_of_epochs_with_the_same_low_bits_differ() {
    let mut seen = std::collections::HashSet::new();
    for turn in 0..=EPOCH.max() >> LOW_EPOCH.width {
        assert!(seen.insert(Word::half_open(Epoch::new(turn << LOW_EPOCH.width | 7)).bits()), "{turn}");
    }
}

#[test]
fn a_further_round_has_one_probe_and_keeps_the_verdicts() {
    let epoch = Epoch::new(7);
    let word = Word::half_open(epoch).with_probe().with_probe().with_raise(2).with_successes(3).with_probe_errors(4);
    assert!(!word.is_continued());
    for round in [word.next_round(epoch.next()), word.next_round(epoch.next()).next_round(epoch.next())] {
        assert!(round.is_continued() && round.is_of(epoch.next()));
        assert_eq!((round.in_flight(), round.raise()), (1, 0));
        assert_eq!((round.successes(), round.probe_errors()), (3, 4));
    }
}

#[test]
fn the_steps_of_recovery_go_on_in_one_epoch_and_keep_their_length() {
    for length in [None, StepLength::of_ramp(Duration::from_nanos(1)), StepLength::of_ramp(Duration::MAX)] {
        let begun = Word::recovering(LAST);
        let mut word = length.map_or(begun, |length| begun.with_step_length(length));
        for step in 0..=u32::try_from(STEP.max()).expect("few steps") {
            word = word.with_step(step);
            assert_eq!((word.step(), word.is_step_over(), word.head().epoch()), (step, false, LAST));
            word = word.with_step_over();
            assert_eq!((word.step(), word.is_step_over(), word.head().epoch()), (step, true, LAST));
            assert!(word.is_recovering() && word.state() == State::HalfOpen);
            assert_eq!(word.step_length(), length);
        }
    }
}

#[test]
fn epochs_wrap_to_the_first() {
    assert_eq!(LAST.next(), Epoch::new(0));
    assert_eq!([LAST.next().since(LAST), LAST.since(LAST), LAST.since(LAST.next())], [1, 0, EPOCH.max()]);
}

#[test]
fn of_two_epochs_the_one_that_is_longer_ago_came_before_also_across_the_wrap() {
    let now = Epoch::new(2);
    for (earlier, later) in [(0, 1), (EPOCH.max(), 0), (EPOCH.max() - 1, EPOCH.max()), (3, 2), (3, EPOCH.max())] {
        let (earlier, later) = (Epoch::new(earlier), Epoch::new(later));
        assert!(earlier.is_before(later, now), "{earlier:?} {later:?}");
        assert!(!later.is_before(earlier, now), "{earlier:?} {later:?}");
        assert!(!later.is_before(later, now));
    }
}

#[test]
fn an_epoch_is_the_number_that_it_was_made_of() {
    for number in [0, 1, 2, EPOCH.max()] {
        assert_eq!((Epoch::new(number).number(), u64::from(Epoch::new(number).number_u32())), (number, number));
    }
    assert_eq!(Epoch::new(EPOCH.max() + 1).number(), 0);
}

#[test]
fn a_success_is_nothing_only_to_the_bare_word_of_its_own_state_and_epoch() {
    let epochs = [Epoch::new(0), Epoch::new(1), Epoch::new(LOW_EPOCH.max() + 1), LAST];
    for epoch in epochs {
        let own = [Word::closed(epoch), Word::forced_closed(epoch)];
        for word in own {
            assert!(word.is_bare(word.head()) && word.head().epoch() == epoch);
            assert!(!word.with_errors(1).is_bare(word.head()) && word.with_errors(1).head() == word.head());
            assert!(own.into_iter().all(|other| other == word || !other.is_bare(word.head())));
            assert!(!Word::closed(epoch.next()).is_bare(word.head()));
        }
        // Whatever a half-open word counts, it is not what a probe's permit holds.
        let probe = Head::of_probe(epoch);
        assert_eq!(probe.epoch(), epoch);
        let busy = Word::half_open(epoch).with_probe();
        for word in own.into_iter().chain([busy, busy.with_return(), Word::forced_open(epoch)]) {
            assert!(!word.is_bare(probe), "{word:?}");
        }
        assert!(!Word::from_bits(u64::from(probe.0) & !TAG.max() | HALF_OPEN).is_bare(probe));
        let call = Head::of_step(epoch);
        assert_eq!((call.epoch(), call.is_probe(), probe.is_probe()), (epoch, false, true));
        assert!(!Word::recovering(epoch).is_bare(call) && !Word::recovering(epoch).admits_all());
    }
}

#[test]
fn a_word_is_debugged_by_the_fields_of_its_state() {
    let text = format!("{:?}", Word::half_open(Epoch::new(3)).with_successes(1));
    let counts = "in_flight: 0, successes: 1, probe_errors: 0, raise: 0, is_continued: false";
    assert_eq!(text, format!("Word {{ state: HalfOpen, epoch: 3, {counts} }}"));
    let text = format!("{:?}", Word::recovering(Epoch::new(3)).with_step(2));
    assert_eq!(text, "Word { state: HalfOpen, epoch: 3, step: 2, is_step_over: false, step_millis: None }");
}
