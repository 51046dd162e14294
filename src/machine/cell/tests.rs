use super::*;
use crate::machine::word::EPOCH;

const SECOND: Duration = Duration::from_secs(1);
const LAST: u64 = EPOCH.max();

fn settings() -> Settings {
    Settings { success_threshold: 3, half_open_error_threshold: 3, ..Settings::DEFAULT }
}

/// Closed, in the epoch of that number, after the given number of changes of state.
fn closed_in(epoch: u64, changes: u64) -> Cell {
    let mut cell = Cell::new();
    let word = Word::closed(Epoch::new(epoch));
    cell.word = SwapU64::new(word.bits());
    cell.history = SwapU64::new(History::after_changes(word, changes).bits());
    cell.changes_floor = AtomicU64::new(changes);
    cell
}

fn order(cell: &Cell, order: Command) -> Applied {
    cell.operate(order, &settings())
}

fn admit(cell: &Cell, seconds: u32) -> (Effect, Head) {
    let applied = cell.admit(seconds * SECOND, &settings());
    (applied.effect, applied.head())
}

fn full_epoch(cell: &Cell) -> u64 {
    cell.load_with_history().1.epoch().number()
}

#[test]
fn epochs_go_on_through_every_state_where_they_wrap_and_where_their_low_bits_do() {
    const LOW: u64 = 1 << 19;
    for before in [LOW - 1, 2 * LOW - 1, LAST] {
        for ahead in 0..6 {
            let cell = closed_in(before - ahead, 0);
            let mut epoch = Epoch::new(before - ahead);
            let mut enter = |cell: &Cell, next: Command| {
                let applied = order(cell, next);
                epoch = epoch.next();
                assert_eq!((applied.epoch_after(), full_epoch(cell)), (epoch, epoch.number()));
            };
            enter(&cell, Command::Open { now: SECOND, draw: 0.0 });
            enter(&cell, Command::OpenFor { now: SECOND, open_for: SECOND });
            let (effect, first) = admit(&cell, 2);
            epoch = epoch.next();
            assert!(matches!(effect, Effect::Begin(_)));
            assert_eq!((first.epoch(), full_epoch(&cell)), (epoch, epoch.number()));
            let (effect, second) = admit(&cell, 32);
            epoch = epoch.next();
            assert_eq!((effect, second.epoch()), (Effect::BeginRound, epoch));
            for head in [first, second] {
                assert!(!cell.succeed(head.epoch(), &settings()).effect.begins_epoch());
            }
            let applied = cell.trip(first.epoch(), SECOND, SECOND);
            epoch = epoch.next();
            assert_eq!((applied.epoch_after(), cell.load().state()), (epoch, State::Open));
            for head in [first, second] {
                assert_eq!(cell.succeed(head.epoch(), &settings()).effect, Effect::Late);
                assert!(cell.load_for(head).is_none());
            }
        }
    }
}

#[test]
fn a_permit_is_late_until_the_epochs_have_gone_round_as_a_whole() {
    const LOW: u64 = 1 << 19;
    for state in [Command::Close, Command::HalfOpen] {
        for ahead in [1, LOW - 1, LOW, LOW + 1, 1 << 28, LAST] {
            let then = closed_in(4, 0);
            let _ = order(&then, state);
            let (_, head) = admit(&then, 0);
            assert_eq!(head.epoch(), Epoch::new(5));
            let now = closed_in((4 + ahead) & LAST, 0);
            let _ = order(&now, state);
            let _ = admit(&now, 0);
            assert!(now.load_for(head).is_none(), "after {ahead} transitions");
            assert_eq!(now.fail(head.epoch(), None, Some(SECOND), 0.0, &settings()).effect, Effect::Late);
            assert!(!now.load().is_bare(head));
        }
    }
}

#[test]
fn changes_of_state_are_exact_where_those_in_the_history_wrap() {
    const ROUND: u64 = 1 << 22;
    for start in [0, ROUND - 3, ROUND - 1, ROUND, 9 * ROUND - 2] {
        let cell = closed_in(7, start);
        for change in 1..=6 {
            let next = if change % 2 == 0 { Command::Close } else { Command::HalfOpen };
            assert_eq!(order(&cell, next).changes, start + change);
            // The same state again.
            assert_eq!(order(&cell, next).changes, start + change);
            assert_eq!(cell.load_with_history().2, start + change);
        }
    }
}

#[test]
fn changes_of_state_are_exact_for_as_long_as_they_go_on() {
    const ROUND: u64 = 1 << 22;
    let mut cell = closed_in(7, 0);
    // As if all but the last few of each quarter of a round had gone by.
    for quarter in 1..=9 {
        let near = quarter * (ROUND / 4) - 2;
        let word = cell.load();
        let behind = *cell.changes_floor.get_mut();
        assert!(near - behind < ROUND / 2, "the floor is raised in time");
        let history = cell.past(word).expect("the newest").history;
        cell.history = SwapU64::new(history.with_changes(near).bits());
        for change in 1..=6 {
            let next =
                if word.state() == State::Closed && change % 2 == 1 { Command::HalfOpen } else { Command::Close };
            let next = if change % 2 == 0 { Command::Close } else { next };
            assert_eq!(order(&cell, next).changes, near + change);
        }
    }
}

