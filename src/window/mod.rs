//! Sliding windows, and the rate rules evaluated over them.

mod count;
mod in_flight;
mod ring;
pub(crate) mod steps;
mod time;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use crate::machine::cell::Cell;
use crate::machine::word::Epoch;
use crate::metrics::WindowMetrics;
use crate::settings::{Rates, Span, share};
use crate::transition::Cause;
use count::{CountWindow, Ends, Found};
use in_flight::InFlight;
use time::TimeWindow;
use timeline::Moment;

pub(crate) use timeline::ClockReading;

/// How many slices a ring holds. Loom sees the smallest ring that turns: each slice is atomics more.
const PLACES: usize = if cfg!(loom) { 2 } else { 16 };
const SLICES: u64 = PLACES as u64;

/// How many stripes a breaker's counts may lie in.
pub(crate) const STRIPES: usize = 35;
/// So many of them, the first ones, are one thread's each.
pub(crate) const OWNED: usize = 2;

/// A call that has been settled, as a window sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) epoch: Epoch,
    /// One more than the calls of the epoch that had been settled when this one was about to be. Read by windows that
    /// [count calls](Windows::counts_calls).
    pub(crate) position: u64,
    /// Which stripe it is counted in.
    pub(crate) stripe: usize,
    /// Read by windows that [time settlements](Windows::times_settlements).
    pub(crate) now: Duration,
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// Whether a call has been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Recorded {
    /// It has, or its epoch is over.
    Done,
    /// Not yet: the reading of the clock lies so far back that it has to be read again.
    ReadAgain,
}

/// How an admission arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Usual,
    /// As the first one in its slice: it is time to look for calls that hang.
    First,
    /// The reading of the clock lies so far back that it has to be read again.
    ReadAgain,
}

/// The windows of a breaker with rate rules.
pub(crate) struct Windows {
    rates: Arc<Rates>,
    past: Past,
    in_flight: Option<InFlight>,
    /// The epoch in which the windows began, and how many calls of it had been settled before.
    begun: Option<(Epoch, u64)>,
}

enum Past {
    Count(CountWindow),
    Time(TimeWindow),
}

/// What the windows hold at one moment, but for the number of settled calls in a window of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(Held);

#[derive(Clone, Copy, Debug)]
enum Held {
    Calls { epoch: Epoch, ends: Ends, hanging: u64 },
    Time(WindowTally),
}

