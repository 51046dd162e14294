//! Admissions, settlements and orders of threads at once take effect one after the other.
//!
//! This is linearizability under the rule of consecutive errors: for what threads saw there is an order of their
//! operations, true to which of them was over before another began, in which the plain reference of `tests/model`
//! says the same to each. Set `TRIPCOIL_SCALE` to run so many times as many rounds.

#[allow(dead_code, reason = "it is made for tests of more rules")]
#[path = "../model/reference.rs"]
mod reference;

mod order;
mod round;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use order::explanation;
use round::{Answer, Entry, Operation, Plan, Record, Stage};
use tripcoil::State;

/// With two threads, and as many with three.
const ROUNDS: usize = 100;

/// Numbers that look random, of a seed.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed >> 33) % below as u64).expect("it is below")
    }
}

fn dice() -> Dice {
    Dice(RandomState::new().hash_one(()))
}

/// Lets nobody past before all threads are here.
struct Gate {
    arrived: AtomicUsize,
}

impl Gate {
    fn pass(&self, turn: usize, threads: usize) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0_u32;
        while self.arrived.load(Ordering::SeqCst) < turn * threads {
            looks += 1;
            // Spinning keeps the threads close together; but they may share a core.
            if looks % 32 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// Performs the plans, each thread its part of each.
fn perform(plans: &[Plan], threads: usize) -> Vec<Record> {
    let stages: Vec<_> = plans.iter().map(|plan| Stage::new(plan, std::thread::yield_now)).collect();
    let gate = Gate { arrived: AtomicUsize::new(0) };
    let play = |thread: usize| {
        let mut turn = 0;
        let mut entries = Vec::new();
        for (plan, stage) in plans.iter().zip(&stages) {
            let mut seen = Vec::new();
            for phase in &plan.phases {
                if thread == 0 {
                    stage.set_clock(phase.time);
                }
                turn += 1;
                gate.pass(turn, threads);
                for (number, operation) in phase.threads.get(thread).into_iter().flatten() {
                    seen.extend(stage.perform(*number, *operation, phase.time));
                }
                turn += 1;
                gate.pass(turn, threads);
            }
            entries.push(seen);
        }
        entries
    };
    let play = &play;
    let seen: Vec<_> = std::thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|thread| scope.spawn(move || play(thread))).collect();
        players.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let of_round = |round: usize| seen.iter().flat_map(move |of_thread: &Vec<Vec<Entry>>| of_thread[round].clone());
    stages.iter().enumerate().map(|(round, stage)| stage.record(of_round(round).collect())).collect()
}

fn rounds(count: usize) -> Vec<Record> {
    let mut dice = dice();
    let mut records = Vec::new();
    for threads in [2, 3] {
        let plans: Vec<_> = (0..count).map(|_| Plan::new(threads, &mut |below| dice.draw(below))).collect();
        records.extend(perform(&plans, threads));
    }
    records
}

/// Rounds in which one operation comes after the other, as a check of the checker needs no threads.
fn rounds_in_a_row(count: usize) -> Vec<Record> {
    let mut dice = dice();
    let plans = (0..count).map(|_| Plan::new(3, &mut |below| dice.draw(below)));
    let play = |plan: Plan| {
        let stage = Stage::new(&plan, || {});
        let mut seen = Vec::new();
        for phase in &plan.phases {
            stage.set_clock(phase.time);
            for (number, operation) in phase.threads.iter().flatten() {
                seen.extend(stage.perform(*number, *operation, phase.time));
            }
        }
        stage.record(seen)
    };
    plans.map(play).collect()
}

fn overlaps(record: &Record) -> bool {
    let entries = &record.entries;
    entries.iter().enumerate().any(|(place, a)| entries[..place].iter().any(|b| a.begun < b.ended && b.begun < a.ended))
}

#[test]
fn what_threads_see_is_explained_by_an_order_of_their_operations() {
    let scale = std::env::var("TRIPCOIL_SCALE").map_or(1, |scale| scale.parse().expect("a number"));
    let (mut operations, mut overlapping) = (0, 0);
    for _ in 0..scale {
        for record in rounds(ROUNDS) {
            operations += record.entries.len();
            overlapping += usize::from(overlaps(&record));
            assert!(explanation(&record).is_some(), "no order explains this: {record:#?}");
        }
    }
    println!("{} rounds, {operations} operations, overlapping in {overlapping} rounds", 2 * scale * ROUNDS);
    assert!(overlapping > 0, "no operations overlapped");
}

#[test]
fn operations_one_after_the_other_are_explained() {
    for record in rounds_in_a_row(1_000) {
        assert!(!overlaps(&record));
        assert!(explanation(&record).is_some(), "no order explains this: {record:#?}");
    }
}

#[test]
fn a_reference_with_another_threshold_explains_it_not() {
    let mut refuted = 0;
    for mut record in rounds_in_a_row(500) {
        record.settings.error_threshold = record.settings.error_threshold.map(|errors| errors + 1);
        refuted += usize::from(explanation(&record).is_none());
    }
    assert!(refuted > 0);
}

#[test]
fn a_reference_that_forgets_to_back_off_explains_it_not() {
    let mut refuted = 0;
    for mut record in rounds_in_a_row(3_000) {
        record.settings.backoff_factor = 1.0;
        refuted += usize::from(explanation(&record).is_none());
    }
    assert!(refuted > 0);
}

#[test]
fn a_reference_in_which_no_probe_is_ever_silent_explains_it_not() {
    let mut refuted = 0;
    for mut record in rounds_in_a_row(3_000) {
        record.settings.probe_timeout = 1_000_000;
        refuted += usize::from(explanation(&record).is_none());
    }
    assert!(refuted > 0);
}

#[test]
fn an_order_against_real_time_explains_nothing() {
    let mut refuted = 0;
    for mut record in rounds_in_a_row(500) {
        let last = record.entries.iter().map(|entry| entry.ended).max().unwrap_or(0);
        for entry in &mut record.entries {
            (entry.begun, entry.ended) = (last - entry.ended, last - entry.begun);
        }
        refuted += usize::from(explanation(&record).is_none());
    }
    assert!(refuted > 0);
}

/// Orders, looks and admissions with made-up answers, each with its beginning and end.
fn made_up(entries: &[(Operation, Answer, [u64; 2])]) -> Record {
    let mut dice = Dice(1);
    let plan = Plan { phases: Vec::new(), ..Plan::new(2, &mut |below| dice.draw(below)) };
    let stage = Stage::new(&plan, || {});
    let entries = entries.iter().enumerate().map(|(number, (operation, answer, [begun, ended]))| {
        // It is done for the transitions that are told.
        stage.perform(number, *operation, 0);
        Entry { number, operation: *operation, answer: answer.clone(), time: 0, begun: *begun, ended: *ended }
    });
    let entries = entries.collect();
    stage.record(entries)
}

const FORCE: Operation = Operation::TransitionTo(State::ForcedOpen);

#[test]
fn a_look_that_overlaps_with_an_order_sees_either_state_and_a_later_one_the_new() {
    let look = |state, [begun, ended]: [u64; 2]| {
        let entries = [(FORCE, Answer::Done, [0, 3]), (Operation::Look, Answer::State(state), [begun, ended])];
        explanation(&made_up(&entries))
    };
    assert_eq!(look(State::Closed, [1, 2]), Some(vec![1, 0]));
    assert_eq!(look(State::ForcedOpen, [1, 2]), Some(vec![0, 1]));
    assert_eq!(look(State::ForcedOpen, [4, 5]), Some(vec![0, 1]));
    assert_eq!(look(State::Closed, [4, 5]), None);
    assert_eq!(look(State::HalfOpen, [1, 2]), None);
}

#[test]
fn two_looks_in_a_row_never_see_an_order_undone() {
    let looks = |first, second| {
        let entries = [
            (FORCE, Answer::Done, [0, 9]),
            (Operation::Look, Answer::State(first), [1, 2]),
            (Operation::Look, Answer::State(second), [3, 4]),
        ];
        explanation(&made_up(&entries)).is_some()
    };
    assert!(looks(State::Closed, State::ForcedOpen));
    assert!(!looks(State::ForcedOpen, State::Closed));
}
