use std::ops::AddAssign;
use std::time::Duration;

/// What happened when, in at most [`CELLS`] cells of equal width. The width doubles as the time gets longer.
#[derive(Clone, Debug)]
pub(super) struct Timeline<T> {
    width: Duration,
    cells: Vec<T>,
}

/// An even number.
const CELLS: usize = 600;

impl<T: Clone + Default + AddAssign> Timeline<T> {
    pub(super) fn new() -> Self {
        Timeline { width: Duration::from_millis(1), cells: Vec::new() }
    }

    pub(super) fn width(&self) -> Duration {
        self.width
    }

    pub(super) fn cells(&self) -> &[T] {
        &self.cells
    }

    /// The cell of this time.
    pub(super) fn at(&mut self, time: Duration) -> &mut T {
        while self.index(time) >= CELLS {
            self.halve();
        }
        let index = self.index(time);
        if index >= self.cells.len() {
            self.cells.resize(index + 1, T::default());
        }
        &mut self.cells[index]
    }

    /// Calls `add` for each cell between two times, with the seconds that are within it.
    pub(super) fn spread(&mut self, from: Duration, to: Duration, add: impl Fn(&mut T, f64)) {
        if from >= to {
            return;
        }
        self.at(to);
        let mut time = from;
        while time < to {
            let end = (self.width * (u32::try_from(self.index(time)).expect("within the cells") + 1)).min(to);
            add(self.at(time), (end - time).as_secs_f64());
            time = end;
        }
    }

    fn index(&self, time: Duration) -> usize {
        usize::try_from(time.as_nanos() / self.width.as_nanos()).unwrap_or(usize::MAX)
    }

    fn halve(&mut self) {
        self.width *= 2;
        let pairs = self.cells.chunks(2).map(|pair| {
            let mut sum = pair[0].clone();
            if let Some(second) = pair.get(1) {
                sum += second.clone();
            }
            sum
        });
        self.cells = pairs.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_while_the_cells_get_wider() {
        let mut timeline = Timeline::<u64>::new();
        for second in 0..10_000 {
            *timeline.at(Duration::from_secs(second)) += 1;
        }
        assert!(timeline.cells().len() <= CELLS);
        assert_eq!(timeline.cells().iter().sum::<u64>(), 10_000);
        *timeline.at(Duration::from_secs(1 << 34)) += 1;
        assert_eq!(timeline.cells().iter().sum::<u64>(), 10_001);
        assert_eq!(timeline.cells()[0], 10_000);
    }

    #[test]
    fn a_stretch_is_spread_over_its_cells() {
        let mut timeline = Timeline::<f64>::new();
        timeline.spread(Duration::from_millis(1500), Duration::from_secs(100), |cell, seconds| *cell += seconds);
        assert!((timeline.cells().iter().sum::<f64>() - 98.5).abs() < 1e-6);
        let empty = timeline.cells().iter().take_while(|cell| **cell == 0.0).count();
        assert_eq!(empty, 1500 / usize::try_from(timeline.width().as_millis()).unwrap());
    }
}