/// More calls have failed during an evaluation than a log can hold back, so it has to be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl Windows {
    pub(crate) fn new(rates: Arc<Rates>) -> Self {
        let past = match rates.span {
            Span::Calls(calls) => Past::Count(CountWindow::new(calls, &rates)),
            Span::Time(time) => Past::Time(TimeWindow::new(time)),
        };
        let in_flight = rates.slow.map(|slow| InFlight::new(slow.duration));
        Windows { rates, past, in_flight, begun: None }
    }

    /// Windows that begin in the middle of `epoch`, when `settled` of its calls have been settled.
    pub(crate) fn beginning(self, epoch: Epoch, settled: u64) -> Self {
        Windows { begun: Some((epoch, settled)), ..self }
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Of the `settled` calls of `epoch`, those since the windows began.
    fn since_begun(&self, epoch: Epoch, settled: u64) -> u64 {
        match self.begun {
            Some((first, before)) if first == epoch => settled.saturating_sub(before),
            _ => settled,
        }
    }

    /// Whether admissions have to be timed.
    pub(crate) const fn times_calls(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether settlements have to be timed, those of healthy calls included.
    pub(crate) const fn times_settlements(&self) -> bool {
        self.in_flight.is_some() || matches!(self.past, Past::Time(_))
    }

    /// Whether the number of settled calls matters.
    pub(crate) const fn counts_calls(&self) -> bool {
        matches!(self.past, Past::Count(_))
    }

    /// From which duration on a call is slow.
    pub(crate) fn slow_call_duration(&self) -> Option<Duration> {
        Some(self.rates.slow?.duration)
    }

    /// What an admission at `now` finds, where calls that hang matter.
    pub(crate) fn arrive(&self, epoch: Epoch, now: Duration, reading: ClockReading, present: &Cell) -> Arrival {
        let Some(in_flight) = &self.in_flight else { return Arrival::Usual };
        match in_flight.find(epoch, now, reading, present) {
            Moment::In { is_new: true, .. } => Arrival::First,
            Moment::In { is_new: false, .. } | Moment::Late => Arrival::Usual,
            Moment::Earlier => Arrival::ReadAgain,
        }
    }

    /// Counts a call of `epoch` that is admitted. Returns the slice that it is counted in, if calls that hang matter.
    pub(crate) fn enter(&self, stripe: usize, epoch: Epoch, now: Duration, present: &Cell) -> Option<u64> {
        self.in_flight.as_ref()?.enter(stripe, epoch, now, present)
    }

    /// Counts that a call which entered `slice` is no longer in flight, or no longer timed.
    pub(crate) fn finish(&self, stripe: usize, slice: u64) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.finish(stripe, slice);
        }
    }

    /// Records a success that was not slow. It can trip no rule.
    #[inline]
    pub(crate) fn record_success(
        &self,
        stripe: usize,
        epoch: Epoch,
        now: Duration,
        reading: ClockReading,
        present: &Cell,
    ) -> Recorded {
        let Past::Time(window) = &self.past else { return Recorded::Done };
        match window.find(epoch, now, reading, present) {
            Moment::In { slices, .. } => window.record_success(slices, stripe),
            Moment::Earlier => return Recorded::ReadAgain,
            Moment::Late => {}
        }
        Recorded::Done
    }

    /// Records a failure or a slow call.
    pub(crate) fn record(&self, sample: Sample, reading: ClockReading, present: &Cell) -> Recorded {
        match &self.past {
            Past::Count(window) => {
                let position = self.since_begun(sample.epoch, sample.position);
                // Else it ended just before the windows began.
                if position > 0 {
                    window.record(Sample { position, ..sample }, present);
                }
            }
            Past::Time(window) => match window.find(sample.epoch, sample.now, reading, present) {
                Moment::In { slices, .. } => window.record(slices, sample),
                Moment::Earlier => return Recorded::ReadAgain,
                Moment::Late => {}
            },
        }
        Recorded::Done
    }

    /// Whether dropped calls matter.
    pub(crate) fn counts_drops(&self) -> bool {
        self.rates.drop_rate.is_some()
    }

    /// Records a dropped call. It displaces no settled call.
    pub(crate) fn record_drop(&self, sample: Sample, reading: ClockReading, present: &Cell) -> Recorded {
        match &self.past {
            Past::Count(window) => {
                let position = self.since_begun(sample.epoch, sample.position);
                // Else it was dropped just before the windows began.
                if position > 0 {
                    window.record_drop(sample.epoch, position, present);
                }
            }
            Past::Time(window) => match window.find(sample.epoch, sample.now, reading, present) {
                Moment::In { slices, .. } => window.record_drop(slices, sample.stripe),
                Moment::Earlier => return Recorded::ReadAgain,
                Moment::Late => {}
            },
        }
        Recorded::Done
    }

    /// What the windows hold now. What is settled after this makes the rates smaller than they are, never larger.
    ///
    /// First come the errors and the slow calls, then the calls that hang, then, by the caller for windows of calls, those
    /// that are settled. A call that hangs leaves those in flight before it is recorded, so it is never counted twice.
    pub(crate) fn snapshot(&self, epoch: Epoch, now: Duration) -> Snapshot {
        Snapshot(match &self.past {
            Past::Count(window) => {
                let ends = window.ends(epoch);
                Held::Calls { epoch, ends, hanging: self.hanging(epoch, now) }
            }
            Past::Time(window) => Held::Time(self.tally(window, epoch, now)),
        })
    }

    fn tally(&self, window: &TimeWindow, epoch: Epoch, now: Duration) -> WindowTally {
        loop {
            let Some(slices) = window.slices(epoch, now) else {
                return WindowTally { hanging: self.hanging(epoch, now), ..WindowTally::default() };
            };
            let (errors, slow, drops) = (window.errors(slices), window.slow(slices), window.drops(slices));
            let hanging = self.hanging(epoch, now);
            let settled = window.settled(slices);
            if window.is_still(slices) {
                return WindowTally { settled, errors, slow, hanging, drops };
            }
        }
    }

    /// How many calls hang.
    pub(crate) fn hanging(&self, epoch: Epoch, now: Duration) -> u64 {
        self.in_flight.as_ref().map_or(0, |in_flight| in_flight.hanging(epoch, now))
    }

    /// Which rule is met. `settled`: the calls of the epoch, summed after the snapshot.
    pub(crate) fn tripped_by(&self, snapshot: Snapshot, settled: u64) -> Result<Option<Cause>, Overtaken> {
        match (&self.past, snapshot.0) {
            (Past::Count(window), Held::Calls { epoch, ends, hanging }) => {
                let settled = self.since_begun(epoch, settled);
                let calls = window.calls(settled);
                self.rates.tripped_by(
                    calls,
                    hanging,
                    |least| window.has_errors(ends, settled, least),
                    |least| window.has_slow(ends, settled, least),
                    || window.calls_with_drops(ends, settled),
                    |least| window.has_drops(ends, settled, least),
                )
            }
            (_, Held::Time(WindowTally { settled, errors, slow, hanging, drops })) => {
                let found = |is: bool| if is { Found::Yes } else { Found::No };
                self.rates.tripped_by(
                    settled,
                    hanging,
                    |least| found(errors >= least),
                    |least| found(slow >= least),
                    || settled + drops,
                    |least| found(drops >= least),
                )
            }
            (Past::Time(_), Held::Calls { .. }) => Ok(None),
        }
    }

    /// What the window shows of a snapshot.
    pub(crate) fn metrics(&self, snapshot: Snapshot, settled: u64) -> WindowMetrics {
        match (&self.past, snapshot.0) {
            (Past::Count(window), Held::Calls { epoch, ends, hanging }) => {
                let settled = self.since_begun(epoch, settled);
                let (errors, slow) = window.counts(ends, settled);
                WindowMetrics::new(window.calls(settled), errors, slow, hanging).with_drops(window.drops(ends, settled))
            }
            (_, Held::Time(WindowTally { settled, errors, slow, hanging, drops })) => {
                WindowMetrics::new(settled, errors, slow, hanging).with_drops(drops)
            }
            (Past::Time(_), Held::Calls { .. }) => WindowMetrics::default(),
        }
    }
}

