//! The word, what every event makes of it, and the cell that swaps it.

pub(crate) mod cell;
pub(crate) mod coarse_deadline;
pub(crate) mod epoch_cell;
pub(crate) mod history;
pub(crate) mod millis;
pub(crate) mod probe_stamp;
pub(crate) mod recovery;
pub(crate) mod step;
pub(crate) mod step_length;
pub(crate) mod word;
