//! The threads: each does its tasks, one load, store or swap at a time.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::ghost::{Answer, Ghost, Happening, Mode, Time};
use crate::machine::history::History;
use crate::machine::step::{Effect, Event, Moment, Order, Step, step};
use crate::machine::word::{Epoch, Word};
use crate::rules::Rules;
use crate::state::State;

/// What a thread has to do, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Asks, and settles the call in any of these ways if it is admitted.
    Call(&'static [End]),
    /// Asks, and never settles the call.
    Hang,
    /// Moves the breaker to this state; `true`: by a reset.
    Order(State, bool),
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Success,
    Failure,
    /// Opens for a millisecond.
    Trip,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) word: Word,
    pub(crate) history: History,
    /// The admission of the newest probe, and its epoch by the ghost's count.
    newest: Option<(u8, Time)>,
    pub(crate) clock: Time,
    /// How many swaps may still fail for no reason.
    whims: u8,
    pub(crate) threads: [Thread; 3],
    pub(crate) ghost: Ghost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Thread {
    /// How many tasks are done.
    done: u8,
    at: At,
    call: Option<Call>,
}

/// A call in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Call {
    /// The word of its admission.
    word: Word,
    epoch: u8,
}

/// A word that was read, and the ghost's epoch at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Seen {
    word: Word,
    epoch: u8,
}

/// What a thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Begin,
    /// The look before the loop has found no free admission.
    AskTime(Seen),
    /// Chooses how the call ends.
    Settle,
    /// A success looks whether anything is to be done.
    LookForWork,
    /// Looks whether the call is late.
    LookIfLate(End),
    TripTime,
    OrderTime,
    FailureTime,
    Loop(Deed, Stage),
}

/// What is to be swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Deed {
    /// `place`: the epoch in which this thread has won the place of a silent probe.
    Admit {
        now: Time,
        place: Option<u8>,
    },
    Success,
    Failure(Option<Time>),
    Trip(Time),
    Release,
    Order(Time),
}

/// Where in the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Load,
    History(Seen),
    /// Full: is the newest probe silent?
    Silence(Seen, History),
    /// It is. Takes its place, if the stamp is still this.
    Replace(Seen, History, (u8, Time)),
    Stamp(Seen, History, Choice),
    /// Reads the history, to bring it up to date.
    Trails(Seen, History, Choice),
    BringUp(Seen, History, Choice, History),
    Swap(Seen, History, Choice),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Choice {
    next: Word,
    answer: Answer,
    past_silence: bool,
}

impl Hash for History {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bits().hash(hasher);
    }
}

/// A place that the search is to have seen, for it to say anything.
pub(crate) type Sight = &'static str;

/// What takes a world further: its rules, and how long the clock runs.
#[derive(Debug)]
pub(crate) struct Nature {
    pub(crate) rules: Rules,
    pub(crate) tasks: [&'static [Task]; 3],
    pub(crate) most_time: Time,
}

pub(crate) type Outcome = Result<World, String>;

fn millis(time: Time) -> Duration {
    Duration::from_millis(time.into())
}

fn moment(time: Time) -> Moment {
    Moment { now: millis(time), draw: 0.0 }
}

impl World {
    pub(crate) fn new(word: Word, history: History, whims: u8, ghost: Ghost) -> Self {
        let thread = Thread { done: 0, at: At::Begin, call: None };
        World { word, history, newest: None, clock: 0, whims, threads: [thread; 3], ghost }
    }

    fn seen(&self) -> Seen {
        Seen { word: self.word, epoch: self.ghost.epoch }
    }

    /// Calls of the ghost's epoch in flight.
    fn holders(&self) -> usize {
        let calls = self.threads.iter().filter_map(|thread| thread.call);
        calls.filter(|call| call.epoch == self.ghost.epoch).count()
    }
}

impl Nature {
    /// Every world that one action leads to, and what is seen on the way.
    pub(crate) fn successors(&self, world: &World, seen: &mut impl FnMut(Sight)) -> Vec<Outcome> {
        let mut next = Vec::new();
        if world.clock < self.most_time {
            next.push(Ok(World { clock: world.clock + 1, ..*world }));
        }
        for number in 0..world.threads.len() {
            Turn { nature: self, world: *world, number, next: &mut next }.take(seen);
        }
        next
    }