/// What a window of time holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct WindowTally {
    settled: u64,
    errors: u64,
    slow: u64,
    hanging: u64,
    drops: u64,
}

impl Rates {
    /// Which rule is met over the `settled` calls of a window and those that hang. The functions tell whether there are at least
    /// so many errors, and so many slow calls, among the settled ones, and so many drops among the `with_drops` calls that
    /// were settled or dropped.
    #[inline]
    fn tripped_by(
        &self,
        settled: u64,
        hanging: u64,
        errors: impl FnOnce(u64) -> Found,
        slow: impl FnOnce(u64) -> Found,
        with_drops: impl FnOnce() -> u64,
        drops: impl FnOnce(u64) -> Found,
    ) -> Result<Option<Cause>, Overtaken> {
        // A call that hangs may still succeed, so it counts as slow and not as settled.
        if let Some(rate) = self.error_rate.filter(|_| settled >= self.minimum_calls) {
            match errors(share(rate, settled)) {
                Found::Yes => return Ok(Some(Cause::ErrorRate)),
                Found::No => {}
                Found::Overtaken => return Err(Overtaken),
            }
        }
        if let Some(rule) = self.slow.filter(|_| settled + hanging >= self.minimum_calls) {
            match slow(share(rule.rate, settled + hanging).saturating_sub(hanging)) {
                Found::Yes => return Ok(Some(Cause::SlowCallRate)),
                Found::No => {}
                Found::Overtaken => return Err(Overtaken),
            }
        }
        match self.drop_rate {
            Some(rate) => self.tripped_by_drops(rate, with_drops(), drops),
            None => Ok(None),
        }
    }

    fn tripped_by_drops(
        &self,
        rate: f64,
        with_drops: u64,
        drops: impl FnOnce(u64) -> Found,
    ) -> Result<Option<Cause>, Overtaken> {
        if with_drops < self.minimum_calls {
            return Ok(None);
        }
        match drops(share(rate, with_drops)) {
            Found::Yes => Ok(Some(Cause::DropRate)),
            Found::No => Ok(None),
            Found::Overtaken => Err(Overtaken),
        }
    }

    #[cfg(test)]
    fn of_errors(rate: f64, minimum_calls: u64) -> Self {
        Rates { error_rate: Some(rate), slow: None, drop_rate: None, minimum_calls, span: Span::Calls(4) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
