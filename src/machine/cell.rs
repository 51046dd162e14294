use std::time::Duration;

use crate::machine::history::{History, Past};
use crate::machine::millis::{Millis, lead, whole_nanos};
use crate::machine::probe_stamp::NewestProbe;
use crate::machine::step::{self, Command, Context, Effect, Standing, Step};
use crate::machine::step_length::StepLength;
use crate::machine::word::{Epoch, Head, Word};
use crate::settings::Settings;
use crate::state::State;
use crate::sync::unmodelled::AtomicU64;
use crate::sync::{Ordering, SwapU64};
use crate::transition::Cause;

/// The breaker's one word, and the only loop that swaps it.
#[repr(C)]
pub(crate) struct Cell {
    word: SwapU64,
    history: SwapU64,
    newest_probe: NewestProbe,
    /// The epoch of the first round of probes, once a further round has begun. It is written before the swap that
    /// begins the second round, so that a thread that sees a word of a further round finds it.
    first_round: SwapU64,
    /// By how much the deadline in the word is late, being in whole milliseconds, and the word that it
    /// belongs to. Stored after the swap; until then, and to a reader that sees another word's, the
    /// deadline is just what the word says, less than a millisecond late.
    lead: AtomicU64,
    /// A count of the changes of state not long ago, from which the few bits of the history are extended.
    changes_floor: AtomicU64,
}

/// What an event did: the word before, the word after, and what is left to do.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Applied {
    pub(crate) before: Word,
    pub(crate) after: Word,
    /// If a new epoch began: the word with the last counts of the one before.
    pub(crate) counted: Word,
    pub(crate) effect: Effect,
    /// The epoch of `before`.
    pub(crate) epoch: Epoch,
    /// If a new epoch began: the changes of state so far, this one included.
    pub(crate) changes: u64,
}

impl Applied {
    /// The epoch of `after`.
    pub(crate) const fn epoch_after(&self) -> Epoch {
        if self.effect.begins_epoch() { self.epoch.next() } else { self.epoch }
    }

    /// What a call admitted by this event keeps of the word.
    pub(crate) const fn head(&self) -> Head {
        // No swap admits a call of the steps of recovery.
        if self.after.admits_all() { self.after.head() } else { Head::of_probe(self.epoch_after()) }
    }
}

/// Larger than the number of any epoch.
const NO_EPOCH: u64 = u64::MAX;

