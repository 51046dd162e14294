//! Settings as text: one form for each, wherever it is read or written.

use std::time::Duration;

use super::Preset;
use crate::outcome::Dropped;
use crate::recovery::Recovery;
use crate::settings::{Span, Window};

/// A setting as it is written: a number where a format has numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    Count(u32),
    Share(f64),
    Words(String),
}

pub(super) trait Text: Sized {
    /// `None` if it makes no sense. What is out of range does.
    fn read(text: &str) -> Option<Self>;

    fn write(&self) -> Value;
}

impl Text for bool {
    fn read(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn write(&self) -> Value {
        Value::Flag(*self)
    }
}

impl Text for u32 {
    fn read(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn write(&self) -> Value {
        Value::Count(*self)
    }
}

/// `5` or `none`.
impl Text for Option<u32> {
    fn read(text: &str) -> Option<Self> {
        if text.trim() == "none" { Some(None) } else { u32::read(text).map(Some) }
    }

    fn write(&self) -> Value {
        self.map_or_else(|| Value::Words("none".into()), |count| count.write())
    }
}

impl Text for f64 {
    fn read(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn write(&self) -> Value {
        Value::Share(*self)
    }
}

impl Text for Duration {
    fn read(text: &str) -> Option<Self> {
        read_duration(text)
    }

    fn write(&self) -> Value {
        Value::Words(written(*self))
    }
}

/// `100 calls` or `10s`.
impl Text for Window {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_suffix("calls").or_else(|| text.strip_suffix("call")) {
            Some(count) => u32::read(count).map(Window::calls),
            None => read_duration(text).map(Window::time),
        }
    }

    fn write(&self) -> Value {
        Value::Words(match self.0 {
            Span::Calls(_) => self.to_string(),
            Span::Time(time) => written(time),
        })
    }
}

/// `2.0 up to 5m`, or `2.0` without a maximum.
impl Text for (f64, Duration) {
    fn read(text: &str) -> Option<Self> {
        match text.split_once("up to") {
            Some((factor, max)) => Some((f64::read(factor)?, read_duration(max)?)),
            None => Some((f64::read(text)?, Duration::MAX)),
        }
    }

    fn write(&self) -> Value {
        match *self {
            (factor, Duration::MAX) => Value::Share(factor),
            (factor, max) => Value::Words(format!("{factor:?} up to {}", written(max))),
        }
    }
}

/// `tolerant` or `responsive`.
impl Text for Preset {
    fn read(text: &str) -> Option<Self> {
        Preset::ALL.into_iter().find(|preset| preset.as_str() == text.trim())
    }

    fn write(&self) -> Value {
        Value::Words(self.as_str().into())
    }
}

/// `ignore`, `failure` or `failure after 2s`.
impl Text for Dropped {
    fn read(text: &str) -> Option<Self> {
        match text.trim() {
            "ignore" => Some(Dropped::Ignore),
            "failure" => Some(Dropped::Failure),
            text => read_duration(text.strip_prefix("failure after ")?).map(Dropped::FailureAfter),
        }
    }

    fn write(&self) -> Value {
        Value::Words(match *self {
            Dropped::Ignore => "ignore".into(),
            Dropped::Failure => "failure".into(),
            Dropped::FailureAfter(limit) => format!("failure after {}", written(limit)),
        })
    }
}

/// `0.01, 0.05, 0.25, 0.5 each 30s`, or `ramp 2m`.
impl Text for Recovery {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(duration) = text.strip_prefix("ramp ") {
            return read_duration(duration).map(Recovery::ramp);
        }
        let (shares, each) = text.split_once(" each ")?;
        let shares = shares.split(',').map(f64::read).collect::<Option<Vec<_>>>()?;
        Some(Recovery::steps(shares).each(read_duration(each)?))
    }

    fn write(&self) -> Value {
        if let Some(duration) = self.as_ramp() {
            return Value::Words(format!("ramp {}", written(duration)));
        }
        let shares: Vec<_> = self.shares().iter().map(|share| format!("{share:?}")).collect();
        Value::Words(format!("{} each {}", shares.join(", "), written(self.duration())))
    }
}

/// With their nanoseconds, the largest first. No months and no years, which differ in length.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const NANOS: u128 = 1_000_000_000;

/// `1m 30s`: numbers with their units, each unit smaller than the one before.
fn read_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut nanos, mut larger) = (text.trim(), 0_u128, u128::MAX);
    while !rest.is_empty() || larger == u128::MAX {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let after = after.trim_start();
        let (name, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        let name = if name == "µs" { "us" } else { name };
        let unit = UNITS.into_iter().find_map(|(unit, nanos)| (unit == name).then_some(nanos))?;
        if unit >= larger {
            return None;
        }
        nanos = nanos.checked_add(times(number, unit)?)?;
        (rest, larger) = (after.trim_start(), unit);
    }
    let subsec = u32::try_from(nanos % NANOS).ok()?;
    Some(Duration::new(u64::try_from(nanos / NANOS).ok()?, subsec))
}

