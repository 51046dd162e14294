//! Logarithmic axes of a picture.

use std::iter::successors;

/// A logarithmic axis: figures between two powers of ten, drawn between two places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogAxis {
    /// The exponents of the least and the greatest figure.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl LogAxis {
    /// For bars: from the power of ten below the least figure to a little above the greatest.
    pub(crate) fn bars(figures: &[f64], from: f64, to: f64) -> Self {
        let (least, greatest) = ends(figures);
        LogAxis { low: least.log10().floor(), high: greatest.log10() + 0.1, from, to }
    }

    /// From the least figure to the greatest.
    pub(crate) fn between(figures: &[f64], from: f64, to: f64) -> Self {
        let (least, greatest) = ends(figures);
        LogAxis { low: least.log10(), high: greatest.log10(), from, to }
    }

    /// For lines: from the power of ten below the least figure to that above the greatest.
    pub(crate) fn lines(figures: &[f64], from: f64, to: f64) -> Self {
        let (least, greatest) = ends(figures);
        let low = least.log10().floor();
        LogAxis { low, high: greatest.log10().ceil().max(low + 1.0), from, to }
    }

    /// Where a figure is drawn.
    pub(crate) fn at(&self, figure: f64) -> f64 {
        self.from + (self.to - self.from) * (figure.log10() - self.low) / (self.high - self.low)
    }

    /// The exponents of the powers of ten along the axis.
    pub(crate) fn powers(&self) -> impl Iterator<Item = f64> {
        let (from, to) = (self.low, self.high);
        successors(Some(from), |power| Some(power + 1.0)).take_while(move |&power| power <= to)
    }
}

fn ends(figures: &[f64]) -> (f64, f64) {
    let least = figures.iter().copied().fold(f64::MAX, f64::min);
    let greatest = figures.iter().copied().fold(f64::MIN, f64::max);
    (least, greatest)
}
