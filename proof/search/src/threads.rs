//! The threads: each does its tasks, one load, store or swap at a time.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::ghost::{Answer, Ghost, Happening, Mode, Time};
use crate::machine::history::{History, Past};
use crate::machine::step::{self, Command, Context, Effect, Standing, Step};
use crate::machine::word::{EPOCH, Epoch, Head, Word};
use crate::settings::Settings;
use crate::state::State;

/// What a thread has to do, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Asks, and settles the call in any of these ways if it is admitted.
    Call(&'static [End]),
    /// Asks, and never settles the call.
    Hang,
    /// Moves the breaker to this state; `true`: by a reset.
    Command(State, bool),
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
    /// The admission of the newest probe of an even and of an odd epoch, and that epoch by the ghost's count.
    newest: [Option<(u8, Time)>; 2],
    /// The epoch of the first round of probes, once there is a second one.
    first_round: u32,
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
    /// Its permit.
    head: Head,
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
    Admit(Time),
    Success,
    Failure(Option<Time>),
    Trip(Time),
    Release,
    Command(Time),
}

/// Where in the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Load,
    History(Seen),
    /// Half-open, and not the first round: which was the first?
    FirstRound(Seen, History, History),
    /// Full: is the newest probe silent?
    Silence(Seen, Look),
    /// Before a second round: keeps the epoch of the first one.
    KeepFirst(Seen, Look, Choice),
    /// Looks whether the word still stands, before this value gives way.
    CheckFirst(Seen, Look, Choice, u32),
    SwapFirst(Seen, Look, Choice, u32),
    Stamp(Seen, Look, Choice),
    CheckStamp(Seen, Look, Choice, Option<(u8, Time)>),
    SwapStamp(Seen, Look, Choice, Option<(u8, Time)>),
    /// Brings the history up to date.
    BringUp(Seen, Look, Choice, History),
    Swap(Seen, Look, Choice),
}

/// What was read beside a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Look {
    /// The history as it is stored, and the history of the word.
    stored: History,
    history: History,
    first_round: u32,
}