/// `number`, a decimal fraction, times `unit`, if that is a whole number.
fn times(number: &str, unit: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let [whole, part]: [u128; 2] = [whole.parse().ok()?, part.parse().ok()?];
    let scaled = whole.checked_mul(scale)?.checked_add(part)?.checked_mul(unit)?;
    (scaled % scale == 0).then_some(scaled / scale)
}

/// As [`read_duration`] reads it.
fn written(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut parts = Vec::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_duration_is_read_as_it_is_written() {
        for (text, duration) in [
            ("30s", 30 * SECOND),
            ("1m 30s", 90 * SECOND),
            ("250ms", SECOND / 4),
            ("1h", 3_600 * SECOND),
            ("1d 1ns", 86_400 * SECOND + Duration::from_nanos(1)),
            ("7us", Duration::from_micros(7)),
            ("0s", Duration::ZERO),
            ("213503982334601d 7h 15s 999ms 999us 999ns", Duration::MAX),
        ] {
            assert_eq!((read_duration(text), written(duration).as_str()), (Some(duration), text));
        }
    }

    #[test]
    fn a_duration_may_be_a_fraction_and_stand_wide_or_close() {
        for text in ["1.5s", "1s 500ms", "1s500ms", " 1 s  500 ms ", "0.025m", "1500ms", "1500000.0us", "1500000µs"] {
            assert_eq!(read_duration(text), Some(Duration::from_millis(1_500)), "{text}");
        }
    }

    #[test]
    fn what_the_standard_library_prints_can_be_read() {
        for nanos in [0, 1, 999, 1_500, 16_000_000, 29_999_999_999, 31_536_000_000_000_001] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(read_duration(&format!("{duration:?}")), Some(duration));
        }
        assert_eq!(read_duration(&format!("{:?}", Duration::MAX)), Some(Duration::MAX));
    }

    #[test]
    fn a_duration_that_makes_no_sense_is_none() {
        let wrong = [
            "", " ", "30", "s", "-1s", "1.s", ".5s", "1..5s", "1e3s", "1y", "30S", "30 s s", "30s 1m", "5s 5s", "1,5s",
        ];
        let between_nanoseconds = ["0.5ns", "0.0000000001s"];
        let too_long = ["18446744073709551616s", "99999999999999999999999999999999999999999d"];
        for text in wrong.into_iter().chain(between_nanoseconds).chain(too_long) {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn every_form_is_read_as_it_is_written() {
        fn there_and_back<T: Text + PartialEq + std::fmt::Debug>(text: &str, value: &T) {
            let written = match value.write() {
                Value::Count(count) => count.to_string(),
                Value::Share(share) => format!("{share:?}"),
                Value::Words(words) => words,
                Value::Flag(flag) => flag.to_string(),
            };
            assert_eq!((T::read(text).as_ref(), written.as_str()), (Some(value), text));
        }
        there_and_back("4294967295", &u32::MAX);
        there_and_back("5", &Some(5));
        there_and_back("none", &None);
        there_and_back("0.1", &0.1);
        there_and_back("100 calls", &Window::calls(100));
        there_and_back("1m 30s", &Window::time(90 * SECOND));
        there_and_back("2.0", &(2.0, Duration::MAX));
        there_and_back("1.5 up to 5m", &(1.5, 300 * SECOND));
        there_and_back("ignore", &Dropped::Ignore);
        there_and_back("failure", &Dropped::Failure);
        there_and_back("failure after 2s", &Dropped::FailureAfter(2 * SECOND));
        there_and_back(
            "0.01, 0.05, 0.25, 0.5 each 1m 30s",
            &Recovery::steps([0.01, 0.05, 0.25, 0.5]).each(90 * SECOND),
        );
        there_and_back("1.0 each 10ms", &Recovery::steps([1.0]).each(SECOND / 100));
        there_and_back("ramp 2m", &Recovery::ramp(120 * SECOND));
    }

    #[test]
    fn what_is_no_such_form_is_none() {
        assert!(["", "-1", "1.0", "4294967296", "five"].into_iter().all(|text| u32::read(text).is_none()));
        assert!(["None", "off", ""].into_iter().all(|text| Option::<u32>::read(text).is_none()));
        assert!(
            ["calls", "10", "ten calls", "-1 calls", "1.5 calls"].into_iter().all(|text| Window::read(text).is_none())
        );
        assert!(
            ["up to 5m", "2 up to", "2 up to 5", "2x"].into_iter().all(|text| <(f64, Duration)>::read(text).is_none())
        );
        assert!(
            ["", "failure after", "failure after 2", "after 2s"].into_iter().all(|text| Dropped::read(text).is_none())
        );
        assert_eq!(Window::read("1 call"), Some(Window::calls(1)));
    }
}
