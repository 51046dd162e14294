use std::time::Duration;

use crate::palette::{EDGE, GRID};
use crate::svg::{Drawing, Rect, Type};

const LABEL: Type = Type::new(14.0);
/// The latency axis ends at 1 s and begins so many decades below it.
const DECADES: f64 = 7.0;
const LATENCIES: [(f64, &str); 8] = [
    (1e-7, "≤ 0.1 µs"),
    (1e-6, "1 µs"),
    (1e-5, "10 µs"),
    (1e-4, "0.1 ms"),
    (1e-3, "1 ms"),
    (1e-2, "10 ms"),
    (1e-1, "0.1 s"),
    (1.0, "1 s"),
];

/// Where the time of a run goes from left to right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeAxis {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) length: Duration,
}

impl TimeAxis {
    pub(crate) fn x(&self, at: Duration) -> f64 {
        let share = at.min(self.length).as_secs_f64() / self.length.as_secs_f64();
        self.left + (self.right - self.left) * share
    }

    pub(crate) fn area(&self, y: f64, height: f64) -> Rect {
        Rect { x: self.left, y, width: self.right - self.left, height }
    }

    /// The seconds, with their ticks, below `y`.
    pub(crate) fn draw(&self, drawing: &mut Drawing, y: f64) {
        let step = if self.length > Duration::from_secs(20) { 5 } else { 1 };
        for second in (0..=self.length.as_secs()).step_by(step) {
            let x = self.x(Duration::from_secs(second));
            drawing.line((x, y), (x, y + 5.0), EDGE);
            drawing.text((x, y + 20.0), LABEL.centred(), &second.to_string());
        }
        let middle = f64::midpoint(self.left, self.right);
        drawing.text((middle, y + 40.0), LABEL.centred(), "seconds since the run began");
    }
}

/// The upright axis of a panel, from its foot to its head.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ValueAxis {
    /// Seconds, by the logarithm.
    Latency,
    /// From zero to this.
    Rate { highest: f64 },
}

impl ValueAxis {
    /// Where in the panel a value is; what is beyond an end of the axis is at that end.
    pub(crate) fn y(self, area: Rect, value: f64) -> f64 {
        let share = match self {
            ValueAxis::Latency => value.max(f64::MIN_POSITIVE).log10() / DECADES + 1.0,
            ValueAxis::Rate { highest } => value / highest,
        };
        area.bottom() - area.height * share.clamp(0.0, 1.0)
    }

    pub(crate) fn draw(self, drawing: &mut Drawing, area: Rect, title: [&str; 2]) {
        for (value, label) in self.ticks() {
            let y = self.y(area, value);
            drawing.line((area.x, y), (area.right(), y), GRID);
            drawing.text((area.x - 8.0, y + 4.5), LABEL.flush_right(), &label);
        }
        let middle = area.y + area.height / 2.0;
        for (line, x) in title.into_iter().zip([area.x - 88.0, area.x - 70.0]) {
            drawing.upright((x, middle), LABEL.centred(), line);
        }
    }

    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            ValueAxis::Latency => LATENCIES.map(|(seconds, label)| (seconds, label.to_owned())).into(),
            ValueAxis::Rate { highest } => {
                [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (highest * share, format!("{:.0}", highest * share))).into()
            }
        }
    }
}

/// The next round number above, so that its quarters are round too.
pub(crate) fn round_up(value: f64) -> f64 {
    (value / 100.0).ceil().max(1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rect = Rect { x: 0.0, y: 100.0, width: 10.0, height: 70.0 };

    fn is(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn each_decade_of_latency_takes_the_same_room() {
        let y = |seconds| ValueAxis::Latency.y(AREA, seconds);
        assert!(is(y(1.0), 100.0) && is(y(1e-3), 130.0) && is(y(1e-6), 160.0));
    }

    #[test]
    fn what_is_beyond_the_axis_is_at_its_end() {
        assert!(is(ValueAxis::Latency.y(AREA, 0.0), 170.0));
        assert!(is(ValueAxis::Latency.y(AREA, 50.0), 100.0));
        assert!(is(ValueAxis::Rate { highest: 100.0 }.y(AREA, 101.0), 100.0));
    }

    #[test]
    fn the_highest_rate_has_round_quarters() {
        assert!(is(round_up(0.0), 100.0) && is(round_up(399.0), 400.0) && is(round_up(401.0), 500.0));
    }
}