impl Look {
    fn context(&self) -> Context {
        let first_round = Epoch::new(self.first_round.into());
        Context { epoch: self.history.epoch(), first_round, reopenings: self.history.reopenings() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Choice {
    next: Word,
    answer: Answer,
    is_silent: bool,
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
    pub(crate) settings: Settings,
    pub(crate) tasks: [&'static [Task]; 3],
    pub(crate) most_time: Time,
}

pub(crate) type Outcome = Result<World, String>;

fn millis(time: Time) -> Duration {
    Duration::from_millis(time.into())
}

impl World {
    pub(crate) fn new(word: Word, history: History, whims: u8, ghost: Ghost) -> Self {
        let thread = Thread { done: 0, at: At::Begin, call: None };
        World { word, history, newest: [None; 2], first_round: u32::MAX, clock: 0, whims, threads: [thread; 3], ghost }
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
        let Some(now) = as_of(history, word) else {
            return Err(format!("{word:?} does not follow from {history:?}"));
        };
        if (now.reopenings(), now.full_count(0)) != (ghost.reopenings.into(), ghost.changes.into()) {
            return Err(format!("{now:?}, and should be {ghost:?}"));
        }
        if let Mode::HalfOpen { in_flight, raise, successes, errors } = mode {
            if usize::from(in_flight) != world.holders() {
                return Err(format!("{in_flight} probes in the word, {} in flight", world.holders()));
            }
            let (capacity, most) = (self.settings.half_open_capacity, self.settings.half_open_max_capacity);
            if u32::from(raise) > most - capacity || u32::from(in_flight) > capacity + u32::from(raise) {
                return Err(format!("beyond the capacity: {word:?}"));
            }
            let silences = u128::from(world.clock) / self.settings.probe_timeout.as_millis();
            let rounds = ghost.epoch - ghost.first_round;
            if u128::from(rounds) > silences {
                return Err(format!("{rounds} further rounds, after {silences} timeouts"));
            }
            if word.is_continued() != (rounds > 0) {
                return Err(format!("{word:?} of further round {rounds}"));
            }
            if rounds > 0 && Epoch::new(world.first_round.into()) != back(now.epoch(), rounds) {
                return Err(format!("the first round is {}, in {ghost:?}", world.first_round));
            }
            let decided = u32::from(successes) >= self.settings.success_threshold;
            if decided || u32::from(errors) >= self.settings.half_open_error_threshold {
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
        let history = as_of(end.history, word).expect("checked");
        let mut epoch = history.epoch();
        for _ in 0..20 {
            if word.state() == State::Closed {
                return Ok(());
            }
            let asked = step::admit(word, epoch, millis(now), true, &self.settings);
            if asked.effect == Effect::RejectOpen {
                now += 1;
                continue;
            }
            epoch = if asked.effect.begins_epoch() { epoch.next() } else { epoch };
            let context = Context { epoch, first_round: epoch, reopenings };
            let settled = step::succeed(asked.next, context, epoch, &self.settings);
            reopenings = if settled.next.state() == State::Closed { 0 } else { reopenings };
            word = settled.next;
        }
        Err(format!("a well dependency does not close it: {word:?}"))
    }
}

fn is_of(word: Word, epoch: Epoch) -> bool {
    word.epochs_since(epoch) == 0
}

/// The history of `word`, if `stored` is it or trails it.
fn as_of(stored: History, word: Word) -> Option<History> {
    Past::of(stored, word).map(|past| past.history)
}

/// The epoch that lies `epochs` before `epoch`.
fn back(epoch: Epoch, epochs: u8) -> Epoch {
    Epoch::new(epoch.number() + EPOCH.max() + 1 - u64::from(epochs))
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

    /// `whole`: the epoch of `word`.
    fn admitted(&mut self, word: Word, whole: Epoch, epoch: u8) {
        let head = if word.admits_all() { word.head() } else { Head::of_probe(whole) };
        self.world.threads[self.number].call = Some(Call { head, epoch });
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
                    _ => self.go(At::Loop(Deed::Admit(now), Stage::Load)),
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
                // The look beside the word is one step here: it decides nothing that the loop does not decide again.
                match self.standing() {
                    Standing::Late => {
                        seen("a late call");
                        return self.settled();
                    }
                    Standing::EarlierRound => seen("an answer of an earlier round"),
                    Standing::Current => {}
                }
                self.go(match end {
                    End::Success => At::Loop(Deed::Success, Stage::Load),
                    End::Trip => At::TripTime,
                    _ => At::Loop(Deed::Failure(None), Stage::Load),
                });
            }
            At::TripTime => self.go(At::Loop(Deed::Trip(self.world.clock), Stage::Load)),
            At::OrderTime => self.go(At::Loop(Deed::Command(self.world.clock), Stage::Load)),
            At::FailureTime => self.go(At::Loop(Deed::Failure(Some(self.world.clock)), Stage::Load)),
            At::Loop(deed, stage) => self.turn_loop(deed, stage, seen),
        }
    }

    fn standing(&self) -> Standing {
        let World { word, history, first_round, .. } = self.world;
        if matches!(word.state(), State::Open | State::ForcedOpen) {
            return Standing::Late;
        }
        let epoch = as_of(history, word).expect("checked").epoch();
        let is_continued = word.state() == State::HalfOpen && word.is_continued();
        let first_round = if is_continued { Epoch::new(first_round.into()) } else { epoch };
        Context { epoch, first_round, reopenings: 0 }.standing(self.call().head.epoch())
    }

    fn begin(&mut self) {
        let tasks = self.nature.tasks[self.number];
        match tasks.get(usize::from(self.thread().done)) {
            None => {}
            Some(Task::Command(..)) => self.go(At::OrderTime),
            Some(Task::Call(_) | Task::Hang) => {
                let looked = self.world.seen();
                if looked.word.admits_all() {
                    self.admitted(looked.word, looked.word.head().epoch(), looked.epoch);
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
        if !self.world.word.is_bare(call.head) {
            return self.go(At::LookIfLate(End::Success));
        }
        let success = Happening::Success { epoch: call.epoch };
        if self.world.ghost.after(success, &self.nature.settings).0 != self.world.ghost {
            return self.fail(format!("a success did nothing, in {:?}", self.world.ghost));
        }
        self.settled();
    }

    fn order(&self, now: Time) -> Command {
        let now = millis(now);
        match self.nature.tasks[self.number][usize::from(self.thread().done)] {
            Task::Command(State::Closed, true) => Command::Reset,
            Task::Command(State::Closed, false) => Command::Close,
            Task::Command(State::Open, _) => Command::Open { now, draw: 0.0 },
            Task::Command(State::HalfOpen, _) => Command::HalfOpen,
            Task::Command(State::ForcedOpen, _) => Command::ForceOpen,
            Task::Command(State::ForcedClosed, _) => Command::ForceClosed,
            Task::Call(_) | Task::Hang => unreachable!("it is no order"),
        }
    }

    fn step(&self, deed: Deed, word: Word, context: Context, is_silent: bool) -> Step {
        let settings = &self.nature.settings;
        let call = self.thread().call.map_or(Epoch::new(0), |call| call.head.epoch());
        match deed {
            Deed::Admit(now) => step::admit(word, context.epoch, millis(now), is_silent, settings),
            Deed::Success => step::succeed(word, context, call, settings),
            Deed::Failure(now) => step::fail(word, context, call, None, now.map(millis), 0.0, settings),
            Deed::Trip(now) => step::trip(word, context, call, millis(now), millis(1)),
            Deed::Release => step::release(word, context, call),
            Deed::Command(now) => step::operate(word, context, self.order(now), settings),
        }
    }

    fn happening(&self, deed: Deed, is_silent: bool) -> Happening {
        let epoch = self.thread().call.map_or(0, |call| call.epoch);
        match deed {
            Deed::Admit(now) => Happening::Admit { now, is_silent },
            Deed::Success => Happening::Success { epoch },
            // Without the time it is asked for the time, and changes nothing yet.
            Deed::Failure(now) => Happening::Failure { epoch, now: now.unwrap_or(0) },
            Deed::Trip(now) => Happening::Trip { epoch, until: now + 1 },
            Deed::Release => Happening::Release { epoch },
            Deed::Command(now) => {
                let tasks = self.nature.tasks[self.number];
                let Task::Command(state, _) = tasks[usize::from(self.thread().done)] else { unreachable!() };
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
                let stored = self.world.history;
                let Some(history) = as_of(stored, looked.word) else {
                    seen("a word that was no longer the newest");
                    return self.go(stay(Stage::Load));
                };
                let is_continued = looked.word.state() == State::HalfOpen && looked.word.is_continued();
                if is_continued {
                    return self.go(stay(Stage::FirstRound(looked, stored, history)));
                }
                let look = Look { stored, history, first_round: history.epoch().number_u32() };
                self.look_around(deed, looked, look, seen);
            }
            Stage::FirstRound(looked, stored, history) => {
                let look = Look { stored, history, first_round: self.world.first_round };
                self.look_around(deed, looked, look, seen);
            }
            Stage::Silence(looked, look) => {
                let Deed::Admit(now) = deed else { return };
                let is_silent = self.is_silent(looked, now);
                self.decide(deed, looked, look, is_silent, seen);
            }
            Stage::KeepFirst(..) | Stage::CheckFirst(..) | Stage::SwapFirst(..) => self.keep_first(deed, stage, seen),
            Stage::Stamp(..) | Stage::CheckStamp(..) | Stage::SwapStamp(..) => self.stamp(deed, stage, seen),
            Stage::BringUp(looked, look, choice, stored) => {
                if self.fails_for_no_reason() {
                    seen("a swap of the history that failed for no reason");
                    let mut other = Turn { next: &mut *self.next, ..*self };
                    other.world.whims -= 1;
                    other.go(stay(Stage::BringUp(looked, look, choice, stored)));
                }
                let found = self.world.history;
                if found == stored {
                    self.world.history = look.history;
                } else {
                    seen("a history that another brought up to date");
                    if found.trails(look.history) {
                        seen("a history that another brought up to date in part");
                        return self.go(stay(Stage::BringUp(looked, look, choice, found)));
                    }
                }
                self.go(stay(Stage::Swap(looked, look, choice)));
            }
            Stage::Swap(looked, _, choice) => self.swap(deed, looked, choice, seen),
        }
    }

    /// Before a second round: keeps the epoch of the first.
    fn keep_first(&mut self, deed: Deed, stage: Stage, seen: &mut impl FnMut(Sight)) {
        let stay = |stage| At::Loop(deed, stage);
        match stage {
            Stage::KeepFirst(looked, look, choice) => {
                let kept = self.world.first_round;
                if kept == look.history.epoch().number_u32() {
                    return self.go(stay(Stage::Stamp(looked, look, choice)));
                }
                self.go(stay(Stage::CheckFirst(looked, look, choice, kept)));
            }
            Stage::CheckFirst(looked, look, choice, kept) => {
                if self.world.word != looked.word {
                    seen("a first round of a word that no longer stands");
                    return self.go(stay(Stage::Load));
                }
                self.go(stay(Stage::SwapFirst(looked, look, choice, kept)));
            }
            Stage::SwapFirst(looked, look, choice, kept) => {
                if self.world.first_round != kept {
                    return self.go(stay(Stage::KeepFirst(looked, look, choice)));
                }
                self.world.first_round = look.history.epoch().number_u32();
                self.go(stay(Stage::Stamp(looked, look, choice)));
            }
            _ => unreachable!("it is one of these"),
        }
    }

    /// Before a probe is admitted: stamps it.
    fn stamp(&mut self, deed: Deed, stage: Stage, seen: &mut impl FnMut(Sight)) {
        let stay = |stage| At::Loop(deed, stage);
        match stage {
            Stage::Stamp(looked, look, choice) => {
                let Deed::Admit(now) = deed else { return };
                let epoch = Self::stamped(looked, look, choice);
                let found = self.world.newest[usize::from(epoch % 2)];
                match found {
                    Some((of, since)) if of == epoch && since >= now => {
                        self.go(stay(Self::before_swap(looked, look, choice)));
                    }
                    Some((of, _)) if of == epoch => self.go(stay(Stage::SwapStamp(looked, look, choice, found))),
                    _ => self.go(stay(Stage::CheckStamp(looked, look, choice, found))),
                }
            }
            Stage::CheckStamp(looked, look, choice, found) => {
                if self.world.word != looked.word {
                    seen("a stamp for a word that no longer stands");
                    return self.go(stay(Stage::Load));
                }
                self.go(stay(Stage::SwapStamp(looked, look, choice, found)));
            }
            Stage::SwapStamp(looked, look, choice, found) => {
                let Deed::Admit(now) = deed else { return };
                let epoch = Self::stamped(looked, look, choice);
                let place = &mut self.world.newest[usize::from(epoch % 2)];
                if *place != found {
                    return self.go(stay(Stage::Stamp(looked, look, choice)));
                }
                if found.is_some_and(|(of, _)| of > epoch) {
                    return self.fail(format!("{found:?} gives way to a stamp of {epoch}"));
                }
                *place = Some((epoch, now));
                self.go(stay(Self::before_swap(looked, look, choice)));
            }
            _ => unreachable!("it is one of these"),
        }
    }

    fn fails_for_no_reason(&self) -> bool {
        self.world.whims > 0
    }

    fn is_full(&self, word: Word) -> bool {
        word.state() == State::HalfOpen && step::is_full(word, &self.nature.settings)
    }

    fn look_around(&mut self, deed: Deed, looked: Seen, look: Look, seen: &mut impl FnMut(Sight)) {
        if matches!(deed, Deed::Admit(_)) && self.is_full(looked.word) {
            return self.go(At::Loop(deed, Stage::Silence(looked, look)));
        }
        self.decide(deed, looked, look, false, seen);
    }

    /// The ghost's count of the epoch that a probe is stamped for.
    fn stamped(looked: Seen, look: Look, choice: Choice) -> u8 {
        looked.epoch + u8::from(!is_of(choice.next, look.history.epoch()))
    }

    fn before_swap(looked: Seen, look: Look, choice: Choice) -> Stage {
        if is_of(choice.next, look.history.epoch()) && choice.next.state() == looked.word.state() {
            return Stage::Swap(looked, look, choice);
        }
        let past = Past::of(look.stored, looked.word).expect("it was looked at");
        if past.may_stay(choice.next.tag()) || !look.stored.trails(look.history) {
            Stage::Swap(looked, look, choice)
        } else {
            Stage::BringUp(looked, look, choice, look.stored)
        }
    }

    fn decide(&mut self, deed: Deed, looked: Seen, look: Look, is_silent: bool, seen: &mut impl FnMut(Sight)) {
        let Step { next, effect, .. } = self.step(deed, looked.word, look.context(), is_silent);
        let answer = match effect {
            Effect::Admit | Effect::BeginRound => Answer::Admitted,
            Effect::Begin(_) if matches!(deed, Deed::Admit(_)) => Answer::Admitted,
            Effect::Begin(_) => Answer::Moved,
            Effect::RejectOpen | Effect::RejectFull | Effect::RejectForced => Answer::Refused,
            Effect::AskSteps => unreachable!("no settings of the search have recovery"),
            Effect::Counted | Effect::Late => Answer::Settled { freed: 0 },
            Effect::Free => {
                let freed = step::freed(looked.word, next, &self.nature.settings);
                Answer::Settled { freed: u8::try_from(freed).expect("few slots") }
            }
            Effect::NeedsClock => {
                if next != looked.word || deed != Deed::Failure(None) {
                    return self.fail(format!("asked for the time by {deed:?} in {:?}", looked.word));
                }
                return self.go(At::FailureTime);
            }
        };
        if next == looked.word {
            return self.finish(deed, answer, looked, look);
        }
        let choice = Choice { next, answer, is_silent };
        if is_silent {
            seen("a round after a silence");
            if !looked.word.is_continued() {
                return self.go(At::Loop(deed, Stage::KeepFirst(looked, look, choice)));
            }
            seen("a third round");
        }
        let is_probe = matches!(deed, Deed::Admit(_)) && next.state() == State::HalfOpen;
        let stage = if is_probe { Stage::Stamp(looked, look, choice) } else { Self::before_swap(looked, look, choice) };
        self.go(At::Loop(deed, stage));
    }

    fn timeout(&self) -> Time {
        u8::try_from(self.nature.settings.probe_timeout.as_millis()).expect("short")
    }

    fn is_silent(&self, looked: Seen, now: Time) -> bool {
        let newest = self.world.newest[usize::from(looked.epoch % 2)];
        newest.is_some_and(|(epoch, since)| epoch == looked.epoch && now >= since + self.timeout())
    }

    /// The decision left the word as it was: it took effect when the word was read, or when what stands beside it was
    /// read, if that is of a later word.
    fn finish(&mut self, deed: Deed, answer: Answer, looked: Seen, look: Look) {
        if answer == Answer::Admitted {
            return self.admitted(looked.word, look.history.epoch(), looked.epoch);
        }
        let happening = self.happening(deed, false);
        let behind = |epoch: Epoch| u8::try_from(look.history.epoch().since(epoch)).unwrap_or(looked.epoch);
        let is_continued = looked.word.state() == State::HalfOpen && looked.word.is_continued();
        let first = if is_continued { behind(Epoch::new(look.first_round.into())) } else { 0 };
        let first_round = looked.epoch.saturating_sub(first);
        let then = Ghost { mode: Mode::of(looked.word), epoch: looked.epoch, first_round, ..self.world.ghost };
        let expected = then.after(happening, &self.nature.settings);
        if (expected.0, expected.1) != (then, answer) {
            return self.fail(format!("{happening:?} in {then:?}: {answer:?}, and should be {expected:?}"));
        }
        match deed {
            Deed::Admit(_) | Deed::Command(_) => self.end_task(),
            _ => self.settled(),
        }
    }

    fn swap(&mut self, deed: Deed, looked: Seen, choice: Choice, seen: &mut impl FnMut(Sight)) {
        if self.fails_for_no_reason() {
            seen("a swap that failed for no reason");
            let mut other = Turn { next: &mut *self.next, ..*self };
            other.world.whims -= 1;
            other.go(At::Loop(deed, Stage::History(looked)));
        }
        if self.world.word != looked.word {
            seen(if choice.is_silent { "a round that another was faster than" } else { "a swap that failed" });
            let found = self.world.seen();
            return self.go(At::Loop(deed, Stage::History(found)));
        }
        if self.world.ghost.epoch != looked.epoch {
            return self.fail(format!("swapped a word of another epoch: {looked:?}"));
        }
        if let Deed::Admit(now) = deed {
            if choice.is_silent && now < self.world.ghost.newest + self.timeout() {
                return self.fail(format!("a round, and the newest probe is not silent: {looked:?}"));
            }
        }
        let happening = self.happening(deed, choice.is_silent);
        let (ghost, answer) = self.world.ghost.after(happening, &self.nature.settings);
        if answer != choice.answer {
            return self.fail(format!("{happening:?}: {:?}, and should be {answer:?}", choice.answer));
        }
        let before = as_of(self.world.history, looked.word);
        let Some(told) = before.and_then(|before| as_of(before, choice.next)) else {
            return self.fail(format!("{:?} does not follow {before:?}", choice.next));
        };
        if told.full_count(0) != u64::from(ghost.changes) {
            return self.fail(format!("change {} is told, and should be {}", told.full_count(0), ghost.changes));
        }
        (self.world.word, self.world.ghost) = (choice.next, ghost);
        match (deed, choice.answer) {
            (Deed::Admit(_), _) => self.admitted(choice.next, told.epoch(), ghost.epoch),
            (Deed::Command(_), _) => self.end_task(),
            _ => self.settled(),
        }
    }
}
