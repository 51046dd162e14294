use std::borrow::Cow;
use std::str;
use std::time::Duration;

use csv_core::ReadRecordResult;
use serde::Deserialize;
use serde_json::value::RawValue;
use tripcoil::Outcome;

use super::Options;
use super::number::{self, duration, span};

/// A line, read.
#[derive(Debug, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) time: Duration,
    /// Empty if there is none.
    pub(super) key: Cow<'a, str>,
    pub(super) duration: Duration,
    pub(super) outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    Csv,
}

impl Format {
    /// The format of an input with this first line.
    pub(super) fn of(first: &[u8]) -> Self {
        if first.trim_ascii_start().starts_with(b"{") || first.is_empty() { Format::JsonLines } else { Format::Csv }
    }
}

/// The longest key.
const MAX_KEY: usize = 1024;

/// Reads one line after the other.
pub(super) struct Reader {
    options: Options,
    /// If it is CSV.
    csv: Option<Csv>,
}

impl Reader {
    /// `first` is the first line, the header of a CSV.
    pub(super) fn new(format: Format, first: &[u8], options: Options) -> Result<Self, String> {
        let csv = match format {
            Format::JsonLines => None,
            Format::Csv => Some(Csv::new(first)?),
        };
        Ok(Reader { options, csv })
    }

    pub(super) fn read<'a>(&'a mut self, line: &'a [u8]) -> Result<Record<'a>, String> {
        let fields = match &mut self.csv {
            Some(csv) => csv.read(line)?,
            None => json(line)?,
        };
        fields.check(&self.options)
    }
}

/// The texts of a line.
struct Fields<'a> {
    time: Cow<'a, str>,
    key: Cow<'a, str>,
    duration: Cow<'a, str>,
    outcome: Cow<'a, str>,
}

impl<'a> Fields<'a> {
    fn check(self, options: &Options) -> Result<Record<'a>, String> {
        const TIME: &str = "a number that is not negative, or a time such as 2026-01-31T12:00:00Z";
        const DURATION: &str = "a number that is not negative, or a duration such as 250ms";
        const OUTCOME: &str = "success, failure, ignored, dropped, or trip and a duration such as trip 30s";
        let nonsense = |field, text: &str, allowed| format!("`{field}` is {}, allowed is {allowed}", short(text));
        if self.key.len() > MAX_KEY {
            return Err(format!("`key` has {} bytes, allowed are {MAX_KEY}", self.key.len()));
        }
        Ok(Record {
            time: number::time(&self.time, options.time_unit).ok_or_else(|| nonsense("time", &self.time, TIME))?,
            duration: duration(&self.duration, options.duration_unit)
                .ok_or_else(|| nonsense("duration", &self.duration, DURATION))?,
            outcome: outcome(&self.outcome).map_err(|()| nonsense("outcome", &self.outcome, OUTCOME))?,
            key: self.key,
        })
    }
}

fn outcome(text: &str) -> Result<Option<Outcome>, ()> {
    Ok(Some(match text {
        "success" => Outcome::Success,
        "failure" => Outcome::Failure,
        "ignored" => Outcome::Ignored,
        "dropped" => return Ok(None),
        _ => Outcome::Trip { open_for: text.strip_prefix("trip ").and_then(span).ok_or(())? },
    }))
}

/// A text as a message can show it.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    let shown: String = text.chars().take(MOST).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { "..." } else { "" })
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow)]
    time: &'a RawValue,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    duration: &'a RawValue,
    #[serde(borrow)]
    outcome: &'a RawValue,
}

fn json(line: &[u8]) -> Result<Fields<'_>, String> {
    let text = str::from_utf8(line).map_err(|_| String::from("is not UTF-8"))?;
    let json: Json<'_> = serde_json::from_str(text)
        .map_err(|error| format!("is no call: {}", error.to_string().replace(" at line 1 column", " at column")))?;
    Ok(Fields {
        time: scalar(json.time),
        key: json.key.map(scalar).unwrap_or_default(),
        duration: scalar(json.duration),
        outcome: scalar(json.outcome),
    })
}

/// The text of a string, and what is written of everything else.
fn scalar(value: &RawValue) -> Cow<'_, str> {
    let raw = value.get();
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        None => Cow::Borrowed(raw),
        Some(text) if !text.contains('\\') => Cow::Borrowed(text),
        Some(_) => serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
    }
}

/// Comma-separated values, each record on one line.
struct Csv {
    parser: csv_core::Reader,
    text: Vec<u8>,
    /// Where the fields end within the text.
    ends: Vec<usize>,
    columns: Columns,
}

#[derive(Clone, Copy, Default)]
struct Columns {
    time: usize,
    key: Option<usize>,
    duration: usize,
    outcome: usize,
}

impl Csv {
    fn new(header: &[u8]) -> Result<Self, String> {
        let mut csv =
            Csv { parser: csv_core::Reader::new(), text: Vec::new(), ends: Vec::new(), columns: Columns::default() };
        let neither = |why: &str| format!("the first line is neither a JSON object nor the header of a CSV: it {why}");
        let fields = csv.split(header).map_err(|error| neither(&error))?;
        let names: Vec<_> = (0..fields.count).map(|index| fields.get(index).trim().to_ascii_lowercase()).collect();
        let find = |name: &str| names.iter().position(|column| column == name);
        let required = |name| find(name).ok_or_else(|| neither(&format!("has no column `{name}`")));
        csv.columns = Columns {
            time: required("time")?,
            key: find("key"),
            duration: required("duration")?,
            outcome: required("outcome")?,
        };
        Ok(csv)
    }

    fn read(&mut self, line: &[u8]) -> Result<Fields<'_>, String> {
        let columns = self.columns;
        let row = self.split(line)?;
        let field = |name, index: usize| {
            if index < row.count { Ok(Cow::Borrowed(row.get(index))) } else { Err(format!("has no column `{name}`")) }
        };
        Ok(Fields {
            time: field("time", columns.time)?,
            key: columns.key.map_or(Ok(Cow::Borrowed("")), |index| field("key", index))?,
            duration: field("duration", columns.duration)?,
            outcome: field("outcome", columns.outcome)?,
        })
    }

    fn split(&mut self, line: &[u8]) -> Result<Row<'_>, String> {
        self.parser.reset();
        // No text is longer than its line, and no line has more fields than bytes, and one.
        self.text.resize(self.text.len().max(line.len() + 1), 0);
        self.ends.resize(self.ends.len().max(line.len() + 2), 0);
        let (mut used, mut written, mut count) = (0, 0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.parser.read_record(&line[used..], &mut self.text[written..], &mut self.ends[count..]);
            (used, written, count) = (used + read, written + wrote, count + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                _ => return Err("is no CSV record".into()),
            }
        }
        let text = str::from_utf8(&self.text[..written]).map_err(|_| String::from("is not UTF-8"))?;
        Ok(Row { text, ends: &self.ends, count })
    }
}

struct Row<'a> {
    text: &'a str,
    ends: &'a [usize],
    count: usize,
}

impl<'a> Row<'a> {
    fn get(&self, index: usize) -> &'a str {
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[begin..self.ends[index]]
    }
}