/// What a history should say, from one event at a time.
struct Followed {
    epoch: Epoch,
    changes: u64,
    reopenings: u32,
    state: State,
}

impl Followed {
    #[track_caller]
    fn go(&mut self, cell: &Cell, applied: &Applied) {
        if applied.effect.begins_epoch() {
            let state = applied.after.state();
            self.changes += u64::from(state != self.state);
            self.reopenings = match (self.state, state) {
                (_, State::Closed | State::ForcedClosed) => 0,
                (State::HalfOpen, State::Open) => self.reopenings + 1,
                _ => self.reopenings,
            };
            (self.epoch, self.state) = (self.epoch.next(), state);
            assert_eq!(applied.changes, self.changes);
        }
        let (word, history, changes) = cell.load_with_history();
        assert_eq!((word.state(), history.epoch(), cell.epoch()), (self.state, self.epoch, self.epoch));
        assert_eq!((changes, history.reopenings()), (self.changes, self.reopenings), "{word:?}");
    }
}

/// The next of the regular steps.
fn regular_step(cell: &Cell, settings: &Settings) -> Applied {
    let epoch = cell.epoch();
    match cell.load().state() {
        State::Closed => cell.trip(epoch, SECOND, SECOND),
        State::Open => cell.admit(10 * SECOND, settings),
        _ => cell.succeed(epoch, settings),
    }
}

#[test]
fn a_history_follows_however_many_regular_steps_there_are_and_whatever_comes_between() {
    const MOST: u64 = 1_023;
    let settings = Settings { success_threshold: 1, ..Settings::DEFAULT };
    let into_steps = Settings {
        recovery: Some(crate::recovery::Recovery::steps([0.5]).each(SECOND)),
        success_threshold: 1,
        ..Settings::DEFAULT
    };
    let (mut random, mut between) = (7_u64, 0);
    let mut pick = |from: u64| {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (random >> 33) % from
    };
    for start in [0, (1 << 19) - MOST, LAST - MOST, LAST - 2] {
        let cell = closed_in(start, 9);
        let mut followed = Followed { epoch: Epoch::new(start), changes: 9, reopenings: 0, state: State::Closed };
        for stretch in [1, 2, 3, 5, MOST - 2, MOST - 1, MOST, MOST + 1, 2 * MOST + 3, 7, 1, 1, 4] {
            for _ in 0..stretch {
                followed.go(&cell, &regular_step(&cell, &settings));
            }
            for _ in 0..pick(4) {
                let epoch = cell.epoch();
                let applied = match pick(9) {
                    0 => order(&cell, Command::Reset),
                    1 => order(&cell, Command::ForceOpen),
                    2 => order(&cell, Command::ForceClosed),
                    3 => order(&cell, Command::HalfOpen),
                    4 => order(&cell, Command::OpenFor { now: SECOND, open_for: SECOND }),
                    5 => cell.trip(epoch, SECOND, SECOND),
                    6 => cell.succeed_into_steps(epoch, SECOND, &into_steps),
                    7 => cell.end_force(SECOND, &settings),
                    _ => cell.conclude(cell.load()),
                };
                between += u64::from(applied.effect.begins_epoch());
                followed.go(&cell, &applied);
            }
            // Back to a state that a regular step leads out of.
            if matches!(followed.state, State::ForcedOpen | State::ForcedClosed) || cell.load().is_recovering() {
                followed.go(&cell, &order(&cell, Command::Close));
            }
        }
    }
    assert!(between > 20, "{between} other steps");
}

#[test]
fn the_first_round_of_an_episode_is_kept_whatever_was_kept_before() {
    for start in [3, 1 << 28, LAST - 4] {
        let mut cell = closed_in(start, 0);
        for kept in [0, 2, (start + (1 << 28)) & LAST, LAST] {
            cell.first_round = SwapU64::new(kept);
            let _ = order(&cell, Command::HalfOpen);
            let heads = [0, 30, 60].map(|seconds| admit(&cell, seconds).1);
            assert_eq!(cell.kept_first_round(), heads[0].epoch());
            for head in heads {
                assert!(cell.load_for(head).is_some(), "{kept} {head:?}");
            }
            let _ = order(&cell, Command::HalfOpen);
            let _ = [0, 30].map(|seconds| admit(&cell, seconds));
            assert!(heads.into_iter().all(|head| cell.load_for(head).is_none()));
        }
    }
}

#[test]
fn a_lead_belongs_to_one_open_word_only() {
    let (epoch, deadline) = (Epoch::new(5), Millis::from_bits(7_000));
    let word = Word::open(epoch, deadline);
    let marked = mark_lead(Duration::from_nanos(999_999), word);
    assert_eq!(lead_of(marked, word), 999_999);
    for other in [Word::open(epoch.next(), deadline), Word::open(epoch, Millis::from_bits(7_001))] {
        assert_eq!(lead_of(marked, other), 0);
    }
    assert_eq!(lead_of(0, word), 0);
}
