use super::*;

const LAST: Epoch = Epoch::new(EPOCH.max());

#[test]
fn the_fields_of_a_state_do_not_overlap() {
    for fields in
        [&[TAG, EPOCH, ERRORS][..], &[TAG, EPOCH, DEADLINE], &[TAG, EPOCH, IN_FLIGHT, SUCCESSES, PROBE_ERRORS, RAISE]]
    {
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
    let docs = include_str!("../../design.md");
    for (state, name, field) in [
        ("every", "tag", TAG),
        ("every", "epoch", EPOCH),
        ("closed", "errors", ERRORS),
        ("open", "deadline", DEADLINE),
        ("half-open", "in flight", IN_FLIGHT),
        ("half-open", "successes", SUCCESSES),
        ("half-open", "probe errors", PROBE_ERRORS),
        ("half-open", "raise", RAISE),
    ] {
        let (first, last) = (field.shift, field.end() - 1);
        let row = format!("| {name} | {state} | {first} to {last} | {} | {} |", field.width, field.max());
        assert!(docs.contains(&row), "the docs lack: {row}");
    }
    let tags = format!(
        "closed {CLOSED}, forced closed {FORCED_CLOSED}, half-open {HALF_OPEN}, open {OPEN}, forced open {FORCED_OPEN}"
    );
    assert!(docs.contains(&tags), "the docs lack: {tags}");
}

#[test]
fn every_field_goes_round_at_its_bounds_and_leaves_the_others_alone() {
    for field in [TAG, EPOCH, ERRORS, DEADLINE, IN_FLIGHT, SUCCESSES, PROBE_ERRORS, RAISE] {
        for value in [0, 1, field.max() / 2, field.max()] {
            for others in [0, u64::MAX] {
                let bits = field.set(others, value);
                assert_eq!(field.get(bits), value);
                assert_eq!(field.set(bits, field.get(others)), others);
            }
        }
    }
}

#[test]
fn every_state_keeps_its_tag_and_epoch() {
    for epoch in [Epoch::new(0), Epoch::new(1), LAST] {
        let words = [
            (State::Closed, Word::closed(epoch).with_errors(u64::MAX)),
            (State::Open, Word::open(epoch, Millis::MAX)),
            (State::HalfOpen, Word::half_open(epoch).with_raise(u64::MAX).with_successes(u64::MAX)),
            (State::ForcedOpen, Word::forced_open(epoch)),
            (State::ForcedClosed, Word::forced_closed(epoch)),
        ];
        for (state, word) in words {
            assert_eq!(word.state(), state);
            assert_eq!(word.epoch(), epoch);
            assert_eq!(Word::from_bits(word.bits()), word);
            assert_eq!(state_of(tag_of(state)), state);
        }
    }
}

#[test]
fn counts_saturate_at_the_width_of_their_field() {
    assert_eq!(Word::closed(LAST).with_errors(u64::MAX).errors(), u64::from(u32::MAX));
    let probing = Word::half_open(LAST).with_successes(5_000).with_probe_errors(5_000).with_raise(5_000);
    assert_eq!(probing.successes(), 1023);
    assert_eq!(probing.probe_errors(), 1023);
    assert_eq!(probing.raise(), 1023);
    assert_eq!(probing.in_flight(), 0);
}

#[test]
fn probes_are_counted_up_to_the_width_of_their_field_and_down_to_zero() {
    let mut word = Word::half_open(LAST);
    for count in 1..=4_095 {
        word = word.with_probe().expect("there is room");
        assert_eq!(word.in_flight(), count);
    }
    assert_eq!(word.with_probe(), None);
    assert_eq!(word.without_probe().in_flight(), 4_094);
    assert_eq!(Word::half_open(LAST).without_probe(), Word::half_open(LAST));
}

#[test]
fn an_epoch_wraps_to_the_first_and_still_comes_after_the_last() {
    assert_eq!(LAST.next(), Epoch::new(0));
    assert!(LAST.next().is_after(LAST));
    assert!(!LAST.is_after(LAST.next()));
    assert!(!LAST.is_after(LAST));
    assert!(Epoch::new(7).is_after(Epoch::new(3)));
    assert!(Epoch::new(1).is_shortly_after(LAST, 2));
    assert!(!Epoch::new(2).is_shortly_after(LAST, 2));
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
    for number in [0, 1, 2, 524_287] {
        assert_eq!((Epoch::new(number).number(), u64::from(Epoch::new(number).number_u32())), (number, number));
    }
    assert_eq!(Epoch::new(524_288).number(), 0);
}

#[test]
fn only_a_word_without_counts_that_admits_all_is_quiet() {
    assert!(Word::INITIAL.is_quiet());
    assert!(Word::closed(LAST).is_quiet());
    assert!(Word::forced_closed(LAST).is_quiet());
    assert!(!Word::closed(LAST).with_errors(1).is_quiet());
    assert!(Word::closed(LAST).with_errors(1).admits_all());
    for word in [Word::half_open(LAST), Word::open(LAST, Millis::MAX), Word::forced_open(LAST)] {
        assert!(!word.is_quiet());
        assert!(!word.admits_all());
    }
}

#[test]
fn a_word_is_debugged_by_the_fields_of_its_state() {
    let text = format!("{:?}", Word::half_open(Epoch::new(3)).with_successes(1));
    assert_eq!(text, "Word { state: HalfOpen, epoch: 3, in_flight: 0, successes: 1, probe_errors: 0, raise: 0 }");
}