    /// Whether every thread has done all its tasks.
    pub(crate) fn is_over(&self, world: &World) -> bool {
        world.threads.iter().zip(&self.tasks).all(|(thread, tasks)| usize::from(thread.done) == tasks.len())
    }

    /// What holds at every moment.
    pub(crate) fn check(&self, world: &World) -> Result<(), String> {
        let World { word, ghost, history, .. } = *world;
        let mode = Mode::of(word);
        if mode != ghost.mode {
            return Err(format!("the word is {word:?}, and should be {:?}", ghost.mode));
        }
        let Some(now) = history.as_of(word) else {
            return Err(format!("{history:?} trails {word:?} by more than one epoch"));
        };
        if (now.reopenings(), now.changes()) != (ghost.reopenings.into(), ghost.changes.into()) {
            return Err(format!("{now:?}, and should be {ghost:?}"));
        }
        if let Mode::HalfOpen { in_flight, raise, successes, errors } = mode {
            if usize::from(in_flight) != world.holders() {
                return Err(format!("{in_flight} probes in the word, {} in flight", world.holders()));
            }
            let (capacity, most) = (self.rules.half_open_capacity, self.rules.half_open_max_capacity);
            if u32::from(raise) > most - capacity || u32::from(in_flight) > most + u32::from(ghost.extra) {
                return Err(format!("beyond the capacity: {word:?}, {} of them past a silence", ghost.extra));
            }
            let silences = u128::from(world.clock) / self.rules.probe_timeout.as_millis();
            if u128::from(ghost.extra) > silences {
                return Err(format!("{} probes past a silence, after {silences} timeouts", ghost.extra));
            }
            let decided = u32::from(successes) >= self.rules.success_threshold;
            if decided || u32::from(errors) >= self.rules.half_open_error_threshold {
                return Err(format!("undecided in spite of its counts: {word:?}"));
            }
        }
        Ok(())
    }

    /// What holds when all threads are done: from here a well dependency closes the breaker, unless an operator
    /// holds it.
    pub(crate) fn check_end(&self, end: &World) -> Result<(), String> {
        let (mut word, mut reopenings, mut now) = (end.word, u32::from(end.ghost.reopenings), end.clock);
        if matches!(word.state(), State::ForcedOpen | State::ForcedClosed) {
            return Ok(());
        }
        for _ in 0..20 {
            if word.state() == State::Closed {
                return Ok(());
            }
            let silent = Event::Admit { now: millis(now), past_silence: true };
            let asked = step(word, reopenings, silent, &self.rules);
            word = asked.next;
            if asked.effect == Effect::RefuseOpen {
                now += 1;
                continue;
            }
            let settled = step(word, reopenings, Event::Success { epoch: word.epoch() }, &self.rules);
            reopenings = if settled.next.state() == State::Closed { 0 } else { reopenings };
            word = settled.next;
        }
        Err(format!("a well dependency does not close it: {word:?}"))
    }
}

/// One thread's next action.
struct Turn<'a> {
    nature: &'a Nature,
    world: World,
    number: usize,
    next: &'a mut Vec<Outcome>,
}

