//! What one round did, and whether it was as promised.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use outage::health::Passage;
use tripcoil::{CircuitBreaker, State};

use crate::args::{Rule, SLOW};
use crate::crowd::{Capacity, Crowd, Probe, Raise, most_at_once};
use crate::diary::{self, BIRTH, Diary, Turn};
use crate::journal::{Entry, Tag};
use crate::ledger::{Admission, Call, Ending, Ledger};
use crate::tally::Tally;

/// What was seen so far, and has to go on.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) rule: Rule,
    pub(crate) capacity: Capacity,
    pub(crate) tally: Tally,
    pub(crate) last_turn: Turn,
    /// Calls that were slow for their callers already.
    pub(crate) slow: u64,
    /// What raised the capacity of an episode that goes on.
    pub(crate) raises: Vec<Raise>,
}

/// Figures of one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) rejected: u64,
    pub(crate) openings: usize,
    /// Calls that were surely probes, and those of which it is not sure.
    pub(crate) probes: usize,
    pub(crate) unsure: usize,
    pub(crate) most_at_clients: usize,
    pub(crate) most_at_server: usize,
    pub(crate) requests: usize,
}

impl Books {
    pub(crate) fn new(rule: Rule, capacity: Capacity) -> Self {
        Books { rule, capacity, tally: Tally::default(), last_turn: BIRTH, slow: 0, raises: Vec::new() }
    }

    /// Closes the books of a round, in which no call is in flight any more.
    pub(crate) fn close(
        &mut self,
        breaker: &CircuitBreaker,
        ledger: &Ledger,
        diary: &Diary,
        journal: &[Entry],
    ) -> Result<Figures, String> {
        let metrics = breaker.metrics();
        let (calls, rejected) = ledger.take();
        self.tally.add(&calls, rejected);
        let turns = diary.take();
        let before = self.last_turn;
        self.last_turn = diary::check(before, &turns)?;

        if metrics.active_calls != 0 {
            return Err(format!("`active_calls` is {} and no call is in flight", metrics.active_calls));
        }
        if Tally::of(&metrics) != self.tally {
            return Err(format!("the totals are {:?}, the callers counted {:?}", Tally::of(&metrics), self.tally));
        }
        if metrics.transition_count != self.last_turn.sequence {
            let (count, told) = (metrics.transition_count, self.last_turn.sequence);
            return Err(format!("`transition_count` is {count}, the observer was told of {told}"));
        }
        self.check_slow(&calls, metrics.total_slow_count)?;

        let episodes: BTreeSet<u64> =
            [before].iter().chain(&turns).filter(|it| it.to == State::HalfOpen).map(|it| it.sequence).collect();
        check_admissions(&calls, &episodes)?;
        let at_server = stays(&calls, journal)?;
        let mut raises = mem::take(&mut self.raises);
        raises.extend(calls.iter().filter_map(raise));
        let at_clients: Vec<Probe> = calls.iter().filter_map(probe).collect();
        let most = |place, probes: &[Probe]| {
            most_at_once(probes, &raises, self.capacity).map_err(|Crowd { episode, probes, allowed }| {
                format!("{place} saw {probes} probes of episode {episode} at once, allowed were {allowed}")
            })
        };
        let (most_at_clients, most_at_server) = (most("the callers", &at_clients)?, most("the server", &at_server)?);
        if self.last_turn.to == State::HalfOpen {
            raises.retain(|raise| raise.last >= self.last_turn.sequence);
            self.raises = raises;
        }
        Ok(Figures {
            calls: calls.len() as u64,
            rejected,
            openings: turns.iter().filter(|turn| turn.to == State::Open).count(),
            probes: at_clients.len(),
            unsure: calls.iter().filter(|call| matches!(call.admission, Admission::Somewhere { .. })).count(),
            most_at_clients,
            most_at_server,
            requests: journal.iter().filter(|entry| entry.passage == Passage::Came).count(),
        })
    }

    /// A call is in flight for longer than its caller's stay, so that the breaker counts at least what the callers do.
    fn check_slow(&mut self, calls: &[Call], counted: u64) -> Result<(), String> {
        let is_slow = |call: &&Call| {
            let counts = matches!(call.ending, Ending::Success | Ending::Failure | Ending::Panic);
            counts && Duration::from_nanos(call.end - call.begin) >= SLOW + Duration::from_millis(1)
        };
        self.slow += calls.iter().filter(is_slow).count() as u64;
        match self.rule {
            Rule::Consecutive if counted > 0 => {
                Err(format!("{counted} calls were slow, and no rule said what is slow"))
            }
            Rule::Rates if counted < self.slow => {
                Err(format!("{counted} calls were slow, the callers counted {}", self.slow))
            }
            _ => Ok(()),
        }
    }
}

fn check_admissions(calls: &[Call], episodes: &BTreeSet<u64>) -> Result<(), String> {
    for call in calls {
        match call.admission {
            Admission::Never => return Err(format!("a call was let through while open: {call:?}")),
            Admission::Probe(episode) if !episodes.contains(&episode) => {
                return Err(format!("a probe of an episode that no observer was told of: {call:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn probe(call: &Call) -> Option<Probe> {
    match call.admission {
        Admission::Probe(episode) => Some(Probe { episode, begin: call.begin, end: call.end }),
        _ => None,
    }
}

fn raise(call: &Call) -> Option<Raise> {
    let (first, last) = match call.admission {
        Admission::Probe(episode) => (episode, episode),
        Admission::Somewhere { first, last } => (first, last),
        _ => return None,
    };
    (call.ending == Ending::Success).then_some(Raise { first, last, at: call.end })
}

/// The probes' stays at the server, by its own journal.
///
/// A stay ends there with the answer, with the connection, or with the server; and no later than at the caller,
/// who takes a dropped call back before the server hears of it.
fn stays(calls: &[Call], journal: &[Entry]) -> Result<Vec<Probe>, String> {
    let mut visits: BTreeMap<u64, (u64, u64, bool)> = BTreeMap::new();
    for Entry { passage, path, at } in journal {
        let Some(Tag { call, .. }) = Tag::of(path) else { continue };
        match passage {
            Passage::Came => {
                visits.entry(call).or_insert((*at, u64::MAX, false));
            }
            // Of a call of an earlier round the beginning may have been read then.
            Passage::Answered | Passage::Left => {
                if let Some(visit) = visits.get_mut(&call) {
                    visit.1 = *at;
                    visit.2 |= *passage == Passage::Answered;
                }
            }
        }
    }
    let mut stays = Vec::new();
    for call in calls {
        if let (Some(&(begin, end, _)), Some(probe)) = (visits.get(&call.number), probe(call)) {
            stays.push(Probe { begin, end: end.min(call.end), ..probe });
        }
        if call.answered && !visits.get(&call.number).is_some_and(|visit| visit.2) {
            return Err(format!("a call was answered, and the server knows nothing of it: {call:?}"));
        }
    }
    Ok(stays)
}
