use std::time::Duration;

use crate::machine::history::History;
use crate::machine::millis::{Millis, lead, whole_nanos};
use crate::machine::probe_stamp::NewestProbe;
use crate::machine::stamp::Mark;
use crate::machine::step::{self, Effect, Event, Step};
use crate::machine::word::{Epoch, Word};
use crate::rules::Rules;
use crate::state::State;
use crate::sync::unmodelled::AtomicU64;
use crate::sync::{Ordering, SwapU64};

/// The breaker's one word, and the only loop that swaps it.
#[repr(C)]
pub(crate) struct Cell {
    word: SwapU64,
    history: SwapU64,
    newest_probe: NewestProbe,
    /// By how much the deadline in the word is late, being in whole milliseconds, and the epoch that it
    /// belongs to. Stored after the swap; until then, and to a reader that sees another epoch's, the
    /// deadline is just what the word says, less than a millisecond late.
    lead: AtomicU64,
}

/// What an event did: the word before, the word after, what is left to do.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Applied {
    pub(crate) before: Word,
    pub(crate) after: Word,
    pub(crate) effect: Effect,
    /// As of the word before.
    history: History,
}

impl Applied {
    /// Changes of state, this one included.
    pub(crate) fn changes(&self) -> u32 {
        self.history.as_of(self.after).unwrap_or(self.history).changes()
    }
}

impl Cell {
    /// Where the word is.
    #[cfg(all(test, not(loom)))]
    pub(crate) const WORD: usize = std::mem::offset_of!(Cell, word);

    crate::sync::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Cell {
                word: SwapU64::new(Word::INITIAL.bits()),
                history: SwapU64::new(History::INITIAL.bits()),
                newest_probe: NewestProbe::new(),
                lead: AtomicU64::new(0),
            }
        }
    }

    /// The word as it is.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        // Acquire: pairs with the Release of the swap in `swap`. Who sees a state sees all that was
        // written before it was entered.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// Whether the breaker admits every call, and is in `epoch`.
    #[inline]
    pub(crate) fn is_in(&self, epoch: Epoch) -> bool {
        let word = self.load();
        word.admits_all() && word.epoch() == epoch
    }

    /// The word and its history, which belong together.
    pub(crate) fn load_with_history(&self) -> (Word, History) {
        loop {
            let word = self.load();
            if let Some(history) = self.history_as_of(word) {
                return (word, history);
            }
        }
    }

    /// Whether the word is still `word`.
    #[inline]
    pub(crate) fn is_still(&self, word: Word) -> bool {
        self.load() == word
    }

    /// When a caller that finds the half-open state full may take a silent probe's place.
    pub(crate) fn overdue_at(&self, epoch: Epoch, rules: &Rules) -> Option<Millis> {
        self.newest_probe.overdue_at(epoch, rules.probe_timeout)
    }

    /// For how many nanoseconds `word` lets nobody through, if it is open: what the machine would say, without
    /// the loop.
    #[inline]
    pub(crate) fn stays_open(&self, word: Word, now: Duration) -> Option<u64> {
        if word.state() != State::Open {
            return None;
        }
        // The lead first: it is at hand before the clock is.
        let deadline = word.deadline().nanos().saturating_sub(self.lead(word.epoch()));
        let now = whole_nanos(now);
        if now < deadline { Some(deadline - now) } else { None }
    }

    /// How long an open `word` stays so.
    pub(crate) fn time_left(&self, word: Word, now: Duration) -> Duration {
        Duration::from_nanos(self.stays_open(word, now).unwrap_or(0))
    }

    /// Nanoseconds.
    fn lead(&self, epoch: Epoch) -> u64 {
        Mark::from_bits(self.lead.load(Ordering::Relaxed)).of(epoch).unwrap_or(0)
    }

    /// Asks for admission.
    pub(crate) fn admit(&self, now: Duration, rules: &Rules) -> Applied {
        self.swap(Admission { cell: self, now, rules, place: None })
    }

    /// Applies any other event.
    #[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
    #[inline(always)]
    pub(crate) fn apply(&self, event: Event, rules: &Rules) -> Applied {
        let applied = self.swap(Happening { event, rules });
        if let (Effect::Begin { .. }, Some(now)) = (applied.effect, event.opens_at()) {
            let lead = Mark::new(applied.after.epoch(), lead(now).subsec_nanos().into());
            self.lead.store(lead.bits(), Ordering::Relaxed);
        }
        applied
    }

    /// Swaps in what `decide` makes of the word, until no other thread comes in between.
    #[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
    #[inline(always)]
    fn swap(&self, mut decision: impl Decide) -> Applied {
        // Acquire: as in `load`.
        let mut before = Word::from_bits(self.word.load_to_swap(Ordering::Acquire));
        loop {
            let Some(history) = self.history_as_of(before) else {
                before = self.load();
                continue;
            };
            let Step { next: after, effect } = decision.decide(before, history.reopenings());
            if after.epoch() != before.epoch() {
                self.bring_up_to_date(history);
            }
            if after == before || self.swap_once(&mut before, after) {
                return Applied { before, after, effect, history };
            }
        }
    }

    /// On failure, `before` becomes the word that was found instead.
    #[inline]
    fn swap_once(&self, before: &mut Word, after: Word) -> bool {
        // Release: pairs with the Acquire in `load`. Acquire on both ways: the next decision, or the
        // effect, may rest on what another thread did before its own swap.
        match self.word.compare_exchange_weak(before.bits(), after.bits(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => {
                *before = Word::from_bits(found);
                false
            }
        }
    }

    fn history_as_of(&self, word: Word) -> Option<History> {
        // Acquire: pairs with the Release below.
        History::from_bits(self.history.load(Ordering::Acquire)).as_of(word)
    }

    /// Stores the history of the epoch that is about to end, so that it never trails by more than one.
    fn bring_up_to_date(&self, history: History) {
        let stored = History::from_bits(self.history.load(Ordering::Acquire));
        let mut trails = stored.is_before(history).then_some(stored);
        while let Some(stored) = trails {
            // Release: pairs with the Acquire in `history_as_of`. A lost race means that another thread
            // has stored the same, or that the word has moved on and the swap will fail.
            let swapped =
                self.history.compare_exchange_weak(stored.bits(), history.bits(), Ordering::AcqRel, Ordering::Acquire);
            trails = swapped.err().map(History::from_bits).filter(|found| *found == stored);
        }
    }
}