impl Turn<'_> {
    fn thread(&self) -> Thread {
        self.world.threads[self.number]
    }

    /// The thread goes on at `at`.
    fn go(&mut self, at: At) {
        self.world.threads[self.number].at = at;
        self.next.push(Ok(self.world));
    }

    fn fail(&mut self, what: String) {
        self.next.push(Err(what));
    }

    fn end_task(&mut self) {
        self.world.threads[self.number].done += 1;
        self.go(At::Begin);
    }

    fn admitted(&mut self, word: Word, epoch: u8) {
        self.world.threads[self.number].call = Some(Call { word, epoch });
        match self.nature.tasks[self.number][usize::from(self.thread().done)] {
            Task::Hang => self.end_task(),
            _ => self.go(At::Settle),
        }
    }

    fn settled(&mut self) {
        self.world.threads[self.number].call = None;
        self.end_task();
    }

    fn call(&self) -> Call {
        self.thread().call.expect("it is admitted")
    }

    fn take(mut self, seen: &mut impl FnMut(Sight)) {
        match self.thread().at {
            At::Begin => self.begin(),
            At::AskTime(looked) => {
                let now = self.world.clock;
                match Mode::of(looked.word) {
                    Mode::Open { until } if now < until => self.end_task(),
                    _ => self.go(At::Loop(Deed::Admit { now, place: None }, Stage::Load)),
                }
            }
            At::Settle => {
                let Task::Call(ends) = self.nature.tasks[self.number][usize::from(self.thread().done)] else { return };
                for end in ends {
                    self.go(match end {
                        End::Success => At::LookForWork,
                        End::Failure | End::Trip => At::LookIfLate(*end),
                        End::Release => At::Loop(Deed::Release, Stage::Load),
                    });
                }
            }
            At::LookForWork => self.look_for_work(),
            At::LookIfLate(end) => {
                if self.world.word.epoch() != self.call().word.epoch() {
                    seen("a late call");
                    return self.settled();
                }
                self.go(match end {
                    End::Success => At::Loop(Deed::Success, Stage::Load),
                    End::Trip => At::TripTime,
                    _ => At::Loop(Deed::Failure(None), Stage::Load),
                });
            }
            At::TripTime => self.go(At::Loop(Deed::Trip(self.world.clock), Stage::Load)),
            At::OrderTime => self.go(At::Loop(Deed::Order(self.world.clock), Stage::Load)),
            At::FailureTime => self.go(At::Loop(Deed::Failure(Some(self.world.clock)), Stage::Load)),
            At::Loop(deed, stage) => self.turn_loop(deed, stage, seen),
        }
    }

    fn begin(&mut self) {
        let tasks = self.nature.tasks[self.number];
        match tasks.get(usize::from(self.thread().done)) {
            None => {}
            Some(Task::Order(..)) => self.go(At::OrderTime),
            Some(Task::Call(_) | Task::Hang) => {
                let looked = self.world.seen();
                if looked.word.admits_all() {
                    self.admitted(looked.word, looked.epoch);
                } else if looked.word.state() == State::ForcedOpen {
                    self.end_task();
                } else {
                    self.go(At::AskTime(looked));
                }
            }
        }
    }

    fn look_for_work(&mut self) {
        let call = self.call();
        if !(call.word.is_quiet() && self.world.word == call.word) {
            return self.go(At::LookIfLate(End::Success));
        }
        let success = Happening::Success { epoch: call.epoch };
        if self.world.ghost.after(success, &self.nature.rules).0 != self.world.ghost {
            return self.fail(format!("a success did nothing, in {:?}", self.world.ghost));
        }
        self.settled();
    }

    fn event(&self, deed: Deed, past_silence: bool) -> Event {
        let epoch = self.thread().call.map_or(Epoch::new(0), |call| call.word.epoch());
        match deed {
            Deed::Admit { now, .. } => Event::Admit { now: millis(now), past_silence },
            Deed::Success => Event::Success { epoch },
            Deed::Failure(now) => Event::Failure { epoch, met: None, moment: now.map(moment) },
            Deed::Trip(now) => Event::Trip { epoch, now: millis(now), open_for: millis(1) },
            Deed::Release => Event::Release { epoch },
            Deed::Order(now) => {
                let tasks = self.nature.tasks[self.number];
                let Task::Order(state, is_reset) = tasks[usize::from(self.thread().done)] else { unreachable!() };
                Event::Operate(match state {
                    State::Closed if is_reset => Order::Reset,
                    State::Closed => Order::Close,
                    State::Open => Order::Open(moment(now)),
                    State::HalfOpen => Order::HalfOpen,
                    State::ForcedOpen => Order::ForceOpen,
                    State::ForcedClosed => Order::ForceClosed,
                })
            }
        }
    }

    fn happening(&self, deed: Deed, past_silence: bool) -> Happening {
        let epoch = self.thread().call.map_or(0, |call| call.epoch);
        match deed {
            Deed::Admit { now, .. } => Happening::Admit { now, past_silence },
            Deed::Success => Happening::Success { epoch },
            // Without the time it is asked for the time, and changes nothing yet.
            Deed::Failure(now) => Happening::Failure { epoch, now: now.unwrap_or(0) },
            Deed::Trip(now) => Happening::Trip { epoch, until: now + 1 },
            Deed::Release => Happening::Release { epoch },
            Deed::Order(now) => {
                let tasks = self.nature.tasks[self.number];
                let Task::Order(state, _) = tasks[usize::from(self.thread().done)] else { unreachable!() };
                Happening::Enter { state, now }
            }
        }
    }

    fn turn_loop(&mut self, deed: Deed, stage: Stage, seen: &mut impl FnMut(Sight)) {
        let stay = |stage| At::Loop(deed, stage);
        match stage {
            Stage::Load => {
                let looked = self.world.seen();
                self.go(stay(Stage::History(looked)));
            }
            Stage::History(looked) => {
                if let Some(history) = self.world.history.as_of(looked.word) {
                    return self.decide(deed, looked, history, seen);
                }
                seen("a word that was no longer the newest");
                self.go(stay(Stage::Load));
            }
            Stage::Silence(looked, history) => self.look_for_silence(deed, looked, history),
            Stage::Replace(looked, history, silent) => {
                let Deed::Admit { now, .. } = deed else { return };
                if self.world.newest != Some(silent) {
                    seen("a place of a silent probe that another took");
                    return self.finish(deed, Answer::Refused, looked);
                }
                self.world.newest = Some((looked.epoch, now));
                let deed = Deed::Admit { now, place: Some(looked.epoch) };
                self.decide(deed, looked, history, seen);
            }
            Stage::Stamp(looked, history, choice) => {
                let Deed::Admit { now, .. } = deed else { return };
                let begins = choice.next.epoch() != looked.word.epoch();
                self.world.newest = self.world.newest.max(Some((looked.epoch + u8::from(begins), now)));
                self.go(stay(Self::before_swap(looked, history, choice)));
            }
            Stage::Trails(looked, history, choice) => {
                let stored = self.world.history;
                let trails = stored.is_before(history);
                self.go(stay(if trails {
                    Stage::BringUp(looked, history, choice, stored)
                } else {
                    Stage::Swap(looked, history, choice)
                }));
            }
            Stage::BringUp(looked, history, choice, stored) => {
                if self.fails_for_no_reason() {
                    seen("a swap of the history that failed for no reason");
                    let mut other = Turn { next: &mut *self.next, ..*self };
                    other.world.whims -= 1;
                    other.go(stay(Stage::BringUp(looked, history, choice, stored)));
                }
                if self.world.history == stored {
                    self.world.history = history;
                } else {
                    seen("a history that another brought up to date");
                }
                self.go(stay(Stage::Swap(looked, history, choice)));
            }
            Stage::Swap(looked, history, choice) => self.swap(deed, looked, history, choice, seen),
        }
    }

    fn fails_for_no_reason(&self) -> bool {
        self.world.whims > 0
    }

    fn before_swap(looked: Seen, history: History, choice: Choice) -> Stage {
        if choice.next.epoch() == looked.word.epoch() {
            Stage::Swap(looked, history, choice)
        } else {
            Stage::Trails(looked, history, choice)
        }
    }

    fn decide(&mut self, deed: Deed, looked: Seen, history: History, seen: &mut impl FnMut(Sight)) {
        let won = matches!(deed, Deed::Admit { place: Some(epoch), .. } if epoch == looked.epoch);
        let event = self.event(deed, won);
        let Step { next, effect } = step(looked.word, history.reopenings(), event, &self.nature.rules);
        let answer = match effect {
            Effect::Admit => Answer::Admitted,
            Effect::Begin { .. } if matches!(deed, Deed::Admit { .. }) => Answer::Admitted,
            Effect::Begin { .. } => Answer::Moved,
            Effect::RefuseOpen | Effect::RefuseFull | Effect::RefuseForced => Answer::Refused,
            Effect::Counted | Effect::Late => Answer::Settled { freed: 0 },
            Effect::Free(freed) => Answer::Settled { freed: u8::try_from(freed).expect("few slots") },
            Effect::ReadClock => {
                if next != looked.word || deed != Deed::Failure(None) {
                    return self.fail(format!("asked for the time by {event:?} in {:?}", looked.word));
                }
                return self.go(At::FailureTime);
            }
        };
        if effect == Effect::RefuseFull && !won {
            return self.go(At::Loop(deed, Stage::Silence(looked, history)));
        }
        if next == looked.word {
            return self.finish(deed, answer, looked);
        }
        let choice = Choice { next, answer, past_silence: won };
        let is_probe = matches!(deed, Deed::Admit { .. }) && next.state() == State::HalfOpen;
        if is_probe && !won {
            return self.go(At::Loop(deed, Stage::Stamp(looked, history, choice)));
        }
        if won {
            seen("a probe past a silence");
        }
        self.go(At::Loop(deed, Self::before_swap(looked, history, choice)));
    }

    fn look_for_silence(&mut self, deed: Deed, looked: Seen, history: History) {
        let Deed::Admit { now, .. } = deed else { return };
        let timeout = u8::try_from(self.nature.rules.probe_timeout.as_millis()).expect("short");
        match self.world.newest {
            Some((epoch, since)) if epoch == looked.epoch => {
                if now >= since + timeout {
                    self.go(At::Loop(deed, Stage::Replace(looked, history, (epoch, since))));
                } else {
                    self.finish(deed, Answer::Refused, looked);
                }
            }
            seen => {
                // A full state has been stamped before, unless another epoch has begun since.
                if seen.is_none_or(|(epoch, _)| epoch < looked.epoch) {
                    return self.fail(format!("full, and not stamped: {looked:?}"));
                }
                self.finish(deed, Answer::Refused, looked);
            }
        }
    }

    /// The decision left the word as it was: it took effect when the word was read.
    fn finish(&mut self, deed: Deed, answer: Answer, looked: Seen) {
        if answer == Answer::Admitted {
            return self.admitted(looked.word, looked.epoch);
        }
        let happening = self.happening(deed, false);
        let then = Ghost { mode: Mode::of(looked.word), epoch: looked.epoch, ..self.world.ghost };
        let expected = then.after(happening, &self.nature.rules);
        if (expected.0, expected.1) != (then, answer) {
            return self.fail(format!("{happening:?} in {then:?}: {answer:?}, and should be {expected:?}"));
        }
        match deed {
            Deed::Admit { .. } | Deed::Order(_) => self.end_task(),
            _ => self.settled(),
        }
    }

    fn swap(&mut self, deed: Deed, looked: Seen, history: History, choice: Choice, seen: &mut impl FnMut(Sight)) {
        if self.fails_for_no_reason() {
            seen("a swap that failed for no reason");
            let mut other = Turn { next: &mut *self.next, ..*self };
            other.world.whims -= 1;
            other.go(At::Loop(deed, Stage::History(looked)));
        }
        if self.world.word != looked.word {
            seen(if choice.past_silence { "a place that was won, and another word" } else { "a swap that failed" });
            let found = self.world.seen();
            return self.go(At::Loop(deed, Stage::History(found)));
        }
        if self.world.ghost.epoch != looked.epoch {
            return self.fail(format!("swapped a word of another epoch: {looked:?}"));
        }
        let happening = self.happening(deed, choice.past_silence);
        let (ghost, answer) = self.world.ghost.after(happening, &self.nature.rules);
        if answer != choice.answer {
            return self.fail(format!("{happening:?}: {:?}, and should be {answer:?}", choice.answer));
        }
        let changes = history.as_of(choice.next).map(History::changes);
        if changes != Some(ghost.changes.into()) {
            return self.fail(format!("change {changes:?} is told, and should be {}", ghost.changes));
        }
        (self.world.word, self.world.ghost) = (choice.next, ghost);
        match (deed, choice.answer) {
            (Deed::Admit { .. }, _) => self.admitted(choice.next, ghost.epoch),
            (Deed::Order(_), _) => self.end_task(),
            _ => self.settled(),
        }
    }
}
