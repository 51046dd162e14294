use std::time::{Duration, SystemTime};

use ::http::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use httpdate::parse_http_date;

/// The wait that `headers` ask for, if they contain one that can be parsed. If there are several, for example
/// because a proxy adds one, the longest applies.
///
/// A date is taken relative to the sender's clock, so that ours does not matter.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get_all(RETRY_AFTER).iter().filter_map(|wait| understand(text(wait)?, headers)).max()
}

fn understand(wait: &str, headers: &HeaderMap) -> Option<Duration> {
    if wait.bytes().all(|byte| byte.is_ascii_digit()) {
        // Not empty, and digits only: what does not fit is too large.
        return Some(wait.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = parse_http_date(wait).ok()?;
    Some(until.duration_since(date(headers)?).unwrap_or_default())
}

fn date(headers: &HeaderMap) -> Option<SystemTime> {
    parse_http_date(text(headers.get(DATE)?)?).ok()
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        retry_after(&headers.collect())
    }

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:00 GMT");

    #[test]
    fn seconds_are_understood_and_too_many_of_them_are_very_long() {
        assert_eq!(wait(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0")]), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", "99999999999999999999999")]), Some(Duration::MAX));
    }

    #[test]
    fn a_date_in_each_of_its_three_forms_counts_from_the_date_of_the_response() {
        for form in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(wait(&[DATE, ("retry-after", form)]), Some(Duration::from_secs(37)), "{form}");
        }
    }

    #[test]
    fn a_date_that_has_passed_asks_for_no_wait() {
        assert_eq!(wait(&[DATE, ("retry-after", "Sun, 06 Nov 1994 08:48:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(wait(&[DATE, ("retry-after", DATE.1)]), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_understood_asks_for_nothing() {
        for nonsense in ["", " ", "-1", "+5", "1.5", "soon", "12 s", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(&[DATE, ("retry-after", nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(wait(&[DATE]), None);
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), None);
        assert_eq!(wait(&[("date", "today"), ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), None);
        let opaque = [(RETRY_AFTER, HeaderValue::from_bytes(b"\xff").unwrap())];
        assert_eq!(retry_after(&opaque.into_iter().collect()), None);
    }
}
