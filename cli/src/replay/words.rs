//! Numbers and times as people read them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `12 345 678`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 opening`, `2 openings`
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `250 ms`, `12.3 s`, `4 min 5 s`, `3 h`
pub(crate) fn span(time: Duration) -> String {
    let millis = (time.as_nanos() + 500_000) / 1_000_000;
    let (seconds, minutes) = (millis / 1000, millis / 60_000);
    match millis {
        0 if time.is_zero() => "0 s".into(),
        0 => "< 1 ms".into(),
        1..1000 => format!("{millis} ms"),
        1000..120_000 if millis % 1000 < 100 => format!("{seconds} s"),
        1000..120_000 => format!("{seconds}.{} s", millis % 1000 / 100),
        120_000..7_200_000 => both(minutes, "min", seconds % 60, "s"),
        7_200_000..172_800_000 => both(minutes / 60, "h", minutes % 60, "min"),
        _ => both(minutes / 1440, "d", minutes / 60 % 24, "h"),
    }
}

fn both(large: u128, unit: &str, small: u128, small_unit: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
}

pub(super) fn span_seconds(seconds: f64) -> String {
    span(Duration::from_secs_f64(seconds))
}

/// `12.3 %`
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    let share = 100.0 * part as f64 / whole as f64;
    match part {
        0 => "0 %".into(),
        _ if part == whole => "100 %".into(),
        _ if share < 0.05 => "< 0.1 %".into(),
        _ => format!("{:.1} %", share.min(99.9)),
    }
}

/// Whether a time counts from 1970: readings of other clocks are seldom beyond three years.
pub(super) fn is_date(time: Duration) -> bool {
    time >= Duration::from_secs(100_000_000)
}

/// A time of the recording: a date if it counts from 1970, else seconds.
pub(super) fn time(time: Duration) -> String {
    let date = SignedDuration::try_from(time).ok().and_then(|time| Timestamp::from_duration(time).ok());
    match date.filter(|_| is_date(time)) {
        Some(date) => format!("{date:.3}"),
        None => format!("{:.3} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let counts = [0, 999, 1000, 12_345_678].map(count);
        assert_eq!(counts, ["0", "999", "1 000", "12 345 678"]);
        assert_eq!([1, 2].map(|number| counted(number, "flap")), ["1 flap", "2 flaps"]);
    }

    #[test]
    fn spans_have_the_accuracy_that_matters() {
        let spans = [0, 7, 999, 1000, 12_340, 245_000, 7_200_000, 200_000_000].map(Duration::from_millis).map(span);
        let expected = ["0 s", "7 ms", "999 ms", "1 s", "12.3 s", "4 min 5 s", "2 h", "2 d 7 h"];
        assert_eq!(spans, expected);
        assert_eq!(span(Duration::from_nanos(5)), "< 1 ms");
    }

    #[test]
    fn a_share_is_100_percent_or_nothing_only_if_it_is() {
        let shares = [percent(0, 0), percent(0, 5), percent(5, 5), percent(99_999, 100_000), percent(1, 100_000)];
        assert_eq!(shares, ["-", "0 %", "100 %", "99.9 %", "< 0.1 %"]);
        assert_eq!(percent(1, 8), "12.5 %");
    }

    #[test]
    fn a_time_since_1970_is_a_date() {
        assert_eq!(time(Duration::from_millis(12_345)), "12.345 s");
        assert_eq!(time(Duration::from_millis(1_767_225_600_250)), "2026-01-01T00:00:00.250Z");
    }
}
