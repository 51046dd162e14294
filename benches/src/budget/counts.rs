//! The instruction counts that `check-counts` has stored.

const COUNTS: &str = include_str!("../../counts.txt");
const BASE: &str = include_str!("../../counts.base.txt");

/// What a path takes, and what it took in the base, unless it was replaced since.
pub(super) fn of(path: &str) -> (f64, Option<f64>) {
    (read(COUNTS, path).expect("it is counted"), read(BASE, path))
}

fn read(file: &str, path: &str) -> Option<f64> {
    let count = file.lines().find_map(|line| line.strip_prefix(path)?.strip_prefix(' '))?;
    count.parse().ok()
}
