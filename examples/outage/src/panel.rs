use std::time::Duration;

use crate::axis::{TimeAxis, ValueAxis};
use crate::palette::{EDGE, Look};
use crate::record::{Call, Ending};
use crate::svg::{Drawing, Rect, Type};

pub(crate) const BAND: f64 = 26.0;

/// A probe that is refused at once is over in no time, and still to be seen.
const NARROWEST: f64 = 3.0;
const SENT: [Ending; 3] = [Ending::Good, Ending::Failed, Ending::Refused];
const SHORTEST_BIN: Duration = Duration::from_millis(100);

/// A row of coloured stretches, with their names where there is room.
pub(crate) fn band<T: Copy + Into<Look>>(drawing: &mut Drawing, axis: TimeAxis, y: f64, turns: &[(Duration, T)]) {
    let ends = turns.iter().skip(1).map(|&(at, _)| at).chain([axis.length]);
    let stretches = turns.iter().zip(ends).map(|(&(from, what), until)| (axis.x(from), axis.x(until), what.into()));
    let (wide, narrow): (Vec<_>, Vec<_>) = stretches.partition(|(left, right, _)| right - left >= NARROWEST);
    for (left, right, look) in wide {
        drawing.rect(Rect { x: left, y, width: right - left, height: BAND }, look.fill);
        if let Some(label) = label(look, right - left) {
            drawing.text((f64::midpoint(left, right), y + 18.0), label, look.name);
        }
    }
    for (left, _, look) in narrow {
        let x = left.min(axis.right - NARROWEST);
        drawing.rect(Rect { x, y, width: NARROWEST, height: BAND }, look.fill);
    }
    drawing.frame(axis.area(y, BAND), EDGE);
}

fn label(look: Look, room: f64) -> Option<Type> {
    let labels = [13.0, 12.0, 11.0].map(|size| Type::new(size).colour(look.ink).centred());
    labels.into_iter().find(|label| label.width(look.name) + 4.0 <= room)
}

/// A dot for each call.
pub(crate) fn latencies(drawing: &mut Drawing, time: TimeAxis, area: Rect, calls: &[Call]) {
    ValueAxis::Latency.draw(drawing, area, ["latency of each call", "(log scale)"]);
    for ending in [Ending::Good, Ending::Failed, Ending::Refused, Ending::Rejected] {
        let centres = calls
            .iter()
            .filter(|call| call.ending == ending)
            .map(|call| (time.x(call.at), ValueAxis::Latency.y(area, call.latency.as_secs_f64())));
        drawing.dots(centres, 3.0, Look::from(ending).fill);
    }
    drawing.frame(area, EDGE);
}

/// A bar for each moment: the calls that went out to the server.
pub(crate) fn rates(drawing: &mut Drawing, time: TimeAxis, area: Rect, bins: &[Bin], highest: f64) {
    let axis = ValueAxis::Rate { highest };
    axis.draw(drawing, area, ["calls sent to the", "server, per second"]);
    for bin in bins {
        let (left, right) = (time.x(bin.from), time.x(bin.until));
        let mut foot = area.bottom();
        for (ending, rate) in SENT.into_iter().zip(bin.rates) {
            let height = area.bottom() - axis.y(area, rate);
            if height > 0.0 {
                foot -= height;
                let bar = Rect { x: left, y: foot, width: right - left - 0.5, height };
                drawing.rect(bar, Look::from(ending).fill);
            }
        }
    }
    drawing.frame(area, EDGE);
}

/// The calls a second that were sent to the server in a stretch of time, by how they ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    from: Duration,
    until: Duration,
    rates: [f64; 3],
}

impl Bin {
    pub(crate) fn total(&self) -> f64 {
        self.rates.iter().sum()
    }
}

pub(crate) fn bins(calls: &[Call], length: Duration) -> Vec<Bin> {
    let width = SHORTEST_BIN.max(length / 150);
    let mut rest = calls;
    let mut bins = Vec::new();
    let mut from = Duration::ZERO;
    while from < length {
        let until = (from + width).min(length);
        let (these, later) = rest.split_at(rest.partition_point(|call| call.at < until));
        let rate = |ending| {
            let count = these.iter().filter(|call| call.ending == ending).count();
            count as f64 / (until - from).as_secs_f64()
        };
        bins.push(Bin { from, until, rates: SENT.map(rate) });
        rest = later;
        from = until;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Caller;

    #[test]
    fn bins_hold_every_call_that_was_sent() {
        let endings = [Ending::Good, Ending::Failed, Ending::Refused, Ending::Rejected];
        let call = |index: u32| Call {
            caller: Caller::Task,
            at: Duration::from_millis(10) * index,
            latency: Duration::ZERO,
            ending: endings[index as usize % 4],
        };
        let calls: Vec<_> = (0..100).map(call).collect();
        let bins = bins(&calls, Duration::from_secs(1));
        assert_eq!(bins.len(), 10);
        let sent: f64 = bins.iter().map(|bin| bin.total() * 0.1).sum();
        assert!((sent - 75.0).abs() < 1e-6, "{sent}");
    }
}