/// How often a thread that has lost a swap waits before it tries again, so that the winner may go on.
#[cfg(not(any(loom, shuttle)))]
const SPINS: u32 = 20;

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
                first_round: SwapU64::new(NO_EPOCH),
                lead: AtomicU64::new(0),
                changes_floor: AtomicU64::new(0),
            }
        }
    }

    /// The cell of a breaker that is forced closed from the start.
    pub(crate) fn forced_closed() -> Self {
        let word = Word::forced_closed(Epoch::new(0));
        let history = History::of_first(word);
        Cell { word: SwapU64::new(word.bits()), history: SwapU64::new(history.bits()), ..Cell::new() }
    }

    /// The word as it is.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        // Acquire: pairs with the Release of the swap in `swap`. Who sees a state sees all that was
        // written before it was entered.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// The same, where a swap may follow.
    #[inline]
    fn load_to_swap(&self) -> Word {
        // Acquire: as above.
        Word::from_bits(self.word.load_to_swap(Ordering::Acquire))
    }

    /// The word, its history, and the changes of state so far, which belong together.
    #[inline]
    pub(crate) fn load_with_history(&self) -> (Word, History, u64) {
        loop {
            // First: a floor is a count of the past. If it is the same afterwards, it was not so long ago that
            // the history's few bits have gone round.
            let floor = self.changes_floor.load(Ordering::Acquire);
            let word = self.load();
            if let Some(Past { history, .. }) = self.past(word) {
                if self.changes_floor.load(Ordering::Acquire) == floor {
                    return (word, history, history.full_count(floor));
                }
            }
        }
    }

    /// The epoch of the newest word.
    pub(crate) fn epoch(&self) -> Epoch {
        loop {
            if let Some(context) = self.context(self.load()) {
                return context.epoch;
            }
        }
    }

    /// Whether the breaker is in `epoch`, and admits every call or is in the steps of recovery.
    #[inline]
    pub(crate) fn is_in(&self, epoch: Epoch) -> bool {
        let word = self.load();
        (word.admits_all() || word.is_recovering()) && word.head().epoch() == epoch
    }

    /// When the steps of recovery of `epoch` were entered; `None` if they are over.
    pub(crate) fn entered_at(&self, epoch: Epoch) -> Option<Millis> {
        self.newest_probe.admitted_at(epoch)
    }

    /// The step of recovery that `judged` is at has not held; the rest is as in [`step::relapse`].
    pub(crate) fn relapse(&self, judged: Word, cause: Cause, now: Duration, draw: f64, settings: &Settings) -> Applied {
        let applied = self.swap(|word, context| Some(step::relapse(word, context, judged, cause, now, draw, settings)));
        self.store_lead(&applied, Some(now));
        applied
    }

    /// The last step of recovery has held; `judged` is the word then.
    pub(crate) fn conclude(&self, judged: Word) -> Applied {
        self.swap(|word, context| Some(step::conclude(word, context, judged)))
    }

    /// Tells those who swap the word from now on what this thread has done before, and this thread what they did before
    /// they swapped it until now. A store and a load would need a full fence in between, and so would each swap.
    pub(crate) fn announce(&self) {
        // A read-modify-write sees the newest word, and the next swap acquires it.
        self.word.fetch_or(0, Ordering::AcqRel);
    }

    /// Whether the word is still `word`.
    #[inline]
    pub(crate) fn is_still(&self, word: Word) -> bool {
        self.load() == word
    }

    /// The word, where a swap may follow, if it is closed and of the epoch of this head.
    #[inline]
    pub(crate) fn load_closed(&self, head: Head) -> Option<Word> {
        let word = self.load_to_swap();
        (word.head() == head && word.state() == State::Closed).then_some(word)
    }

    /// The word, and what a call with this head is to it; `None` if the call is late.
    #[inline]
    pub(crate) fn load_for(&self, head: Head) -> Option<(Word, Standing)> {
        let word = self.load_to_swap();
        if word.admits_all() {
            return (word.head() == head).then_some((word, Standing::Current));
        }
        self.load_for_probe(head.epoch())
    }

    #[cold]
    fn load_for_probe(&self, call: Epoch) -> Option<(Word, Standing)> {
        loop {
            let word = self.load();
            let Some(context) = self.context(word) else { continue };
            let standing = context.standing(call);
            let is_late = standing == Standing::Late || word.state() != State::HalfOpen;
            return (!is_late).then_some((word, standing));
        }
    }

    /// When a caller that finds the half-open state full may begin a new round of probes.
    pub(crate) fn overdue_at(&self, epoch: Epoch, settings: &Settings) -> Option<Millis> {
        self.newest_probe.overdue_at(epoch, settings.probe_timeout)
    }

    /// For how many nanoseconds `word` lets nobody through, if it is open: what the machine would say, without
    /// the loop.
    #[inline]
    pub(crate) fn stays_open(&self, word: Word, now: Duration) -> Option<u64> {
        if word.state() != State::Open {
            return None;
        }
        // The lead first: it is at hand before the clock is.
        let deadline = word.deadline().nanos().saturating_sub(self.lead(word));
        let now = whole_nanos(now);
        if now < deadline { Some(deadline - now) } else { None }
    }

    /// How long an open `word` stays so.
    pub(crate) fn time_left(&self, word: Word, now: Duration) -> Duration {
        Duration::from_nanos(self.stays_open(word, now).unwrap_or(0))
    }

    /// Nanoseconds.
    fn lead(&self, open: Word) -> u64 {
        lead_of(self.lead.load(Ordering::Relaxed), open)
    }

    /// Asks for admission.
    pub(crate) fn admit(&self, now: Duration, settings: &Settings) -> Applied {
        self.swap(|word, context| {
            let epoch = context.epoch;
            let state = word.state();
            let lead = if state == State::Open { self.lead(word) } else { 0 };
            let reached = now.saturating_add(Duration::from_nanos(lead));
            let is_silent = word.is_probing()
                && step::is_full(word, settings)
                && self.newest_probe.is_overdue(epoch, now, settings.probe_timeout);
            let step = step::admit(word, epoch, reached, is_silent, settings);
            let is_ready = match step.effect {
                Effect::Admit if state == State::HalfOpen => self.stamp(word, epoch, now),
                Effect::Begin(_) => self.stamp(word, epoch.next(), now),
                Effect::BeginRound => self.keep_first_round(word, epoch) && self.stamp(word, epoch.next(), now),
                _ => true,
            };
            is_ready.then_some(step)
        })
    }

    /// A call of the epoch `call` succeeded. `rules` have no recovery, or the call is no probe.
    #[inline]
    pub(crate) fn succeed(&self, call: Epoch, settings: &Settings) -> Applied {
        self.swap(|word, context| Some(step::succeed(word, context, call, settings)))
    }

    /// The same, where the success may enter the steps of recovery.
    #[cold]
    pub(crate) fn succeed_into_steps(&self, call: Epoch, now: Duration, settings: &Settings) -> Applied {
        self.swap(|word, context| self.stamp_steps(word, context, now, step::succeed(word, context, call, settings)))
    }

    /// A call of the epoch `call` failed; the rest is as in [`step::fail`].
    #[inline]
    pub(crate) fn fail(
        &self,
        call: Epoch,
        tripped_by: Option<Cause>,
        now: Option<Duration>,
        draw: f64,
        settings: &Settings,
    ) -> Applied {
        let applied = self.swap(|word, context| Some(step::fail(word, context, call, tripped_by, now, draw, settings)));
        self.store_lead(&applied, now);
        applied
    }

    /// Calls of the epoch `call` have met a rate rule that is not about failures.
    pub(crate) fn trip_by_rate(
        &self,
        call: Epoch,
        cause: Cause,
        now: Duration,
        draw: f64,
        settings: &Settings,
    ) -> Applied {
        let applied =
            self.swap(|word, context| Some(step::trip_by_rate(word, context, call, cause, now, draw, settings)));
        self.store_lead(&applied, Some(now));
        applied
    }

    /// Calls of the epoch `call` have met a rule, and the breaker must not open.
    #[allow(dead_code, reason = "only a registry restarts its breakers")]
    pub(crate) fn restart(&self, call: Epoch, cause: Cause) -> Applied {
        self.swap(|word, context| Some(step::restart(word, context, call, cause)))
    }

    /// A call of the epoch `call` failed and said for how long to stay open.
    pub(crate) fn trip(&self, call: Epoch, now: Duration, open_for: Duration) -> Applied {
        let applied = self.swap(|word, context| Some(step::trip(word, context, call, now, open_for)));
        self.store_lead(&applied, Some(now));
        applied
    }

    /// A call of the epoch `call` ended and says nothing.
    pub(crate) fn release(&self, call: Epoch) -> Applied {
        self.swap(|word, context| Some(step::release(word, context, call)))
    }

    /// An operator moves the breaker.
    pub(crate) fn operate(&self, order: Command, settings: &Settings) -> Applied {
        let applied = self.swap(|word, context| Some(step::operate(word, context, order, settings)));
        self.store_lead(&applied, order.opens_at());
        applied
    }

    /// Someone outside of the process does. Nothing is done if the breaker is not in the epoch `only_at` any more.
    pub(crate) fn operate_remotely(&self, only_at: Option<Epoch>, order: Command, settings: &Settings) -> Applied {
        let applied = self.swap(|word, context| {
            let is_wanted = only_at.is_none_or(|epoch| epoch == context.epoch);
            Some(if is_wanted { step::operate_remotely(word, context, order, settings) } else { step::unmoved(word) })
        });
        self.store_lead(&applied, order.opens_at());
        applied
    }

    /// Like [`operate_remotely`](Self::operate_remotely), but enters the steps of recovery. [`step::slow_close`] has the
    /// details.
    pub(crate) fn slow_close(&self, only_at: Option<Epoch>, now: Duration, steps: Option<StepLength>) -> Applied {
        self.swap(|word, context| {
            let is_wanted = only_at.is_none_or(|epoch| epoch == context.epoch);
            let step = if is_wanted { step::slow_close(word, context, steps) } else { step::unmoved(word) };
            self.stamp_steps(word, context, now, step)
        })
    }

    /// An operator ends a forced state.
    pub(crate) fn end_force(&self, now: Duration, settings: &Settings) -> Applied {
        self.swap(|word, context| self.stamp_steps(word, context, now, step::end_force(word, context, settings)))
    }

    /// Keeps the breaker open for `open_for` from `now` on, if it is open in this epoch still and not for longer already.
    pub(crate) fn extend(&self, at: Epoch, now: Duration, open_for: Duration) -> Applied {
        let deadline = Millis::after(now, open_for);
        let applied = self.swap(|word, context| {
            let is_there = context.epoch == at;
            Some(if is_there { step::extend(word, context, deadline) } else { step::unmoved(word) })
        });
        if applied.effect == Effect::Counted {
            self.lead.store(mark_lead(lead(now), applied.after), Ordering::Relaxed);
        }
        applied
    }

    /// Swaps in what `decide` makes of the word, until no other thread comes in between. Where `decide` returns
    /// `None`, one has.
    #[inline]
    fn swap(&self, mut decide: impl FnMut(Word, Context) -> Option<Step>) -> Applied {
        let mut before = self.load_to_swap();
        loop {
            let past = self.past(before);
            let decided = past.and_then(|past| Some((past, decide(before, self.context_after(past, before))?)));
            let Some((past, Step { next: after, counted, effect })) = decided else {
                before = self.load();
                continue;
            };
            let epoch = past.history.epoch();
            if !effect.begins_epoch() {
                if after == before || self.swap_once(&mut before, after) {
                    return Applied { before, after, counted, effect, epoch, changes: 0 };
                }
                continue;
            }
            let changes = self.keep(past, before, after);
            if self.swap_once(&mut before, after) {
                self.raise_floor(changes);
                return Applied { before, after, counted, effect, epoch, changes };
            }
        }
    }

    /// Swaps `after` in for `before`, a word of the same epoch, if that stands there. If not, another thread has come
    /// between, and the way through [`swap`](Self::swap) decides again.
    #[inline]
    pub(crate) fn try_swap(&self, mut before: Word, after: Word) -> bool {
        self.swap_once(&mut before, after)
    }

    /// On failure, `before` becomes the word that stands there instead.
    #[inline]
    fn swap_once(&self, before: &mut Word, after: Word) -> bool {
        // Release: pairs with the Acquire in `load`. Acquire on both ways: the next decision, or the
        // effect, may rest on what another thread did before its own swap.
        match self.word.compare_exchange_weak(before.bits(), after.bits(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => {
                *before = self.look_again(found);
                false
            }
        }
    }

    /// The word after a swap that was lost to another thread, a short while later: the line of the word is that thread's
    /// for its next call, too.
    #[cfg(not(any(loom, shuttle)))]
    #[cold]
    fn look_again(&self, _found: u64) -> Word {
        for _ in 0..SPINS {
            std::hint::spin_loop();
        }
        self.load()
    }

    #[cfg(any(loom, shuttle))]
    #[expect(clippy::unused_self, reason = "as above")]
    fn look_again(&self, found: u64) -> Word {
        Word::from_bits(found)
    }

    /// What the word does not hold of its epoch; `None` if it is no longer the newest word.
    ///
    /// A state that admits every call begins without re-openings, and all of its epoch is in the word.
    #[inline]
    fn context(&self, word: Word) -> Option<Context> {
        if word.admits_all() {
            let epoch = word.head().epoch();
            return Some(Context { epoch, first_round: epoch, reopenings: 0 });
        }
        self.context_of_gated(word)
    }

    #[inline]
    fn context_of_gated(&self, word: Word) -> Option<Context> {
        self.past(word).map(|past| self.context_after(past, word))
    }

    #[inline]
    fn context_after(&self, past: Past, word: Word) -> Context {
        let epoch = past.history.epoch();
        // Should it be that of a later episode already, then the word has moved on, and no swap of it will do.
        let first_round = if word.is_probing() && word.is_continued() { self.kept_first_round() } else { epoch };
        Context { epoch, first_round, reopenings: past.history.reopenings() }
    }

    fn kept_first_round(&self) -> Epoch {
        // Acquire: pairs with the Release in `keep_first_round`.
        Epoch::new(self.first_round.load(Ordering::Acquire))
    }

    /// `None` if `word` is no longer the newest word.
    #[inline]
    fn past(&self, word: Word) -> Option<Past> {
        // Acquire: pairs with the Release in `store_history`.
        Past::of(History::from_bits(self.history.load(Ordering::Acquire)), word)
    }

    /// Call this before the word goes on to `next`. Stores the history of the epoch that is about to end, unless the history
    /// of `next` follows from what is stored. Returns the number of changes of state up to `next`.
    #[inline]
    fn keep(&self, past: Past, word: Word, next: Word) -> u64 {
        let Past { stored, history, .. } = past;
        // It is a count of the past, if the swap succeeds: nothing has changed since the history was read.
        let floor = self.changes_floor.load(Ordering::Acquire);
        // A regular step is a change of state.
        let is_change = past.may_stay(next.tag()) || {
            self.store_history(stored, history);
            !word.has_state_of(next)
        };
        history.full_count(floor) + u64::from(is_change)
    }

    #[cold]
    fn store_history(&self, mut stored: History, history: History) {
        while stored.trails(history) {
            // Release: pairs with the Acquire in `past`. A lost race means that another thread has stored the same or
            // the history of an epoch in between, or that the word has moved on and the swap will fail.
            match self.history.compare_exchange_weak(stored.bits(), history.bits(), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => break,
                Err(found) => stored = History::from_bits(found),
            }
        }
    }

    /// `count`: the changes of state up to a swap that has been made.
    #[inline]
    fn raise_floor(&self, count: u64) {
        if History::is_far_from(self.changes_floor.load(Ordering::Relaxed), count) {
            // Release: pairs with the Acquire in `load_with_history`.
            self.changes_floor.fetch_max(count, Ordering::Release);
        }
    }

    /// Stamps a probe of `epoch`, which is that of `word` or the next one. Returns whether `word` still stands, where it
    /// had to be looked at.
    fn stamp(&self, word: Word, epoch: Epoch, now: Duration) -> bool {
        self.newest_probe.stamp(epoch, now, || self.is_still(word))
    }

    /// Stamps the time if `step` enters the steps of recovery. The stamp comes before the swap, so that a thread that sees
    /// the new word finds it. Returns `None` if a stamp was needed and `word` is no longer current.
    fn stamp_steps(&self, word: Word, context: Context, now: Duration, step: Step) -> Option<Step> {
        let enters = step.effect.begins_epoch() && step.next.is_recovering();
        (!enters || self.stamp(word, context.epoch.next(), now)).then_some(step)
    }

    /// Before the second round of an episode begins: keeps `epoch`, that of `word`, as the first. Returns whether
    /// `word` still stands, where it had to be looked at.
    fn keep_first_round(&self, word: Word, epoch: Epoch) -> bool {
        if word.is_continued() {
            return true;
        }
        let mut seen = self.first_round.load_to_swap(Ordering::Acquire);
        while seen != epoch.number() {
            // Asked after the load: while the word stands, nobody has kept an epoch of a later episode.
            if !self.is_still(word) {
                return false;
            }
            // Release: pairs with the Acquire in `kept_first_round`. Acquire on both ways: who sees the epoch of a
            // later episode sees the word of that episode.
            match self.first_round.compare_exchange_weak(seen, epoch.number(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(found) => seen = found,
            }
        }
        true
    }

    #[inline]
    fn store_lead(&self, applied: &Applied, now: Option<Duration>) {
        if let (Effect::Begin(_), Some(now)) = (applied.effect, now) {
            self.lead.store(mark_lead(lead(now), applied.after), Ordering::Relaxed);
        }
    }
}

/// Nanoseconds below a millisecond take 20 bits. Above them are the low bits of the epoch, and as many of the deadline as
/// there is room for: no other word that is open near that time has the same.
const LEAD_BITS: u32 = 20;
const LEAD: u64 = (1 << LEAD_BITS) - 1;

fn mark_lead(lead: Duration, open: Word) -> u64 {
    open.above_tag() << LEAD_BITS | u64::from(lead.subsec_nanos())
}

fn lead_of(marked: u64, open: Word) -> u64 {
    if (marked ^ mark_lead(Duration::ZERO, open)) <= LEAD { marked & LEAD } else { 0 }
}

#[cfg(all(test, not(any(loom, shuttle))))]
impl Cell {
    /// A cell that has come to this epoch.
    pub(crate) fn closed_in(epoch: Epoch) -> Self {
        Cell { word: SwapU64::new(Word::closed(epoch).bits()), ..Cell::new() }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
