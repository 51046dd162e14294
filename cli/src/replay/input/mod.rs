//! Recorded calls as they come: lines, records, keys, and the order of time.

mod keys;
mod lines;
mod number;
mod record;

use std::io::{self, BufRead};
use std::time::Duration;

use serde::Serialize;

use super::queue::TimeQueue;
use crate::call::Call;
use keys::Keys;
use lines::{Line, Lines};
pub(super) use number::{Unit, span};
use record::{Format, Reader};

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) time_unit: Unit,
    pub(super) duration_unit: Unit,
    /// How much later than the calls after it a line may stand.
    pub(super) reorder: Duration,
    pub(super) max_keys: usize,
    pub(super) strict: bool,
}

/// The longest line that is read.
const MAX_LINE: usize = 64 * 1024;

/// The most calls that wait for earlier ones.
const MAX_HELD: usize = 1_000_000;

/// The bad lines that are named.
const NAMED: usize = 5;

/// How much of the input was read, and why the rest was not.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Coverage {
    /// Lines that are not blank, without the header of a CSV.
    pub(super) lines: u64,
    pub(super) bad_lines: u64,
    /// The first bad lines.
    pub(super) first_bad_lines: Vec<BadLine>,
    /// Calls to keys beyond `max_keys`.
    pub(super) beyond_max_keys: u64,
    pub(super) keys: usize,
    pub(super) without_key: u64,
    pub(super) without_duration: u64,
    /// Calls that stood after one that started later.
    pub(super) out_of_order: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BadLine {
    pub(super) line: u64,
    pub(super) reason: String,
}

/// Why reading ended before the end.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    /// The header of a CSV.
    Header(String),
    /// A line under `strict`.
    Line(BadLine),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Io(error)
    }
}

/// Reads recorded calls and gives each to `start`, in the order in which they started. `start` returns false if it has no
/// room for a call. The names of the keys are returned beside the coverage.
pub(super) fn read(
    input: impl BufRead,
    options: Options,
    start: impl FnMut(Call) -> bool,
) -> Result<(Coverage, Vec<Box<str>>), Broken> {
    let mut intake = Intake {
        options,
        coverage: Coverage::default(),
        keys: Keys::new(options.max_keys),
        held: TimeQueue::new(),
        newest: Duration::ZERO,
        released: Duration::ZERO,
        start,
    };
    intake.read_all(Lines::new(input, MAX_LINE))?;
    while let Some((_, (line, call))) = intake.held.pop() {
        intake.release(line, call)?;
    }
    intake.coverage.keys = intake.keys.len();
    Ok((intake.coverage, intake.keys.into_names()))
}

struct Intake<S> {
    options: Options,
    coverage: Coverage,
    keys: Keys,
    /// Calls that an earlier one may still follow, with their lines.
    held: TimeQueue<(u64, Call)>,
    /// The latest start that was seen, and the latest that was handed on.
    newest: Duration,
    released: Duration,
    start: S,
}

impl<S: FnMut(Call) -> bool> Intake<S> {
    fn read_all(&mut self, mut lines: Lines<impl BufRead>) -> Result<(), Broken> {
        let mut reader = None;
        while let Some((number, line)) = lines.next()? {
            let line = match line {
                Line::Text(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                line => line,
            };
            let reader = if let Some(reader) = &mut reader {
                reader
            } else {
                let first = if let Line::Text(text) = line { text } else { &[] };
                let format = Format::of(first);
                let new = Reader::new(format, first, self.options).map_err(Broken::Header)?;
                let reader = reader.insert(new);
                if format == Format::Csv {
                    continue;
                }
                reader
            };
            self.coverage.lines += 1;
            let result = match line {
                Line::Text(text) => reader.read(text).and_then(|record| self.take(number, &record)),
                Line::TooLong => Err(format!("is longer than {MAX_LINE} bytes")),
            };
            result.or_else(|reason| self.bad(number, reason))?;
            while let Some((_, (line, call))) = self.next_due() {
                self.release(line, call)?;
            }
        }
        Ok(())
    }

    /// Puts a call among those that wait for earlier ones.
    fn take(&mut self, line: u64, record: &record::Record<'_>) -> Result<(), String> {
        let time = record.time;
        if time < self.released {
            let late = self.released - time;
            return Err(format!("starts {late:?} before a call that was replayed already; see --reorder"));
        }
        let Some(key) = self.keys.index(&record.key) else {
            self.coverage.beyond_max_keys += 1;
            if self.options.strict {
                return Err(format!("its key is one more than the {} of --max-keys", self.options.max_keys));
            }
            return Ok(());
        };
        self.coverage.without_key += u64::from(record.key.is_empty());
        self.coverage.without_duration += u64::from(record.duration.is_zero());
        self.coverage.out_of_order += u64::from(time < self.newest);
        self.newest = self.newest.max(time);
        let call = Call { time, duration: record.duration, key, outcome: record.outcome };
        self.held.push(time, (line, call));
        Ok(())
    }

    fn next_due(&mut self) -> Option<(Duration, (u64, Call))> {
        if self.held.len() > MAX_HELD {
            return self.held.pop();
        }
        self.held.pop_due(self.newest.checked_sub(self.options.reorder)?)
    }

    fn release(&mut self, line: u64, call: Call) -> Result<(), Broken> {
        self.released = call.time;
        if !(self.start)(call) && self.options.strict {
            let reason = "is one call in flight more than --max-in-flight".into();
            return Err(Broken::Line(BadLine { line, reason }));
        }
        Ok(())
    }

    fn bad(&mut self, line: u64, reason: String) -> Result<(), Broken> {
        self.coverage.bad_lines += 1;
        let bad = BadLine { line, reason };
        if self.options.strict {
            return Err(Broken::Line(bad));
        }
        if self.coverage.first_bad_lines.len() < NAMED {
            self.coverage.first_bad_lines.push(bad);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