/// What makes the next word. A trait, and no closure, so that it is inlined for each event by itself.
trait Decide {
    fn decide(&mut self, word: Word, reopenings: u32) -> Step;
}

struct Happening<'a> {
    event: Event,
    rules: &'a Rules,
}

impl Decide for Happening<'_> {
    #[expect(clippy::inline_always, reason = "each event by itself is a few instructions, all of them are many")]
    #[inline(always)]
    fn decide(&mut self, word: Word, reopenings: u32) -> Step {
        step::step(word, reopenings, self.event, self.rules)
    }
}

struct Admission<'a> {
    cell: &'a Cell,
    now: Duration,
    rules: &'a Rules,
    /// The epoch in which this caller has won the place of a silent probe.
    place: Option<Epoch>,
}

impl Decide for Admission<'_> {
    fn decide(&mut self, word: Word, reopenings: u32) -> Step {
        let epoch = word.epoch();
        let step = self.ask(word, reopenings, self.place == Some(epoch));
        if step.effect == Effect::RefuseFull && self.wins_a_place(word, reopenings) {
            self.place = Some(epoch);
            return self.ask(word, reopenings, true);
        }
        if step.next.state() == State::HalfOpen && step.effect != Effect::RefuseFull {
            self.cell.newest_probe.stamp(step.next.epoch(), self.now);
        }
        step
    }
}

impl Admission<'_> {
    fn ask(&self, word: Word, reopenings: u32, past_silence: bool) -> Step {
        let lead = if word.state() == State::Open { self.cell.lead(word.epoch()) } else { 0 };
        let now = self.now.saturating_add(Duration::from_nanos(lead));
        step::step(word, reopenings, Event::Admit { now, past_silence }, self.rules)
    }

    fn wins_a_place(&self, word: Word, reopenings: u32) -> bool {
        let newest = &self.cell.newest_probe;
        newest.overdue(word.epoch(), self.now, self.rules.probe_timeout).is_some_and(|silent| {
            self.ask(word, reopenings, true).effect == Effect::Admit && newest.replace(silent, word.epoch(), self.now)
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Cell {
    /// A cell that has come to this epoch.
    pub(crate) fn closed_in(epoch: Epoch) -> Self {
        Cell { word: SwapU64::new(Word::closed(epoch).bits()), ..Cell::new() }
    }
}
