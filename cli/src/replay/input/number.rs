use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

/// What a number without a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::replay) enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl Unit {
    const fn nanos(self) -> u64 {
        match self {
            Unit::S => 1_000_000_000,
            Unit::Ms => 1_000_000,
            Unit::Us => 1_000,
            Unit::Ns => 1,
        }
    }
}

/// What can be counted as nanoseconds in 64 bits: 584 years.
const MOST: Duration = Duration::from_nanos(u64::MAX);

/// A time as a number or as RFC 3339 has it.
pub(super) fn time(text: &str, unit: Unit) -> Option<Duration> {
    let time = number(text, unit).or_else(|| {
        let time: Timestamp = text.parse().ok()?;
        Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).ok()
    })?;
    (time <= MOST).then_some(time)
}

/// A duration as a number, or as a text with units.
pub(super) fn duration(text: &str, unit: Unit) -> Option<Duration> {
    number(text, unit).or_else(|| span(text)).filter(|duration| *duration <= MOST)
}

/// A duration as a text with units, such as `250ms` or `1m 30s`.
pub(in crate::replay) fn span(text: &str) -> Option<Duration> {
    let span: SignedDuration = text.parse().ok()?;
    Duration::try_from(span).ok()
}

/// A number that is not negative, to the nanosecond.
fn number(text: &str, unit: Unit) -> Option<Duration> {
    if let Some(exact) = decimal(text, unit.nanos()) {
        return Some(exact);
    }
    // An exponent, or digits beyond the nanosecond.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(number * Duration::from_nanos(unit.nanos()).as_secs_f64()).ok()
}

/// Digits, and maybe a point and more digits; `None` if it is anything else, or too much for whole nanoseconds.
fn decimal(text: &str, unit_nanos: u64) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut nanos = digits(whole)?.checked_mul(unit_nanos)?;
    if text.len() > whole.len() {
        let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let scaled = u128::from(digits(fraction)?) * u128::from(unit_nanos) / u128::from(scale);
        nanos = nanos.checked_add(u64::try_from(scaled).ok()?)?;
    }
    Some(Duration::from_nanos(nanos))
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_exact_to_the_nanosecond() {
        let time = time("1700000000.123456789", Unit::S).unwrap();
        assert_eq!(time, Duration::new(1_700_000_000, 123_456_789));
        assert_eq!(duration("12.5", Unit::Ms), Some(Duration::from_micros(12_500)));
        assert_eq!(duration("7", Unit::Us), Some(Duration::from_micros(7)));
        assert_eq!(duration("0.1234567899999", Unit::S), Some(Duration::from_nanos(123_456_789)));
        assert_eq!(duration("1.5e-3", Unit::S), Some(Duration::from_micros(1500)));
    }

    #[test]
    fn a_time_may_be_rfc_3339_and_a_duration_may_have_units() {
        assert_eq!(time("1970-01-01T01:00:01.5+01:00", Unit::Ms), Some(Duration::from_millis(1500)));
        assert_eq!(duration("1m 30s", Unit::Ms), Some(Duration::from_secs(90)));
        assert_eq!(duration("250ms", Unit::S), Some(Duration::from_millis(250)));
    }

    #[test]
    fn nonsense_is_none() {
        for text in ["", "-1", "NaN", "inf", "1e999", "1 2", ".5", "+1", "-", "1.2.3", "0x10", "1e30", "-1s"] {
            assert_eq!(duration(text, Unit::S), None, "{text}");
            assert_eq!(time(text, Unit::S), None, "{text}");
        }
        assert_eq!(time("1969-12-31T23:59:59Z", Unit::S), None);
        assert_eq!(time("9999-12-31T23:59:59Z", Unit::S), None);
    }
}
