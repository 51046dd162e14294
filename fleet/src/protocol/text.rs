//! How names and numbers are written in keys and messages.

use std::fmt::Write as _;
use std::time::Duration;

use super::message::Malformed;

/// The longest name of a fleet, a breaker or a member, once escaped.
pub const LONGEST_NAME: usize = 512;
/// The longest author or reason of an order, once escaped.
pub const LONGEST_TEXT: usize = 1024;
/// The longest duration that is sent: ten years.
pub(crate) const LONGEST: Duration = Duration::from_millis(LONGEST_MILLIS);
const LONGEST_MILLIS: u64 = 10 * 365 * 24 * 3600 * 1000;
/// Numbers up to here are exact in Lua, too.
pub(crate) const LARGEST: u64 = 1 << 53;

/// What stands for nothing. No escaped text contains it.
pub(crate) const NONE: &str = "~";

/// Escapes every byte except letters, digits, `_`, `.` and `-` as `%XX`.
///
/// Different texts have different results. The result contains no blanks and no characters with a meaning in a key:
/// braces, colons and slashes.
///
/// ```
/// assert_eq!(tripcoil_fleet::protocol::escape("eu/payments"), "eu%2Fpayments");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Reads what [`escape`] has written; `None` if that cannot have been written by it.
pub(crate) fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (escape(&text) == escaped).then_some(text)
}

/// The name of a registry's breaker: no name of a single breaker contains a slash once escaped.
pub(crate) fn registry_name(registry: &str, key: &str) -> String {
    format!("{}/{}", escape(registry), escape(key))
}

/// Whether this is an escaped name, or a registry's and a key's with a slash in between.
pub(crate) fn is_name(name: &str) -> bool {
    let mut parts = name.split('/');
    let is_part = |part: &str| !part.is_empty() && unescape(part).is_some();
    name.len() <= LONGEST_NAME
        && parts.next().is_some_and(is_part)
        && parts.next().is_none_or(is_part)
        && parts.next().is_none()
}

/// How an escaped name is shown to people.
pub(crate) fn shown(name: &str) -> String {
    let parts: Vec<_> = name.split('/').map(|part| unescape(part).unwrap_or_else(|| part.to_owned())).collect();
    parts.join("/")
}

/// A duration in whole milliseconds, rounded up, and no longer than the longest.
pub(crate) fn millis(duration: Duration) -> u64 {
    let whole = duration.min(LONGEST).as_nanos().div_ceil(1_000_000);
    u64::try_from(whole).unwrap_or(LONGEST_MILLIS)
}

/// The fields of one line, read one after the other.
pub(crate) struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        Fields(line.split(' '))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        self.0.next().filter(|field| !field.is_empty()).ok_or(Malformed("a field is missing"))
    }

    pub(crate) fn name(&mut self) -> Result<&'a str, Malformed> {
        let name = self.text()?;
        if is_name(name) { Ok(name) } else { Err(Malformed("a name is not escaped or too long")) }
    }

    pub(crate) fn optional(&mut self) -> Result<Option<&'a str>, Malformed> {
        let field = self.text()?;
        if field == NONE { Ok(None) } else { Ok(Some(field)) }
    }

    pub(crate) fn member(&mut self) -> Result<Option<String>, Malformed> {
        match self.optional()? {
            None => Ok(None),
            Some(member) if is_member(member) => Ok(Some(member.to_owned())),
            Some(_) => Err(Malformed("a member's name is not escaped or too long")),
        }
    }

    pub(crate) fn prose(&mut self) -> Result<String, Malformed> {
        match self.optional()? {
            None => Ok(String::new()),
            Some(text) if text.len() > LONGEST_TEXT => Err(Malformed("a text is too long")),
            Some(text) => unescape(text).ok_or(Malformed("a text is not escaped")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        parse_number(self.text()?)
    }

    pub(crate) fn duration(&mut self) -> Result<Duration, Malformed> {
        parse_duration(self.text()?)
    }

    pub(crate) fn optional_duration(&mut self) -> Result<Option<Duration>, Malformed> {
        self.optional()?.map(parse_duration).transpose()
    }

    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        if self.0.next().is_none() { Ok(()) } else { Err(Malformed("there are too many fields")) }
    }
}

/// Whether this is an incarnation of a member: an escaped name, a `+` and what makes it unique.
pub(crate) fn is_member(member: &str) -> bool {
    let mut parts = member.split('+');
    member.len() <= LONGEST_NAME
        && parts.by_ref().take(2).all(|part| unescape(part).is_some())
        && parts.next().is_none()
}

fn parse_number(field: &str) -> Result<u64, Malformed> {
    let is_plain = field.len() <= 16 && field.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { field.parse().ok() } else { None };
    number.filter(|number| *number <= LARGEST).ok_or(Malformed("a number is malformed or too large"))
}

fn parse_duration(field: &str) -> Result<Duration, Malformed> {
    let duration = Duration::from_millis(parse_number(field)?);
    if duration <= LONGEST { Ok(duration) } else { Err(Malformed("a duration is longer than ten years")) }
}
