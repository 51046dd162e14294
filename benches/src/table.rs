//! Tables of figures as Markdown.

use std::fmt::{self, Write};
use std::iter::once;

use crate::timing::Cost;

/// A table; the first column holds words, the others figures.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(heads: impl Iterator<Item = String>) -> Self {
        let heads: Vec<_> = heads.collect();
        let mut table = Table(String::new());
        table.row(heads.iter().cloned());
        table.row(once("---".to_owned()).chain(heads.iter().skip(1).map(|_| "--:".to_owned())));
        table
    }

    pub(crate) fn row(&mut self, cells: impl Iterator<Item = String>) {
        for cell in cells {
            let _ = write!(self.0, "| {cell} ");
        }
        self.0.push_str("|\n");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn nanos(nanos: f64) -> String {
    match nanos {
        0.0..9.95 => format!("{nanos:.1}"),
        _ => format!("{nanos:.0}"),
    }
}

/// In the unit that suits it.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        0.0..1e3 => format!("{} ns", self::nanos(nanos)),
        1e3..1e6 => format!("{} µs", self::nanos(nanos / 1e3)),
        _ => format!("{} ms", self::nanos(nanos / 1e6)),
    }
}

/// The minimum, and the median.
pub(crate) fn cost(cost: Cost) -> String {
    format!("{} ({})", nanos(cost.minimum), nanos(cost.median))
}
